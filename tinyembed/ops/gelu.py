"""GELU, the activation of GPT and BERT, exact and by tanh, computed in cache-sized blocks.

Exact takes the normal distribution's Phi and phi, which NumPy lacks: Phi(x) is the chance of a value below x.

float32   Phi(x) = (1 + tanh(x p(x^2))) / 2. x p(x^2) is then log(Phi / (1 - Phi)) / 2, whose p is so smooth that a
          polynomial of degree 6 is right to the last bit or two, and beyond |x| = 6 large enough; tanh is one of
          NumPy's quickest functions.
float64   Phi(x) = erfc(-x / sqrt 2) / 2,  erfc(z) = e^(-z^2) q(t), t = 1 / (1 + z/3), for z >= 0, q of degree 20.

Both polynomials are fitted to Python's own `math.erfc`, once, when first needed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, mode, primitive
from .floats import floats
from .linalg import pieces

C = 0.7978845608028654  # sqrt(2 / pi)
Z_MAX = 26.0  # erfc(26) = 6e-296; beyond, e^(-z^2) takes over
X_MAX = 6.0  # 1 - Phi(6) = 1e-9, which float32 does not see beside 1


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


@functools.cache
def _of_erfc() -> list[float]:
    """The coefficients of q, highest power first."""

    def q(t: Array) -> Array:
        z = [3 * (1 / ti - 1) for ti in t]
        return np.array([math.erfc(zi) * math.exp(zi * zi) for zi in z])

    domain = [1 / (1 + Z_MAX / 3), 1.0]
    fit = np.polynomial.Chebyshev.interpolate(q, 20, domain)
    return [float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef[::-1]]


@functools.cache
def _of_logit() -> list[float]:
    """The coefficients of p, highest power first: least squares, each error weighted with what it does to Phi."""
    x = X_MAX * (np.arange(1, 601) - 0.5) / 600
    above = np.array([math.erfc(v / math.sqrt(2)) / 2 for v in x])  # 1 - Phi
    p = np.log((1 - above) / above) / (2 * x)
    fit = np.polynomial.Chebyshev.fit(x * x, p, 6, domain=[0, X_MAX**2], w=2 * above * (1 - above) * x)
    return [float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef[::-1]]


def _horner(x: Array, coefficients: list[float], y: Array) -> None:
    np.multiply(x, coefficients[0], out=y)
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]


def normal_cdf(x: Any, out: Array | None = None) -> Array:
    """Phi(x), within 2e-7 in float32 and 1e-14 in float64; into `out`, if there is one.

    >>> normal_cdf(np.array([-1.0, 0.0, 1.0])).round(6)
    array([0.158655, 0.5     , 0.841345])
    """
    x = np.asarray(x)
    y = np.empty_like(x) if out is None else out
    if x.dtype != np.float64:
        with np.errstate(over="ignore"):  # far out p is large, or infinite, and tanh is 1
            _horner(x * x, _of_logit(), y)
            y *= x
        np.tanh(y, out=y)
        y += 1
        y *= 0.5
        return y
    t = np.asarray(np.abs(x))
    t *= 1 / math.sqrt(18)  # z / 3
    t += 1
    np.divide(1, t, out=t)
    _horner(t, _of_erfc(), y)
    y *= np.exp(-0.5 * (x * x))
    y *= 0.5
    np.subtract(1, y, out=y, where=x >= 0)
    return y


def normal_pdf(x: Any, out: Array | None = None) -> Array:
    """phi(x) = e^(-x^2/2) / sqrt(2 pi), the derivative of Phi; into `out`, if there is one.

    >>> normal_pdf(np.array([0.0, 1.0])).round(6)
    array([0.398942, 0.241971])
    """
    y = np.asarray(np.multiply(x, x, out=out))
    y *= -0.5
    np.exp(y, out=y)
    y *= 1 / math.sqrt(2 * math.pi)
    return y
