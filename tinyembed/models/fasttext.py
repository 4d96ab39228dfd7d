"""FastText: a word is the mean of itself and its pieces, so that a word never seen has a vector too."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, no_grad
from ..optim import Adagrad
from ..vectors import KeyedVectors
from .word2vec import RATE, WindowModel, Word2Vec, ragged_rows


def ngrams(word: str, min_n: int, max_n: int) -> list[str]:
    """The pieces of <word> of min_n to max_n characters, the short ones first; < and > mark its ends.

    >>> ngrams("cat", 3, 4)
    ['<ca', 'cat', 'at>', '<cat', 'cat>']
    """
    marked = f"<{word}>"
    return [marked[i:i + n] for n in range(min_n, max_n + 1) for i in range(len(marked) - n + 1)]


def fnv(text: str) -> int:
    """Facebook's hash of a piece: 32-bit FNV-1a over its UTF-8 bytes, each taken as a signed number, as C's char was.

    >>> fnv("<ca"), fnv("é")
    (1066916747, 1023043777)
    """
    h = 2166136261
    for byte in text.encode("utf-8"):
        h = ((h ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return h


class SubwordModel(WindowModel):
    """WindowModel whose input vector of a word is the mean of several rows: those of the word and of its pieces.

    pieces (N,), starts (V + 1,): pieces[starts[i]:starts[i + 1]] are the rows of word i.
    """

    pieces: Array
    starts: Array

    def rows(self, ids: Array) -> Tensor:
        return ragged_rows(self.vectors, self.pieces, self.starts, ids, "mean")


class SubwordVectors(KeyedVectors):
    """KeyedVectors that can make a vector for any word: the mean of the pieces that training has met.

    buckets (M,), ascending: the hash buckets of these pieces; rows (M, D): their vectors.
    Raises UnknownKey for a word of which no piece was ever met (where gensim gives random numbers).
    """

    buckets: Array
    rows: Array
    n: tuple[int, int, int]  # min_n, max_n, bucket

    def get_vector(self, key: Any, norm: bool = False) -> Array:
        """The vector of a key (D,), read-only; with norm=True divided by its length."""
        if not isinstance(key, str) or self.has_index_for(key):
            return super().get_vector(key, norm)
        asked = np.array(hashes(key, *self.n), np.int64)
        places = self.buckets.searchsorted(asked).clip(max=max(len(self.buckets) - 1, 0))
        met = places[self.buckets[places] == asked] if len(self.buckets) else places[:0]
        if not len(met):
            return super().get_vector(key, norm)  # refuses
        vector = self.rows[met].mean(0)
        vector = vector / max(float(np.linalg.norm(vector)), 1e-30) if norm else vector
        vector.flags.writeable = False
        return vector

    def __contains__(self, key: object) -> bool:
        """Whether there is a vector: of a string nearly always. `key in wv.key_to_index` asks for a row of its own."""
        try:
            return self.get_vector(key) is not None
        except KeyError:
            return False


class FastText(Word2Vec):
    """Word2Vec in which a word's input vector is the mean of its own row and of those of its pieces.

    min_n, max_n     the pieces are the stretches of min_n to max_n characters of <word>
    bucket           pieces that hash to the same of so many buckets share a row. Only buckets that the vocabulary
                     meets have one (gensim and Facebook's tool allocate all two million)

    All else is as in `Word2Vec`. `wv["anything"]` gives a vector for words that were never seen, from the pieces
    that were; `wv.vectors` are the finished vectors of the vocabulary.
    (Bojanowski et al. 2017, "Enriching word vectors with subword information")

    >>> text = [["river", "water", "flows"], ["rivers", "water", "flow"], ["bank", "money"], ["banks", "money"]]
    >>> model = FastText(text * 40, vector_size=16, min_count=1, sample=0, sg=1, epochs=10)
    >>> bool(model.wv.similarity("riverside", "rivers") > model.wv.similarity("riverside", "banks"))
    True
    """

    def __init__(self, sentences: Any = None, corpus_file: Any = None, *, min_n: int = 3, max_n: int = 6,
                 bucket: int = 2_000_000, **settings: Any) -> None:
        if not 1 <= min_n <= max_n or bucket < 1:
            raise ValueError(f"1 <= min_n <= max_n and bucket >= 1 must hold, got {min_n}, {max_n}, {bucket}")
        self.subwords = {"min_n": min_n, "max_n": max_n, "bucket": bucket}
        super().__init__(sentences, corpus_file, **settings)

    def _make(self, rows: Any = None) -> None:
        self.word_rows, self.buckets, self.bucket_rows = rows or [np.zeros(0, np.int64)] * 3
        self._number(0)
        vectors = self._drawn(len(self.word_rows) + len(self.bucket_rows))
        self.network = SubwordModel(vectors, len(self.vocabulary), self.sg, self.negative, bool(self.cbow_mean))
        self.network.pieces, self.network.starts = self._pieces
        self.optimizer = Adagrad(self.network.parameters(), lr=self.alpha * RATE[bool(self.sg)], per_row=True)

    def _grow(self, k: int) -> None:
        self.network.vectors.grow(self._drawn(self._number(len(self.network.vectors))))
        self.network.output.grow(np.zeros((k, self.vector_size)))
        self.network.pieces, self.network.starts = self._pieces

    def _number(self, rows: int) -> int:
        """Give rows to words and buckets that have none, from number `rows` on; how many these are."""
        words = [hashes(word, **self.subwords) for word in self.vocabulary.tokens]
        met = np.setdiff1d(np.array([h for word in words for h in word], np.int64), self.buckets)
        new = len(words) - len(self.word_rows)
        self.word_rows = np.concatenate([self.word_rows, rows + np.arange(new)])
        at = self.buckets.searchsorted(met)
        self.buckets = np.insert(self.buckets, at, met)
        self.bucket_rows = np.insert(self.bucket_rows, at, rows + new + np.arange(len(met)))
        all_rows = [[i, *self.bucket_rows[self.buckets.searchsorted(word)].tolist()]
                    for i, word in zip(self.word_rows.tolist(), words)]
        self._pieces = np.array([i for word in all_rows for i in word], np.int64), np.cumsum([0, *map(len, all_rows)])
        return new + len(met)

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "settings": {**self.settings, **self.subwords},
                "rows": [self.word_rows, self.buckets, self.bucket_rows]}

    def _refresh(self) -> None:
        V, D = len(self.vocabulary), self.settings["vector_size"]
        vectors = np.empty((V, D), np.float32)
        with no_grad():
            for i in range(0, V, 4096):
                vectors[i:i + 4096] = self.network.rows(np.arange(i, min(i + 4096, V))).data
        self.wv = SubwordVectors(keys=self.vocabulary.tokens, vectors=vectors)
        self.wv.expandos["count"] = self.vocabulary.counts
        self.wv.buckets, self.wv.rows = self.buckets, self.network.vectors.data[self.bucket_rows]
        self.wv.n = (self.subwords["min_n"], self.subwords["max_n"], self.subwords["bucket"])


def hashes(word: str, min_n: int, max_n: int, bucket: int) -> list[int]:
    """The buckets of a word's pieces."""
    return [fnv(piece) % bucket for piece in ngrams(word, min_n, max_n)]
