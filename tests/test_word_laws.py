"""Laws of all word models alike: what is refused changes nothing, what is assigned counts, what is saved is read."""

import gzip

import numpy as np
import pytest

from tinyembed.files import FormatError
from tinyembed.models import Doc2Vec, FastText, GloVe, ItemToVec, TaggedDocument, Word2Vec
from tinyembed.models.words import MADE
from tinyembed.vectors import KeyedVectors

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
                {"end_alpha": "0"}, {"resume": True}, {"held_out": ["python is"]}, {"held_out": iter(FIVE)},
                {"held_out": []}, {"held_out": [["unheard"]]}]


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


@pytest.mark.parametrize(("text", "tags"), [
    (b"a b\n\nc d\n", [0, 2]), (b"\n \n\t\na b\r\n\r\nc d", [3, 5]), (b"a b\nc d\n\n\n", [0, 1]),
    (b"a " * 25_000 + b"\nb c\n", [0, 1]), (gzip.compress(b"a b\n\nc d", mtime=0), [0, 2]),
    ("a b\x0cc\x85d\u2028e\ng h".encode(), [0, 1])])
def test_documents_of_a_file_are_tagged_by_their_lines(tmp_path, text, tags):
    """Blank ones count, and a long one is one."""
    (tmp_path / "corpus").write_bytes(text)
    one = Doc2Vec(corpus_file=tmp_path / "corpus", vector_size=2, min_count=1, epochs=1, sample=0)
    assert one.dv.index_to_key == tags


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



