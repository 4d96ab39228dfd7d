"""Searches are brute force in float64 with equals by index; small codes are what they are said to be."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyembed.files import FormatError, read_tree, write_tree
from tinyembed.vectors import KeyedVectors, SearchIndex, index, search, semantic_search

rng = np.random.default_rng
SCORES = ["cos_sim", "dot", "euclidean"]
DTYPES = [np.float16, np.float32, np.float64]


def brute_force(query, table, k, score):
    """In float64, row by row: [(index, score)]."""
    rows, query = table.astype(np.float64), np.asarray(query, np.float64)

    def length(x):
        return float(np.sqrt((x * x).sum())) or 1.0

    scores = [{"cos_sim": lambda x: float((x * (query / length(query))).sum()) / length(x),
               "dot": lambda x: float((x * query).sum()),
               "euclidean": lambda x: -float(np.sqrt(((x - query) ** 2).sum()))}[score](row) for row in rows]
    return [(i, scores[i]) for i in sorted(range(len(rows)), key=lambda i: (-scores[i], i))[:k]]


def agree(found, expected):
    assert [[hit["corpus_id"] for hit in hits] for hits in found] == [[i for i, _ in hits] for hits in expected]
    for hits, wanted in zip(found, expected):
        assert all(type(hit["corpus_id"]) is int and type(hit["score"]) is float for hit in hits)
        np.testing.assert_allclose([hit["score"] for hit in hits], [s for _, s in wanted], rtol=1e-13, atol=1e-15)


# -- the exact search ------------------------------------------------------------------------------------------------

@given(st.data(), st.sampled_from(SCORES), st.sampled_from(DTYPES))
def test_a_search_is_brute_force_with_equals_by_index(data, score, dtype):
    """Small whole numbers: many equal rows, zero rows and queries; more asked for than there is; chunks of few rows."""
    shape = st.tuples(st.integers(0, 30), st.integers(1, 4))
    table = data.draw(hnp.arrays(dtype, shape, elements=st.integers(-2, 2)))
    queries = rng(data.draw(st.integers(0, 99))).integers(-2, 3, (data.draw(st.integers(0, 4)), table.shape[1]))
    k = data.draw(st.integers(1, len(table) + 2))
    with pytest.MonkeyPatch.context() as patch:
        for name, most in ("CHUNK", 50), ("ROWS", 9), ("QUERIES", 3):
            patch.setattr(search, name, data.draw(st.integers(1, most)))
        found = semantic_search(queries, table, k, score)
    agree(found, [brute_force(query, table, k, score) for query in queries])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_of_several_chunks(dtype, score, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "CHUNK", 4000)
    table = rng(0).normal(size=(3000, 37)).astype(dtype)
    table[rng(1).integers(3000, size=40)] = table[17]  # the same row in many places
    table[5] = 0
    mapped = np.memmap(tmp_path / "table", dtype, "w+", shape=table.shape)
    mapped[:] = table
    queries = [table[17], table[17] * 3 + table[8], rng(2).normal(size=37)]
    expected = [brute_force(query, table, 60, score) for query in np.array(queries, np.float64)]
    for corpus in (table, mapped, np.asfortranarray(table), table.astype(table.dtype.newbyteorder(">"))):
        agree(semantic_search(queries, corpus, 60, score), expected)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("spread", [2e-7, 1e-6, 1e-4])
@pytest.mark.parametrize("rows", [12, 400])
def test_what_float32_can_not_tell_apart_stands_in_the_order_of_float64(score, spread, rows, monkeypatch):
    monkeypatch.setattr(search, "ROWS", rows)
    table = (rng(0).normal(size=100) + rng(1).normal(size=(400, 100)) * spread).astype(np.float32)
    table[::10] *= 1e-3  # what the other rows lose to rounding is not for these to say
    queries = rng(2).normal(size=(10, 100)) * 100
    agree(semantic_search(queries, table, 5, score), [brute_force(query, table, 5, score) for query in queries])


@pytest.mark.parametrize("score", SCORES)
def test_few_rows_are_scored_twice(score, monkeypatch):
    counts, exact_scores = [], search.exact_scores
    monkeypatch.setattr(search, "exact_scores", lambda *args: counts.append(len(args[1])) or exact_scores(*args))
    monkeypatch.setattr(search, "ROWS", 500)
    semantic_search(rng(0).normal(size=(300, 8)), rng(1).normal(size=(20_000, 8)).astype(np.float32), 10, score)
    assert 300 * 10 <= sum(counts) < 300 * 10 * 8  # 40 chunks: 1 + log(40) is 4.7


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("scales", [(1e-30, 1e-30), (1e30, 1e30), (1e-42, 1.0), (1e-25, 1e25)])
def test_very_short_and_very_long_vectors(score, scales):
    table = (rng(0).normal(size=(60, 8)) * np.geomspace(*scales, 60)[:, None]).astype(np.float32)
    for scale in (1.0, *scales):
        query = rng(1).normal(size=8) * scale
        agree(semantic_search(query, table, 7, score), [brute_force(query, table, 7, score)])


@pytest.mark.parametrize("score", SCORES)
def test_a_long_row_hides_nothing(score):
    """A chunk's slack is that of its longest row."""
    table = rng(0).normal(size=(500, 16)).astype(np.float32)
    table[250] *= 1e6
    queries = rng(1).normal(size=(6, 16))
    agree(semantic_search(queries, table, 20, score), [brute_force(query, table, 20, score) for query in queries])


