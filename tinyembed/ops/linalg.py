"""Matrix products, where nearly all arithmetic of a network happens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, blocks, fits_cache, primitive, sum_rows

LONG = 2**20  # so many float32 numbers einsum may add up one by one, and more through float64


def as_matrix(x: Array) -> Array:
    """(…, n) -> (N, n), also where n is 0 and reshape could not infer N."""
    if x.ndim == 2:
        return x
    n = x.shape[-1]
    return x.reshape(-1, n) if n else x.reshape(math.prod(x.shape[:-1]), 0)


def pieces(*arrays: Array, lines: bool = True) -> Iterator[tuple[Array, ...]]:
    """Arrays (…, D), some lines of all of them at a time, or with lines=False some entries; whole if they fit the
    cache. Where lines stay whole D may differ between arrays; one that is written to must be contiguous."""
    if fits_cache(arrays[0].size):
        return iter((arrays,))
    width = arrays[0].shape[-1] if lines else 1
    n = arrays[0].size // width
    flat = [a.reshape(n, -1) for a in arrays]
    return (tuple(a[some] for a in flat) for some in blocks(n, width))


@primitive
def matmul(x: Array, y: Array) -> ValueAndVjp:
    """x @ y for vectors, matrices and stacks of them, as numpy.matmul

    (…, n, k) @ (…, k, m) -> (…, n, m)          gradients g @ y^T, x^T @ g (summed over a broadcast stack)
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        raise ValueError("a matrix product needs at least one axis on either side; use * for scaling")
    if x.ndim > 2 and y.ndim == 2:  # one large product is faster than a stack of small ones
        z = (as_matrix(x) @ y).reshape(*x.shape[:-1], y.shape[1])
    else:
        z = np.matmul(x, y)

    def vjp(g: Array) -> tuple[Any, ...]:
        if x.ndim == 1 and y.ndim == 1:
            return g * y, g * x
        if x.ndim == 1:  # (k) @ (…, k, m) -> (…, m)
            return np.matmul(y, g[..., None])[..., 0], x[:, None] * g[..., None, :]
        if y.ndim == 1:  # (…, n, k) @ (k) -> (…, n)
            return g[..., None] * y, np.matmul(np.swapaxes(x, -1, -2), g[..., None])[..., 0]
        if y.ndim == 2:
            flat = as_matrix(g)
            return lambda: (flat @ y.T).reshape(x.shape), lambda: as_matrix(x).T @ flat
        return lambda: np.matmul(g, np.swapaxes(y, -1, -2)), lambda: np.matmul(np.swapaxes(x, -1, -2), g)

    return z, vjp


@primitive
def linear(x: Array, W: Array, b: Array | None = None) -> ValueAndVjp:
    """x W^T + b in one op

    x (…, n), W (m, n), b (m) -> (…, m)          gradients g W, g^T x, and g summed to (m)
    """
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1] or (b is not None and b.shape != W.shape[:1]):
        raise ValueError("linear needs x (…, n), W (m, n), b (m)")
    x2 = as_matrix(x)
    y = x2 @ W.T
    if b is not None:
        y += b

    def vjp(g: Array) -> tuple[Any, ...]:
        g2 = as_matrix(g)
        return lambda: (g2 @ W).reshape(x.shape), lambda: g2.T @ x2, None if b is None else sum_rows(g2)

    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], len(W)), vjp


@primitive
def vecdot(x: Array, y: Array) -> ValueAndVjp:
    """The dot product of each vector with the one beside it, as numpy.vecdot          (…, n), (…, n) -> (…)

    The leading axes broadcast.          gradients g y and g x
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0 or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"vecdot needs vectors of one length on the last axis, not {np.shape(x)} and {np.shape(y)}")
    return (np.einsum("...n,...n->...", x, y), lambda g: (lambda: g[..., None] * y, lambda: g[..., None] * x))


@primitive
def einsum(subscripts: str, x: Array, y: Array) -> ValueAndVjp:
    """numpy.einsum of two operands with an explicit output, "bik,bjk->bij" say

    The gradient of one operand is the einsum of g and the other operand. Letters that stand only in that operand were
    summed alone: g spreads over them. No repeated letter within an operand, no ellipsis.
    """
    left, arrow, out = subscripts.replace(" ", "").partition("->")
    a, _, b = left.partition(",")
    if not arrow or any(len(set(s)) < len(s) or not s.isalpha() for s in (a, b, out or "i")) or "," in b:
        raise ValueError(f'einsum takes subscripts like "bik,bjk->bij": two operands, an explicit output, no letter '
                         f"twice within one; got {subscripts!r}")
    sizes = dict(zip(a, x.shape))
    if any(sizes.get(c, n) != n for c, n in zip(b, y.shape)):
        raise ValueError(f"{subscripts!r}: a letter has one size in both operands")

    def back(g: Array, mine: str, other: str, z: Array, shape: tuple[int, ...]) -> Array:
        kept = "".join(c for c in mine if c in out or c in other)
        gx = np.einsum(f"{out},{other}->{kept}", g, z, optimize=True)
        spread = gx.reshape([n if c in kept else 1 for c, n in zip(mine, shape)])
        return np.broadcast_to(spread, shape)

    summed = math.prod(n for c, n in {**sizes, **dict(zip(b, y.shape))}.items() if c not in out)
    if summed > LONG and x.dtype == y.dtype == np.float32:
        z = np.einsum(f"{a},{b}->{out}", x.astype(float), y.astype(float), optimize=True).astype(x.dtype)
    else:
        z = np.einsum(f"{a},{b}->{out}", x, y, optimize=True)
    return z, lambda g: (None, back(g, a, b, y, x.shape), back(g, b, a, x, y.shape))
