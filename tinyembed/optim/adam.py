"""Adam and AdamW: adaptive moments, with weight decay through the gradient or decoupled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array
from ..rows import AdamCatchUp
from .optimizer import Optimizer


class AdamW(Optimizer):
    """w -= lr * weight_decay * w          then          w -= lr * m' / (sqrt(v') + eps)

        m = beta1 m + (1 - beta1) g          m' = m / (1 - beta1^t)
        v = beta2 v + (1 - beta2) g^2        v' = v / (1 - beta2^t)

    The decay acts on the weights beside the step, not through the gradient's averages.
    (Kingma and Ba 2015; Loshchilov and Hutter 2019)

    >>> from tinyembed.nn import Parameter
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([1e-3, -1e3])
    >>> AdamW([p], lr=0.1, weight_decay=0.5).step(); p.data.round(4)
    array([0.85, 2.  ])
    """

    states = ("m", "v")

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.01, sparse: str = "exact") -> None:
        super().__init__(params, sparse, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    @staticmethod
    def check(o: Any) -> None:
        if o.rate * o.weight_decay >= 1:
            raise ValueError(f"lr * weight_decay = {o.rate * o.weight_decay:.3g} would turn the weights round; it must "
                             "be below 1")

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        if o.weight_decay:
            w *= w.dtype.type(1 - o.rate * o.weight_decay)
        self._adam(o, t, w, g, *states)

    def _adam(self, o: Any, t: Any, w: Array, g: Array, m: Array, v: Array) -> None:
        beta1, beta2 = o.betas
        # In float64, then in the weights' own dtype: 1 - beta2^t loses digits in float32.
        root = (1 - beta2 ** t) ** 0.5  # m' / (sqrt(v') + eps) = m / (1 - beta1^t) * root / (sqrt(v) + eps * root)
        size = np.asarray(o.rate / (1 - beta1 ** t) * root, w.dtype)
        eps = np.maximum(np.asarray(o.eps * root, w.dtype), np.finfo(w.dtype).tiny)  # 0 / 0 is 0 here
        d = g * g.dtype.type(1 - beta1)
        m *= beta1
        m += d
        np.multiply(g, g, out=d)
        d *= 1 - beta2
        v *= beta2
        v += d
        np.sqrt(v, out=d)
        d += eps
        np.divide(m, d, out=d)
        d *= size
        w -= d

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        return AdamCatchUp(o.betas, o.eps, dtype, t)


class Adam(AdamW):
    """AdamW without decay; a `weight_decay` here is added to the gradient instead, g + weight_decay * w, as in PyTorch.

    (Kingma and Ba 2015)

    >>> from tinyembed.nn import Parameter
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([1e-3, -1e3])
    >>> Adam([p], lr=0.1).step(); p.data.round(4)
    array([0.9, 2.1])
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, sparse: str = "exact") -> None:
        super().__init__(params, lr, betas, eps, weight_decay, sparse)

    @staticmethod
    def check(o: Any) -> None:
        """Here decay is a part of the gradient, and goes with every learning rate."""

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        if o.weight_decay:
            g = g + w.dtype.type(o.weight_decay) * w
        self._adam(o, t, w, g, *states)

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        if o.weight_decay:
            raise ValueError("decay that passes through Adam's averages moves untouched rows in a way that has no "
                             "closed form; AdamW's has")
        return super().catch_up_law(o, t, dtype)
