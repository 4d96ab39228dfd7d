"""Rotation of pairs of entries by an angle that grows with the position: rotary embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, as_integers, primitive
from .floats import floats


def check_pairs(pairs: str) -> None:
    """ValueError for what is no way to pair the entries of a vector."""
    if pairs not in ("interleaved", "halves"):
        raise ValueError(f'pairs is "interleaved" or "halves", not {pairs!r}')


def frequencies(D: int, base: float = 10000.0) -> Array:
    """base^(-2i/D) for i = 0 … D/2 - 1, in float64: the angle by which pair i turns from one position to the next.

    >>> frequencies(4)
    array([1.  , 0.01])
    """
    return base ** (np.arange(0, D, 2) / -max(D, 1))


@primitive
def rotate(x: Array, positions: Any, base: float = 10000.0, pairs: str = "interleaved") -> ValueAndVjp:
    """Pair i of x turned in its plane by a = position * base^(-2i/D)          (Su et al. 2021, "RoFormer")

    y1 = x1 cos(a) - x2 sin(a),   y2 = x1 sin(a) + x2 cos(a)
    x (…, D), D even; positions integers that broadcast to x's (…) -> (…, D)
    pairs="interleaved" (the paper): (x[0], x[1]), (x[2], x[3]), …
    pairs="halves" (GPT-NeoX, Llama): (x[0], x[D/2]), (x[1], x[D/2 + 1]), …
    Gradient: g turned back, by -a. The angles are computed in float64.
    """
    check_pairs(pairs)
    positions = as_integers(positions, " as positions")
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ValueError("rotate needs x (…, D) with an even D: entries turn in pairs")
    wide = x.shape[:-1]
    if positions.ndim > len(wide) or any(n not in (1, m) for n, m in zip(positions.shape[::-1], wide[::-1])):
        raise ValueError(f"positions {positions.shape} do not broadcast to {wide}, x without its last axis")
    x = floats(x)
    angles = positions[..., None] * frequencies(x.shape[-1], base)  # (…, D/2)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    return _turn(x, cos, sin, pairs), lambda g: (_turn(g, cos, -sin, pairs),)


def _turn(x: Array, cos: Array, sin: Array, pairs: str) -> Array:
    y = np.empty(x.shape, cos.dtype)
    (x1, x2), (y1, y2) = _of_pairs(x, pairs), _of_pairs(y, pairs)
    np.multiply(x1, cos, out=y1)
    y1 -= x2 * sin
    np.multiply(x1, sin, out=y2)
    y2 += x2 * cos
    return y


def _of_pairs(x: Array, pairs: str) -> tuple[Array, Array]:
    """Views of all firsts and all seconds: (…, D) -> (…, D/2), (…, D/2)"""
    half = x.shape[-1] // 2
    return (x[..., 0::2], x[..., 1::2]) if pairs == "interleaved" else (x[..., :half], x[..., half:])