def test_memory_beside_the_table():
    """100 queries: less than 16 MiB, however large the table."""
    table, queries = rng(0).normal(size=(60_000, 32)).astype(np.float32), rng(1).normal(size=(100, 32))
    peaks = []
    for rows in (30_000, 60_000):
        for score in SCORES:
            tracemalloc.start()
            semantic_search(queries, table[:rows], 10, score)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    for precision in ("int8", "binary"):
        small = SearchIndex(table, precision=precision)
        tracemalloc.start()
        small.search(queries, 10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 16 << 20 and max(peaks[3:6]) < max(peaks[:3]) * 1.1, peaks


def test_keyed_vectors_and_semantic_search_find_the_same():
    table = rng(0).normal(size=(500, 12)).astype(np.float32)
    wv = KeyedVectors(keys=range(500), vectors=table)
    [hits] = semantic_search(table[3], table, 11)
    np.testing.assert_array_equal([hit["corpus_id"] for hit in hits[1:]], [i for i, _ in wv.most_similar(3)])


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310])
def test_the_length_of_a_query_does_not_matter_to_a_cosine(scale):
    table, query = rng(0).normal(size=(50, 4)), np.array([0.5, -1, 0.25, 0])
    assert semantic_search(query * scale, table)[0][0] == pytest.approx(semantic_search(query, table)[0][0])


def test_shapes_of_queries():
    table = np.eye(3)
    assert semantic_search([1, 0, 0], table, 1) == semantic_search([[1, 0, 0]], table, 1)
    assert semantic_search(np.zeros((0, 3)), table) == [] and semantic_search([1, 2, 3], np.zeros((0, 3))) == [[]]


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"queries": [1, 2]}, ValueError, r"queries \(2,\) do not go with the corpus \(N, d\) \(4, 3\)"),
    ({"queries": np.ones((2, 2, 3))}, ValueError, r"\(2, 2, 3\) do not go"),
    ({"corpus": np.ones(3)}, ValueError, r"a corpus is \(N, d\), or \(N, H, d\).* got \(3,\)"),
    ({"corpus": np.ones((4, 0)), "queries": np.ones((1, 0))}, ValueError, "not empty"),
    ({"corpus": np.ones((5, 2, 3)), "queries": np.ones((5, 3, 3))}, ValueError, r"\(N, H, d\) \(5, 2, 3\)"),
    ({"corpus": [[1, 2, 3], [1, np.nan, 3]]}, ValueError, r"row 1 is not finite.*nan"),
    ({"corpus": np.float32([[1, 2, 3]] * 5 + [[1, np.inf, 3]])}, ValueError, "row 5 is not finite"),
    ({"queries": [[1, 2, 3], [np.nan, 0, 0]]}, ValueError, "query 1 is not finite"),
    ({"score": "cosine"}, ValueError, "score is 'cosine'; there are cos_sim, dot, euclidean"),
    ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
    ({"corpus": [["a", "b", "c"]]}, TypeError, "corpus must be an array of numbers"),
    ({"queries": "text"}, TypeError, "queries must be an array of numbers"),
])
def test_what_can_not_be_searched(kwargs, error, message):
    with pytest.raises(error, match=message):
        semantic_search(**{"queries": [1, 2, 3], "corpus": np.ones((4, 3)), **kwargs})


