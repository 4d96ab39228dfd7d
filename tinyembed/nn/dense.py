"""A linear layer with an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Tensor
from ..ops import sigmoid, tanh
from .linear import Linear
from .transformer import ACTIVATIONS

ALL: dict[str, Callable[[Any], Tensor]] = {**ACTIVATIONS, "identity": lambda x: x, "tanh": tanh, "sigmoid": sigmoid}


class Dense(Linear):
    """y = a(x W^T + b), a an activation          x (…, in) -> y (…, out)

    activation   "identity", "tanh", "sigmoid", or one of `MLP`'s

    >>> Dense(3, 2, "tanh")(np.zeros((1, 3), np.float32)).shape
    (1, 2)
    """

    def __init__(self, in_features: int, out_features: int, activation: str = "tanh", bias: bool = True, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        if activation not in ALL:
            raise ValueError(f"activation is one of {', '.join(ALL)}, not {activation!r}")
        super().__init__(in_features, out_features, bias, rng=rng, dtype=dtype)
        self.activation = activation

    def forward(self, x: Any) -> Tensor:
        return ALL[self.activation](super().forward(x))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.activation}"
