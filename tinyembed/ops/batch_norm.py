"""Batch normalisation of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, primitive, sum_rows
from .floats import floats
from .linalg import pieces
from .windows import channels_last, channels_second


@primitive
def batch_norm(x: Array, weight: Array, bias: Array, mean: Array | None = None, var: Array | None = None,
               eps: float = 1e-5, seen: Callable[[Any, Any], None] | None = None) -> ValueAndVjp:
    """y = weight * z + bias, z = (x - mean) / sqrt(var + eps), for each channel by itself

        x (N, C, H, W); weight, bias, mean, var (C) -> (N, C, H, W)

    mean, var   constants, such as running means. If None, those of the M = N H W numbers of each channel, the variance
                with M for M - 1; the gradient goes through them.
    seen        a function that is told the mean and the variance of the batch; a layer keeps running means with it

    dx = weight / sqrt(var + eps) * (g - mean(g) - z mean(g z)), the means only if they are of the batch
    dweight = sum(g z), dbias = sum(g)          (Ioffe and Szegedy 2015)
    """
    if x.ndim != 4 or any(v is not None and np.shape(v) != x.shape[1:2] for v in (weight, bias, mean, var)) or \
            (mean is None) != (var is None):
        raise ValueError("it needs x (N, C, H, W), weight and bias (C), and either both of mean and var (C) or none")
    x, weight, bias, mean, var = floats(x, weight, bias, mean, var)
    of_batch, pictures = mean is None, channels_last(x)
    N, H, W, C = pictures.shape
    M, lines, y = max(N * H * W, 1), pictures.reshape(N * H, W * C), np.empty(pictures.shape, x.dtype)
    if mean is None or var is None:
        mean, var = _moments(lines, C, M)
        if seen is not None:
            seen(mean, var)
    scale = 1 / np.sqrt(np.asarray(var, np.float64) + eps)

    def along(v: Any) -> Array:
        """A number for each channel, W times: one long run beside a line of a picture."""
        return np.tile(np.asarray(v, x.dtype), W)

    centre, factor, shift = along(mean), along(scale * weight), along(bias)
    for some, out in pieces(lines, y.reshape(lines.shape)):
        np.subtract(some, centre, out=out)
        out *= factor
        out += shift

    def vjp(g: Array) -> tuple[Any, ...]:
        g, gx = channels_last(g).reshape(lines.shape), np.empty(lines.shape, x.dtype)
        of_bias, of_weight = _sum(g, C), np.zeros(C)
        for some, gs in pieces(lines, g):
            of_weight += _sum(gs * (some - centre), C) * scale  # sum(g z)
        mean_of_g, mean_of_gz = along(of_bias / M), along(of_weight * scale / M)
        for some, gs, out in pieces(lines, g, gx):
            if of_batch:
                np.subtract(centre, some, out=out)
                out *= mean_of_gz
                out += gs
                out -= mean_of_g
                out *= factor
            else:
                np.multiply(gs, factor, out=out)
        return channels_second(gx.reshape(pictures.shape)), of_weight, of_bias

    return channels_second(y), vjp


def _moments(lines: Array, C: int, M: int) -> tuple[Array, Array]:
    """Mean and variance of each channel, in two passes: from E(x^2) - mean^2 few digits would be left."""
    mean, squares = (_sum(lines, C) / M).astype(lines.dtype), np.zeros(C)
    centre = np.tile(mean, lines.shape[1] // max(C, 1))
    for some, in pieces(lines):
        d = some - centre
        squares += _sum(d * d, C)
    return mean, (squares / M).astype(lines.dtype)


def _sum(lines: Array, C: int) -> Array:
    """The sum of each channel over lines (n, W C)."""
    return sum_rows(lines).reshape(lines.shape[1] // max(C, 1), C).sum(0, dtype=np.float64)
