"""Convolution as a matrix product: each window of a picture is a row of numbers, a patch, and each kernel a column.

It is a lookup once more. Which numbers a patch holds is known from its place, so patches are a strided view of the
picture; to be multiplied they are copied, some of them at a time, into a block that fits the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, blocks, method, primitive, sum_rows
from .linalg import as_matrix
from .shape import expand_dims, squeeze
from .windows import Pair, Windows, channels_last, channels_second

PATCHES = 1 << 18  # numbers in a block of patches: at float32 a megabyte, half of a core's second cache


@primitive
def conv2d(x: Array, W: Array, b: Array | None = None, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
           groups: int = 1) -> ValueAndVjp:
    """y[n, d, u, v] = b[d] + sum over c, i, j of W[d, c, i, j] x[n, c, s u + e i - p, s v + e j - p]

    s stride, p padding (zeros around the picture), e dilation: ints, or pairs (height, width). With groups, output
    channels in G parts see the input channels of their own part alone; groups = C is a depthwise convolution.

        x (N, C, H, W), W (D, C / groups, kh, kw), b (D) -> (N, D, OH, OW),  OH = (H + 2p - e (kh - 1) - 1) // s + 1

    As a product it is y = patches K + b, patches (N OH OW, kh kw C) and K the kernels as columns. So gradients are
    dK = patches^T g, dpatches = g K^T (each of its numbers added where it was looked up), db = sum(g). Of the patches
    one block is there at a time, and backward makes them again.
    Raises ValueError for shapes that do not go together, TypeError for integers.          (LeCun et al. 1989)

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2))).data.tolist()          # the sum over each window of 2 x 2
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    _check(x, W, b, groups)
    at = Windows(x.shape[2:], W.shape[2:], stride, padding, dilation)
    pictures, K = channels_last(x), _as_columns(W, groups)
    y = np.empty((len(x), *at.out, len(W)), np.result_type(x, W))
    for images, rows, patches in _patches(pictures, at, groups):
        np.matmul(patches, K, out=_in_groups(y[images, rows], groups))
        if b is not None:
            y[images, rows] += b

    def vjp(g: Array) -> tuple[Any, ...]:
        g = channels_last(g)
        return (lambda: channels_second(_of_pictures(g, K, pictures.shape, at)),
                lambda: _as_kernels(_of_kernels(g, pictures, at, K), W.shape),
                None if b is None else lambda: sum_rows(as_matrix(g)))

    return channels_second(y), vjp


@method
def conv1d(x: Tensor, W: Tensor, b: Tensor | None = None, stride: int = 1, padding: int = 0, dilation: int = 1,
           groups: int = 1) -> Tensor:
    """`conv2d` along one axis, a picture of height 1          x (N, C, L), W (D, C / groups, k), b (D) -> (N, D, OL)"""
    y = conv2d(expand_dims(x, 2), expand_dims(W, 2), b, (1, stride), (0, padding), (1, dilation), groups)
    return squeeze(y, 2)


def _check(x: Array, W: Array, b: Array | None, groups: int) -> None:
    if x.ndim != 4 or W.ndim != 4 or (b is not None and b.shape != W.shape[:1]):
        raise ValueError("it needs x (N, C, H, W), W (D, C / groups, kh, kw) and b (D)")
    if x.dtype.kind != "f":
        raise TypeError(f"conv2d is of floats, not {x.dtype}; of pictures as bytes, say, take x / np.float32(255)")
    C, D = x.shape[1], len(W)
    if groups < 1 or C % groups or D % groups or W.shape[1] != C // groups:
        raise ValueError(f"kernels of {W.shape[1]} channels do not go with pictures of {C} in {groups} groups: W is "
                         "(D, C / groups, kh, kw), and groups divides C and D")


def _as_columns(W: Array, groups: int) -> Array:
    """(D, C / G, kh, kw) -> (G, kh kw C / G, D / G)"""
    D, c, kh, kw = W.shape
    return W.reshape(groups, D // groups, c, kh, kw).transpose(0, 3, 4, 2, 1).reshape(groups, kh * kw * c, D // groups)


def _as_kernels(K: Array, shape: tuple[int, ...]) -> Array:
    """`_as_columns` undone."""
    D, c, kh, kw = shape
    return K.reshape(len(K), kh, kw, c, D // len(K)).transpose(0, 4, 3, 1, 2).reshape(shape)


def _in_groups(y: Array, groups: int) -> Array:
    """A block (n, r, OW, D) -> (G, n r OW, D / G), a view: blocks are whole pictures, or rows of one."""
    n, r, OW, D = y.shape
    return y.reshape(n * r * OW, groups, D // groups).transpose(1, 0, 2)


def _blocks(N: int, C: int, at: Windows) -> Iterator[tuple[slice, list[slice]]]:
    """Some pictures at a time, and of these some rows of windows at a time, so that their patches are a block."""
    width = at.out[1] * at.kernel[0] * at.kernel[1] * C
    rows = list(blocks(at.out[0], width, PATCHES))
    return ((images, rows) for images in blocks(N, at.out[0] * width, PATCHES))


def _patches(pictures: Array, at: Windows, groups: int) -> Iterator[tuple[slice, slice, Array]]:
    """(pictures, rows of windows, their patches (G, n r OW, kh kw C / G)), a block at a time."""
    N, _, _, C = pictures.shape
    OW, (kh, kw) = at.out[1], at.kernel
    for images, lines in _blocks(N, C, at):
        windows = at.view(at.padded(pictures[images]))
        for rows in lines:
            some = windows[:, rows]
            n, r = some.shape[:2]
            some = some.reshape(n, r, OW, kh, kw, groups, C // groups).transpose(5, 0, 1, 2, 3, 4, 6)
            yield images, rows, some.reshape(groups, n * r * OW, kh * kw * C // groups)  # here they are copied


def _of_kernels(g: Array, pictures: Array, at: Windows, K: Array) -> Array:
    """dL/dK = patches^T g"""
    gK = np.zeros(K.shape, g.dtype)
    for images, rows, patches in _patches(pictures, at, len(K)):
        gK += np.matmul(patches.transpose(0, 2, 1), _in_groups(g[images, rows], len(K)))
    return gK


def _of_pictures(g: Array, K: Array, shape: tuple[int, ...], at: Windows) -> Array:
    """dL/dx: that of the patches is g K^T, and each of its numbers goes back to where it was looked up."""
    (N, _, _, C), (kh, kw) = shape, at.kernel
    gx, groups, back = np.empty(shape, g.dtype), len(K), K.transpose(0, 2, 1)
    for images, lines in _blocks(N, C, at):
        full = at.room(len(gx[images]), C, g.dtype)
        grouped = full.reshape(*full.shape[:3], groups, C // groups)
        for rows in lines:
            some = g[images, rows]
            patches = np.matmul(_in_groups(some, groups), back)
            patches = patches.reshape(groups, *some.shape[:3], kh, kw, C // groups).transpose(4, 5, 1, 2, 3, 0, 6)
            for i, j, part in at.places(rows):
                grouped[part] += patches[i, j]
        gx[images] = at.cropped(full)
    return gx
