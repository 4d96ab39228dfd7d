"""Words and vectors, as a reader finds them row by row, kept so that a file that is refused in the end was not costly.

Until all is read, words stay the bytes they are, and of each a 64-bit hash tells whether it stands twice. If what is
kept outgrows the file (numbers of one digit become four bytes each) the rest is only checked; then, all of it being
known to be good, the file is read once more.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import FormatError, short
from .source import Source

Array = npt.NDArray[np.floating]
Path = str | os.PathLike[str]
SPARE = 24 << 20  # bytes that what is kept may take beyond those of the file


class Rows(NamedTuple):
    """Some rows of a file: their words, vectors (m, D), and a function from 0 … m - 1 to the row's place."""

    words: list[bytes]
    vectors: Array
    where: Callable[[int], str]


def collect(source: Source, rows: Callable[[], Iterable[Rows]], expected: int, errors: str) -> tuple[list[str], Array]:
    """All words and vectors (V, D) of a file; FormatError for a word that is empty, not UTF-8, or there twice.

    rows      called, it reads the rows from the first one on
    expected  how many there will be, or 0 if only reading tells
    errors    what to do with words that are not UTF-8, as in bytes.decode
    """
    words, table, hashes = _keep(source, rows(), expected, errors, bounded=True)
    refuse_repeats(source.path, hashes, lambda: ((word, where(i)) for some, _, where in rows() for i, word in
                                                 enumerate(_decoded(source.path, some, where, errors))))
    if table is None:
        words, table, hashes = _keep(source, rows(), expected, errors, bounded=False)
    assert table is not None
    table.resize((len(hashes), table.shape[1]), refcheck=False)
    return [word for some in words for word in some.decode("utf-8", errors).split("\n")], table


def _keep(source: Source, rows: Iterable[Rows], expected: int, errors: str, bounded: bool
          ) -> tuple[list[bytes], Array | None, array[int]]:
    """Words, a newline between each two; the table (V or more, D), None if that took too much; hashes of all words."""
    kept: list[bytes] = []
    table: Array | None = None
    hashes, length, whole = array("q"), 0, True
    for words, vectors, where in rows:
        hashes.extend(map(hash, _decoded(source.path, words, where, errors)))
        if not whole:
            continue
        kept.append(b"\n".join(words))
        length += len(kept[-1])
        room = SPARE + (source.consumed if source.size is None else source.size) - length if bounded else 1 << 62
        room //= vectors[0].nbytes + hashes.itemsize  # how many rows may be kept
        end, D = len(hashes), vectors.shape[1]
        count = len(table) if table is not None else expected if expected <= room else 0
        if end > count:
            count = end + end // 8
        if whole := count <= room:
            if table is None:
                table = np.empty((count, D), vectors.dtype)
            elif count > len(table):
                table.resize((count, D), refcheck=False)
            table[end - len(words):end] = vectors
        else:
            kept, table = [], None
    return kept, table, hashes


def _decoded(path: Path, words: list[bytes], where: Callable[[int], str], errors: str) -> list[str]:
    """The words as strings, all at once if nothing is wrong with them."""
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


def decode(path: Path, word: bytes, where: str, errors: str) -> str:
    """A word as a string; FormatError if it is empty or not UTF-8."""
    try:
        if name := word.decode("utf-8", errors):
            return name
    except UnicodeDecodeError:
        raise FormatError(path, where, f"the word {short(word)} is not UTF-8: get the file again, or have such words "
                          "mended with errors='replace', 'ignore' or 'backslashreplace'") from None
    raise FormatError(path, where, "the word is empty")


def refuse_repeats(path: Path, hashes: array[int], words: Callable[[], Iterable[tuple[str, str]]]) -> None:
    """FormatError for a word that stands there twice.

    hashes  of all words; sorted in place, for want of memory
    words   called if two hashes are equal, it gives each word and its place once more
    """
    order = np.frombuffer(hashes, np.int64)
    order.sort()
    twice, seen = set(order[1:][order[1:] == order[:-1]].tolist()), dict[str, str]()
    for word, place in words() if twice else ():
        if hash(word) in twice:
            if word in seen:
                raise FormatError(path, place, f"the word {short(word)} stands at {seen[word]} already")
            seen[word] = place


def check_errors(errors: str) -> None:
    if errors not in ("strict", "replace", "ignore", "backslashreplace"):
        raise ValueError(f"errors must be 'strict', 'replace', 'ignore' or 'backslashreplace', got {errors!r}")
