"""Elementwise ops. Operands broadcast as in NumPy; the engine undoes it in the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, primitive
from .floats import floats


@primitive
def add(x: Array, y: Array) -> ValueAndVjp:
    """x + y          gradients g, g"""
    return np.add(x, y), lambda g: (g, g)


@primitive
def subtract(x: Array, y: Array) -> ValueAndVjp:
    """x - y          gradients g, -g"""
    return np.subtract(x, y), lambda g: (g, -g)


@primitive
def multiply(x: Array, y: Array) -> ValueAndVjp:
    """x * y          gradients g * y, g * x"""
    return np.multiply(x, y), lambda g: (g * y, g * x)


@primitive
def divide(x: Array, y: Array) -> ValueAndVjp:
    """x / y          gradients g / y, -g * x / y^2"""
    z = np.divide(x, y)
    return z, lambda g: (g / y, -g * z / y)


@primitive
def negative(x: Array) -> ValueAndVjp:
    """-x          gradient -g"""
    return np.negative(x), lambda g: (-g,)


@primitive
def power(x: Array, y: Array) -> ValueAndVjp:
    """x ** y          gradients g * y * x^(y-1), g * x^y * log(x)

    d/dx is 0 where y is 0; where it is infinite, at x = 0 for a number y < 1, it is 0 for g = 0. d/dy needs x >= 0; it
    is 0 at x = 0, the limit for y > 0, and NaN below.
    """
    z = np.power(x, y)

    def vjp(g: Array) -> tuple[Any, ...]:
        if not isinstance(y, np.ndarray):  # a Python number
            slope = y * np.power(x, y - 1 if y else 0)
            return (g * slope if y >= 1 else np.multiply(g, slope, out=np.zeros_like(g), where=g != 0),)
        gx = g * y * np.power(x, np.where(y == 0, 0, y - 1))
        with np.errstate(invalid="ignore"):
            return gx, g * z * np.log(np.where(np.equal(x, 0), 1, x))

    return z, vjp


@primitive
def exp(x: Array) -> ValueAndVjp:
    """e^x          gradient g * y"""
    y = np.exp(x)
    return y, lambda g: (g * y,)


@primitive
def log(x: Array) -> ValueAndVjp:
    """Natural logarithm          gradient g / x"""
    return np.log(x), lambda g: (g / x,)


@primitive
def log1p(x: Array) -> ValueAndVjp:
    """log(1 + x), exact for small x          gradient g / (1 + x)"""
    return np.log1p(x), lambda g: (g / (1 + x),)


@primitive
def expm1(x: Array) -> ValueAndVjp:
    """e^x - 1, exact for small x          gradient g * (y + 1)"""
    y = np.expm1(x)
    return y, lambda g: (g * (y + 1),)


@primitive
def cos(x: Array) -> ValueAndVjp:
    """Cosine of an angle          gradient -g * sin(x)"""
    return np.cos(x), lambda g: (-g * np.sin(x),)


@primitive
def sin(x: Array) -> ValueAndVjp:
    """Sine of an angle          gradient g * cos(x)"""
    return np.sin(x), lambda g: (g * np.cos(x),)


@primitive
def sqrt(x: Array) -> ValueAndVjp:
    """Square root          gradient g / (2 y), infinite at 0, but 0 for g = 0"""
    y = np.sqrt(x)
    return y, lambda g: (np.divide(g, 2 * y, out=np.zeros_like(g), where=g != 0),)


@primitive
def abs(x: Array) -> ValueAndVjp:
    """|x|          gradient g * sign(x), 0 at the kink x = 0"""
    return np.abs(x), lambda g: (g * np.sign(x),)


@primitive
def sign(x: Array) -> ValueAndVjp:
    """-1, 0 or 1          gradient 0: flat wherever it has one"""
    return np.sign(x), lambda g: (np.zeros_like(g),)


@primitive
def clip(x: Array, min: Any = None, max: Any = None) -> ValueAndVjp:
    """x kept within min … max (constants; None for open)          gradient g inside and on the bounds, 0 outside"""
    y = np.clip(x, min, max)
    return y, lambda g: (g * (y == x),)


@primitive
def maximum(x: Array, y: Array) -> ValueAndVjp:
    """The larger of x and y          gradient g to the larger, half to each at a tie"""
    return np.maximum(x, y), lambda g: (g * _share(x, y), g * _share(y, x))


@primitive
def minimum(x: Array, y: Array) -> ValueAndVjp:
    """The smaller of x and y          gradient g to the smaller, half to each at a tie"""
    return np.minimum(x, y), lambda g: (g * _share(y, x), g * _share(x, y))


def _share(x: Array, y: Array) -> Array:
    """1 where x > y, 1/2 where equal, 0 where below."""
    return np.greater(x, y) * np.float32(0.5) + np.greater_equal(x, y) * np.float32(0.5)


@primitive
def where(condition: Array, x: Array, y: Array) -> ValueAndVjp:
    """x where condition, else y          gradient g where taken, 0 elsewhere"""
    if isinstance(x, float) and isinstance(y, float):
        x, y = np.float32(x), np.float32(y)  # Python floats alone are float32
    return np.where(condition, x, y)[()], lambda g: (None, np.where(condition, g, 0), np.where(condition, 0, g))


@primitive
def astype(x: Array, dtype: Any) -> ValueAndVjp:
    """x in another dtype          gradient g (the engine casts it back)"""
    return np.array(x, dtype), lambda g: (g,)


@primitive
def tanh(x: Array) -> ValueAndVjp:
    """y = tanh(x)          gradient g * (1 - y^2)"""
    y = np.tanh(x)
    return y, lambda g: (g * (1 - y * y),)


def _sigmoid(x: Array, e: Array | None = None) -> Array:
    """1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) below: nothing overflows, and small values keep their digits.
    e: e^-|x|, where it is known."""
    e = np.asarray(np.exp(-np.abs(x))) if e is None else e
    y = np.where(np.greater_equal(x, 0), e.dtype.type(1), e)
    y /= e + e.dtype.type(1)
    return y


@primitive
def sigmoid(x: Array) -> ValueAndVjp:
    """y = 1 / (1 + e^-x)          gradient g * y * (1 - y)"""
    y = _sigmoid(floats(x))
    return y, lambda g: (g * y * (1 - y),)


@primitive
def softplus(x: Array) -> ValueAndVjp:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which cannot overflow          gradient g * sigmoid(x)"""
    x = floats(x)
    e = np.asarray(np.exp(-np.abs(x)))
    return np.maximum(x, 0) + np.log1p(e), lambda g: (g * _sigmoid(x, e),)


@primitive
def log_sigmoid(x: Array) -> ValueAndVjp:
    """log(sigmoid(x)) = -softplus(-x)          gradient g * sigmoid(-x)"""
    x = floats(x)
    e = np.asarray(np.exp(-np.abs(x)))
    return np.minimum(x, 0) - np.log1p(e), lambda g: (g * _sigmoid(-x, e),)


@primitive
def relu(x: Array) -> ValueAndVjp:
    """max(x, 0)          gradient g where x > 0, else 0; also 0 at the kink (PyTorch's choice)"""
    return np.maximum(x, 0), lambda g: (g * np.greater(x, 0),)


@primitive
def silu(x: Array) -> ValueAndVjp:
    """x * s, s = sigmoid(x)          gradient g * s * (1 + x * (1 - s))          (Elfwing et al. 2018; "swish")"""
    x = floats(x)
    s = _sigmoid(x)
    return x * s, lambda g: (g * s * (1 + x * (1 - s)),)
