"""Damaged checkpoints, to be tried as mutants.py does it."""

from __future__ import annotations

import functools
import json
import math
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from mutants import FORMATS, Format
from resume_run import RUNS, trained

from tinyembed.files import FileReference
from tinyembed.train import checkpoint


@functools.cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        trained(RUNS["AdamW"], folder + "/run", steps=3)
        return Path(folder, "run").read_bytes()


def make(path: Path) -> None:
    path.write_bytes(_file())


def read(path: Path) -> Any:
    return checkpoint.read(path)


def check(value: tuple[Any, str], data: bytes) -> None:
    """The tree is what the header's JSON says, read once more, plainly."""
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__")
    assert (metadata["kind"], value[1]) == ("tinyembed checkpoint", metadata["version"])

    def equal(x: Any, said: Any) -> bool:
        match said:
            case {"$tensor": [name, _]}:
                entry = header[name]
                stored = data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]
                return isinstance(x, np.ndarray) and list(x.shape) == entry["shape"] and x.tobytes() == stored and \
                    x.dtype.str[1] == {"B": "b"}.get(entry["dtype"][0], entry["dtype"][0].lower())
            case {"$file": [*fields]}:
                return isinstance(x, FileReference) and [x.file, x.dtype, list(x.shape), x.offset] == fields
            case {"$tuple": items}:
                return isinstance(x, tuple) and equal(list(x), items)
            case {"$items": items}:
                return isinstance(x, dict) and equal([[*item] for item in x.items()], items)
            case {"$float": word}:
                return repr(x) == word
            case dict():
                return isinstance(x, dict) and list(x) == list(said) and all(equal(x[key], said[key]) for key in said)
            case list():
                return isinstance(x, list) and len(x) == len(said) and all(map(equal, x, said))
        return type(x) is type(said) and (x == said or (isinstance(x, float) and math.isnan(x) and math.isnan(said)))

    assert equal(value[0], json.loads(metadata["tree"]))


def mend(data: bytes, mutant: bytes) -> bytes:
    """With the header's length and all checksums made right, as far as the JSON can still be read."""
    n = struct.unpack("<q", data[:8])[0] + len(mutant) - len(data)
    try:
        header = json.loads(mutant[8:8 + n])
        found, body = header["__metadata__"], mutant[8 + n:]
        tree = json.loads(found["tree"])
        _mend_tree(tree, header, body)
        found["tree"] = json.dumps(tree, separators=(",", ":"))
        found.pop("crc32", None)
        found["crc32"] = str(zlib.crc32(json.dumps(found, sort_keys=True).encode()))
        text = json.dumps(header, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return struct.pack("<q", n) + mutant[8:]
    mended = len(text).to_bytes(8, "little") + text + body
    return mended if mended != data else mutant


def _mend_tree(tree: Any, header: Any, body: bytes) -> None:
    if isinstance(tree, dict) and set(tree) == {"$tensor"}:
        entry = header[tree["$tensor"][0]]
        code, (a, b) = entry["dtype"], entry["data_offsets"]
        kind = "|b1" if code == "BOOL" else f"{'|' if code[1:] == '8' else '<'}{code[0].lower()}{int(code[1:]) // 8}"
        start = zlib.crc32(f"{kind} {tuple(entry['shape'])}".encode())
        tree["$tensor"][1] = zlib.crc32(body[a:b], start)
    elif isinstance(tree, (dict, list)):
        for x in tree.values() if isinstance(tree, dict) else tree:
            _mend_tree(x, header, body)


FORMATS["checkpoint"] = Format(".run", make, read, check, mend)
