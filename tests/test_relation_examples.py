"""The examples of relations and of recommenders, quickly, as a new user would run them: on a small library, with a
question, and with bad flags."""

import json
import re
from pathlib import Path

import pytest

JSON = str(Path(json.__file__).parent)


def test_on_a_small_library(example_here):
    code, printed, errors = example_here("relations", "--roots", JSON, "--epochs", "3", "--dim", "8", "--negatives",
                                         "8", "--ask", "decoder", "imports")
    assert code == 0, errors
    names = "most frequent|TransE, margin|TransE|DistMult|ComplEx|RotatE"
    rows = re.findall(rf"^({names}) +([\d.]+) ", printed, re.MULTILINE)
    assert len(rows) == 12 and all(0 < float(mrr) <= 1 for _, mrr in rows[:6])
    answers = printed[printed.index("decoder imports …"):].splitlines()[1:]
    assert len(answers) == 6 and not any(re.search(r"\bre\b", line) for line in answers)  # which it was told


def test_recommendations_on_a_small_library(example_here):
    code, printed, errors = example_here("recommend", "--roots", JSON, str(Path(JSON).parent / "email"), "--epochs",
                                         "2", "--dim", "4", "--with", "re", "sys")
    assert code == 0, errors
    rows = re.findall(r"^(random|popularity|item-item cosine|factors, \w+|BPR) +([\d.]+) ", printed, re.MULTILINE)
    assert len(rows) == 6 and all(0 <= float(recall) <= 1 for _, recall in rows)
    answers = printed[printed.index("files that import re and sys also import"):].splitlines()[1:]
    assert len(answers) == 6 and not any(re.search(r"\b(re|sys)\b", line) for line in answers)  # which they have


@pytest.mark.parametrize("name", ["relations", "recommend"])
def test_help_explains_every_flag(name, example_here):
    code, printed, _ = example_here(name, "--help")
    assert code == 0 and f"python examples/{name}.py" in printed and "--dim" in printed


@pytest.mark.parametrize("flags", [["--roots", "nowhere"], ["--dim", "0"], ["--epochs", "-1"], ["--lr", "-1"],
                                   ["--batch", "0"], ["--hidden", "1.5"], ["--hidden", "0"], ["--with", "nothing"]])
def test_bad_flags_of_recommend_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("recommend", *([] if "--roots" in flags else ["--roots", JSON]), *flags)
    assert code == 2 and "error:" in errors, errors


@pytest.mark.parametrize("flags", [["--models", "Gensim"], ["--roots", "nowhere"], ["--dim", "0"], ["--dim", "7"],
                                   ["--epochs", "-1"], ["--batch", "0"], ["--negatives", "0"], ["--seed", "-1"],
                                   ["--ask", "decoder", "knows"], ["--ask", "nobody", "imports"]])
def test_bad_flags_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("relations", *([] if "--roots" in flags else ["--roots", JSON]), *flags)
    assert code == 2 and "error:" in errors, errors
