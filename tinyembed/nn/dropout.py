"""Dropout as a layer: active in training, off in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..ops import dropout
from .module import Module


class Dropout(Module):
    """In training each entry is zeroed with probability p and the others divided by 1 - p; in eval y = x.

    x (…) -> (…)          (Srivastava et al. 2014)

    >>> Dropout(0.5).eval()(Tensor([1.0, 2.0])).data
    array([1., 2.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"the dropout probability is in 0 … 1 (exclusive), not {p}")
        self.p = p
        self.rng = fresh_rng() if rng is None else rng

    def forward(self, x: Any) -> Tensor:
        if not self.training or self.p == 0:
            return x if isinstance(x, Tensor) else Tensor(x)
        return dropout(x, self.p, rng=self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"
