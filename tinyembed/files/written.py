"""What the writers of words and vectors share: looking at what they are given, and numbers as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from .errors import short
from .rows import Array


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


def parts(words: list[str], vectors: Array) -> Iterator[tuple[list[str], Array]]:
    """Some rows at a time, of 100,000 numbers: what they take as text may be ten times what they are."""
    step = max(1, 100_000 // vectors.shape[1])
    for start in range(0, len(words), step):
        yield words[start:start + step], vectors[start:start + step]


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
