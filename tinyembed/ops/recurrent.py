"""LSTM and GRU over whole sequences: each op is all time steps of one layer in one direction.

Time is the first axis here, x (T, B, D), since the steps are taken one after the other. A step is one matrix product
and a few passes over its gates, in place, on columns. A node has one result: the last states stand below
the outputs in the same array, and slices (views) take it apart.

A step works on columns, one for each sequence: z = (x[t]; 1; h), the input, a one and the state below each other. So
one matrix product with W = [W_ih  b  W_hh] gives all gates, bias included, and each gate is one piece of memory. W^T
turns the gradient of the gates into those of input and state at once, and that of W is one product at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array, ValueAndVjp, as_integers, mode, primitive
from .floats import floats


@primitive
def lstm(x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b_ih: Array | None = None,
         b_hh: Array | None = None, lengths: Any = None, reverse: bool = False) -> ValueAndVjp:
    """All steps of a long short-term memory: from h = h0, c = c0, for t = 0 … T-1 (reverse: T-1 … 0)

        a = W_ih x[t] + b_ih + W_hh h + b_hh, cut into four:   i, f, o = sigmoid(a_i, a_f, a_o),   u = tanh(a_u)
        c' = f * c + i * u,   h' = o * tanh(c'),   y[t] = h'

        x (T, B, D), h0 (B, H), c0 (B, H), W_ih (4H, D), W_hh (4H, H), b_ih (4H), b_hh (4H), rows in the order i f u o
        -> (T + 2, B, H): y, then the last h, then the last c

    Sequence b has lengths[b] steps, 0 … T. Past its end y is 0, the state passes on unchanged and x is not looked at;
    in reverse, too, it begins at its own end. Gradient, from the last step to the first, with dh and dc of h' and c':

        dh += dy[t],   do = dh * tanh(c'),   dc += dh * o * (1 - tanh(c')^2)
        di = dc * u,   df = dc * c,   du = dc * i
        da = (di i (1 - i), df f (1 - f), du (1 - u^2), do o (1 - o)),   dx[t] = W_ih^T da,   dh = W_hh^T da,   dc *= f

    and of the weights the sum of da x[t]^T, da h^T and da. Errors: shapes that do not fit, a length outside 0 … T.
    (Hochreiter and Schmidhuber 1997; the forget gate is of Gers, Schmidhuber and Cummins 2000)
    """
    H = fitting_width(x, (h0, c0), W_ih, W_hh, b_ih, b_hh, 4)
    x, h0, c0, W_ih, W_hh, b_ih, b_hh = floats(x, h0, c0, W_ih, W_hh, b_ih, b_hh)
    W, idle = joined(x, W_ih, W_hh, b_ih, b_hh), idle_steps(lengths, x, reverse)
    way = slice(None, None, -1 if reverse else 1)  # from time order into that of the steps, and back
    z, hs, gates = columns(x[way], h0, W, idle)
    cs, tops = kept(len(z), hs[0].shape, W.dtype), kept(len(gates), hs[0].shape, W.dtype)
    cs[0], c = c0.T, cs[0]
    W_up = W * np.repeat(np.array([0.5, 0.5, 1, 0.5], W.dtype), H)[:, None]  # sigmoid(a) = tanh(a / 2) / 2 + 1 / 2
    for s, rows in enumerate(idle):
        a, top, c_old, c = gates[s % len(gates)], tops[s % len(tops)], c, cs[(s + 1) % len(cs)]
        i, f, u, o = a[:H], a[H:2 * H], a[2 * H:3 * H], a[3 * H:]
        np.matmul(W_up, z[s], out=a)
        np.tanh(a, out=a)
        for sigmoid in (a[:2 * H], o):
            sigmoid *= 0.5
            sigmoid += 0.5
        np.multiply(f, c_old, out=c)
        np.multiply(i, u, out=top)
        c += top
        np.tanh(c, out=top)
        np.multiply(o, top, out=hs[s + 1])
        if rows is not None:
            hs[s + 1][:, rows], c[:, rows] = hs[s][:, rows], c_old[:, rows]

    def vjp(g: Array) -> tuple[Any, ...]:
        dys, dh, dc = upstream(g, way, hs), g[-2].T.copy(), g[-1].T.copy()
        dzs, W_down, part = np.empty_like(z[1:]), np.ascontiguousarray(W.T), np.empty_like(dh)
        da, slope = np.empty_like(gates, shape=(2, *gates.shape[1:]))
        for s in range(len(idle) - 1, -1, -1):
            a, top, rows = gates[s], tops[s], idle[s]
            i, f, u, o = a[:H], a[H:2 * H], a[2 * H:3 * H], a[3 * H:]
            passing = None if rows is None else (dh[:, rows], dc[:, rows])
            dh += dys[s]
            do = np.multiply(dh, top, out=da[3 * H:])
            np.multiply(do, top, out=part)
            np.subtract(dh, part, out=part)
            part *= o
            dc += part
            np.multiply(dc, u, out=da[:H])
            np.multiply(dc, cs[s], out=da[H:2 * H])
            np.multiply(dc, i, out=da[2 * H:3 * H])
            np.subtract(1, a, out=slope)
            slope *= a
            np.multiply(u, u, out=part)
            np.subtract(1, part, out=slope[2 * H:3 * H])
            dc *= f
            np.multiply(da, slope, out=a)  # nobody needs these gates again
            if rows is not None:
                a[:, rows] = 0
            dh = np.matmul(W_down, a, out=dzs[s])[-H or W.shape[1]:]
            if passing is not None:
                dh[:, rows], dc[:, rows] = passing
        return of_inputs(dzs, way, x), dh.T, dc.T, *of_weights(gates, z, W_ih, W_hh)

    return results_of(hs, (hs[-1], c), way, idle), vjp


@primitive
def gru(x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array | None = None, b_hh: Array | None = None,
        lengths: Any = None, reverse: bool = False) -> ValueAndVjp:
    """All steps of a gated recurrent unit: from h = h0, for t = 0 … T-1 (reverse: T-1 … 0)

        a = W_ih x[t] + b_ih and e = W_hh h + b_hh, each cut into three
        r = sigmoid(a_r + e_r),   k = sigmoid(a_k + e_k),   n = tanh(a_n + r * e_n)
        h' = (1 - k) * n + k * h,   y[t] = h'

        x (T, B, D), h0 (B, H), W_ih (3H, D), W_hh (3H, H), b_ih (3H), b_hh (3H), rows in the order r k n
        -> (T + 1, B, H): y, then the last h

    `lengths` and `reverse` as in `lstm`. Gradient, from the last step to the first, with dh of h':

        dh += dy[t],   da_n = dh (1 - k) (1 - n^2),   da_k = dh (h - n) k (1 - k),   de_n = da_n r,
        da_r = da_n e_n r (1 - r),   dx[t] = W_ih^T da,   dh = dh * k + W_hh^T de,   de_r = da_r, de_k = da_k

    and of the weights the sum of da x[t]^T, de h^T, da and de. Errors: as `lstm`'s.
    (Cho et al. 2014; with the reset gate after the product, as PyTorch and cuDNN have it)
    """
    H = fitting_width(x, (h0,), W_ih, W_hh, b_ih, b_hh, 3)
    x, h0, W_ih, W_hh, b_ih, b_hh = floats(x, h0, W_ih, W_hh, b_ih, b_hh)
    W, idle = joined(x, W_ih, W_hh, b_ih, b_hh), idle_steps(lengths, x, reverse)
    way = slice(None, None, -1 if reverse else 1)  # from time order into that of the steps, and back
    z, hs, gates = columns(x[way], h0, W, idle)  # four of them: r, k, n (before: a_n) and e_n
    W_up, part = W * np.repeat(np.array([0.5, 0.5, 1, 1], W.dtype), H)[:, None], np.empty_like(hs[0])
    for s, rows in enumerate(idle):
        a, h = gates[s % len(gates)], hs[s + 1]
        r, k, n, e = a[:H], a[H:2 * H], a[2 * H:3 * H], a[3 * H:]
        np.matmul(W_up, z[s], out=a)
        sigmoid = a[:2 * H]
        np.tanh(sigmoid, out=sigmoid)
        sigmoid *= 0.5
        sigmoid += 0.5
        np.multiply(r, e, out=part)
        n += part
        np.tanh(n, out=n)
        np.subtract(hs[s], n, out=h)
        h *= k
        h += n
        if rows is not None:
            h[:, rows] = hs[s][:, rows]

    def vjp(g: Array) -> tuple[Any, ...]:
        dys, dh = upstream(g, way, hs), g[-1].T.copy()
        dzs, W_down, straight = np.empty_like(z[1:]), np.ascontiguousarray(W.T), np.empty_like(dh)
        da, slope = np.empty_like(gates, shape=(2, *gates.shape[1:]))
        for s in range(len(idle) - 1, -1, -1):
            a, rows = gates[s], idle[s]
            r, k, n, e = a[:H], a[H:2 * H], a[2 * H:3 * H], a[3 * H:]
            dr, dk, dn, de = da[:H], da[H:2 * H], da[2 * H:3 * H], da[3 * H:]
            passing = None if rows is None else dh[:, rows]
            dh += dys[s]
            np.subtract(hs[s], n, out=dk)
            dk *= dh
            np.multiply(dh, k, out=straight)
            np.subtract(dh, straight, out=dn)
            np.multiply(n, n, out=de)
            np.subtract(1, de, out=de)
            dn *= de
            np.multiply(dn, e, out=dr)
            np.subtract(1, a, out=slope)
            slope *= a
            a[2 * H:3 * H] = dn  # nobody needs these gates again
            np.multiply(dn, r, out=a[3 * H:])
            np.multiply(da[:2 * H], slope[:2 * H], out=a[:2 * H])
            if rows is not None:
                a[:, rows] = 0
            dh = np.matmul(W_down, a, out=dzs[s])[-H or W.shape[1]:]
            dh += straight
            if passing is not None:
                dh[:, rows] = passing
        return of_inputs(dzs, way, x), dh.T, *of_weights(gates, z, W_ih, W_hh)

    return results_of(hs, (hs[-1],), way, idle), vjp


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
