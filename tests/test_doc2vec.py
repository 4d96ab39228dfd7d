"""Laws of Doc2Vec: documents find themselves, inference repeats itself and changes nothing else."""

import hashlib
import warnings
from collections import namedtuple

import numpy as np
import pytest

from tinyembed.models import Doc2Vec, TaggedDocument, Word2Vec

MODES = [{"dm": 1}, {"dm": 1, "dm_mean": 0}, {"dm": 0}, {"dm": 0, "dbow_words": 1}]


def topics(n=40, length=30, seed=0):
    """Documents on four subjects, each with 40 words of its own and 6 that all share."""
    rng = np.random.default_rng(seed)
    words = [[f"{subject}{k}" for k in range(40)] + [f"all{k}" for k in range(6)] for subject in "abcd"]
    return [TaggedDocument([str(w) for w in rng.choice(words[i % 4], length)], [f"doc{i}"]) for i in range(n)]


def small(documents=None, **options):
    options = {"vector_size": 12, "min_count": 1, "sample": 0, "epochs": 10, "window": 3, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Doc2Vec(topics() if documents is None else documents, **options)


def digest(model):
    parts = [model.wv.vectors, model.dv.vectors, model.network.output.data]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("mode", MODES)
def test_documents_of_one_subject_are_near_and_find_themselves(mode):
    documents = topics(80, 60)
    model = small(documents, vector_size=30, epochs=30, **mode)
    first, subject = 0, 0
    asked = [(i, document) for i, document in enumerate(documents) if i // 4 % 4 == 1]  # a quarter of each subject
    for i, document in asked:
        near = [int(tag[3:]) for tag, _ in model.dv.most_similar([model.infer_vector(document.words)], topn=5)]
        first += near[0] == i
        subject += sum(j % 4 == i % 4 for j in near)
    assert first >= 0.8 * len(asked) and subject >= 0.95 * 5 * len(asked)


@pytest.mark.parametrize("mode", MODES)
def test_inference_repeats_itself_and_changes_nothing(mode):
    model = small(**mode)
    before, words = digest(model), topics()[0].words
    one = model.infer_vector(words)
    assert np.array_equal(one, model.infer_vector(list(words))) and digest(model) == before
    assert one.shape == (12,) and not np.array_equal(one, model.infer_vector(topics()[1].words))
    assert np.array_equal(model.infer_vector([*words, "unheard"]), one)  # unknown words are passed over
    assert model.network.documents.shape == (40, 12) and all(p.grad is None for p in model.network.parameters())


def test_the_loss_of_pv_dm_is_that_of_its_words_one_by_one():
    documents = [TaggedDocument("a b c a".split(), ["x", "y"]), TaggedDocument(["d"], ["y"])]
    for mean in (0, 1):
        model = small(documents, dm=1, dm_mean=mean, epochs=2)
        n = model.network
        for p in n.parameters():
            p.data = np.random.default_rng(1).normal(size=p.shape) * 0.3
        batch = next(iter(model._batches([d.words for d in documents], np.ones(4), np.random.default_rng(3))))
        W, C, T = (p.data.astype(float) for p in (n.vectors, n.output, n.documents))
        tags, total = [[0, 1], [1]], 0.0
        for b, s in zip(*np.nonzero(batch.sentences >= 0)):
            around = batch.around[b][batch.pairs[b, s]]
            parts = np.concatenate([W[around], T[tags[batch.sentences[b, s]]]])
            x = parts.mean(0) if mean else parts.sum(0)
            total += np.log1p(np.exp(-x @ C[batch.words[b, s]]))
            total += 5 * np.log1p(np.exp(C[batch.negatives[b]] @ x)).mean()
        assert len(batch) == 5 and n.loss(batch).item() == pytest.approx(total / 5, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(tmp_path, mode):
    one = small(epochs=2, **mode)
    one.save(tmp_path / "model")
    other = Doc2Vec.load(tmp_path / "model")
    assert digest(one) == digest(other) and other.dv.index_to_key == one.dv.index_to_key
    assert np.array_equal(one.infer_vector(["a1", "a2"]), other.infer_vector(["a1", "a2"]))
    for model in (one, other):
        model.train(topics(), epochs=2)
    assert digest(one) == digest(other)
    with pytest.raises(ValueError, match="is no Word2Vec"):
        Word2Vec.load(tmp_path / "model")


def test_documents_come_from_lists_iterables_and_files(tmp_path):
    class Again:
        def __iter__(self):
            other = namedtuple("Other", "words tags")  # gensim's, say
            return (other(d.words, [i]) for i, d in enumerate(topics()))

    (tmp_path / "text").write_text("\n".join(" ".join(d.words) for d in topics()))
    numbered = [TaggedDocument(d.words, [i]) for i, d in enumerate(topics())]
    read = Doc2Vec(corpus_file=tmp_path / "text", vector_size=12, min_count=1, sample=0, window=3)
    assert digest(small(numbered)) == digest(small(Again())) == digest(read)


def test_without_dbow_words_the_words_stay_as_they_were_made():
    model = small(dm=0)
    assert len(model.untrained()) == len(model.vocabulary)
    assert small(dm=0, dbow_words=1).untrained() == []


def test_a_document_of_unknown_words_has_no_vector_that_looks_real():
    model = small()
    for words in (["unheard"], ["other"], []):
        with pytest.warns(UserWarning, match="is in the vocabulary: the vector is zeros"):
            assert not model.infer_vector(words).any()
    for options in ({"min_count": 2}, {"min_count": 2, "dm": 0}):
        model = small([*topics(), TaggedDocument(["once", "seen"], ["lost"]), TaggedDocument([], ["empty"])], **options)
        assert not model.dv["lost"].any() and not model.dv["empty"].any() and model.dv.norms[:-2].all()
        assert model.dv.similarity("lost", "empty") == 0


@pytest.mark.parametrize(("call", "error", "reason"), [
    (lambda: small([["a", "b"]]), TypeError, "TaggedDocument"),
    (lambda: small([TaggedDocument("a text", ["x"])]), TypeError, "a string"),
    (lambda: small([TaggedDocument(["a"], "x")]), ValueError, "document 0 has the tags 'x'"),
    (lambda: small([TaggedDocument(["a"], [])]), ValueError, "one or more"),
    (lambda: small(dm_concat=1), ValueError, "dm_concat"), (lambda: small(epochs=-1), ValueError, "epochs"),
    (lambda: small().infer_vector("a text"), TypeError, "each letter"),
    (lambda: small().train(topics(7)), ValueError, "build_vocab has seen"),
    (lambda: small().train(topics(), held_out=topics(3)), ValueError, "held-out"),
    (lambda: small().build_vocab(topics(), update=True), ValueError, "infer_vector"),
])
def test_bad_input_is_refused_with_a_reason(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
