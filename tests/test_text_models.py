"""Laws of what all word models share: their settings are attributes that are checked whenever they are set, count in
the next training, are saved and found again; and the words without training are those whose rows are as they were."""

import copy
import dataclasses
import hashlib
import inspect
import warnings

import numpy as np
import pytest
from test_doc2vec import topics
from test_word2vec import FIVE

from tinyembed.models import Doc2Vec, FastText, GloVe, TaggedDocument, Word2Vec
from tinyembed.models.settings import NOT_HERE, RULES
from tinyembed.train import save_checkpoint

TEXT = FIVE * 16
SMALL = {"vector_size": 6, "min_count": 1, "epochs": 2}
MODELS = {Word2Vec: TEXT, FastText: TEXT, Doc2Vec: topics(), GloVe: TEXT}
SETTINGS = [(model, field.name) for model in MODELS for field in dataclasses.fields(model().settings)]
each_model = pytest.mark.parametrize("model", MODELS)
each_setting = pytest.mark.parametrize(("model", "name"), SETTINGS)

# Another value than the default, with which another model comes out; and what is no use.
OTHER = {"vector_size": 5, "window": 2, "negative": 3, "min_n": 2, "max_n": 4, "bucket": 11, "epochs": 3,
         "min_count": 17, "max_final_vocab": 7, "alpha": 0.04, "min_alpha": 0.01, "sample": 0.05, "lr": 0.1,
         "x_max": 3.0, "ns_exponent": -0.5, "sg": 1, "cbow_mean": 0, "dm": 0, "dbow_words": 1, "shrink_windows": False,
         "dm_mean": 0, "seed": 9, "workers": 1, "compute_loss": True, "hs": 0, "dm_concat": 0}
BAD = {"vector_size": 0, "window": 2.5, "negative": "5", "min_n": 9, "max_n": 2, "bucket": 0, "epochs": -1,
       "min_count": None, "max_final_vocab": 0, "alpha": float("nan"), "min_alpha": 1.0, "sample": -1.0, "lr": 1j,
       "x_max": 0.0, "ns_exponent": float("inf"), "sg": 2, "cbow_mean": None, "dm": "1", "dbow_words": -1,
       "shrink_windows": 0.5, "dm_mean": 3, "seed": -1, "hs": 1, "dm_concat": 1}
SIZES = ("vector_size", "min_n", "max_n", "bucket")  # of the tables
WORDS = ("min_count", "max_final_vocab")  # looked at where words are counted
IGNORED = ("workers", "compute_loss", "hs", "dm_concat")
NEEDS = {"dbow_words": {"dm": 0}}  # to make a difference


def made(model, **settings):
    return model(**{**SMALL, **settings})


