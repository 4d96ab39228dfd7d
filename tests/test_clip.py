"""Clipping: the norm of the sum of a row's gradients, one factor for all, and nobody else's array written to."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import rng, row_grad, table

import tinyembed as te
from tinyembed.optim import clip_grad_norm, clip_grad_value


def joint_norm(*gradients):
    return math.sqrt(sum((g.to_dense() if isinstance(g, te.RowGrad) else g).astype(np.float64).ravel()
                         @ (g.to_dense() if isinstance(g, te.RowGrad) else g).astype(np.float64).ravel()
                         for g in gradients))


@given(seed=st.integers(0, 999), ids=st.lists(st.integers(0, 5), max_size=9),
       max_norm=st.sampled_from([0.0, 0.1, 3, 1e3]), dtype=st.sampled_from([np.float32, np.float64]))
def test_clipping_scales_all_gradients_by_one_factor(seed, ids, max_norm, dtype):
    p, q, r, none = table(dtype=dtype), te.Parameter(np.ones((2, 2), dtype)), te.Parameter(dtype(1)), table()
    p.grad = row_grad(p, np.array(ids, np.int64), seed)
    q.grad = rng(seed).normal(size=(2, 2)).astype(dtype)
    r.grad = np.array(rng(seed).normal(), dtype)
    dense = [p.grad.to_dense(), q.grad, r.grad]
    before = joint_norm(*dense)
    norm = clip_grad_norm([p, q, r, none], max_norm)
    assert norm == pytest.approx(before, rel=1e-6) and type(norm) is float
    factor = min(1, max_norm / before)
    assert none.grad is None and isinstance(p.grad, te.RowGrad)
    for got, was in zip((p.grad.to_dense(), q.grad, r.grad), dense):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, was * factor, rtol=1e-5, atol=1e-12)
    assert joint_norm(p.grad, q.grad, r.grad) <= max_norm * (1 + 1e-5) or factor == 1


def test_the_norm_of_rows_is_that_of_their_sum():
    p = te.Parameter(np.zeros((9, 2)))
    p.grad = te.RowGrad((9, 2), np.array([3, 3, 7]), np.array([[3.0, 0.0], [-3.0, 4.0], [0.0, 3.0]]))
    assert clip_grad_norm([p], 2.5) == 5.0
    assert p.grad.to_dense()[3].tolist() == [0, 2] and p.grad.to_dense()[7].tolist() == [0, 1.5]
    p.grad = te.RowGrad((9, 2), np.array([3, 3]), np.array([[5.0, 0.0], [-5.0, 0.0]]))
    assert clip_grad_norm([p], 1.0) == 0.0


def test_clipping_by_norm_equals_torchs():
    torch = pytest.importorskip("torch")
    ours = [te.Parameter(np.zeros((3, 2))), te.Parameter(np.zeros(4))]
    theirs = [torch.nn.Parameter(torch.zeros(3, 2).double()), torch.nn.Parameter(torch.zeros(4).double())]
    for p, q in zip(ours, theirs):
        p.grad = rng().normal(size=p.shape)
        q.grad = torch.tensor(p.grad)
    assert clip_grad_norm(ours, 0.5) == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, 0.5)), rel=1e-12)
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e25, 3e37])
def test_float32_gradients_whose_squares_overflow_or_vanish_have_a_norm(scale):
    p = te.Parameter(np.zeros(4, np.float32))
    p.grad = np.full(4, scale, np.float32)
    assert clip_grad_norm([p], 1e38) == pytest.approx(2 * scale, rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_leaves_the_gradients(bad):
    p, q = te.Parameter(np.zeros(2)), te.Parameter(np.zeros((3, 1)))
    p.grad, q.grad = np.array([1.0, bad]), te.RowGrad((3, 1), np.array([2, 2]), np.array([[3.0], [4.0]]))
    norm = clip_grad_norm([p, q], 0.5)
    assert not math.isfinite(norm) and math.isnan(norm) == math.isnan(bad)
    np.testing.assert_array_equal(p.grad, [1.0, bad])
    assert q.grad.to_dense().tolist() == [[0], [0], [7]]


def test_no_gradients_have_norm_0():
    assert clip_grad_norm([], 1.0) == clip_grad_norm([table()], 1.0) == 0


def test_clipping_leaves_the_arrays_it_was_given():
    """A gradient may be somebody else's array: clipping makes a new one."""
    p, q = te.Parameter(np.zeros(2)), te.Parameter(np.zeros(2))
    p.grad = q.grad = np.array([30.0, 40.0])
    clip_grad_norm([p], 5.0)
    clip_grad_value([p], 3.0)
    assert p.grad.tolist() == [3, 3] and q.grad.tolist() == [30, 40]


def test_clipping_by_value():
    p, q, r, none = te.Parameter(np.zeros(3, np.float32)), table(), te.Parameter(1.0), table()
    p.grad = np.array([-9.0, 0.5, 9.0], np.float32)
    q.grad = te.RowGrad((6, 3), np.array([2, 2]), np.array([[3.0, -3.0, 0.1], [-2.5, -3.0, 0.1]]))
    r.grad = np.array(-5, np.float32)
    clip_grad_value([p, q, r, none], 1.0)
    assert p.grad.tolist() == [-1, 0.5, 1] and p.grad.dtype == np.float32
    assert isinstance(q.grad, te.RowGrad) and q.grad.to_dense()[2].tolist() == [0.5, -1, 0.2]  # the sum is clipped
    assert r.grad == -1 and r.grad.dtype == np.float32 and none.grad is None


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
@pytest.mark.parametrize("bound", [-1.0, np.nan, np.inf])
def test_bounds_that_are_no_use_are_refused(clip, bound):
    p = te.Parameter(np.zeros(2))
    p.grad = np.ones(2)
    with pytest.raises(ValueError, match="must be at least 0 and finite"):
        clip([p], bound)
    assert p.grad.tolist() == [1, 1]
