"""safetensors files: read through a memory map, written in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..core import Array, as_ids, blocks
from .atomic import atomic_write
from .bfloat import narrow, widen
from .errors import FormatError, Path, short
from .gzipped import check_whole, open_file
from .header import STORED, Place, header_bytes, read_header
from .untrusted import read_json

CHUNK = 1 << 20  # bytes written at once


class SafeTensors(Mapping[str, Array]):
    """The tensors of a model, by name, where they lie on disk: opening reads headers, indexing maps.

    path   a .safetensors file; a .safetensors.index.json, which names the shards of a large model, in its own
           folder; or a folder with one of them: model.safetensors, model.safetensors.index.json, or its only one

    `file[name]` is a read-only numpy.memmap of the bytes in the file (a plain array where there are no bytes, and a
    copy where an old writer left the numbers unaligned, on which NumPy would copy the table at every lookup). BF16,
    which NumPy lacks, comes as a float32 copy; `rows` reads a few rows of it without that. While arrays of it are in
    use the file may be removed, or replaced by a rename (`atomic_write`); bytes written into it would show, and to cut
    it short kills the process that reads on (SIGBUS).

    Checked at once: the header, to the last byte of the file. Checked on reading: booleans are 0 or 1.
    Raises FormatError for a file that is not what it should be, and on reading a dtype that is not supported (8-bit
    and smaller floats, complex); KeyError for a name that is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     write_safetensors(path, {"wte.weight": np.arange(6, dtype=np.float32).reshape(3, 2)}, {"format": "pt"})
    ...     file = SafeTensors(folder)
    ...     file, file.metadata, file.shape("wte.weight"), file.rows("wte.weight", [2, 0]).tolist()
    (SafeTensors('...model.safetensors', 1 tensor), {'format': 'pt'}, (3, 2), [[4.0, 5.0], [0.0, 1.0]])
    """

    def __init__(self, path: Path) -> None:
        self.path = _find(os.fsdecode(path))
        self.metadata: dict[str, str] = {}
        self._maps: dict[str, Any] = {}
        if self.path.endswith(".index.json"):
            self._places = self._open_shards()
        else:
            self._places = self._open(self.path)

    def _open(self, path: str) -> dict[str, Place]:
        """Check a file's header, keep a mapping of it; where its tensors lie."""
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            metadata, places = read_header(path, file, size)
            # Of the file that was checked, though another may take its name meanwhile.
            self._maps[path] = np.memmap(file, np.uint8, "r", shape=(size,))
        self.metadata.update(metadata)
        return places

    def _open_shards(self) -> dict[str, Place]:
        names, shards = _weight_map(self.path), dict[str, dict[str, Place]]()
        for name, shard in names.items():
            if shard not in shards:
                shards[shard] = self._open(_beside(self.path, shard))
            if name not in shards[shard]:
                raise FormatError(self.path, "weight_map", f"the shard {short(shard)} has no tensor {short(name)}")
        return {name: shards[shard][name] for name, shard in names.items()}

    # -- what is there -------------------------------------------------------------------------------------------------

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"SafeTensors({self.path!r}, {len(self)} tensor{'s' * (len(self) != 1)})"

    def place(self, name: str) -> Place:
        """Where the tensor lies. KeyError if there is none of that name."""
        if name not in self._places:
            raise KeyError(f"{self.path} has no tensor {short(name)}")
        return self._places[name]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.place(name).shape

    def dtype(self, name: str) -> str:
        """The format's code for the dtype that is stored: "F32", "BF16" …"""
        return self.place(name).code

    # -- reading -------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Array:
        place = self.place(name)
        stored = self._bytes(name).view(STORED[place.code]).reshape(place.shape)
        if isinstance(stored, np.memmap):
            stored.offset = place.begin  # a view says where its parent begins
        if place.code == "BF16":
            return widen(stored)
        self._check(name, stored)
        if not stored.flags.aligned:
            stored = np.array(stored)
            stored.flags.writeable = False
        return stored

    def rows(self, name: str, ids: Any) -> Array:
        """The rows of these ids, a fresh array; only their pages are read, and BF16 comes as float32.

            ids (…) integers in 0 … shape[0]-1, or a slice -> (…, *shape[1:])

        Raises IndexError for ids outside the tensor (nothing wraps round), TypeError for ids that are no integers,
        ValueError for a tensor that has no rows.
        """
        place = self.place(name)
        if not place.shape:
            raise ValueError(f"tensor {short(name)} is a single number and has no rows; read it with file[name]")
        V, *rest = place.shape
        table = self._bytes(name).view(np.ndarray).reshape(V, -1 if V else 0)  # bytes (V, bytes of a row)
        if isinstance(ids, slice):
            rows, leading = table[ids].copy(), table[ids].shape[:1]
        else:
            ids = as_ids(ids, V, f"tensor {short(name)}")
            rows, leading = table.take(ids, axis=0), ids.shape
        rows = rows.view(STORED[place.code]).reshape((*leading, *rest))
        self._check(name, rows)
        return widen(rows) if place.code == "BF16" else rows

    def _bytes(self, name: str) -> Any:
        place = self.place(name)
        if place.code not in STORED:
            raise FormatError(place.file, f"tensor {short(name)}", f"dtype {place.code} is not supported: convert it "
                              "to one of " + ", ".join(STORED))
        return self._maps[place.file][place.begin:place.end]

    def _check(self, name: str, stored: Array) -> None:
        """A byte that is neither 0 nor 1 is no boolean: NumPy would count it as neither, or as both."""
        if stored.dtype == bool and stored.size and int(stored.view(np.uint8).max()) > 1:
            raise FormatError(self.place(name).file, f"tensor {short(name)}",
                              f"byte {int(stored.view(np.uint8).max())} where a boolean is 0 or 1")


