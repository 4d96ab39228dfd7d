"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import Array, Parameter
from .optimizer import Optimizer, check_number


class SGD(Optimizer):
    """w -= lr * m          m = momentum * m + g          (without momentum m is g)

    Sutskever et al. 2013, in PyTorch's form: the learning rate scales the step, not the momentum.

    >>> import numpy as np
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([1.0, 0.0])
    >>> SGD([p], lr=0.1).step(); p.data
    array([0.9, 2. ])
    """

    def __init__(self, params: Iterable[Parameter], lr: float, momentum: float = 0.0) -> None:
        check_number("momentum", momentum, below=1)
        super().__init__(params, lr)
        self.momentum = momentum
        self.states = ("momentum",) if momentum else ()

    def rule(self, w: Array, g: Array, t: Any, *states: Array) -> None:
        if states:
            m, = states
            m *= self.momentum
            m += g
            g = m
        w -= w.dtype.type(self.lr) * g
