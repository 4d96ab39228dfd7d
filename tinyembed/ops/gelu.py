"""The activation of GPT and BERT: many passes over an array, made while a piece of it is in the processor's cache."""

from __future__ import annotations

import numpy as np

from ..core import Array, ValueAndVjp, mode, primitive
from .floats import floats
from .linalg import pieces
from .normal import normal_cdf, normal_pdf

C = 0.7978845608028654  # sqrt(2 / pi)


@primitive
def gelu(x: Array, approximate: str = "none") -> ValueAndVjp:
    """y = x P(x), P(x) the chance that a standard normal variable is below x          (Hendrycks and Gimpel 2016)

    approximate="none":  P = Phi, the distribution itself (BERT)
    approximate="tanh":  P(x) = (1 + tanh(u)) / 2, u = sqrt(2/pi) (x + 0.044715 x^3), which is near it (GPT-2)
    x (…) -> (…)          gradient g (P(x) + x P'(x)), P' = phi, or 2 P (1 - P) u'
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'approximate is "none" or "tanh", not {approximate!r}')
    x = floats(np.asarray(x))
    y = np.empty(x.shape, x.dtype)
    P = np.empty_like(y) if mode.recording else y  # without a gradient nobody needs it again
    for part, p, out in pieces(x, P, y, lines=False):
        _times_cdf(part, p, out, approximate)
    return y, lambda g: (_slope(x, P, g, approximate),)


def _times_cdf(x: Array, P: Array, y: Array, approximate: str) -> None:
    """P(x) into P and x P(x) into y, which may be one array."""
    if approximate == "none":
        normal_cdf(x, out=P)
    else:
        _near_cdf(x, out=P)
    np.multiply(x, P, out=y)


def _slope(x: Array, P: Array, g: Array, approximate: str) -> Array:
    """g (P + x P')"""
    gx = np.empty(x.shape, x.dtype)
    for part, p, gy, d in pieces(x, P, g, gx, lines=False):
        if approximate == "none":
            normal_pdf(part, out=d)
            d *= part
            d += p
        else:
            _near_slope(part, p, out=d)
        d *= gy
    return gx


def _near_cdf(x: Array, out: Array) -> None:
    np.multiply(x, x, out=out)
    out *= C * 0.044715
    out += C
    out *= x
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


def _near_slope(x: Array, P: Array, out: Array) -> None:
    """P + x 2 P (1 - P) u' = P (1 + (1 - P) x 2 u')"""
    np.multiply(x, x, out=out)
    out *= 2 * 3 * C * 0.044715
    out += 2 * C
    out *= x
    out *= 1 - P
    out += 1
    out *= P
