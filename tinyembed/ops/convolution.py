"""Convolution as a matrix product: patches of the picture (im2col) times kernels.

It is a lookup once more. Which numbers a patch holds is known from its place, so patches are a strided view of the
picture; to be multiplied they are copied, some of them at a time, into a block that fits the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, blocks, method, primitive, products_in_halves, sum_rows
from .floats import floats
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

    As a product it is y = patches K^T + b, patches (N OH OW, kh kw C) and K (D, kh kw C). So gradients are those of
    `linear`, dK = g^T patches, dpatches = g K (each of its numbers added where it was looked up), db = sum(g). One
    block of the patches is there at a time, and backward makes them again. Where each channel has one kernel to itself
    (groups = C = D) there is nothing to multiply as matrices: numbers times weights are added up place by place.
    Raises ValueError for shapes that do not go together.          (LeCun et al. 1989)

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2))).data.tolist()          # the sum over each window of 2 x 2
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    _check(x, W, b, groups)
    x, W, b = floats(x, W, b)
    at = Windows(x.shape[2:], W.shape[2:], stride, padding, dilation)
    pictures, K = channels_last(x), _as_rows(W, groups)
    y = np.empty((len(x), *at.out, len(W)), np.result_type(x, W))
    line = 0 if b is None else np.tile(b, (at.out[1], 1))  # a long run to add, not many short ones
    cost = y.size * K.shape[2]  # in bytes that one would pass over in that time: a multiplication, one

    def forward(start: int, stop: int) -> None:
        if _is_depthwise(K, at):
            return _by_places(pictures[start:stop], at, K, line, y[start:stop])
        for images, rows, patches in _patches(pictures[start:stop], at, K):
            part = y[start:stop][images, rows]
            np.matmul(patches, K.transpose(0, 2, 1), out=_in_groups(part, groups))
            if b is not None:
                part += line

    products_in_halves(forward, len(x), cost)

    def vjp(g: Array) -> tuple[Any, ...]:
        g = channels_last(g)

        def of_pictures() -> Array:
            gx = np.empty(pictures.shape, g.dtype)
            products_in_halves(lambda start, stop: _scatter(g[start:stop], K, at, gx[start:stop]), len(x), cost)
            return channels_second(gx)

        def of_kernels() -> Array:
            halves: dict[int, Array] = {}
            products_in_halves(lambda start, stop: halves.update(
                {start: _of_rows(g[start:stop], pictures[start:stop], at, K)}), len(x), cost)
            return _as_kernels(np.sum([halves[start] for start in sorted(halves)], 0), W.shape)

        return of_pictures, of_kernels, None if b is None else lambda: sum_rows(as_matrix(g))

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
    C, D = x.shape[1], len(W)
    if groups < 1 or C % groups or D % groups or W.shape[1] != C // groups:
        raise ValueError(f"kernels of {W.shape[1]} channels do not go with pictures of {C} in {groups} groups: W is "
                         "(D, C / groups, kh, kw), and groups divides C and D")


def _as_rows(W: Array, groups: int) -> Array:
    """(D, C / G, kh, kw) -> (G, D / G, kh kw C / G)"""
    D, c, kh, kw = W.shape
    return W.reshape(D, c, kh * kw).transpose(0, 2, 1).reshape(groups, D // groups, kh * kw * c)


def _as_kernels(K: Array, shape: tuple[int, ...]) -> Array:
    """`_as_rows` undone."""
    D, c, kh, kw = shape
    return K.reshape(D, kh * kw, c).transpose(0, 2, 1).reshape(shape)


def _in_groups(y: Array, groups: int) -> Array:
    """A block (n, r, OW, D) -> (G, n r OW, D / G), a view: blocks are whole pictures, or rows of one."""
    n, r, OW, D = y.shape
    return y.reshape(n * r * OW, groups, D // groups).transpose(1, 0, 2)


def _blocks(N: int, at: Windows, K: Array) -> Iterator[tuple[slice, list[slice]]]:
    """Some pictures at a time, and of these some rows of windows at a time, so that their patches are a block. It is as
    large as the kernels at least, since each product goes over all of them."""
    width, entries = at.out[1] * len(K) * K.shape[2], max(PATCHES, K.size)
    rows = list(blocks(at.out[0], width, entries))
    return ((images, rows) for images in blocks(N, at.out[0] * width, entries))


def _patches(pictures: Array, at: Windows, K: Array) -> Iterator[tuple[slice, slice, Array]]:
    """(pictures, rows of windows, their patches (G, n r OW, kh kw C / G)), a block at a time."""
    N, _, _, C = pictures.shape
    OW, (kh, kw), groups = at.out[1], at.kernel, len(K)
    for images, lines in _blocks(N, at, K):
        windows = at.view(at.padded(pictures[images]))
        for rows in lines:
            some = windows[:, rows]
            n, r = some.shape[:2]
            some = some.reshape(n, r, OW, kh, kw, groups, C // groups).transpose(5, 0, 1, 2, 3, 4, 6)
            yield images, rows, some.reshape(groups, n * r * OW, kh * kw * C // groups)  # here they are copied


def _is_depthwise(K: Array, at: Windows) -> bool:
    """Whether each channel has one kernel, and sees no other channel."""
    return K.shape[1:] == (1, at.kernel[0] * at.kernel[1])


def _of_places(K: Array, at: Windows) -> Array:
    """Depthwise kernels (C, 1, kh kw) -> (kh kw, OW, C): for each place, its weights beside a line of windows."""
    return np.repeat(K[:, 0].T[:, None], at.out[1], 1)


def _by_places(pictures: Array, at: Windows, K: Array, line: Any, y: Array) -> None:
    """A depthwise convolution into y: for each place within the kernel, what stands there times the weights of it."""
    of_places = _of_places(K, at)
    for images, lines in _blocks(len(pictures), at, K):
        padded = at.padded(pictures[images])
        for rows in lines:
            out = y[images, rows]
            out[...] = line
            for weights, part in zip(of_places, at.places(rows)):
                out += padded[part] * weights


def _of_rows(g: Array, pictures: Array, at: Windows, K: Array) -> Array:
    """dL/dK = g^T patches"""
    gK = np.zeros(K.shape, g.dtype)
    if _is_depthwise(K, at):
        for images, lines in _blocks(len(g), at, K):
            padded = at.padded(pictures[images])
            for rows in lines:
                some, width = g[images, rows], at.out[1] * len(K)
                for k, part in enumerate(at.places(rows)):
                    total = sum_rows((some * padded[part]).reshape(-1, width))
                    gK[:, 0, k] += total.reshape(-1, len(K)).sum(0)
        return gK
    for images, rows, patches in _patches(pictures, at, K):
        gK += np.matmul(_in_groups(g[images, rows], len(K)).transpose(0, 2, 1), patches)
    return gK


def _scatter(g: Array, K: Array, at: Windows, gx: Array) -> None:
    """dL/dx into gx: that of the patches is g K, and each of its numbers goes back to where it was looked up. Those
    of one place within the kernel are one product, so that they lie together when they are added."""
    (N, _, _, C), groups, size = gx.shape, len(K), at.kernel[0] * at.kernel[1]
    of_place = K.reshape(groups, K.shape[1], size, C // groups).transpose(0, 2, 1, 3)  # (G, kh kw, D / G, C / G)
    for images, lines in _blocks(N, at, K):
        with at.collecting(gx[images]) as full:
            full = full.reshape(*full.shape[:3], groups, C // groups)
            for rows in lines:
                some = g[images, rows]
                if _is_depthwise(K, at):
                    found: Any = ((some * line)[..., None] for line in _of_places(K, at))
                else:
                    found = np.matmul(_in_groups(some, groups)[:, None], of_place)
                    found = found.reshape(groups, size, *some.shape[:3], C // groups).transpose(1, 2, 3, 4, 0, 5)
                for numbers, part in zip(found, at.places(rows)):
                    full[part] += numbers
