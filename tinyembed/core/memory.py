"""Freed memory is kept for the next step.

A training step allocates a few dozen megabytes and frees them again, thousands of times. glibc gives what is freed at
the top of the heap back to the system at once, which hands out zeroed pages anew when the next step asks: thousands of
page faults, a third of a small model's step. Two of its settings say how much to keep instead.
"""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 256 << 20  # bytes that may stay with the process
MAPPED = 32 << 20  # arrays of this size are handed out, and given back, by themselves (glibc's own upper bound)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt's names, from malloc.h


def keep_freed_memory() -> bool:
    """Tell the C library to keep up to KEPT bytes of what was freed; whether it has such a setting (glibc does).

    What the environment says (MALLOC_TRIM_THRESHOLD_ and the like) goes first: then nothing is changed.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(("MALLOC_TRIM", "MALLOC_MMAP", "GLIBC_TUNABLES"))
                                                    for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, MAPPED) and mallopt(M_TRIM_THRESHOLD, KEPT))
