"""Laws of all word models alike: what is refused changes nothing, what is assigned counts, what is saved is read."""

import numpy as np
import pytest

from tinyembed.models import Doc2Vec, FastText, GloVe, ItemToVec, TaggedDocument, Word2Vec

FIVE = [line.split() for line in (
    "i love programming in python", "python is a versatile language", "machine learning is fascinating",
    "deep learning is a subset of machine learning", "natural language processing is a field of ai")]
MODELS = [Word2Vec, FastText, GloVe, Doc2Vec, ItemToVec]

pytestmark = pytest.mark.filterwarnings("ignore:.*ever touched")


def text_for(model, sentences):
    return [TaggedDocument(s, [i]) for i, s in enumerate(sentences)] if model is Doc2Vec else sentences


def small(model=Word2Vec, sentences=FIVE, **options):
    options = {"vector_size": 4, "min_count": 1, "epochs": 2, **({} if model is GloVe else {"sample": 0}), **options}
    return model(text_for(model, sentences), **options)


def saved(model, path):
    model.save(path)
    return path.read_bytes()


# -- what is refused ---------------------------------------------------------------------------------------------------

BAD_TEXTS = {"strings": ["python is", "a"], "bytes": [b"python"], "one string": "python is", "nothing": None,
             "iterators": [map(str, s) for s in FIVE], "a later iterator": [*FIVE, iter(FIVE[0])],
             "a later string": [*FIVE, "python"]}
BAD_SETTINGS = [{"epochs": -1}, {"epochs": 1.5}, {"start_alpha": float("nan")}, {"start_alpha": -1}, {"end_alpha": 1.0},
                {"end_alpha": "0"}, {"resume": True}, {"held_out": ["python is"]}, {"held_out": iter(FIVE)}]


@pytest.mark.parametrize("model", MODELS)
def test_a_refused_call_leaves_the_model_as_it_was(model, tmp_path):
    one, refused = small(model), 0
    before, history, wv = saved(one, tmp_path / "before"), one.history, one.wv
    for name, options in (("train", {}), ("build_vocab", {}), ("build_vocab", {"update": True})):
        for what, sentences in BAD_TEXTS.items():
            text = text_for(model, sentences) if isinstance(sentences, list) else sentences
            with pytest.raises((TypeError, ValueError)):
                getattr(one, name)(text, **options)
                pytest.fail(f"{name} takes {what}")
            refused += 1
    for options in BAD_SETTINGS:
        with pytest.raises((TypeError, ValueError)):
            one.train(text_for(model, FIVE), **options)
            pytest.fail(f"train takes {options}")
    if model in (GloVe, Doc2Vec):
        with pytest.raises(ValueError, match="further words"):
            one.build_vocab(text_for(model, [["new", "words"]]), update=True)
    assert saved(one, tmp_path / "after") == before and (one.history, one.wv) == (history, wv)
    other = model.load(tmp_path / "after")
    for each in (one, other):
        each.train(text_for(model, FIVE))
    assert saved(one, tmp_path / "one") == saved(other, tmp_path / "other")


@pytest.mark.parametrize("model", MODELS)
def test_a_model_without_a_vocabulary_says_so(model):
    one = model(vector_size=4)
    for call in (lambda: one.train(text_for(model, FIVE)),
                 lambda: one.build_vocab(text_for(model, FIVE * 9), update=True)):
        with pytest.raises(ValueError, match=r"vocabulary|further words"):
            call()
    assert one.network is None and not len(one.vocabulary)


def test_words_that_are_no_strings_are_refused_by_every_entry():
    one = small()
    for call in (lambda: Word2Vec([[1, 2]], min_count=1), lambda: one.train([["python", 2]]),
                 lambda: one.loss_on([["python", 2]]), lambda: small(GloVe).train([["python", 2]])):
        with pytest.raises(TypeError, match=r"2|1"):
            call()
    for call in (lambda: one.predict_output_word("ai"), lambda: one.wv.distances("python", "ai"),
                 lambda: one.wv.doesnt_match("python"), lambda: one.wv.n_similarity("ai", ["python"]),
                 lambda: small(Doc2Vec).infer_vector(b"ai"), lambda: one.loss_on(["python is"])):
        with pytest.raises(TypeError, match="letter"):
            call()


# -- plans and memory go by the text -----------------------------------------------------------------------------------

def rates_of(call, monkeypatch):
    """The factors on the learning rate that a training had, as rates."""
    scales, falling = [], Word2Vec._falling

    def noted(self, asked, steps):
        schedule = falling(self, asked, steps)
        return lambda step: scales.append(schedule(step) * self.alpha) or scales[-1] / self.alpha

    monkeypatch.setattr(Word2Vec, "_falling", noted)
    call()
    return scales


@pytest.mark.parametrize("counted", [0.1, 1, 10])
@pytest.mark.parametrize("model", [m for m in MODELS if m not in (GloVe, Doc2Vec)])
def test_what_is_planned_goes_by_the_text_that_is_trained_on(model, counted, monkeypatch):
    text = FIVE * 400
    one = model(vector_size=2, min_count=1, sample=0)
    one.build_vocab(FIVE * int(400 * counted))
    told = []
    rates = rates_of(lambda: told.append(one.train([*text, ["unheard"]], epochs=3)), monkeypatch)
    words = sum(len(set(s) if model is ItemToVec else s) for s in text)  # a basket has an item once
    assert len(one.history.train) == 3 and told[0] == (3 * words, 3 * (words + 1))
    assert rates[0] == 0.025 and rates[-1] == pytest.approx(0.0001, abs=0.025 / len(rates)) and len(rates) >= 6
    assert (np.diff(rates) <= 0).all()


