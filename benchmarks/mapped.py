"""A table larger than the memory it may use: trained, killed, opened again.

Children train `Embedding.mapped`, 2^24 x 64 in float32 (4 GiB, and as much again for each of AdamW's two states), under
RLIMIT_DATA of 512 MiB: what a process allocates itself; mapped files do not count. A step looks up 8,192 rows, takes
the loss sum of squares, and steps. Ids are uniform (all rows new: each first touch makes a page of each file) or
Zipf-distributed (p proportional to 1 / rank^1.1, the same rows again and again). For comparison the same steps on a
table in memory, 2^20 x 64. One child is killed with SIGKILL in the middle, and the next opens what it left.

Resident: the largest size while running, all of it (VmHWM) and what is the process's own and no file's (RssAnon). The
rest are pages of the files, which the system takes back when it needs the room.

    python benchmarks/mapped.py           a minute or two, 4 GB of disk for the time
    python benchmarks/mapped.py --quick   seconds
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import common
import numpy as np

import tinyembed as te

LIMIT, D, N = 512 << 20, 64, 8192
SMALL = 1 << 20


def zipf(rng: np.random.Generator, V: int) -> np.ndarray:
    """N ids, p proportional to 1 / rank^1.1, the ranks scattered over the table by an odd factor."""
    ranks = np.exp(rng.random(N) * np.log(V)).astype(np.int64)  # nearly: log-uniform ranks have p ~ 1 / rank
    return ranks * 2654435761 % V


def child(folder: str, V: int, ids: str, steps: int) -> None:
    """Train, and print what it took; with steps = -1 until killed."""
    rng = np.random.default_rng()
    if folder:
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
        start = time.perf_counter()
        table: Any = te.nn.Embedding.mapped(folder, V, D, seed=1)
    else:
        start = time.perf_counter()
        table = te.nn.Embedding(V, D, rng=rng)
    opened = time.perf_counter() - start
    optimizer = te.optim.AdamW(table.parameters())
    before, seconds = optimizer.state[0].steps, []
    while len(seconds) != steps:
        batch = zipf(rng, V) if ids == "Zipf" else rng.integers(0, V, N)
        start = time.perf_counter()
        optimizer.zero_grad()
        (table(batch) ** 2).sum().backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        if steps < 0 and len(seconds) % 5 == 0:
            table.flush()
            print(len(seconds), flush=True)
    with open("/proc/self/status") as lines:
        status = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if "kB" in line}
    start = time.perf_counter()
    if folder:
        table.flush()
    print(json.dumps({"before": before, "open": opened, "step": statistics.median(seconds), "peak": status["VmHWM"],
                      "own": status["RssAnon"], "flush": time.perf_counter() - start}))


def run(*arguments: object) -> dict[str, float]:
    """A child's report."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1]))


def main() -> None:
    o = common.parser(__doc__, 1).parse_args()
    common.describe(1, ())
    V, steps = (1 << 24), (5 if o.quick else 40)
    folder = tempfile.mkdtemp(prefix="tinyembed-mapped-")
    try:
        lines = [["run", "steps before", "open, s", "step, ms", "flush, s", "peak resident, MiB", "its own, MiB"]]

        def line(title: str, report: dict[str, float]) -> None:
            lines.append([title, *(f"{report[name] * unit:.3g}" for name, unit in (
                ("before", 1), ("open", 1), ("step", 1e3), ("flush", 1), ("peak", 1), ("own", 1)))])

        line(f"in memory, {SMALL:,} rows, Zipf", run("", SMALL, "Zipf", steps))
        line(f"mapped, {V:,} rows, Zipf", run(folder, V, "Zipf", steps))
        line("opened again, Zipf", run(folder, V, "Zipf", steps))
        endless = subprocess.Popen([sys.executable, __file__, "--child", folder, str(V), "Zipf", "-1"],
                                   stdout=subprocess.PIPE, text=True)
        assert endless.stdout is not None
        flushed = next(int(text) for text in endless.stdout if int(text) >= 10)
        endless.send_signal(signal.SIGKILL)
        endless.wait()
        line(f"opened again, killed after {flushed} more, Zipf", run(folder, V, "Zipf", steps))
        line("opened again, uniform (new rows)", run(folder, V, "uniform", steps))
        common.markdown(lines)
        files = [os.stat(os.path.join(folder, name)) for name in os.listdir(folder)]
        print(f"\nRLIMIT_DATA {LIMIT >> 20} MiB; files {sum(f.st_size for f in files) / 2**30:.1f} GiB long, "
              f"{sum(f.st_blocks for f in files) * 512 / 2**30:.2f} GiB on the disk")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    else:
        main()
