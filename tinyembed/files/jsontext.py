"""JSON out of files that nobody vouches for: nothing in it is read two ways, and its size in memory is bounded first.

A few characters of JSON become many bytes of Python objects: `[]` an object of 56 bytes, a key and its value some
200. So what the objects can take at most is reckoned from four counts of the bytes, before any object is made.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import FormatError, short

SPARE = 32 << 20  # bytes that reading a file may take beyond the file's own size
MOST = 100_000_000  # bytes of JSON; the limit of safetensors


def read_json(path: str | os.PathLike[str], spare: int = SPARE) -> Any:
    """What the file's JSON says; see parse_json. FormatError for what is no JSON, and for more than 100 MB of it.

    spare   bytes of memory that reading may take beyond the file's size
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST:
            raise FormatError(path, "the file", f"{size:,} bytes, where JSON of at most {MOST:,} is read")
        data = file.read(size)
    return parse_json(path, "the file", data, size + spare)


def parse_json(path: str | os.PathLike[str], where: str, data: bytes, room: int,
               numbers: Callable[[str], Any] | None = None) -> Any:
    """What the JSON in `data` says, as json.loads would, or a FormatError(path, where, …).

    room      refuse text whose objects could take more memory than this many bytes
    numbers   what makes a value of each number, from its text; by default int and float, in the digits that they have

    Stricter than json.loads: UTF-8, no key twice in one object, no unpaired surrogates; and nesting too deep for the
    parser, or a number of thousands of digits, is a FormatError too.

    >>> parse_json("config.json", "the text", b'{"hidden_size": 384, "hidden_size": 768}', 10_000)
    Traceback (most recent call last):
    tinyembed.files.errors.FormatError: config.json, the text: key 'hidden_size' stands twice in one object
    """
    def refuse(problem: str) -> NoReturn:
        raise FormatError(path, where, problem)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            refuse(f"key {short(Counter(key for key, _ in items).most_common(1)[0][0])} stands twice in one object")
        for text in (x for pair in items for x in pair if isinstance(x, str)):
            if not is_unicode(text):
                refuse(f"{short(text)} has half of a surrogate pair, which is no character")
        return found

    def number(text: str) -> Any:
        if len(text) > 400:  # int() is quadratic in them, and newer Pythons refuse 4,301
            refuse(f"a number of {len(text):,} characters")
        return numbers(text) if numbers else int(text) if text.lstrip("-").isdigit() else float(text)

    if most_memory(data) > room:
        refuse(f"{len(data):,} bytes of JSON could take {most_memory(data) >> 20} MB as objects, which is out of "
               f"proportion: at most {room >> 20} MB here")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_int=number, parse_float=number,
                          parse_constant=number)
    except UnicodeDecodeError as error:
        problem = f"byte {data[error.start]:#04x} after {error.start:,} others is not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"no JSON at character {error.pos:,}: {error.msg}"
    except RecursionError:
        problem = "JSON nested too deeply"
    return refuse(problem)


def most_memory(data: bytes) -> int:
    """An upper bound of the bytes that reading this JSON takes, `data` included: measured on the worst there is."""
    width = 1 if data.isascii() and b"\\u" not in data else 4  # bytes for each character of a Python string
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    return len(data) * (1 + 3 * width) + 100 * values + 200 * data.count(b":")


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: not if half of a surrogate pair stands alone in it."""
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False
