"""Laws of all word models alike: what is refused changes nothing, what is assigned counts, what is saved is read."""

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
