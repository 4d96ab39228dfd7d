"""Files of word models that were written to do harm, or changed. See forged_models.py."""

import tempfile
from collections import Counter
from pathlib import Path

import forged_models
import numpy as np
import pytest
from forged_models import MAKERS, forgeries, some, try_forged

from tinyembed.files import FormatError, write_tree
from tinyembed.models import fasttext
from tinyembed.train import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*ever touched")


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_file_says_is_read_as_it_stands_or_refused_at_little_cost(name):
    outcome = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path, value in some(name, 150):
            outcome[try_forged(name, path, value, Path(folder))] += 1
    assert outcome["refused"] >= 20 and outcome["taken"] >= 5


def forged(tmp_path, name, changes):
    """A model's file in which (place -> value) stands instead."""
    tree = forgeries(name)[0]
    for path, value in changes.items():
        tree = forged_models.put(tree, tuple(path.split(".")), value)
    write_tree(tmp_path / "model", tree, kind=checkpoint.KIND, layout=checkpoint.LAYOUT)
    return tmp_path / "model"


def settings(name, **others):
    return {"about.settings": {**forgeries(name)[0]["about"]["settings"], **others}}


@pytest.mark.parametrize(("name", "others", "reason"), [
    ("Word2Vec", {"corpus_file": "text"}, "corpus_file"), ("Word2Vec", {"sentences": [["a"]]}, "sentences"),
    ("Doc2Vec", {"documents": 1}, "documents"), ("ItemToVec", {"window": 5}, "window"),
    ("Word2Vec", {"vector_size": 10**9}, r"vectors is \(5, 4\) in the file.*\(5, 1000000000\)"),
    ("Word2Vec", {"unknown": 1}, r"\['unknown'\] are no settings of a Word2Vec"), ("GloVe", {"sg": 1}, "sg"),
    ("FastText", {"max_n": 2}, "min_n <= max_n"), ("FastText", {"bucket": 7}, "one for each bucket"),
    ("FastText", {"min_n": 10**9, "max_n": 10**9}, "one for each bucket"),
    ("Word2Vec", {"alpha": 10**389}, "alpha is a finite number"), ("Word2Vec", {"window": {}}, "settings.window")])
def test_settings_of_a_file_are_known_and_fit_its_arrays(tmp_path, monkeypatch, name, others, reason):
    (tmp_path / "text").write_text("this is read\n")
    monkeypatch.chdir(tmp_path)
    path = forged(tmp_path, name, settings(name, **others))
    with pytest.raises(FormatError, match=reason), forged_models.memory_limit(64), forged_models.time_limit(2):
        type(forged_models._whole(name)).load(path)


def test_a_range_of_pieces_costs_what_the_words_have(tmp_path):
    """It hung: the pieces were sought at each length up to max_n."""
    path = forged(tmp_path, "FastText", settings("FastText", max_n=10**9))
    with forged_models.time_limit(2), pytest.raises(FormatError, match="one for each bucket"):
        fasttext.FastText.load(path)  # of words with eight characters some have pieces that are longer than 6
    assert fasttext.ngrams("cat", 1, 10**9) == fasttext.ngrams("cat", 1, 5)
    word = "a" * 20_000
    path = forged(tmp_path, "FastText", {
        "about.tokens": [word], "about.counts": np.array([1]),
        **settings("FastText", min_n=1, max_n=20_000)})
    with forged_models.time_limit(2), pytest.raises(FormatError, match="out of proportion"):
        fasttext.FastText.load(path)
