"""The pages are true: their lines run, their files exist, and a newcomer finds at once what they look for.

The code in README.md and examples/README.md is collected as doctests.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from test_architecture import FLOORS

import tinyembed as te
from tinyembed import nn

ROOT = Path(__file__).parent.parent
PAGES = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "examples/README.md", "benchmarks/README.md",
                                                                    "examples/README.zh.md")}
FIRST, EXAMPLES, BENCHMARKS, CHINESE = PAGES.values()
LINES = FIRST.splitlines()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| `(.+)` \|$", EXAMPLES, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_it_names_exists(page):
    for name in re.findall(r"(?<![\w./])((?:examples|tests|tinyembed|benchmarks)/[\w./]*\w+\.\w+)", PAGES[page]):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([^):#]+)\)", PAGES[page]):
        assert ((ROOT / page).parent / name).exists(), name


# -- README.md: the first minute


def test_it_is_short_and_begins_with_a_picture_and_code():
    assert len(LINES) <= 140
    picture = next(i for i, line in enumerate(LINES) if line.startswith("!["))
    python = next(i for i, line in enumerate(LINES) if line.startswith("    >>> "))
    assert picture < python < 20
    path = ROOT / re.search(r"\((\S+)\)", LINES[picture])[1]
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size < 150_000


def test_its_first_two_commands_train_and_test():
    blocks = re.findall(r"(?:^ {4}.*\n)+", FIRST, re.MULTILINE)
    train, test = [block.strip() for block in blocks if not block.startswith("    >>> ")][:2]
    assert train.startswith("python3 -m venv .venv && ") and train.endswith("/bin/python examples/next_token.py")
    assert test.startswith("python3 -m venv .venv && ") and test.endswith("/bin/python -m pytest")
    assert test == next(line.strip() for line in LINES if line.endswith("python -m pytest"))  # .ci/run takes that one


def test_the_page_in_chinese_says_the_same():
    def parts(page, folder):
        blocks = re.findall(r"(?:^ {4}.*\n)+", page, re.MULTILINE)
        links = {(folder / path).resolve() for path in re.findall(r"\]\(([^):#]+)\)", page)}
        return {"headings": page.count("\n## "), "items": page.count("\n- "), "rows": page.count("\n| "),
                "steps": re.findall(r"^\d\.", page, re.MULTILINE), "blocks": [block.count("\n") for block in blocks],
                "commands": [block for block in blocks if ">>>" not in block],
                "links": links - {ROOT / "README.md", ROOT / "examples/README.zh.md"}}

    assert parts(CHINESE, ROOT / "examples") == parts(FIRST, ROOT)


def test_what_to_add_to_is_there():
    lists = re.findall(r"`(\w+)` of \[(tests/\w+\.py)\]", FIRST)
    assert lists
    for name, path in lists:
        assert re.search(rf"^{name}\b.* = ", (ROOT / path).read_text("utf-8"), re.MULTILINE), f"{name} in {path}"


def test_a_system_takes_one_line():
    systems = re.search(r"## What is in it\n\n((?:.+\n)+)", FIRST)[1].splitlines()
    assert len(systems) >= 10
    assert all(line.startswith("- ") and len(line) <= 80 for line in systems)


# -- examples/README.md


@pytest.mark.parametrize(("row", "line"), [(row, line) for row, _, line in ROWS if not line.startswith("python ")])
def test_the_line_of_each_row_runs(row, line):
    exec(line, {"np": np, "te": te, "nn": nn})


def test_rows_are_sorted_and_unique():
    numbers = [int(row) for row, *_ in ROWS]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 6


def test_every_example_and_every_step_is_listed():
    steps = re.findall(r"^\d+\. \[.+?\]\(steps/(.+?)\): ", EXAMPLES, re.MULTILINE)
    assert steps == sorted(path.name for path in (ROOT / "examples" / "steps").glob("*.py"))
    examples = re.findall(r"^\| \[(.+?\.py)\]\(\1\) \|", EXAMPLES, re.MULTILINE)
    assert sorted(examples) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_the_map_has_every_room_from_the_ground_up():
    rooms = re.findall(r"^\| \[(\w+)(?:/|\.py)\]\(\.\./tinyembed/\1", EXAMPLES, re.MULTILINE)
    assert sorted(rooms) == sorted(FLOORS)
    assert rooms == sorted(rooms, key=FLOORS.get)


# -- benchmarks/README.md


def test_every_benchmark_has_a_table():
    for path in (ROOT / "benchmarks").glob("*.py"):
        assert path.name == "common.py" or f"`benchmarks/{path.name}`" in BENCHMARKS, path.name
