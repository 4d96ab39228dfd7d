"""Atomic writing: a reader finds the whole old file or the whole new one, never a part; of files that belong together
all of the old ones or all of the new ones.

Each save has a temporary file of its own, `.NAME.<16 hex digits>.tmp`, and first clears those that killed saves of
the same NAME left behind. One fixed name would be simpler, but two saves at once would then write into one file.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO

from .errors import FormatError, Path
from .gzipped import UNFINISHED, open_regular

Data = bytes | Callable[[BinaryIO], object]
MOST = 1 << 20  # bytes of a list of files
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")


def atomic_write(path: Path, data: Data) -> None:
    """Write a file so that whatever interrupts it, `path` holds either its old bytes or all of the new ones.

    path  the file to write, in a folder that exists; a symbolic link is followed, an old file's permissions are kept
    data  the bytes, or a function that is given the open binary file and writes them

    The bytes go to a temporary file in the same folder, are forced to disk (fsync), and take the old file's place in
    one step (rename); then the folder is forced to disk, where the system can. If anything is raised on the way,
    KeyboardInterrupt included, the temporary file is removed and the exception goes on.

    Of two saves to one path at the same time, one may fail (its temporary file is taken for litter); the file that
    stands is whole all the same. Raises OSError as `open` does, also where `path` is a folder or a device.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "greeting.txt")
    ...     atomic_write(path, b"hello")
    ...     atomic_write(path, lambda file: file.write(b"hello again"))
    ...     path.read_bytes(), os.listdir(folder)
    (b'hello again', ['greeting.txt'])
    """
    target = os.path.realpath(path)
    with _staged(target, data) as temporary:
        os.replace(temporary, target)
    _sync_folder(os.path.dirname(target))


def write_together(folder: Path, files: Mapping[str, Data]) -> None:
    """Write files of one folder that belong together, such as a model's weights and its settings, so that whatever
    interrupts it, the folder is read as all of the old ones or all of the new ones.

    folder  one that exists
    files   name, which may lead into folders below it -> what is in it, as `atomic_write` takes it. The last is the one
            without which nobody takes the folder for a model; where a name is a link, a file takes the link's place

    All are written to temporary files first. Then a list of these is put into the folder, in one step, and from then on
    the save can be finished: the old files go, and only then the new ones come, so that nobody finds files of both.
    Last the list goes. What was killed before the list is there has changed nothing; what was killed after it, the next
    save into this folder ends, or `finish_save`, and until then all readers of tinyembed refuse the folder by name.

    If anything is raised on the way, the old files stand, or once the list is there, the new ones. Two saves into one
    folder at the same time are not kept apart. Raises as `atomic_write`.
    """
    folder = os.path.realpath(folder)
    finish_save(folder)
    with ExitStack() as stack:
        for name in files:
            if os.path.dirname(name):
                os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
        staged = [stack.enter_context(_staged(os.path.join(folder, name), data)) for name, data in files.items()]
        unfinished = os.path.join(folder, UNFINISHED)
        try:
            atomic_write(unfinished, "\n".join(os.path.relpath(path, folder) for path in staged).encode())
        except BaseException:
            with suppress(OSError):  # first this, then the temporary files: a list of some of them would mix
                os.unlink(unfinished)
            raise
    try:
        finish_save(folder)
    except BaseException:
        finish_save(folder)  # Ctrl-C, which falls between any two lines, is for after it
        raise


def finish_save(folder: Path) -> None:
    """End a save of several files into a folder that was killed between them: all that is new is there, and is put in
    its place. Nothing is done where there is no such save. FormatError for a list of files that no save has written.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     temporary = pathlib.Path(folder, ".config.json.0123456789abcdef.tmp")
    ...     _ = temporary.write_text("new"), pathlib.Path(folder, UNFINISHED).write_text(temporary.name)
    ...     finish_save(folder)
    ...     os.listdir(folder), pathlib.Path(folder, "config.json").read_text()
    (['config.json'], 'new')
    """
    folder = os.fspath(folder)
    unfinished = os.path.join(folder, UNFINISHED)
    try:
        with open_regular(unfinished) as file:
            names = file.read(MOST).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    left = []
    for number, name in enumerate(names, 1):
        below, temporary = os.path.split(name)
        match = TEMPORARY.fullmatch(temporary)
        if match is None or os.path.isabs(below) or ".." in re.split(r"[/\\]", below):
            raise FormatError(unfinished, f"line {number}", "not the name of a temporary file below this folder: it is "
                              "no list that a save has left, remove it")
        if os.path.exists(os.path.join(folder, name)):
            left.append((os.path.join(folder, name), os.path.join(folder, below, match[1])))
    for _, target in reversed(left):
        with suppress(FileNotFoundError):
            os.unlink(target)
    for temporary, target in left:
        os.replace(temporary, target)
    for below in {os.path.dirname(target) for _, target in left}:
        _sync_folder(below)
    os.unlink(unfinished)
    _sync_folder(folder)


@contextmanager
def _staged(target: str, data: Data) -> Iterator[str]:
    """The path of a temporary file beside the target, with the data, on the disk; removed if what follows raises."""
    exists = os.path.exists(target)
    if exists and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "not a regular file, so it can not be replaced", target)
    folder, name = os.path.split(target)
    _clear_litter(folder, name)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exists:
            shutil.copymode(target, temporary)
        yield temporary
    except BaseException:
        with suppress(OSError):  # what went wrong first is what the caller should see
            os.unlink(temporary)
        raise


def _clear_litter(folder: str, name: str) -> None:
    """Remove the temporary files of `name` alone: saving `a` leaves those of `a.npz` in peace."""
    for entry in os.listdir(folder):
        if (match := TEMPORARY.fullmatch(entry)) and match[1] == name:
            with suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def _sync_folder(folder: str) -> None:
    """Force the folder's list of names to disk: without it a power cut can undo the rename."""
    if os.name == "nt":  # Windows can not open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)
