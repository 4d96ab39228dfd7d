r"""Word vectors in the format of the word2vec tool, text or binary, and GloVe's, which is the text without its header.

    text     "V D\n", then V lines: the word, D numbers, one space (byte 0x20) before each number
    binary   "V D\n", then V records: the word, a space, D float32, little-endian; the tool ends each with "\n"

Only byte 0x20 parts words from numbers: a word may hold any other blank, such as the no-break space U+00A0. The tool
and fastText (.vec) put a space at the end of each line, which is passed over, as is "\r", and as are more blanks and
tabs in the header, and a byte order mark before it in a text. The last line must end, too, which gensim does not ask:
else digits may be missing. Neither form has counts.

Source: https://code.google.com/archive/p/word2vec (word2vec.c, distance.c).
"""

from __future__ import annotations

import gzip
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..core import Array, blocks
from .atomic import atomic_write
from .errors import FormatError, Path, short
from .gzipped import Source
from .untrusted import check_errors
from .word_rows import Rows, checked, collect, refuse_first, rounded, shortest

_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"[ \t]*([0-9]{1,15})[ \t]+([0-9]{1,15})[ \t]*\r?\n")
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WIDEST = 1 << 15  # numbers of a row
_LONGEST = 1 << 20  # bytes of a row: so many numbers, of 32 characters each


def read_word2vec(path: Path, *, binary: bool = False, header: bool = True, limit: int | None = None,
                  dtype: npt.DTypeLike = np.float32, errors: str = "strict", progress: bool = False
                  ) -> tuple[list[str], Array]:
    """Read vectors that word2vec, fastText (.vec), GloVe or gensim wrote, plain or gzip'd: words, and vectors (V, D).

    path      the file; whether it is gzip'd, its first bytes tell
    binary    it is in the binary form
    header    it begins with a line "V D"; header=False for GloVe's text
    limit     how many rows to read, from the first one on; None for all, and then there must be as many as declared
    dtype     float16, float32 or float64: each number is read as a float64 and rounded to that
    errors    what to do with words that are not UTF-8: "strict", "replace", "ignore" or "backslashreplace"
    progress  print a line whenever another tenth of the file is read

    Nothing is guessed or repaired. FormatError, with the line (text) or the byte offset (binary): rows too many, too
    few, too short, too long or cut off; a word that is empty, repeated or not UTF-8; what is no number, or none that
    the dtype can hold (nan, inf, 1e99 in float32; in the binary form NaN and infinity stay what they are); sizes for
    which the file is too short; more than 32,768 numbers a row. ValueError for unknown settings; OSError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_word2vec(folder + "/words.vec", ["cat", "dog"], np.eye(2, 3))
    ...     read_word2vec(folder + "/words.vec")
    (['cat', 'dog'], array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32))
    """
    kind: np.dtype[Any] = np.dtype(dtype)
    if kind not in (np.float16, np.float32, np.float64):
        raise ValueError(f"dtype must be float16, float32 or float64, got {kind}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, or None for all rows, got {limit}")
    if binary and not header:
        raise ValueError("the binary form always has a header")
    check_errors(errors)
    with Source(path, progress) as source:
        declared, width = _header(source, binary, limit) if header else (0, 0)
        wanted = min(filter(None, (declared, limit)), default=0)

        def rows(source: Source) -> Iterator[Rows]:
            source.rewind()
            if header:
                source.line()
            found = (_binary if binary else _text)(source, declared, width, wanted)
            return map(partial(rounded, path, dtype=kind, finite=not binary), found)

        return collect(source, rows, wanted if declared else 0, errors)


