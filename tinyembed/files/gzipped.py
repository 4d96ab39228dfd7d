"""Buffered reading of plain and gzip files; the first bytes decide which, not the name."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from .errors import FormatError, Path

MOST = 100_000_000  # bytes of a file that is read at once
BLOCK = 1 << 18  # small enough for a processor's cache, and for what a block's words and numbers take as objects
UNFINISHED = ".unfinished-save"  # in a folder, while files of it that belong together are being replaced


def check_whole(folder: Path) -> None:
    """FormatError for a folder into which a save of several files (`write_together`) has not come to its end."""
    if os.path.exists(os.path.join(folder, UNFINISHED)):
        raise FormatError(folder, "the folder", "a save into it is under way, or was killed between two of its files: "
                          "then te.files.finish_save(folder) ends it, with all that is new, or save once more")


def open_file(path: Path) -> BinaryIO:
    """A file, open to be read. FormatError as `open_regular` and `check_whole`, of its folder; OSError as `open`."""
    check_whole(os.path.dirname(os.fspath(path)))
    return open_regular(path)


def open_regular(path: Path) -> BinaryIO:
    """A file, open to be read. FormatError for what is none: a device may have no end, and who opens a pipe that nobody
    writes to waits for ever."""
    wait = getattr(os, "O_NONBLOCK", 0)
    try:
        file = open(os.fspath(path), "rb", opener=lambda name, flags: os.open(name, flags | wait))
    except FileNotFoundError as error:  # org/name of a hub, perhaps
        error.strerror = f"{error.strerror} (only local files and folders are read, and nothing is fetched)"
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FormatError(path, "the path", "not a regular file")
    return file


def read_file(path: Path, most: int = MOST) -> bytes:
    """All bytes of a file; FormatError, before any are read, for more than `most` of them."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise FormatError(path, "the file", f"{size:,} bytes, where at most {most:,} are read")
        return file.read(size)


class Source:
    """A file that is read from its start; a context manager. FormatError for gzip data that are damaged or cut off.

    progress  print a line whenever another tenth of the file is read
    size      bytes of a plain file; None of a gzip'd one, whose content is as long as it turns out to be
    consumed  bytes of the content that were given out
    """

    def __init__(self, path: Path, progress: bool = False) -> None:
        self.path, self.progress, self.consumed = path, progress, 0
        self._file = open_file(path)
        length = os.fstat(self._file.fileno()).st_size
        packed = self._file.read(3) == b"\x1f\x8b\x08"
        self._file.seek(0)
        self.size = None if packed else length
        self._content: Any = gzip.GzipFile(fileobj=self._file) if packed else self._file
        self._tenth, self._tenths = max(length / 10, 1), 0  # for progress: bytes, and how many of them are read

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def rewind(self) -> None:
        self._content.seek(0)
        self.consumed = 0

    def read(self) -> bytes:
        """The next block, at most BLOCK bytes; b"" at the end."""
        return self._take(self._content.read, BLOCK)

    def line(self, most: int = 100) -> bytes:
        """The rest of the line, with its end; at most so many bytes, of which a header takes less than 100."""
        return self._take(self._content.readline, most)

    def lines(self) -> Iterator[bytes]:
        """The lines that are left, with their ends; of one of more than a MiB, that much."""
        while line := self.line(1 << 20):
            yield line
            while len(line) == 1 << 20 and not line.endswith(b"\n"):
                line = self.line(1 << 20)

    def whole_lines(self, number: int, longest: int) -> Iterator[tuple[int, list[bytes]]]:
        """The lines that are left, without their ends, block by block, with the number of the block's first one; the
        next has this number. FormatError for a line that does not end, or not within a block and `longest` bytes."""
        tail = b""
        while block := self.read():
            cut = block.rfind(b"\n")
            if cut < 0:
                tail += block
                if len(tail) > longest:
                    raise FormatError(self.path, f"line {number}", f"has not ended after {len(tail):,} bytes")
                continue
            whole, tail = tail + block[:cut], block[cut + 1:]
            lines = whole.split(b"\n")
            if b"\r" in whole:
                lines = [line.removesuffix(b"\r") for line in lines]
            yield number, lines
            number += len(lines)
        if tail:
            raise FormatError(self.path, f"line {number}", "the file ends within this line, so digits may be missing: "
                              "get the file again, or if all is there, end the line")

    def _take(self, read: Any, most: int) -> bytes:
        try:
            data: bytes = read(most)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(self.path, f"offset {self.consumed} of the content", f"the gzip data are damaged or "
                              f"cut off here: get the file again ({error})") from error
        self.consumed += len(data)
        if self.progress and (tenths := int(self._file.tell() / self._tenth)) > self._tenths:
            self._tenths = tenths
            print(f"{os.fspath(self.path)}: {tenths}0 % read", file=sys.stderr)
        return data
