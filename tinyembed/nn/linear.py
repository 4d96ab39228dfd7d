"""The linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Parameter, Tensor, fresh_rng
from ..ops import linear
from .module import Module, shape_of


class Linear(Module):
    """y = x W^T + b          x (…, in_features) -> y (…, out_features)

    weight (out_features, in_features) and bias (out_features) start uniform in ±1/sqrt(in_features), as in PyTorch.
    Raises ValueError for another width, with both shapes.

    >>> Linear(3, 2)(Tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        rng = fresh_rng() if rng is None else rng
        bound = 1 / np.sqrt(max(in_features, 1))
        self.weight = Parameter(rng.uniform(-bound, bound, (out_features, in_features)).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype)) if bias else None

    @property
    def in_features(self) -> int:
        return int(self.weight.shape[1])

    @property
    def out_features(self) -> int:
        return len(self.weight)

    def forward(self, x: Any) -> Tensor:
        if shape_of(x)[-1:] != (self.in_features,):
            raise ValueError(f"{self._title()} takes x (…, {self.in_features}), got {shape_of(x)}")
        return linear(x, self.weight, self.bias)

    def grow(self, k: int, *, std: float = 1.0, rng: np.random.Generator | None = None) -> Any:
        """Add k outputs, with rows N(0, std^2) and bias 0; returns the module. As `Embedding.grow`, for the head.

        >>> Linear(3, 2).grow(2)(Tensor([[1.0, 2.0, 3.0]])).shape
        (1, 4)
        """
        if k < 1:
            raise ValueError(f"a layer grows by at least one output, not {k}")
        rng = fresh_rng() if rng is None else rng
        self.weight.grow(rng.standard_normal((k, self.in_features)) * std)
        if self.bias is not None:
            self.bias.grow(np.zeros(k))
        return self

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}" + ", no bias" * (self.bias is None)