def _header(source: Source, binary: bool, limit: int | None) -> tuple[int, int]:
    """V and D, held against the bytes that follow."""
    line, where = source.line(), "offset 0" if binary else "line 1"
    if not (match := _HEADER.fullmatch(line if binary else line.removeprefix(_BOM))):
        raise FormatError(source.path, where, f"{short(line)} is no header, which is two whole numbers, of words and "
                          "of numbers for each; a file without one, such as GloVe's, is read with header=False")
    V, D = map(int, match.groups())
    least, rest = min(V, limit or V) * ((4 if binary else 2) * D + 2), (source.size or 0) - source.consumed
    if V < 1 or not 1 <= D <= _WIDEST:
        raise FormatError(source.path, where, f"{V:,} words of {D:,} numbers are declared; there must be one word at "
                          f"least, and 1 to {_WIDEST:,} numbers for each")
    if source.size is not None and least > rest:
        raise FormatError(source.path, where, f"{V:,} words of {D:,} numbers are declared, of which {least:,} bytes at "
                          f"least are to be read, and {rest:,} follow")
    return V, D


# -- text --------------------------------------------------------------------------------------------------------------

def _text(source: Source, declared: int, width: int, wanted: int) -> Iterator[Rows]:
    """The rows of a text, block by block; declared, width and wanted are 0 where nothing tells."""
    for number, lines in _wanted_lines(source, declared, wanted):
        lines = [line.removesuffix(b" ") for line in lines]
        width = width or lines[0].count(b" ")
        if not 1 <= width <= _WIDEST:
            raise FormatError(source.path, "line 1", f"{short(lines[0])} has {width:,} spaces, where one stands before "
                              f"each number of a row, 1 to {_WIDEST:,} in all")
        yield _rows_of_lines(source.path, lines, number, width, declared)


def _rows_of_lines(path: Path, lines: list[bytes], number: int, width: int, declared: int) -> Rows:
    """The rows that some lines hold, of which the first is line `number`."""
    def where(row: int) -> str:
        return f"line {number + row}"

    words, rests = zip(*[line.partition(b" ")[::2] for line in lines])
    tokens = [rest.split(b" ") for rest in rests]
    try:  # float() rounds right and is as fast as np.fromstring, which would take "1-2" for two numbers
        if any(len(row) != width for row in tokens) or b"".join(rests).translate(None, b"0123456789+-.eE "):
            raise ValueError  # float() alone would take 1_0, inf, and other blanks around a number
        values = np.fromiter(map(float, itertools.chain.from_iterable(tokens)), np.float64, width * len(lines))
    except ValueError:
        _refuse_row(path, words, tokens, width, f"line 1 {'declares' if declared else 'has'} {width:,}", where)
        raise
    return Rows(list(words), values.reshape(len(lines), width), where)


def _refuse_row(path: Path, words: Sequence[bytes], tokens: list[list[bytes]], width: int, wanted: str,
                where: Callable[[int], str]) -> None:
    """FormatError for the first row that is not a word and `width` numbers."""
    for i, (word, row) in enumerate(zip(words, tokens)):
        if len(row) != width:
            raise FormatError(path, where(i), f"{len(row):,} numbers follow {short(word)}, where {wanted}: one space "
                              "(byte 0x20) stands before each number, and none in a word") from None
        for token in row:
            if not _NUMBER.fullmatch(token):
                raise FormatError(path, where(i), f"{short(token)} is no number") from None


def _wanted_lines(source: Source, declared: int, wanted: int) -> Iterator[tuple[int, list[bytes]]]:
    """The wanted lines, block by block, with the number of the first one; FormatError if the file has more of them than
    it declares, or fewer."""
    first = after = 2 if declared else 1
    end = first + wanted if wanted else 1 << 62  # the number of the line after the last that is wanted
    for number, lines in source.whole_lines(first, _LONGEST):
        if number < end:
            yield number, lines[:end - number]
        after = number + len(lines)
        if after > end and wanted == declared:
            raise FormatError(source.path, f"line {end}", f"a row more than the {declared:,} that line 1 declares")
        if after >= end and wanted != declared:
            return
    if after == first or (declared and after < end):
        raise FormatError(source.path, f"line {after}", f"the file ends after {after - first:,} rows" + (
            f", where line 1 declares {declared:,}" if declared else ""))


# -- binary ------------------------------------------------------------------------------------------------------------

