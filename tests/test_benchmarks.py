"""What the benchmarks say of the machine: which kernel runs, and whether the environment has chosen another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINS = ("OPENBLAS_", "NPY_", "MKL_", "ATEN_")  # what begins so may choose the code that runs
DESCRIBE = "import common; common.describe(1, ())"


def describe(code=DESCRIBE, **pins):
    """What `common.describe` prints, and the core that an OpenBLAS which has several names when it is loaded."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PINS)}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]), "OPENBLAS_VERBOSE": "2", **pins}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = re.search(r"^Core: (\w+)", done.stderr, re.MULTILINE)
    return done.stdout, said[1] if said else ""


@pytest.mark.parametrize("pins", [{}, {"OPENBLAS_CORETYPE": "Nehalem"}, {"OPENBLAS_L2_SIZE": "1024"},
                                  {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": "1024"}])
def test_the_kernel_that_runs_is_named_and_a_pinned_one_warned_of(pins):
    printed, kernel = describe(**pins)
    assert f"kernel {kernel}" in printed
    assert ("warning: " in printed) == bool(pins)
    if pins:
        assert ", ".join(f"{name}={value}" for name, value in pins.items()) in printed
        assert f"\n  env {' '.join(f'-u {name}' for name in pins)} {sys.executable} -c " in printed


def test_a_kernel_that_cannot_be_had_is_unknown():
    assert "kernel unknown\n" in describe(f"import common; common._openblas_libraries = list; {DESCRIBE}")[0]