# -- several vectors of one text ---------------------------------------------------------------------------------------

def slow_vote(query, corpus, k, score):
    """Multi-Head RAG as its paper has it: all pairs of texts, every head's list, votes."""
    N, H, _ = corpus.shape
    votes = np.zeros(N)
    for h in range(H):
        x = corpus[:, h].astype(np.float64)
        distances = [1 - float(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)) for a in x for b in x]
        weight = np.mean([np.linalg.norm(a) for a in x]) * np.mean(distances)
        for p, (i, _) in enumerate(brute_force(query[h], corpus[:, h], k, score)):
            votes[i] += weight / 2 ** p
    voted = [i for i in np.lexsort((np.arange(N), -votes)) if votes[i]]
    return [(int(i), float(votes[i])) for i in voted[:k]]


@pytest.mark.parametrize("score", SCORES)
def test_heads_search_and_vote(score):
    corpus = (rng(0).normal(size=(25, 3, 5)) * np.array([1, 3, 0.5])[:, None] + [0, 1, 0, 0, 0]).astype(np.float32)
    queries = rng(1).normal(size=(4, 3, 5))
    found = semantic_search(queries, corpus, 6, score)
    expected = [slow_vote(query, corpus, 6, score) for query in queries]
    for hits, wanted in zip(found, expected):
        assert [hit["corpus_id"] for hit in hits] == [i for i, _ in wanted]
        np.testing.assert_allclose([hit["score"] for hit in hits], [vote for _, vote in wanted], rtol=1e-6)
    assert semantic_search(queries[0], corpus, 6, score) == found[:1]


def test_a_head_that_says_the_same_of_all_texts_has_no_vote():
    corpus = np.stack([np.tile([3.0, 4.0], (4, 1)), np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]])], 1)
    [hits] = semantic_search(np.array([[0.0, 1.0], [0.1, 1.0]]), corpus, 2)
    assert [hit["corpus_id"] for hit in hits] == [1, 0] and [hit["score"] for hit in hits] == pytest.approx([1, 0.5])


def test_of_equal_votes_the_lower_index_comes_first():
    corpus = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]])  # the texts have changed their heads
    [hits] = semantic_search(np.array([[0, 1], [0, 1]]), corpus, 1)
    assert hits == [{"corpus_id": 0, "score": pytest.approx(0.5)}]


# -- small codes -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("precision", index.PRECISIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rescoring_the_whole_table_is_the_exact_search(precision, score, dtype):
    table = rng(0).normal(size=(90, 13)).astype(dtype)
    table[[3, 50, 51]] = table[70]
    queries = np.concatenate((table[:4], table[70:71] * 2, np.zeros((1, 13))))
    small = SearchIndex(table, score, precision, rescore=9)
    assert small.search(queries, 10) == semantic_search(queries, table, 10, score)
    assert small.search(queries[0], 200) == semantic_search(queries[0], table, 200, score)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)),
                  elements=st.floats(-100, 100, width=16)))
def test_a_byte_is_decoded_to_within_half_a_step(table):
    small = SearchIndex(table, "dot", "int8", keep_vectors=False)
    start, end = table.min(0), table.max(0)
    assert small.ranges.tolist() == [start.tolist(), end.tolist()] and small.codes.dtype == np.int8
    steps = (end.astype(np.float64) - start) / 255
    error = np.abs(small.decode(np.arange(len(table))) - table.astype(np.float64))
    rounding = 1e-5 * (np.abs(start) + np.abs(end))  # of code and decoded number, in float32
    assert (error <= steps / 2 + rounding).all()
    np.testing.assert_array_equal(small.codes.min(0), -128)
    assert (small.codes.max(0)[end > start] >= 126).all()  # 127 but for rounding


@pytest.mark.parametrize("score", SCORES)
def test_bytes_stand_in_the_order_of_what_they_stand_for(score):
    """Without vectors: the best are the best by decoded code."""
    table, queries = rng(0).normal(size=(400, 24)) * rng(1).uniform(1, 9, 24) + 5, rng(2).normal(size=(9, 24)) * 6 + 5
    small = SearchIndex(table, score, "int8", rescore=1, keep_vectors=False)
    decoded = small.decode(np.arange(400))
    assert small.search(queries, 8) == semantic_search(queries, decoded, 8, score)
    exact, codes = (np.array([[hit["score"] for hit in hits] for hits in found]) for found in
                    (semantic_search(queries, table, 8, score), small.search(queries, 8)))
    np.testing.assert_allclose(codes, exact, rtol=0.02)