def test_thinning_out_and_a_text_read_anew_change_nothing_of_that(monkeypatch):
    one = Word2Vec(vector_size=2, min_count=1, sample=3e-3, epochs=4)
    one.build_vocab(FIVE * 5000)
    rates = rates_of(lambda: one.train(dict(enumerate(FIVE * 2000)).values()), monkeypatch)
    assert len(one.history.train) == 4 and rates[-1] < 0.1 * rates[0] and rates[-2] > 0.0001


def test_inference_of_a_long_document_falls_to_the_end(monkeypatch):
    one = small(Doc2Vec)
    rates = rates_of(lambda: one.infer_vector(FIVE[0] * 1500, epochs=5), monkeypatch)
    assert len(rates) == 20 and rates == sorted(set(rates), reverse=True) and rates[-1] < 0.0015


@pytest.mark.parametrize("model", [Word2Vec, FastText, GloVe, Doc2Vec])
def test_a_window_wider_than_every_sentence_takes_no_memory_and_changes_no_vector(model):
    options = {} if model is GloVe else {"shrink_windows": False}
    wide, fitting = (small(model, window=window, **options) for window in (50_000_000, 7))
    assert np.array_equal(wide.wv.vectors, fitting.wv.vectors)


# -- wv and the network ------------------------------------------------------------------------------------------------

def tables(model):
    return [model.wv, model.dv] if isinstance(model, Doc2Vec) else [model.wv]


@pytest.mark.parametrize("model", MODELS)
def test_vectors_that_somebody_has_are_those_of_the_model_after_every_training(model):
    one = small(model)
    olds = tables(one)
    for _ in range(2):
        for old in olds:
            old.fill_norms()
        one.train(text_for(model, FIVE), epochs=40)
        for old, new in zip(olds, tables(one)):
            assert old is new
            np.testing.assert_allclose(old.norms, np.linalg.norm(old.vectors, axis=1), rtol=1e-5)
            assert max(score for _, score in old.most_similar(old.index_to_key[0], topn=30)) < 1.0001
    before = one.wv.vectors.copy()
    one.build_vocab(text_for(model, FIVE[:3] * 2))
    assert one.wv is not olds[0] and np.array_equal(olds[0].vectors, before)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_written_into_the_vectors_is_saved_and_goes_on(model, tmp_path):
    one, v = small(model), np.float32([1, 2, 3, 4])
    for table in tables(one):
        table["tea"] = v
        table[table.index_to_key[1]] = 2 * v  # after the table has left the network's memory
        table.add_vectors(["cup", "pot"], [v, -v])
    one.save(tmp_path / "model")
    other = model.load(tmp_path / "model")
    for ours, theirs in zip(tables(one), tables(other)):
        assert theirs.index_to_key == ours.index_to_key and np.array_equal(theirs.vectors, ours.vectors)
        assert np.array_equal(theirs["tea"], v) and np.array_equal(theirs[theirs.index_to_key[1]], 2 * v)
    for each in (one, other):
        each.train(text_for(model, FIVE))
        for table in tables(each):
            assert np.array_equal(table["tea"], v) and np.array_equal(table["pot"], -v)
            assert table.get_vecattr("tea", "count") == 0 if "count" in table.expandos else True
    assert saved(one, tmp_path / "one") == saved(other, tmp_path / "other")


def test_what_is_written_into_the_vectors_of_word2vec_is_what_training_starts_from():
    one, other = small(), small()
    one.wv["python"] = np.ones(4)
    other.wv.add_vector("tea", np.ones(4))
    other.wv["python"] = np.ones(4)
    for each in (one, other):
        each.train(FIVE)
    assert np.array_equal(one.wv.vectors, other.wv.vectors[:-1]) and not np.array_equal(one.wv["python"], np.ones(4))


@pytest.mark.parametrize("model", MODELS)
def test_vectors_that_are_saved_alone_are_read_as_they_were(model, tmp_path):
    for table in tables(small(model, [["river", "rivers", "7"], ["water", "river", "7"]])):
        table.save(tmp_path / "wv")
        other = type(table).load(tmp_path / "wv")
        asked = [*table.index_to_key, *(["riverside", "watery"] if model is FastText else [])]
        assert other.index_to_key == table.index_to_key and np.array_equal(other[asked], table[asked])
        assert {*vars(other)} == {*vars(table)} and {*other.expandos} == {*table.expandos}


# -- what is assigned --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", MODELS)
def test_what_is_assigned_counts_and_is_saved_or_is_refused(model, tmp_path):
    one = small(model)
    for name in ("learning_rate", "vectors_lockf", "syn1neg", "batch_words"):
        for x in (one, *tables(one)):
            with pytest.raises(AttributeError, match=f"no '{name}' that could be set"):
                setattr(x, name, 0)
    for name, value in vars(one.settings).items():
        if type(value) is int and name not in ("vector_size", "min_n", "max_n", "bucket", "hs", "dm_concat"):
            other = 1 - value if value in (0, 1) and name not in ("seed", "min_count") else value + 1
            setattr(one, name, other)
            assert getattr(one, name) == other and getattr(one.network.settings, name) == other
    one.save(tmp_path / "model")
    assert model.load(tmp_path / "model").settings == one.settings
