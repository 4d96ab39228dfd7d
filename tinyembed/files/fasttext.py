"""The .bin of Facebook's fastText: settings, words and labels with their counts, and two matrices, left on disk.

    magic, version                 int32 each
    settings                       12 int32 and t, float64; their names in this order stand below
    entries, words, labels         int32 each; then tokens and pruned, int64 each
    each entry                     its bytes, a zero byte, count int64, type int8: 0 word, then 1 label
    input matrix, output matrix    a byte, whether it is quantised; rows and columns int64; rows * columns float32

All is little-endian. The input has a row for each word, then one for each bucket of n-grams, the output one for each
word, or label if the model is supervised. Source: https://github.com/facebookresearch/fastText (src/args.cc,
dictionary.cc, densematrix.cc, fasttext.cc). Version 11 differs in that supervised models have no character n-grams,
whatever maxn says. Older files have no magic.
"""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .errors import FormatError, Path, short
from .gzipped import open_file
from .untrusted import Repeats, check_errors, decode

_MAGIC = 793712314
_SETTINGS = ("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn",
             "lrUpdateRate", "t")
_FIELDS = ("magic", "version", *_SETTINGS, "entries", "words", "labels", "tokens", "pruned")
_LOSSES = ("hs", "ns", "softmax", "ova")  # 1 to 4
_MODELS = ("cbow", "sg", "sup")  # 1 to 3
_HEAD, _COUNT_AND_TYPE, _MATRIX = struct.Struct("<14id3i2q"), struct.Struct("<qb"), struct.Struct("<B2q")
_RANGES = {"version": (4, 11, 12), "dim": (8, 1, 1 << 24), "loss": (32, 1, 4), "model": (36, 1, 3),
           "bucket": (40, 0, 1 << 31), "tokens": (76, 0, 1 << 63)}  # offset, least, most
_LONGEST = 1 << 16  # bytes of a word


@dataclass(frozen=True)
class FastTextFile:
    """What is in a fastText model.

    settings              by fastText's own names; loss and model as its command line has them, such as "ns" and "sg"
    words, counts (V,)    and how often each was seen
    labels, label_counts  of a supervised model
    ntokens               how many words and labels the text had in all
    input, output         (V + bucket, dim) and (V or labels, dim), float32, mapped read-only: a row is read from disk
                          when it is used. They begin at any byte, mostly unaligned, and a copy is quicker to use
    """

    settings: dict[str, int | float | str]
    words: list[str]
    counts: npt.NDArray[np.int64]
    labels: list[str]
    label_counts: npt.NDArray[np.int64]
    ntokens: int
    input: npt.NDArray[np.float32]
    output: npt.NDArray[np.float32]


def read_fasttext(path: Path, *, errors: str = "strict") -> FastTextFile:
    r"""Read a model that fastText or gensim saved as .bin, unsupervised or supervised.

    path    the file; it must stay as it is while the matrices are in use
    errors  what to do with words that are not UTF-8: "strict", "replace", "ignore" or "backslashreplace"

    Only the dictionary is read: published models have 7 GB. FormatError, with the byte offset, for a file that is not
    as said above, to its last byte; for a word that is empty, repeated or not UTF-8; for a quantised model. OSError.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.bin")
    ...     head = _HEAD.pack(_MAGIC, 12, 2, 5, 5, 1, 5, 1, 2, 2, 1, 3, 6, 100, 1e-4, 1, 1, 0, 9, -1)
    ...     entry, x = b"cat\0" + _COUNT_AND_TYPE.pack(9, 0), np.float32([[1, 2], [3, 4]])
    ...     matrices = _MATRIX.pack(0, 2, 2) + x.tobytes() + _MATRIX.pack(0, 1, 2) + bytes(8)
    ...     size = path.write_bytes(head + entry + matrices)
    ...     model = read_fasttext(path)
    >>> model.words, model.counts, model.settings["model"], np.array(model.input[0])
    (['cat'], array([9]), 'sg', array([1., 2.], dtype=float32))
    """
    check_errors(errors)
    with open_file(path) as file:
        settings, V, labels, ntokens = _head(path, file.read(_HEAD.size), os.fstat(file.fileno()).st_size)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            entries = partial(_entries, path, data, V, V + labels, errors)
            repeats = Repeats(path, lambda: ((name, f"offset {place}") for name, _, place, _ in entries()))
            counts, end = array("q"), 0
            for name, count, _, end in entries():  # noqa: B007  # the names are kept when all is known to be good
                repeats.add((name,))
                counts.append(count)
            dim, outputs = settings["dim"], labels if settings["model"] == "sup" else V
            input, end = _matrix(path, file, data, end, "input", V + settings["bucket"], dim)
            output, end = _matrix(path, file, data, end, "output", outputs, dim)
            if end < len(data):
                raise FormatError(path, f"offset {end}", f"{len(data) - end:,} bytes follow the last matrix")
            repeats.refuse()
            names = [name for name, *_ in entries()]
    numbers = np.array(counts, np.int64)
    return FastTextFile(settings, names[:V], numbers[:V], names[V:], numbers[V:], ntokens, input, output)


