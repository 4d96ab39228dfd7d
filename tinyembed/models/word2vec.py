"""Word2Vec: words from their neighbours. gensim's names and defaults, this framework's engine and loop."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor
from ..data import SentenceIds, WindowBatches, Windows
from ..nn import Module
from ..ops import embedding, matmul, negative_sampling
from ..optim import Adagrad
from ..text import LineSentences, Vocabulary, keep_probabilities, noise_distribution
from ..train import History, evaluate, fit, load_checkpoint, save_checkpoint
from ..vectors import KeyedVectors

RATE = 4.0  # Adagrad's learning rate for an alpha of 1


class WindowModel(Module):
    """The two tables of Word2Vec, and the loss of a batch of windows.

    vectors (V, D): what a word is looked up as, and in the end its vector; output (V, D): what it is predicted as.

        skip-gram   each word is to be near what its neighbours are predicted as
        CBOW        the sum or mean of a word's neighbours is to be near what it is predicted as

    "Near" is `negative_sampling`: a large dot product for these, small ones for `negative` words drawn at random for
    each pair. A block's K negatives stand for as many of its draws each as it takes.
    """

    def __init__(self, vectors: Array, V: int, sg: bool, negative: float, mean: bool) -> None:
        self.vectors = Parameter(vectors)
        self.output = Parameter(np.zeros((V, vectors.shape[1]), np.float32))
        self.sg, self.negative, self.mean = sg, negative, mean

    def rows(self, ids: Array) -> Tensor:
        """The input vectors of words: ids (…) -> (…, D)."""
        return embedding(self.vectors, ids)

    def loss(self, batch: Windows) -> Tensor:
        """The mean over the pairs of the batch, or with CBOW over its words."""
        B, S, _ = batch.pairs.shape
        count = batch.pairs.sum(2, dtype=np.float32)[..., None]  # (B, S, 1) neighbours
        if self.sg:
            return self.attract(self.rows(batch.words), batch.around, batch.pairs, count, batch)
        share = batch.pairs / np.maximum(count, 1) if self.mean else batch.pairs.astype(np.float32)
        own = np.broadcast_to(np.eye(S, dtype=bool), (B, S, S)) & (count > 0)
        return self.attract(matmul(share, self.rows(batch.around)), batch.words, own, count > 0, batch)

    def attract(self, x: Tensor, others: Array, pairs: Array, count: Array, batch: Windows) -> Tensor:
        """x (B, S, D) near the words `others` (B, Q) where `pairs` (B, S, Q) says so, and far from the negatives, which
        count for `count` (B, S, 1) pairs each word."""
        K, total = batch.negatives.shape[1], max(len(batch), 1)
        weights = np.concatenate([pairs, np.repeat(count * np.float32(-self.negative / K), K, 2)], 2, dtype=np.float32)
        weights /= total
        return negative_sampling(x, embedding(self.output, np.concatenate([others, batch.negatives], 1)), weights)


class Word2Vec:
    """Vectors for words, such that words with the same neighbours have similar ones.

    sentences        lists of words, gone through several times: a list, `LineSentences(path)` or the like. A list is
                     kept as ids; anything else is read anew in each pass, and may be larger than memory
    vector_size      D
    alpha, min_alpha the learning rate falls from alpha to min_alpha in a straight line. The rule is Adagrad with one
                     sum of squares a row, not plain SGD as in gensim: a batch moves a frequent word once where SGD
                     would move it hundreds of times; alpha is scaled so that gensim's values serve
    window           the largest distance of a neighbour; with shrink_windows drawn from 1 … window for each word
    min_count        words that are seen less often are left out
    sample           how frequent words are thinned out: the larger a word's share of the text, the more of its
                     occurrences are skipped. 0: none
    sg               1: skip-gram, 0: CBOW, with the mean of the neighbours (cbow_mean=1) or their sum (0)
    negative         words drawn at random for each pair, in proportion to count^ns_exponent
    workers          accepted and ignored: two threads are used where there are two cores, and the result is the same
    seed             the same seed, text and machine give the same bytes, in every process

    After training `wv` has the vectors (`KeyedVectors`), `history` what was measured: the mean loss in each epoch,
    and `history.rows`, which rows moved and which never did (`untrained()` names these words). (Mikolov et al. 2013,
    "Efficient estimation of word representations in vector space" and "Distributed representations of words and
    phrases and their compositionality")

    Differs from gensim: hierarchical softmax (hs=1) is refused; the loss is a mean, not a sum; saving uses one
    safetensors file. Raises ValueError for settings that are no use and for texts in which no word is frequent enough,
    TypeError for a string where a list of words is meant.

    >>> text = [["king", "rules", "land"], ["queen", "rules", "land"], ["cat", "eats", "fish"], ["dog", "eats", "fish"]]
    >>> model = Word2Vec(text * 50, vector_size=8, min_count=1, sample=0, sg=1, epochs=20)
    >>> model.wv.most_similar("king", topn=1)[0][0]
    'queen'
    """

    def __init__(self, sentences: Any = None, corpus_file: Any = None, vector_size: int = 100, alpha: float = 0.025,
                 window: int = 5, min_count: int = 5, sample: float = 1e-3, seed: int = 1, workers: int = 3,
                 min_alpha: float = 1e-4, sg: int = 0, hs: int = 0, negative: int = 5, ns_exponent: float = 0.75,
                 cbow_mean: int = 1, epochs: int = 5, max_final_vocab: int | None = None, compute_loss: bool = False,
                 shrink_windows: bool = True, held_out: Any = None) -> None:
        if hs:
            raise ValueError("hs=1, hierarchical softmax, is not here; negative sampling (hs=0, negative=5) is")
        self.settings: dict[str, Any] = {
            "vector_size": vector_size, "alpha": alpha, "window": window, "min_count": min_count, "sample": sample,
            "seed": seed, "min_alpha": min_alpha, "sg": int(sg), "negative": negative, "ns_exponent": ns_exponent,
            "cbow_mean": int(cbow_mean), "epochs": epochs, "max_final_vocab": max_final_vocab,
            "shrink_windows": bool(shrink_windows)}
        self.network: Any = None  # a WindowModel, once there is a vocabulary
        check_settings(self.settings)
        self.rng = np.random.default_rng(seed)
        self.vocabulary = Vocabulary([], [])
        self.history = History()
        sentences = text_of(sentences, corpus_file)
        if sentences is not None:
            self.build_vocab(sentences)
            self.train(sentences, epochs=epochs, held_out=held_out)

    def __getattr__(self, name: str) -> Any:
        """The settings, by gensim's names."""
        settings = vars(self).get("settings", {})
        if name in settings:
            return settings[name]
        raise AttributeError(f"a {type(self).__name__} has no attribute {name!r}"
                             + ("; call build_vocab first" if name in ("wv", "network") else ""))

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

    def _make(self, rows: Any = None) -> None:
        """The tables, as yet untrained, and their optimiser; `rows` is what `_about` says of where they stand."""
        V = len(self.vocabulary)
        self.word_rows = np.arange(V)
        self.network = WindowModel(self._drawn(V), V, self.sg, self.negative, bool(self.cbow_mean))
        self.optimizer = Adagrad(self.network.parameters(), lr=self.alpha * RATE, per_row=True)

    def _grow(self, k: int) -> None:
        self.word_rows = np.arange(len(self.vocabulary))
        self.network.vectors.grow(self._drawn(k))
        self.network.output.grow(np.zeros((k, self.vector_size)))

    def _drawn(self, n: int) -> Array:
        """Uniform in ±1/2D, as in the original."""
        D = self.settings["vector_size"]
        return (self.rng.random((n, D), np.float32) - np.float32(0.5)) / np.float32(D)

    def _refresh(self) -> None:
        """Let `wv` have the rows as they are now."""
        self.wv = KeyedVectors(keys=self.vocabulary.tokens, vectors=self.network.vectors.data)

    # -- training ------------------------------------------------------------------------------------------------------

    def train(self, corpus_iterable: Any = None, corpus_file: Any = None, total_examples: Any = None,
              total_words: Any = None, epochs: int | None = None, start_alpha: float | None = None,
              end_alpha: float | None = None, *, held_out: Any = None, progress: bool = False, checkpoint: Any = None,
              resume: bool = False) -> tuple[int, int]:
        """Go through the text `epochs` times; returns how many words were trained on and how many were read.

        May be called again, with the same text or another. held_out: sentences whose mean loss is measured after every
        epoch. checkpoint, resume: as in `te.train.fit`. total_examples and total_words are accepted and not needed.
        """
        sentences = text_of(corpus_iterable, corpus_file)
        if sentences is None or not len(self.vocabulary):
            raise ValueError("training needs a text, and a vocabulary: build_vocab first")
        epochs = self.epochs if epochs is None else epochs
        start = self.alpha if start_alpha is None else start_alpha
        end = self.min_alpha if end_alpha is None else end_alpha
        keep = keep_probabilities(self.vocabulary.counts, self.sample)
        batches = self._batches(sentences, keep, self.rng)
        per_epoch = max(float(self.vocabulary.counts @ keep) / batches.words, 1)
        held = None if held_out is None else list(self._batches(held_out, np.ones(len(keep)), np.random.default_rng(0)))
        self.optimizer.lr = start * RATE
        self.history = fit(
            self.network, batches, self.optimizer, epochs=epochs, held_out=held, every=round(per_epoch),
            schedule=lambda step: max(1 - (1 - end / start) * step / (per_epoch * max(epochs, 1)), end / start),
            progress=progress, checkpoint=checkpoint, resume=resume, about=self._about())
        self._refresh()
        return batches.given, int(self.vocabulary.counts.sum()) * epochs

    def _batches(self, sentences: Any, keep: Array, rng: np.random.Generator) -> WindowBatches:
        return WindowBatches(SentenceIds(sentences, self.vocabulary.index), self.window, keep,
                             noise_distribution(self.vocabulary.counts, self.ns_exponent), shrink=self.shrink_windows,
                             per_word=not self.sg, rng=rng)

    def loss_on(self, sentences: Any) -> float:
        """The mean loss on other sentences, with windows and negatives drawn from seed 0."""
        return evaluate(self.network, self._batches(sentences, np.ones(len(self.vocabulary)), np.random.default_rng(0)))

    def untrained(self) -> list[str]:
        """The words that no training has touched: their vectors are as random as they were made."""
        squares = np.zeros(len(self.network.vectors))  # of the gradients of each row, summed up by Adagrad
        for sums in self.optimizer.state[0].arrays or []:
            squares[:len(sums)] = sums[:, 0]
        return [self.vocabulary.tokens[i] for i in np.flatnonzero(squares[self.word_rows] == 0)]

    def get_latest_training_loss(self) -> float:
        """The mean loss in the last epoch."""
        return self.history.train[-1][1] if self.history.train else float("nan")

    def predict_output_word(self, context_words: Iterable[str], topn: int = 10) -> list[tuple[str, float]] | None:
        """The words that such neighbours predict, with softmax probabilities; None if no neighbour is known."""
        ids = [self.vocabulary.index[word] for word in context_words if word in self.vocabulary]
        if not ids:
            return None
        x = self.network.rows(np.array(ids)).data
        scores = self.network.output.data @ (x.mean(0) if self.cbow_mean else x.sum(0))
        p = np.exp(scores - scores.max(), dtype=np.float64)
        best = np.argsort(-p, kind="stable")[:topn]
        return [(self.vocabulary.tokens[i], float(p[i] / p.sum())) for i in best]

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


def check_settings(o: dict[str, Any]) -> None:
    """ValueError for a setting that is no use, naming it."""
    for name, least in (("vector_size", 1), ("window", 1), ("negative", 1), ("epochs", 0), ("min_count", 0)):
        if not (isinstance(o[name], (int, np.integer)) and o[name] >= least):
            raise ValueError(f"{name} is an integer, {least} or more, not {o[name]!r}")
    for name in ("alpha", "min_alpha", "sample", "ns_exponent"):
        if not (isinstance(o[name], (int, float)) and np.isfinite(o[name]) and (o[name] >= 0 or name == "ns_exponent")):
            raise ValueError(f"{name} is a finite number, 0 or more, not {o[name]!r}")
    if not 0 < o["alpha"] >= o["min_alpha"]:
        raise ValueError(f"alpha {o['alpha']!r} falls to min_alpha {o['min_alpha']!r}, so it must be larger, and not 0")
