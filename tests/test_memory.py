"""Freed memory stays with the process for the next step, unless the environment says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import resource, numpy as np, tinyembed
from tinyembed.core.machine import keep_freed_memory
kept = keep_freed_memory()
def step():
    return [np.ones(1 << 18, np.float32) for _ in range(24)]  # 24 MiB, and freed
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
MANY = 10 * 24 * 256  # pages of 4 KiB in ten steps


def faults(**environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    env["PYTHONPATH"] = str(Path(__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, env={**env, **environment})
    assert done.returncode == 0, done.stderr
    kept, count = done.stdout.split()
    return kept == "True", int(count)


def test_steps_that_free_and_allocate_the_same_cause_few_page_faults():
    pytest.importorskip("resource")
    kept, few = faults()
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert few < MANY / 10


def test_the_environment_goes_first():
    pytest.importorskip("resource")
    kept, many = faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert not kept
    if sys.platform.startswith("linux") and faults()[0]:
        assert many > MANY / 2
