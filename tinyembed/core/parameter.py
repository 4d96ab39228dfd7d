"""Parameter: a trainable leaf tensor of a module, and Storage: where its rows are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .machine import take_rows
from .rowgrad import Array
from .tensor import Tensor


@dataclass(frozen=True)
class FileReference:
    """Stands for an array that is mapped from a file: file, dtype, shape, and where it begins. Never opens the file."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    offset: int = 0

    @classmethod
    def of(cls, array: Array) -> FileReference | None:
        """Of an array whose numbers stand in a mapped file, end to end; None for any other, and for a private (mode
        "c") map.

        >>> FileReference.of(np.zeros(3)) is None
        True
        """
        whole: Any = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        if not isinstance(whole, np.memmap) or whole.mode == "c" or whole.filename is None \
                or not array.flags.c_contiguous:
            return None
        offset = whole.offset + array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        return cls(os.path.abspath(whole.filename), array.dtype.str, array.shape, offset)

    def same(self, other: Any) -> bool:
        """Whether both mean the same array of a file of the same name, wherever the two folders are."""
        return isinstance(other, FileReference) and (os.path.basename(self.file), self.dtype, self.shape, self.offset) \
            == (os.path.basename(other.file), other.dtype, other.shape, other.offset)


class Storage:
    """Where the rows of a Parameter are: here in memory, in one array. Optimisers, checkpoints and reports reach a
    table through these methods, so that it may be kept elsewhere: in files (rows/mapped.py).

    keeps_state   whether what an optimiser keeps for the table is stored with it, from run to run
    reader        who reads the rows while none lag (see Parameter.lazy); None: they are simply the array's
    first         a function from ids (U,) to the rows (U, D) as they began, where that is known without keeping them
    """

    __slots__ = ("p",)
    keeps_state = False
    reader: Any = None
    first: Any = None

    def __init__(self, p: Parameter) -> None:
        self.p = p

    def take(self, ids: Array) -> Array:
        """Rows as they are stored, which may lag: a fresh array (U, D)."""
        return take_rows(self.p._data, ids)

    def put(self, ids: Array, rows: Array) -> None:
        """Store rows (U, D) where `take` finds them."""
        self.p._data[ids] = rows

    def all(self) -> Array:
        """The whole array as it is stored."""
        return self.p._data

    def new_array(self, name: str, shape: tuple[int, ...], dtype: Any, fill: int = 0) -> Array:
        """An array for what an optimiser keeps beside the table, kept where the table is."""
        return np.full(shape, fill, dtype) if fill else np.zeros(shape, dtype)

    def flush(self) -> None:
        """Have all that changed on the disk, if that is where it is kept."""

    def reference(self) -> FileReference | None:
        """Which file the array is mapped from; None if it is in memory."""
        return FileReference.of(self.p._data)

    def gradient(self, g: Any) -> Any:
        """The gradient in a form that this table can be stepped by."""
        return g

    def refuse_dense(self, optimizer: str, reason: str) -> None:
        """ValueError where a step may not go through all rows, with the reason why it would."""

    def lazy_of(self, rule: dict[str, str]) -> Any:
        """The LazyRows that the table has from an earlier run with the optimiser of this description, or None."""

    def train_by(self, rule: dict[str, str], lazy: Any) -> None:
        """From here on the table is trained by the optimiser of this description."""


class Parameter(Tensor):
    """A leaf Tensor that a module owns and an optimiser changes.

    storage       where the rows are kept: `take`, `put`, `all`, `new_array`, `flush`, `reference` (see Storage)
    lazy          None, or the LazyRows (rows/lazy.py) of an optimiser that updates rows lazily
    frozen_rows   None, or a boolean array (V,): True for rows that no optimiser moves, whatever its momentum and decay
    project       None, or a function of rows (U, D) that a step applies to the rows it is about to update (max_norm)

    While an optimiser with sparse="exact" drives it, rows that no batch has looked up lag: they are stored as of their
    last update. `.data`, lookups and every other reader get them brought up to date, in fresh arrays: reading writes
    nothing. Assigning, freezing and growing commit all rows first.

    >>> p = Parameter(np.zeros((2, 2), np.float32))
    >>> p.requires_grad, p.frozen_rows, p.lazy
    (True, None, None)
    """

    __slots__ = ("_frozen_rows", "project")

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self._frozen_rows: Array | None = None
        self.project: Callable[[Array], Array] | None = None

    @property
    def storage(self) -> Any:
        """Where the rows are kept."""
        return Storage(self)

    @property
    def lazy(self) -> Any:
        """The LazyRows that bring rows up to date, or None if no row lags."""
        return None if self._reader is self.storage.reader else self._reader

    def hand_to(self, lazy: Any) -> None:
        """From here on `lazy` brings rows up to date (None: no row lags). Whoever did so before commits all rows
        first."""
        reader = self.storage.reader if lazy is None else lazy
        if self._reader is not reader:
            self.commit()
            self._reader = reader

    def commit(self) -> None:
        """Store all rows as they are now."""
        if self._reader is not None:
            self._reader.commit()

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
        self.commit()  # rows stop, and start again, from where they are now
        self._frozen_rows = mask

    def refuses(self, x: Any) -> str | None:
        """Why an array, or the reference to a mapped one, cannot become this parameter's; None if it can."""
        if isinstance(x, FileReference):
            return None if x.same(self.storage.reference()) else f"should be mapped from {x.file}"
        if x.shape != self.shape:
            return f"is {x.shape}, should be {self.shape}"
        fits = x.dtype.kind in "fiu" if self.dtype.kind == "f" else np.can_cast(x.dtype, self.dtype, "same_kind")
        return None if fits else f"holds {x.dtype}, should hold {self.dtype}"

    def restore(self, stored: Array | None, frozen_rows: Any, lazy: Any = None) -> None:
        """Set what is stored (None: it stays), which rows are frozen, and who brings rows up to date, as a file has it.
        Whoever did so before commits all rows first."""
        self.hand_to(None)
        self.frozen_rows = frozen_rows
        if stored is not None:
            self._data = np.array(stored, self.dtype, order="C")
        self._reader = self.storage.reader if lazy is None else lazy
        self.zero_grad()
        self.mark_changed()

    def grow(self, rows: Any) -> None:
        """Append rows (k, …). Optimisers go on with the states of the old rows, and zeros for the new."""
        rows = np.asarray(rows, self.dtype)
        if self.ndim == 0 or rows.shape[1:] != self.shape[1:]:
            raise ValueError(f"rows {rows.shape} do not extend a parameter of shape {self.shape}")
        self.commit()
        self._data = np.concatenate([self._data, rows])
        if self._frozen_rows is not None:
            self._frozen_rows = np.concatenate([self._frozen_rows, np.zeros(len(rows), bool)])
            self._frozen_rows.flags.writeable = False
        if self._reader is not None:
            self._reader.grow()
        self.zero_grad()
        self.mark_changed()
