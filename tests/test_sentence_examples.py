"""The examples of sentence encoders, quickly: what they print is what they say it is, and bad flags are refused."""

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import tinyembed as te
from tinyembed.data import Batches, entailment_pairs, similar_pairs
from tinyembed.models import SentenceEncoder, StaticEmbedding
from tinyembed.nn import EmbeddingBag
from tinyembed.text import Vocabulary, WordTokenizer
from tinyembed.vectors import spearman

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("sentence_encoders", "semantic_textual_similarity")
pytestmark = pytest.mark.filterwarnings("ignore:.*never touched")


@pytest.fixture(scope="module")
def encoders():
    return runpy.run_path(str(EXAMPLES / "sentence_encoders.py"))


@pytest.fixture(scope="module")
def similarity():
    return runpy.run_path(str(EXAMPLES / "semantic_textual_similarity.py"))


def number(name, printed, column=0):
    return float(re.search(rf"^ +{name} +(.*)$", printed, re.MULTILINE)[1].replace(",", "").split()[column].strip("%"))


# ------------------------------------------------------------------------------------------------- sentence_encoders.py


def test_all_encoders_are_trained_and_judged(example_here):
    code, printed, errors = example_here("sentence_encoders", "--pairs", "200", "--judged", "60", "--dim", "8",
                                         "--epochs", "1")
    assert code == 0, errors
    for name in ("majority", "bag of words", "static mean", "DAN, three tasks", "InferSent", "Sentence-BERT"):
        assert all(10 < number(name, printed, column) < 90 for column in (1, 2)), printed
    assert number("majority", printed, 1) == pytest.approx(100 / 3, abs=0.1)
    assert number("static mean", printed) < number("DAN, three tasks", printed) < number("Sentence-BERT", printed)


@pytest.mark.parametrize("kind", ["bag", "mean"])
def test_few_pairs_are_learned_by_heart(kind, encoders):
    pairs = entailment_pairs(30, np.random.default_rng(0))
    tokenizer = WordTokenizer(Vocabulary.build(text.split() for text in [*pairs[0], *pairs[1]]))
    for epochs, low, high in ((0, 0, 0.7), (60, 0.9, 1)):
        options = encoders["arguments"]().parse_args(["--dim", "32", "--epochs", str(epochs)])
        assert low <= encoders["accuracy"](encoders["train"](kind, pairs, tokenizer, options), pairs) <= high


def test_tasks_come_in_turn_until_the_longest_is_through(encoders):
    tasks = {"a": Batches(np.arange(5), 2), "b": Batches(np.arange(10), 4), "c": Batches(np.arange(2), 2)}
    turns = encoders["Turns"](**tasks)
    found = [(task, x.tolist()) for task, x in turns]
    assert len(found) == len(turns) == 9 and [task for task, _ in found] == ["a", "b", "c"] * 3
    assert [x for task, x in found if task == "a"] == [[0, 1], [2, 3], [4]]
    assert [x for task, x in found if task == "c"] == [[0, 1]] * 3


def test_each_task_trains_the_encoder_and_what_is_its_own(encoders):
    rng, texts = np.random.default_rng(0), ["a b c", "b c", "c a"]
    tokenizer = WordTokenizer(Vocabulary.build([["a", "b", "c"]]))
    model = encoders["ManyTasks"](encoders["PairClassifier"](encoders["encoder"]("dan", tokenizer, 4, rng), 3, rng=rng),
                                  rng)
    own = {"entailment": "classifier.output.weight", "similarity": "alike.weight", "paraphrase": None}
    for task, head in own.items():
        model.zero_grad()
        model.loss(task, texts, texts[::-1], [0, 1, 2]).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None}
        assert any("body" in name for name in moved), task
        assert {name for name in own.values() if name in moved} == {head} - {None}


def test_the_bag_of_words_does_not_see_order(encoders):
    bag = encoders["BagOfWords"](WordTokenizer(Vocabulary.build(["dog bites man man".split()])))
    assert np.array_equal(bag(["dog bites man"], ["man"]).data, bag(["man bites dog"], ["man"]).data)
    assert bag.counts(["man bites man"]).data[0, bag.tokenizer.encode("man dog bites")].tolist() == [2, 0, 1]


