"""An affine layer and a bend."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor
from ..ops import gelu, relu, sigmoid, silu, tanh
from .linear import Linear

BENDS = {"identity": lambda x: x, "tanh": tanh, "relu": relu, "gelu": gelu, "silu": silu, "sigmoid": sigmoid}


class Dense(Linear):
    """y = a(x W^T + b), a one of identity, tanh, relu, gelu, silu, sigmoid          x (…, in) -> y (…, out)

    >>> Dense(3, 2, "tanh")(np.zeros((1, 3), np.float32)).shape
    (1, 2)
    """

    def __init__(self, in_features: int, out_features: int, activation: str = "tanh", bias: bool = True, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        if activation not in BENDS:
            raise ValueError(f"activation is one of {', '.join(BENDS)}, not {activation!r}")
        super().__init__(in_features, out_features, bias, rng=rng, dtype=dtype)
        self.activation = activation

    def forward(self, x: Any) -> Tensor:
        return BENDS[self.activation](super().forward(x))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.activation}"
