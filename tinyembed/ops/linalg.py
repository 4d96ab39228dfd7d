"""Matrix products, where nearly all arithmetic of a network happens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import CHUNK, Array, ValueAndVjp, blocks, fits_cache, primitive, sum_dtype, sum_rows
from .floats import floats

LONG = 2**16  # so many float32 numbers a product may add up at once, more CHUNK at a time, and these in float64


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


def product(x: Array, y: Array) -> Array:
    """numpy.matmul, that does not lose float32's digits in long sums."""
    n = x.shape[-1]
    if n <= LONG or not x.dtype == y.dtype == np.float32:
        return np.asarray(np.matmul(x, y))
    total: Any = np.float64(0)
    for i in range(0, n, CHUNK):
        total = total + np.matmul(x[..., i:i + CHUNK], y[..., i:i + CHUNK, :] if y.ndim > 1 else y[i:i + CHUNK])
    return np.asarray(total, np.float32)


def dots(x: Array, y: Array) -> Array:
    """The dot product of each vector of x with that of y, long sums in a wider dtype: (…, n), (…, n) -> (…)"""
    dtype = np.result_type(x, y)
    z = np.einsum("...n,...n->...", x, y, dtype=sum_dtype(dtype, x.shape[-1]))
    return np.asarray(z, dtype)


@primitive
def matmul(x: Array, y: Array) -> ValueAndVjp:
    """x @ y for vectors, matrices and stacks of them, as numpy.matmul

    (…, n, k) @ (…, k, m) -> (…, n, m)          gradients g @ y^T, x^T @ g (summed over a broadcast stack)
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        raise ValueError("a matrix product needs at least one axis on either side; use * for scaling")
    if x.ndim > 2 and y.ndim == 2:  # one large product is faster than a stack of small ones
        z = product(as_matrix(x), y).reshape(*x.shape[:-1], y.shape[1])
    else:
        z = product(x, y)

    def vjp(g: Array) -> tuple[Any, ...]:
        if x.ndim == 1 and y.ndim == 1:
            return g * y, g * x
        if x.ndim == 1:  # (k) @ (…, k, m) -> (…, m)
            return product(y, g[..., None])[..., 0], x[:, None] * g[..., None, :]
        if y.ndim == 1:  # (…, n, k) @ (k) -> (…, n)
            return g[..., None] * y, product(np.swapaxes(x, -1, -2), g[..., None])[..., 0]
        if y.ndim == 2:
            flat = as_matrix(g)
            return lambda: product(flat, y.T).reshape(x.shape), lambda: product(as_matrix(x).T, flat)
        return lambda: product(g, np.swapaxes(y, -1, -2)), lambda: product(np.swapaxes(x, -1, -2), g)

    return z, vjp


@primitive
def linear(x: Array, W: Array, b: Array | None = None) -> ValueAndVjp:
    """x W^T + b in one op

    x (…, n), W (m, n), b (m) -> (…, m)          gradients g W, g^T x, and g summed to (m)
    """
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1] or (b is not None and b.shape != W.shape[:1]):
        raise ValueError("linear needs x (…, n), W (m, n), b (m)")
    x, W, b = floats(x, W, b)
    x2 = as_matrix(x)
    y = product(x2, W.T)
    if b is not None:
        y += b

    def vjp(g: Array) -> tuple[Any, ...]:
        g2 = as_matrix(g)
        return lambda: product(g2, W).reshape(x.shape), lambda: product(g2.T, x2), None if b is None else sum_rows(g2)

    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], len(W)), vjp


@primitive
def vecdot(x: Array, y: Array) -> ValueAndVjp:
    """The dot product of each vector with the one beside it, as numpy.vecdot          (…, n), (…, n) -> (…)

    The leading axes broadcast.          gradients g y and g x
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0 or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"vecdot needs vectors of one length on the last axis, not {np.shape(x)} and {np.shape(y)}")
    return dots(x, y), lambda g: (lambda: g[..., None] * y, lambda: g[..., None] * x)


@primitive
def einsum(subscripts: str, *xs: Array) -> ValueAndVjp:
    """numpy.einsum of one operand or several with an explicit output, "bik,bjk->bij" say

    The gradient of an operand is the einsum of g and the others. Letters that stand only in that operand were summed
    alone: g spreads over them. No repeated letter within an operand, no ellipsis.
    """
    left, arrow, out = str(subscripts).replace(" ", "").partition("->")
    letters, sizes = left.split(","), dict[str, int]()
    if not arrow or any(len(set(s)) < len(s) or not s.isalpha() for s in (*letters, out or "i")):
        raise ValueError(f'einsum takes subscripts like "bik,bjk->bij": an explicit output, no letter twice within one '
                         f"operand, no ellipsis; got {subscripts!r}")
    if [len(s) for s in letters] != [np.ndim(x) for x in xs]:
        raise ValueError(f"{subscripts!r} is of operands with {', '.join(str(len(s)) for s in letters)} axes")
    for s, x in zip(letters, xs):
        if any(sizes.setdefault(c, n) != n for c, n in zip(s, x.shape)):
            raise ValueError(f"{subscripts!r}: a letter has one size in all operands")

    def back(g: Array, k: int) -> Array:
        mine, others = letters[k], [*letters[:k], *letters[k + 1:]]
        kept = "".join(c for c in mine if c in out or c in "".join(others))
        gx = _einsum([out, *others], kept, [g, *xs[:k], *xs[k + 1:]], sizes)
        return np.broadcast_to(gx.reshape([n if c in kept else 1 for c, n in zip(mine, xs[k].shape)]), xs[k].shape)

    return (_einsum(letters, out, list(xs), sizes),
            lambda g: (None, *(lambda k=k: back(g, k) for k in range(len(xs)))))


def _einsum(letters: list[str], out: str, xs: list[Array], sizes: dict[str, int]) -> Array:
    """numpy.einsum, through float64 where NumPy would add many float32 numbers one by one. A product of two matrices
    is BLAS's, which adds by blocks, and may be longer."""
    summed = math.prod(sizes[c] for c in set("".join(letters)) - set(out))
    own = [set(out) - set(other) for other in letters[::-1]]
    product = len(xs) == 2 and all(own) and not set(letters[0]) & set(letters[1]) & set(out)
    wide = summed > (LONG if product else CHUNK) and all(x.dtype == np.float32 for x in xs)
    z = np.einsum(f"{','.join(letters)}->{out}", *(x.astype(float) for x in xs) if wide else xs, optimize=True)
    return z.astype(np.float32) if wide else z
