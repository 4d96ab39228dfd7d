"""FastText: a word vector is the mean of the vectors of its character n-grams, so unseen words have one too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Tensor, blocks, no_grad
from ..files import short
from ..optim import Adagrad
from ..text import Vocabulary
from ..vectors import KeyedVectors
from .settings import shows
from .word2vec import WindowModel, Word2Vec, Word2VecSettings, ragged_rows
from .words import TextModel

SPARE = 1 << 19  # characters of pieces that a small file may speak of


def ngrams(word: str, min_n: int, max_n: int) -> list[str]:
    """The pieces of <word> of min_n to max_n characters, the short ones first; < and > mark its ends.

    >>> ngrams("cat", 3, 4)
    ['<ca', 'cat', 'at>', '<cat', 'cat>']
    """
    marked = f"<{word}>"
    return [marked[i:i + n] for n in range(min_n, min(max_n, len(marked)) + 1) for i in range(len(marked) - n + 1)]


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
    n: Sequence[int]  # min_n, max_n, bucket
    FIELDS: ClassVar = {"buckets": np.dtype(np.int64), "rows": np.ndarray, "n": [range(1, 2**63)]}

    def __init__(self, vector_size: int | None = None, **named: Any) -> None:
        super().__init__(vector_size, **named)
        self.buckets, self.rows, self.n = np.zeros(0, np.int64), np.zeros((0, self.vector_size), np.float32), [3, 6, 1]

    def check(self) -> None:
        super().check()
        if not isinstance(self.n, list) or len(self.n) != 3 or self.n[0] > self.n[1]:
            raise ValueError(f"n {short(self.n)}, where min_n <= max_n and bucket were expected")
        if self.buckets.ndim != 1 or (np.diff(self.buckets, prepend=-1, append=self.n[2]) <= 0).any() or \
                self.rows.shape != (len(self.buckets), self.vector_size) or self.rows.dtype.kind != "f":
            raise ValueError(f"buckets {self.buckets.shape} and rows {self.rows.dtype} {self.rows.shape}, where "
                             f"ascending numbers below {self.n[2]} and {self.vector_size} floats for each belong")

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


@dataclass
class FastTextSettings(Word2VecSettings):
    """The settings of Word2Vec, and how words are cut into pieces."""

    min_n: int = 3
    max_n: int = 6
    bucket: int = 2_000_000


class FastText(Word2Vec):
    """Word2Vec in which a word's input vector is the mean of its own row and of those of its pieces.

    min_n, max_n     the pieces are the stretches of min_n to max_n characters of <word>
    bucket           pieces that hash to the same of so many buckets share a row. Only buckets that the vocabulary
                     meets have one (gensim and Facebook's tool allocate all two million)

    All else is as in `Word2Vec`, and settings are given by name. `wv["anything"]` gives a vector for words that were
    never seen, from the pieces that were; `wv.vectors` are the finished vectors of the vocabulary.
    (Bojanowski et al. 2017, "Enriching word vectors with subword information")

    >>> text = [["river", "water", "flows"], ["rivers", "water", "flow"], ["bank", "money"], ["banks", "money"]]
    >>> model = FastText(text * 40, vector_size=16, min_count=1, sample=0, sg=1, epochs=10)
    >>> bool(model.wv.similarity("riverside", "rivers") > model.wv.similarity("riverside", "banks"))
    True
    """

    settings_class = FastTextSettings
    ROWS: ClassVar = [np.dtype(np.int64)]  # word_rows, buckets, bucket_rows
    keyed = SubwordVectors
    wv: SubwordVectors
    buckets: Array
    bucket_rows: Array

    @shows(FastTextSettings)
    def __init__(self, sentences: Any = None, corpus_file: Any = None, *, held_out: Any = None, **named: Any) -> None:
        TextModel.__init__(self, FastTextSettings(**named), sentences, corpus_file, held_out=held_out)

    def _tables(self, rows: Any) -> dict[str, int]:
        """As said there; words and pieces have a row each, and there are no pieces but those of the words."""
        if len(rows) != 3:
            raise ValueError(f"{len(rows)} arrays, where those of words, buckets and their rows were expected")
        word_rows, buckets, bucket_rows = rows
        lengths, counts = np.unique([len(word) + 2 for word in self.vocabulary.tokens], return_counts=True)
        work = sum(count * n * (m - n + 1) for m, count in zip(lengths.tolist(), counts.tolist())
                   for n in range(self.min_n, min(self.max_n, m) + 1))
        there = int(lengths @ counts) + self.vector_size * len(buckets)
        if work > 64 * there + SPARE:
            raise ValueError(f"the pieces of the words have {work:,} characters, which is out of proportion to "
                             f"{len(buckets):,} buckets: min_n {self.min_n}, max_n {self.max_n}")
        met = np.unique([h for word in self._hashed(self.vocabulary) for h in word]).astype(np.int64)
        every = np.concatenate([word_rows, bucket_rows]) if word_rows.ndim == bucket_rows.ndim == 1 else word_rows
        if word_rows.shape != (len(self.vocabulary),) or bucket_rows.shape != buckets.shape or \
                not np.array_equal(met, buckets) or not np.array_equal(np.sort(every), np.arange(len(every))):
            raise ValueError("the rows are not one for each word, and one for each bucket that its pieces meet")
        return {"vectors": len(every), "output": len(self.vocabulary)}

    def _make(self, rows: Any = None) -> None:
        self.word_rows, self.buckets, self.bucket_rows = rows or [np.zeros(0, np.int64)] * 3
        words = self._hashed(self.vocabulary)
        self._number(words, 0)
        vectors = self._drawn(len(self.word_rows) + len(self.bucket_rows))
        self.network = SubwordModel(vectors, len(words), self.settings)
        self.network.pieces, self.network.starts = self._pieces(words)
        self.optimizer = Adagrad(self.network.parameters(), per_row=True)

    def _grow(self, new: Vocabulary) -> None:
        words = self._hashed(new)
        self.network.vectors.grow(self._drawn(self._number(words, len(self.network.vectors))))
        self.network.output.grow(np.zeros((len(new) - len(self.vocabulary), self.vector_size)))
        self.network.pieces, self.network.starts = self._pieces(words)

    def _hashed(self, vocabulary: Vocabulary) -> list[list[int]]:
        """The buckets of each word's pieces."""
        n = self.min_n, self.max_n, self.bucket
        return [hashes(word, *n) for word in vocabulary.tokens]

    def _number(self, words: list[list[int]], first: int) -> int:
        """Give rows to words and buckets that have none, from number `first` on; how many these are."""
        new = len(words) - len(self.word_rows)
        met = np.setdiff1d(np.array([h for word in words for h in word], np.int64), self.buckets)
        self.word_rows = np.concatenate([self.word_rows, first + np.arange(new)])
        at = self.buckets.searchsorted(met)
        self.buckets = np.insert(self.buckets, at, met)
        self.bucket_rows = np.insert(self.bucket_rows, at, first + new + np.arange(len(met)))
        return new + len(met)

    def _pieces(self, words: list[list[int]]) -> tuple[Array, Array]:
        """The rows of each word, its own and those of its pieces, one word after the other; and where each begins."""
        rows = [[own, *self.bucket_rows[self.buckets.searchsorted(word)].tolist()]
                for own, word in zip(self.word_rows.tolist(), words)]
        return np.array([i for word in rows for i in word], np.int64), np.cumsum([0, *map(len, rows)])

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "rows": [self.word_rows, self.buckets, self.bucket_rows]}

    def _vectors(self) -> Array:
        V, D = len(self.vocabulary), self.vector_size
        vectors = np.empty((V, D), np.float32)
        with no_grad():
            for some in blocks(V, D, 1 << 19):
                vectors[some] = self.network.rows(np.arange(some.start, some.stop)).data
        return vectors

    def _shared(self) -> dict[str, Array]:
        return {}

    def _tables_by_key(self) -> dict[str, KeyedVectors]:
        tables = super()._tables_by_key()
        wv: Any = tables["wv"]
        wv.buckets, wv.rows = self.buckets, self.network.vectors.data[self.bucket_rows]
        wv.n = [self.min_n, self.max_n, self.bucket]
        return tables


def hashes(word: str, min_n: int, max_n: int, bucket: int) -> list[int]:
    """The buckets of a word's pieces."""
    return [fnv(piece) % bucket for piece in ngrams(word, min_n, max_n)]