def _binary(source: Source, declared: int, width: int, wanted: int) -> Iterator[Rows]:
    """The rows of the binary form, block by block."""
    data, start, done = b"", source.consumed, 0  # start: where in the file data begins
    while done < wanted:
        block = source.read()
        data += block
        rows, end = _rows_of_records(data, start, wanted - done, width)
        if rows.words:
            yield rows
        elif not block or len(data) > _LONGEST:
            raise FormatError(source.path, f"offset {start}", f"row {done + 1:,} of {declared:,} is not whole: " + (
                "no space comes after its word" if block else "the file ends within it"))
        data, start, done = data[end:], start + end, done + len(rows.words)
    if wanted == declared and (data + source.read() + source.read()).removeprefix(b"\n"):
        raise FormatError(source.path, f"offset {start}", f"more follows the {declared:,} rows that are declared")


def _rows_of_records(data: bytes, start: int, most: int, width: int) -> tuple[Rows, int]:
    """The rows of the whole records in `data`, which begins at `start` in the file; and where in it they end."""
    words: list[bytes] = []
    spaces: list[int] = []
    end, size = 0, 4 * width
    for _ in range(most):
        space = data.find(b" ", end)
        if not 0 <= space < len(data) - size:
            break
        words.append(data[end:space].removeprefix(b"\n"))  # which ends the record before, if anything does
        spaces.append(space)
        end = space + 1 + size

    def where(row: int) -> str:
        return f"offset {start + spaces[row] - len(words[row])}"

    stretches: npt.NDArray[np.void] = np.ndarray((max(len(data) - size + 1, 0),), f"V{size}", data, strides=(1,))
    vectors = stretches[np.array(spaces, int) + 1].view("<f4").reshape(len(words), width)
    return Rows(words, vectors, where), end


# -- writing -----------------------------------------------------------------------------------------------------------

def write_word2vec(path: Path, words: Iterable[str], vectors: npt.ArrayLike, *, binary: bool = False,
                   header: bool = True) -> None:
    r"""Write words and vectors as text, or in word2vec's binary form.

    path     the file; gzip'd if its name ends in .gz, with the same bytes every time
    words    V distinct ones, each of one character or more, none of them a space or a newline
    vectors  (V, D), float16, float32 or float64
    binary   in the binary form, which has float32 alone; the text has the digits that give back each number exactly
    header   begin with a line "V D"; text without it is GloVe's

    `path` holds its old bytes or all of the new ones. ValueError or TypeError for words and vectors that are not as
    said, with the position, and for NaN and infinity in text; OSError.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_word2vec(folder + "/glove.txt", ["cat", "dog"], np.float32([[0.1, 2], [-3e-9, 0]]), header=False)
    ...     pathlib.Path(folder, "glove.txt").read_bytes()
    b'cat 0.1 2.0\ndog -3e-09 0.0\n'
    """
    if binary and not header:
        raise ValueError("the binary form always has a header")
    names, table = checked(words, vectors, " \n")
    if table.shape[1] > _WIDEST:
        raise ValueError(f"vectors of {table.shape[1]:,} numbers could not be read again: at most {_WIDEST:,}")
    positions: dict[str, int] = {}
    for i, name in enumerate(names):
        if positions.setdefault(name, i) < i:
            raise ValueError(f"word {short(name)} at position {i} stands at position {positions[name]} already")

    def write(file: BinaryIO) -> None:
        packed = gzip.GzipFile("", "wb", 6, file, mtime=0) if os.fspath(path).endswith(".gz") else None
        if header:
            (packed or file).write(b"%d %d\n" % table.shape)
        for some in blocks(*table.shape):  # the text of a number may take ten times its bytes
            numbers = (_float32 if binary else shortest)(table[some], names[some])
            (packed or file).write(b"".join([b"%b %b\n" % (word.encode(), row)
                                             for word, row in zip(names[some], numbers)]))
        if packed:
            packed.close()

    atomic_write(path, write)


def _float32(vectors: Array, words: list[str]) -> list[bytes]:
    with np.errstate(over="ignore"):
        cast = vectors.astype("<f4")
    refuse_first(np.isfinite(vectors) & ~np.isfinite(cast), vectors, words, "is more than float32 can hold")
    return [row.tobytes() for row in cast]
