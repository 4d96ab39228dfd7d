"""Lazy rows: each row is stored as of its last update, and brought up to date when it is read.

There is one object for each parameter that an optimiser drives. While rows lag, it is the parameter's reader: whoever
reads gets current values, computed into fresh arrays, and no stored byte changes by being looked at. Only training
commits: a step the rows it touches, a dense gradient or an assignment all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Parameter, Record, RowGrad, blocks, in_halves, unique_inverse
from ..core import mode as modes
from .catch_up import STEP, AdamCatchUp, LinearCatchUp

NOTHING: Any = (np.zeros(0, np.int64), np.zeros(0, np.int64), [])
KEPT = 1 << 24  # entries of rows that are kept from reads to the step, at most, of w and of each state
CAUGHT_UP = 16_000  # entries of rows that are caught up at a time, in so many passes that they should stay in the cache
STEPPED = 192_000  # entries of a table that are stepped at a time: few enough for the cache, enough to be worth a call


class LazyRows(Record):
    """What an optimiser keeps for one parameter, and how it steps it.

    steps       steps taken: one for each `step()` at which the parameter had a gradient
    arrays      the states; None before the first step
    settings    the group's settings at the last step, but for lr and its scale
    by_rows     whether a RowGrad steps rows (True) or is made dense (False); None before the first
    row_steps   (V,) steps of each row, for sparse="touched"
    law, last   for sparse="exact", where absent rows move: how (catch_up.py), and the step (V,) that each row is
                stored as of. Without a law no row lags

    As a reader it has what a lookup asks for: `.shape`, `.dtype`, `.take(ids, axis=0)`.
    """

    FIELDS: ClassVar = {"steps": STEP, "arrays": (None, [np.ndarray]), "settings": (None, {str: object}),
                        "by_rows": (None, bool), "row_steps": (None, np.dtype(np.int64)),
                        "law": (None, LinearCatchUp, AdamCatchUp), "last": (None, np.dtype(np.int32))}

    p: Parameter
    forgotten = False  # by the table (see MappedParameter.forget_optimizer)
    _caught_up: tuple[Array, Array, list[Array]] = NOTHING  # since the last step: sorted ids, and where in which arrays

    def __init__(self, p: Parameter) -> None:
        self.p = p
        self.steps = 0
        self.arrays: Any = None
        self.settings: dict[str, Any] | None = None
        self.by_rows: bool | None = None
        self.row_steps: Array | None = None
        self.law: Any = None
        self.last: Any = None

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.p.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.p.dtype

    def take(self, ids: Array, axis: int = 0, mode: str = "raise") -> Array:
        """The current rows of ids (…) -> (…, D); each row is caught up once, however often it is asked for."""
        unique, inverse = unique_inverse(ids.reshape(-1))
        if self.law is not None and modes.recording:  # what reads this will most likely be stepped
            inverse, z = self._kept(unique)[inverse], self._caught_up[2]
        else:
            z = self.rows(unique)
        return z[0].take(inverse.reshape(ids.shape), 0)

    def _kept(self, ids: Array) -> Array:
        """Where in `_caught_up` the rows of these sorted ids are; those that were not there are caught up."""
        known, at, z = self._caught_up
        if not z:
            self._caught_up = ids, np.arange(len(ids)), self.rows(ids)
            return self._caught_up[1]
        place = known.searchsorted(ids)
        new = np.append(known, -1)[place] != ids
        if not new.any():
            return at[place]
        n, m = len(known), int(new.sum())
        if (n + m) * self.p.shape[1] > KEPT:  # many reads and no step
            self._caught_up = NOTHING
            return self._kept(ids)
        fresh = self.rows(ids[new])
        if n + m > len(z[0]):  # twice the room, so that many small reads cost no more than one
            z = [np.concatenate([a, np.empty((n + m, *a.shape[1:]), a.dtype)]) for a in z]
        for a, rows in zip(z, fresh):
            a[n:n + m] = rows
        known, at = np.insert(known, place[new], ids[new]), np.insert(at, place[new], np.arange(n, n + m))
        self._caught_up = known, at, z
        return at[known.searchsorted(ids)]

    def rows(self, ids: Array) -> list[Array]:
        """The rows (U, D) of w and of each state as they are now: fresh arrays."""
        z = [self.p.storage.take(ids), *(a.take(ids, 0) for a in self.arrays or ())]
        if self.law is None:
            return z
        last = self.last.take(ids)
        frozen = None if self.p.frozen_rows is None else np.flatnonzero(self.p.frozen_rows[ids])
        before = [] if frozen is None else [a.take(frozen, 0) for a in z]
        for some in blocks(len(ids), self.p.shape[1], CAUGHT_UP):
            self.law.catch_up(last[some], *(a[some] for a in z))
        for a, rows in zip(z, before):
            a[frozen] = rows
        return z

    def current(self) -> Array:
        """The whole table as it is now: a fresh array, read-only, since writing to it would be lost."""
        table = self.rows(np.arange(len(self.p)))[0]
        table.flags.writeable = False
        return table

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.current(), dtype)

    # -- storing -------------------------------------------------------------------------------------------------------

    def put(self, ids: Array, z: list[Array]) -> None:
        """Store rows of w and of each state as of now."""
        self.p.storage.put(ids, z[0])
        for a, rows in zip(self.arrays, z[1:]):
            a[ids] = rows
        if self.law is not None:
            self.last[ids] = self.law.t
        self._caught_up = NOTHING

    def commit(self) -> None:
        """Store all rows as of now."""
        self._caught_up = NOTHING
        if self.law is None:
            return
        for some in blocks(len(self.p), self.p.shape[1], CAUGHT_UP):
            ids = np.arange(some.start, some.stop)
            self.put(ids, self.rows(ids))

    def grow(self) -> None:
        """Rows that the parameter has gained (`Embedding.grow`) are up to date, with zero states and no steps."""
        more = len(self.p) - len(self.arrays[0]) if self.p.ndim and self.arrays else 0
        if more:
            self.arrays[:] = [np.concatenate([a, np.zeros((more, *a.shape[1:]), a.dtype)]) for a in self.arrays]
        if self.row_steps is not None:
            self.row_steps = _longer(self.row_steps, len(self.p), 0)
        if self.last is not None:
            self.last = _longer(self.last, len(self.p), self.law.t)

    # -- stepping ------------------------------------------------------------------------------------------------------

    def settle(self, settings: dict[str, Any]) -> None:
        """Let other settings hold from here on: rows that lag under those before are committed, and so are those that
        lag under another optimiser."""
        if self.forgotten:
            raise ValueError("the mapped table has forgotten this optimiser (forget_optimizer); make a new one")
        if self.settings != settings:
            if self.law is not None:
                self.p.hand_to(None)
            self.settings, self.law, self.last = settings, None, None
            self.by_rows = True if self.row_steps is not None else None  # else to be decided afresh
        self.p.hand_to(self if self.law is not None else None)

    def make_states(self, names: tuple[str, ...], shape: tuple[int, ...]) -> None:
        """Zeros for each state, at the first step; rows that nobody touches take no memory."""
        if self.arrays is None:
            self.arrays = [self.p.storage.new_array(name, shape, self.p.dtype) for name in names]
        elif len(self.arrays) != len(names):
            raise ValueError(f"the table was kept with {len(self.arrays)} states, momentum among them or not, and this "
                             f"optimiser now has {len(names)}")
        self.grow()

    def count_rows(self) -> None:
        """From here on each row counts its own steps."""
        self.row_steps = self.p.storage.new_array("row_steps", self.p.shape[:1], np.int64, self.steps)
        self.by_rows = True

    def follow(self, law: Any) -> None:
        """From here on rows may lag, and are caught up by this law; None: absent rows stand still."""
        self.law, self.by_rows = law, True
        if law is not None:
            self.last = self.p.storage.new_array("last", self.p.shape[:1], np.int32, law.t)
            self.p.hand_to(self)

    def step_rows(self, rule: Callable[..., None], o: Any, g: RowGrad) -> None:
        """One step of `rule`, with the settings o, for the rows of a coalesced gradient."""
        ids, rows = g.ids, g.rows
        if self.p.frozen_rows is not None:
            free = np.flatnonzero(~self.p.frozen_rows[ids])
            ids, rows = ids[free], rows[free]
        self.steps += 1
        t: Any = self.steps
        if self.row_steps is not None:
            self.row_steps[ids] += 1
            t = self.row_steps[ids, None]
        known, at, z = self._caught_up
        if self.law is None:
            z = self.rows(ids)
        elif not (z and len(z[0]) == len(ids) and np.array_equal(known, ids) and (at[1:] > at[:-1]).all()):
            at = self._kept(ids)
            z = [a.take(at, 0) for a in self._caught_up[2]]  # else just these were read, in this order
        self._caught_up, (w, *states) = NOTHING, z
        if self.p.project is not None:
            w = self.p.project(w)
        rule(o, t, w, rows, *states)
        if self.law is not None:
            self.law.advance(rule, o)
        self.put(ids, [w, *states])

    def step_all(self, rule: Callable[..., None], o: Any, g: Array) -> None:
        """One step of `rule`, with the settings o, for all rows: slices that fit the cache, two at a time."""
        p = self.p
        if self.law is not None:
            self.commit()
        self.steps += 1
        arrays = [p.storage.all(), *self.arrays]
        frozen = None if p.frozen_rows is None else np.flatnonzero(p.frozen_rows)
        before = [] if frozen is None else [a.take(frozen, 0) for a in arrays]
        if p.project is not None:
            touched = np.flatnonzero(g.any(axis=1))
            p.storage.put(touched, p.project(p.storage.take(touched)))
        if self.row_steps is not None:
            self.row_steps += 1
            rule(o, self.row_steps[:, None], arrays[0], g, *arrays[1:])
        else:
            # Whole rows at a time, so that a rule may look along them.
            n = p.shape[0] if p.ndim else 1
            w, g, *states = (a.reshape(n, math.prod(a.shape[1:])) for a in (arrays[0], np.ascontiguousarray(g),
                                                                          *arrays[1:]))

            def step_half(start: int, stop: int) -> None:
                for some in blocks(stop - start, w.shape[1], STEPPED):
                    rows = slice(start + some.start, start + some.stop)
                    rule(o, self.steps, w[rows], g[rows], *(a[rows] for a in states))

            in_halves(step_half, n, w.nbytes)
        for a, rows in zip(arrays, before):
            a[frozen] = rows
        if self.law is not None:
            self.law.advance(rule, o)
            self.last[:] = self.steps


def _longer(array: Array, n: int, fill: int) -> Array:
    """The array with as many further entries as it takes to have n."""
    return np.concatenate([array, np.full(n - len(array), fill, array.dtype)]) if len(array) < n else array
