"""Reading rows of a table: the op this project is about, and indexing in general.

The gradient of a lookup touches the rows that were read and no others, so it is a RowGrad: ids and rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, RowGrad, ValueAndVjp, primitive


def as_ids(ids: Any, size: int, what: str = "the table") -> Array:
    """A copy of ids as int64, each in 0 … size-1, or an error that names the first bad one and where it stands.

    >>> as_ids([0, 7], 5)
    Traceback (most recent call last):
    IndexError: id 7 at position (1,) is outside the table: 5 rows (0 … 4)
    """
    ids = as_integers(ids, f" for {what} of {size} rows")
    if ids.size:
        # Seen as unsigned numbers, negative ids are huge: one pass finds what is out of range on either side.
        wide = ids if ids.dtype.kind == "u" else ids.astype(np.int64, copy=False).view(np.uint64)
        if int(wide.max()) >= size:
            at = np.unravel_index(int(np.argmax(wide >= np.uint64(size))), ids.shape)
            rows = f"{size} rows (0 … {size - 1})" if size else "it has no rows"
            raise IndexError(f"id {ids[at]} at position {tuple(map(int, at))} is outside {what}: {rows}")
    return ids.astype(np.int64)


def as_integers(ids: Any, purpose: str = "") -> Array:
    """ids as an integer array (an empty list is one), or a TypeError."""
    given_array = isinstance(ids, np.ndarray)
    try:
        ids = np.asarray(ids)
    except ValueError:
        raise ValueError(f"ids must form rows of equal length{purpose}; pad them, or give them one by one") from None
    if ids.dtype == np.float64 and ids.size == 0 and not given_array:
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids are integers, not {ids.dtype}: {_first_odd(ids)}{purpose}")
    return ids


def _first_odd(ids: Array) -> str:
    """The first entry that is no integer, and its position, in words."""
    odd = [i for i, x in enumerate(ids.flat) if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, np.integer))]
    if not odd:
        wide = [x for x in ids.flat if not -2**63 <= x < 2**64]
        return (f"{wide[0]} does not fit 64 bits" if wide else "an empty array of that dtype" if not ids.size
                else "Python objects, convert them with ids.astype(np.int64)")
    at = tuple(map(int, np.unravel_index(odd[0], ids.shape)))
    return f"{ids[at]!r} at position {at}"


@primitive(rows=True)
def embedding(W: Any, ids: Any) -> ValueAndVjp:
    """y[n] = W[ids[n]]          W (V, D), ids (…) integers in 0 … V-1 -> y (…, D)

    The same as one_hot(ids) @ W without the zeros. Gradient: row n of g goes to row ids[n] of W; repeats add up. As a
    RowGrad, so no (V, D) array arises. Negative ids do not wrap round: IndexError, as for ids past the end.
    """
    if len(W.shape) != 2:
        raise ValueError("a table is a matrix (V, D)")
    V, D = W.shape
    ids = as_ids(ids, V)
    return W.take(ids, axis=0, mode="clip"), lambda g: (RowGrad((V, D), ids.reshape(-1), g.reshape(ids.size, D)),)


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
        return x.take(ids, axis=0, mode="clip"), lambda g: (RowGrad((V, D), ids.reshape(-1), g.reshape(ids.size, D)),)
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
