"""The examples run as a new user would run them, and do what they say."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shared

import tinyembed as te

ROOT = Path(__file__).parent.parent


def example(name, *flags, cwd):
    run = subprocess.run([sys.executable, ROOT / "examples" / name, *flags], cwd=cwd, capture_output=True, text=True,
                         timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def next_token():
    return importlib.import_module("next_token")


@pytest.fixture(scope="module")
def frozen_or_trained():
    return importlib.import_module("frozen_or_trained")


@pytest.mark.filterwarnings("ignore:.*font")  # there may be none with Chinese characters
@pytest.mark.parametrize("flags", [[], ["--untied"]])
def test_next_token_on_a_text_of_ones_own(tmp_path, flags, example_here):
    sentences, word = ["the cat sat on the mat .", "the dog sat on the rug .", "a cat saw a dog on the mat ."], "cat"
    if flags:
        sentences, word = ["小猫坐在垫子上。", "小狗坐在毯子上。", "小猫在垫子上看见小狗。"], "猫"
    begin = "小" if flags else "the cat"
    rng = np.random.default_rng(0)
    text = "\n\n".join(begin + " ".join(rng.choice(sentences, 8)) + f" {n}" for n in range(60))
    (tmp_path / "text.txt").write_text(text, "utf-8")
    flags = ["--text", "text.txt", "--steps", "60", "--dim", "16", "--hidden", "32", "--words", word, "zebra",
             "--save", "out.png", *flags]
    out = (example_here("next_token", *flags)[1] if "--untied" in flags else
           example("next_token.py", *flags, cwd=tmp_path))
    untrained, bigram, trained = (float(re.search(rf"{name} +([\d.]+)", out)[1])
                                  for name in ("untrained", "interpolated bigram", "\n  trained"))
    assert trained < untrained and bigram < untrained
    assert f"generated: {begin}" in out and f"\n  {word} " in out and "zebra" not in out
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in out


def test_curve_and_line_of_held_out_text_are_over_the_same_tokens(tmp_path, monkeypatch, next_token, example_here):
    rng, drawn, evaluated, fit = np.random.default_rng(0), [], [], te.train.fit
    documents = [" ".join(rng.choice(list("abcdef"), 9)) for _ in range(900)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents), "utf-8")
    monkeypatch.setattr(shared, "picture", lambda path, draw, *what, **options: drawn.extend(what))
    monkeypatch.setattr(te.train, "fit", lambda *args, held_out, **options: (
        evaluated.extend(held_out), fit(*args, held_out=held_out, **options))[1])
    code, _, errors = example_here("next_token", "--text", "text.txt", "--steps", "1", "--dim", "2", "--hidden", "2",
                                   "--window", "1", "--context", "1", "--prompt", "a", "--words")
    assert code == 0, errors
    *_, vocabulary, seen, bigram = drawn
    train, test = (vocabulary.encode([token for text in part for token in (*text.split(), "<end>")])
                   for part in te.data.split_documents(documents))
    targets = np.concatenate([targets.reshape(-1) for _, targets in evaluated])
    assert np.array_equal(targets, test[1:seen + 1]) and seen < len(test) - 1
    assert bigram == next_token.bigram_perplexity(train, test[:seen + 1], len(vocabulary))


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


# -- frozen_or_trained.py


@pytest.fixture(scope="module", params=["words", "characters"])
def topics(request, tmp_path_factory):
    """A file of 90 texts with one of three labels and 600 without: 8 of 40 words of a topic, or of 40 Chinese
    characters. A few labels show few of the words; which words go together, the texts without labels show."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("topics") / "topics.tsv"
    if request.param == "words":
        words, gap = [[f"{topic}{a}{b}" for a in "bdfgklmn" for b in "aeiou"] for topic in ("ra", "so", "ti")], " "
    else:
        words, gap = [[chr(0x4E00 + 40 * topic + i) for i in range(40)] for topic in range(3)], ""
    texts = [gap.join(rng.choice(words[i % 3], 8)) for i in range(690)]
    path.write_text("".join(f"{'甲乙丙'[i % 3] if i < 90 else ''}\t{text}\n" for i, text in enumerate(texts)), "utf-8")
    return str(path)


def test_frozen_vectors_know_words_that_few_labels_do_not_show(topics, tmp_path, example_here):
    code, out, errors = example_here("frozen_or_trained", "--text", topics, "--shares", "6", "100", "--repeats", "2",
                                     "--steps", "25", "--dim", "16", "--epochs", "15", "--save", "out.png")
    assert code == 0, errors
    assert "3 classes: 丙, 乙, 甲" in out and "V = 120," in out
    rows = [[float(x) for x in re.findall(r"([\d.]+) ±", line)] for line in out.splitlines() if "±" in line]
    (frozen, tuned, scratch), whole = rows
    assert min(frozen, tuned) > scratch + 10 and min(whole) > 90, out
    gap = re.search(r"([\d.]+) points better with 4 labels", out)
    assert float(gap[1]) == pytest.approx(frozen - scratch, abs=0.11)
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in out


