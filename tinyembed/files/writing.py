"""The one way a file is written: a reader finds the whole old file or the whole new one, never a torn one.

Each save has a temporary file of its own, `.NAME.<16 hex digits>.tmp`, and first clears those that killed saves of
the same NAME left behind. One fixed name would be simpler, but two saves at once would then write into one file.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from .errors import Path


def atomic_write(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
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
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what the caller should see
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _clear_litter(folder: str, name: str) -> None:
    """Remove the temporary files of `name` alone: saving `a` leaves those of `a.npz` in peace."""
    litter = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.tmp")
    for entry in os.listdir(folder):
        if litter.fullmatch(entry):
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
