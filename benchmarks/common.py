"""What the benchmarks share: timing contenders in turn, tables in Markdown, and what machine and versions they ran on.

No benchmark asserts a time. Only the ratios carry over to another machine.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinyembed as te

OURS = "tinyembed"
Contender = Callable[[int], Callable[[], Any]]  # prepare(round) -> the work that is timed
RUNS = 3
COLLECTOR = "cyclic collector: run before each round, off while the clock runs"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_BLOCK_FACTOR", "NPY_DISABLE_CPU_FEATURES",
        "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY")  # each makes NumPy or torch run other code than the CPU's own
CORE_NAMES = ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename64_",
              "openblas_get_corename")  # as wheels of NumPy, and distributions, name the function


def optional(name: str) -> Any:
    """The module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def turns(names: list[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(round, name): the contenders take turns, each round starting with another, so that whatever slows the machine
    for a while slows all of them. Round -1 warms up and is not to be counted. COLLECTOR is kept to here."""
    for i in range(-1, repeats):
        gc.collect()
        gc.disable()
        try:
            first = i % len(names)
            for name in names[first:] + names[:first]:
                yield i, name
        finally:
            gc.enable()


def timed(contenders: dict[str, Contender], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender, `repeats` times, in RUNS turns. A turn begins with a pause and a few calls off the
    clock: threads of the contender before (OpenMP's wait in a loop, on the core that others want) are gone by then."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i, name in turns(list(contenders), RUNS):
        time.sleep(0.1)
        for k in range(-5, -(-repeats // RUNS) if i >= 0 else 0):
            work = contenders[name](max(i, 0))
            start = time.perf_counter()
            result = work()
            elapsed = time.perf_counter() - start
            del work, result  # what they hold is freed outside the clock
            if k >= 0:
                seconds[name].append(elapsed)
    return seconds


def table(title: str, rows: dict[str, dict[str, list[float]]], unit: float = 1e-3) -> None:
    """Print "median (min)" of each contender for each measure, in units of so many seconds, and the ratios of the
    medians: ours over each peer's."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    peers = [name for name in names if name != OURS]
    lines = [[title, *names, *(f"ours / {peer}" for peer in peers)]]
    for measure, row in rows.items():
        median = {name: statistics.median(values) / unit for name, values in row.items()}
        cells = [f"{median[n]:.3g} ({min(row[n]) / unit:.3g})" if n in row else "–" for n in names]
        cells += [f"{median[OURS] / median[p]:.2g}" if p in median else "–" for p in peers]
        lines.append([measure, *cells])
    markdown(lines)


def markdown(lines: list[list[str]]) -> None:
    """Print a table; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * w for w in widths]
    print()
    for line in [lines[0], rule, *lines[1:]]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |")
    sys.stdout.flush()


def parser(description: str | None, threads: int) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="seconds instead of minutes: small sizes, few repeats")
    p.add_argument("--repeats", type=int, help="rounds to measure")
    p.add_argument("--threads", type=int, default=threads,
                   help=f"torch's threads (default {threads}); for NumPy's BLAS set OPENBLAS_NUM_THREADS first")
    return p


def describe(threads: int, peers: tuple[str, ...]) -> None:
    """Print what the figures depend on; a peer that is not installed is said in one line."""
    versions = [f"Python {platform.python_version()}", f"NumPy {np.__version__}", f"tinyembed {te.__version__}"]
    for peer in peers:
        if module := optional(peer):
            versions.append(f"{peer} {getattr(module, '__version__', '?')}")
        else:
            print(f"{peer} is not installed: measured without it")
    if torch := optional("torch"):
        torch.set_num_threads(threads)
    print(", ".join(versions))
    print(f"CPU: {_cpu()}, {os.cpu_count()} cores; torch threads: {threads if torch else '–'}; BLAS: {_blas()}, "
          f"kernel {blas_kernel()}")
    if pins := [name for name in PINS if name in os.environ]:
        print(f"warning: {', '.join(f'{name}={os.environ[name]}' for name in pins)} decides which code runs: these are "
              f"not the times of this machine. Measure with\n  env {' '.join(f'-u {name}' for name in pins)} "
              f"{shlex.join(sys.orig_argv)}")
    if hasattr(os, "getloadavg"):  # threads wait for each other in a loop, so a busy core slows down the other, too
        print(f"load average before the start: {os.getloadavg()[0]:.1f} (measure on idle cores: on busy ones, two BLAS "
              "threads make a step four times as slow)")
    print(COLLECTOR)


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _blas() -> str:
    """Name and version; threads if threadpoolctl is installed, else what the environment asks for."""
    built: Any = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {})
    asked = ", ".join(f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ)
    asked = asked or "default threads"
    if pools := optional("threadpoolctl"):
        asked = ", ".join(f"{p['internal_api']} {p['num_threads']} threads" for p in pools.threadpool_info())
    return f"{blas.get('name', '?')} {blas.get('version', '')} ({asked})"


def blas_kernel() -> str:
    """The family of CPUs that the code of NumPy's OpenBLAS is for, as the library itself names it; else "unknown"."""
    for path in _openblas_libraries():
        library = ctypes.CDLL(path)
        for name in CORE_NAMES:
            if function := getattr(library, name, None):
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return "unknown"


def _openblas_libraries() -> list[str]:
    """Those that this process has loaded; NumPy's own before SciPy's, say."""
    site = Path(np.__file__).parent.parent
    try:
        with open("/proc/self/maps") as lines:
            paths = {line.split(maxsplit=5)[-1].rstrip("\n") for line in lines if "openblas" in line}
    except OSError:  # not Linux: the library that came with NumPy
        paths = {str(path) for folder in ("numpy.libs", "numpy/.dylibs") for path in (site / folder).glob("*openblas*")}
    return sorted(paths, key=lambda path: (not path.startswith(str(site / "numpy")), path))
