"""The header of a safetensors file: parsed and validated when read, built when written.

    n (8 bytes, little-endian) · n bytes of JSON {name: {"dtype", "shape", "data_offsets": [begin, end]}, …} · data

Offsets count from the end of the header; tensors lie end to end, C order, little-endian. Format and checks follow
https://github.com/huggingface/safetensors (safetensors/src/tensor.rs). Refused beyond what is refused there: a key
twice, a field it does not know, text before the {, more than 32 dimensions, sides whose product without the zeros no
array can have ([0, 2^40, 2^40]), and a header whose objects could take 32 MB more memory than the file has bytes.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from .errors import FormatError, short
from .untrusted import SPARE, is_unicode, most_memory, parse_json

MAX_DIMS = 32  # NumPy 1.26's
META = "__metadata__"
MOST = 100_000_000  # bytes of the header, in the reference too
# Each dtype: its bits, and the NumPy dtype if there is one. In the reference's order, which decides where tensors lie.
BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
STORED = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "BF16": "<u2", "I32": "<i4",
          "U32": "<u4", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U64": "<u8"}


class Place(NamedTuple):
    """Where a tensor lies: file, dtype code, shape, and its first byte and the one after its last, in the file."""

    file: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: str, file: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Place]]:
    """The metadata and the places of the tensors in their order, from an open file of `size` bytes, all checked.

    Nothing is allocated on the header's word: its length and every offset are held against the bytes that are there.
    """
    n = _length(path, file.read(8), size)
    header = _parsed(path, file.read(n), size)
    metadata = header.pop(META, None)
    metadata = {} if metadata is None else metadata  # null is as none there
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise FormatError(path, META, f"{short(metadata)} where an object of strings stands")
    places = sorted(((name, _place(path, name, entry, 8 + n)) for name, entry in header.items()),
                    key=lambda item: (item[1].begin, item[1].end))
    _refuse_holes(path, places, 8 + n, size)
    return metadata, dict(places)


def _length(path: str, first: bytes, size: int) -> int:
    """The length of the header's JSON, from the first 8 bytes of a file of `size` bytes."""
    n = int.from_bytes(first, "little")
    if size < 8:
        problem = f"{size} bytes, where the header's length alone takes 8"
    elif n <= min(size - 8, MOST):
        return n
    elif first[:4] == b"PK\3\4":
        problem = "a zip archive, such as torch.save (around a pickle) and np.savez make; no safetensors file"
    elif n > size - 8:
        problem = f"a header of {n:,} bytes, where {size - 8:,} follow: no safetensors file, or one cut short"
    else:
        problem = f"the header's length is {n:,} bytes; the format allows {MOST:,}"
    raise FormatError(path, "offset 0", problem)


def _parsed(path: str, data: bytes, size: int) -> dict[str, Any]:
    """The header's JSON: an object, in which all numbers are whole."""
    def whole(text: str) -> int:
        if not text.isdigit() or int(text) >= 2**63:  # "-0" is no digit either
            raise FormatError(path, "the header", f"{short(text)} where whole numbers from 0 to 2^63 - 1 stand")
        return int(text)

    if data[:1] != b"{":
        raise FormatError(path, "offset 8", f"the header begins with {data[:1]!r}, not with b'{{'")
    header: dict[str, Any] = parse_json(path, "the header", data, size + SPARE, whole)
    return header


def _place(path: str, name: str, entry: Any, start: int) -> Place:
    """One entry of the header, checked by itself; `start` is where offset 0 is in the file."""
    def refuse(problem: str) -> FormatError:
        return FormatError(path, f"tensor {short(name)}", problem)

    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise refuse(f"{short(entry)} where an object of dtype, shape and data_offsets stands")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in BITS:
        raise refuse(f"dtype {short(code)} is not one of the format's")
    for key, value in ("shape", shape), ("data_offsets", offsets):
        if not isinstance(value, list) or not all(type(k) is int for k in value):  # a bool is an int as well
            raise refuse(f"{key} {short(value)} is not a list of whole numbers")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse(f"data_offsets {short(offsets)} are not a begin and an end")
    if len(shape) > MAX_DIMS:
        raise refuse(f"{len(shape)} dimensions, more than {MAX_DIMS}")
    if math.prod(k for k in shape if k) * BITS[code] >= 2**66:
        raise refuse(f"shape {short(shape)} of {code} has 2^63 bytes or more")
    bits = math.prod(shape) * BITS[code]
    if bits != 8 * (offsets[1] - offsets[0]):
        raise refuse(f"shape {short(shape)} of {code} takes {bits / 8:,.10g} bytes, data_offsets {short(offsets)} have "
                     f"{offsets[1] - offsets[0]:,}")
    return Place(path, code, tuple(shape), start + offsets[0], start + offsets[1])


def _refuse_holes(path: str, places: list[tuple[str, Place]], end: int, size: int) -> None:
    """FormatError unless the tensors lie end to end, from the header's end to the file's."""
    before = "the header"
    for name, place in places:
        if place.begin != end:
            raise FormatError(path, f"tensor {short(name)}", f"begins at byte {place.begin:,} of the file, where "
                              f"{before} ends at {end:,}: {'a hole' if place.begin > end else 'they overlap'}")
        end, before = place.end, short(name)
    if end != size:
        raise FormatError(path, f"offset {min(end, size):,}", f"the tensors end at byte {end:,}, the file at {size:,}: "
                          + ("cut short" if end > size else "something follows them"))


def header_bytes(entries: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None,
                 align: int = 8) -> tuple[bytes, list[str], int]:
    """How a file of these tensors begins, up to a multiple of `align`; their order in it; and the file's length.

    entries   name -> (dtype code, shape)

    >>> begin, order, length = header_bytes({"a": ("U8", (3,)), "b": ("F32", (2, 2))})
    >>> begin[:8], order, length
    (b'p\\x00\\x00\\x00\\x00\\x00\\x00\\x00', ['b', 'a'], 139)
    """
    for what, name in [*(("the tensor", name) for name in entries), *(("metadata", x) for x in (metadata or {}))]:
        if not isinstance(name, str):
            raise TypeError(f"the name of {what} {short(name)} is no string")
        if not is_unicode(name) or (what == "the tensor" and name == META):
            raise ValueError(f"the format has no room for {what} {short(name)}: " + (
                "that is where its metadata stand" if name == META else "half of a surrogate pair is no character"))
    for name, text in (metadata or {}).items():
        if not isinstance(text, str) or not is_unicode(text):
            raise TypeError(f"metadata {short(name)} is {short(text)}; only strings of characters are kept")
    header: dict[str, Any] = {META: {name: metadata[name] for name in sorted(metadata)}} if metadata else {}
    rank, end = list(BITS), 0
    order = sorted(entries, key=lambda name: (-rank.index(entries[name][0]), name))
    for name in order:
        code, shape = entries[name][0], tuple(map(operator.index, entries[name][1]))
        begin, end = end, end + math.prod(shape) * BITS[code] // 8
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
        if len(shape) > MAX_DIMS or min(shape, default=0) < 0 or end >= 2**63:
            raise ValueError(f"tensor {short(name)}: the format has no room for the shape {short(shape)}")
    data = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    data += b" " * (-(8 + len(data)) % align)
    length = 8 + len(data) + end
    if len(data) > MOST or most_memory(data) > length + SPARE:
        raise ValueError(f"a header of {len(data):,} bytes for {end:,} of data: readers would refuse it; "
                         "store fewer, larger tensors, or less metadata")
    return len(data).to_bytes(8, "little") + data, order, length
