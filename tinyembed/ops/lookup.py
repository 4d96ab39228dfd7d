"""Embedding lookup, whose gradient is a few rows, and indexing in general.

The gradient of a lookup touches the rows that were read and no others, so it is a RowGrad: ids and rows.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ..core import Array, RowGrad, ValueAndVjp, as_ids, as_row, primitive, take_rows


@primitive(rows=True)
def embedding(W: Any, ids: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = True) -> ValueAndVjp:
    """y[n] = W[ids[n]]          W (V, D), ids (…) integers in 0 … V-1 -> y (…, D)

    The same as one_hot(ids) @ W without the zeros. Gradient: row n of g goes to row ids[n] of W; repeats add up. As a
    RowGrad, so no (V, D) array arises. Negative ids do not wrap round: IndexError, as for ids past the end.

    Four options change the gradient, or the value:
    padding_idx          this row is read like any other and gets no gradient; negative counts from the end.
    max_norm             y[n] is scaled down to p-norm max_norm, p = norm_type, where it is longer. W is not written
                         to, and g passes to the row as if it had been stored that way.
    scale_grad_by_freq   the gradient of a row is divided by how often its id stands in ids.
    sparse=False         the gradient is an array (V, D).
    The first three are by design not the derivative of y.

    >>> import tinyembed as te
    >>> W = te.Tensor([[3.0, 4.0], [1.0, 0.0]], requires_grad=True)
    >>> y = embedding(W, [0, 1, 1], padding_idx=0, max_norm=1.0, scale_grad_by_freq=True, sparse=False)
    >>> y.sum().backward(); y.data.round(3)
    array([[0.6, 0.8],
           [1. , 0. ],
           [1. , 0. ]], dtype=float32)
    >>> W.grad.tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    V, D = table_shape(W)
    padding_idx = as_row(padding_idx, V)
    ids = as_ids(ids, V)

    def vjp(g: Array) -> tuple[Any, ...]:
        return (table_grad((V, D), ids.reshape(-1), g.reshape(ids.size, D), padding_idx, scale_grad_by_freq, sparse),)

    return read_rows(W, ids, max_norm, norm_type), vjp


def table_shape(W: Any) -> tuple[int, int]:
    """(V, D), or a ValueError for what is no matrix."""
    if len(W.shape) != 2:
        raise ValueError("a table is a matrix (V, D)")
    return W.shape


def read_rows(W: Any, ids: Array, max_norm: float | None, norm_type: float) -> Array:
    """Rows of W as a fresh array (…, D), scaled down to max_norm if there is one. W is never written to."""
    rows = take_rows(W, ids) if isinstance(W, np.ndarray) else W.take(ids, axis=0, mode="clip")
    return rows if max_norm is None else project_rows(rows, max_norm, norm_type)


def project_rows(rows: Array, max_norm: float, norm_type: float = 2.0) -> Array:
    """x min(1, max_norm / |x|_p) for each row x: those that are longer than max_norm scaled down to it, p = norm_type

        rows (…, D) -> a fresh array (…, D)

    Rows that are short enough come out bit-equal, so that projecting twice is projecting once.

    >>> project_rows(np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0).round(3).tolist()
    [[0.6, 0.8], [0.3, 0.4]]
    """
    check_max_norm(max_norm, norm_type)
    rows = rows if rows.dtype.kind == "f" else rows / 1
    size = np.abs(rows, dtype=np.float64)
    top = size.max(-1, keepdims=True, initial=0)
    norms = top  # that of p = infinity
    if norm_type != np.inf:
        size /= np.where((top > 0) & (top < np.inf), top, 1)  # powers of numbers up to 1 do not overflow
        norms = top * (size ** norm_type).sum(-1, keepdims=True) ** (1 / norm_type)
    # A little less than max_norm, so that rounding does not leave a row too long.
    room = max_norm * (1 - 4 * float(np.finfo(rows.dtype).eps))
    return rows * np.divide(room, norms, out=np.ones_like(norms), where=norms > max_norm).astype(rows.dtype)


def check_max_norm(max_norm: float | None, norm_type: float) -> None:
    """Refuse norms that are not above 0; max_norm may be None, norm_type infinite."""
    if max_norm is not None and not (isinstance(max_norm, numbers.Real) and 0 < max_norm < np.inf):
        raise ValueError(f"max_norm is a finite number above 0, or None, not {max_norm!r}")
    if not (isinstance(norm_type, numbers.Real) and norm_type > 0):
        raise ValueError(f"norm_type is a number above 0 (2: Euclid's, inf: the largest entry), not {norm_type!r}")


def table_grad(shape: tuple[int, int], ids: Array, rows: Array, padding_idx: int | None = None,
               scale_grad_by_freq: bool = False, sparse: bool = True) -> RowGrad | Array:
    """The gradient of a table whose row ids[n] gets rows[n], with the options of `embedding`.

        ids (N,), rows (N, D) -> RowGrad of the table's shape, or an array
    """
    if padding_idx is not None:
        keep = ids != padding_idx
        ids, rows = ids[keep], rows[keep]
    grad = RowGrad(shape, ids, rows)
    if scale_grad_by_freq:
        grad = grad.coalesce()
        counts = np.unique(ids, return_counts=True)[1].astype(rows.dtype)
        grad = RowGrad(shape, grad.ids, grad.rows / counts[:, None], coalesced=True)
    return grad if sparse else grad.to_dense()


@primitive(rows=True)
def getitem(x: Any, index: Any) -> ValueAndVjp:
    """x[index] as in NumPy: slices, integers, None, …, integer arrays, boolean masks; negatives count from the end

    The gradient puts g back where the entries came from, adding where an integer index repeats. Integer rows of a
    matrix, `W[ids]`, give a RowGrad.
    """
    if isinstance(index, list):
        index = np.asarray(index, None if index else np.int64)
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and len(x.shape) == 2:
        V, D = x.shape
        if index.dtype.kind == "i":
            index = index.astype(np.int64)
            index = np.where((index < 0) & (index >= -V), index + V, index)
        ids = as_ids(index, V)
        return read_rows(x, ids, None, 2.0), lambda g: (RowGrad((V, D), ids.reshape(-1), g.reshape(ids.size, D)),)
    x = np.asarray(x)
    parts = index if isinstance(index, tuple) else (index,)
    basic = all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in parts)

    def vjp(g: Array) -> tuple[Any, ...]:
        if basic:
            gx = np.zeros(x.shape, g.dtype)
            gx[index] = g  # no entry is read twice
        else:
            gx = np.zeros(x.shape, np.float64)  # repeats add up without stalling; the engine casts
            np.add.at(gx, index, g)
        return (gx,)

    return x[index], vjp
