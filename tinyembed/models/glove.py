"""GloVe: word vectors whose dot products approximate the logarithms of co-occurrence counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor
from ..data import CooccurrenceBatches, SentenceIds, cooccurrences
from ..nn import Module
from ..ops import einsum, embedding
from ..optim import Adagrad
from ..train import fit
from .settings import Settings, shows
from .words import TextModel, all_or_nothing

BATCH = 4096  # entries of the matrix in a step


@dataclass
class GloVeSettings(Settings):
    """The settings of GloVe, with the defaults of the authors' tool; `GloVe` says what they mean."""

    vector_size: int = 100
    window: int = 10
    min_count: int = 5
    x_max: float = 100.0
    alpha: float = 0.75
    lr: float = 0.02
    epochs: int = 25
    max_final_vocab: int | None = None
    seed: int = 1


class CountModel(Module):
    """log X[i, j] as  w_i . c_j + b_i + d_j:  two vectors and two numbers for each word.

    The loss of entries (i, j, X) is their mean of  f(X) (w_i . c_j + b_i + d_j - log X)^2,
    f(X) = min(1, (X / x_max)^alpha): rare pairs say little, and frequent ones are not to say all.
    """

    def __init__(self, vectors: Array, contexts: Array, settings: GloVeSettings) -> None:
        V = len(vectors)
        self.vectors, self.contexts = Parameter(vectors), Parameter(contexts)
        self.b, self.d = Parameter(np.zeros((V, 1), np.float32)), Parameter(np.zeros((V, 1), np.float32))
        self.settings = settings

    def loss(self, i: Array, j: Array, X: Array) -> Tensor:
        product = einsum("nd,nd->n", embedding(self.vectors, i), embedding(self.contexts, j))
        error = product + (embedding(self.b, i) + embedding(self.d, j)).reshape((-1,)) - np.log(X)
        f = np.minimum(1, (X / self.settings.x_max) ** self.settings.alpha)
        return (f * error * error).mean()


class GloVe(TextModel):
    """Word vectors from the counts of a whole text at once, where Word2Vec goes through it window by window.

    sentences     lists of words, read twice: to count words, then pairs. What stands near what is counted in a sparse
                  matrix; `train` never looks at the text again
    vector_size   D
    window        the largest distance of a neighbour; one at distance d counts 1 / d
    min_count, max_final_vocab   words seen less often, and all but the most frequent, are left out
    x_max, alpha  f(X) = min(1, (X / x_max)^alpha) is what an entry X of the matrix weighs. 100 is for texts of
                  billions of words; of a small one, in which few pairs are that frequent, more is learnt with 10
    lr            of Adagrad, with one sum of squares a row
    epochs        passes over the entries of the matrix, in another order each time
    seed          the same seed, text and machine give the same bytes, in every process

    `wv` has the sums of each word's two vectors, as the paper does (`KeyedVectors`), `history` the mean loss of each
    epoch, `untrained()` the words that stand near no other. Names are those of `Word2Vec` where the meaning is the
    same, of the authors' tool otherwise, and so are the defaults, but for lr (its Adagrad has a sum for each number).
    (Pennington, Socher and Manning 2014, "GloVe: global vectors for word representation")

    Raises ValueError for settings that are no use and texts without pairs, TypeError for a string where a list of words
    is meant.

    >>> text = [["king", "rules", "land"], ["queen", "rules", "land"], ["cat", "eats", "fish"], ["dog", "eats", "fish"]]
    >>> model = GloVe(text * 50, vector_size=8, min_count=1, epochs=60)
    >>> bool(model.wv.similarity("king", "queen") > model.wv.similarity("king", "cat"))
    True
    """

    settings_class = GloVeSettings

    @shows(GloVeSettings)
    def __init__(self, sentences: Any = None, corpus_file: Any = None, *settings: Any, **named: Any) -> None:
        super().__init__(GloVeSettings(*settings, **named), sentences, corpus_file)

    def _make(self, rows: Any = None) -> None:
        V = len(self.vocabulary)
        self.word_rows = np.arange(V)
        self.network = CountModel(self._drawn(V), self._drawn(V), self.settings)
        self.optimizer = Adagrad(self.network.parameters(), per_row=True)

    def _vectors(self) -> Array:
        return self.network.vectors.data + self.network.contexts.data

    @all_or_nothing
    def train(self, corpus_iterable: Any = None, corpus_file: Any = None, *, epochs: int | None = None,
              progress: bool = False, checkpoint: Any = None, resume: bool = False) -> None:
        """Count the pairs of a text and go through them `epochs` times. May be called again, with the same text or
        another. checkpoint, resume: as in `te.train.fit`."""
        sentences = self._sentences(corpus_iterable, corpus_file)
        epochs = self._settings_for(epochs=epochs).epochs
        X = cooccurrences(SentenceIds(sentences, self.vocabulary.index), len(self.vocabulary), self.window)
        if not len(X.counts):
            raise ValueError("no two words of the vocabulary stand in one sentence, so there is nothing to count")
        batches = CooccurrenceBatches(X, BATCH, self.rng)
        self.optimizer.lr = self.lr
        self.history = fit(self.network, batches, self.optimizer, epochs=epochs,
                           every=len(batches), progress=progress, checkpoint=checkpoint, resume=resume,
                           about=self._about())
        self._refresh()
