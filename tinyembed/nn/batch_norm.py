"""Batch normalisation of channels, with running statistics for evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor
from ..ops import batch_norm
from .module import Buffer, Module, shape_of


class BatchNorm2d(Module):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, for each channel; `ops.batch_norm` has the gradient.

        x (N, C, H, W) -> (N, C, H, W)          weight starts at 1, bias at 0          (Ioffe and Szegedy 2015)

    In training mean and var are those of the batch, over its M = N H W numbers a channel, and are remembered:

        running_mean += momentum (mean - running_mean)
        running_var  += momentum (var M / (M - 1) - running_var)          (from 0 and 1)

    In eval they are the running ones, and each picture is treated by itself. These are buffers: in the layer's dtype,
    in `state_dict` and checkpoints, not among the parameters. (PyTorch's files have a `num_batches_tracked` besides,
    which nothing else needs: load one with strict=False.)

    Every forward in training counts, one without a gradient too. With several batches in a step, each is normalised by
    itself and remembered in turn. momentum=None takes the plain mean over all batches so far, which a further buffer
    counts. With several processes each normalises its own part of the batch, so a part should
    have some dozens of numbers a channel; `fit` then replaces the running means by their mean over the processes. A
    step that `fit` refuses, because something is not finite, is not remembered.
    ValueError in training for a batch with one number a channel: its variance is unknown.

    >>> norm = BatchNorm2d(1, momentum=0.5)
    >>> norm(np.float32([[[[1, 3]]]])).data.round(3).tolist(), norm.running_mean.data.tolist()
    ([[[[-1.0, 1.0]]]], [1.0])
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, *,
                 dtype: Any = np.float32) -> None:
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"momentum, the share of the newest batch, is in 0 … 1, or None, not {momentum}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        zeros, ones = np.zeros(num_features, dtype), np.ones(num_features, dtype)
        self.weight, self.bias = Parameter(ones), Parameter(zeros)
        self.running_mean, self.running_var = Buffer(zeros), Buffer(ones)
        if momentum is None:
            self.num_batches_tracked = Buffer(np.zeros((), dtype))

    def forward(self, x: Any) -> Tensor:
        shape = shape_of(x)
        if len(shape) != 4 or shape[1] != self.num_features:
            raise ValueError(f"{self._title()} takes x (N, {self.num_features}, H, W), got {shape}")
        M = shape[0] * shape[2] * shape[3]
        if not self.training:
            return batch_norm(x, self.weight, self.bias, mean=self.running_mean.data, var=self.running_var.data,
                              eps=self.eps)
        if M == 1:
            raise ValueError(f"{self._title()} in training needs more than one number a channel, got x {shape}; call "
                             ".eval() to use the running means")

        def remember(mean: Array, var: Array) -> None:
            share = self.momentum
            if share is None:
                self.num_batches_tracked.data = self.num_batches_tracked.data + 1
                share = 1 / self.num_batches_tracked.item()
            for buffer, new in ((self.running_mean, mean), (self.running_var, var * (M / max(M - 1, 1)))):
                buffer.data = buffer.data + share * (new - buffer.data)

        return batch_norm(x, self.weight, self.bias, eps=self.eps, seen=remember if M else None)

    def extra_repr(self) -> str:
        return str(self.num_features)


class BatchNorm1d(BatchNorm2d):
    """The same for vectors, x (N, C) -> (N, C), and for sequences, x (N, C, L) -> (N, C, L).

    >>> norm = BatchNorm1d(2, momentum=None)
    >>> norm(np.float32([[1, 0], [3, 4]])).data.round(3).tolist(), norm.running_mean.data.tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [2.0, 2.0])
    """

    def forward(self, x: Any) -> Tensor:
        x, shape = x if isinstance(x, Tensor) else Tensor(x), shape_of(x)
        if len(shape) not in (2, 3) or shape[1] != self.num_features:
            raise ValueError(f"{self._title()} takes x (N, {self.num_features}) or (N, {self.num_features}, L), got "
                             f"{shape}")
        return super().forward(x.reshape(*shape[:2], math.prod(shape[2:]), 1)).reshape(shape)
