"""Pooling: the maximum or mean of each window of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, blocks, in_halves, method, primitive, sum_dtype
from .floats import floats
from .linalg import einsum
from .windows import Pair, Windows, channels_last, channels_second, pair


@primitive
def max_pool2d(x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> ValueAndVjp:
    """The largest number of each window          x (N, C, H, W) -> (N, C, OH, OW), sizes as in conv2d

    stride is kernel_size if None; padding counts as -inf. Ints, or pairs (height, width).
    Gradient g to the number that is largest, in equal parts where several are, as ops.max has it (PyTorch's goes to the
    first of them; after a ReLU, where ties are zeros, neither gets further). NaN is the largest number.
    Raises ValueError where no window fits, or a padding could fill one.

    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).data.tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    at = _windows(x, kernel_size, stride, padding)
    x = floats(x)
    pictures, rows, size = channels_last(x), slice(0, at.out[0]), at.kernel[0] * at.kernel[1]
    (N, H, W, C), apart = pictures.shape, all(s >= k for s, k in zip(at.stride, at.kernel))
    y = np.empty((N, *at.out, C), x.dtype)

    def forward(start: int, stop: int) -> None:
        for some in blocks(stop - start, H * W * C):
            out, padded = y[start:stop][some], at.padded(pictures[start:stop][some], -np.inf)
            first, *others = [padded[part] for part in at.places(rows)]
            out[...] = first
            for other in others:
                np.maximum(out, other, out=out)

    in_halves(forward, N, x.nbytes * size)

    def vjp(g: Array) -> tuple[Any, ...]:
        g, gx = channels_last(g), np.empty(pictures.shape, x.dtype)

        def backward(start: int, stop: int) -> None:
            for some in blocks(stop - start, H * W * C):
                padded = at.padded(pictures[start:stop][some], -np.inf)
                hits = [np.equal(padded[part], y[start:stop][some]) for part in at.places(rows)]
                count = sum(hit.astype(np.uint8 if size < 256 else np.int64) for hit in hits)
                share = g[start:stop][some] / np.maximum(count, 1).astype(x.dtype)  # a NaN is equal to nothing
                with at.collecting(gx[start:stop][some]) as full:
                    for hit, part in zip(hits, at.places(rows)):
                        if apart:  # no number is in two windows
                            np.multiply(share, hit, out=full[part])
                        else:
                            full[part] += share * hit

        in_halves(backward, N, x.nbytes * size)
        return (channels_second(gx),)

    return channels_second(y), vjp


@primitive
def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> ValueAndVjp:
    """The mean of each window, zeros of the padding included          x (N, C, H, W) -> (N, C, OH, OW)

    Options and errors are those of max_pool2d. Gradient g / (kh kw) to each number of the window.

    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).data.tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    at = _windows(x, kernel_size, stride, padding)
    x = floats(x)
    pictures, rows, n = channels_last(x), slice(0, at.out[0]), at.kernel[0] * at.kernel[1]
    N, H, W, C = pictures.shape
    y = np.zeros((N, *at.out, C), sum_dtype(x.dtype, n) or x.dtype)
    for some in blocks(N, H * W * C):
        padded = at.padded(pictures[some])
        for part in at.places(rows):
            y[some] += padded[part]
        y[some] /= n

    def vjp(g: Array) -> tuple[Any, ...]:
        g, gx = channels_last(g), np.empty(pictures.shape, x.dtype)
        for some in blocks(N, H * W * C):
            share = g[some] / n
            with at.collecting(gx[some]) as full:
                for part in at.places(rows):
                    full[part] += share
        return (channels_second(gx),)

    return channels_second(y.astype(x.dtype, copy=False)), vjp


@method
def adaptive_avg_pool2d(x: Tensor, output_size: Pair = 1) -> Tensor:
    """The mean of each of OH x OW parts of the picture, whatever its size          x (N, C, H, W) -> (N, C, OH, OW)

    Part i of n along an axis of H goes from floor(i H / n) to ceil((i + 1) H / n): parts overlap where n does not
    divide H, as in PyTorch. Two products with matrices of shares, so the gradient is theirs.

    >>> adaptive_avg_pool2d(np.arange(6.0).reshape(1, 1, 2, 3), (1, 2)).data.tolist()
    [[[[2.0, 3.0]]]]
    """
    OH, OW = pair(output_size, "output_size")
    x = x if isinstance(x, Tensor) and x.dtype.kind == "f" else Tensor(floats(np.asarray(x)))
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"adaptive_avg_pool2d takes pictures x (N, C, H, W) with H and W > 0, not {x.shape}")
    H, W = x.shape[2:]
    return einsum("ncaw,bw->ncab", einsum("nchw,ah->ncaw", x, _shares(OH, H, x.dtype)), _shares(OW, W, x.dtype))


def _shares(n: int, size: int, dtype: Any) -> Array:
    """(n, size): in line i, 1 / length for the numbers of part i."""
    shares = np.zeros((n, size), dtype)
    for i in range(n):
        start, end = i * size // n, -(-(i + 1) * size // n)
        shares[i, start:end] = 1 / (end - start)
    return shares


def _windows(x: Array, kernel_size: Any, stride: Any, padding: Any) -> Windows:
    if np.ndim(x) != 4:
        raise ValueError("pooling takes pictures x (N, C, H, W)")
    at = Windows(x.shape[2:], kernel_size, kernel_size if stride is None else stride, padding)
    if any(2 * p > k for p, k in zip(at.padding, at.kernel)):
        raise ValueError(f"a padding of {at.padding} is more than half of a window of {at.kernel}: some windows would "
                         "hold nothing else")
    return at