def test_large_and_small_steps_stay_in_float32():
    for scale in (1e-30, 1e17):
        table = (rng(0).normal(size=(50, 6)) * scale).astype(np.float32)
        for score in SCORES:
            small = SearchIndex(table, score, "int8", rescore=2)
            assert small.search(table[:5], 3) == semantic_search(table[:5], table, 3, score)


@pytest.mark.parametrize("numpy_1", [False, True])
@pytest.mark.parametrize("width", [1, 5, 8, 16, 24])
def test_bits_that_differ(width, numpy_1, monkeypatch):
    if numpy_1:  # which has no bitwise_count
        monkeypatch.setattr(index, "COUNT", None)
    a, b = rng(0).integers(256, size=(3, width), dtype=np.uint8), rng(1).integers(256, size=(7, width), dtype=np.uint8)
    expected = [[bin(int.from_bytes(x, "big") ^ int.from_bytes(y, "big")).count("1") for y in b] for x in a]
    assert index.hamming(a, b).tolist() == expected


@pytest.mark.parametrize("D", [3, 8, 64, 70])
def test_a_bit_is_the_sign(D):
    table = rng(0).normal(size=(40, D)).astype(np.float32)
    table[0] = 0
    small = SearchIndex(table, "dot", "binary", rescore=1, keep_vectors=False)
    assert small.codes.tolist() == np.packbits(table > 0, axis=1).tolist() and small.nbytes == 40 * -(-D // 8)
    assert small.decode([0, 3]).tolist() == np.where(table[[0, 3]] > 0, 1, -1).tolist()
    signs = np.where(table > 0, 1.0, -1.0)
    differ = (signs[:, None] != signs).sum(2)
    for query in range(5):
        candidates = np.lexsort((np.arange(40), differ[query]))[:6]
        [hits] = small.search(table[query], 6)
        assert {hit["corpus_id"] for hit in hits} == set(candidates.tolist())
        for hit in hits:
            assert hit["score"] == pytest.approx(float(table[query].astype(np.float64) @ signs[hit["corpus_id"]]))


def test_chunks_of_codes(monkeypatch):
    table, queries = rng(0).normal(size=(500, 16)), rng(1).normal(size=(7, 16))
    whole = [SearchIndex(table, "cos_sim", precision).search(queries, 5) for precision in ("int8", "binary")]
    monkeypatch.setattr(index, "CHUNK", 300)
    monkeypatch.setattr(index, "QUERIES", 3)
    assert [SearchIndex(table, "cos_sim", precision).search(queries, 5) for precision in ("int8", "binary")] == whole


def test_codes_find_most_of_what_the_vectors_find():
    centres = rng(0).normal(size=(40, 64))
    table = (centres[rng(1).integers(40, size=2000)] + 0.5 * rng(2).normal(size=(2000, 64))).astype(np.float32)
    queries = table[:50] + 0.3 * rng(3).normal(size=(50, 64))
    exact = [{hit["corpus_id"] for hit in hits} for hits in semantic_search(queries, table, 10)]
    for precision, rescore, least in ("int8", 1, 0.9), ("int8", 2, 1), ("binary", 10, 0.7):
        found = SearchIndex(table, precision=precision, rescore=rescore).search(queries, 10)
        recall = np.mean([len(ids & {hit["corpus_id"] for hit in hits}) / 10 for ids, hits in zip(exact, found)])
        assert recall >= least, (precision, recall)


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"vectors": np.ones(3)}, ValueError, r"must be \(N, D\), and not empty, got \(3,\)"),
    ({"vectors": np.ones((0, 3))}, ValueError, "not empty"),
    ({"vectors": [[1, np.nan]]}, ValueError, "row 0 is not finite"),
    ({"score": "cos"}, ValueError, "score is one of cos_sim, dot, euclidean.* got 'cos'"),
    ({"precision": "int4"}, ValueError, "float32, int8, binary.*'int4'"),
    ({"rescore": 0}, ValueError, "rescore is an integer, 1 at least.* 0"),
    ({"keep_vectors": False}, ValueError, "keep them"),
    ({"vectors": [[2e38]], "precision": "int8", "score": "dot"}, ValueError, "beyond leave float32"),
])
def test_what_makes_no_index(kwargs, error, message):
    with pytest.raises(error, match=message):
        SearchIndex(**{"vectors": np.eye(3), **kwargs})


