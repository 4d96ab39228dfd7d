"""Validation of ids: integers, each of an existing row, checked before anything is read or changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .rowgrad import Array
from .tensor import Tensor


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
    """ids as an integer array (an empty list is one; a Tensor gives its own), or a TypeError."""
    ids = ids.data if isinstance(ids, Tensor) else ids
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


def as_row(padding_idx: int | None, V: int) -> int | None:
    """padding_idx in 0 … V-1, counted from the end where it is negative; ValueError if the table has no such row.

    >>> as_row(-1, 5)
    4
    """
    if padding_idx is None:
        return None
    if isinstance(padding_idx, (bool, np.bool_)) or not isinstance(padding_idx, (int, np.integer)):
        raise TypeError(f"padding_idx is an integer or None, not {padding_idx!r}")
    if not -V <= padding_idx < V:
        raise ValueError(f"padding_idx {padding_idx} is outside the table: {V} rows ({-V} … {V - 1})")
    return int(padding_idx) % V
