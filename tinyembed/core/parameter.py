"""Parameter: a leaf that a module owns and an optimiser changes, and what it tells the optimiser about its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .rowgrad import Array
from .tensor import Tensor


class Parameter(Tensor):
    """A leaf Tensor that a module owns and an optimiser changes.

    frozen_rows   None, or a boolean array (V,): True for rows that no optimiser moves, whatever its momentum and decay
    project       None, or a function of rows (U, D) that a step applies to the rows it is about to update (max_norm)

    While an optimiser with sparse="exact" drives it, rows that no batch has looked up are stored as their last step
    left them. `.data`, lookups and every other reader get them brought up to date, in fresh arrays: reading writes
    nothing. Assigning, freezing and growing commit all rows first.

    What an optimiser needs of the place where a table is kept are the methods `stored`, `store`, `new_state` and
    `hand_to`. A subclass may keep it elsewhere than in memory (`nn.Embedding.mapped`): it sets `resting`, who reads
    its rows while no optimiser leaves any behind; and `kept`, what an optimiser knows of it.

    >>> p = Parameter(np.zeros((2, 2), np.float32))
    >>> p.requires_grad, p.frozen_rows
    (True, None)
    """

    __slots__ = ("_frozen_rows", "project")
    resting: Any = None
    kept: Any = None

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self._frozen_rows: Array | None = None
        self.project: Callable[[Array], Array] | None = None

    @property
    def frozen_rows(self) -> Array | None:
        """None, or a boolean array (V,): True for rows that stay as they are. Read-only: assign a new one."""
        return self._frozen_rows

    @frozen_rows.setter
    def frozen_rows(self, mask: Any) -> None:
        mask = None if mask is None else np.array(mask)
        if mask is not None and (mask.dtype != bool or mask.shape != self.shape[:1]):
            raise ValueError(f"frozen_rows of a table {self.shape} is None or boolean {self.shape[:1]}, "
                             f"not {mask.dtype} {mask.shape}")
        if mask is not None:
            mask.flags.writeable = False
        before = self._frozen_rows
        if mask is before is None or (mask is not None and before is not None and np.array_equal(mask, before)):
            return
        if self._pending is not None:
            self._pending.commit()  # rows stop, and start again, from where they are now
        self._frozen_rows = mask

    def stored(self, ids: Array) -> Array:
        """Rows as they are stored, which may be behind: a fresh array (U, D)."""
        return self._data.take(ids, 0)

    def store(self, ids: Array, rows: Array) -> None:
        """Put rows (U, D) where `stored` finds them."""
        self._data[ids] = rows

    def new_state(self, name: str, shape: tuple[int, ...], dtype: Any, fill: int = 0) -> Array:
        """An array for what an optimiser keeps beside this parameter, kept where the parameter is."""
        return np.full(shape, fill, dtype) if fill else np.zeros(shape, dtype)

    def restore(self, stored: Array | None, frozen_rows: Any, behind: Any = None) -> None:
        """Set what is stored (None: it stays), which rows are frozen, and who brings rows up to date, as a file has it.
        Whoever did so before commits all rows first."""
        self.hand_to(None)
        self.frozen_rows = frozen_rows
        if stored is not None:
            self._data = np.array(stored, self.dtype, order="C")
        self._pending = self.resting if behind is None else behind
        self.zero_grad()
        self.mark_changed()

    def hand_to(self, behind: Any) -> None:
        """From here on `behind` brings rows up to date (None: no optimiser leaves any behind). Whoever did so before
        commits all rows first."""
        behind = self.resting if behind is None else behind
        if self._pending is not behind:
            if self._pending is not None:
                self._pending.commit()
            self._pending = behind

    def grow(self, rows: Any) -> None:
        """Append rows (k, …). Optimisers go on with the states of the old rows, and zeros for the new."""
        rows = np.asarray(rows, self.dtype)
        if self.ndim == 0 or rows.shape[1:] != self.shape[1:]:
            raise ValueError(f"rows {rows.shape} do not extend a parameter of shape {self.shape}")
        if self._pending is not None:
            self._pending.commit()
        self._data = np.concatenate([self._data, rows])
        if self._frozen_rows is not None:
            self._frozen_rows = np.concatenate([self._frozen_rows, np.zeros(len(rows), bool)])
            self._frozen_rows.flags.writeable = False
        if self._pending is not None:
            self._pending.grow()
        self.zero_grad()
        self.mark_changed()
