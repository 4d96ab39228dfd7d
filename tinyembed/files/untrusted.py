"""JSON and words from untrusted files: strict, and with their memory bounded first.

A few characters of JSON become many bytes of Python objects: `[]` an object of 56 bytes, a key and its value some
200. So what the objects can take at most is reckoned from four counts of the bytes, before any object is made.

A word must be UTF-8, not empty, and stand there once. As strings, all words would take many times the bytes that they
have in the file. So a reader first keeps a 64-bit hash of each, and the strings when the file is known to be good.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

from ..core import blocks
from .errors import FormatError, Path, short
from .gzipped import read_file

FIRST = 1 << 16  # words after which it is first asked whether one stands there twice
FEW = 1000  # words of which strings are made to find that out
SPARE = 32 << 20  # bytes that reading a file may take beyond the file's own size


# -- JSON --------------------------------------------------------------------------------------------------------------

def read_json(path: Path, spare: int = SPARE) -> Any:
    """What the file's JSON says; see parse_json. FormatError for what is no JSON, and for more than 100 MB of it.

    spare   bytes of memory that reading may take beyond the file's size
    """
    data = read_file(path)
    return parse_json(path, "the file", data, len(data) + spare)


def json_bytes(value: object, indent: int | None = 2) -> bytes:
    """A value as JSON in UTF-8, as a file holds it."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode()


def parse_json(path: Path, where: str, data: bytes, room: int, numbers: Callable[[str], Any] | None = None) -> Any:
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


# -- words -------------------------------------------------------------------------------------------------------------

def check_errors(errors: str) -> None:
    """ValueError unless a reader knows this way with words that are not UTF-8."""
    if errors not in ("strict", "replace", "ignore", "backslashreplace"):
        raise ValueError(f"errors must be 'strict', 'replace', 'ignore' or 'backslashreplace', got {errors!r}")


def decode(path: Path, word: bytes, where: str, errors: str) -> str:
    """A word as a string; FormatError if it is empty or not UTF-8."""
    try:
        if name := word.decode("utf-8", errors):
            return name
    except UnicodeDecodeError:
        raise FormatError(path, where, f"the word {short(word)} is not UTF-8: get the file again, or have such words "
                          "mended with errors='replace', 'ignore' or 'backslashreplace'") from None
    raise FormatError(path, where, "the word is empty")


def decode_all(path: Path, words: list[bytes], where: Callable[[int], str], errors: str) -> list[str]:
    """Words as strings, all at once if nothing is wrong with them; where(i) is the place of word i."""
    try:
        names = b"\n".join(words).decode("utf-8", errors).split("\n")
    except UnicodeDecodeError:
        names = []
    if len(names) == len(words) and "" not in names:
        return names
    for i, word in enumerate(words):
        if b"\n" in word:
            raise FormatError(path, where(i), f"the word {short(word)} has a newline in it")
    return [decode(path, word, where(i), errors) for i, word in enumerate(words)]


class Repeats:
    """The words of a file so far, as hashes: FormatError when one of them is found to stand there twice.

    path    the file
    words   called, it gives each word and its place once more

    They are looked through whenever they have become twice as many, and by `refuse` in the end. So a file of one word
    over and over, which packed is a thousandth of its length, is refused at its beginning; and of words that stand
    there twice, few become strings.
    """

    def __init__(self, path: Path, words: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self.path, self.words = path, words
        self.hashes, self.next = array("q"), FIRST

    def add(self, words: Iterable[str]) -> None:
        self.hashes.extend(map(hash, words))
        if len(self.hashes) >= self.next:
            self.refuse()
            self.next = 2 * len(self.hashes)

    def refuse(self) -> None:
        """FormatError if a word stands there twice."""
        order = np.frombuffer(self.hashes or array("q", [0]), np.int64)
        order.sort()  # in place, for want of memory
        twice = np.unique(order[1:][order[1:] == order[:-1]])
        for some in blocks(len(twice), entries=FEW):  # one block, but for words that share a hash and differ
            suspects, seen = set(twice[some].tolist()), dict[str, str]()
            for word, place in self.words():
                if hash(word) in suspects:
                    if word in seen:
                        raise FormatError(self.path, place, f"the word {short(word)} stands at {seen[word]} already")
                    seen[word] = place
