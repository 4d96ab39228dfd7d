"""The activation of GPT and BERT: many passes over an array, made while a piece of it is in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, primitive
from .normal import normal_cdf, normal_pdf

C = 0.7978845608028654  # sqrt(2 / pi)
BLOCK = 1 << 14  # entries


@primitive
def gelu(x: Array, approximate: str = "none") -> ValueAndVjp:
    """y = x P(x), P(x) the chance that a standard normal variable is below x          (Hendrycks and Gimpel 2016)

    approximate="none":  P = Phi, the distribution itself (BERT)
    approximate="tanh":  P(x) = (1 + tanh(u)) / 2, u = sqrt(2/pi) (x + 0.044715 x^3), which is near it (GPT-2)
    x (…) -> (…)          gradient g (P(x) + x P'(x)), P' = phi, or 2 P (1 - P) u'
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'approximate is "none" or "tanh", not {approximate!r}')
    exact, x = approximate == "none", np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    P, y = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    for part, p, out in _blocks(x, P, y):
        p[...] = normal_cdf(part) if exact else _near_cdf(part)
        np.multiply(part, p, out=out)

    def vjp(g: Array) -> tuple[Any, ...]:
        gx = np.empty(x.shape, x.dtype)
        for part, p, gy, d in _blocks(x, P, g, gx):
            np.multiply(part, normal_pdf(part) if exact else _near_pdf(part, p), out=d)
            d += p
            d *= gy
        return (gx,)

    return y, vjp


def _near_cdf(x: Array) -> Array:
    t = x * x
    t *= C * 0.044715
    t += C
    t *= x
    np.tanh(t, out=t)
    t += 1
    t *= 0.5
    return t


def _near_pdf(x: Array, P: Array) -> Array:
    d = x * x
    d *= 2 * 3 * C * 0.044715
    d += 2 * C
    d *= P
    d *= 1 - P
    return d


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape, a piece of each at a time. What is written to must be contiguous."""
    flat = [a.reshape(-1) for a in arrays]
    for i in range(0, flat[0].size, BLOCK):
        yield tuple(a[i:i + BLOCK] for a in flat)
