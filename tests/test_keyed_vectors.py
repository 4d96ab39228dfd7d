"""KeyedVectors: searches equal brute force in float64, results equal gensim's, errors come before any change."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import recorded_gensim as recorded
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyembed.files import FormatError
from tinyembed.vectors import KeyedVectors, UnknownKey, nearest, row_norms, search

rng = np.random.default_rng
# Small whole numbers: many equal rows, zero rows, rows that point the same way.
tables = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(-2, 2))


def words(n):
    return [f"w{i}" for i in range(n)]


def make(V=8, D=3, seed=0, dtype=np.float32):
    return KeyedVectors(keys=words(V), vectors=rng(seed).normal(size=(V, D)).astype(dtype))


def same_as_recorded(ours, theirs):
    """Numbers within 1e-6, all else equal."""
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same_as_recorded, ours, theirs))
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same_as_recorded(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, float):
        return abs(ours - theirs) <= 1.01e-6
    return ours == theirs and type(ours) is type(theirs)


# -- gensim's results ------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:.*passed over")
@pytest.mark.parametrize("i", range(len(recorded.CALLS)))
@pytest.mark.filterwarnings("ignore:none of .* has a vector")
def test_results_recorded_from_gensim(i, tmp_path):
    wv = KeyedVectors(keys=recorded.KEYS, vectors=recorded.TABLE)
    ours = recorded.call(wv, *recorded.CALLS[i], tmp_path)
    assert same_as_recorded(ours, recorded.plain(recorded.RECORDED["calls"][i])), ours


def test_the_record_is_what_gensim_says_today():
    pytest.importorskip("gensim")
    assert same_as_recorded(recorded.plain(recorded.record()), recorded.plain(recorded.RECORDED))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gensims_numbers_types_and_order(dtype):
    peer = pytest.importorskip("gensim.models").KeyedVectors(20, dtype=dtype)
    table = (rng(0).normal(size=(2000, 20)) * rng(1).lognormal(size=(2000, 1))).astype(dtype)
    peer.add_vectors(words(2000), table)
    wv = KeyedVectors(keys=words(2000), vectors=table)
    draw = rng(2)
    for i in range(60):
        a, b, c, d = (f"w{n}" for n in draw.integers(0, 2000, 4))
        kwargs = {"positive": [a, (b, 0.5), table[5] * 2], "negative": [c, int(draw.integers(2000))],
                  "topn": int(draw.integers(1, 30))}
        if i % 3 == 0:
            kwargs["restrict_vocab"] = int(draw.integers(1, 2000))
        if i % 3 == 1:
            kwargs.update(clip_start=int(draw.integers(1000)), clip_end=int(draw.integers(1000, 2000)))
        ours, theirs = wv.most_similar(**kwargs), peer.most_similar(**kwargs)
        assert same_as_recorded(ours, theirs)
        ours, theirs = (x.most_similar(**{**kwargs, "topn": None}) for x in (wv, peer))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert ours.dtype == theirs.dtype
        if dtype == np.float64:
            continue  # gensim's other methods divide the rows of such a table by their lengths, in the table
        for method, args in [("similarity", (a, b)), ("distance", (a, b)), ("distances", (a,)),
                             ("distances", (table[9], [a, b])), ("n_similarity", ([a, b], [c])),
                             ("get_mean_vector", ([a, b, "nobody"], [1.0, -2.0, 3.0])), ("get_vector", (a, True))]:
            x, y = getattr(wv, method)(*args), getattr(peer, method)(*args)
            np.testing.assert_allclose(x, y, atol=1e-6)
            assert type(x) is type(y) and x.dtype == y.dtype, method
        assert wv.closer_than(a, b) == peer.closer_than(a, b)
        assert wv.doesnt_match([a, b, c, d]) == peer.doesnt_match([a, b, c, d])
    np.testing.assert_allclose(wv.get_normed_vectors(), peer.get_normed_vectors(), atol=1e-6)


def test_published_vectors():
    """TINYEMBED_GLOVE=/path/to/glove.6B.50d.bin (word2vec's binary form) or .txt (GloVe's own)."""
    if not (path := os.environ.get("TINYEMBED_GLOVE")):
        pytest.skip("TINYEMBED_GLOVE is not set")
    binary = path.endswith(".bin")
    wv = KeyedVectors.load_word2vec_format(path, binary=binary, no_header=not binary)
    assert wv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0] == "queen"
    datapath = pytest.importorskip("gensim.test.utils").datapath
    peer = pytest.importorskip("gensim.models").KeyedVectors.load_word2vec_format(path, binary=binary,
                                                                                 no_header=not binary)
    questions = datapath("questions-words.txt")
    assert wv.evaluate_word_analogies(questions, 10000) == peer.evaluate_word_analogies(questions, 10000)
    for name in ("wordsim353.tsv", "simlex999.txt"):
        ours, theirs = (x.evaluate_word_pairs(datapath(name)) for x in (wv, peer))
        np.testing.assert_allclose([*ours[0], *ours[1], ours[2]], [*theirs[0], *theirs[1], theirs[2]], atol=1e-6)


# -- searches --------------------------------------------------------------------------------------------------------

def brute_force(table, query, k, start=0, stop=None):
    """In float64, row by row."""
    stop = len(table) if stop is None else min(stop, len(table))
    rows = table.astype(np.float64)
    lengths = [float(np.sqrt((row * row).sum())) for row in rows]
    scores = [float((row * query).sum()) / length if length else 0.0 for row, length in zip(rows, lengths)]
    order = sorted(range(start, stop), key=lambda i: (-scores[i], i))[:k]
    return order, [scores[i] for i in order]


@given(tables, st.data())
def test_a_search_is_brute_force_with_equals_by_index(table, data):
    V, D = table.shape
    k, start, stop = data.draw(st.integers(1, V + 2)), data.draw(st.integers(0, V)), data.draw(st.integers(1, V + 2))
    queries = rng(data.draw(st.integers(0, 99))).integers(-2, 3, (3, D)) + 0.0
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "CHUNK", data.draw(st.integers(1, 50)))
        patch.setattr(search, "ROWS", data.draw(st.integers(1, 9)))
        found = nearest(table, row_norms(table), queries, k, start, stop)
    for query, (ids, scores) in zip(queries, found):
        expected, values = brute_force(table, query, k, start, stop)
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, values, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_rows_tie_wherever_they_stand(dtype):
    table = rng(0).normal(size=(5000, 37)).astype(dtype)
    table[[4999, 17, 2500, 2501, 3]] = table[1]
    wv = KeyedVectors(keys=words(5000), vectors=table)
    found = wv.most_similar("w1", topn=6)
    assert [key for key, _ in found[:5]] == ["w3", "w17", "w2500", "w2501", "w4999"]
    assert len({score for _, score in found[:5]}) == 1
    assert wv.closer_than("w1", "w17") == [] and wv.rank("w1", "w17") == 1
    expected, _ = brute_force(table, table[1] / np.linalg.norm(table[1].astype(np.float64)), 20)
    assert [key for key, _ in wv.most_similar(table[1].astype(np.float64), topn=20)] == [f"w{i}" for i in expected]


def test_what_rounding_hides_is_found():
    """Cosines that float32 can not tell apart stand in the order of float64."""
    table = (rng(0).normal(size=100) + rng(1).normal(size=(400, 100)) * 1e-6).astype(np.float32)
    queries = rng(2).normal(size=(20, 100))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    for query, (ids, _) in zip(queries, nearest(table, row_norms(table), queries, 5)):
        assert ids.tolist() == brute_force(table, query, 5)[0]
    table = (rng(0).normal(size=100) + rng(1).normal(size=(400, 100)) * 1e-4).astype(np.float32)
    wv = KeyedVectors(keys=words(400), vectors=table)
    query = table[0].astype(np.float64)
    order, _ = brute_force(table, query / np.linalg.norm(query), 400)
    assert [wv.rank("w0", f"w{i}") for i in order[1:]] == list(range(1, 400))


def test_a_search_makes_no_copy_of_the_table():
    import tracemalloc
    wv = make(100_000, 64)
    wv.most_similar("w0")
    tracemalloc.start()
    wv.fill_norms(force=True)
    wv.most_similar("w1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < wv.vectors.nbytes / 2, peak
    assert wv.norms.shape == (100_000,) and wv.norms.dtype == np.float32


def test_a_mapped_table_is_adopted(tmp_path):
    table = np.memmap(tmp_path / "table", np.float32, "w+", shape=(6, 2))
    table[:] = rng(0).normal(size=(6, 2))
    wv = KeyedVectors(keys=words(6), vectors=np.memmap(tmp_path / "table", np.float32, "r", shape=(6, 2)))
    assert wv.vectors.base is not None and type(wv["w0"]) is np.ndarray
    before = wv.most_similar("w0")
    with pytest.raises(ValueError, match=r"read-only.* wv.vectors.copy"):
        wv["w0"] = np.ones(2)
    assert wv.most_similar("w0") == before
    wv.save(tmp_path / "wv")
    os.remove(tmp_path / "table")
    assert KeyedVectors.load(tmp_path / "wv").most_similar("w0") == before  # the table went into the file


def test_zero_vectors_have_similarity_zero():
    wv = KeyedVectors(keys=["zero", "a", "b", "nought"], vectors=[[0, 0], [1, 0], [-1, 1], [0, 0]])
    assert wv.similarity("zero", "a") == wv.similarity("zero", "zero") == 0 == wv.n_similarity(["zero"], ["a"])
    assert wv.most_similar("zero", topn=3) == [("a", 0.0), ("b", 0.0), ("nought", 0.0)]
    assert [key for key, _ in wv.most_similar("a")] == ["zero", "nought", "b"]
    assert wv.distances("a").tolist()[0] == 1 and np.isfinite(wv.distances("zero")).all()
    assert wv.get_vector("zero", norm=True).tolist() == [0, 0] == wv.get_normed_vectors()[0].tolist()
    assert wv.doesnt_match(["a", "a", "zero"]) == "zero" and wv.closer_than("a", "b") == ["zero", "nought"]
    assert wv.most_similar(positive=["a"], negative=["a"], topn=1)[0][1] == 0


@pytest.mark.parametrize("scale", [1e-30, 1e-44, 1e30])
def test_very_short_and_very_long_vectors_are_finite(scale):
    wv = KeyedVectors(keys=words(50), vectors=(rng(0).normal(size=(50, 4)) * scale).astype(np.float32))
    found = wv.most_similar("w0", topn=50)
    assert len(found) == 49 and all(abs(score) <= 1 + 1e-9 for _, score in found)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_named(bad):
    wv = make()
    wv.vectors[3, 1] = bad
    with pytest.raises(ValueError, match="'w3', row 3, is not finite"):
        wv.most_similar("w0")
    with pytest.raises(ValueError, match="finite"):
        make().most_similar([np.array([1, bad, 0])])
    wv = make()
    with pytest.raises(ValueError, match="the vector of 'new' is not finite"):
        wv.add_vectors(["w1", "new"], [[0, 0, 0], [bad, 0, 0]], replace=True)
    np.testing.assert_array_equal(wv.vectors, make().vectors)


def test_assigning_vectors_or_filling_norms_forgets_the_old_lengths():
    wv = make()
    wv.most_similar("w0")
    wv.vectors = wv.vectors * np.arange(1, 9, dtype=np.float32)[:, None]
    np.testing.assert_allclose(wv.norms, np.linalg.norm(wv.vectors, axis=1), rtol=1e-6)
    wv.vectors[2] *= 10
    wv.fill_norms(force=True)
    np.testing.assert_allclose(wv.norms[2], np.linalg.norm(wv.vectors[2]), rtol=1e-6)
    with pytest.raises(ValueError, match=r"8 keys and vector_size 3 need vectors \(8, 3\), got \(7, 3\)"):
        wv.vectors = wv.vectors[:7]


# -- keys ------------------------------------------------------------------------------------------------------------

def test_keys_integers_and_lists():
    wv = KeyedVectors(keys=["a", 7, "b"], vectors=np.eye(3))
    assert wv[7].tolist() == [0, 1, 0] and wv[2].tolist() == [0, 0, 1]  # 7 is a key, 2 an index
    assert wv[np.int64(7)].tolist() == [0, 1, 0] and wv.get_index(0) == 0
    assert 7 in wv and 2 in wv and 5 not in wv and -1 not in wv and "c" not in wv
    assert wv[["b", "a"]].tolist() == [[0, 0, 1], [1, 0, 0]] and wv[[]].shape == (0, 3)
    wv[["b", "a"]][0, 0] = 5  # a fresh array
    with pytest.raises(ValueError, match="read-only"):
        wv["a"][0] = 5
    assert wv["a"].tolist() == [1, 0, 0] and len(wv) == 3 and repr(wv) == "KeyedVectors<vector_size=3, 3 keys>"


def test_an_unknown_key_is_named_with_its_nearest_spellings():
    wv = KeyedVectors(keys=["the", "king", "Queen", "queue", "python", "pylon"], vectors=rng(0).normal(size=(6, 2)))
    for ask in (lambda: wv["queeen"], lambda: wv.most_similar("queeen"), lambda: wv.similarity("king", "queeen"),
                lambda: wv[["king", "queeen"]], lambda: wv.distances("king", ["queeen"]),
                lambda: wv.rank("king", "queeen")):
        with pytest.raises(KeyError, match="'queeen' is not among the 6 keys; nearest spellings: 'Queen', 'queue'"):
            ask()
    with pytest.raises(KeyError, match=r"pyhton.*nearest spellings: 'python', 'pylon'"):
        wv.get_vector("pyhton")
    with pytest.raises(KeyError, match="-1 is not among"):
        wv[-1]
    with pytest.raises(KeyError, match="99 is not among the 6 keys and no index in 0 … 5"):
        wv.get_vector(99)
    with pytest.raises(KeyError) as caught:
        wv["zzzz"]
    assert "nearest" not in str(caught.value)
    assert isinstance(caught.value, UnknownKey) and caught.value.args == ("zzzz",)
    assert "zzzz" in str(pickle.loads(pickle.dumps(caught.value)))  # the message, without the vocabulary


def test_spellings_are_looked_for_only_when_the_message_is_read(monkeypatch):
    from tinyembed.vectors import unknown_key
    monkeypatch.setattr(unknown_key, "nearest_spellings", lambda *_: pytest.fail("looked"))
    wv = make()
    for word in ("x", "y"):
        try:
            wv[word]
        except KeyError:
            pass
    assert wv.get_mean_vector(["w1", "x"]).shape == (3,)


def test_adding_and_replacing():
    wv = KeyedVectors(2)
    assert len(wv) == 0 and wv.most_similar(np.ones(2)) == []
    wv.add_vectors(["a", "b"], [[1, 2], [3, 4]])
    wv.expandos["count"] = np.array([5, 6])
    wv.most_similar("a")
    assert wv.add_vector("c", [5, 6]) == 2 and wv.add_vector("a", [9, 9]) == 0
    wv["d"] = [7, 8]
    wv[["a", "e"]] = [[0, 1], [1, 0]]
    assert wv.index_to_key == ["a", "b", "c", "d", "e"] and wv.key_to_index["e"] == 4
    assert wv.vectors.tolist() == [[0, 1], [3, 4], [5, 6], [7, 8], [1, 0]] and wv.vectors.dtype == np.float32
    assert wv.expandos["count"].tolist() == [5, 6, 0, 0, 0] and wv.get_vecattr("b", "count") == 6
    assert wv.norms.tolist()[0] == 1


@pytest.mark.parametrize(("keys", "weights", "error", "message"), [
    (["a", "b"], [[1, 2]], ValueError, r"2 keys need vectors \(2, 2\), got \(1, 2\)"),
    (["a"], [[1, 2, 3]], ValueError, r"got \(1, 3\)"),
    (["x", "x"], [[1, 2]] * 2, ValueError, "'x' at position 1 is there"),
    ([1.5], [[1, 2]], TypeError, "1.5 at position 0 is a float"), ([True], [[1, 2]], TypeError, "bool"),
])
def test_a_refusal_changes_nothing(keys, weights, error, message):
    wv = KeyedVectors(keys=["a"], vectors=[[5, 5]])
    with pytest.raises(error, match=message):
        wv.add_vectors(keys, weights, replace=True)
    assert wv.index_to_key == ["a"] and wv.vectors.tolist() == [[5, 5]] and wv.key_to_index == {"a": 0}


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({}, ValueError, "vector_size"), ({"vector_size": 0}, ValueError, "vector_size"),
    ({"vector_size": -3}, ValueError, "-3"),
    ({"keys": "abc", "vectors": np.eye(3)}, TypeError, "string 'abc'"),
    ({"keys": ["a"], "vectors": np.eye(2)}, ValueError, "1 keys"),
    ({"keys": ["a", "a"], "vectors": np.eye(2)}, ValueError, "'a' at position 1"),
    ({"keys": ["a"], "vectors": [1.0, 2.0]}, ValueError, r"\(V, D\)"),
    ({"keys": ["a"], "vectors": np.array([["x"]])}, ValueError, "floats"),
    ({"vector_size": 3, "keys": ["a", "b"], "vectors": np.eye(2)}, ValueError, "vector_size 3"),
])
def test_what_makes_no_table(kwargs, error, message):
    with pytest.raises(error, match=message):
        KeyedVectors(**kwargs)


@pytest.mark.parametrize(("ask", "error", "message"), [
    (lambda wv: wv.most_similar(), ValueError, "at least one"),
    (lambda wv: wv.most_similar([]), ValueError, "at least one"),
    (lambda wv: wv.most_similar([np.ones(5)]), ValueError, r"\(3,\)"),
    (lambda wv: wv.most_similar([1.5]), TypeError, "1.5"),
    (lambda wv: wv.most_similar("w0", restrict_vocab=-1), ValueError, "-1"),
    (lambda wv: wv.most_similar("w0", clip_start=-2), ValueError, "-2"),
    (lambda wv: wv.get_mean_vector("w0"), TypeError, "string 'w0'"),
    (lambda wv: wv.n_similarity("w0", ["w1"]), TypeError, "w0"),
    (lambda wv: wv.get_mean_vector([]), ValueError, "at least one key"),
    (lambda wv: wv.n_similarity([], ["w1"]), ValueError, "at least one key"),
    (lambda wv: wv.get_mean_vector(["w0"], [1, 2]), ValueError, "weight for each"),
    (lambda wv: wv.get_mean_vector(["nobody"], ignore_missing=False), KeyError, "nobody"),
    (lambda wv: wv.doesnt_match("w0 w1 w2"), TypeError, "split"),
    (lambda wv: wv.doesnt_match([]), ValueError, "none of"),
])
def test_bad_questions(ask, error, message):
    with pytest.raises(error, match=message):
        ask(make())


def test_of_two_words_the_first_in_the_alphabet_does_not_match():
    wv = make(30)
    assert all(wv.doesnt_match([a, b]) == min(a, b) for a in words(30) for b in words(30))


def test_doesnt_match_passes_over_unknown_words_with_a_warning():
    with pytest.warns(UserWarning, match=r"\['nobody'\]"):
        assert make().doesnt_match(["w0", "nobody"]) == "w0"


def test_a_class_that_makes_vectors_for_new_words():
    """As FastText does: `in` and get_vector are all that it overrides."""
    class Spelled(KeyedVectors):
        def __contains__(self, key):
            return True

        def get_vector(self, key, norm=False):
            return super().get_vector(key, norm) if self.has_index_for(key) else np.full(3, len(key), np.float32)

    wv = Spelled(keys=words(4), vectors=make(4).vectors)
    assert wv["new"].tolist() == [3, 3, 3] and wv[["w0", "new"]].shape == (2, 3)
    assert len(wv.most_similar("new")) == 4 and wv.similarity("new", "newer") == pytest.approx(1)
    assert wv.distances("new").shape == (4,) and wv.doesnt_match(["new", "newer", "w0"]) == "w0"


# -- files -----------------------------------------------------------------------------------------------------------

some_keys = st.one_of(st.text(st.characters(codec="utf-8"), max_size=4), st.integers(-5, 10**12))


@given(st.lists(some_keys, max_size=6, unique=True), st.sampled_from([np.float16, np.float32, np.float64]))
def test_saving_and_loading(tmp_path_factory, keys, dtype):
    wv = KeyedVectors(2, keys=keys, vectors=rng(0).normal(size=(len(keys), 2)).astype(dtype))
    wv.expandos["count"] = np.arange(len(keys))
    path = tmp_path_factory.mktemp("saved") / "wv"
    wv.save(path)
    for again in (KeyedVectors.load(path), KeyedVectors.load(path, mmap="r")):
        assert again.index_to_key == keys and list(map(type, again.index_to_key)) == list(map(type, keys))
        assert again.vectors.dtype == dtype and again.vectors.tobytes() == wv.vectors.tobytes()
        assert again.expandos["count"].tolist() == list(range(len(keys)))


def test_a_mapped_load_stays_in_the_file(tmp_path):
    make(50).save(tmp_path / "wv")
    mapped = KeyedVectors.load(tmp_path / "wv", mmap="r")
    assert not mapped.vectors.flags.writeable and mapped.most_similar("w0") == make(50).most_similar("w0")
    mapped.save(tmp_path / "wv")  # over the file that it is mapped from
    assert KeyedVectors.load(tmp_path / "wv").vectors.tobytes() == make(50).vectors.tobytes()


def test_saved_files_have_the_same_bytes_whatever_the_hash_seed(tmp_path):
    code = "import sys; sys.path.insert(0, 'tests'); from test_keyed_vectors import make; make(30).save(sys.argv[1])"
    for seed in "01":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, tmp_path / seed], env=environment, check=True, timeout=120)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_what_was_not_saved_so_is_refused(tmp_path):
    path = tmp_path / "wv"
    path.write_bytes(pickle.dumps({"vectors": 1}))
    with pytest.raises(FormatError):
        KeyedVectors.load(path)
    from tinyembed.files import write_tree
    write_tree(path, {}, kind="something else", layout=1)
    with pytest.raises(FormatError, match="something else"):
        KeyedVectors.load(path)
    tree = make().to_tree()
    for change in ({"lengths": tree["lengths"] + 1}, {"lengths": tree["lengths"][1:]}, {"integers": np.array([0])},
                   {"integers": np.array([99])}, {"vectors": np.zeros((8, 0))}, {"vectors": np.zeros((7, 3))},
                   {"attributes": {"count": np.zeros(3)}}, {"text": tree["text"] * 0 + 200},
                   {"text": np.append(tree["text"], np.uint8(97))},
                   {"lengths": tree["lengths"] * 0.5}, {"lengths": tree["lengths"] * -1}):
        write_tree(path, {**tree, **change}, kind="tinyembed keyed vectors", layout=1)
        with pytest.raises(FormatError):
            KeyedVectors.load(path)


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_format(tmp_path, binary):
    wv = make()
    wv.save_word2vec_format(tmp_path / "wv", binary=binary, prefix="*")
    again = KeyedVectors.load_word2vec_format(tmp_path / "wv", binary=binary, limit=5)
    assert again.index_to_key == [f"*w{i}" for i in range(5)] and again.vectors.tobytes() == wv.vectors[:5].tobytes()
    wv.save_word2vec_format(tmp_path / "glove", write_header=False)
    assert KeyedVectors.load_word2vec_format(tmp_path / "glove", no_header=True).vectors.shape == (8, 3)
    peer = pytest.importorskip("gensim.models").KeyedVectors
    theirs = peer.load_word2vec_format(tmp_path / "wv", binary=binary)
    assert theirs.vectors.tobytes() == wv.vectors.tobytes()
    theirs.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
    again = KeyedVectors.load_word2vec_format(tmp_path / "theirs", binary=binary)
    assert again.vectors.tobytes() == wv.vectors.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_question_answers_with_a_vector_that_is_not_finite(bad):
    wv = KeyedVectors(keys=["odd", "b", "c"], vectors=np.float32([[1, bad], [1, 2], [2, 1]]))
    for ask in (lambda: wv.doesnt_match(["b", "odd", "c"]), lambda: wv.similarity("b", "odd"),
                lambda: wv.distance("odd", "b"), lambda: wv.n_similarity(["b"], ["odd", "c"]),
                lambda: wv.get_mean_vector(["b", "odd"]), lambda: wv.distances("b", ["odd"]),
                lambda: wv.distances("odd"), lambda: wv.most_similar("odd"), lambda: wv.most_similar("b"),
                lambda: wv.rank("b", "odd"), lambda: wv.closer_than("odd", "b"), lambda: wv.similar_by_key("c"),
                lambda: wv.evaluate_word_pairs([("b", "odd", 1.0), ("b", "c", 2.0)]), lambda: wv.get_normed_vectors(),
                lambda: wv.evaluate_word_analogies({"x": [("b", "c", "odd", "c")]}),
                lambda: wv.get_vector("b", norm=True)):
        with pytest.raises(ValueError, match=r"'odd'.* is not finite"):
            ask()
    late = KeyedVectors(keys=["odd", "b", "c"], vectors=np.float32([[1, 1], [1, 2], [2, 1]]))
    late.fill_norms()
    late.vectors[0, 1] = bad  # after the lengths were taken
    for ask in (lambda: late.most_similar("b"), lambda: late.most_similar("b", topn=None), lambda: late.distances("c"),
                lambda: late.similar_by_vector(np.ones(2)), lambda: late.closer_than("b", "c"),
                lambda: late.rank("b", "c"), lambda: late.evaluate_word_analogies({"x": [("b", "c", "b", "c")]})):
        with pytest.raises(ValueError, match=r"'odd'.* is not finite"):
            ask()
    assert wv.similarity("b", "c") == np.float32(0.8)


def test_a_mean_of_unknown_keys_is_zeros_and_says_so():
    wv = make()
    for ask in (lambda: wv.n_similarity(["zz"], ["w1"]), lambda: wv.n_similarity(["w1"], ["zz", "yy"]),
                lambda: wv.get_mean_vector(["zz"])):
        with pytest.warns(UserWarning, match=r"none of .*'zz'.* has a vector"):
            assert not np.any(ask())
    assert wv.n_similarity(["w1", "zz"], ["w1"]) == pytest.approx(1)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf, 1e308])
def test_weights_that_add_up_to_no_number_are_refused(weight):
    """They gave NaN, or no key at all."""
    wv = make()
    for ask in (lambda: wv.most_similar([("w1", weight), ("w2", 1e308)]), lambda: wv.most_similar(
            positive="w1", negative=[("w2", weight), ("w3", -1e308)]), lambda: wv.get_mean_vector(
            ["w1", "w2", "w3"], [weight, 1e308, 1])):
        with pytest.raises(ValueError, match="weights are finite numbers"):
            ask()


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-320, 1.0])
def test_a_query_of_any_length_has_its_direction(scale):
    """Squares that no float holds made it a zero vector."""
    wv, query = make(), np.array([scale, 0, 0])
    found = wv.similar_by_vector(query, topn=8)
    assert dict(found) == pytest.approx(dict(wv.similar_by_vector(np.array([1.0, 0, 0]), topn=8)))
    assert found[0][1] > 0.5
