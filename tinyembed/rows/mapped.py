"""Trainable tables larger than memory: rows and optimiser states in memory-mapped files.

The folder of a table holds safetensors files: `weight_…` (V, D), `known` (V,), for each array of the optimiser one
(`m`, `v`, `last` …), and `table`, the rest as a tree. All but `table` are sparse: they have their full length from
the start, and a page takes room on the disk once something was written to it. A row that `known` does not mark was
never stored; its initial values are drawn, whenever somebody asks, by a generator that counts: Philox (Salmon et al.
2011) with the seed as key and the row as counter. So a step reads and writes the rows it touches, and nothing else.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
from typing import Any, cast

import numpy as np

from ..core import Array, FileReference, Parameter, RowGrad, Storage, Tensor, as_row, blocks, fresh_rng
from ..files import FormatError, SafeTensors, found_in, read_tree, sparse_safetensors, write_safetensors, write_tree
from .lazy import LazyRows
from .saved import saved_rows

KIND, LAYOUT = "tinyembed mapped table", 2
# What an optimiser keeps, its arrays in files of their own.
LAZY = {**LazyRows.form(), "arrays": (None, [FileReference]), "row_steps": (None, FileReference),
        "last": (None, FileReference)}
FORM = {"shape": [int], "dtype": str, "std": float, "seed": int, "padding_idx": (None, int), "weight": str,
        "frozen_rows": (None, np.dtype(np.uint8)), "rule": (None, {"rule": str, "sparse": str}), "lazy": (None, LAZY)}
CODES = {"<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "|u1": "U8"}


class InFiles(Storage):
    """The storage of a mapped table. While no row lags it is read by LazyRows that no optimiser drives."""

    __slots__ = ("_known", "_lazy", "_maps", "_philox", "dtype", "folder", "reader", "shape", "table")
    keeps_state = True

    def __init__(self, folder: str) -> None:
        """Open what is in a folder. FormatError if something there is not what it should be."""
        self.folder = os.path.abspath(folder)
        self._maps: dict[str, Any] = {}
        self._lazy: LazyRows | None = None
        path = os.path.join(self.folder, "table.safetensors")
        self.table, _ = read_tree(path, FORM, kind=KIND, layout=LAYOUT)
        self.shape, dtype = tuple(self.table["shape"]), self.table["dtype"]
        if len(self.shape) != 2 or dtype not in ("<f4", "<f8") or not 0 <= self.table["seed"] < 2**64 or \
                not np.isfinite(self.table["std"]) or not re.fullmatch("weight_[0-9a-f]+", self.table["weight"]):
            raise FormatError(path, "tree", f"{dtype} {self.shape}, seed {self.table['seed']}: no table of floats")
        V, frozen, padding_idx = self.shape[0], self.table["frozen_rows"], self.table["padding_idx"]
        if (frozen is not None and frozen.shape != (-(-V // 8),)) or not (padding_idx is None or 0 <= padding_idx < V):
            raise FormatError(path, "tree", f"frozen_rows or padding_idx are not of {V:,} rows")
        if (self.table["rule"] is None) != (self.table["lazy"] is None):
            raise FormatError(path, "tree.rule", "an optimiser without what it keeps, or the other way round")
        self.dtype = np.dtype(dtype)
        self._open(self.table["weight"], self.shape, dtype)
        self._known = self._open("known", self.shape[:1], "|u1")
        self._philox = np.random.Philox(key=self.table["seed"])

    def belong_to(self, p: Parameter) -> None:
        """Be the storage of p, whose array is `weight`: with its frozen rows, and what an optimiser keeps for it."""
        self.p, self.reader = p, LazyRows(p)
        p.hand_to(None)
        if self.table["frozen_rows"] is not None:
            p.frozen_rows = np.unpackbits(self.table["frozen_rows"], count=self.shape[0]).astype(bool)
        if self.table["rule"] is not None:
            with found_in(os.path.join(self.folder, "table.safetensors"), "tree.lazy"):
                self._lazy = self._restored(self.table["lazy"])
            p.hand_to(self._lazy if self._lazy.law is not None else None)

    @property
    def weight(self) -> Any:
        """The mapped array (V, D), in which rows that were never stored are zeros."""
        return self._maps[self.table["weight"]]

    # -- rows ----------------------------------------------------------------------------------------------------------

    def take(self, ids: Array) -> Array:
        """Rows as they are stored, or as they began."""
        rows = self.p._data.take(ids, 0)
        new = np.flatnonzero(self._known.take(ids) == 0)
        if len(new):
            rows[new] = self.first(ids[new])
        return rows

    def put(self, ids: Array, rows: Array) -> None:
        self.p._data[ids] = rows
        self._known[ids] = 1  # after the row: a kill in between leaves a row that was never stored

    def first(self, ids: Array) -> Array:
        """N(0, std^2) for each row, from a counter of its own; zeros for the padding row. (U,) -> (U, D)"""
        rows = np.empty((len(ids), self.shape[1]), self.dtype)
        start, draw = np.random.Philox(key=self.table["seed"]).state, np.random.Generator(self._philox).standard_normal
        for row, i in zip(rows, ids.tolist()):
            start["state"]["counter"][1] = i
            self._philox.state = start
            draw(out=row, dtype=self.dtype)
        rows *= self.table["std"]
        rows[ids == self.table["padding_idx"]] = 0
        return rows

    # -- what an optimiser does ----------------------------------------------------------------------------------------

    def gradient(self, g: Any) -> Any:
        """A table that may be larger than memory is stepped by rows alone."""
        if isinstance(g, RowGrad):
            return g
        ids = np.flatnonzero(g.any(axis=1))
        return RowGrad(g.shape, ids, g[ids], coalesced=True)

    def refuse_dense(self, optimizer: str, reason: str) -> None:
        raise ValueError(f"{optimizer} would take dense steps for a mapped table: {reason}")

    def lazy_of(self, rule: dict[str, str]) -> LazyRows | None:
        if self._lazy is not None and self.table["rule"] != rule:
            raise ValueError(f"this mapped table is trained by {self.table['rule']}, and this optimiser is {rule}; "
                             "table.weight.forget_optimizer() lets another one start afresh")
        return self._lazy

    def train_by(self, rule: dict[str, str], lazy: LazyRows) -> None:
        self.table["rule"], self._lazy = rule, lazy

    def forget(self) -> None:
        """Let any optimiser start afresh; all rows are up to date."""
        if self._lazy is not None:
            self._lazy.forgotten = True
        self.table["rule"] = self._lazy = None
        self.flush()
        for name in [name for name in self._maps if name not in (self.table["weight"], "known")]:
            del self._maps[name]
            os.unlink(os.path.join(self.folder, f"{name}.safetensors"))

    # -- files ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Force all to the disk: the rows and states, then the table's step count and what its law has learned."""
        for array in self._maps.values():
            array.flush()
        frozen = self.p.frozen_rows
        self.table["frozen_rows"] = None if frozen is None else np.packbits(frozen)
        self.table["lazy"] = None if self._lazy is None else self._lazy.to_tree()
        write_tree(os.path.join(self.folder, "table.safetensors"), self.table, kind=KIND, layout=LAYOUT)

    def new_array(self, name: str, shape: tuple[int, ...], dtype: Any, fill: int = 0) -> Array:
        create(self.folder, name, shape, np.dtype(dtype).str, fill)
        return self._open(name, shape, np.dtype(dtype).str)

    def _open(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        """Map an array of the folder for reading and writing."""
        path = os.path.join(self.folder, f"{name}.safetensors")
        if not os.path.isfile(path):
            raise FormatError(self.folder, "the folder", f"{name}.safetensors is not there")
        file = SafeTensors(path)
        if name not in file or file.shape(name) != shape or file.dtype(name) != CODES.get(dtype):
            raise FormatError(file.path, f"tensor {name!r}", f"expected {dtype} {shape}, and there is "
                              + (f"{file.dtype(name)} {file.shape(name)}" if name in file else "none"))
        array: Any = np.memmap(file.path, dtype, "r+", file.place(name).begin, shape)
        if hasattr(mmap, "MADV_RANDOM"):  # else a fault brings in the 16 pages around it, of rows nobody asked for
            array._mmap.madvise(mmap.MADV_RANDOM)
        self._maps[name] = array
        return array.view(np.ndarray)

    def _restored(self, tree: Any) -> LazyRows:
        """What an optimiser has kept, its arrays mapped. Rows that were stepped after the last flush (the process was
        killed) count as stepped at that flush."""
        tree = {**tree, **{name: self._mapped(tree[name]) for name in ("row_steps", "arrays", "last")}}
        for steps in (tree["row_steps"], tree["last"]):
            for some in blocks(0 if steps is None else len(steps), entries=1 << 20):
                if steps[some].max() > tree["steps"]:
                    np.minimum(steps[some], tree["steps"], out=steps[some])
        lazy = saved_rows(tree, self.p)
        if lazy.by_rows is False:
            raise ValueError("it says that the table takes dense steps")
        return lazy

    def _mapped(self, x: Any) -> Any:
        """The array that a reference means: one of this folder, whatever folder it was written in."""
        if x is None or isinstance(x, list):
            return None if x is None else [self._mapped(reference) for reference in x]
        name = re.fullmatch(r"([a-z_]+)\.safetensors", os.path.basename(x.file))
        if name is None or x.shape[:1] != self.shape[:1]:
            raise ValueError(f"{x.file} {x.shape} is no array of this table")
        return self._open(name[1], x.shape, x.dtype)


class MappedParameter(Parameter):
    """The weight of `Embedding.mapped`: a Parameter whose rows, and whose optimiser's states, are in the files of a
    folder. `.data`, `.numpy()` and printing all values would bring the whole table into memory; lookups do not."""

    __slots__ = ("_files",)

    def __init__(self, folder: str) -> None:
        """Open the table in a folder. FormatError if something there is not what it should be."""
        self._files = InFiles(folder)
        super().__init__(self._files.weight)  # a memmap is adopted, not copied
        self._files.belong_to(self)

    @property
    def storage(self) -> InFiles:
        return self._files

    @property
    def data(self) -> Array:
        """The whole table as it is now, in memory. Assigning writes every row."""
        return cast(Array, self._reader.current())

    @data.setter
    def data(self, value: Any) -> None:
        value = np.asarray(value.data if isinstance(value, Tensor) else value)
        if value.shape != self.shape or not np.can_cast(value.dtype, self.dtype, "same_kind"):
            raise ValueError(f"cannot assign {value.dtype} {value.shape} to a mapped table {self.dtype} {self.shape}")
        self.commit()
        for some in blocks(*value.shape):
            self.storage.put(np.arange(some.start, some.stop), value[some])
        self.mark_changed()

    def restore(self, stored: Any, frozen_rows: Any, lazy: Any = None) -> None:
        """Nothing: the files of the table have it all."""

    def forget_optimizer(self) -> None:
        """Bring all rows up to date, and let any optimiser start afresh."""
        self.hand_to(None)
        self.storage.forget()

    def grow(self, rows: Any) -> None:
        """Refused: make the table with the rows it may need; those that nobody touches take no room."""
        raise ValueError("a mapped table does not grow; make one with more rows, which take no room until they are "
                         "trained")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a mapped table is neither copied nor pickled: call flush() and copy its folder, "
                        f"{self.storage.folder}")

    def __repr__(self) -> str:
        return f"MappedParameter({self.storage.folder!r}, shape {self.shape}, {self.dtype})"


