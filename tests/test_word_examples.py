"""The examples of word vectors, quickly, as a new user would run them: on a text of one's own, and with bad flags."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
NAMES = ("word2vec", "fasttext", "characters", "glove", "doc2vec", "dimensions", "ask_python")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text on two subjects, in 80 paragraphs."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("text")
    subjects = ["cats chase the mouse while cat and mouse sleep near the dog dogs bark at cats".split(),
                "ships sail the ocean while ship and ocean meet near the island islands guard ships".split()]
    paragraphs = [" ".join([*(some := rng.choice(subjects[i % 2], 30))[:10], ".", *some[10:]]) for i in range(80)]
    path = folder / "text.txt"
    path.write_text("\n\n".join(paragraphs), "utf-8")
    return str(path)


@pytest.mark.filterwarnings("ignore:.*never touched")
@pytest.mark.parametrize(("name", "flags", "expected"), [
    ("word2vec", ["--epochs", "3", "--dim", "16", "--words", "cat", "zebra", "--points", "20", "--save", "out.png"],
     ["after:", "zebra"]),
    ("word2vec", ["--cbow", "--epochs", "2", "--dim", "8", "--save", "out.png"], ["CBOW"]),
    ("fasttext", ["--epochs", "3", "--dim", "16", "--words", "catz", "--test", "10"], ["FastText, by", "catz (never"]),
    ("characters", ["--epochs", "1", "--dim", "8", "--rounds", "2", "--filters", "2", "--words", "catz"],
     ["19 words known and 2 held out", "FastText", "half of them misspelt", "edit distance", "chance", "catz (never"]),
    ("glove", ["--epochs", "3", "--dim", "8", "--words", "ship", "zebra"], ["GloVe", "random", "not in the vocab"]),
    ("doc2vec", ["--epochs", "5", "--dim", "16", "--query", "ships on the ocean", "--test", "10"],
     ["Doc2Vec  first", "tf-idf   first", "chance", '"ships on the ocean"', "paragraph"]),
    ("dimensions", ["--epochs", "2", "--dims", "4", "8", "--save", "out.png"], ["plurals", "random"]),
    ("ask_python", ["--epochs", "1", "--dim", "8", "--vocab", "300", "--test", "10", "--query", "ships on the ocean"],
     ["10 held-out questions", "chance", '"ships on the ocean"', "Question: ships on the ocean"]),
])
def test_on_a_text_of_ones_own(tmp_path, text, name, flags, expected, example_here):
    code, out, errors = example_here(name, "--text", text, *flags)
    assert code == 0, errors
    assert all(words in out for words in expected), out
    if "--save" in flags:
        if importlib.util.find_spec("matplotlib"):
            assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
        else:
            assert "pip install matplotlib" in out


def test_dimensions_finds_what_is_planted_and_a_random_table_does_not(example_here):
    code, out, errors = example_here("dimensions", "--dims", "2", "32", "--repeats", "30", "--save", "out.png")
    assert code == 0, errors
    two, many = ([float(x) for x in re.search(rf"^ +{D} (.*)", out, re.MULTILINE)[1].split()] for D in (2, 32))
    assert two[0] < 0.5 < many[0] and max(two[1], many[1]) < 0.05  # analogies, and those of a random table as wide


@pytest.mark.filterwarnings("ignore:.*never touched")  # most of the 256 bytes
@pytest.mark.parametrize("letters", ["abcdefghijklmnopqrstuvwxyz", "".join(map(chr, range(0x4E00, 0x5000)))])
def test_ask_python_finds_answers_that_share_no_word_with_the_question(tmp_path, letters, example_here):
    """Subjects, each with words for questions and others for answers; in Chinese the words run together."""
    rng, chinese = np.random.default_rng(0), len(letters) > 26

    def text(vocabulary):
        return ("" if chinese else " ").join(rng.choice(vocabulary, 12))

    subjects = [["".join(rng.choice(list(letters), 2 if chinese else 6)) for _ in range(12)] for _ in range(12)]
    (tmp_path / "text.txt").write_text("\n\n".join(
        text(subject[:6]) + ("。" if chinese else ". ") + text(subject[6:]) for subject in subjects for _ in range(9)),
        "utf-8")
    code, out, errors = example_here("ask_python", "--text", "text.txt", "--dim", "32", "--vocab", "600", "--epochs",
                                     "15", "--test", "25")
    assert code == 0, errors
    table = {name: [float(x) for x in re.findall(r"[\d.]+", line[24:])] for line in out.splitlines()
             if (name := line[2:24].strip()) in ("TF-IDF", "BM25", "untrained", "trained")}
    recall = {name: row[2] for name, row in table.items()}
    assert recall["TF-IDF"] == recall["BM25"] == 0 and recall["trained"] > 80
    assert out.rstrip().endswith("Answer:")


def test_edit_distances_are_those_of_the_recursion():
    from characters import edit_distances

    def slowly(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(slowly(a[1:], b) + 1, slowly(a, b[1:]) + 1, slowly(a[1:], b[1:]) + (a[0] != b[0]))

    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(12)]
    for word in ["", *words]:
        assert edit_distances(word, words).tolist() == [slowly(word, other) for other in words]


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_flag(name, example_here):
    source = ast.parse((ROOT / "examples" / f"{name}.py").read_text("utf-8"))
    flags = [call for call in ast.walk(source) if isinstance(call, ast.Call)
             and getattr(call.func, "attr", "") == "add_argument"]
    assert len(flags) > 3 and all(any(word.arg == "help" for word in call.keywords) for call in flags)
    code, printed, _ = example_here(name, "--help")
    assert code == 0 and "--text" in printed and "python examples/" in printed


@pytest.mark.parametrize("flags", [["--text", "missing.txt"], ["--text", "empty.txt"], ["--epochs", "-1"],
                                   ["--min-count", "999999999"], ["--seed", "-1"]])
@pytest.mark.parametrize("name", NAMES)
def test_bad_flags_are_refused_before_anything_is_trained(name, flags, tmp_path, text, example_here):
    if flags[0] == "--min-count":  # which two of them do not have
        flags = {"doc2vec": ["--min-words", "999999999"], "ask_python": ["--vocab", "255"]}.get(name, flags)
    (tmp_path / "empty.txt").write_text(" \n")
    code, _, errors = example_here(name, *([] if "--text" in flags else ["--text", text]), *flags)
    assert code == 2 and "error:" in errors, errors
