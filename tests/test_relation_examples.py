"""The examples of relations and of recommenders, quickly, as a new user would run them: on a small library, with a
question, and with bad flags."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import recommend
import relations

from tinyembed.models import TransE

JSON = str(Path(json.__file__).parent)


def test_on_a_small_library(example_here, tmp_path):
    code, printed, errors = example_here("relations", "--roots", JSON, "--epochs", "3", "--dim", "8", "--negatives",
                                         "8", "--ask", "decoder", "imports")
    assert code == 0, errors
    names = "most frequent|TransE, margin|TransE|DistMult|ComplEx|RotatE"
    rows = re.findall(rf"^({names}) +([\d.]+) ", printed, re.MULTILINE)
    assert len(rows) == 12 and all(0 < float(mrr) <= 1 for _, mrr in rows[:6])
    answers = printed[printed.index("decoder imports …"):].splitlines()[1:]
    answers = answers[:answers.index("")]
    assert len(answers) == 6 and not any(re.search(r"\bre\b", line) for line in answers)  # which it was told
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "relations.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in printed


def test_a_translation_is_level_in_two_dimensions_and_goes_as_far_as_the_relation():
    """The first 20 entities are heads; relation 0 takes entity i to i + 20, relation 1 to one drawn at random."""
    rng = np.random.default_rng(0)
    heads, relation = rng.normal(size=(20, 8)), np.array([0.3, -0.4, 0, 0, 0, 0, 0, 0])
    heads[:, :2] = [-0.15, 0.2]  # of length |relation / 2|, then back: the tails have length 1 as the heads have
    heads[:, 2:] *= np.sqrt(1 - 0.0625) / np.linalg.norm(heads[:, 2:], axis=1, keepdims=True)
    model = TransE(40, 2, 8, p=2)
    model.entities.weight.data = np.concatenate([heads, heads + relation]).astype(np.float32)
    model.relations.weight.data = np.stack([relation, relation]).astype(np.float32)
    for r, tails in enumerate((np.arange(20, 40), rng.permutation(np.arange(20, 40)))):
        start, end = relations.in_two_dimensions(model, np.stack([np.arange(20), np.full(20, r), tails], 1))
        np.testing.assert_allclose(np.ptp(start[:, 0]), 0, atol=1e-6)
        np.testing.assert_allclose((end - start)[:, 0], 0.5, rtol=1e-5)
        assert (abs(end - start)[:, 1].max() < 1e-6) == (r == 0)


def test_recommendations_on_a_small_library(example_here, tmp_path):
    code, printed, errors = example_here("recommend", "--roots", JSON, str(Path(JSON).parent / "email"), "--epochs",
                                         "2", "--passes", "3", "--dim", "4", "--with", "re", "sys", "--new", "json.new")
    assert code == 0, errors
    names = r"random|popularity|item-item cosine|factors, \w+|BPR|ItemToVec|two towers"
    rows = re.findall(rf"^({names}) +([\d.]+) ", printed, re.MULTILINE)
    assert len(rows) == 8 and all(0 <= float(recall) <= 1 for _, recall in rows)
    answers = printed[printed.index("files that import re and sys also import"):].splitlines()[1:9]
    assert len(answers) == 8 and not any(re.search(r"\b(re|sys)\b", line) for line in answers)  # which they have
    assert re.search(r"a file named json.new would import, say the two towers\n( +\S+){6}$", printed, re.MULTILINE)
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "recommend.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in printed


def test_features_of_a_name():
    features = recommend.NameFeatures(["json.decoder", "json"])
    assert list(features.index) == ["is json.decoder", "in json", "json", "decoder", "is json"]
    assert features(["json", "json.fast_decoder", "new"]) == [[4, 1, 2], [1, 2, 3], []]


@pytest.mark.parametrize("name", ["relations", "recommend"])
def test_help_explains_every_flag(name, example_here):
    code, printed, _ = example_here(name, "--help")
    assert code == 0 and f"python examples/{name}.py" in printed and "--dim" in printed


@pytest.mark.parametrize("flags", [["--roots", "nowhere"], ["--dim", "0"], ["--epochs", "-1"], ["--lr", "-1"],
                                   ["--batch", "0"], ["--passes", "-1"], ["--save", "no/folder.png"],
                                   ["--hidden", "1.5"], ["--hidden", "0"], ["--with", "nothing"], ["--seed", "-1"]])
def test_bad_flags_of_recommend_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("recommend", *([] if "--roots" in flags else ["--roots", JSON]), *flags)
    assert code == 2 and "error:" in errors, errors


@pytest.mark.parametrize("flags", [["--models", "Gensim"], ["--roots", "nowhere"], ["--dim", "0"], ["--dim", "7"],
                                   ["--epochs", "-1"], ["--batch", "0"], ["--negatives", "0"], ["--seed", "-1"],
                                   ["--ask", "decoder", "knows"], ["--ask", "nobody", "imports"]])
def test_bad_flags_are_refused_before_anything_is_trained(flags, example_here):
    code, _, errors = example_here("relations", *([] if "--roots" in flags else ["--roots", JSON]), *flags)
    assert code == 2 and "error:" in errors, errors
