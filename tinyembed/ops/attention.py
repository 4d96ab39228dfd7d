"""Scaled dot-product attention as one op: scores, mask, softmax and weighted sum."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, primitive
from .floats import floats
from .linalg import as_matrix

HIGH, LOW = 20.0, 1e-9  # up to e^20 = 5e8, and for sums above 1e-9, exponentials need no scaling
MODEST = 1e-10, 1e10  # of values and gradients: then what is multiplied by such exponentials is far inside float32
SMALL = 10**6  # multiplications; up to there OpenBLAS takes kernels for small products, where the processor has AVX-512


@primitive
def attention(q: Array, k: Array | None = None, v: Array | None = None, mask: Array | None = None,
              causal: bool = False, dropout: float = 0.0, rng: np.random.Generator | None = None) -> ValueAndVjp:
    """y_i = sum over j of p_ij v_j,  p_i = softmax over j of (q_i . k_j / sqrt(d) + mask_ij)     (Vaswani et al. 2017)

        q (B, Tq, H, d), k (B, Tk, H, d), v (B, Tk, H, e) -> y (B, Tq, H, e)     for each of B sequences and H heads
        or q (B, T, 3, H, d) alone: queries, keys and values as one projection gives them -> (B, T, H, d)
        mask, of a shape that broadcasts to (B, H, Tq, Tk): booleans, False where query i does not look at key j; or
            floats that are added to the scores, which may be -inf and do have a gradient
        causal: query i does not look at later keys. The last query stands at the last key, so that a generator may
            give the newest query alone (torch aligns the first ones)
        dropout: each p_ij is zeroed with this probability, and the others divided by 1 - dropout

    A query that may look at nothing gets zeros, and gradient 0. In the gradient, with P_ij = g_i . v_j:

        dv_j = sum_i p_ij g_i          ds_ij = p_ij (P_ij - g_i . y_i), softmax's, as sum_j p_ij P_ij = g_i . y_i
        dq_i = sum_j ds_ij k_j / sqrt(d)          dk_j = sum_i ds_ij q_i / sqrt(d)          dmask = ds

    The (Tq, Tk) scores of a head are kept as e = exp(s) and are not divided by their sums: y is, and g, which are
    smaller. Only where e times values or gradients could leave float32's range, e becomes the p of the formula.
    """
    whole, packed, added = q, k is None, mask is not None and np.asarray(mask).dtype != bool
    q, k, v = _three(q, k, v)
    q, k, v = floats(q, k, v)
    if not 0 <= dropout < 1 or (dropout and rng is None):
        raise ValueError(f"dropout is in 0 … 1 (exclusive), and needs rng to draw from; got {dropout} and {rng}")
    (B, Tq, H, d), Tk = q.shape, k.shape[1]
    scale = q.dtype.type(1 / max(d, 1) ** 0.5)
    Q, K, V = (x.transpose(0, 2, 1, 3) for x in (q, k, v))  # (B, H, T, d)

    if mask is not None:
        check_mask(mask, (B, H, Tq, Tk))
    e, total = _exponentials(Q, K, scale, mask, added, causal)
    keep = None
    if dropout and rng is not None:
        keep = (rng.random(e.shape, np.float32) >= dropout) * e.dtype.type(1 / (1 - dropout))
    y = np.empty((B, Tq, H, V.shape[3]), e.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        np.matmul(e if keep is None else e * keep, V, out=y.transpose(0, 2, 1, 3))
    if not MODEST[0] < _largest(y) < np.inf:
        _normalise(e, total)
        np.matmul(e if keep is None else e * keep, V, out=y.transpose(0, 2, 1, 3))
    total = total.transpose(0, 2, 1, 3)
    y /= total

    def vjp(g: Array) -> tuple[Any, ...]:
        if not all(MODEST[0] < _largest(x) < MODEST[1] for x in (g, V)):
            _normalise(e, total.transpose(0, 2, 1, 3))
        G = (g / total).transpose(0, 2, 1, 3)
        part = (np.einsum("bihd,bihd->bih", g, y)[..., None] / total).transpose(0, 2, 1, 3)
        out = np.empty(whole.shape, e.dtype) if packed else None
        gq, gk, gv = (np.empty(x.shape, e.dtype) if out is None else out[:, :, i] for i, x in enumerate((q, k, v)))
        np.matmul((e if keep is None else e * keep).swapaxes(2, 3), G, out=gv.transpose(0, 2, 1, 3))
        ds = _products(G, V, scale)  # (B, H, Tq, Tk), all of it times the scale of the scores
        if keep is not None:
            ds *= keep
        ds -= part * scale
        ds *= e
        np.matmul(ds, K, out=gq.transpose(0, 2, 1, 3))
        np.matmul(ds.swapaxes(2, 3), Q, out=gk.transpose(0, 2, 1, 3))
        dmask = ds / scale if added else None
        return (gq, gk, gv, dmask) if out is None else (out, None, None, dmask)

    return y, vjp


def _largest(x: Array) -> float:
    return float(max(x.max(initial=0), -x.min(initial=0)))


def _normalise(e: Array, total: Array) -> None:
    """Divide by the sums, in place, which are 1 afterwards."""
    e /= total
    total[...] = 1


def _three(q: Array, k: Array | None, v: Array | None) -> tuple[Array, Array, Array]:
    """Queries, keys and values that go together, or a ValueError."""
    if k is None and v is None and q.ndim == 5 and q.shape[2] == 3:
        return q[:, :, 0], q[:, :, 1], q[:, :, 2]
    if k is None or v is None or not q.ndim == k.ndim == v.ndim == 4 or k.shape[:3] != v.shape[:3] or \
            q.shape[0::2] != k.shape[0::2] or q.shape[3] != k.shape[3]:
        raise ValueError("it takes q (B, Tq, H, d), k (B, Tk, H, d), v (B, Tk, H, e), or q (B, T, 3, H, d) alone")
    return q, k, v


def check_mask(mask: Any, shape: tuple[int, ...]) -> None:
    """ValueError unless it is of booleans or floats and broadcasts to (B, H, Tq, Tk). Integers could mean either."""
    dtype, given = (mask if isinstance(mask, Tensor) else np.asarray(mask)).dtype, np.shape(mask)
    if dtype.kind not in "bf":
        raise ValueError(f"a mask is of booleans or floats, not {dtype}: mask != 0, if 1 is where a query may look")
    if len(given) > len(shape) or any(n not in (1, m) for n, m in zip(given[::-1], shape[::-1])):
        raise ValueError(f"a mask broadcasts to (B, H, Tq, Tk) = {shape}, and {given} does not")


def _products(X: Array, Y: Array, scale: Any) -> Array:
    """scale X Y^T for each head: (B, H, n, d), (B, H, m, d) -> (B, H, n, m)

    BLAS's kernels for small matrices take twice as long where the second one is transposed; a copy costs less, but not
    for one query.
    """
    n, (m, d) = X.shape[2], Y.shape[2:]
    if n == 1 or n * m * d > SMALL:
        return np.matmul(X * scale, Y.swapaxes(2, 3))
    columns = np.empty((*Y.shape[:2], d, m), Y.dtype)
    return np.matmul(X, np.multiply(Y.swapaxes(2, 3), scale, out=columns))


def _exponentials(Q: Array, K: Array, scale: Any, mask: Any, added: bool, causal: bool) -> tuple[Array, Array]:
    """e^s of the scores s of queries and keys (B, H, T, d), those that count, and the sum for each query (or 1).

    Numerator and denominator of a softmax may be scaled alike. Mostly no scaling is needed; where e^s would be large,
    or a query has next to nothing left, the largest score of each query is subtracted first.
    """
    Tq, Tk = Q.shape[2], K.shape[2]
    for safe in (False, True):
        s = _products(Q, K, scale)  # (B, H, Tq, Tk)
        if mask is not None:
            if added:
                s += mask
            else:
                np.copyto(s, -np.inf, where=~np.asarray(mask))
        if causal and Tq > 1:
            s += _later(Tq, Tk, s.dtype)
        if not safe and not s.max(initial=-np.inf) < HIGH:  # NaN is not below either
            safe = True
        if safe:
            top = s.max(-1, keepdims=True, initial=-np.inf)
            top[~np.isfinite(top)] = 0
            s -= top
        np.exp(s, out=s)
        total = (as_matrix(s) @ np.ones(Tk, s.dtype)).reshape(*s.shape[:3], 1)
        if safe or total.min(initial=1) > LOW:
            break
    total[total == 0] = 1
    return s, total


@functools.lru_cache(maxsize=16)
def _later(Tq: int, Tk: int, dtype: Any) -> Array:
    """-inf for keys after the query, else 0: (Tq, Tk), the last query standing at the last key.

    >>> _later(2, 3, float)
    array([[  0.,   0., -inf],
           [  0.,   0.,   0.]])
    """
    return np.triu(np.full((Tq, Tk), -np.inf, dtype), Tk - Tq + 1)