def test_what_an_index_was_made_with_is_not_assigned_and_what_is_saved_is_read(tmp_path):
    one = SearchIndex(np.eye(8), "dot", "int8")
    for name in ("score", "precision", "shape", "norms", "vectors", "codes", "ranges", "keep_vectors"):
        with pytest.raises(AttributeError, match=name):
            setattr(one, name, getattr(one, name, 1))
    for bad in (0, True, 2.5, 1 << 40, "4", None):
        with pytest.raises(ValueError, match="rescore is an integer"):
            one.rescore = bad
    one.rescore = np.int8(2)
    one.save(tmp_path / "index")
    assert repr(SearchIndex.load(tmp_path / "index")) == repr(one) and type(one.rescore) is int


def test_what_an_index_can_not_search():
    small = SearchIndex(np.eye(3), precision="int8")
    with pytest.raises(ValueError, match=r"queries \(2,\) do not go with an index of \(3, 3\)"):
        small.search([1, 2])
    with pytest.raises(ValueError, match="top_k"):
        small.search([1, 2, 3], 0)


# -- files -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("precision", index.PRECISIONS)
@pytest.mark.parametrize("keep_vectors", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saving_and_loading(tmp_path, precision, keep_vectors, dtype):
    if precision == "float32" and not keep_vectors:
        return
    small = SearchIndex(rng(0).normal(size=(30, 11)).astype(dtype), "euclidean", precision, 2, keep_vectors)
    small.save(tmp_path / "index")
    for again in (SearchIndex.load(tmp_path / "index"), SearchIndex.load(tmp_path / "index", mapped=True)):
        assert repr(again) == repr(small) and again.nbytes == small.nbytes
        assert (again.norms is None) == (precision != "float32")  # of which nothing else has use
        assert again.search(np.ones(11), 5) == small.search(np.ones(11), 5)
    again.save(tmp_path / "index")  # over the file that it is mapped from
    again.save(tmp_path / "other")
    (tmp_path / "index").rename(tmp_path / "gone")
    (tmp_path / "other").rename(tmp_path / "index")
    assert SearchIndex.load(tmp_path / "index").search(np.ones(11), 5) == small.search(np.ones(11), 5)


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_a_mapped_load_keeps_the_codes_only(tmp_path, precision):
    SearchIndex(rng(0).normal(size=(20_000, 64)).astype(np.float32), precision=precision).save(tmp_path / "index")
    tracemalloc.start()
    small = SearchIndex.load(tmp_path / "index", mapped=True)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < small.nbytes + 200_000 and peak < small.nbytes + small.vectors.nbytes / 2
    assert not small.vectors.flags.writeable


def test_what_was_not_saved_so_is_refused(tmp_path):
    path, table = tmp_path / "index", rng(0).normal(size=(8, 5)).astype(np.float32)
    write_tree(path, {}, kind="something else", layout=1)
    with pytest.raises(FormatError, match="something else"):
        SearchIndex.load(path)
    form = {"kind": index.KIND, "layout": index.LAYOUT}
    saved = {}
    for precision in index.PRECISIONS:
        SearchIndex(table, "dot", precision).save(path)
        saved[precision] = read_tree(path, object, **form)[0]
    bad = np.array(table)
    bad[2, 1] = np.nan
    byte, bits = saved["int8"], saved["binary"]
    for tree, change, message in [
            (byte, {"score": "cosine"}, "'cosine'"), (byte, {"precision": "int4"}, "'int4'"),
            (byte, {"precision": "binary"}, "codes"), (byte, {"precision": "float32"}, "codes"),
            (byte, {"rescore": 0}, "rescore"), (byte, {"shape": [8]}, "shape"), (byte, {"shape": [9, 5]}, "codes"),
            (byte, {"shape": [8, -5]}, "shape"), (byte, {"codes": None}, "codes"), (byte, {"ranges": None}, "ranges"),
            (byte, {"codes": byte["codes"][:, :4]}, "codes"), (byte, {"codes": byte["codes"].view(np.uint8)}, "codes"),
            (byte, {"ranges": byte["ranges"][::-1]}, "after its end"),
            (byte, {"ranges": byte["ranges"] * np.nan}, "finite"), (byte, {"ranges": byte["ranges"] + 2e38}, "1e38"),
            (byte, {"ranges": byte["ranges"][:, :4]}, "ranges"), (byte, {"vectors": table[:7]}, "vectors"),
            (byte, {"vectors": bad}, "row 2 is not finite"), (byte, {"vectors": table.astype(int)}, "vectors"),
            (bits, {"codes": bits["codes"] | 1}, "bits are set beyond the 5"),
            (bits, {"ranges": byte["ranges"]}, "ranges"),
            (saved["float32"], {"vectors": None}, "vectors"), (saved["float32"], {"codes": byte["codes"]}, "codes"),
            (saved["float32"], {"more": 1}, "has 'more'")]:
        write_tree(path, {**tree, **change}, **form)
        for mapped in (False, True):
            with pytest.raises(FormatError, match=message):
                SearchIndex.load(path, mapped=mapped)
    write_tree(path, byte, **form)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match="checksum"):
        SearchIndex.load(path, mapped=True)


