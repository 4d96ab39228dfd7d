"""Performance on the machine at hand: cache-sized blocks, two threads, freed memory kept for reuse.

None of it changes a result. Last in reading order: nothing else in this room needs to be understood through it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BLOCK = 65_536  # numbers: few enough to stay in a core's cache from one pass over them to the next
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # one of them at 1 asks for no second thread
TWO = CORES > 1 and "1" not in map(os.environ.get, THREADS)
LARGE = 8 << 20  # bytes: below, a second thread costs more than it saves

NAME = "tinyembed's second half"  # of the thread
_pool: Any = None
_lock = threading.Lock()

KEPT = 256 << 20  # bytes that may stay with the process
MAPPED = 32 << 20  # arrays of this size are handed out, and given back, by themselves (glibc's own upper bound)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt's names, from malloc.h


def fits_cache(entries: int) -> bool:
    """Whether so many numbers are one block."""
    return entries <= BLOCK


def blocks(n: int, width: int = 1, entries: int | None = None) -> Iterator[slice]:
    """n rows of `width` numbers, some at a time: slices of about `entries` numbers (BLOCK), one row at the least.

    >>> list(blocks(5, 100, entries=200))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max((BLOCK if entries is None else entries) // max(width, 1), 1)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def in_halves(work: Callable[[int, int], object], n: int, nbytes: int) -> None:
    """work(0, n), or where `nbytes` is large, work(0, n // 2) and work(n // 2, n) in two threads: NumPy lets go of the
    interpreter lock inside its loops. For work on each entry by itself, whose result is the same bytes either way.
    Where the system has no second thread to give (RLIMIT_NPROC, a container's limit), it is work(0, n).

    >>> out = []
    >>> in_halves(lambda start, stop: out.append((start, stop)), 10, nbytes=80)
    >>> out
    [(0, 10)]
    """
    if not TWO or nbytes < LARGE or n < 2:
        work(0, n)
        return
    alike = np.errstate(**np.geterr())(work)  # the other thread does not know what np.errstate says here
    half = _in_second_thread(lambda: alike(n // 2, n))
    if half is None:
        work(0, n)
        return
    try:
        work(0, n // 2)
    finally:
        error = half.exception()  # waits for it
    if error is not None:
        raise error


def _in_second_thread(work: Callable[[], object]) -> Any:
    """Hand work to the second thread, which is kept, as starting one takes time. The work's Future; None where there is
    no second thread: the system has none to give, Python is about to end, or this is the second thread itself."""
    global _pool
    if threading.current_thread().name.startswith(NAME):
        return None
    with _lock:
        if _pool is None:
            from concurrent.futures import ThreadPoolExecutor

            pool = ThreadPoolExecutor(1, NAME)
            try:
                pool.submit(int).result()  # its thread runs before work is given to it
            except RuntimeError:
                return None
            _pool = pool
    try:
        return _pool.submit(work)
    except RuntimeError:  # Python is about to end, and has ended the thread
        return None


def take_rows(table: Any, ids: Any) -> Any:
    """table[ids] for ids that have been checked: a fresh array (…, D); a large one in two threads.

    >>> take_rows(np.eye(3), np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    rows = np.empty((*ids.shape, *table.shape[1:]), table.dtype)
    flat, out = ids.reshape(-1), rows.reshape(ids.size, *table.shape[1:])

    def part(start: int, stop: int) -> None:  # "clip": with it, NumPy writes into `out` at once
        np.take(table, flat[start:stop], axis=0, out=out[start:stop], mode="clip")

    in_halves(part, ids.size, 2 * rows.nbytes if table.flags.c_contiguous else 0)  # read, and written
    return rows


def _after_fork() -> None:
    """The second thread is not in a forked process, and the lock may have been taken when it was made."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def keep_freed_memory() -> bool:
    """Tell the C library to keep up to KEPT bytes of what was freed; whether it has such a setting (glibc does).

    A training step allocates dozens of megabytes and frees them again. glibc gives what is freed at the top of the heap
    back to the system, which hands out zeroed pages when the next step asks: thousands of page faults, a third of a
    small model's step. Where the environment says otherwise (MALLOC_TRIM_THRESHOLD_, say) nothing is changed.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(("MALLOC_TRIM", "MALLOC_MMAP", "GLIBC_TUNABLES"))
                                                    for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, MAPPED) and mallopt(M_TRIM_THRESHOLD, KEPT))
