"""Laws of Word2Vec and FastText: what they learn, what they refuse, and that a seed gives the same bytes."""

import hashlib
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import tinyembed as te
from tinyembed.data import planted_corpus
from tinyembed.models import FastText, Word2Vec
from tinyembed.models.fasttext import fnv, hashes, ngrams
from tinyembed.vectors import evaluate_word_analogies

FIVE = [line.split() for line in (
    "i love programming in python", "python is a versatile language", "machine learning is fascinating",
    "deep learning is a subset of machine learning", "natural language processing is a field of ai")]
MODELS = [(Word2Vec, 1), (Word2Vec, 0), (FastText, 1), (FastText, 0)]


@pytest.fixture(scope="module")
def planted():
    return planted_corpus(3, repeats=100)


def small(model=Word2Vec, sentences=FIVE, **options):
    options = {"vector_size": 8, "min_count": 1, "sample": 0, "epochs": 3, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model(sentences, **options)


def digest(model):
    return hashlib.sha256(model.wv.vectors.tobytes() + model.network.output.data.tobytes()).hexdigest()


@pytest.mark.parametrize(("model", "sg"), [(Word2Vec, 1), (Word2Vec, 0)])
def test_planted_analogies_are_found(planted, model, sg):
    found = model(planted.sentences, vector_size=50, min_count=1, sg=sg)
    assert evaluate_word_analogies(found.wv, planted.analogies)[0] > 0.9


@pytest.mark.parametrize(("model", "sg"), MODELS)
def test_the_loss_falls_and_is_the_mean_that_evaluation_finds(model, sg):
    found = small(model, FIVE * 40, sg=sg, epochs=20, held_out=FIVE)
    losses = [loss for _, loss in found.history.train]
    assert losses[-1] < 0.8 * losses[0] and found.get_latest_training_loss() == losses[-1]
    assert found.history.held_out[-1][1] == pytest.approx(found.loss_on(FIVE))


@pytest.mark.parametrize(("sg", "mean"), [(1, 1), (0, 1), (0, 0)])
def test_the_loss_of_a_batch_is_that_of_its_pairs_one_by_one(sg, mean):
    model = small(sg=sg, cbow_mean=mean)
    batch = next(iter(model._batches(FIVE, np.ones(len(model.vocabulary)), np.random.default_rng(3))))
    W, C, total = model.network.vectors.data.astype(float), model.network.output.data.astype(float), 0.0
    for b, pairs in enumerate(batch.pairs):
        for i, mine in enumerate(pairs):
            if not mine.any():
                continue
            around = batch.around[b][mine]
            x = [(W[batch.words[b, i]], C[j]) for j in around] if sg else \
                [((W[around].mean(0) if mean else W[around].sum(0)), C[batch.words[b, i]])]
            for a, c in x:
                total += np.log1p(np.exp(-a @ c)) + 5 * np.log1p(np.exp(C[batch.negatives[b // 4]] @ a)).mean()
    assert model.network.loss(batch).item() == pytest.approx(total / len(batch), rel=1e-5)


@pytest.mark.parametrize(("model", "sg"), MODELS)
def test_the_network_passes_the_gradient_check(model, sg):
    found = small(model, sg=sg, vector_size=3)
    batch = next(iter(found._batches(FIVE, np.ones(len(found.vocabulary)), np.random.default_rng(3))))
    for p in found.network.parameters():
        p.data = p.data.astype(np.float64) + np.random.default_rng(0).normal(size=p.shape) * 0.3
    found.network.zero_grad()
    found.network.loss(batch).backward()
    for p in found.network.parameters():
        g, v = p.grad.to_dense(), np.random.default_rng(1).normal(size=p.shape)
        at, values = p.data.copy(), []
        for h in (1e-2, -1e-2):
            p.data = at + np.float32(h) * v.astype(np.float32)
            values.append(found.network.loss(batch).item())
        p.data = at
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(float((g * v).sum()), rel=2e-2, abs=2e-3)


SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
import test_word2vec as t
print(*[t.digest(t.small(m, t.FIVE * 5, sg=sg, workers=int(sys.argv[1]), sample=1e-2)) for m, sg in t.MODELS])
"""


def test_workers_and_the_hash_seed_change_no_byte():
    outputs = set()
    for workers, seed in (("1", "0"), ("4", "77")):
        run = subprocess.run([sys.executable, "-c", SCRIPT.format(tests=os.path.dirname(__file__)), workers],
                             capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed})
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
    assert len(outputs) == 1 and len(set(outputs.pop().split())) == 4


def test_the_five_sentences_subsampled_leave_words_untrained_and_say_so():
    with pytest.warns(UserWarning, match="rows never touched"):
        model = Word2Vec(FIVE, vector_size=100, window=5, min_count=1, workers=4, sg=1)
    assert len(model.untrained()) > len(model.vocabulary) / 2
    first = np.random.default_rng(1).random((len(model.vocabulary), 100), np.float32)
    for word in model.untrained():
        i = model.vocabulary.index[word]
        assert np.array_equal(model.wv[word], (first[i] - np.float32(0.5)) / np.float32(100))
    told = Word2Vec(FIVE, vector_size=100, min_count=1, sg=1, sample=0, epochs=200)
    assert told.untrained() == []
    assert told.wv.similarity("machine", "deep") > told.wv.similarity("machine", "love")


@pytest.mark.parametrize(("model", "sg"), MODELS)
def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(tmp_path, model, sg):
    one = small(model, sg=sg)
    one.save(tmp_path / "model")
    other = model.load(tmp_path / "model")
    assert digest(one) == digest(other) and other.vocabulary.tokens == one.vocabulary.tokens
    for trained in (one, other):
        trained.train(FIVE, epochs=2)
    assert digest(one) == digest(other)
    with pytest.raises(ValueError, match="is no "):
        (Word2Vec if model is FastText else FastText).load(tmp_path / "model")


@pytest.mark.parametrize("model", [Word2Vec, FastText])
def test_new_words_join_and_the_old_ones_keep_their_vectors(model):
    one = small(model)
    before = {word: one.wv[word].copy() for word in one.wv.index_to_key}
    one.build_vocab([["python", "snake", "snakes"]], update=True)
    assert one.wv.index_to_key[-2:] == ["snake", "snakes"]
    assert one.vocabulary.counts[one.vocabulary.index["python"]] == 3
    assert all(np.array_equal(one.wv[word], vector) for word, vector in before.items())
    assert one.untrained() == ["snake", "snakes"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one.train([["python", "snake", "snakes"]] * 5, epochs=3)
    assert one.untrained() == []


@pytest.mark.parametrize(("model", "options"), [(Word2Vec, {}), (FastText, {"min_n": 2, "max_n": 4, "bucket": 999})])
def test_a_model_that_learned_new_words_is_saved_whole(tmp_path, model, options):
    one = small(model, **options)
    one.build_vocab([["python", "snake", "snakes"]], update=True)
    one.save(tmp_path / "model")
    other = model.load(tmp_path / "model")
    assert digest(one) == digest(other)
    for trained in (one, other):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trained.train([["python", "snake", "snakes"]] * 5, epochs=2)
    assert digest(one) == digest(other)


def test_text_may_be_a_file_and_any_re_iterable(tmp_path):
    (tmp_path / "text").write_text("\n".join(map(" ".join, FIVE)))
    listed, read = small(), small(sentences=None, corpus_file=str(tmp_path / "text"))
    again = small(sentences=te.text.LineSentences(tmp_path / "text"))
    assert digest(listed) == digest(read) == digest(again)


def test_a_context_predicts_its_word():
    model = small(sentences=FIVE * 20, epochs=40)
    best = model.predict_output_word(["natural", "processing"], topn=3)
    assert "language" in dict(best)
    assert sum(p for _, p in model.predict_output_word(["natural"], 99)) == pytest.approx(1)
    assert model.predict_output_word(["nothing"]) is None


@pytest.mark.parametrize(("options", "error", "reason"), [
    ({"sentences": "a text"}, TypeError, "each letter"), ({"sentences": ["a text", "b"]}, TypeError, "a string"),
    ({"sentences": (s for s in FIVE)}, TypeError, "generator"), ({"sentences": []}, ValueError, "no word"),
    ({"min_count": 9}, ValueError, "min_count=9"), ({"window": 0}, ValueError, "window"),
    ({"hs": 1}, ValueError, "hs=1"),
    ({"vector_size": -3}, ValueError, "vector_size"), ({"negative": 0}, ValueError, "negative"),
    ({"alpha": float("nan")}, ValueError, "alpha"), ({"alpha": 0.0}, ValueError, "alpha"),
    ({"sample": -1.0}, ValueError, "sample"), ({"epochs": -1}, ValueError, "epochs"),
])
def test_bad_input_is_refused_with_a_reason(options, error, reason):
    with pytest.raises(error, match=reason):
        small(**options)


@pytest.mark.parametrize(("sentences", "trained"), [([["alone"]] * 4, 0), ([["one", "one"]], 1), ([[], ["a", "b"]], 2)])
def test_small_texts_train_what_there_is(sentences, trained):
    model = small(sentences=sentences)
    assert len(model.vocabulary) - len(model.untrained()) == trained


# -- FastText ----------------------------------------------------------------------------------------------------------


def test_a_word_is_the_mean_of_its_rows_and_a_new_word_of_its_pieces():
    model = small(FastText)
    rows = dict(zip(model.buckets.tolist(), model.wv.rows))
    for word in ("python", "learning"):
        own = model.network.vectors.data[model.word_rows[model.vocabulary.index[word]]]
        pieces = [rows[h] for h in hashes(word, *model.wv.n)]
        np.testing.assert_allclose(model.wv[word], np.mean([own, *pieces], 0), rtol=1e-4, atol=1e-7)
    met = [rows[h] for h in hashes("pythons", *model.wv.n) if h in rows]
    assert 0 < len(met) < len(hashes("pythons", *model.wv.n)) and "pythons" in model.wv
    np.testing.assert_allclose(model.wv["pythons"], np.mean(met, 0), rtol=1e-5)
    assert "pythons" not in model.wv.key_to_index
    with pytest.raises(KeyError, match="xyzzy"):
        model.wv["xyzzy"]


def test_pieces_are_those_of_the_paper():
    assert ngrams("where", 3, 3) == ["<wh", "whe", "her", "ere", "re>"]
    assert len(ngrams("where", 3, 6)) == 5 + 4 + 3 + 2 and ngrams("", 3, 6) == []


def test_the_five_sentences_take_under_a_megabyte():
    model = small(FastText, vector_size=100)
    assert sum(p.data.nbytes for p in model.network.parameters()) < 1e6


def test_hashes_and_pieces_are_gensims():
    inner = pytest.importorskip("gensim.models.fasttext_inner")
    for word in ("where", "naïve", "你好", "a", "🙂x", "ß"):
        assert sorted(ngrams(word, 3, 6)) == sorted(inner.compute_ngrams(word, 3, 6))
        assert [fnv(p) for p in ngrams(word, 2, 5)] == [inner.ft_hash_bytes(p.encode()) for p in ngrams(word, 2, 5)]
