"""Activations as layers, for use in a Sequential."""

from __future__ import annotations

from typing import Any

from ..core import Tensor
from ..ops import gelu, relu
from .module import Module


class ReLU(Module):
    """y = max(x, 0)          x (…) -> (…)"""

    def forward(self, x: Any) -> Tensor:
        return relu(x)


class GELU(Module):
    """y = x P(x); `ops.gelu` has the formula, for approximate="none" and "tanh"          x (…) -> (…)"""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'approximate is "none" or "tanh", not {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Any) -> Tensor:
        return gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return self.approximate * (self.approximate != "none")
