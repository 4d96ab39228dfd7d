"""Base of the word models (Word2Vec and its relatives): settings, vocabulary, vectors by word, save and load."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import wraps
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core import Array
from ..data import checked_sentences
from ..files import FormatError, check_tree, found_in, short
from ..text import LineSentences, Vocabulary
from ..train import History, check_states, load_checkpoint, save_checkpoint
from ..vectors import KeyedVectors, refuse_unless_declared
from .settings import Settings

# What a model makes, and what follows from other parts of it: assigned from outside, its file could not be read.
MADE = frozenset(("settings", "network", "optimizer", "vocabulary", "history", "rng", "wv", "dv", "word_rows", "tags",
                  "buckets", "bucket_rows", "integers"))
SETTING = (None, bool, int, float)  # what a setting can be in a file
F = TypeVar("F", bound=Callable[..., Any])


def all_or_nothing(method: F) -> F:
    """Decorator of what changes a model: a call that is refused, wherever, leaves its attributes, what its generator
    draws next and the rates of its optimiser as they were. What is MADE is made anew in such calls alone."""
    @wraps(method)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        before, drawn = dict(vars(self)), self.rng.bit_generator.state
        rates = [(group, group.lr) for group in (self.optimizer.groups if self.network else ())]
        vars(self)["_changing"] = True
        try:
            found = method(self, *args, **named)
            vars(self)["_changing"] = before.get("_changing", False)
            return found
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            self.rng.bit_generator.state = drawn
            for group, rate in rates:
                group.lr = rate
            for table in (vars(self).get("wv"), vars(self).get("dv")):
                if table is not None:
                    table.vectors = table.vectors  # a training that broke off has moved them: their lengths are others
            raise
    return call  # type: ignore[return-value]


class TextModel:
    """Base of the models that are trained on lists of words.

    Its settings, of which `vector_size`, `seed`, `min_count` and `max_final_vocab` are known here, are attributes of
    the model; reading and assigning them reaches `settings`, the one place where they are kept. A subclass defines

        settings_class   the dataclass of its settings, and ROWS, the form of what else its `_about` keeps
        _make(rows)   network (a Module) and optimizer (an Adagrad with a sum for each row), from the vocabulary; of a
                      model that was saved, `rows` is what its `_about` says of them
        _grow(new)    rows for the words that the vocabulary `new` has more
        _vectors()    (V, D), those of the words, from the network as it is
        train(…)      through `te.train.fit`
    """

    settings_class: ClassVar[type[Settings]]
    ROWS: ClassVar[Any] = None  # the form of `rows` in a file; None where there are none
    settings: Any
    network: Any
    optimizer: Any
    rng: np.random.Generator
    vocabulary: Vocabulary
    history: History
    wv: Any
    word_rows: Array  # (V,): where in the network's table of vectors each word has its own row
    keyed: type[KeyedVectors] = KeyedVectors  # the class of `wv`
    _changing: bool
    _linked: list[Array]  # the network's tables that `wv` and its like were last made of

    def __init__(self, settings: Settings, text: Any = None, corpus_file: Any = None, **training: Any) -> None:
        self.settings = settings
        self.network = None  # until there is a vocabulary
        self.rng = np.random.default_rng(self.seed)
        self.vocabulary = Vocabulary([], [])
        self.history = History()
        if text is not None or corpus_file is not None:
            self.build_vocab(text, corpus_file)
            self.train(text, corpus_file, **training)

    def __repr__(self) -> str:
        """As gensim has it."""
        name = "lr" if hasattr(self.settings, "lr") else "alpha"
        return (f"{type(self).__name__}<vocab={len(self.vocabulary)}, vector_size={self.vector_size}, "
                f"{name}={getattr(self, name)}>")

    # -- settings ------------------------------------------------------------------------------------------------------

    def _is_setting(self, name: str) -> bool:
        return not name.startswith("_") and hasattr(vars(self).get("settings"), name)

    def __getattr__(self, name: str) -> Any:
        if self._is_setting(name):
            return getattr(self.settings, name)
        raise AttributeError(f"a {type(self).__name__} has no attribute {name!r}"
                             + ("; call build_vocab first" if name in ("wv", "dv") else ""))

    def __setattr__(self, name: str, value: Any) -> None:
        if not self._is_setting(name):
            refuse_unless_declared(self, name, () if vars(self).get("_changing") else MADE)
            super().__setattr__(name, value)
            return
        setattr(self.settings, name, value)
        if name == "seed":
            vars(self)["rng"] = np.random.default_rng(self.seed)

    # -- words ---------------------------------------------------------------------------------------------------------

    @all_or_nothing
    def build_vocab(self, corpus_iterable: Any = None, corpus_file: Any = None, update: bool = False) -> None:
        """Count the words and make a row for each that is frequent enough. With update=True further ones: rows for
        words that are new, and the counts of the old ones go up."""
        sentences = text_of(corpus_iterable, corpus_file)
        if sentences is None:
            raise ValueError("there is no text: give lists of words, or corpus_file=path")
        if update and not len(self.vocabulary):
            raise ValueError("there is no vocabulary yet that could take in further words: first without update")
        sentences = checked_sentences(sentences)
        found = Vocabulary.build(sentences, self.max_final_vocab, max(self.min_count, 1), specials=())
        if not update:
            if not len(found):
                raise ValueError(f"no word is seen min_count={self.min_count} times or more: give more text, or lower "
                                 "min_count")
            self.vocabulary = found
            for name in ("wv", "dv"):  # those of other words, which keep what they have
                vars(self).pop(name, None)
            self._make()
        else:
            old = self.vocabulary
            new = [i for i, token in enumerate(found.tokens) if token not in old]
            counts = old.counts.copy()
            for token, count in zip(found.tokens, found.counts):
                if token in old:
                    counts[old.index[token]] += count
            grown = Vocabulary(old.tokens + [found.tokens[i] for i in new], np.concatenate([counts, found.counts[new]]))
            self._take_back()
            if new:
                self._grow(grown)
            self.vocabulary = grown
        self._refresh(len(found) if not update else len(old))
        vars(self.settings)["_fixed"] = True

    def _grow(self, new: Vocabulary) -> None:
        raise ValueError(f"{type(self).__name__} learns no further words: train it anew on all of the text")

    def _drawn(self, n: int) -> Array:
        """(n, D) uniform in ±1/2D, as in the original."""
        return (self.rng.random((n, self.vector_size), np.float32) - np.float32(0.5)) / np.float32(self.vector_size)

    def _keys(self) -> list[Any]:
        """What the words are called in `wv`."""
        return self.vocabulary.tokens

    def _tables_by_key(self) -> dict[str, KeyedVectors]:
        """What `wv` and its like are, by the network as it is now."""
        wv = self.keyed(keys=self._keys(), vectors=self._vectors())
        wv.expandos["count"] = self.vocabulary.counts
        return {"wv": wv}

    def _shared(self) -> dict[str, Array]:
        """The tables of the network that are the vectors in `wv` and its like: none where these are computed."""
        return {}

    def _refresh(self, known: int | None = None) -> None:
        """Let `wv` have the vectors as they are now. It stays the object that it was, so that whoever has it sees what
        training made of it, and has the keys that others have added. Where such a key has become a word, one after the
        first `known`, it keeps its vector."""
        for name, new in self._tables_by_key().items():
            old = vars(self).get(name)
            if old is None:
                setattr(self, name, new)
                continue
            for i, key in enumerate(new.index_to_key[known:] if known else (), known or 0):
                if key in old.key_to_index:
                    new.vectors[i] = old.vectors[old.key_to_index[key]]
            if added := [key for key in old.index_to_key if key not in new.key_to_index]:
                new.add_vectors(added, old[added])
            if new.index_to_key == old.index_to_key:
                new.expandos.update({**old.expandos, **new.expandos})
            vars(old).update(vars(new))
        self._linked = [self.network.vectors.data, *self._shared().values()]

    def _take_back(self) -> None:
        """Write into the network what was written into `wv` since that left the network's memory, as it does when keys
        are added or `wv.vectors` is assigned. (Where vectors are made of several rows there is nothing to write.) Or
        if it is the network that has another table, by `load_state_dict` say, let `wv` have that."""
        tables = self._shared()
        if not all(map(np.shares_memory, self._linked, [self.network.vectors.data, *tables.values()])):
            self._refresh()
        for name, table in tables.items():
            if not np.shares_memory(there := vars(self)[name].vectors, table):
                table[:] = there[:len(table)]

    def _own(self) -> dict[str, Any]:
        """The keys, vectors and attributes in `wv` and its like that the network does not give: of attributes, those of
        all keys."""
        own = {}
        for name, now in self._tables_by_key().items():
            there = vars(self)[name]
            there.check()
            if there.index_to_key[:len(now)] != now.index_to_key:
                raise ValueError(f"the keys of {name} are other than those the model has: save {name} by itself")
            further = set(there.expandos) - set(now.expandos)
            a, b = there.vectors[:len(now)], now.vectors
            changed = np.ones(len(there), bool)
            changed[:len(now)] = ((a != b) & ((a == a) | (b == b))).any(1) | bool(further)  # NaN is NaN as before
            if len(rows := np.flatnonzero(changed)):
                own[name] = KeyedVectors(keys=[there.index_to_key[i] for i in rows],
                                         vectors=there.vectors[rows].astype(b.dtype))
                own[name].expandos.update((attribute, there.expandos[attribute]) for attribute in sorted(further))
        return {name: table.to_tree() for name, table in own.items()}

    # -- training ------------------------------------------------------------------------------------------------------

    def _sentences(self, given: Any, corpus_file: Any) -> Any:
        """The lists of words to train on; ValueError where there are none, or no vocabulary."""
        sentences = text_of(given, corpus_file)
        if sentences is None or not len(self.vocabulary):
            raise ValueError("training needs a text, and a vocabulary: build_vocab first")
        self._take_back()
        return sentences

    def _settings_for(self, **named: Any) -> Any:
        """The settings, but for those that a call gives, not None: checked as in the constructor."""
        return replace(self.settings, **{name: value for name, value in named.items() if value is not None})

    def untrained(self) -> list[Any]:
        """The words that no training has touched: their vectors are as random as they were made.

        The optimiser knows, of all trainings, as its sums are saved and loaded with the rows: while a row has had no
        gradient, the squares of its gradients add up to 0. (`history.rows` tells more, of the last training.)
        """
        squares = np.zeros(len(self.network.vectors))
        for sums in self.optimizer.state[0].arrays or []:
            squares[:len(sums)] = sums[:, 0]  # rows that joined since the last step have none
        return [self.wv.index_to_key[i] for i in np.flatnonzero(squares[self.word_rows] == 0)]

    def get_latest_training_loss(self) -> float:
        """The mean loss in the last epoch."""
        return self.history.train[-1][1] if self.history.train else float("nan")

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of the model to one safetensors file: training can go on from it. Keys that were added to `wv`,
        and vectors that were replaced there, are in it too."""
        if self.network is None:
            raise ValueError("there is no vocabulary yet, and nothing to save: build_vocab first")
        self._take_back()
        own = self._own()
        save_checkpoint(path, self.network, self.optimizer, about={**self._about(), **({"own": own} if own else {})})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """The model that `save` wrote. FormatError for a file that is none; what it says is held against the arrays in
        it before anything is made, and reaches the constructor as settings alone."""
        found = load_checkpoint(path)
        about = found.about
        if not isinstance(about, dict) or str(about.get("class")) != cls.__name__:
            raise FormatError(path, "tree.about", f"this is no {cls.__name__}")
        form = {"class": str, "settings": {str: SETTING}, "tokens": [str], "counts": np.dtype(np.int64),
                "rng": {str: object}, **({"rows": cls.ROWS} if cls.ROWS else {}),
                **({"own": {str: KeyedVectors.form()}} if "own" in about else {})}
        check_tree(path, about, form, "tree.about")
        if strange := set(about["settings"]) - {field.name for field in fields(cls.settings_class)}:
            raise FormatError(path, "tree.about.settings", f"{short(sorted(strange))} are no settings of a "
                              f"{cls.__name__}")
        with found_in(path, "tree"):
            model = cls(**about["settings"])
            model._restore(path, about, found.shapes)
        return model

    @all_or_nothing
    def _restore(self, path: Any, about: Any, shapes: dict[str, tuple[int, ...]]) -> None:
        """Be the model that a file tells of, the settings of which are those of this one."""
        self.vocabulary = Vocabulary(about["tokens"], about["counts"])
        rows = about.get("rows")
        for name, number in self._tables(rows).items():
            shape = number, self.vector_size
            if shapes.get(name) != shape:
                raise ValueError(f"table {name} is {shapes.get(name)} in the file, where vector_size and the words say "
                                 f"{shape}")
        check_states({"rng": self.rng}, {"rng": about["rng"]})
        self._make(rows)
        load_checkpoint(path, self.network, self.optimizer)
        self.rng.bit_generator.state = about["rng"]
        self._refresh()
        vars(self.settings)["_fixed"] = True
        for name, tree in about.get("own", {}).items():
            if name not in self._tables_by_key():
                raise ValueError(f"own vectors of {short(name)}, which a {type(self).__name__} does not have")
            table = KeyedVectors.from_tree(tree)
            there = vars(self)[name]
            there.put(table.index_to_key, table.vectors, replace=True)
            if table.expandos:
                if len(table) != len(there):
                    raise ValueError(f"attributes of {len(table)} keys, and {name} has {len(there)}")
                there.expandos.update(table.expandos)

    def _tables(self, rows: Any) -> dict[str, int]:
        """How many rows the tables of a model that was saved have, those of the widest at least, by the vocabulary and
        by `rows` of its file. ValueError for `rows` that do not belong to these words."""
        return {"vectors": len(self.vocabulary)}

    def _about(self) -> dict[str, Any]:
        return {"class": type(self).__name__, "settings": asdict(self.settings), "tokens": self.vocabulary.tokens,
                "counts": self.vocabulary.counts, "rng": self.rng.bit_generator.state}


def text_of(sentences: Any, corpus_file: Any = None) -> Any:
    """The sentences, or those of a file with one in each line; None if neither is given."""
    if sentences is not None and corpus_file is not None:
        raise TypeError("give sentences or corpus_file, not both")
    if isinstance(sentences, (str, bytes)):
        raise TypeError("sentences are lists of words; of a string each letter would become a word. "
                        "text.LineSentences(path) reads a file, text.simple_preprocess(text) cuts a text into words")
    if sentences is not None and iter(sentences) is sentences:
        raise TypeError("sentences are gone through several times, and a generator only lasts for one: give a list")
    return sentences if corpus_file is None else LineSentences(corpus_file)
