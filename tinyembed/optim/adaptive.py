"""Adagrad and RMSprop: learning rates scaled by the squared gradients so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Parameter
from ..rows import LinearCatchUp
from .optimizer import Optimizer


def _refuse_decay(name: str) -> ValueError:
    return ValueError(f"decay through {name}'s sums of squares moves untouched rows in a way that has no closed form")


class Adagrad(Optimizer):
    """s += g^2          w -= lr * g / (sqrt(s) + eps)

    A row that is absent stands still, so row gradients are exact at no cost. With `weight_decay`, g has
    weight_decay * w added first. With `per_row`, s is one number a row, the mean of g^2 over it: V numbers of state.
    (Duchi, Hazan and Singer 2011)

    >>> from tinyembed.nn import Parameter
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([4.0, -1.0])
    >>> Adagrad([p], lr=0.1).step(); p.data.round(6)
    array([0.9, 2.1])
    """

    states = ("s",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0,
                 per_row: bool = False, sparse: str = "exact") -> None:
        super().__init__(params, sparse, lr=lr, eps=eps, weight_decay=weight_decay, per_row=per_row)

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        s, = states
        if o.weight_decay:
            g = g + w.dtype.type(o.weight_decay) * w
        s += np.einsum("...d,...d->...", g, g)[..., None] / g.shape[-1] if o.per_row else g * g
        d = np.sqrt(s)
        d += max(o.eps, float(np.finfo(w.dtype).tiny))  # 0 / 0 is 0 here
        if o.per_row:
            w -= g * (o.rate / d)
        else:
            np.divide(g, d, out=d)
            d *= o.rate
            w -= d

    def state_shape(self, o: Any, p: Parameter) -> tuple[int, ...]:
        return (*p.shape[:1], *(1 for _ in p.shape[1:])) if o.per_row else p.shape

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        if o.weight_decay:
            raise _refuse_decay("Adagrad")
        return None


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g^2          b = momentum * b + g / (sqrt(v) + eps)          w -= lr * b

    Without momentum b is g / (sqrt(v) + eps). With `weight_decay`, g has weight_decay * w added first.
    (Tieleman and Hinton 2012, lecture 6.5; in PyTorch's form)

    >>> from tinyembed.nn import Parameter
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([4.0, -1.0])
    >>> RMSprop([p], lr=0.1).step(); p.data.round(6)
    array([0., 3.])
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum: float = 0.0, sparse: str = "exact") -> None:
        super().__init__(params, sparse, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        self.states = ("v", *self._momentum_state("b"))

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        v = states[0]
        if o.weight_decay:
            g = g + w.dtype.type(o.weight_decay) * w
        d = g * g
        d *= 1 - o.alpha
        v *= o.alpha
        v += d
        np.sqrt(v, out=d)
        d += max(o.eps, float(np.finfo(w.dtype).tiny))  # 0 / 0 is 0 here
        np.divide(g, d, out=d)
        if o.momentum:
            b = states[1]
            b *= o.momentum
            b += d
            d = b * w.dtype.type(o.rate)
        else:
            d *= o.rate
        w -= d

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        if o.weight_decay:
            raise _refuse_decay("RMSprop")
        return LinearCatchUp(1 + len(self.states), t)
