"""What the recurrent ops share: sequences as columns, weights side by side, steps that are not for all sequences.

A step works on columns, one for each sequence: z = (x[t]; 1; h), the input, a one and the state below each other. So
one matrix product with W = [W_ih  b  W_hh] gives all gates, bias included, and each gate is one piece of memory. W^T
turns the gradient of the gates into those of input and state at once, and that of W is one product at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array, as_integers, mode


def fitting_width(x: Array, states: tuple[Array, ...], W_ih: Array, W_hh: Array, b_ih: Array | None, b_hh: Array | None,
           n: int) -> int:
    """H, where all fits together; n H is the number of rows."""
    H = W_hh.shape[-1] if W_hh.ndim == 2 else 0
    if x.ndim != 3 or W_ih.shape != (n * H, x.shape[2]) or W_hh.shape != (n * H, H) or \
            any(state.shape != (x.shape[1], H) for state in states) or \
            any(b is not None and b.shape != (n * H,) for b in (b_ih, b_hh)):
        raise ValueError(f"it needs x (T, B, D), states (B, H), W_ih ({n}H, D), W_hh ({n}H, H) and biases ({n}H)")
    return H


def idle_steps(lengths: Any, x: Array, reverse: bool) -> list[Any]:
    """For each step, in the order they are taken, the sequences that it is not for; None where it is for all."""
    T, B, _ = x.shape
    if lengths is None:
        return [None] * T
    lengths = as_integers(lengths, " as lengths")
    if lengths.shape != (B,):
        raise ValueError(f"lengths are one number for each of the {B} sequences, not of shape {lengths.shape}")
    wrong = (lengths < 0) | (lengths > T)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"length {lengths[at]} at position {at} is outside 0 … {T}, the number of steps")
    past = np.arange(T)[::-1 if reverse else 1, None] >= lengths
    return [np.flatnonzero(row) if row.any() else None for row in past]


def rows_of_state(W_ih: Array, W_hh: Array) -> Array:
    """Which rows of W the state has a part in: all of four; of a GRU's r, k, a_n and e_n all but the third."""
    H = W_hh.shape[1]
    return np.r_[:2 * H, 6 * H - len(W_ih):4 * H]


def joined(x: Array, W_ih: Array, W_hh: Array, b_ih: Array | None, b_hh: Array | None) -> Array:
    """W (4H, D + 1 + H), so that W (x; 1; h) is all that a step takes from x and h."""
    D, H = W_ih.shape[1], W_hh.shape[1]
    rows = rows_of_state(W_ih, W_hh)
    W = np.zeros((4 * H, D + 1 + H), np.result_type(x, W_ih, W_hh))
    W[:len(W_ih), :D], W[rows, D + 1:] = W_ih, W_hh
    if b_ih is not None:
        W[:len(W_ih), D] = b_ih
    if b_hh is not None:
        W[rows, D] += b_hh
    return W


def of_weights(das: Array, z: Array, W_ih: Array, W_hh: Array) -> tuple[Callable[[], Array], ...]:
    """The gradients of W_ih, W_hh, b_ih and b_hh, cut out of that of W, which is computed when first wanted."""
    D, rows = W_ih.shape[1], rows_of_state(W_ih, W_hh)

    @functools.cache
    def dW() -> Array:
        dW = np.zeros((das.shape[1], z.shape[1]), z.dtype)
        for s in range(0, len(das), 16):  # steps: products need their arrays in another order, copies that fit a cache
            dW += np.tensordot(das[s:s + 16], z[s:-1][:16], ((0, 2), (0, 2)))
        return dW

    return (lambda: dW()[:len(W_ih), :D], lambda: dW()[rows, D + 1:],
            lambda: dW()[:len(W_ih), D], lambda: dW()[rows, D])


def columns(xs: Array, h0: Array, W: Array, idle: list[Any]) -> tuple[Array, Array, Array]:
    """z (T + 1, D + 1 + H, B), the inputs and the first state in it; its part for the states; room for the gates."""
    T, B, D = xs.shape
    z = np.empty((T + 1, W.shape[1], B), W.dtype)
    z[:T, :D], z[:, D], z[0, D + 1:] = xs.transpose(0, 2, 1), 1, h0.T
    for s, rows in enumerate(idle):
        if rows is not None:
            z[s, :D, rows] = 0  # a NaN that stands there would spread: NaN times a gradient of 0 is NaN
    return z, z[:, D + 1:], kept(T, (len(W), B), W.dtype)


def kept(n: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Room for what n steps compute; where no gradient will be wanted, two places that take turns."""
    return np.empty((n if mode.recording else min(n, 2), *shape), dtype)


def results_of(hs: Array, last: tuple[Array, ...], way: slice, idle: list[Any]) -> Array:
    """The outputs in time order, with zeros past the ends of the sequences; then the last states."""
    T, (H, B) = len(idle), hs.shape[1:]
    results = np.empty((T + len(last), B, H), hs.dtype)
    ys = results[:T][way]
    ys[...] = hs[1:].transpose(0, 2, 1)
    for s, rows in enumerate(idle):
        if rows is not None:
            ys[s, rows] = 0
    for n, state in enumerate(last):
        results[T + n] = state.T
    return results


def upstream(g: Array, way: slice, hs: Array) -> Array:
    """dL/dy in the order of the steps, as columns: (T + …, B, H) -> (T, H, B)"""
    return np.ascontiguousarray(g[:len(hs) - 1][way].transpose(0, 2, 1))


def of_inputs(dzs: Array, way: slice, x: Array) -> Array:
    """dL/dx in time order, the upper part of that of the columns: (T, D + 1 + H, B) -> (T, B, D)"""
    return dzs[:, :x.shape[2]].transpose(0, 2, 1)[way]