def _head(path: Path, head: bytes, size: int) -> tuple[dict[str, Any], int, int, int]:
    """Settings, and the numbers of words, labels and tokens, from the first bytes of a file of `size` bytes."""
    if head[:4] != _MAGIC.to_bytes(4, "little"):
        raise FormatError(path, "offset 0", f"begins with {head[:4]!r}: no fastText model, or gzip'd, or from before "
                          "May 2017, and then fastText of that time can print its vectors")
    if size < _HEAD.size:
        raise FormatError(path, f"offset {size}", f"the file ends here, and its head at {_HEAD.size}")
    fields = dict(zip(_FIELDS, _HEAD.unpack(head)))
    _check_head(path, fields, size)
    settings = {name: fields[name] for name in _SETTINGS}
    settings.update(loss=_LOSSES[fields["loss"] - 1], model=_MODELS[fields["model"] - 1])
    if fields["version"] == 11 and settings["model"] == "sup":
        settings["maxn"] = 0
    return settings, fields["words"], fields["labels"], fields["tokens"]


def _check_head(path: Path, fields: dict[str, Any], size: int) -> None:
    """FormatError for numbers that no such file has, and for more entries than there are bytes for."""
    for name, (offset, least, most) in _RANGES.items():
        if not least <= (value := fields[name]) <= most:
            raise FormatError(path, f"offset {offset}", f"{name} is {value}, which is not from {least} to {most}")
    entries, V, labels, pruned = (fields[name] for name in ("entries", "words", "labels", "pruned"))
    if entries != V + labels or V < 1 or labels < (_MODELS[fields["model"] - 1] == "sup"):
        raise FormatError(path, "offset 64", f"{entries} entries, {V} words, {labels} labels: these do not add up, or "
                          "some are missing")
    if pruned != -1:
        raise FormatError(path, "offset 84", f"{pruned}, not -1, so n-grams were pruned, as in quantised models: take "
                          "the model that it was made from")
    if entries * (_COUNT_AND_TYPE.size + 2) > size - _HEAD.size:
        raise FormatError(path, "offset 64", f"{entries:,} entries, and only {size - _HEAD.size:,} bytes follow")


def _entries(path: Path, data: mmap.mmap, V: int, number: int, errors: str) -> Iterator[tuple[str, int, int, int]]:
    """The dictionary: name, count, offset of each entry, and of its end."""
    end = _HEAD.size
    for entry in range(number):
        begin, zero = end, data.find(b"\0", end, end + _LONGEST)
        end = zero + 1 + _COUNT_AND_TYPE.size
        if zero < 0 or end > len(data):
            raise FormatError(path, f"offset {begin}", f"entry {entry + 1:,} of {number:,} does not end within the "
                              f"file and {_LONGEST:,} bytes")
        name = decode(path, data[begin:zero], f"offset {begin}", errors)
        count, kind = _COUNT_AND_TYPE.unpack_from(data, zero + 1)
        if count < 0 or kind != (entry >= V):
            raise FormatError(path, f"offset {zero + 1}", f"count {count}, type {kind} of {short(name)}; it is entry "
                              f"{entry + 1:,}, a {'label, 1' if entry >= V else 'word, 0'}")
        yield name, count, begin, end


def _matrix(path: Path, file: BinaryIO, data: mmap.mmap, begin: int, name: str, rows: int, dim: int
            ) -> tuple[npt.NDArray[np.float32], int]:
    """The matrix (rows, dim) that begins there, mapped, and the offset of its end."""
    quantised, *shape = _MATRIX.unpack(data[begin:begin + _MATRIX.size].ljust(_MATRIX.size, b"\0"))
    if quantised:
        raise FormatError(path, f"offset {begin}", f"the {name} matrix is quantised, as in an .ftz file, which is not "
                          "read: take the model that it was made from, or have fastText print its vectors")
    if shape != [rows, dim]:
        raise FormatError(path, f"offset {begin + 1}", f"the {name} matrix is {tuple(shape)}; the settings and the "
                          f"dictionary make it {(rows, dim)}")
    begin, size = begin + _MATRIX.size, 4 * rows * dim
    if size > len(data) - begin:
        raise FormatError(path, f"offset {begin}", f"the {name} matrix takes {size:,} bytes, and {len(data) - begin:,} "
                          "follow")
    return np.memmap(file, "<f4", "r", begin, (rows, dim)), begin + size
