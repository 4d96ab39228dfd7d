"""Two threads for the one loop that walks whole tables: the dense step of an optimiser.

NumPy lets go of the interpreter lock inside its loops, so two halves run side by side. Each entry is computed as it
would be by one thread: the bytes of the result do not depend on it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # one of them at 1 asks for no second thread
TWO = CORES > 1 and "1" not in map(os.environ.get, THREADS)
LARGE = 8 << 20  # bytes: below, a thread costs more than it saves


def in_halves(work: Callable[[int, int], object], n: int, nbytes: int) -> None:
    """work(0, n), or where `nbytes` is large, work(0, n // 2) and work(n // 2, n) at the same time.

    >>> out = []
    >>> in_halves(lambda start, stop: out.append((start, stop)), 10, nbytes=80)
    >>> out
    [(0, 10)]
    """
    if not TWO or nbytes < LARGE or n < 2:
        work(0, n)
        return
    errors: list[BaseException] = []

    def second_half() -> None:
        try:
            work(n // 2, n)
        except BaseException as error:  # raised again below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=second_half)
    thread.start()
    try:
        work(0, n // 2)
    finally:
        thread.join()
    if errors:
        raise errors[0]
