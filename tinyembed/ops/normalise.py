"""Normalisation: softmax, layer norm, RMS norm, unit length; and dropout."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core import CHUNK, Array, Tensor, ValueAndVjp, method, mode, primitive, sum_rows
from .floats import floats
from .linalg import as_matrix, dots, pieces
from .reduce import long_sum


def below_top(x: Array, axis: int) -> Array:
    """x minus its largest entry along axis, where that is finite: e^x of it cannot overflow."""
    x = floats(x)
    top = np.asarray(np.max(x, axis, keepdims=True, initial=-np.inf))
    top[~np.isfinite(top)] = 0
    return np.asarray(x - top)


def _total(x: Array, axis: int) -> Array:
    """The sum along axis, which stays at size 1. Along the last one of an array in one piece NumPy adds pairwise."""
    pairwise = x.flags.c_contiguous and axis in (-1, x.ndim - 1)
    return np.asarray(np.sum(x, axis, keepdims=True) if pairwise else long_sum(x, axis, True))


@primitive
def softmax(x: Array, axis: int = -1) -> ValueAndVjp:
    """y = e^x / sum(e^x) along axis          x (…) -> (…)          gradient y * (g - sum(g * y))

    Entries of -inf get weight 0; a line of nothing else is zeros, with gradient 0.
    """
    y = below_top(x, axis)
    np.exp(y, out=y)
    total = _total(y, axis)
    total[total == 0] = 1
    y /= total

    def vjp(g: Array) -> tuple[Any, ...]:
        gx = g * y
        gx -= y * _total(gx, axis)
        return (gx,)

    return y, vjp


@primitive
def log_softmax(x: Array, axis: int = -1) -> ValueAndVjp:
    """y = x - log(sum(e^x)) along axis          x (…) -> (…)          gradient g - e^y * sum(g)

    A line of -inf alone stays -inf, with gradient g.
    """
    y = below_top(x, axis)
    total = _total(np.exp(y), axis)
    total[total == 0] = 1
    y -= np.log(total)
    return y, lambda g: (g - np.exp(y) * _total(g, axis),)


@primitive
def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> ValueAndVjp:
    """y = weight * z + bias, z = (x - mean) / sqrt(var + eps) over the last axis          (Ba, Kiros and Hinton 2016)

    x (…, D), weight (D), bias (D) -> (…, D)
    dx = (h - mean(h) - z * mean(h * z)) / sqrt(var + eps), h = g * weight          dweight = sum(g * z), dbias = sum(g)
    """
    _check_width(x, weight, bias)
    x, weight, bias = floats(x, weight, bias)
    y, D = np.empty(x.shape, x.dtype), x.shape[-1]
    x2, y2, ones = as_matrix(x), as_matrix(y), _shares(D, x.dtype)  # (N, D)
    z = np.empty_like(x2) if mode.recording else y2  # without a gradient nobody needs z again
    scale = np.empty((len(x2), 1), x.dtype)
    for xs, zs, ys, scales in pieces(x2, z, y2, scale):
        np.subtract(xs, (xs @ ones)[:, None], out=zs)
        np.einsum("ni,ni->n", zs, zs, out=scales[:, 0])  # D times the variance
        scales += D * eps
        np.divide(D ** 0.5, np.sqrt(scales), out=scales)
        zs *= scales
        np.multiply(zs, weight, out=ys)
        ys += bias

    def vjp(g: Array) -> tuple[Any, ...]:
        gx, g2 = np.empty(x.shape, x.dtype), as_matrix(g)
        for gs, zs, hs, scales in pieces(g2, z, as_matrix(gx), scale):
            np.multiply(gs, weight, out=hs)
            along = np.einsum("ni,ni->n", hs, zs) / D
            hs -= (hs @ ones)[:, None]
            hs -= zs * along[:, None].astype(x.dtype, copy=False)
            hs *= scales
        return gx, lambda: _dots(g2, z), lambda: sum_rows(g2)

    return y, vjp


@functools.lru_cache(maxsize=64)
def _shares(D: int, dtype: Any) -> Array:
    """1/D, D times: a product with it is a mean, and quicker than NumPy's."""
    return np.full(D, 1 / D, dtype)


