"""Gradient clipping, by norm and by value. Row gradients are coalesced first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Parameter, RowGrad, norm
from .groups import each
from .optimizer import check_number


def clip_grad_norm(params: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients by one factor so that their joint Euclidean norm is at most max_norm; return the norm before.

    A norm that is NaN or infinite is returned and nothing is scaled: there is no factor that would help.

    >>> p = Parameter(np.zeros(2)); p.grad = np.array([30.0, 40.0])
    >>> clip_grad_norm([p], 5.0), p.grad
    (50.0, array([3., 4.]))
    """
    check_number("max_norm", max_norm)
    params = [p for p in each(params) if p.grad is not None]
    for p in params:
        p.grad = _coalesced(p.grad)
    total = math.hypot(*(norm(g.rows if isinstance(g, RowGrad) else g) for g in (p.grad for p in params)))
    if math.isfinite(total) and total > max_norm:
        for p in params:
            p.grad = p.grad * p.dtype.type(max_norm / total)
    return total


def clip_grad_value(params: Iterable[Parameter], max_value: float) -> None:
    """Keep every entry of every gradient within ±max_value.

    >>> p = Parameter(np.zeros(2)); p.grad = np.array([30.0, -0.5])
    >>> clip_grad_value([p], 1.0); p.grad
    array([ 1. , -0.5])
    """
    check_number("max_value", max_value)
    for p in each(params):
        g = p.grad = _coalesced(p.grad)
        if g is None:
            continue
        clipped = np.clip(g.rows if isinstance(g, RowGrad) else g, -max_value, max_value).astype(g.dtype, copy=False)
        p.grad = RowGrad(g.shape, g.ids, clipped, coalesced=True) if isinstance(g, RowGrad) else clipped


def _coalesced(g: Any) -> Any:
    return g.coalesce() if isinstance(g, RowGrad) else g
