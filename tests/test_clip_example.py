"""examples/clip.py, quickly, as a new user would run it, and with bad flags."""

import re

import pytest

SMALL = ["--pictures", "300", "--test", "100", "--steps", "3", "--batch", "32", "--dim", "8"]


def test_on_few_pictures(example_here, tmp_path):
    """Nine of them are of combinations never shown, fewer than a sheet has room for."""
    code, printed, errors = example_here("clip", *SMALL, "--seed", "2", "--ask", "a large red star at the top")
    assert code == 0, errors
    rows = re.findall(r"^(chance|attributes, [\w' ]+?|CLIP) +((?:[\d.]+% *){10})$", printed, re.MULTILINE)
    assert len(rows) == 5 and all(0 <= float(x) <= 100 for _, numbers in rows for x in re.findall(r"[\d.]+", numbers))
    assert '"a large red star at the top": a ' in printed and "captions as classes" in printed
    assert (tmp_path / "clip.png").is_file() or "pip install matplotlib" in printed


@pytest.mark.parametrize("flags", [["--steps", "0"], ["--dim", "0"], ["--test", "9"], ["--batch", "301"],
                                   ["--ask", "a large dog"], ["--seed", "-1"]])
def test_bad_flags_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("clip", *SMALL, *flags)
    assert code == 2 and "error:" in errors, errors
