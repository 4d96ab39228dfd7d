"""Reductions over an axis (an int, a tuple, or None for all), and the running sum; without a gradient argmax, argmin,
argsort, any and all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, as_axes, method, primitive, sum_dtype, unwrapped, wrap
from .floats import floats

Axis = int | tuple[int, ...] | None


def _back(y: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduced array with the axes it lost put back at size 1, so that it broadcasts against x."""
    y = np.asarray(y)
    if keepdims or axis is None:
        return y.reshape((1,) * x.ndim) if axis is None else y
    return np.expand_dims(y, axis)


def long_sum(x: Array, axis: Axis, keepdims: bool, over: int | None = None) -> Any:
    """numpy.sum, divided by `over`, through float64 where it would add thousands of float32 numbers one by one (over
    all of an array in one piece, NumPy adds pairwise)."""
    pairwise = axis is None and x.flags.forc and x.dtype != np.float16
    wide = None if pairwise else sum_dtype(x.dtype, _count(x, axis))
    total = np.sum(x, axis, keepdims=keepdims, dtype=wide)
    total = total if over is None else total / over
    return total if wide is None else total.astype(x.dtype)


def _axes(x: Array, axis: Axis) -> tuple[int, ...]:
    """The axes that are meant, from 0 on."""
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise ValueError(f"axis {axis} is not one of {x.ndim} axes")
    return tuple(a % x.ndim for a in axes)


def _count(x: Array, axis: Axis) -> int:
    """How many entries of x one output entry stands for."""
    return math.prod(x.shape[a] for a in _axes(x, axis))


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
    y = long_sum(x, axis, keepdims, n)

    def vjp(g: Array) -> tuple[Any, ...]:
        share = np.divide(g, n, dtype=np.promote_types(g.dtype, np.float32))  # float16 has no n above 65,504
        return (np.broadcast_to(_back(share, x, axis, keepdims), x.shape),)

    return y, vjp


@primitive
def var(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False,
        correction: int | None = None) -> ValueAndVjp:
    """Mean squared distance from the mean, with n - ddof for n          gradient g * 2 (x - mean) / (n - ddof)

    ddof is 0, as NumPy has it; what PyTorch calls var has ddof=1. `correction` is another name for it.
    """
    y, d, n = _variance(x, axis, ddof if correction is None else correction, keepdims)
    return y, lambda g: (_back(g, x, axis, keepdims) * d * (2 / n),)


@primitive
def std(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False,
        correction: int | None = None) -> ValueAndVjp:
    """y = square root of the variance          gradient g * (x - mean) / ((n - ddof) y), and 0 where y is 0

    ddof is 0, as NumPy has it; what PyTorch calls std has ddof=1. `correction` is another name for it.
    """
    variance, d, n = _variance(x, axis, ddof if correction is None else correction, keepdims)
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
    d = x - long_sum(x, axis, True, n)
    return long_sum(d * d, axis, keepdims, n - ddof), d, n - ddof


@primitive
def norm(x: Array, ord: int | None = None, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Euclidean length y = sqrt(sum(x^2)), of all entries or along axis          gradient g * x / y, and 0 where y is 0

    ord is None, or 2 along one axis: of a matrix NumPy takes 2 for another norm, PyTorch for this one. The largest
    entry is divided out first, so that no square overflows or vanishes. ValueError for other norms.
    """
    if ord is not None and (ord != 2 or len(_axes(x, axis)) > 1):
        raise ValueError(f"norm is the Euclidean length: x.norm(axis={axis}); that of ord={ord} may be spelt with "
                         "abs(x).sum(axis) or abs(x).max(axis)")
    x = floats(x)
    top = np.max(np.abs(x), axis, keepdims=True, initial=0)
    top = np.where((top > 0) & (top < np.inf), top, 1).astype(x.dtype)
    y = top * np.sqrt(long_sum(np.square(x / top), axis, True))
    out = y if keepdims else np.squeeze(y, axis)
    return out, lambda g: (_back(g, x, axis, keepdims) * (x / np.where(y > 0, y, 1).astype(x.dtype)),)


@primitive
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Largest entry, alone: its place is argmax          gradient g to the entry that is largest, in equal parts where
    several are"""
    return _extreme(np.max(x, axis, keepdims=keepdims), x, axis, keepdims)


@primitive
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> ValueAndVjp:
    """Smallest entry, alone: its place is argmin          gradient g to the entry that is smallest, in equal parts
    where several are"""
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


@method
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where along axis the largest entry is, the first of several (None: in the flattened array)"""
    return wrap(np.argmax(unwrapped(x), axis, keepdims=keepdims))


@method
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where along axis the smallest entry is, the first of several (None: in the flattened array)"""
    return wrap(np.argmin(unwrapped(x), axis, keepdims=keepdims))


@method
def argsort(x: Tensor, axis: int = -1) -> Tensor:
    """Where along axis the smallest entry is, where the next, …; equal ones in the order in which they stand"""
    return wrap(np.argsort(unwrapped(x), axis, "stable"))


@method
def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all entries along axis are true, or not 0"""
    return wrap(np.all(unwrapped(x), as_axes(axis), keepdims=keepdims))


@method
def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one entry along axis is true, or not 0"""
    return wrap(np.any(unwrapped(x), as_axes(axis), keepdims=keepdims))
