"""FormatError, the one exception of all file readers, and how it quotes what was found."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

Path = str | os.PathLike[str]


class FormatError(ValueError):
    """A file is not what its format demands. Nothing was made of it.

    path      the file
    where     the place in it: "line 17", "offset 8", "tensor 'wte.weight'"
    problem   what is there, what was expected, and where there is something to be done, what

    >>> print(FormatError("words.vec", "line 3", "2 numbers, where the first line has 3"))
    words.vec, line 3: 2 numbers, where the first line has 3
    """

    def __init__(self, path: Path, where: str, problem: str) -> None:
        super().__init__(f"{os.fspath(path)}, {where}: {problem}")
        self.path, self.where, self.problem = os.fspath(path), where, problem


@contextmanager
def found_in(path: Path, where: str) -> Iterator[None]:
    """What is made inside is made of a file's values: an error that they raise is a FormatError with their place.

    >>> with found_in("words", "tree.about"):
    ...     int("seven")
    Traceback (most recent call last):
    tinyembed.files.errors.FormatError: words, tree.about: invalid literal for int() with base 10: 'seven'
    """
    try:
        yield
    except FormatError:
        raise
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(path, where, str(error)) from error


def short(value: object) -> str:
    """The value as Python writes it, in at most 100 characters, for an error message."""
    text = _PART.repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


_PART = reprlib.Repr()  # writes the beginning of long things, so that a message does not need the memory of its file
_PART.maxstring = _PART.maxother = 90
