"""Matrix products in two threads of our own, each with a single-threaded BLAS.

Left to itself, BLAS divides each product between its threads, and they wait for each other at the end of each; what
lies between two products has one thread. Where a long computation falls into two parts that have nothing to do with
each other, such as two halves of a batch of pictures, it is better to divide that.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from .machine import in_halves

NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads64_",
         "openblas_{}_num_threads")  # as wheels of NumPy, and distributions, call the functions
_lock, _within, _before = threading.Lock(), 0, 0


def products_in_halves(work: Callable[[int, int], object], n: int, nbytes: int) -> None:
    """`in_halves` for work with matrix products in it: while there are two threads, BLAS takes one for each product.

    Where the BLAS is not OpenBLAS, or cannot be found, it keeps its threads: slower, with the same results.
    """
    def part(start: int, stop: int) -> None:
        with one_blas_thread() if stop - start < n else nullcontext():
            work(start, stop)

    in_halves(part, n, nbytes)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, in all threads of this process, OpenBLAS takes one thread; after the last one has left, as many as
    before."""
    global _within, _before
    found = _openblas()
    if found is None:
        yield
        return
    get, put = found
    with _lock:
        if not _within:
            _before = get()
            put(1)
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within = max(_within - 1, 0)  # 0 already in a process that was forked within
            if not _within:
                put(_before)


def _after_fork() -> None:
    """A forked process has the thread that forked alone: those that were in `one_blas_thread` never leave it there, and
    may have held the lock."""
    global _lock, _within
    _lock = threading.Lock()
    if _within and (found := _openblas()):
        found[1](_before)
    _within = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _openblas() -> tuple[Any, Any] | None:
    """OpenBLAS's functions that tell and set its number of threads, from the library that NumPy has loaded."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    paths = {path for line in lines if "openblas" in os.path.basename(path := line.split(maxsplit=5)[-1])}
    for path in sorted(paths, key=lambda path: "numpy" not in path):  # SciPy brings another one
        try:
            library = ctypes.CDLL(path)
        except OSError:  # what is mapped from that file is no library, or the library has been replaced since
            continue
        for name in NAMES:
            if hasattr(library, name.format("set")):
                return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None