def trained(model, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(text)
    return model


def digest(model):
    return hashlib.sha256(b"".join(p.data.tobytes() for p in model.network.parameters())).hexdigest()


@each_setting
def test_a_setting_is_an_attribute_and_is_saved(tmp_path, model, name):
    one = made(model)
    setattr(one, name, OTHER[name])
    assert getattr(one, name) == OTHER[name] == getattr(one.settings, name) and name not in vars(one)
    one.build_vocab(MODELS[model])
    one.save(tmp_path / "model")
    again = model.load(tmp_path / "model")
    assert getattr(again, name) == getattr(one, name) and again.settings == one.settings
    assert again.network.settings is again.settings


@each_setting
def test_what_is_assigned_counts_as_what_is_given(model, name):
    needs = NEEDS.get(name, {})
    given, assigned, plain = made(model, **{**needs, name: OTHER[name]}), made(model, **needs), made(model, **needs)
    setattr(assigned, name, OTHER[name])
    for one in (given, assigned, plain):
        one.build_vocab(MODELS[model])
        trained(one, MODELS[model])
    assert digest(given) == digest(assigned)
    assert (digest(plain) == digest(given)) == (name in IGNORED)


@each_setting
def test_with_a_vocabulary_it_counts_in_the_next_training_or_is_refused(tmp_path, model, name):
    text, needs, value = MODELS[model], NEEDS.get(name, {}), OTHER[name]
    given, assigned, plain = made(model, **{**needs, name: value}), made(model, **needs), made(model, **needs)
    for one in (given, assigned, plain):
        one.build_vocab(text)
    if name in SIZES:
        with pytest.raises(ValueError, match=f"{name} gave the tables .* with {name}={value}"):
            setattr(assigned, name, value)
        setattr(assigned, name, getattr(plain, name))  # as it is
        assert assigned.settings == plain.settings
        return
    setattr(assigned, name, value)
    assigned.save(tmp_path / "model")
    for one in (given, assigned, plain, again := model.load(tmp_path / "model")):
        trained(one, text)
    assert digest(assigned) == digest(again)
    if name in WORDS:  # the next time that words are counted
        assigned.build_vocab(text)
        assert len(assigned.vocabulary) == len(given.vocabulary) < len(plain.vocabulary)
    else:
        assert (digest(plain) == digest(assigned)) == (name in IGNORED)
        assert (digest(given) == digest(assigned)) == (name != "seed")  # of which the tables were drawn


@pytest.mark.parametrize(("model", "name"), [(model, name) for model, name in SETTINGS if name in BAD])
def test_a_bad_value_is_named_and_changes_nothing(model, name):
    one = made(model)
    one.build_vocab(MODELS[model])
    before, rng = copy.deepcopy(one.settings), one.rng
    for act in (lambda: setattr(one, name, BAD[name]), lambda: setattr(one.settings, name, BAD[name]),
                lambda: made(model, **{name: BAD[name]})):
        with pytest.raises(ValueError, match=name):
            act()
    assert one.settings == before and one.rng is rng


@each_model
def test_help_shows_each_setting_with_its_default(model):
    parameters = inspect.signature(model).parameters
    settings = {field.name: field.default for field in dataclasses.fields(model().settings)}
    assert {name: parameters[name].default for name in settings} == settings
    assert set(parameters) - set(settings) <= {"sentences", "documents", "corpus_file", "held_out"}
    assert set(settings) == set(settings) & {*RULES, *NOT_HERE, *IGNORED}
    assert list(inspect.signature(model.__init__).parameters) == ["self", *parameters]


ORDER = {
    Word2Vec: "sentences corpus_file vector_size alpha window min_count sample seed workers min_alpha sg hs negative "
              "ns_exponent cbow_mean epochs max_final_vocab compute_loss shrink_windows",
    FastText: "sentences corpus_file",
    Doc2Vec: "documents corpus_file vector_size dm_mean dm dbow_words dm_concat window epochs shrink_windows",
    GloVe: "sentences corpus_file vector_size window min_count x_max alpha lr epochs max_final_vocab seed"}


@each_model
def test_the_order_is_a_promise(model):
    by_place = [p.name for p in inspect.signature(model).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place == ORDER[model].split()
    given = [OTHER[name] for name in by_place[2:] if name not in IGNORED[2:]][:4]
    one = model(None, None, *given)
    assert [getattr(one, name) for name in by_place[2:]][:len(given)] == given
    with pytest.raises(TypeError, match=r"takes .* but \d+ were given"):
        model(None, None, *range(40))


@each_model
def test_settings_that_a_model_does_not_have_are_refused(model):
    with pytest.raises(TypeError, match="windw"):
        model(windw=3)
    with pytest.raises(AttributeError, match="windw"):
        model().windw  # noqa: B018
    with pytest.raises(AttributeError, match="windw"):
        model().settings.windw = 3
    with pytest.raises(AttributeError, match="'cbow_mean' cannot be set"):
        Doc2Vec().cbow_mean = 0  # it follows from dm_mean


@each_model
def test_a_copy_has_settings_of_its_own(model):
    one = made(model)
    other = copy.deepcopy(one)
    other.window = 9
    assert one.window != 9 and other.settings.window == 9


@each_model
def test_a_file_from_before_a_setting_was_there_has_its_default(tmp_path, model):
    one = made(model)
    one.build_vocab(MODELS[model])
    about = one._about()
    about["settings"] = {name: value for name, value in about["settings"].items() if name not in IGNORED}
    save_checkpoint(tmp_path / "model", one.network, one.optimizer, about=about)
    assert model.load(tmp_path / "model").settings == one.settings


@each_model
def test_untrained_names_the_words_whose_rows_are_as_they_were_made(tmp_path, model):
    lone = [["alone"], ["apart"]]
    text = [*TEXT, *lone] if model is not Doc2Vec else [*topics(), *(TaggedDocument(words, ["x"]) for words in lone)]
    one = made(model, **({} if model is GloVe else {"sample": 0}))
    one.build_vocab(text)
    first = one.network.vectors.data.copy()

    def as_made(model):
        vectors, rows = model.network.vectors.data, model.word_rows
        return [word for word, i in zip(model.vocabulary.tokens, rows)
                if i >= len(first) or np.array_equal(vectors[i], first[i])]

    assert one.untrained() == as_made(one) == one.vocabulary.tokens
    trained(one, text)
    assert set(one.untrained()) == set(as_made(one)) == {"alone", "apart"}
    one.save(tmp_path / "model")
    one = model.load(tmp_path / "model")
    assert set(one.untrained()) == set(as_made(one)) == {"alone", "apart"}
    if model is Doc2Vec:  # which trains on these alone
        return
    trained(one, [["alone", "alone", "python"]] * 5)  # of which the report of the last training is
    assert one.untrained() == as_made(one) == ["apart"]
    if model is not GloVe:  # which learns no further words
        one.build_vocab([["snake", "snakes", "python"]], update=True)
        assert one.untrained() == as_made(one) == ["apart", "snake", "snakes"]
        one.save(tmp_path / "model")
        assert trained(model.load(tmp_path / "model"), [["apart", "snake"]] * 5).untrained() == ["snakes"]


def test_words_that_do_not_join_change_nothing():
    one = made(GloVe)
    one.build_vocab(TEXT)
    with pytest.raises(ValueError, match="GloVe learns no further words"):
        one.build_vocab([["snake"]], update=True)
    assert "snake" not in one.vocabulary and len(one.vocabulary) == len(one.network.vectors)


@each_model
def test_a_model_says_what_it_is(model):
    name, lr = model.__name__, "lr=0.02" if model is GloVe else "alpha=0.025"
    assert repr(model()) == f"{name}<vocab=0, vector_size=100, {lr}>"
    small = made(model)
    small.build_vocab(MODELS[model])
    assert repr(small) == str(small) == f"{name}<vocab={len(small.vocabulary)}, vector_size=6, {lr}>"