@pytest.mark.parametrize("model", MODELS)
def test_a_setting_that_is_assigned_trains_as_one_that_was_given(model):
    text, counted = text_for(model, FIVE * 6), 0
    fixed = {"vector_size", "min_count", "seed", "min_n", "max_n", "bucket", "hs", "dm_concat"}

    def trained(assigned, **given):
        one = model(**{"vector_size": 4, "min_count": 1, "epochs": 2, **given})
        one.build_vocab(text)
        for name, value in assigned.items():
            setattr(one, name, value)
        one.train(text)
        return np.concatenate([table.vectors for table in tables(one)]).tobytes()

    plain = trained({})
    for name, value in vars(model().settings).items():
        if type(value) in (int, float) and name not in fixed:
            other = {name: 1 - value if value in (0, 1) else value // 2 if type(value) is int else value / 8}
            assert trained(other) == trained({}, **other)
            counted += trained(other) != plain
    assert counted >= 3


NUMPY = {"window": [np.uint8(3)], "alpha": [np.float32(0.05), np.float16(0.05), np.longdouble(0.05)],
         "bucket": [np.int16(100)], "vector_size": [np.int8(3)], "sg": [np.bool_(True)], "lr": [np.float16(0.1)],
         "seed": [np.uint64(2**63)], "workers": [np.int8(2)], "dm": [np.uint8(0)], "sample": [np.float32(0.5), 1e308]}
NO_USE = {"workers": ["auto", [1], {}], "hs": ["", []], "compute_loss": ["yes", []], "dm_concat": [""],
          "window": [True, 2**63, 10**400], "epochs": [True, 10**30], "vector_size": [True], "seed": [10**400]}


@pytest.mark.parametrize("model", MODELS)
def test_a_setting_is_the_number_that_its_file_has(model, tmp_path):
    """Not the object that was given: a window of uint8 wraps round, float32 and float64 train apart."""
    for name in set(NUMPY) & {*vars(model().settings)}:
        for value in NUMPY[name]:
            number = float(value) if isinstance(value, np.floating) else getattr(value, "item", lambda x=value: x)()
            one, plain = (small(model, FIVE[:2], epochs=1, **{name: x}) for x in (value, number))
            assert saved(one, tmp_path / "one") == saved(plain, tmp_path / "plain") and \
                type(getattr(one, name)) is type(number)
    for name in set(NO_USE) & {*vars(model().settings)}:
        for value in NO_USE[name]:
            with pytest.raises(ValueError, match=f"^{name} is "):
                model(**{name: value})
                pytest.fail(f"{name}={value}")


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_has_made_is_not_replaced_from_outside(model, tmp_path):
    """It was taken, and then lost by save, or the file could not be read."""
    one = small(model)
    before, there = saved(one, tmp_path / "model"), MADE & set(vars(one))
    assert len(there) >= 8
    for x, names in ((one, there), *((table, ("index_to_key", "key_to_index", "vector_size", "expandos"))
                                     for table in tables(one))):
        for name in names:
            for value in (getattr(x, name), None, 5):
                with pytest.raises(AttributeError, match=f"{name} is made with the"):
                    setattr(x, name, value)
    with pytest.raises(ValueError, match="gave the tables their size"):
        one.settings.vector_size = 9
    assert saved(one, tmp_path / "model") == before


@pytest.mark.parametrize("model", MODELS)
def test_attributes_and_nan_in_the_vectors_are_saved_with_the_model(model, tmp_path):
    one = small(model)
    for table in tables(one):
        table.add_vector("tea", np.ones(4))
        table.expandos["rank"] = np.arange(len(table))
        table.vectors[0, 1] = np.nan  # after a training that diverged, say
    before = saved(one, tmp_path / "model")
    other = model.load(tmp_path / "model")
    for ours, theirs in zip(tables(one), tables(other)):
        assert theirs.index_to_key == ours.index_to_key and theirs.get_vecattr("tea", "rank") == len(ours) - 1
        assert np.array_equal(theirs.vectors, ours.vectors, equal_nan=True)
    assert saved(other, tmp_path / "again") == before
    tables(one)[-1].index_to_key[0] = "renamed"
    with pytest.raises(ValueError, match="index_to_key"):
        one.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before


@pytest.mark.parametrize("model", [Word2Vec, FastText, ItemToVec])
def test_further_words_leave_what_was_written_into_the_vectors(model):
    one, v = small(model), np.float32([1, 2, 3, 4])
    one.wv.add_vectors(["tea", "pot"], [v, -v])
    one.wv[one.wv.index_to_key[0]] = 2 * v  # after the table has left the network's memory
    first = one.wv.index_to_key[0]
    one.build_vocab([["cup", "tea"]], update=True)
    assert np.array_equal(one.wv["tea"], v) and np.array_equal(one.wv["pot"], -v)
    assert one.wv.index_to_key[-3:] == ["cup", "tea", "pot"]
    if model is not FastText:  # whose vectors are made of several rows
        assert np.array_equal(one.wv[first], 2 * v)
        assert np.array_equal(one.network.vectors.data[one.wv.get_index("tea")], v)


@pytest.mark.parametrize("model", [Word2Vec, Doc2Vec, ItemToVec])
def test_what_is_written_into_the_vectors_counts_in_every_answer(model, tmp_path):
    """Not only after a save, which wrote it into the network."""
    def answers(x):
        told = x.infer_vector(["python"]).tolist() if model is Doc2Vec else x.loss_on(FIVE)
        return told, x.predict_output_word(["python"])

    one = small(model)
    one.wv.add_vector("tea", np.ones(4))
    one.wv["python"] = 5 * np.ones(4)
    before = answers(one)
    one.save(tmp_path / "model")
    assert before == answers(one) == answers(model.load(tmp_path / "model")) != answers(small(model))


@pytest.mark.parametrize("model", MODELS)
def test_what_the_network_is_given_is_what_the_vectors_are_and_is_saved(model, tmp_path):
    """Not written over by what `wv` had before."""
    one = small(model)
    one.wv.add_vector("tea", np.ones(4))
    one.network.load_state_dict({name: 0 * x + 2 for name, x in one.network.state_dict().items()})
    saved(one, tmp_path / "model")
    for each in (one, model.load(tmp_path / "model")):
        assert np.array_equal(each.wv["python"], [4 if model is GloVe else 2] * 4)
        assert np.array_equal(each.wv["tea"], np.ones(4))
        assert all((x == 2).all() for x in each.network.state_dict().values())


DAMAGES = {  # what may be written into vectors, so that they do not go together
    "attribute of another length": lambda wv: wv.expandos.update(x=np.arange(2)),
    "list as attribute": lambda wv: wv.expandos.update(x=[1, 2, 3]),
    "texts as attribute": lambda wv: wv.expandos.update(x=np.array(["a", "b", "c"])),
    "table as attribute": lambda wv: wv.expandos.update(x=np.ones((3, 2))),
    "attribute with a number for a name": lambda wv: wv.expandos.update({3: np.arange(3)}),
    "key more": lambda wv: wv.index_to_key.append("z"), "renamed key": lambda wv: wv.index_to_key.__setitem__(0, "z"),
    "key twice": lambda wv: wv.index_to_key.__setitem__(0, "b"), "keys less": lambda wv: wv.index_to_key.clear(),
    "pieces": lambda wv: setattr(wv, "n", (9, 3, 1)), "rows": lambda wv: setattr(wv, "rows", np.ones((2, 2)))}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_could_not_be_read_is_not_saved(damage, tmp_path):
    kind = type(small(FastText).wv) if damage in ("pieces", "rows") else KeyedVectors
    wv = kind(keys=["a", "b", 7], vectors=np.eye(3))
    wv.save(tmp_path / "wv")
    before = (tmp_path / "wv").read_bytes()
    assert kind.load(tmp_path / "wv").index_to_key == ["a", "b", 7]
    DAMAGES[damage](wv)
    with pytest.raises(ValueError) as caught:
        wv.save(tmp_path / "wv")
    assert not isinstance(caught.value, FormatError) and (tmp_path / "wv").read_bytes() == before


def test_keys_are_what_a_file_can_have():
    assert [type(key) for key in KeyedVectors(keys=np.array(["a", "b"]), vectors=np.eye(2)).index_to_key] == [str, str]
    assert small(sentences=[np.array(s) for s in FIVE]).wv.index_to_key == small().wv.index_to_key
    with pytest.raises(ValueError, match="more than 400 digits"):
        KeyedVectors(keys=[10**400], vectors=[[1.0]])


@pytest.mark.parametrize("model", MODELS)
def test_what_cannot_be_a_checkpoint_is_known_before_the_training(model, tmp_path):
    one = small(model)
    before = saved(one, tmp_path / "model")
    for path in (tmp_path, tmp_path / "none" / "run"):
        with pytest.raises(OSError):
            one.train(text_for(model, FIVE), checkpoint=path)
    assert saved(one, tmp_path / "model") == before
