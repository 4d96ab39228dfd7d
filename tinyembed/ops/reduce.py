"""Ops that take an axis (an int, a tuple, or None for all) down to one entry, and the running sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, floats, primitive, sum_dtype

Axis = int | tuple[int, ...] | None


def _back(y: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduced array with the axes it lost put back at size 1, so that it broadcasts against x."""
    y = np.asarray(y)
    if keepdims or axis is None:
        return y.reshape((1,) * x.ndim) if axis is None else y
    return np.expand_dims(y, axis)


def long_sum(x: Array, axis: Axis, keepdims: bool) -> Any:
    """numpy.sum, through float64 where it would add thousands of float32 numbers one by one (over all of an array in
    one piece, NumPy adds pairwise)."""
    wide = None if axis is None and x.flags.forc else sum_dtype(x.dtype, _count(x, axis))
    total = np.sum(x, axis, keepdims=keepdims, dtype=wide)
    return total if wide is None else total.astype(x.dtype)


def _count(x: Array, axis: Axis) -> int:
    """How many entries of x one output entry stands for."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -x.ndim <= a < x.ndim for a in axes):
        raise ValueError(f"axis {axis} is not one of {x.ndim} axes")
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


@primitive
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Sum over axis          gradient g, copied to every summand"""
    return long_sum(x, axis, keepdims), lambda g: (np.broadcast_to(_back(g, x, axis, keepdims), x.shape),)


@primitive
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Mean over axis          gradient g / n, copied to each of the n entries; the mean of nothing is refused"""
    n = _count(x, axis)
    if n == 0:
        raise ValueError("the mean of no entries is undefined")
    return (long_sum(x, axis, keepdims) / n,
            lambda g: (np.broadcast_to(_back(g, x, axis, keepdims) / n, x.shape),))


@primitive
def var(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> ValueAndVjp:
    """Mean squared distance from the mean, with n - ddof for n          gradient g * 2 (x - mean) / (n - ddof)"""
    y, d, n = _variance(x, axis, ddof, keepdims)
    return y, lambda g: (_back(g, x, axis, keepdims) * d * (2 / n),)


@primitive
def std(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> ValueAndVjp:
    """y = square root of the variance          gradient g * (x - mean) / ((n - ddof) y), and 0 where y is 0"""
    variance, d, n = _variance(x, axis, ddof, keepdims)
    y = np.sqrt(variance)

    def vjp(g: Array) -> tuple[Any, ...]:
        scale = np.divide(g, np.multiply(y, n), out=np.zeros_like(g), where=np.greater(y, 0))
        return (_back(scale, x, axis, keepdims) * d,)

    return y, vjp


def _variance(x: Array, axis: Axis, ddof: int, keepdims: bool) -> tuple[Any, Array, int]:
    """The variance, the distances from the mean, and by what their squares were divided."""
    n = _count(x, axis)
    if n - ddof <= 0:
        raise ValueError(f"the variance with ddof={ddof} needs more than {ddof} entries, got {n}")
    d = x - long_sum(x, axis, True) / n
    return long_sum(d * d, axis, keepdims) / (n - ddof), d, n - ddof


@primitive
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Largest entry          gradient g to the entry that is largest, in equal parts where several are"""
    return _extreme(np.max(x, axis, keepdims=keepdims), x, axis, keepdims)


@primitive
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Smallest entry          gradient g to the entry that is smallest, in equal parts where several are"""
    return _extreme(np.min(x, axis, keepdims=keepdims), x, axis, keepdims)


def _extreme(y: Array, x: Array, axis: Axis, keepdims: bool) -> ValueAndVjp:
    def vjp(g: Array) -> tuple[Any, ...]:
        hit = np.equal(x, _back(y, x, axis, keepdims))
        share = hit / np.asarray(np.count_nonzero(hit, axis, keepdims=True), x.dtype)
        return (_back(g, x, axis, keepdims) * share,)

    return y, vjp


@primitive
def prod(x: Array, axis: int | None = None, keepdims: bool = False) -> ValueAndVjp:
    """Product over one axis or all          gradient g * (product of the other entries), right with zeros too"""
    if isinstance(axis, tuple):
        raise ValueError("prod takes one axis, or None for all")

    def vjp(g: Array) -> tuple[Any, ...]:
        # The others are those before times those after: two running products, each shifted by one.
        line = x.reshape(1, -1) if axis is None else np.moveaxis(x, axis, -1)
        others = np.ones_like(line)
        np.cumprod(line[..., :-1], -1, out=others[..., 1:])
        others[..., :-1] *= np.cumprod(line[..., :0:-1], -1)[..., ::-1]
        others = others.reshape(x.shape) if axis is None else np.moveaxis(others, -1, axis)
        return (_back(g, x, axis, keepdims) * others,)

    return np.prod(x, axis, keepdims=keepdims), vjp


@primitive
def cumsum(x: Array, axis: int | None = None) -> ValueAndVjp:
    """Running sum along axis (None: of the flattened array)          gradient: the running sum of g from the end"""

    wide = sum_dtype(x.dtype, _count(x, axis))

    def vjp(g: Array) -> tuple[Any, ...]:
        along = 0 if axis is None else axis
        return (np.flip(np.cumsum(np.flip(g, along), along, wide), along).reshape(x.shape),)

    y = np.cumsum(x, axis, wide)
    return y if wide is None else y.astype(x.dtype), vjp


@primitive
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """log(sum(e^x)), from the largest entry on, so that it cannot overflow          gradient g * softmax(x)

    All entries -inf gives -inf, with gradient 0.
    """
    x = floats(x)
    top = np.max(x, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    p = np.exp(x - top)
    total = long_sum(p, axis, True)
    with np.errstate(divide="ignore"):
        y = np.log(total) + top
    total = np.where(total == 0, 1, total).astype(x.dtype)
    out = y if keepdims else np.squeeze(y, axis) if axis is not None else y.reshape(())
    return out, lambda g: (_back(g, x, axis, keepdims) * (p / total),)