def create(folder: str, name: str, shape: tuple[int, ...], dtype: str, fill: int = 0) -> None:
    """A file for an array of a table, in place of one that may be there; sparse if it is filled with zeros."""
    path = os.path.join(folder, f"{name}.safetensors")
    if fill:
        write_safetensors(path, {name: np.broadcast_to(np.array(fill, dtype), shape)})
    else:
        sparse_safetensors(path, {name: (CODES[dtype], shape)})


def open_mapped(folder: str | os.PathLike[str], shape: tuple[int | None, int | None], padding_idx: int | None,
                std: float, seed: int | None, dtype: Any) -> MappedParameter:
    """Open the table in a folder, or make one there. ValueError if it is there, and another than was asked for."""
    folder = os.fspath(folder)
    if not os.path.exists(os.path.join(folder, "table.safetensors")):
        if None in shape:
            raise FileNotFoundError(f"there is no table in {folder}; to make one, give num_embeddings and "
                                    "embedding_dim")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"a mapped table holds float32 or float64, not {np.dtype(dtype)}")
        if not (np.isfinite(std) and (seed is None or 0 <= seed < 2**64)):
            raise ValueError(f"std is a number and seed in 0 … 2^64 - 1, not {std!r} and {seed!r}")
        kind, (V, D) = np.dtype(dtype).str, cast(tuple[int, int], shape)
        padding_idx = as_row(padding_idx, V)
        os.makedirs(folder, exist_ok=True)
        weight = f"weight_{secrets.token_hex(4)}"  # by which a checkpoint knows this table from another
        create(folder, weight, (V, D), kind)
        create(folder, "known", (V,), "|u1")
        frozen = None if padding_idx is None else np.packbits(np.arange(V) == padding_idx)
        seed = int(fresh_rng().integers(2**63)) if seed is None else seed
        table = {"shape": [V, D], "dtype": kind, "std": float(std), "seed": seed, "padding_idx": padding_idx,
                 "weight": weight, "frozen_rows": frozen, "rule": None, "lazy": None}
        # Last, so that a table of which only part was made is none, and is made again.
        write_tree(os.path.join(folder, "table.safetensors"), table, kind=KIND, layout=LAYOUT)
    p = MappedParameter(folder)
    wrong = [f"{what} is {there}, not {asked}" for what, asked, there in (
        ("num_embeddings", shape[0], p.shape[0]), ("embedding_dim", shape[1], p.shape[1]),
        ("seed", seed, p.storage.table["seed"]), ("padding_idx", as_row(padding_idx, len(p)),
                                                  p.storage.table["padding_idx"])) if asked not in (None, there)]
    if wrong:
        raise ValueError(f"there is a table in {folder} already, and its {', its '.join(wrong)}")
    return p
