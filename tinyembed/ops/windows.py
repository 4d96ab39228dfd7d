"""Window arithmetic that convolution and pooling share: kernel, stride, padding, dilation.

Shapes are PyTorch's, (N, C, H, W). In memory the channels stand last, (N, H, W, C), behind a transposed view: so the
numbers that a window holds are a few long runs, and what is done to each channel alike is done to runs of C numbers.
What comes in another order is copied once, and what these ops return is in this order already.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core import Array

Pair = int | tuple[int, int]


def pair(x: Any, name: str, low: int = 1) -> tuple[int, int]:
    """An int, or a pair (height, width), as a pair; ValueError if it is neither, or below `low`.

    >>> pair(3, "kernel_size"), pair((2, 5), "stride")
    ((3, 3), (2, 5))
    """
    try:
        height, width = (x, x) if not isinstance(x, (tuple, list)) else x
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        height = width = low - 1
    if min(height, width) < low:
        raise ValueError(f"{name} is an integer of at least {low}, or a pair of them (height, width), not {x!r}")
    return height, width


def channels_last(x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), end to end in memory: a view where it is so already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_second(x: Array) -> Array:
    """(N, H, W, C) -> (N, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


class Windows:
    """The places of a kernel on pictures of a size (H, W), in `out` = (OH, OW) places.

        OH = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1, and OW likewise

    ValueError where there is none, or where an option is neither an int nor a pair of ints.

    >>> Windows((32, 32), 3, stride=2, padding=1).out
    (16, 16)
    """

    def __init__(self, size: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> None:
        self.size, self.kernel = size, pair(kernel_size, "kernel_size")
        self.stride, self.padding = pair(stride, "stride"), pair(padding, "padding", 0)
        self.dilation = pair(dilation, "dilation")
        self.out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
            size, self.kernel, self.stride, self.padding, self.dilation))
        if min(self.out) < 1:
            spread = " x ".join(str(d * (k - 1) + 1) for k, d in zip(self.kernel, self.dilation))
            raise ValueError(f"a kernel that spans {spread} does not fit into pictures of {size[0]} x {size[1]} with a "
                             f"padding of {self.padding[0]} x {self.padding[1]}")

    def room(self, n: int, C: int, dtype: Any, fill: float = 0) -> Array:
        """n padded pictures (n, H + 2p, W + 2q, C) of one number."""
        (p, q), (H, W) = self.padding, self.size
        return np.full((n, H + 2 * p, W + 2 * q, C), fill, dtype)

    def padded(self, x: Array, fill: float = 0) -> Array:
        """(N, H, W, C) with the padding around each picture; x itself where there is none."""
        if self.padding == (0, 0):
            return x
        out = self.room(len(x), x.shape[3], x.dtype, fill)
        self.inside(out)[...] = x
        return out

    def inside(self, x: Array) -> Array:
        """Padded pictures without their padding, a view."""
        (p, q), (H, W) = self.padding, self.size
        return x[:, p:p + H, q:q + W]

    @contextmanager
    def collecting(self, gx: Array) -> Iterator[Array]:
        """Padded pictures of zeros, to which one adds what comes back to each number; after it, gx (N, H, W, C) is what
        stands in them inside the padding."""
        if self.padding == (0, 0):
            gx[...] = 0
            yield gx
        else:
            full = self.room(len(gx), gx.shape[3], gx.dtype)
            yield full
            gx[...] = self.inside(full)

    def view(self, x: Array) -> Array:
        """All windows of padded pictures: (N, OH, OW, kh, kw, C), a view in which each number stands as often as
        windows hold it."""
        (OH, OW), (kh, kw), (s, t), (d, e) = self.out, self.kernel, self.stride, self.dilation
        n, h, w, c = x.strides
        return np.lib.stride_tricks.as_strided(x, (len(x), OH, OW, kh, kw, x.shape[3]),
                                               (n, s * h, t * w, d * h, e * w, c), writeable=False)

    def places(self, rows: slice) -> Iterator[tuple[slice, ...]]:
        """For each place within the kernel, line by line, which part of the padded pictures stands there in all windows
        of these rows of windows."""
        OW, (kh, kw), (s, t), (d, e) = self.out[1], self.kernel, self.stride, self.dilation
        for i in range(kh):
            for j in range(kw):
                yield (slice(None), slice(i * d + s * rows.start, i * d + s * (rows.stop - 1) + 1, s),
                       slice(j * e, j * e + t * (OW - 1) + 1, t))
