"""Lines of a word and its numbers: read in chunks, validated, and printed so that they read back exactly.

A file that is refused in the end must not have cost much more memory than it has bytes. Until all is read, words stay
the bytes they are. If what is kept outgrows the file (numbers of one digit become four bytes each) the rest is only
checked; then, all of it being known to be good, the file is read once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import Array
from .errors import FormatError, Path, short
from .gzipped import Source
from .untrusted import Repeats, decode_all

SPARE = 24 << 20  # bytes that what is kept may take beyond those of the file


# -- reading -----------------------------------------------------------------------------------------------------------

class Rows(NamedTuple):
    """Some rows of a file: their words, vectors (m, D), and a function from 0 … m - 1 to the row's place."""

    words: list[bytes]
    vectors: Array
    where: Callable[[int], str]


def rounded(path: Path, rows: Rows, dtype: np.dtype[Any], finite: bool) -> Rows:
    """Rows with their numbers in that dtype; FormatError for one that becomes infinity, or if `finite`, that is it."""
    with np.errstate(over="ignore"):
        vectors = rows.vectors.astype(dtype, copy=False)
    if finite or dtype == np.float16:
        for i, j in np.argwhere(np.isinf(vectors) & (finite | np.isfinite(rows.vectors))).tolist():
            raise FormatError(path, rows.where(i), f"{rows.vectors[i, j]} is more than {dtype} can hold")
    return rows._replace(vectors=vectors)


def collect(source: Source, rows: Callable[[Source], Iterable[Rows]], expected: int, errors: str
            ) -> tuple[list[str], Array]:
    """All words and vectors (V, D) of a file; FormatError for a word that is empty, not UTF-8, or there twice.

    rows      called with a source of the file, it reads the rows from the first one on
    expected  how many there will be, or 0 if only reading tells
    errors    what to do with words that are not UTF-8, as in bytes.decode
    """
    def again() -> Iterator[tuple[str, str]]:
        with Source(source.path) as other:  # the first may be half-way
            for some, _, where in rows(other):
                for i, word in enumerate(decode_all(source.path, some, where, errors)):
                    yield word, where(i)

    repeats = Repeats(source.path, again)
    words, table, number = _keep(source, rows(source), expected, errors, repeats)
    repeats.refuse()
    if table is None:
        words, table, number = _keep(source, rows(source), expected, errors, None)
    assert table is not None
    table.resize((number, table.shape[1]), refcheck=False)
    return [word for some in words for word in some.decode("utf-8", errors).split("\n")], table


def _keep(source: Source, rows: Iterable[Rows], expected: int, errors: str, repeats: Repeats | None
          ) -> tuple[list[bytes], Array | None, int]:
    """Words, a newline between each two; the table (V or more, D); and V. With `repeats`, which sees all words, only
    what is in proportion to the file is kept: no table if it took too much."""
    kept: list[bytes] = []
    table: Array | None = None
    end, length, keeping = 0, 0, True
    for words, vectors, where in rows:
        end += len(words)
        if repeats:
            repeats.add(decode_all(source.path, words, where, errors))
        if not keeping:
            continue
        kept.append(b"\n".join(words))
        length += len(kept[-1])
        D, hashed = vectors.shape[1], 8
        room = SPARE + (source.consumed if source.size is None else source.size) - length if repeats else 1 << 62
        most = room // (vectors[0].nbytes + hashed)  # rows that may be kept
        count = len(table) if table is not None else expected if expected <= most else 0
        if end > count:
            count = end + end // 8
        if keeping := count <= most:
            if table is None:
                table = np.empty((count, D), vectors.dtype)
            elif count > len(table):
                table.resize((count, D), refcheck=False)
            table[end - len(words):end] = vectors
        else:
            kept, table = [], None
    return kept, table, end


# -- writing -----------------------------------------------------------------------------------------------------------

def checked(words: Iterable[str], vectors: npt.ArrayLike, forbidden: str) -> tuple[list[str], Array]:
    """V words that UTF-8 can hold, without the forbidden characters, and vectors (V, D), as a list and an array."""
    if isinstance(words, str):
        raise TypeError(f"words must be a list of words, got the string {short(words)}")
    names, table = list(words), np.asarray(vectors)
    if table.ndim != 2 or not table.size or table.dtype.kind != "f" or table.dtype.itemsize > 8:
        raise ValueError("vectors must be (V, D), of float16, float32 or float64, and not empty; got "
                         f"{table.shape} of {table.dtype}")
    if len(names) != len(table):
        raise ValueError(f"{len(names)} words need as many vectors, got {len(table)}")
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"word {short(name)} at position {i} is no string but {type(name).__name__}")
        if not name:
            raise ValueError(f"word '' at position {i} is empty")
        refuse_characters(name, forbidden, "word", i)
    return names, table.astype(table.dtype.newbyteorder("="), copy=False)


def refuse_characters(text: str, forbidden: str, what: str, position: int) -> None:
    """ValueError for a forbidden character, and for half of a surrogate pair, which UTF-8 can not hold."""
    if found := re.search(f"[{forbidden}\ud800-\udfff]", text):
        raise ValueError(f"{what} {short(text)} at position {position} has {found[0]!r} in it, for which the format "
                         "has no room")


def refuse_first(bad: npt.NDArray[np.bool_], vectors: Array, words: list[str], problem: str) -> None:
    """ValueError for the first number that is bad, if any is."""
    for i, j in np.argwhere(bad).tolist():
        raise ValueError(f"number {j} of word {short(words[i])}, {vectors[i, j]}, {problem}")


def shortest(vectors: Array, words: list[str], blank: bytes = b" ") -> list[bytes]:
    """Each row's numbers as text, in digits that give them back when they are read as a float64 and rounded.

    Mostly they are NumPy's, the fewest that are nearest to no other number of the dtype. But 7.038531e-26, nearest to
    one float32, lies as a float64 half-way to the next, and is rounded to that; nine digits are never so far off.
    ValueError for NaN and infinity.

    >>> shortest(np.float32([[0.1, -2.5], [1e-45, np.uint32(0x15AE43FD).view(np.float32)]]), ["a", "b"])
    [b'0.1 -2.5', b'1e-45 7.03853069e-26']
    """
    refuse_first(~np.isfinite(vectors), vectors, words, "is no finite number, and the text has no other")
    text = vectors.astype("S32")
    for i, j in np.argwhere(text.astype(np.float64).astype(vectors.dtype) != vectors).tolist():
        text[i, j] = b"%.9g" % float(vectors[i, j])
    return [blank.join(row) for row in text.tolist()]
