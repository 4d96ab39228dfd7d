"""What the machine makes of a long computation: blocks that fit a cache, two threads, freed memory that is kept.

None of it changes a result. Last in reading order: nothing else in this room needs to be understood through it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 65_536  # numbers: few enough to stay in a core's cache from one pass over them to the next
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # one of them at 1 asks for no second thread
TWO = CORES > 1 and "1" not in map(os.environ.get, THREADS)
LARGE = 8 << 20  # bytes: below, a thread costs more than it saves

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
    errors: list[BaseException] = []
    alike = np.errstate(**np.geterr())(work)  # a thread begins without what np.errstate says here

    def second_half() -> None:
        try:
            alike(n // 2, n)
        except BaseException as error:  # raised again below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=second_half)
    try:
        thread.start()
    except RuntimeError:
        work(0, n)
        return
    try:
        work(0, n // 2)
    finally:
        thread.join()
    if errors:
        raise errors[0]


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
