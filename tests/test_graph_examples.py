"""The examples of graphs, quickly, as a new user would run them: what they say is so, and bad flags are refused."""

import importlib.util
import re

import numpy as np
import pytest


def test_karate_finds_the_sides_that_random_vectors_do_not(example_here, tmp_path):
    code, out, errors = example_here("karate", "--seeds", "1", "--walks", "40", "--dim", "32")
    assert code == 0, errors
    found = {name: (float(k), float(one)) for name, k, one in re.findall(
        r"^  (\w+).*?([\d.]+)  \(\d+ to \d+\) +([\d.]+)  \(\d+ to \d+\)$", out, re.MULTILINE)}
    assert found.keys() == {"DeepWalk", "node2vec", "LINE", "spectral", "random"}
    for name, counts in found.items():
        assert max(counts) < 25 if name == "random" else min(counts) >= 29, name
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "karate.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in out


@pytest.fixture
def package(tmp_path):
    """Sources of 60 modules in three groups; each imports most of the others of its group, and two of all."""
    rng = np.random.default_rng(0)
    for n in range(60):
        own = [m for m in range(n % 3, 60, 3) if m != n and rng.random() < 0.7]
        names = [f"m{m}" for m in own] + ["sys", "re"]
        (tmp_path / f"m{n}.py").write_text(f"import {', '.join(names)}\n")
    return tmp_path


def test_imports_finds_what_is_missing(example_here, package):
    code, out, errors = example_here("imports", "--root", str(package), "--dim", "16", "--walks", "5", "--points", "40")
    assert code == 0, errors
    found = re.findall(r"^  (\S.*?) +([\d.]+) +([\d.]+)$", out, re.MULTILINE)
    assert [name for name, *_ in found] == ["product of degrees", "common neighbours", "Adamic-Adar",
                                            *["cosine", "hadamard", "average", "l1", "l2"] * 2]
    best = {name: max(float(score) for each, score, _ in found if each == name) for name, *_ in found}
    assert min(best["Adamic-Adar"], best["cosine"], best["hadamard"]) > 0.8 > best["product of degrees"]


@pytest.mark.parametrize("flags", [["--dim", "3"], ["--walks", "0"], ["--q", "0"], ["--p", "nan"], ["--q", "inf"],
                                   ["--save", "no/such/folder.png"]])
@pytest.mark.parametrize("name", ["karate", "imports"])
def test_bad_flags_are_refused_before_anything_is_trained(example_here, name, flags):
    code, out, errors = example_here(name, *flags)
    assert code == 2 and "error:" in errors and not out


def test_imports_says_that_there_is_no_library(example_here, tmp_path):
    code, _, errors = example_here("imports", "--root", str(tmp_path / "nothing"))
    assert code == 2 and "nothing" in errors


@pytest.mark.parametrize(("name", "flags"), [("karate", 8), ("imports", 7)])
def test_every_flag_is_explained(example_here, name, flags):
    code, out, _ = example_here(name, "--help")
    assert code == 0 and f"python examples/{name}.py" in out and out.count("(default ") == flags
