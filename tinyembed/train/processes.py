"""launch: run the same function in several processes that share the cores.

NumPy's elementwise work uses one core, and threads are held back by Python's lock; processes are not. What the
processes have to say to each other is group.py's.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import wait
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from ..core import CORES, THREADS
from .group import Group, new_table
from .progress import STOPPING, handling_ctrl_c

try:
    import fcntl
except ImportError:  # Windows, where folders of processes that were killed stay
    fcntl = None  # type: ignore[assignment]

PREFIX = "tinyembed-launch-"
SHARED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # None: the folder for temporary files


def launch(work: Callable[..., Any], processes: int, *args: Any) -> Any:
    """Run work(group, *args) in so many fresh processes; what it returned in rank 0.

    work      a function at the top level of a module, since a new process imports it; for the same reason `launch` is
              called under `if __name__ == "__main__":`. With one process it is called right here.
    args      what else it needs; this, and what rank 0 returns, must be such as can be sent to another process

    BLAS has cores / processes threads in each, unless one of OPENBLAS_NUM_THREADS, OMP_NUM_THREADS, MKL_NUM_THREADS is
    set. If one process fails or is killed, the others are ended, and RuntimeError says which it was and why. If this
    process dies they end by themselves; if all are killed at once, the next launch clears what they have left. At the
    first Ctrl-C `fit` ends after the same step in all of them; a second one ends all at once.

    >>> import numpy as np
    >>> launch(Group.part, 2, np.arange(5))
    (array([0, 1]),)
    """
    if processes < 1:
        raise ValueError(f"processes is 1 or more, not {processes}")
    if processes == 1:
        return work(Group(), *args)
    context, ranks = multiprocessing.get_context("spawn"), {}
    with _new_folder() as folder:
        new_table(folder, processes)
        try:
            with _shared_cores(processes):
                for rank in range(processes):
                    answer, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_run, args=(sender, rank, processes, folder, work, args),
                                              name=f"rank {rank}", daemon=True)
                    process.start()
                    sender.close()  # so that the other end hears when the process, which has the last one, is gone
                    ranks[answer] = process
            result = _answers(list(ranks), dict(ranks), Group(0, processes, folder))
            for process in ranks.values():
                process.join(5)
            return result
        finally:
            for process in ranks.values():
                process.terminate()
            for process in ranks.values():
                process.join(5)
                process.kill()
                process.join()


@contextmanager
def _new_folder() -> Iterator[str]:
    """A folder for the processes of a launch, and the end of those whose processes were all killed.

    As long as one of the processes is there, it holds a lock on the folder, which the system takes away from the dead.
    """
    _clear_killed(SHARED or gettempdir())
    with ExitStack() as stack:
        while True:
            folder = stack.enter_context(TemporaryDirectory(prefix=PREFIX, dir=SHARED))
            with suppress(FileNotFoundError):
                stack.callback(os.close, _held(folder))
                if os.path.exists(folder):  # else a launch beside has taken it, not yet held, for one of the dead
                    break
        yield folder


def _held(folder: str) -> int:
    """The descriptor of a folder that nobody clears until it is closed, or this process ends."""
    if fcntl is None:
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks: there nobody clears anything
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _clear_killed(where: str) -> None:
    """Remove the folders of launches, of this user, that no process holds."""
    for entry in os.scandir(where) if fcntl is not None else ():
        if entry.name.startswith(PREFIX):
            with suppress(OSError):  # a link, no folder, gone, not ours, held
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(descriptor).st_uid == os.getuid():
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(entry.path)
                finally:
                    os.close(descriptor)


def _answers(order: list[Any], left: dict[Any, Any], group: Group) -> Any:
    """Wait until all ranks have answered; what the first one has."""
    result = None
    while left:
        try:
            ready = wait(list(left))
        except KeyboardInterrupt:
            if not group.interrupt():
                raise
            print(STOPPING, file=sys.stderr)
            continue
        for answer in [x for x in order if x in ready]:
            process = left.pop(answer)
            try:
                what, value = answer.recv()
            except (EOFError, OSError):
                process.join()
                code, hint = process.exitcode, ""
                if code == 1:
                    hint = ('; launch is to stand under `if __name__ == "__main__":`, and work at the top level of a '
                            "module")
                elif code < 0:
                    hint = f": it was killed, {signal.Signals(-code).name}"
                raise RuntimeError(f"{process.name} died with exit code {code}{hint}") from None
            if what == "failed":
                raise RuntimeError(f"{process.name} failed, and all were ended.\n\n{value}")
            result = value if answer is order[0] else result
    return result


@contextmanager
def _shared_cores(processes: int) -> Iterator[None]:
    """Processes that are started meanwhile share the cores, and hear no Ctrl-C."""
    names = [] if any(name in os.environ for name in THREADS) else THREADS
    os.environ.update(dict.fromkeys(names, str(max(1, CORES // processes))))
    try:
        with handling_ctrl_c(signal.SIG_IGN):
            yield
    finally:
        for name in names:
            os.environ.pop(name, None)


def _run(sender: Any, rank: int, size: int, folder: str, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # `launch` hears it, and tells the group
    try:
        _held(folder)
        threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
        group = Group(rank, size, folder)
        result = work(group, *args)
        group.leave()
        sys.stdout.flush()
        sender.send(("done", None if rank else result))
    except BaseException:
        sys.stdout.flush()
        sender.send(("failed", traceback.format_exc()))


def _end_with_parent(folder: str) -> None:
    parent: Any = multiprocessing.parent_process()
    parent.join()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
