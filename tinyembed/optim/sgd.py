"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import Array
from ..rows import LinearCatchUp
from .optimizer import Optimizer


class SGD(Optimizer):
    """w -= lr * m          m = momentum * m + g          (without momentum m is g)

    Sutskever et al. 2013, in PyTorch's form: the learning rate scales the step, not the momentum. With `nesterov`,
    w -= lr * (g + momentum * m). With `weight_decay`, g has weight_decay * w added first.

    >>> import numpy as np
    >>> from tinyembed.nn import Parameter
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([1.0, 0.0])
    >>> SGD([p], lr=0.1).step(); p.data
    array([0.9, 2. ])
    """

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False, sparse: str = "exact") -> None:
        super().__init__(params, sparse, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
        self.states = self._momentum_state("momentum")

    @staticmethod
    def check(o: Any) -> None:
        if o.nesterov and not o.momentum:
            raise ValueError("nesterov needs a momentum above 0")

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        rate = w.dtype.type(o.rate)
        if o.weight_decay:
            g = g + w.dtype.type(o.weight_decay) * w
        if o.momentum:
            m, = states
            m *= o.momentum
            m += g
            g = g + w.dtype.type(o.momentum) * m if o.nesterov else m
        w -= rate * g

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        return LinearCatchUp(1 + len(self.states), t) if o.momentum or o.weight_decay else None
