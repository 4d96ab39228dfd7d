"""Rows that are behind: a table of which each row is stored as its last step left it.

This is what a Parameter's `_pending` is while an optimiser with `sparse="exact"` drives it. Whoever reads gets current
values, computed into fresh arrays: no stored byte changes by being looked at. Only training commits: a step the rows it
touches, a dense gradient or an assignment all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Parameter, unique_inverse

NOTHING: Any = (None, [])
ENTRIES = 16_000  # rows are caught up in blocks of about this size, which stay in a core's cache


class Behind:
    """The row reader and the memory of one table: raw rows (in the parameter), states, last steps, and the drift.

    A lookup asks for `.shape`, `.dtype` and `.take(ids, axis=0)`; an op that wants it all, for the array.
    """

    def __init__(self, p: Parameter, states: list[Array], drift: Any, last: Array | None = None) -> None:
        self.p, self.states, self.drift = p, states, drift
        self._caught_up: tuple[Array, list[Array]] = NOTHING
        self.last = p.new_state("last", p.shape[:1], np.int32, drift.t) if last is None else last  # (V,)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.p.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.p.dtype

    def take(self, ids: Array, axis: int = 0, mode: str = "raise") -> Array:
        """The current rows of ids (…) -> (…, D); each row is caught up once, however often it is asked for."""
        unique, inverse = unique_inverse(ids.reshape(-1))
        z = self.rows(unique)
        self._caught_up = unique, z  # the step that follows will most likely ask for the same
        return z[0].take(inverse.reshape(ids.shape), 0)

    def rows(self, ids: Array) -> list[Array]:
        """Fresh arrays (U, D): the rows of w and of each state as they are now."""
        (known, z), self._caught_up = self._caught_up, NOTHING
        if known is not None and np.array_equal(known, ids):
            return z
        z = [self.p.stored(ids), *(a.take(ids, 0) for a in self.states)]
        last = self.last.take(ids)
        frozen = None if self.p.frozen_rows is None else np.flatnonzero(self.p.frozen_rows[ids])
        kept = [] if frozen is None else [a.take(frozen, 0) for a in z]
        size = max(ENTRIES // max(self.p.shape[1], 1), 1)
        for i in range(0, len(ids), size):
            self.drift.catch_up(last[i:i + size], *(a[i:i + size] for a in z))
        for a, rows in zip(z, kept):
            a[frozen] = rows
        return z

    def store(self, ids: Array, z: list[Array]) -> None:
        """Put rows back as of now."""
        self.p.store(ids, z[0])
        for a, rows in zip(self.states, z[1:]):
            a[ids] = rows
        self.last[ids] = self.drift.t
        self._caught_up = NOTHING

    def grow(self) -> None:
        """The parameter, all committed, has gained rows: they are up to date, with zero states."""
        more = len(self.p) - len(self.last)
        self.last = np.concatenate([self.last, np.full(more, self.drift.t, np.int32)])
        self.states[:] = [np.concatenate([a, np.zeros((more, *a.shape[1:]), a.dtype)]) for a in self.states]

    def commit(self) -> None:
        """Bring every stored row up to now."""
        self._caught_up = NOTHING
        size = max(ENTRIES // max(self.p.shape[1], 1), 1)
        for i in range(0, len(self.p), size):
            ids = np.arange(i, min(i + size, len(self.p)))
            self.store(ids, self.rows(ids))

    def current(self) -> Array:
        """The whole table as it is now: a fresh array, read-only, since writing to it would be lost."""
        table = self.rows(np.arange(len(self.p)))[0]
        table.flags.writeable = False
        return table

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.current(), dtype)