@primitive
def rms_norm(x: Array, weight: Array, eps: float = 1e-6) -> ValueAndVjp:
    """y = weight * z, z = x / sqrt(mean(x^2) + eps) over the last axis          (Zhang and Sennrich 2019)

    x (…, D), weight (D) -> (…, D)          dx = (h - z * mean(h * z)) / sqrt(mean(x^2) + eps), h = g * weight
    """
    _check_width(x, weight)
    x, weight = floats(x, weight)
    D = x.shape[-1]
    scale = 1 / np.sqrt(dots(x, x)[..., None] / D + eps)
    scale = scale.astype(x.dtype, copy=False)
    z = x * scale

    def vjp(g: Array) -> tuple[Any, ...]:
        h = g * weight
        h -= z * (dots(h, z)[..., None] / D)
        h *= scale
        return h, lambda: _dots(as_matrix(g), as_matrix(z))

    return z * weight, vjp


def _dots(x: Array, y: Array) -> Array:
    """The dot product of each column of x with that of y: (N, D), (N, D) -> (D); where N is large in chunks, and these
    added up in float64."""
    parts = [np.einsum("ni,ni->i", x[i:i + CHUNK], y[i:i + CHUNK]) for i in range(0, len(x), CHUNK)]
    return parts[0] if len(parts) == 1 else np.asarray(np.sum(parts, 0, np.float64)) + np.zeros(x.shape[1])


def _check_width(x: Array, *vectors: Array) -> None:
    width = x.shape[-1:]
    if width in ((), (0,)) or [v for v in vectors if v.shape != width]:
        raise ValueError("a norm needs x (…, D) with D > 0, and weight and bias (D)")


@primitive
def l2_normalise(x: Array, axis: int = -1, eps: float = 1e-12) -> ValueAndVjp:
    """y = x / max(|x|, eps): unit length along axis          gradient (g - y * sum(g * y)) / |x|

    A vector shorter than eps is divided by eps (the zero vector stays zero), with gradient g / eps.
    """
    x = floats(x)
    eps = max(eps, float(np.finfo(x.dtype).tiny))
    length = np.expand_dims(_lengths(np.moveaxis(x, axis, -1)), axis)
    short = length < eps
    length = np.where(short, x.dtype.type(eps), length)
    y = x / length

    def vjp(g: Array) -> tuple[Any, ...]:
        along = np.expand_dims(dots(np.moveaxis(g, axis, -1), np.moveaxis(y, axis, -1)), axis)
        gx = y * np.where(short, 0, -along)
        gx += g
        gx *= 1 / length
        return (gx,)

    return y, vjp


def _lengths(x: Array) -> Array:
    """|x| of each vector (…, D) -> (…). Where squares would overflow or vanish, or are many, it takes more care."""
    with np.errstate(over="ignore"):
        squares = np.einsum("...d,...d->...", x, x)
    if x.shape[-1] <= CHUNK and (not squares.size or 1e-30 < squares.min() <= squares.max() < 1e30):
        return np.sqrt(squares)
    top = np.max(np.abs(x), -1, keepdims=True, initial=0)
    top = np.where(top > 0, top, 1).astype(x.dtype)
    return top[..., 0] * np.sqrt(long_sum(np.square(x / top), -1, False))


@method
def cosine_similarity(x: Tensor, y: Tensor, axis: int = -1, eps: float = 1e-12) -> Tensor:
    """Sum of l2_normalise(x) * l2_normalise(y): -1 … 1; 0 with a zero vector."""
    return (l2_normalise(x, axis, eps) * l2_normalise(y, axis, eps)).sum(axis)


@primitive
def dropout(x: Array, p: float = 0.5, mask: Any = None, rng: np.random.Generator | None = None) -> ValueAndVjp:
    """Entries zeroed with probability p, the others divided by 1 - p          (Srivastava et al. 2014)

    Give either `mask` (true entries are kept) or the generator `rng` that draws one.          gradient: g, the same way
    """
    if not 0 <= p < 1:
        raise ValueError(f"the dropout probability is in 0 … 1 (exclusive), not {p}")
    if (mask is None) == (rng is None):
        raise ValueError("dropout takes a mask or a generator, one of the two")
    if mask is not None and np.ndim(mask) == 0 and np.ndim(x):
        raise TypeError(f"dropout's mask has an entry for each of x, and is not {mask}; whether to train is the "
                        "layer's matter: nn.Dropout(p).train() and .eval()")
    x = floats(x)
    keep = np.asarray(mask, bool) if rng is None else rng.random(x.shape, np.float32) >= p
    scale = keep * x.dtype.type(1 / (1 - p))
    return x * scale, lambda g: (g * scale,)
