"""Files of word models that were written to do harm, or changed. See forged_models.py."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import forged_models
import numpy as np
import pytest
from forged_checkpoints import places, put
from forged_models import MAKERS, forgeries, memory_limit, some, time_limit, try_forged
from mutants import FORMATS
from mutants_models import make_gpt
from test_encoder import bert, static

from tinyembed import load_table
from tinyembed.files import FormatError, write_safetensors, write_tree
from tinyembed.models import SentenceEncoder, fasttext, load_bert, load_gpt
from tinyembed.nn import Dense
from tinyembed.train import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*ever touched")


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_file_says_is_read_as_it_stands_or_refused_at_little_cost(name):
    outcome = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path, value in some(name, 300):
            outcome[try_forged(name, path, value, Path(folder))] += 1
    assert outcome["refused"] >= 12 and outcome["taken"] >= 2


def forged(tmp_path, name, changes):
    """A model's file in which (place -> value) stands instead."""
    tree = forgeries(name)[0]
    for path, value in changes.items():
        tree = put(tree, tuple(path.split(".")), value)
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
    with pytest.raises(FormatError, match=reason), memory_limit(64), time_limit(4):
        type(forged_models._whole(name)).load(path)


def test_a_range_of_pieces_costs_what_the_words_have(tmp_path):
    """It hung: the pieces were sought at each length up to max_n."""
    path = forged(tmp_path, "FastText", settings("FastText", max_n=10**9))
    with time_limit(4), pytest.raises(FormatError, match="one for each bucket"):
        fasttext.FastText.load(path)  # of words with eight characters some have pieces that are longer than 6
    assert fasttext.ngrams("cat", 1, 10**9) == fasttext.ngrams("cat", 1, 5)
    word = "a" * 20_000
    path = forged(tmp_path, "FastText", {
        "about.tokens": [word], "about.counts": np.array([1]),
        **settings("FastText", min_n=1, max_n=20_000)})
    with time_limit(4), pytest.raises(FormatError, match="out of proportion"):
        fasttext.FastText.load(path)


# ---------------------------------------------------------------------------------------------------- published folders

PUBLISHED = {  # name -> (write into a folder, read it)
    **{name: (lambda folder, form=form: form.make(folder / "config.json"),
              lambda folder, form=form: form.read(folder / "config.json"))
       for name, form in FORMATS.items() if form.suffix == "config.json"},
    "token table": (lambda folder: make_gpt(folder / "config.json"), load_table),
    "sentence encoder": (lambda folder: bert(pooling=["cls", "max"], head=[Dense(16, 5)], max_length=9).save_pretrained(
        folder), SentenceEncoder),
    "static encoder": (lambda folder: static(head=[Dense(6, 4)]).save_pretrained(folder), SentenceEncoder)}
SIZES = [100_000, 10**9]


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_settings_speak_of_is_held_against_the_weights_before_it_is_made(tmp_path, name):
    """Each number in each file of settings beside the weights, in turn, and each place with what is no number."""
    write, read = PUBLISHED[name]
    write(tmp_path)
    read(tmp_path)
    count = Counter()
    for file in sorted(tmp_path.rglob("*.json")):
        whole = json.loads(file.read_text())
        for path, x in places(whole):
            if "vocab" not in path[:-1] and len(path) < 5:
                for size in SIZES if type(x) is int else ({},):
                    file.write_text(json.dumps(put(whole, path, size)))
                    try:
                        with time_limit(4), memory_limit(64):
                            read(tmp_path)
                        count["taken"] += 1
                    except FormatError:
                        count["refused"] += 1
        file.write_text(json.dumps(whole))
    assert count["refused"] >= 4


@pytest.mark.parametrize(("load", "sizes"), [
    (load_gpt, {"n_layer": 100_000, "n_embd": 1, "n_head": 1, "vocab_size": 1, "n_positions": 1}),
    (load_bert, {"num_hidden_layers": 100_000, "hidden_size": 1, "num_attention_heads": 1, "intermediate_size": 1,
                 "vocab_size": 1, "max_position_embeddings": 1})])
def test_layers_are_counted_before_they_are_made(tmp_path, load, sizes):
    """Junk of any dtype and any number of names does not stand for them."""
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    for junk in ({"junk": np.zeros(300_000, np.uint8)}, {"junk": np.zeros(2_000_000, np.float32)},
                 {f"h.{i}": np.zeros(1, np.float32) for i in range(999)}):
        write_safetensors(tmp_path / "model.safetensors", junk)
        with pytest.raises(FormatError, match="100,000 layers"), time_limit(4), memory_limit(64):
            load(tmp_path)
