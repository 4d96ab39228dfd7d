"""The examples of language models, quickly, as a new user would run them; a GPT that is killed and run again."""

import hashlib
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinyembed.data
from tinyembed.models import load_gpt
from tinyembed.text import load_tokenizer

ROOT = Path(__file__).parent.parent
SMALL = ["--vocab", "300", "--layers", "1", "--heads", "2", "--dim", "16", "--context", "16", "--batch", "4"]


# Products are small: one thread each is quickest, above all where others work.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(name, *flags):
    return [sys.executable, str(ROOT / "examples" / f"{name}.py"), *flags]


def run(name, *flags, cwd):
    done = subprocess.run(command(name, *flags), cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text in which after three words the fourth is certain, and after one it is not."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("text") / "text.txt"
    lines = ["the cat sat on the mat", "the dog lay on the rug", "a cat lay by the fire", "a dog sat by the door"]
    path.write_text("\n\n".join(". ".join(rng.choice(lines, 12)) + f". {n}" for n in range(60)), "utf-8")
    return str(path)


@pytest.mark.filterwarnings("ignore:.*never touched")
@pytest.mark.parametrize("flags", [["--dropout=0"], ["--characters", "--processes", "2"],
                                   ["--sampled=20", "--accumulate", "2"]])
def test_gpt_learns_writes_and_is_exported(tmp_path, text, flags, example_here):
    whole = ["--text", text, "--steps", "60", *SMALL, "--prompt", "the cat", "--tokens", "20", "--best", "best",
             "--export", "out", *flags]
    out = run("gpt", *whole, cwd=tmp_path) if "--processes" in flags else example_here("gpt", *whole)[1]
    _, first, _ = example_here("gpt", "--text", text, "--steps", "1", *SMALL, "--prompt", "the cat", *flags[:1])
    untrained, trained = (float(re.search(r"GPT, trained +([\d.]+)", printed)[1]) for printed in (first, out))
    assert trained < 0.7 * untrained, out
    assert "\nthe cat" in out
    model = load_gpt(tmp_path / "out")
    assert (tmp_path / "best").exists()
    tokenizer = load_tokenizer(tmp_path / "out")
    assert len(tokenizer) == model.vocab_size and tokenizer.decode(tokenizer.encode("the cat")) == "the cat"


def test_gpt_killed_and_run_again_ends_with_the_same_bytes(tmp_path, text):
    flags = ["--text", text, "--steps", "150", *SMALL, "--checkpoint", "run"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    printed = run("gpt", *flags, cwd=whole)
    process = subprocess.Popen(command("gpt", *flags), cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=ENVIRONMENT)
    stamps = set()
    while process.poll() is None and len(stamps) < 2:  # it is saved at the start, and after 100 steps
        stamps |= {(killed / "run").stat().st_mtime_ns} if (killed / "run").exists() else set()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run("gpt", *flags, cwd=killed).splitlines()[-1] == printed.splitlines()[-1]
    one, other = (hashlib.sha256((folder / "run").read_bytes()).hexdigest() for folder in (whole, killed))
    assert one == other


@pytest.mark.filterwarnings("ignore:.*never touched")
def test_the_ladder_has_four_rungs(text, example_here):
    _, out, _ = example_here("ngram_to_gpt", "--text", text, "--steps", "40", "--vocab", "300", "--dim", "16",
                             "--context", "16", "--prompt", "the cat")
    bits = [float(n) for n in re.findall(r"^(?:bigram|neural n-gram|LSTM|GPT) +([\d.]+) +[\d,]+ +\d+$", out, re.M)]
    V, per_token = re.search(r"V = (\d+), ([\d.]+) bytes a token", out).groups()
    no_idea = math.log2(int(V)) / float(per_token)
    assert len(bits) == 4 and bits[3] < bits[0] and max(bits) < 0.9 * no_idea


def test_vectors_of_a_word_differ_in_context_and_not_in_the_table(tmp_path, example_here):
    _, out, _ = example_here("bert_senses", "--sentences", "300", "--epochs", "3", "--dim", "16", "--save", "out.png")
    assert out.count("different senses 1.000, all bit-equal") == 2
    context = re.findall(r"in context +cosine of two of one sense ([\d.]+), of different senses ([\d.]+)", out)
    assert len(context) == 2 and all(float(other) < 0.999 for _, other in context)
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_from_text_to_rows(monkeypatch, example_here):
    some = tinyembed.data.python_docs([Path(json.__file__).parent])  # not the whole library's
    monkeypatch.setattr(tinyembed.data, "python_docs", lambda: some)
    _, out, _ = example_here("from_text_to_rows", "--vocab", "600", "--dim", "8", "--text", "Hello 你好")
    assert "and back: 'Hello 你好'" in out and "the same by a layer: True" in out


@pytest.mark.parametrize(("name", "flags", "words"), [
    ("gpt", ["--text", "missing.txt"], "missing.txt"), ("gpt", ["--dim", "10", "--heads", "3"], "3"),
    ("gpt", ["--temperature", "-1"], "temperature"), ("gpt", ["--vocab", "5"], "256"),
    ("bert_senses", ["--dim", "7"], "--dim"), ("from_text_to_rows", ["--model", "nowhere"], "nowhere")])
def test_bad_flags_say_what_is_wrong(text, name, flags, words, example_here):
    given = flags if "--text" in flags or name != "gpt" else ["--text", text, *flags]
    code, _, errors = example_here(name, *given)
    assert code and words in errors