def _find(path: str) -> str:
    """The file to open: `path`, or what stands for the model in the folder `path`."""
    if os.path.isdir(path):
        check_whole(path)
        names = sorted(os.listdir(path))
        found = ([name for name in names if name == "model.safetensors"]
                 or [name for name in names if name.endswith(".safetensors.index.json")]
                 or [name for name in names if name.endswith(".safetensors")])
        if len(found) > 1:
            raise FormatError(path, "the folder", f"several models: {', '.join(map(short, found[:20]))}; give the path "
                              "of one")
        if not found:
            pickles = (f"; {short(name)} is a pickle, which can run any code when it is read, so nothing here reads it:"
                       " convert it where you trust it" for name in names if name.endswith((".bin", ".pt", ".pth")))
            raise FormatError(path, "the folder", "no .safetensors file in it" + next(pickles, ""))
        path = os.path.join(path, found[0])
    return path


def _weight_map(path: str) -> dict[str, str]:
    """What an index says: the names of tensors, and the file of each."""
    index = read_json(path)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not all(isinstance(shard, str) for shard in names.values()):
        raise FormatError(path, "the file", "no object weight_map, from the names of tensors to files")
    return names


def _beside(path: str, shard: str) -> str:
    """The path of a shard, which lies in the folder of its index and nowhere else."""
    if shard in ("", ".", "..") or set(shard) & set("/\\:\0"):
        raise FormatError(path, "weight_map", f"{short(shard)} is not the name of a file in the same folder")
    file = os.path.join(os.path.dirname(path), shard)
    if not os.path.isfile(file):
        raise FormatError(path, "weight_map", f"the shard {short(shard)} is not in the folder")
    return file


def write_safetensors(path: Path, tensors: Mapping[str, Array],
                      metadata: Mapping[str, str] | None = None, dtypes: Mapping[str, str] | None = None) -> None:
    """Write arrays by name: whole or not at all (`atomic_write`), the same bytes for the same input.

    tensors    arrays of any layout and byte order: booleans, integers, floats of 2, 4 or 8 bytes. They may be mapped
               from the very file that is replaced. Beyond them, a chunk of memory is used, not a copy.
    metadata   strings by name, kept in the header
    dtypes     {"w": "BF16"} stores the float array "w" as bfloat16, rounded to the nearest, ties to even

    Tensors lie as the reference lays them: wide dtypes first, so that all are aligned, then by name.
    Raises, before anything is written: TypeError for what is no array or of another dtype, or no string where one is
    due; ValueError for names that the format cannot hold, more than 32 dimensions, and a header over 100 MB.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "table.safetensors")
    ...     write_safetensors(path, {"weight": np.array([[1.0, 1.001]])}, dtypes={"weight": "BF16"})
    ...     SafeTensors(path).dtype("weight"), SafeTensors(path)["weight"].tolist()
    ('BF16', [[1.0, 1.0]])
    """
    atomic_write(path, safetensors_data(tensors, metadata, dtypes))


