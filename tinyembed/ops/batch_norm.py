"""Normalisation of each channel over a batch of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, primitive, sum_rows
from .linalg import as_matrix, pieces
from .windows import channels_last, channels_second


@primitive
def batch_norm(x: Array, weight: Array, bias: Array, mean: Array | None = None, var: Array | None = None,
               eps: float = 1e-5, seen: Callable[[Array, Array], None] | None = None) -> ValueAndVjp:
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
    of_batch, pictures = mean is None, channels_last(x)
    x2, y = as_matrix(pictures), np.empty(pictures.shape, x.dtype)  # (M, C)
    M, C = max(len(x2), 1), x.shape[1]
    if mean is None or var is None:
        mean, var = _moments(x2, M)
        if seen is not None:
            seen(mean, var)
    mean, scale = np.asarray(mean, x.dtype), (1 / np.sqrt(np.asarray(var) + eps)).astype(x.dtype)
    for xs, ys in pieces(x2, as_matrix(y)):
        np.subtract(xs, mean, out=ys)
        ys *= scale * weight
        ys += bias

    def vjp(g: Array) -> tuple[Any, ...]:
        g, gx = channels_last(g), np.empty(pictures.shape, x.dtype)
        g2, along = as_matrix(g), np.zeros(C)
        total = sum_rows(g2)
        for xs, gs in pieces(x2, g2):
            along += sum_rows(gs * (xs - mean))
        along *= scale  # sum(g z)
        for xs, gs, out in pieces(x2, g2, as_matrix(gx)):
            if of_batch:
                np.subtract(xs, mean, out=out)
                out *= (-along / M).astype(x.dtype) * scale
                out += gs
                out -= (total / M).astype(x.dtype)
                out *= scale * weight
            else:
                np.multiply(gs, scale * weight, out=out)
        return channels_second(gx), along, total

    return channels_second(y), vjp


def _moments(x: Array, M: int) -> tuple[Array, Array]:
    """Mean and variance of each column of x (M, C), in two passes: from E(x^2) - mean^2 few digits would be left."""
    mean, squares = (sum_rows(x) / M).astype(x.dtype), np.zeros(x.shape[1])
    for xs, in pieces(x):
        d = xs - mean
        squares += sum_rows(d * d)
    return mean, (squares / M).astype(x.dtype)
