"""Convolution and pooling layers, for pictures (N, C, H, W) and sequences (N, C, L)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Parameter, Tensor, fresh_rng
from ..ops import adaptive_avg_pool2d, avg_pool2d, conv1d, conv2d, max_pool2d, pair
from .module import Module, shape_of


class _Conv(Module):
    """What convolutions along one axis and along two share."""

    axes: tuple[str, ...]

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, ...], stride: Any, padding: Any,
                 dilation: Any, groups: int, bias: bool, rng: np.random.Generator | None, dtype: Any) -> None:
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} channels in and {out_channels} out do not go into {groups} groups")
        rng = fresh_rng() if rng is None else rng
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        bound = 1 / math.sqrt(max(in_channels // groups * math.prod(kernel), 1))
        shape = (out_channels, in_channels // groups, *kernel)
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_channels).astype(dtype)) if bias else None

    def _check(self, x: Any) -> None:
        if len(shape_of(x)) != 2 + len(self.axes) or shape_of(x)[1] != self.in_channels:
            raise ValueError(f"{self._title()} takes x (N, {self.in_channels}, {', '.join(self.axes)}), got "
                             f"{shape_of(x)}")

    def extra_repr(self) -> str:
        options = [("stride", self.stride, 1), ("padding", self.padding, 0), ("dilation", self.dilation, 1),
                   ("groups", self.groups, 1)]
        said = [f", {name}={value}" for name, value, default in options if value != default]
        return f"{self.in_channels} -> {self.out_channels}, {' x '.join(map(str, self.kernel_size))}" + "".join(
            said) + ", no bias" * (self.bias is None)


class Conv2d(_Conv):
    """y = the sum over each window of kernel times window, plus bias; `ops.conv2d` has the formula and the gradient.

        x (N, in_channels, H, W) -> (N, out_channels, OH, OW)
        OH = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1, and OW likewise

    weight (out, in / groups, kh, kw) and bias (out) start uniform in ±1/sqrt(in / groups * kh * kw), as in PyTorch.
    kernel_size, stride, padding and dilation are ints, or pairs (height, width).

    >>> Conv2d(3, 8, 3, stride=2, padding=1)(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 8, 16, 16)
    """

    axes = ("H", "W")

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, *, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        pair(stride, "stride"), pair(padding, "padding", 0), pair(dilation, "dilation")
        super().__init__(in_channels, out_channels, pair(kernel_size, "kernel_size"), stride, padding, dilation, groups,
                         bias, rng, dtype)

    def forward(self, x: Any) -> Tensor:
        self._check(x)
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """`Conv2d` along one axis          x (N, in_channels, L) -> (N, out_channels, OL)

    >>> Conv1d(3, 8, 5)(np.zeros((1, 3, 20), np.float32)).shape
    (1, 8, 16)
    """

    axes = ("L",)

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
                 dilation: int = 1, groups: int = 1, bias: bool = True, *, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        for name, size, low in (("kernel_size", kernel_size, 1), ("stride", stride, 1), ("padding", padding, 0),
                                ("dilation", dilation, 1)):
            if not isinstance(size, (int, np.integer)) or size < low:
                raise ValueError(f"{name} of Conv1d is an integer of at least {low}, not {size!r}")
        super().__init__(in_channels, out_channels, (int(kernel_size),), stride, padding, dilation, groups, bias, rng,
                         dtype)

    def forward(self, x: Any) -> Tensor:
        self._check(x)
        return conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _Pool2d(Module):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        stride = kernel_size if stride is None else stride
        pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(padding, "padding", 0)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}" + f", padding={self.padding}" * (self.padding != 0)


class MaxPool2d(_Pool2d):
    """The largest number of each window; `ops.max_pool2d`          x (N, C, H, W) -> (N, C, OH, OW)

    >>> MaxPool2d(2)(np.zeros((1, 8, 32, 32), np.float32)).shape
    (1, 8, 16, 16)
    """

    def forward(self, x: Any) -> Tensor:
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean of each window; `ops.avg_pool2d`          x (N, C, H, W) -> (N, C, OH, OW)"""

    def forward(self, x: Any) -> Tensor:
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class AdaptiveAvgPool2d(Module):
    """The mean of each of OH x OW parts; `ops.adaptive_avg_pool2d`          x (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, output_size: Any = 1) -> None:
        pair(output_size, "output_size")
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        return adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return str(self.output_size)


class Flatten(Module):
    """All axes from `start_dim` on as one          x (N, C, H, W) -> (N, C H W)

    >>> Flatten()(np.zeros((2, 8, 4, 4))).shape
    (2, 128)
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim = start_dim

    def forward(self, x: Any) -> Tensor:
        x, shape = x if isinstance(x, Tensor) else Tensor(x), shape_of(x)
        if not 0 <= self.start_dim < max(len(shape), 1):
            raise ValueError(f"Flatten(start_dim={self.start_dim}) of an array of shape {shape}: it has no such axis")
        return x.reshape(*shape[:self.start_dim], math.prod(shape[self.start_dim:]))
