"""What Word2Vec and its relatives share: settings by name, a vocabulary, the row report, one file for all of it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..core import Array
from ..text import LineSentences, Vocabulary
from ..train import History, load_checkpoint, save_checkpoint


class TextModel:
    """Base of the models that are trained on lists of words.

    A subclass gives its settings, of which `vector_size`, `seed`, `min_count` and `max_final_vocab` are known here, and
    defines

        _make(rows)   network (a Module) and optimizer (an Adagrad with a sum for each row), from the vocabulary
        _grow(k)      rows for k words more
        _refresh()    `wv`, the KeyedVectors, from the network as it is
        train(…)      through `te.train.fit`
    """

    network: Any
    optimizer: Any
    word_rows: Array  # (V,): where in the network's table of vectors each word has its own row

    def __init__(self, settings: dict[str, Any]) -> None:
        check_settings(settings)
        self.settings = settings
        self.network = None  # until there is a vocabulary
        self.rng = np.random.default_rng(settings["seed"])
        self.vocabulary = Vocabulary([], [])
        self.history = History()

    def __getattr__(self, name: str) -> Any:
        """The settings, by name."""
        settings = vars(self).get("settings", {})
        if name in settings:
            return settings[name]
        raise AttributeError(f"a {type(self).__name__} has no attribute {name!r}"
                             + ("; call build_vocab first" if name in ("wv", "dv") else ""))

    def _make(self, rows: Any = None) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _make")

    def _grow(self, k: int) -> None:
        raise ValueError(f"{type(self).__name__} learns no further words: train it anew on all of the text")

    def _refresh(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _refresh")

    def _drawn(self, n: int) -> Array:
        """(n, D) uniform in ±1/2D, as in the original."""
        D = self.settings["vector_size"]
        return (self.rng.random((n, D), np.float32) - np.float32(0.5)) / np.float32(D)

    # -- words ---------------------------------------------------------------------------------------------------------

    def build_vocab(self, corpus_iterable: Any = None, corpus_file: Any = None, update: bool = False) -> None:
        """Count the words and make a row for each that is frequent enough. With update=True further ones: rows for
        words that are new, and the counts of the old ones go up."""
        sentences = text_of(corpus_iterable, corpus_file)
        if sentences is None:
            raise ValueError("there is no text: give lists of words, or corpus_file=path")
        least, most = self.settings["min_count"], self.settings["max_final_vocab"]
        found = Vocabulary.build(sentences, max_size=most, min_count=max(least, 1), specials=())
        if not update:
            if not len(found):
                raise ValueError(f"no word is seen min_count={least} times or more: give more text, or lower min_count")
            self.vocabulary = found
            self._make()
        else:
            old = self.vocabulary
            new = [i for i, token in enumerate(found.tokens) if token not in old]
            counts = old.counts.copy()
            for token, count in zip(found.tokens, found.counts):
                if token in old:
                    counts[old.index[token]] += count
            self.vocabulary = Vocabulary(old.tokens + [found.tokens[i] for i in new],
                                         np.concatenate([counts, found.counts[new]]))
            if new:
                self._grow(len(new))
        self._refresh()

    def untrained(self) -> list[str]:
        """The words that no training has touched: their vectors are as random as they were made."""
        squares = np.zeros(len(self.network.vectors))  # of the gradients of each row, summed up by Adagrad
        for sums in self.optimizer.state[0].arrays or []:
            squares[:len(sums)] = sums[:, 0]
        return [self.vocabulary.tokens[i] for i in np.flatnonzero(squares[self.word_rows] == 0)]

    def get_latest_training_loss(self) -> float:
        """The mean loss in the last epoch."""
        return self.history.train[-1][1] if self.history.train else float("nan")

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of the model to one safetensors file: training can go on from it."""
        save_checkpoint(path, self.network, self.optimizer, about=self._about())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """The model that `save` wrote."""
        about = load_checkpoint(path).about
        if not isinstance(about, dict) or about.get("class") != cls.__name__:
            raise ValueError(f"{os.fspath(path)} is no {cls.__name__}")
        model = cls(**about["settings"])
        model.vocabulary = Vocabulary(about["tokens"], about["counts"])
        model._make(about.get("rows"))
        load_checkpoint(path, model.network, model.optimizer)
        model.rng.bit_generator.state = about["rng"]
        model._refresh()
        return model

    def _about(self) -> dict[str, Any]:
        return {"class": type(self).__name__, "settings": self.settings, "tokens": self.vocabulary.tokens,
                "counts": self.vocabulary.counts, "rng": self.rng.bit_generator.state}


def text_of(sentences: Any, corpus_file: Any) -> Any:
    """The sentences, or those of a file with one in each line; None if neither is given."""
    if sentences is not None and corpus_file is not None:
        raise TypeError("give sentences or corpus_file, not both")
    if isinstance(sentences, (str, bytes)):
        raise TypeError("sentences are lists of words; of a string each letter would become a word. "
                        "text.LineSentences(path) reads a file, text.simple_preprocess(text) cuts a text into words")
    if sentences is not None and iter(sentences) is sentences:
        raise TypeError("sentences are gone through several times, and a generator only lasts for one: give a list")
    return sentences if corpus_file is None else LineSentences(corpus_file)


LEAST = {"vector_size": 1, "window": 1, "negative": 1, "epochs": 0, "min_count": 0}  # integers, not below these
NUMBERS = ("alpha", "min_alpha", "sample", "ns_exponent", "x_max", "lr")  # finite, 0 or more; the exponent may be below


def check_settings(o: dict[str, Any]) -> None:
    """ValueError for a setting that is no use, naming it."""
    for name, least in LEAST.items():
        if name in o and not (isinstance(o[name], (int, np.integer)) and o[name] >= least):
            raise ValueError(f"{name} is an integer, {least} or more, not {o[name]!r}")
    for name in NUMBERS:
        if name in o and not (isinstance(o[name], (int, float)) and np.isfinite(o[name]) and (
                o[name] >= 0 or name == "ns_exponent")):
            raise ValueError(f"{name} is a finite number, 0 or more, not {o[name]!r}")
    if "min_alpha" in o and not 0 < o["alpha"] >= o["min_alpha"]:
        raise ValueError(f"alpha {o['alpha']!r} falls to min_alpha {o['min_alpha']!r}, so it must be larger, and not 0")
