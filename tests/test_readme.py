"""The README is true: its lines run, its files exist, its line counts are those of the tree."""

import re
from pathlib import Path

import numpy as np
import pytest

import tinyembed as te
from tinyembed import nn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| `(.+)` \|$", README, re.MULTILINE)


def test_every_file_it_names_exists():
    for name in re.findall(r"((?:examples|tests|tinyembed|benchmarks)/[\w./]*\w+\.py)", README):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(("row", "line"), [(row, line) for row, _, line in ROWS if not line.startswith("python ")])
def test_the_line_of_each_row_runs(row, line):
    exec(line, {"np": np, "te": te, "nn": nn})


def test_rows_are_sorted_and_unique():
    numbers = [int(row) for row, *_ in ROWS]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 6


def test_every_step_of_the_learning_path_is_listed():
    assert re.findall(r"examples/steps/(\S+\.py)", README)
    for step in (ROOT / "examples" / "steps").glob("*.py"):
        assert f"examples/steps/{step.name}" in README


def test_line_counts():
    counts = re.findall(r"^\| `(tinyembed/\S*)` \| ([\d,]+) \|", README, re.MULTILINE)
    assert len(counts) > 5
    for name, count in counts:
        path = ROOT / name
        files = [path] if path.is_file() else path.rglob("*.py")
        lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)
        assert abs(lines - int(count.replace(",", ""))) <= 0.05 * lines + 2, f"{name} has {lines} lines"