@pytest.mark.filterwarnings("ignore:.*never touched")
def test_frozen_rows_stay_and_those_fine_tuned_move_less(frozen_or_trained, topics):
    o = frozen_or_trained.arguments().parse_args(["--text", topics, "--dim", "8", "--epochs", "1", "--steps", "20"])
    task, moved = frozen_or_trained.text_task(o), {}
    for way in frozen_or_trained.WAYS:
        made = []

        def encoder(pretrained, rng, made=made):
            made.append(task.encoder(pretrained, rng))
            made.append(made[0].body.bag.weight.data.copy())
            return made[0]

        frozen_or_trained.accuracy(task._replace(encoder=encoder), way, 10, 0, o)
        moved[way] = float(abs(made[0].body.bag.weight.data - made[1]).max())
    assert moved["frozen"] == 0 < moved["fine-tuned"] < 0.6 * moved["from scratch"]


@pytest.mark.filterwarnings("ignore:.*ever touched")  # few words, and frequent ones: Word2Vec thins them out
def test_no_text_holds_its_label_and_none_that_is_held_out_teaches(frozen_or_trained, monkeypatch):
    rng = np.random.default_rng(0)
    entries = [(f"{module}.f{i}", f"{module.upper()}Error: an {module} is read.\n\n" + " ".join(
        rng.choice(["alpha", "beta", "gamma", "delta"], 9)) + f" x{'abcdefghij'[i]} x{'abcdefghij'[i]}{module[0]}")
        for module in ("email", "http", "rare") for i in range(10 if module != "rare" else 2)]
    monkeypatch.setattr(frozen_or_trained, "python_docstrings", lambda: entries)
    monkeypatch.setattr(frozen_or_trained, "python_docs", lambda: ["\n\n".join(text for _, text in entries)])
    seen = {}
    learn = frozen_or_trained.Word2Vec
    monkeypatch.setattr(frozen_or_trained, "Word2Vec",
                        lambda sentences, **named: seen.update(words=sentences) or learn(sentences, **named))
    o = frozen_or_trained.arguments().parse_args(["--classes", "2", "--dim", "4", "--epochs", "1"])
    task = frozen_or_trained.text_task(o)
    assert task.classes == ["email", "http"] and len(task.items) == 15 and len(task.test) == 5
    assert not set(task.items) & set(task.test)
    assert not any("email" in text or "http" in text for text in task.items + task.test)
    taught = {" ".join(words) for words in seen["words"]}
    assert not any("email" in text or "http" in text for text in taught)
    endings = [" ".join(text.split()[-11:]) for text in task.items + task.test]  # the second paragraph of each
    assert [ending in taught for ending in endings] == [True] * 15 + [False] * 5


def test_frozen_or_trained_explains_every_flag(frozen_or_trained, example_here):
    assert all(action.help for action in frozen_or_trained.arguments()._actions)
    code, printed, _ = example_here("frozen_or_trained", "--help")
    assert code == 0 and "--text" in printed and "python examples/" in printed


@pytest.mark.parametrize("flags", [["--text", "missing.tsv"], ["--text", "empty.tsv"], ["--text", "no_tab.tsv"],
                                   ["--classes", "1"], ["--shares", "0"], ["--shares", "101"], ["--repeats", "0"],
                                   ["--steps", "0"], ["--dim", "0"], ["--epochs", "-1"], ["--seed", "-1"],
                                   ["--save", "no/folder.png"], ["--task", "music"]])
def test_frozen_or_trained_refuses_bad_flags(flags, tmp_path, topics, example_here):
    (tmp_path / "empty.tsv").write_text(" \n")
    (tmp_path / "no_tab.tsv").write_text("a text without a label\n")
    code, _, errors = example_here("frozen_or_trained", *([] if "--text" in flags else ["--text", topics]), *flags)
    assert code == 2 and "error:" in errors, errors


# -- shared.py: what every example does

NAMES = sorted({path.stem for path in (ROOT / "examples").glob("*.py")} - {"shared", "baselines"})


@pytest.mark.parametrize("name", NAMES)
def test_flags_that_examples_share_are_checked_before_anything_is_done(name, example_here, tmp_path):
    _, explained, _ = example_here(name, "--help")
    for flag, value in (("--seed", "-1"), ("--seed", "0.5"), ("--seed", "many"), ("--save", "no/folder.png"),
                        ("--checkpoint", "no/run"), ("--best", "no/run")):
        if f" {flag} " in explained:
            code, printed, errors = example_here(name, flag, value)
            assert code == 2 and value in errors and not printed and not list(tmp_path.iterdir())


def test_a_picture_is_saved_or_it_is_said_what_it_takes(tmp_path, capsys, monkeypatch):
    path = tmp_path / "one.png"
    if importlib.util.find_spec("matplotlib"):
        shared.picture(str(path), lambda figure, y: figure.subplots().plot(y), [1, 2], figsize=(3, 2))
        assert capsys.readouterr().out == f"picture: {path}\n" and path.read_bytes().startswith(b"\x89PNG")
        path.unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    shared.picture(str(path), None)
    assert "pip install matplotlib" in capsys.readouterr().out and not path.exists()
