"""The examples run as a new user would run them, and do what they say."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def example(name, *flags, cwd):
    run = subprocess.run([sys.executable, ROOT / "examples" / name, *flags], cwd=cwd, capture_output=True, text=True,
                         timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def next_token():
    spec = importlib.util.spec_from_file_location("next_token", ROOT / "examples" / "next_token.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("flags", [[], ["--untied"]])
def test_next_token_on_a_text_of_ones_own(tmp_path, flags):
    sentences = ["the cat sat on the mat .", "the dog sat on the rug .", "a cat saw a dog on the mat ."]
    rng = np.random.default_rng(0)
    text = "\n\n".join(" ".join(rng.choice(sentences, 8)) + f" {n}" for n in range(60))
    (tmp_path / "text.txt").write_text(text, "utf-8")
    out = example("next_token.py", "--text", "text.txt", "--steps", "60", "--dim", "16", "--hidden", "32", "--words",
                  "cat", "zebra", "--prompt", "the cat", "--save", "out.png", *flags, cwd=tmp_path)
    untrained, bigram, trained = (float(re.search(rf"{name} +([\d.]+)", out)[1])
                                  for name in ("untrained", "interpolated bigram", "\n  trained"))
    assert trained < untrained and bigram < untrained
    assert "generated: the cat" in out and "zebra" not in out
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in out


def test_the_model_sees_its_context_and_nothing_later(next_token):
    model = next_token.NextToken(20, 8, 10, context=3, hidden=8, dropout=0.0, tied=True).eval()
    ids = np.random.default_rng(0).integers(20, size=(1, 10))
    before = model(ids).data
    for changed in range(10):
        other = ids.copy()
        other[0, changed] = (ids[0, changed] + 1) % 20
        differs = (model(other).data != before).any(-1)[0]
        assert differs.nonzero()[0].tolist() == list(range(changed, min(changed + 3, 10)))


def test_the_bigram_is_a_distribution_and_learns_pairs(next_token):
    stream = np.arange(4000) % 7
    assert next_token.bigram_perplexity(stream, stream[:500], 7) < 1.1
    uniform = np.random.default_rng(0).integers(7, size=20000)
    assert next_token.bigram_perplexity(uniform[:15000], uniform[15000:], 7) == pytest.approx(7, rel=0.01)


def test_help_explains_every_flag(next_token, example_here):
    assert all(action.help for action in next_token.arguments()._actions)
    code, printed, _ = example_here("next_token", "--help")
    assert code == 0 and "--text" in printed


@pytest.mark.parametrize("flags", [["--prompt", ""], ["--vocab", "2"], ["--steps", "-5"], ["--save", "no/folder.png"],
                                   ["--text", "missing.txt"]])
def test_bad_flags_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("next_token", *flags)
    assert code == 2 and "error:" in errors
