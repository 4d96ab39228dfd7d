"""Pairwise distances between two sets of vectors, in blocks: the differences, an array with one axis more, never exist
as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, blocks, fits_cache, primitive, sum_rows_by_id
from .floats import floats

Near = tuple[Array, ...]  # n (M,), s (M,), q (M,) of pairs a[n, s], b[n, q]
CANCELLED = 1e-2  # of the squares: below, a squared distance from products has lost two digits or more


@primitive
def cdist(x: Array, y: Array, p: float = 2.0, moduli: bool = False) -> ValueAndVjp:
    """d[i, j] = |x_i - y_j|_p, p = 1 or 2          x (…, S, D), y (…, Q, D) -> (…, S, Q)

    moduli   D numbers are D / 2 complex ones, real parts first, and what the norm adds up is their moduli. (With p=2
             that is the same.)

    Gradient: of x_i the sum over j of g[i, j] u_ij, of y_j the sum over i of -g[i, j] u_ij, where u is the gradient of
    the norm: sign(x_i - y_j) for p=1, (x_i - y_j) / d for p=2, for moduli each complex difference over its modulus;
    0 at the kinks, where a difference is 0. Of many vectors the Euclidean distances are
    sqrt(|x|^2 + |y|^2 - 2 x . y), by one matrix product, and so is their gradient; but for near ones, where the digits
    cancel: of these the differences are taken. Raises ValueError for shapes that do not go together, for another p, and
    for complex numbers of odd length.
    """
    if x.ndim < 2 or x.ndim != y.ndim or x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"cdist needs x (…, S, D) and y (…, Q, D), not {x.shape} and {y.shape}")
    if p not in (1, 2) or (moduli and x.shape[-1] % 2):
        raise ValueError(f"p is 1 or 2, not {p}" if p not in (1, 2) else "complex numbers in halves: D is even")
    x, y = floats(x, y)
    (S, D), Q = x.shape[-2:], y.shape[-2]
    N = math.prod(x.shape[:-2])
    a, b = x.reshape(N, S, D), y.reshape(N, Q, D)
    kind = "euclidean" if p == 2 else "moduli" if moduli else "absolute"
    by_products = p == 2 and min(S, Q) > 1
    d, near = _euclidean(a, b) if by_products else (np.empty((N, S, Q), np.result_type(x, y)), ())
    for n, s, u in () if by_products else _differences(a, b):
        d[n, s] = _norm(u, kind)

    def vjp(g: Array) -> tuple[Any, ...]:
        g = g.reshape(d.shape)
        if by_products:
            with np.errstate(divide="ignore", invalid="ignore"):
                w = g / d
            of_near, w[near] = np.where(d[near] > 0, w[near], 0), 0
            gx = a * (w @ np.ones((Q, 1), w.dtype)) - np.matmul(w, b)
            wT = w.transpose(0, 2, 1)
            gy = b * (wT @ np.ones((S, 1), w.dtype)) - np.matmul(wT, a)
            for some, (i, j, k), u in _near_differences(a, b, near):
                u *= of_near[some, None]
                for total, ids, rows in ((gx.reshape(N * S, D), i * S + j, u), (gy.reshape(N * Q, D), i * Q + k, -u)):
                    ids, rows = sum_rows_by_id(ids, rows)
                    total[ids] += rows
            return gx.reshape(x.shape), gy.reshape(y.shape)
        gx, gy = np.empty(a.shape, g.dtype), np.zeros(b.shape, g.dtype)
        for n, s, u in _differences(a, b):
            u = _direction(u, kind)
            if S == Q == 1:  # pairs
                np.multiply(u[:, 0], g[n, s], out=gx[n])
                np.negative(gx[n], out=gy[n])
                continue
            gx[n, s] = np.matmul(g[n, s, None], u)[..., 0, :]
            gy[n] -= np.einsum("nsq,nsqd->nqd", g[n, s], u)
        return gx.reshape(x.shape), gy.reshape(y.shape)

    return d.reshape(*x.shape[:-1], Q), vjp


def _differences(a: Array, b: Array) -> Iterator[tuple[slice, slice, Array]]:
    """(n, s, a[n, s, None] - b[n, None]), so many n and s at a time that the differences fit a core's cache."""
    (N, S, D), Q = a.shape, b.shape[1]
    for n in blocks(N, S * Q * D) if fits_cache(S * Q * D) else blocks(N, entries=1):
        for s in (slice(0, S),) if fits_cache(S * Q * D) else blocks(S, Q * D):
            yield n, s, a[n, s, None] - b[n, None]


def _norm(u: Array, kind: str) -> Array:
    """u (…, D) -> (…); u is written to."""
    if kind == "absolute":
        return np.abs(u, out=u) @ np.ones(u.shape[-1], u.dtype)
    if kind == "euclidean":
        return np.sqrt(np.einsum("...d,...d->...", u, u))
    u *= u
    half = u.shape[-1] // 2
    moduli = np.add(u[..., :half], u[..., half:])
    return np.sqrt(moduli, out=moduli) @ np.ones(half, u.dtype)


def _direction(u: Array, kind: str) -> Array:
    """The gradient of the norm of u (…, D), in its place."""
    if kind == "absolute":
        return np.sign(u, out=u)
    D = u.shape[-1]
    parts = u.reshape(*u.shape[:-1], *((2, D // 2) if kind == "moduli" else (1, D)))
    lengths = np.sqrt(np.einsum("...cd,...cd->...d" if kind == "moduli" else "...cd,...cd->...c", parts, parts))
    lengths[lengths == 0] = 1
    parts /= lengths[..., None, :]
    return u


def _euclidean(a: Array, b: Array) -> tuple[Array, Near]:
    """(N, S, D), (N, Q, D) -> (N, S, Q), and which are near"""
    squares = np.einsum("nsd,nsd->ns", a, a)[..., None] + np.einsum("nqd,nqd->nq", b, b)[:, None]
    d = squares - 2 * np.matmul(a, b.transpose(0, 2, 1))
    squares *= CANCELLED
    near = np.unravel_index(np.flatnonzero(~(d > squares)), d.shape)  # NaN, where squares overflow, is near too
    for _, some, u in _near_differences(a, b, near):
        d[some] = np.einsum("md,md->m", u, u)
    return np.sqrt(d, out=d), near


def _near_differences(a: Array, b: Array, near: Near) -> Iterator[tuple[slice, Near, Array]]:
    """(which of the near pairs, their n, s and q (M,), a[n, s] - b[n, q] (M, D)), some at a time."""
    for part in blocks(len(near[0]), a.shape[-1]):
        n, s, q = some = tuple(index[part] for index in near)
        yield part, some, a[n, s] - b[n, q]
