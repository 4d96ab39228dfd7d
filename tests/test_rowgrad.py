"""Laws of RowGrad: it is the (V, D) array that np.add.at would make, kept as ids and rows."""

import operator
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed import RowGrad
from tinyembed.core.rowgrad import CHUNK, SHORT, norm, sum_rows_by_id


@st.composite
def row_grads(draw, V=None, D=None, dtype=np.float64):
    """Many repeats, read-only arrays, whole numbers as rows so that sums are exact in any order."""
    V = draw(st.integers(1, 6)) if V is None else V
    D = draw(st.integers(0, 3)) if D is None else D
    n = draw(st.sampled_from([0, 1, 2, 5, SHORT, SHORT + 1, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids, rows = rng.integers(0, V, n), rng.integers(-9, 10, (n, D)).astype(dtype)
    ids.flags.writeable = rows.flags.writeable = False
    return RowGrad((V, D), ids, rows)


triples = st.tuples(st.integers(1, 6), st.integers(0, 3)).flatmap(lambda s: st.tuples(*[row_grads(*s)] * 3))


def reference(g):
    dense = np.zeros(g.shape, g.rows.dtype)
    np.add.at(dense, g.ids, g.rows)
    return dense


@given(row_grads())
def test_to_dense_is_scatter_add(g):
    np.testing.assert_array_equal(g.to_dense(), reference(g))
    assert g.to_dense().dtype == g.dtype == g.rows.dtype


@given(row_grads())
def test_coalesce_sorts_makes_unique_and_changes_nothing_else(g):
    c = g.coalesce()
    assert c.coalesced and c.shape == g.shape and c.dtype == g.dtype and c.ids.dtype == np.int64
    assert c.ids.tolist() == sorted(set(g.ids.tolist()))
    np.testing.assert_array_equal(reference(c), reference(g))
    assert c.coalesce() is c
    assert c.nbytes == c.ids.nbytes + c.rows.nbytes <= g.nbytes


@given(triples)
def test_addition_is_that_of_the_dense_arrays(three):
    a, b, c = three
    np.testing.assert_array_equal((a + b).to_dense(), reference(a) + reference(b))
    np.testing.assert_array_equal((b + a).to_dense(), (a + b).to_dense())
    np.testing.assert_array_equal(((a + b) + c).to_dense(), (a + (b + c)).to_dense())
    assert (a.coalesce() + b.coalesce()).coalesce().ids.tolist() == (a + b).coalesce().ids.tolist()


@given(triples)
def test_adding_an_array_gives_a_fresh_array_from_either_side(three):
    a, b, _ = three
    array = reference(b)
    array.flags.writeable = False
    for total in (a + array, array + a):
        assert type(total) is np.ndarray and total.flags.writeable and not np.shares_memory(total, array)
        np.testing.assert_array_equal(total, reference(a) + array)


@given(row_grads(), st.sampled_from([0.0, 1.0, -2.5, 3, np.float64(0.5)]))
def test_scaling(g, c):
    for scaled in (g * c, c * g, g.coalesce() * c):
        assert isinstance(scaled, RowGrad) and scaled.dtype == g.dtype
        np.testing.assert_allclose(scaled.to_dense(), reference(g) * float(c))


@given(triples, st.sampled_from(["()", "(D,)", "(V, 1)", "(V, D)", "(1, 1)", "bool", "int"]))
def test_arithmetic_is_that_of_the_dense_arrays(three, kind):
    """Also by arrays, which lie over the table's rows, not over the lookups; and no operand is changed."""
    a, b, _ = three
    (V, D), rng = a.shape, np.random.default_rng(len(a.ids))
    shape = {"()": (), "(D,)": (D,), "(V, 1)": (V, 1), "(1, 1)": (1, 1)}.get(kind, (V, D))
    c = rng.uniform(1, 2, shape) if kind[0] == "(" else np.ones(shape, kind) * 3
    A, B = reference(a), reference(b)
    for ours, theirs in ((a * c, A * c), (c * a, A * c), (a / c, A / c), (-a, -A), (a - b, A - B), (a - B, A - B),
                         (B - a, B - A), (sum([a, b]), A + B), (a * b, A * B)):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-12, atol=1e-12)
    for array in (np.asarray(a), np.array(a), np.array(a.coalesce(), np.float32)):
        np.testing.assert_array_equal(array, A)
        array[...] = 77
    np.testing.assert_array_equal(reference(a), A)


def test_a_mask_of_the_tables_rows_keeps_these():
    g = RowGrad((4, 1), np.array([3, 0, 2, 1]), np.array([[1.0], [2.0], [3.0], [4.0]]))
    assert np.asarray(g * np.array([[True], [False], [False], [False]])).ravel().tolist() == [2, 0, 0, 0]
    for wrong in (np.ones(4), np.ones((3, 4, 1))):
        with pytest.raises(ValueError):
            g * wrong
    for refused in (lambda: 2 / g, lambda: g ** 2, lambda: g > 0):
        with pytest.raises(TypeError):
            refused()


def test_numpy_takes_a_rowgrad_for_its_array():
    g = RowGrad((3, 2), np.array([2, 0, 2]), np.array([[1, -2], [3, 4], [5, 6]]))
    dense, M = g.to_dense(), np.arange(6.0).reshape(3, 2)
    for f in (np.sum, np.abs, np.isfinite, lambda g: np.add(g, M), lambda g: np.multiply(M, g), lambda g: M * g,
              lambda g: np.maximum(g, 1), lambda g: g @ M.T, lambda g: M.T @ g, lambda g: np.linalg.norm(g),
              lambda g: operator.isub(M.copy(), g), lambda g: operator.imul(M.copy(), g), lambda g: g * 0.5,
              lambda g: g / 4, lambda g: np.float64(2) * g):
        np.testing.assert_array_equal(np.asarray(f(g)), f(dense))


@given(row_grads(dtype=np.float32), st.sampled_from([2.0, np.float64(2.0)]))
def test_scaling_and_summing_keep_float32(g, c):
    dense = g.to_dense()
    assert all(x.dtype == np.float32 for x in (g * c, g + g, g.coalesce(), dense, g + dense, g / c, -g,
                                                   g * np.full(g.shape, c), g / np.full(g.shape, c), g - dense))


@given(row_grads())
def test_norm_is_that_of_the_sum(g):
    assert g.norm() == g.coalesce().norm() == pytest.approx(np.linalg.norm(reference(g)))


@pytest.mark.filterwarnings("error")
def test_norm_neither_overflows_nor_stalls_in_float32():
    assert norm(np.full(3, 1e30, np.float32)) == pytest.approx(3**0.5 * 1e30, rel=1e-6)
    assert norm(np.ones(20_000_000, np.float32)) == pytest.approx(20_000_000**0.5, rel=1e-12)
    assert norm(np.array(-2.0)) == 2 and norm(np.zeros((0, 3))) == 0


@pytest.mark.parametrize("V", [10**9, 2**62])
def test_nothing_as_large_as_the_table_arises(V):
    rng = np.random.default_rng(0)
    ids = np.concatenate([rng.integers(0, V, 500), [V - 1, V - 1]])
    tracemalloc.start()
    g = RowGrad((V, 4), ids, rng.normal(size=(502, 4)))
    total = (g + g * 0.5).coalesce()
    assert total.norm() == pytest.approx(1.5 * g.norm())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    np.testing.assert_allclose(total.rows[-1], 1.5 * g.rows[-2:].sum(0))


@given(st.lists(st.sampled_from([0, 1, 2**31, 2**40, 2**55, 2**61, 2**62 - 1, 2**62, 2**63 - 1]), max_size=30))
def test_ids_of_any_size_are_sorted_and_summed(ids):
    """Above some size id and position do not fit into one number, and another sort takes over."""
    ids = np.array(ids, np.int64)
    rows = np.arange(float(ids.size))[:, None]
    unique, sums = sum_rows_by_id(ids, rows)
    assert unique.tolist() == sorted(set(ids.tolist()))
    assert sums[:, 0].tolist() == [rows[ids == i].sum() for i in unique]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("run", [1, 2, SHORT - 1, SHORT, SHORT + 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_runs_of_every_length(run, dtype):
    """A run of `run` equal ids between shorter ones, in any order; whole numbers, so exact."""
    rng = np.random.default_rng(run)
    ids = rng.permutation(np.repeat([3, 5, 8, 9], [1, run, SHORT // 2, run]))
    rows = rng.integers(-9, 10, (ids.size, 3)).astype(dtype)
    unique, sums = sum_rows_by_id(ids, rows)
    assert unique.tolist() == [3, 5, 8, 9] and sums.dtype == dtype
    for i, total in zip(unique, sums):
        np.testing.assert_array_equal(total, rows[ids == i].sum(0))


def test_a_large_row_swallows_the_small_ones_of_its_chunk_at_most():
    """2^24 + 1 is 2^24 in float32; a sum in one go could lose many of the ones."""
    rows = np.ones((1_000_001, 1), np.float32)
    rows[0] = 2**24
    total = sum_rows_by_id(np.zeros(len(rows), np.int64), rows)[1]
    assert abs(float(total[0, 0]) - (2**24 + 1_000_000)) <= CHUNK


def test_order_of_equal_ids_is_kept_so_that_sums_are_the_same_bytes():
    rng = np.random.default_rng(0)
    ids, rows = rng.integers(0, 20, 300), rng.normal(size=(300, 4)).astype(np.float32)
    first = sum_rows_by_id(ids, rows)[1]
    stable = np.argsort(ids, kind="stable")
    assert first.tobytes() == sum_rows_by_id(ids[stable], rows[stable])[1].tobytes()


@given(triples)
def test_results_are_their_own(three):
    """Writing into a result changes neither operand."""
    a, b, _ = three
    before = reference(a), reference(b)
    for result in (a + b, a * 2.0, b * 1.0, (a + b).coalesce()):
        if result.ids.flags.writeable:
            result.rows[...] = 77
    for dense in (a.to_dense(), a.coalesce().to_dense(), a + before[1]):
        dense[...] = 77
    np.testing.assert_array_equal(reference(a), before[0])
    np.testing.assert_array_equal(reference(b), before[1])


def test_misshapen_parts_are_refused():
    ids, rows = np.array([0, 1]), np.ones((2, 3))
    for shape, some in (((4, 2), ids), ((4, 3), ids[:1]), ((4, 3), ids[None])):
        with pytest.raises(ValueError, match=r"ids \(N,\) and rows"):
            RowGrad(shape, some, rows)
    g = RowGrad((4, 3), ids, rows)
    for other in (RowGrad((5, 3), ids, rows), np.ones((3, 4)), np.ones(3), 1.0):
        with pytest.raises(ValueError, match="RowGrad of shape"):
            g + other


def test_repr_is_short():
    assert repr(RowGrad((9, 1), np.array([2, 2]), np.ones((2, 1)))) == "RowGrad(shape=(9, 1), 2 rows, float64)"