# -- others ------------------------------------------------------------------------------------------------------------

def test_sentence_transformers_finds_the_same():
    util = pytest.importorskip("sentence_transformers.util")
    table, queries = (rng(seed).normal(size=(n, 24)).astype(np.float32) for seed, n in ((0, 700), (1, 9)))
    for score, theirs in (("cos_sim", util.cos_sim), ("dot", util.dot_score), ("euclidean", util.euclidean_sim)):
        peer = util.semantic_search(queries, table, top_k=12, score_function=theirs)
        found = semantic_search(queries, table, 12, score)
        ids, scores = ([[[hit[key] for hit in hits] for hits in some] for some in (found, peer)]
                       for key in ("corpus_id", "score"))
        assert ids[0] == ids[1]
        np.testing.assert_allclose(*scores, atol=1e-5)
        assert [list(hit) for hit in found[0]] == [list(hit) for hit in peer[0]]


def test_sentence_transformers_has_the_same_codes():
    quantize = pytest.importorskip("sentence_transformers.quantization").quantize_embeddings
    table = (rng(0).normal(size=(500, 32)) * rng(1).uniform(0.1, 9, 32)).astype(np.float32)
    small = SearchIndex(table, "dot", "int8")
    np.testing.assert_array_equal(small.codes, quantize(table, "int8"))
    np.testing.assert_array_equal(small.codes, quantize(table, "int8", ranges=small.ranges))
    np.testing.assert_array_equal(SearchIndex(table.astype(np.float64), "dot", "int8").codes,
                                  quantize(table.astype(np.float64), "int8"))
    table[:, 3] = 5
    np.testing.assert_array_equal(SearchIndex(table, "dot", "int8").codes, quantize(table, "int8"))
    np.testing.assert_array_equal(SearchIndex(table[:, :27], "dot", "binary").codes, quantize(table[:, :27], "ubinary"))


@pytest.mark.parametrize("package", ["faiss", "usearch"])
def test_the_lines_that_hand_vectors_to_an_index(package):
    pytest.importorskip(package)
    page = (Path(__file__).parent.parent / "examples" / "README.md").read_text("utf-8")
    lines = re.search(rf"(?:^ {{4}}.*\n)*^ {{4}}.*{package}.*\n(?:^ {{4}}.*\n)*", page, re.MULTILINE)[0]
    vectors = rng(0).normal(size=(500, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = {"np": np, "vectors": vectors, "queries": vectors[:20]}
    exec("\n".join(line[4:] for line in lines.splitlines()), names)
    exact = semantic_search(vectors[:20], vectors, 10)
    recall = [len({hit["corpus_id"] for hit in hits} & set(ids)) for hits, ids in zip(exact, names["ids"].tolist())]
    assert np.mean(recall) > 9


def test_heads_that_all_look_alike_vote_by_index_and_queries_out_of_range_are_refused():
    alike = np.ones((4, 2, 3))
    assert [hit["corpus_id"] for hit in semantic_search(alike[0], alike)[0]] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="beyond 1e150"):
        semantic_search([1e155, 1], np.ones((2, 2)), 2, "euclidean")
