"""Archives: nested dicts and lists with arrays at their leaves in one safetensors file. No pickle, no code is run.

The arrays are the file's tensors, named by where they stand in the tree; the rest is JSON in its metadata:

    {"kind": "tinyembed checkpoint", "layout": "1", "version": "0.1.0", "tree": "{…}", "crc32": "…"}

In that JSON, what JSON lacks is an object with one key that begins with `$`:

    {"$tensor": ["model.weight", 3735928559]}    an array: the tensor's name, and a CRC-32 of dtype, shape and bytes
    {"$file": ["words/weight", "<f4", [9, 2], 64]}   a mapped array, which stays where it is: file, dtype, shape, offset
    {"$strings": [text, lengths]}                two arrays for a long list of strings, such as a vocabulary
    {"$tuple": […]}  {"$items": [[key, value], …]}  {"$float": "nan"}

The checksums (`crc32` is over kind, layout, version and tree) make a damaged file a refused one, where a wrong number
would otherwise go on training.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from typing import Any

import numpy as np

from ..core import Array, FileReference, __version__
from .errors import FormatError, Path, found_in
from .forms import check_tree
from .header import META
from .safetensors import SafeTensors, write_safetensors
from .untrusted import SPARE, is_unicode, parse_json

LONG = 1000  # strings in a list: as JSON, whose objects are large, they would be refused beside little else
MOST_BITS = 1300  # of an integer: `parse_json` reads 400 digits


def write_tree(path: Path, tree: Any, *, kind: str, layout: int) -> None:
    """Write a tree of dicts, lists, tuples, None, booleans, numbers, strings and arrays, atomically.

    kind      what the file is, in words
    layout    the number of its arrangement, raised when that changes

    The version of tinyembed is added. NumPy's scalars become Python's, arrays the machine's byte order. Mapped arrays
    are referred to, but for those of the file that is replaced. TypeError or ValueError names a leaf that has no place
    in a file, before anything is written.
    """
    tensors: dict[str, Array] = {}
    text = json.dumps(_encode(tree, "", tensors, os.path.realpath(path)), separators=(",", ":"), allow_nan=False)
    found = {"kind": kind, "layout": str(layout), "version": __version__, "tree": text}
    write_safetensors(path, tensors, {**found, "crc32": _checksum_of_texts(found)})


def read_tree(path: Path, pattern: Any, *, kind: str, layout: int, mapped: bool = False) -> tuple[Any, str]:
    """The tree that `write_tree` wrote, if it has the form of `pattern` (see `check_tree`); and the version that wrote
    it. Arrays are its own, or with mapped=True stay in the file, read-only: their bytes are read once, to be checked.

    FormatError if it is another kind of file, of another layout, damaged, or of another form.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tree(folder + "/a", {"step": 3, "w": np.eye(2)}, kind="an example", layout=1)
    ...     read_tree(folder + "/a", {"step": int, "w": np.ndarray}, kind="an example", layout=1)[0]
    {'step': 3, 'w': array([[1., 0.],
           [0., 1.]])}
    """
    file = SafeTensors(path)
    found = file.metadata
    if found.get("kind") != kind:
        raise FormatError(path, "metadata", f"kind is {found.get('kind')!r}, not {kind!r}")
    number, text = found.get("layout", ""), found.get("tree", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise FormatError(path, "metadata", f"layout is {number!r}, not a number")
    if int(number) != layout:
        raise FormatError(path, "metadata", f"written in layout {number} by version {found.get('version')!r}; this "
                          f"version reads layout {layout}: " + ("update tinyembed" if int(number) > layout else
                          "make the file anew, or read it with that version"))
    if found.pop("crc32", None) != _checksum_of_texts(found):
        raise FormatError(path, "metadata", "the checksum of the structure does not fit: the file is damaged")
    used: set[str] = set()
    try:
        json_tree = parse_json(path, "metadata 'tree'", text.encode(), os.path.getsize(path) + SPARE)
        tree = _decode(path, json_tree, file, used, mapped)
    except RecursionError:
        raise FormatError(path, "metadata 'tree'", "nested too deeply") from None
    if used != set(file):
        raise FormatError(path, "metadata 'tree'", f"tensors that have no place in it: {sorted(set(file) - used)[:3]}")
    check_tree(path, tree, pattern)
    return tree, found.get("version", "")


def _encode(x: Any, where: str, tensors: dict[str, Array], path: str) -> Any:
    """The JSON of x; arrays go to `tensors`, unless they are mapped from another file than that at `path`."""
    if isinstance(x, np.generic) and x.dtype.kind in "biufU":
        x = x.item()
    if isinstance(x, str) and not is_unicode(x):
        raise ValueError(f"{where or 'the tree'} is {x[:50]!r}, which UTF-8 can not hold")
    if type(x) is int and x.bit_length() > MOST_BITS:
        raise ValueError(f"{where or 'the tree'} is an integer of {x.bit_length():,} bits, more than {MOST_BITS:,}")
    if x is None or type(x) in (bool, int, str):
        return x
    if type(x) is float:
        return x if math.isfinite(x) else {"$float": repr(x)}
    if type(x) in (np.ndarray, np.memmap):
        reference = FileReference.of(x)
        if reference is None or os.path.realpath(reference.file) == path:
            if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
                raise TypeError(f"{where or 'the tree'} is an array of {x.dtype}; a file holds booleans, integers, and "
                                "floats of at most 8 bytes")
            name = where or "tree"
            while name in tensors or name == META:  # {"a.b": …} beside {"a": {"b": …}}
                name += "'"
            tensors[name] = x
            return {"$tensor": [name, _checksum(x)]}
        x = reference
    if isinstance(x, FileReference):
        return {"$file": _encode([x.file, x.dtype, list(x.shape), x.offset], where, tensors, path)}
    inside = f"{where}." if where else ""
    if type(x) is list and len(x) > LONG and all(type(item) is str and is_unicode(item) for item in x):
        parts = np.frombuffer("".join(x).encode(), np.uint8), np.array([*map(len, x)], np.int64)
        return {"$strings": [_encode(part, inside + name, tensors, path)
                             for part, name in zip(parts, ("text", "lengths"))]}
    if isinstance(x, (list, tuple)):
        items = [_encode(item, f"{inside}{i}", tensors, path) for i, item in enumerate(x)]
        return items if isinstance(x, list) else {"$tuple": items}
    if isinstance(x, dict):
        if not all(type(key) in (str, int) and is_unicode(str(key)) for key in x):
            raise TypeError(f"{where or 'the tree'} has a key that is neither an integer nor a string in UTF-8")
        items = [[key, _encode(value, f"{inside}{key}", tensors, path)] for key, value in x.items()]
        return {"$items": items} if any(type(key) is int or key.startswith("$") for key in x) else dict(items)
    raise TypeError(f"{where or 'the tree'} is a {type(x).__name__}; a file holds dicts, lists, tuples, None, "
                    "booleans, numbers, strings and arrays")


def _checksum(x: Array) -> int:
    """Of dtype, shape and bytes, as they stand in the file: little-endian, row after row."""
    stored = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    start = zlib.crc32(f"{stored.dtype.str} {x.shape}".encode())
    return zlib.crc32(stored.reshape(-1).view(np.uint8).data if x.size else b"", start)


def _checksum_of_texts(found: dict[str, str]) -> str:
    return str(zlib.crc32(json.dumps(found, sort_keys=True).encode()))


def strings_of(text: Any, lengths: Any) -> list[str]:
    """The strings that were written as one text in UTF-8 (N,) and the number of characters in each (n,); ValueError for
    what are no such arrays.

    >>> strings_of(np.frombuffer("naïve word".encode(), np.uint8), np.array([5, 0, 5]))
    ['naïve', '', ' word']
    """
    if [(x.dtype, x.ndim) for x in (text, lengths) if isinstance(x, np.ndarray)] != [(np.uint8, 1), (np.int64, 1)]:
        raise ValueError("strings are a text of bytes and a list of lengths")
    whole = text.tobytes().decode()
    longest = lengths.max(initial=0)  # first: a sum of greater numbers could come round to any
    if lengths.min(initial=0) < 0 or longest > len(whole) or lengths.sum() != len(whole):
        raise ValueError(f"{len(lengths):,} lengths, from {lengths.min(initial=0)} to {longest}, do not divide a text "
                         f"of {len(whole):,} characters")
    strings, end = [], 0
    for n in lengths.tolist():
        strings.append(whole[end:end + n])
        end += n
    return strings


def _decode(path: Any, x: Any, file: SafeTensors, used: set[str], mapped: bool) -> Any:
    """What `_encode` encoded; FormatError for what it would not have written."""
    if isinstance(x, list):
        return [_decode(path, item, file, used, mapped) for item in x]
    if not isinstance(x, dict):
        return x
    if not any(key.startswith("$") for key in x):
        return {key: _decode(path, value, file, used, mapped) for key, value in x.items()}
    match x:
        case {"$tensor": [str(name), int(crc)], **rest} if not rest and name in file and name not in used:
            used.add(name)
            array = file[name] if mapped else np.array(file[name])
            if _checksum(array) != crc:
                raise FormatError(path, f"tensor {name!r}", "the checksum does not fit: the file is damaged")
            return array
        case {"$file": [str(name), str(dtype), list(shape), int(offset)], **rest} if not rest:
            if all(type(n) is int for n in shape):
                return FileReference(name, dtype, tuple(shape), offset)
        case {"$tuple": list(items), **rest} if not rest:
            return tuple(_decode(path, item, file, used, mapped) for item in items)
        case {"$strings": [text, lengths], **rest} if not rest:
            with found_in(path, "metadata 'tree'"):
                return strings_of(*(_decode(path, part, file, used, mapped) for part in (text, lengths)))
        case {"$float": ("nan" | "inf" | "-inf") as word, **rest} if not rest:
            return float(word)
        case {"$items": list(items), **rest} if not rest:
            if all(isinstance(item, list) and len(item) == 2 and type(item[0]) in (str, int) for item in items) \
                    and len({key for key, _ in items}) == len(items):
                return {key: _decode(path, value, file, used, mapped) for key, value in items}
    raise FormatError(path, "metadata 'tree'", f"{json.dumps(x)[:80]} stands for nothing that is there")
