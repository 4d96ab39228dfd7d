"""Word models whose files say something else: loaded as they stand, or refused with a FormatError, at little cost.

    python tests/forged_models.py [every how many-th forgery] [model ...]     all that can be made, and what becomes of
                                                                              them
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from forged_checkpoints import JUNK, near, places, put
from mutants import memory_limit, time_limit

from tinyembed.data import karate_club
from tinyembed.files import FormatError, write_tree
from tinyembed.models import Doc2Vec, FastText, GloVe, ItemToVec, Node2Vec, Word2Vec
from tinyembed.models.doc2vec import TaggedDocument
from tinyembed.train import checkpoint

WORDS = [["river", "bank", "naïve"], ["bank", "money", "river"], ["money", "fish"]] * 3
SMALL = {"vector_size": 4, "min_count": 1, "epochs": 1}
MAKERS = {
    "Word2Vec": lambda: Word2Vec(WORDS, **SMALL),
    "FastText": lambda: FastText(WORDS, **SMALL),
    "Doc2Vec": lambda: Doc2Vec([TaggedDocument(words, [i, "all"]) for i, words in enumerate(WORDS)], **SMALL),
    "GloVe": lambda: GloVe(WORDS, **SMALL),
    "ItemToVec": lambda: ItemToVec([[*words, len(words)] for words in WORDS], **SMALL),
    "NodeModel": lambda: Node2Vec(karate_club(), 4, 5, 2).fit(window=2, epochs=1)}
# What a constructor would open, train on, allocate or count to. (A file here has some kilobytes.)
BIG = [10**9, 2**62, 10**300, 1e300]
EXTRA = {"corpus_file": "/dev/zero", "sentences": WORDS, "documents": WORDS, "baskets": WORDS, "held_out": WORDS,
         "network": 1, "_": 1, "settings": {}, "self": 1}


@functools.cache
def forgeries(name: str) -> tuple[Any, list[tuple[tuple[Any, ...], Any]]]:
    """The tree of a model's file, and all (place, value) to be tried."""
    with tempfile.TemporaryDirectory() as folder:
        MAKERS[name]().save(folder + "/model")
        tree, _ = checkpoint.read(folder + "/model")
    found = [(path, value) for path, x in places(tree["about"], ("about",)) if "tokens" not in path[:-1]
             for value in [*JUNK, *BIG, *near(x)]]
    found += [(("about", "settings"), {**tree["about"]["settings"], key: value}) for key, value in EXTRA.items()]
    found += [(("model", table, "stored"), value) for table in tree["model"]
              for value in near(tree["model"][table]["stored"])]
    return tree, found


def try_forged(name: str, path: tuple[Any, ...], value: Any, folder: Path) -> str:
    """"taken", and then the model is whole: saved again it is the same file; or "refused"."""
    tree, file = forgeries(name)[0], folder / "model"
    write_tree(file, put(tree, path, value), kind=checkpoint.KIND, layout=checkpoint.LAYOUT)
    model = type(_whole(name))
    try:
        with time_limit(2), memory_limit(64):
            loaded = model.load(file)
    except FormatError as error:
        assert error.path == str(file) and error.where and error.problem
        return "refused"
    data = file.read_bytes()
    loaded.save(file)
    if file.read_bytes() != data:  # what was left out has its default, a NumPy scalar its value
        again = model.load(file)
        again.save(file)
        assert again.settings == loaded.settings and np.array_equal(again.wv.vectors, loaded.wv.vectors, equal_nan=True)
    return "taken"


@functools.cache
def _whole(name: str) -> Any:
    return MAKERS[name]()


def some(name: str, stride: int) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every so many-th forgery, and all of those that tell a constructor something."""
    for i, (path, value) in enumerate(forgeries(name)[1]):
        if i % stride == 0 or (path[1:] == ("settings",) and isinstance(value, dict) and len(value) > 2) or \
                (path[2:] in (("vector_size",), ("min_n",), ("max_n",), ("bucket",)) and value is BIG[0]):
            yield path, value


def main(stride: int, names: list[str]) -> None:
    for name in names or MAKERS:
        outcome, slowest = Counter[str](), 0.0
        with tempfile.TemporaryDirectory() as folder:
            for path, value in some(name, stride):
                start = time.process_time()
                try:
                    found = try_forged(name, path, value, Path(folder))
                except Exception as error:
                    found = "NEITHER"
                    print(f"{value!r:.60} at {'.'.join(map(str, path))}: {type(error).__name__}: {error}")
                slowest = max(slowest, time.process_time() - start)
                outcome[found] += 1
        print(f"{name:<12}{sum(outcome.values())} forgeries: {dict(outcome)}, the slowest {slowest:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1, sys.argv[2:])