# --------------------------------------------------------------------------------------- semantic_textual_similarity.py


def test_training_tells_what_is_alike_and_a_published_model_is_judged_as_any(example_here, tmp_path):
    tokenizer = WordTokenizer(Vocabulary.build([t.split() for t in similar_pairs(50, np.random.default_rng(0))[0]]))
    published = SentenceEncoder(tokenizer, StaticEmbedding(EmbeddingBag(len(tokenizer), 6)))
    published.save_pretrained(tmp_path / "folder")
    code, printed, errors = example_here("semantic_textual_similarity", "--train", "200", "--judged", "100", "--dim",
                                         "8", "--epochs", "6", "--model", "folder")
    assert code == 0, errors
    for name in ("trained rows, mean", "trained to be cut"):
        assert number("random rows, mean", printed, 1) + 0.1 < number(name, printed, 1) < 1, printed
    rng = np.random.default_rng(1)
    similar_pairs(200, rng)  # those that are trained on
    a, b, scores = similar_pairs(100, rng)
    cosines = te.ops.cosine_similarity(published.encode(a), published.encode(b)).data
    assert number("published model", printed, 1) == pytest.approx(spearman(cosines, scores).statistic, abs=6e-4)


def test_pairs_of_ones_own_in_a_language_without_spaces(example_here, tmp_path):
    rng, lines = np.random.default_rng(0), []
    for _ in range(120):
        a, b = (["".join(rng.choice(list(s)) for s in ("猫狗马", "吃看爱", "鱼鸟草")) for _ in range(2)])
        lines.append(f"{sum(x == y for x, y in zip(a, b))}\t{a}\t{b}")
    (tmp_path / "pairs.tsv").write_text("\n".join(lines), "utf-8")
    code, printed, errors = example_here("semantic_textual_similarity", "--pairs", "pairs.tsv", "--dim", "8")
    assert code == 0, errors
    assert "60 pairs to train on, 60 to judge by, V = 10" in printed  # nine characters and <unk>
    assert number("trained rows, mean", printed, 1) > 0.8, printed


def test_halves_of_a_file_share_no_line_and_miss_none(similarity, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("\ufeff" + "".join(f"{i / 2}\tthis is {i}\t\"that{i}\n\n" for i in range(9)), "utf-8")
    halves = [list(zip(*half)) for half in similarity["own_pairs"](str(path), np.random.default_rng(0))]
    assert sorted(halves[0] + halves[1]) == [(f"this is {i}", f'"that{i}', i / 2) for i in range(9)]
    assert list(map(len, halves)) == [5, 4]


@pytest.mark.parametrize(("text", "said"), [("1\ta b\tc\n2\ta b c\n", "line 2"), ("1\ta\tb\nhigh\ta\tb\n", "line 2"),
                                            ("1\ta\tb\n", "1 pairs"), (None, "No such file")])
def test_files_that_are_no_pairs_are_refused(text, said, example_here, tmp_path):
    if text is not None:
        (tmp_path / "pairs.tsv").write_text(text)
    code, _, errors = example_here("semantic_textual_similarity", "--pairs", "pairs.tsv")
    assert code == 2 and said in errors


# ---------------------------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_flag(name, example_here):
    source = ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))
    flags = [call for call in ast.walk(source) if isinstance(call, ast.Call)
             and getattr(call.func, "attr", "") == "add_argument"]
    assert len(flags) > 4 and all(any(word.arg == "help" for word in call.keywords) for call in flags)
    code, printed, _ = example_here(name, "--help")
    assert code == 0 and "python examples/" in printed


@pytest.mark.parametrize(("name", "flags"), [
    *((name, flags) for name in NAMES for flags in (["--epochs", "-1"], ["--seed", "-1"], ["--dim", "0"])),
    ("sentence_encoders", ["--dim", "6"]), ("sentence_encoders", ["--only", "elmo"]),
    ("sentence_encoders", ["--pairs", "0"]), ("semantic_textual_similarity", ["--judged", "1"]),
    ("semantic_textual_similarity", ["--model", "missing"])])
def test_bad_flags_are_refused_before_anything_is_trained(name, flags, example_here):
    code, _, errors = example_here(name, *flags)
    assert code == 2 and "error:" in errors, errors