def safetensors_data(tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None,
                     dtypes: Mapping[str, str] | None = None) -> Callable[[BinaryIO], None]:
    """What writes them, as `write_safetensors` does, into an open file: for `write_together`. It raises when called."""
    codes = {name: _code(name, array, (dtypes or {}).get(name)) for name, array in tensors.items()}
    if strange := set(dtypes or {}) - set(tensors):
        raise ValueError(f"dtypes names tensors that are not there: {short(sorted(strange))}")
    begin, order, length = header_bytes({name: (codes[name], tensors[name].shape) for name in codes}, metadata)

    def write(file: BinaryIO) -> None:
        file.write(begin)
        for name in order:
            for piece in _pieces(np.atleast_1d(np.asarray(tensors[name]))):
                stored = narrow(piece) if codes[name] == "BF16" else piece
                file.write(stored.astype(STORED[codes[name]], copy=False).tobytes())
        if file.tell() != length:
            raise RuntimeError(f"{file.tell():,} bytes were written of {length:,}: the tensors changed meanwhile")

    return write


def sparse_safetensors(path: Path, entries: Mapping[str, tuple[str, tuple[int, ...]]],
                       metadata: Mapping[str, str] | None = None) -> None:
    """Make a file of zeros that takes no room on the disk, where the file system can, to be filled through a mapping.

    entries   name -> (dtype code, shape), such as {"weight": ("F32", (1_000_000, 64))}

    The header is padded so that the data begin at a multiple of 4,096: pages of the mapping are pages of the table.
    Raises as `write_safetensors` does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "table.safetensors")
    ...     sparse_safetensors(path, {"weight": ("F32", (1_000_000, 64))})
    ...     os.path.getsize(path), float(SafeTensors(path).rows("weight", [999_999]).sum())
    (256004096, 0.0)
    """
    for name, (code, _) in entries.items():
        if code not in STORED:
            raise TypeError(f"tensor {short(name)}: dtype {short(code)} is not one of " + ", ".join(STORED))
    begin, _, length = header_bytes(entries, metadata, 4096)

    def write(file: BinaryIO) -> None:
        file.write(begin)
        file.truncate(length)

    atomic_write(path, write)


def _code(name: str, array: Any, wanted: str | None) -> str:
    """The code of the dtype that an array is stored in."""
    if not isinstance(array, (np.ndarray, np.generic)):
        raise TypeError(f"tensor {short(name)} is a {type(array).__name__}; give a NumPy array")
    if wanted == "BF16" and array.dtype.newbyteorder("=") in (np.float16, np.float32, np.float64):
        return wanted
    code = next((code for code, kind in STORED.items() if code != "BF16"
                 and np.dtype(kind).newbyteorder("=") == array.dtype.newbyteorder("=")), None)
    if code is None or wanted not in (None, code):
        raise TypeError(f"tensor {short(name)} has dtype {array.dtype}" + (
            f", which is not stored as {short(wanted)}: convert it with astype first (floats can be stored as BF16)"
            if wanted else "; the format has booleans, integers, and floats of 2, 4 and 8 bytes"))
    return code


def _pieces(array: Array) -> Iterator[Array]:
    """The array in C order, in views of at most CHUNK bytes; a row that is longer goes by its own rows."""
    if array[:1].nbytes > CHUNK:
        for row in array:
            yield from _pieces(row)
    else:
        yield from (array[rows] for rows in blocks(len(array), array[:1].nbytes, CHUNK))
