"""Adam: a step of about lr for every weight, whatever the scale of its gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Parameter
from .optimizer import Optimizer, check_number


class Adam(Optimizer):
    """w -= lr * m' / (sqrt(v') + eps)

        m = beta1 m + (1 - beta1) g          m' = m / (1 - beta1^t)
        v = beta2 v + (1 - beta2) g^2        v' = v / (1 - beta2^t)

    t counts the steps; for a table whose rows are looked up, the steps of each row.          (Kingma and Ba 2015)

    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([1e-3, -1e3])
    >>> Adam([p], lr=0.1).step(); p.data.round(4)
    array([0.9, 2.1])
    """

    states = ("m", "v")

    def __init__(self, params: Iterable[Parameter], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8) -> None:
        for name, value in (("betas[0]", betas[0]), ("betas[1]", betas[1])):
            check_number(name, value, below=1)
        check_number("eps", eps)
        super().__init__(params, lr)
        self.betas, self.eps = betas, eps

    def rule(self, w: Array, g: Array, t: Any, *states: Array) -> None:
        m, v = states
        beta1, beta2 = self.betas
        # In float64, then in the weights' own dtype: 1 - beta2^t loses digits in float32.
        t = np.asarray(t, np.float64)
        size = np.asarray(self.lr / (1 - beta1 ** t), w.dtype)
        root = np.asarray(1 / np.sqrt(1 - beta2 ** t), w.dtype)
        d = g * g.dtype.type(1 - beta1)
        m *= beta1
        m += d
        np.multiply(g, g, out=d)
        d *= 1 - beta2
        v *= beta2
        v += d
        np.sqrt(v, out=d)
        d *= root
        d += self.eps
        np.divide(m, d, out=d)
        d *= size
        w -= d
