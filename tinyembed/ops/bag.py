"""The op of EmbeddingBag: the rows of each bag summed, averaged or maximised, for bags of any length.

Bags of one length L make a rectangle (n, L, D), which NumPy reduces along its middle axis at full speed. So bags are
grouped by length. N ids make bags of at most sqrt(2 N) different lengths (1 + 2 + … + k <= N), so few rounds do,
however many bags there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import CHUNK, Array, ValueAndVjp, as_ids, as_integers, as_row, blocks, primitive, unique_inverse
from .floats import floats
from .lookup import check_max_norm, read_rows, table_grad, table_shape


@primitive(rows=True)
def embedding_bag(W: Any, ids: Any, offsets: Any = None, per_sample_weights: Any = None, mode: str = "mean",
                  include_last_offset: bool = False, padding_idx: int | None = None, max_norm: float | None = None,
                  norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = True) -> ValueAndVjp:
    """y[b] = the sum, mean or maximum of W[i] over the ids i of bag b

        W (V, D)   ids (B, L)                              -> y (B, D)     a bag for each line
                   ids (N), offsets (B), from 0 up to N    -> y (B, D)     bag b is ids[offsets[b]:offsets[b + 1]], the
                                                                           last one goes to the end
                   the same, include_last_offset, (B + 1)  -> y (B, D)     the end N is the last offset
        per_sample_weights w, of the shape of ids, for "sum" and "mean"

        "sum"    y[b] = sum w[n] W[ids[n]]
        "mean"   y[b] = sum w[n] W[ids[n]] / sum w[n]     (w = 1 where none are given; weights that sum to 0 give zeros)
        "max"    y[b] = the largest entry in each column

    Ids equal to padding_idx are left out, of the count and of the sum of weights too. An empty bag is zeros.

    Gradient: W[ids[n]] gets w[n] g[b], over sum w for "mean"; for "max", each column of g[b] goes to the id that has
    the largest entry, in equal parts where several do. w[n] gets W[ids[n]] . g[b], and for "mean"
    (W[ids[n]] - y[b]) . g[b] / sum w. As a RowGrad, so no (V, D) array arises. The other options: see `embedding`.

    Raises, before anything is read, IndexError for ids outside the table, TypeError for ids or offsets that are no
    integers, ValueError for offsets that do not start at 0, decrease or pass the end, and for misshapen weights.

    (torch.nn.EmbeddingBag, which has weights for "sum" alone. The weighted mean is that of TensorFlow's
    embedding_lookup_sparse.)

    >>> import tinyembed as te
    >>> W = te.Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(W, [0, 1, 2], offsets=[0, 2, 2], mode="mean").data.tolist()
    [[2.0, 3.0], [0.0, 0.0], [5.0, 6.0]]
    """
    W = floats(W)
    V, D = table_shape(W)
    check_mode(mode)
    padding_idx = as_row(padding_idx, V)
    check_max_norm(max_norm, norm_type)
    ids = as_ids(ids, V)
    lengths = _lengths(ids.shape, offsets, include_last_offset)
    weights = None if per_sample_weights is None else _weights(per_sample_weights, ids.shape, mode, W.dtype)

    flat, B = ids.reshape(-1), lengths.size
    bag = np.repeat(np.arange(B), lengths)  # (N,) the bag that each id is in
    kept = None if padding_idx is None else np.flatnonzero(flat != padding_idx)
    if kept is not None:
        flat, bag = flat[kept], bag[kept]
        weights = None if weights is None else weights[kept]
        lengths = np.bincount(bag, minlength=B)

    at, table = flat, W
    if not isinstance(W, np.ndarray):  # a reader that has work with each row: ask once for each that there is
        unique, at = unique_inverse(flat)
        table = W.take(unique, axis=0)
    y = np.zeros((B, D), W.dtype)
    rectangles = []  # the rows that were read, where the gradient needs them
    for bags, places in _rectangles(lengths, D):
        x = read_rows(table, at[places], max_norm, norm_type)  # (n, L, D)
        y[bags] = x.max(1) if mode == "max" else _sum(x, None if weights is None else weights[places])
        if mode == "max" or weights is not None:
            rectangles.append((bags, places, x))
    total = np.ones((B, 1), W.dtype)
    if mode == "mean":
        total[:, 0] = lengths if weights is None else np.bincount(bag, weights, B)
        total[total == 0] = np.inf  # so that nothing is left of such a bag, and of its gradient
        y /= total

    def vjp(g: Array) -> tuple[Any, ...]:
        part = g / total  # (B, D) what a row of weight 1 gets
        if mode == "max":
            rows = np.empty((flat.size, D), g.dtype)
            for bags, places, x in rectangles:
                hit = x == y[bags, None]
                rows[places] = g[bags, None] * (hit / hit.sum(1, keepdims=True, dtype=x.dtype))
        else:
            rows = part.take(bag, 0)
        if weights is None:
            return (table_grad((V, D), flat, rows, None, scale_grad_by_freq, sparse),)
        rows *= weights[:, None]
        slope = np.zeros(flat.size, g.dtype)
        for bags, places, x in rectangles:
            above = x - y[bags, None] if mode == "mean" else x
            slope[places] = (above @ part[bags, :, None])[..., 0]
        gw = np.zeros(ids.size, g.dtype)
        gw[slice(None) if kept is None else kept] = slope
        return table_grad((V, D), flat, rows, None, scale_grad_by_freq, sparse), None, None, gw.reshape(ids.shape)

    return y, vjp


def ragged(pieces: Array, starts: Array, which: Array) -> tuple[Array, Array]:
    """Some of the runs pieces[starts[i]:starts[i + 1]], end to end: which (B,) -> (N,), and where each begins (B,)"""
    lengths = starts[which + 1] - starts[which]
    offsets = np.cumsum(lengths) - lengths
    return pieces[np.arange(lengths.sum()) + np.repeat(starts[which] - offsets, lengths)], offsets


def check_mode(mode: str) -> None:
    """ValueError for what is no way to reduce a bag."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode is 'sum', 'mean' or 'max', not {mode!r}")


