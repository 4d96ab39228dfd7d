"""Ops on shapes: reshape, transpose, concatenate, split, pad. The gradient moves back the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import METHODS, Array, Tensor, ValueAndVjp, answering, as_axes, method, primitive, unwrapped

Shape = int | Sequence[int]


@primitive
def reshape(x: Array, shape: Shape) -> ValueAndVjp:
    """The same entries in another shape (one side may be -1)          gradient g in x's shape"""
    return np.reshape(x, shape), lambda g: (g.reshape(x.shape),)


@primitive
def transpose(x: Array, axes: Sequence[int] | None = None) -> ValueAndVjp:
    """Axes in another order (None: reversed)          gradient g with the order undone"""
    back = None if axes is None else np.argsort([a % x.ndim for a in axes])
    return np.transpose(x, axes), lambda g: (np.transpose(g, back),)


@primitive
def broadcast_to(x: Array, shape: Shape) -> ValueAndVjp:
    """x repeated along new and size-1 axes          gradient g, summed over the repeats by the engine"""
    return np.broadcast_to(x, shape), lambda g: (g,)


@primitive
def concatenate(xs: Sequence[Array], axis: int = 0) -> ValueAndVjp:
    """Arrays joined along an axis          gradient: g cut at the joints"""
    y = np.concatenate(xs, axis)
    cuts = np.cumsum([np.shape(x)[axis] for x in xs])[:-1]
    return y, lambda g: (np.split(g, cuts, axis),)


@primitive
def pad(x: Array, pad_width: Any, constant_values: float = 0.0) -> ValueAndVjp:
    """Entries of a constant around x; pad_width as in numpy.pad          gradient: g without the border"""
    y = np.pad(x, pad_width, constant_values=constant_values)
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape))
    return y, lambda g: (g[inside],)


@primitive
def take_along_axis(x: Array, indices: Array, axis: int) -> ValueAndVjp:
    """y[…, j, …] = x[…, indices[…, j, …], …]          gradient: g added to where each entry came from"""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"take_along_axis needs integer indices, not {indices.dtype}")

    def vjp(g: Array) -> tuple[Any, ...]:
        # Indices may repeat, and broadcast over the other axes: spell all coordinates out and scatter-add.
        gx = np.zeros(x.shape, np.float64)  # repeats add up without stalling; the engine casts
        sides = tuple(indices.shape[i] if i == axis % x.ndim else n for i, n in enumerate(x.shape))
        where = list(np.ix_(*map(np.arange, sides)))
        where[axis % x.ndim] = indices
        np.add.at(gx, tuple(where), g)
        return (gx,)

    return np.take_along_axis(x, indices, axis), vjp


@method
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(np.ndim(x)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


@method
def squeeze(x: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Axes of size 1 left out."""
    return reshape(x, np.squeeze(np.empty(np.shape(x), bool), as_axes(axis)).shape)


@method
def expand_dims(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """New axes of size 1."""
    return reshape(x, np.expand_dims(np.empty(np.shape(x), bool), as_axes(axis)).shape)


@method
def flatten(x: Tensor) -> Tensor:
    """All entries on one axis."""
    return reshape(x, -1)


@method
def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Arrays of one shape, side by side on a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


def split(x: Tensor, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Into equal sections, or at the given places; as numpy.split.

    >>> [part.shape for part in split(Tensor([1.0, 2.0, 3.0]), [1])]
    [(1,), (2,)]
    """
    n = np.shape(x)[axis]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ValueError(f"split: {n} entries on axis {axis} do not divide into {sections} equal sections")
        sections = range(n // sections, n, n // sections) if n else [0] * (sections - 1)
    front = (slice(None),) * (axis % np.ndim(x))
    return [Tensor.__getitem__(x, (*front, slice(a, b))) for a, b in zip([0, *sections], [*sections, n])]


def _split_of(x: Tensor, places: Sequence[int], axis: int = 0) -> list[Tensor]:
    """`te.ops.split(x, places, axis)`, but for what PyTorch's x.split takes otherwise: a number, or sizes of parts."""
    n, places = np.shape(x)[axis], unwrapped(places)
    if np.ndim(places) == 0:
        raise TypeError(f"x.split({places}) could mean two things: {places} parts are te.ops.split(x, {places}, {axis}"
                        f"), parts of {places} entries te.ops.split(x, range({places}, {n}, {places}), {axis})")
    if np.sum(places) == n:
        raise TypeError(f"x.split({places}) could mean two things: parts that end at these places are te.ops.split(x, "
                        f"{places}, {axis}), parts of these sizes te.ops.split(x, np.cumsum({places})[:-1], {axis})")
    return split(x, places, axis)


METHODS["split"] = answering(_split_of)


@method
def flip(x: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Entries in reverse order along axis (None: every axis)."""
    d, axis = np.ndim(x), as_axes(axis)
    axes = {a % d for a in (range(d) if axis is None else axis if isinstance(axis, tuple) else (axis,))}
    return Tensor.__getitem__(x, tuple(slice(None, None, -1 if a in axes else None) for a in range(d)))
