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

    >>> p = Parameter(np.zeros((2, 2), np.float32))
    >>> p.requires_grad, p.frozen_rows
    (True, None)
    """

    __slots__ = ("_frozen_rows", "project")

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
        if self._pending is not None:
            self._pending.commit()  # rows stop, and start again, from where they are now
        self._frozen_rows = mask

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