def _rectangles(lengths: Array, D: int) -> Iterator[tuple[Array, Array]]:
    """(bags (n,), places (n, L) of their ids) for the bags of each length L > 0, some at a time: their rows are reduced
    while still in the processor's cache.

    >>> [(bags.tolist(), places.tolist()) for bags, places in _rectangles(np.array([1, 2, 0, 1]), 8)]
    [([0, 3], [[0], [3]]), ([1], [[1, 2]])]
    """
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1):]
    for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        L = int(lengths[same[0]]) if same.size else 1
        for some in blocks(same.size, L * D):
            bags = same[some]
            yield bags, starts[bags, None] + np.arange(L)


def _sum(x: Array, w: Array | None) -> Array:
    """sum over l of w[n, l] x[n, l]          x (n, L, D), w (n, L) or None for ones -> (n, D)

    Long sums in chunks through float64: a float32 that adds ones stops at 2^24."""
    L = x.shape[1]
    if L <= CHUNK:
        return np.asarray(x.sum(1) if w is None else (w[:, None] @ x)[:, 0])
    parts = [_sum(x[:, i:i + CHUNK], None if w is None else w[:, i:i + CHUNK]) for i in range(0, L, CHUNK)]
    return np.asarray(np.sum(parts, 0, dtype=np.float64))


def _lengths(shape: tuple[int, ...], offsets: Any, include_last_offset: bool) -> Array:
    """How many ids each bag has (B,), from the ids' shape and the offsets; or an error that says what is wrong."""
    if offsets is None:
        if len(shape) != 2:
            raise ValueError(f"ids {shape} need offsets, which say where each bag begins; ids (B, L) do without")
        return np.full(shape[0], shape[1])
    if len(shape) != 1:
        raise ValueError(f"offsets go with ids (N,); ids {shape} have a bag for each line: leave the offsets out")
    offsets, N = as_integers(offsets, " (as offsets)"), shape[0]
    if offsets.ndim != 1:
        raise ValueError(f"offsets are one line of numbers (B,), not {offsets.shape}")
    if not offsets.size and (N or include_last_offset):
        raise ValueError(f"offsets begin with 0; there are none, for {N} ids")
    if offsets.size and offsets[0] != 0:
        raise ValueError(f"offsets begin with 0, not {offsets[0]}: the ids before would be in no bag")
    down = np.flatnonzero(offsets[1:] < offsets[:-1])
    if down.size:
        i = int(down[0])
        raise ValueError(f"offsets never decrease; {offsets[i]} at position {i} is followed by {offsets[i + 1]}")
    if offsets.size and offsets[-1] > N:
        i = int(np.argmax(offsets > N))
        raise ValueError(f"offset {offsets[i]} at position {i} is past the end: there are {N} ids")
    if include_last_offset and offsets[-1] != N:
        raise ValueError(f"with include_last_offset the last offset is the number of ids, {N}, not {offsets[-1]}")
    offsets = offsets.astype(np.int64)
    return np.diff(offsets if include_last_offset else np.append(offsets, N))


def _weights(weights: Any, shape: tuple[int, ...], mode: str, dtype: Any) -> Array:
    """The weights as one line (N,) of the table's dtype, or an error."""
    if mode == "max":
        raise ValueError("per_sample_weights go with the modes 'sum' and 'mean', not with 'max'")
    weights = np.asarray(weights)
    if weights.shape != shape:
        raise ValueError(f"per_sample_weights have the shape of ids, {shape}, not {weights.shape}")
    if weights.dtype.kind not in "fiu" and weights.size:
        raise TypeError(f"per_sample_weights are numbers, not {weights.dtype}")
    return weights.reshape(-1).astype(dtype, copy=False)
