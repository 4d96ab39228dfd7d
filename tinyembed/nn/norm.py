"""LayerNorm and RMSNorm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Parameter, Tensor
from ..ops import layer_norm, rms_norm
from .module import Module, shape_of


class _Norm(Module):
    def __init__(self, normalized_shape: int, eps: float, dtype: Any) -> None:
        self.normalized_shape, self.eps = normalized_shape, eps
        self.weight = Parameter(np.ones(normalized_shape, dtype))

    def _check(self, x: Any) -> None:
        if shape_of(x)[-1:] != (self.normalized_shape,):
            raise ValueError(f"{self._title()} takes x (…, {self.normalized_shape}), got {shape_of(x)}")

    def extra_repr(self) -> str:
        return str(self.normalized_shape)


class LayerNorm(_Norm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias over the last axis; `ops.layer_norm` has the gradient.

    x (…, D) -> (…, D)          weight starts at 1, bias at 0          (Ba, Kiros and Hinton 2016)

    >>> LayerNorm(2)(Tensor([[1.0, 3.0]])).data.round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-5, *, dtype: Any = np.float32) -> None:
        super().__init__(normalized_shape, eps, dtype)
        self.bias = Parameter(np.zeros(normalized_shape, dtype))

    def forward(self, x: Any) -> Tensor:
        self._check(x)
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm(_Norm):
    """y = weight * x / sqrt(mean(x^2) + eps) over the last axis; `ops.rms_norm` has the gradient.

    x (…, D) -> (…, D)          weight starts at 1          (Zhang and Sennrich 2019)

    >>> RMSNorm(2)(Tensor([[3.0, 3.0]])).data.round(3)
    array([[1., 1.]], dtype=float32)
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-6, *, dtype: Any = np.float32) -> None:
        super().__init__(normalized_shape, eps, dtype)

    def forward(self, x: Any) -> Tensor:
        self._check(x)
        return rms_norm(x, self.weight, self.eps)
