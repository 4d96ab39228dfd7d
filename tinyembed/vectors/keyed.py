"""KeyedVectors: vectors by key, with gensim 4's names, defaults and results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core import Array, warn
from ..files import short
from .keyed_table import Key, KeyedTable, listed
from .questions import evaluate_word_analogies, evaluate_word_pairs
from .search import chunks, exact_scores, nearest, slack


class KeyedVectors(KeyedTable):
    """A table of vectors, one for each key, and what can be asked of it.

        vectors (V, D)   index_to_key: list of V keys, strings or integers   key_to_index: dict   vector_size: D

    `KeyedVectors(100)` is empty; `KeyedVectors(keys=words, vectors=table)` takes a table. An array is adopted, not
    copied, so that it can be mapped from a file. Wherever a key is asked for, an integer that is no key is an index.

    Similarity is the cosine. A zero vector has similarity 0 with everything, itself included. Searches go through
    the table in chunks; beside it are kept only the lengths of its rows, (V,), from the first search on. Assigning
    `wv.vectors = table` forgets them; after writing into the array itself, call `wv.fill_norms(force=True)`.

    Raises UnknownKey, a KeyError, for keys that are not there, with the nearest spellings; ValueError or TypeError for
    keys and vectors that do not go together, before anything is changed; ValueError for a vector with NaN or
    infinity, and in a search of a table that holds one, with the key.

    >>> wv = KeyedVectors(keys=["king", "queen", "cup"], vectors=np.float32([[2, 1], [1, 2], [0, 5]]))
    >>> wv.most_similar("king", topn=1), "tea" in wv
    ([('queen', 0.8)], False)
    """

    def get_mean_vector(self, keys: Any, weights: Any = None, pre_normalize: bool = True, post_normalize: bool = False,
                        ignore_missing: bool = True) -> Array:
        """The weighted mean of some vectors: sum w_i v_i / sum |w_i|          -> (D,)

        keys            n of them; vectors (D,) may stand among them, and are taken as they are
        weights         n numbers; 1 each if None
        pre_normalize   divide the vectors of keys by their lengths first
        post_normalize  divide the mean by its length
        ignore_missing  leave out keys that are not there

        Of keys of which none is there the mean is zeros, with a warning. Raises ValueError for no keys, or weights of
        another number.

        >>> KeyedVectors(keys=["a", "b"], vectors=np.eye(2)).get_mean_vector(["a", "b"], [3, -1])
        array([ 0.75, -0.25])
        """
        keys = listed(keys)
        weights = np.ones(len(keys)) if weights is None else np.asarray(weights, np.float64)
        if not keys or weights.shape != (len(keys),):
            raise ValueError(f"a mean takes at least one key, and a weight for each; got {len(keys)} keys and "
                             f"weights {weights.shape}")
        if ignore_missing and not any(isinstance(key, np.ndarray) or key in self for key in keys):
            warn(f"none of {short(keys)} has a vector: their mean is zeros")
        mean = self._mean(zip(keys, weights.tolist()), pre_normalize, ignore_missing)
        return (_unit(mean) if post_normalize else mean).astype(self._vectors.dtype)

    def _mean(self, items: Iterable[tuple[Any, float]], pre_normalize: bool = True, ignore_missing: bool = False
              ) -> Array:
        """The weighted mean of keys and vectors in float64 (D,)."""
        total, mean = 0.0, np.zeros(self.vector_size)
        for key, weight in items:
            if isinstance(key, np.ndarray):
                if key.shape != mean.shape or not np.isfinite(key).all():
                    raise ValueError(f"a vector must be {mean.shape} and finite, got {key.shape}: {key}")
                vector = key.astype(np.float64)
            elif ignore_missing and key not in self:
                continue
            else:
                vector = self._finite(key)
                vector = _unit(vector) if pre_normalize else vector
            total += abs(weight)
            if not np.isfinite(total):
                raise ValueError(f"weights are finite numbers, and so is the sum of their sizes, not {total}")
            mean = mean + weight * vector
        return mean / (total or 1)

    def _finite(self, key: Any) -> Array:
        """The vector of a key in float64 (D,); ValueError if it is not finite."""
        vector = self.get_vector(key).astype(np.float64)
        if not np.isfinite(vector).all():
            raise ValueError(f"the vector of {key!r} is not finite: {vector}")
        return vector

    def similarity(self, w1: Any, w2: Any) -> Any:
        """The cosine of the vectors of two keys."""
        return self._cosine(self._finite(w1), self._finite(w2))

    def n_similarity(self, ws1: Sequence[Any], ws2: Sequence[Any]) -> Any:
        """The cosine of the means of two lists of keys (as they are, not divided by their lengths)."""
        return self._cosine(*(self.get_mean_vector(keys, pre_normalize=False) for keys in (ws1, ws2)))

    def _cosine(self, a: Array, b: Array) -> Any:
        cosine = _unit(a.astype(np.float64)) @ _unit(b.astype(np.float64))
        return np.result_type(self._vectors, np.float32).type(cosine)

    def distance(self, w1: Any, w2: Any) -> Any:
        """1 - similarity."""
        return 1 - self.similarity(w1, w2)

    def distances(self, word_or_vector: Any, other_words: Iterable[Any] | None = None) -> Array:
        """1 - cosine of a key or vector with some keys, or with all if there are none          -> (n,)"""
        query, others = _unit(self._mean([(word_or_vector, 1.0)])), listed(other_words or ())
        if others:
            ids = np.array([self.get_index(key) for key in others])
            for key in others:
                self._finite(key)
            return 1 - exact_scores(self._vectors, ids, query[None]).astype(self.norms.dtype)
        return 1 - self._cosines(query)

    def most_similar(self, positive: Any = None, negative: Any = None, topn: int | None = 10, clip_start: int = 0,
                     clip_end: int | None = None, restrict_vocab: int | None = None) -> Any:
        """The keys whose vectors are nearest to a mean, best first: [(key, cosine), …]; of equals the lower index.

            cosine(v, sum of w_i v_i / |v_i|)

        positive        a key, a vector (which is not divided by its length), or a list of them or of pairs (key, w);
                        w is 1 if not given. The keys themselves are left out of the result.
        negative        the same with w = -1
        topn            how many; None gives the cosines of all rows instead, in an array
        clip_start      look at rows clip_start … clip_end-1 only
        restrict_vocab  look at the first rows only, the most frequent ones where rows stand by frequency

        >>> table = [[1, 1, 0], [1, -1, 0], [0, 1, 1], [0, -1, 1]]
        >>> wv = KeyedVectors(keys=["king", "queen", "man", "woman"], vectors=table)
        >>> wv.most_similar(positive=["woman", "king"], negative=["man"], topn=1)[0][0]
        'queen'
        """
        if topn is not None and topn < 1:
            return []
        items = _weighted(positive, 1.0) + _weighted(negative, -1.0)
        if not items:
            raise ValueError("most_similar takes at least one key or vector, got none")
        query = _unit(self._mean(items))
        start, stop = (0, restrict_vocab) if restrict_vocab else (clip_start, clip_end or len(self))
        if min(start, stop) < 0:
            raise ValueError(f"rows are counted from 0: got {start} … {stop}")
        if topn is None:
            return self._cosines(query, start, stop)
        skip = {self.get_index(key, -1) for key, _ in items if not isinstance(key, np.ndarray)}
        with self.naming():
            [(ids, scores)] = nearest(self._vectors, self.norms, query[None], topn + len(skip), start, stop)
        found = [(self.index_to_key[i], score) for i, score in zip(ids.tolist(), scores.tolist()) if i not in skip]
        return found[:topn]

    def similar_by_key(self, key: Any, topn: int | None = 10, restrict_vocab: int | None = None) -> Any:
        """most_similar(positive=[key])"""
        return self.most_similar(positive=[key], topn=topn, restrict_vocab=restrict_vocab)

    similar_by_word = similar_by_key

    def similar_by_vector(self, vector: Any, topn: int | None = 10, restrict_vocab: int | None = None) -> Any:
        """most_similar(positive=[vector])"""
        return self.most_similar(positive=[np.asarray(vector)], topn=topn, restrict_vocab=restrict_vocab)

    def doesnt_match(self, words: Sequence[Any]) -> Any:
        """The key that is farthest from the mean of all; of equals the first in the alphabet. Unknown ones are passed
        over, with a warning."""
        words = listed(words)
        known = [word for word in words if word in self]
        if len(known) < len(words):
            warn(f"passed over, for want of vectors: {[w for w in words if w not in self]}")
        if not known:
            raise ValueError(f"none of {short(words)} has a vector")
        mean = _unit(self._mean([(word, 1.0) for word in known]))
        scores = [round(float(_unit(self._finite(word)) @ mean), 12) for word in known]
        return min(zip(scores, known))[1]

    def closer_than(self, key1: Any, key2: Any) -> list[Key]:
        """The keys that are nearer to key1 than key2 is, by index."""
        query, i, j = _unit(self._mean([(key1, 1.0)])), self.get_index(key1), self.get_index(key2)
        scores = self._cosines(query).astype(np.float64)
        close = np.append(np.flatnonzero(np.abs(scores - scores[j]) <= slack(self._vectors)), j)
        scores[close] = exact_scores(self._vectors, close, query[None])  # where rounding might decide
        return [self.index_to_key[n] for n in np.flatnonzero(scores > scores[j]) if n != i]

    def rank(self, key1: Any, key2: Any) -> int:
        """How many keys are nearer to key1 than key2 is, and one."""
        return len(self.closer_than(key1, key2)) + 1

    def _cosines(self, query: Array, start: int = 0, stop: int | None = None) -> Array:
        with self.naming():
            parts = [scores[0] for _, scores, _ in chunks(self._vectors, self.norms, query[None], start, stop)]
        return np.concatenate([*parts, np.zeros(0, self.norms.dtype)]).astype(self.norms.dtype, copy=False)

    # -- judging -------------------------------------------------------------------------------------------------------

    evaluate_word_analogies = evaluate_word_analogies
    evaluate_word_pairs = evaluate_word_pairs


def _unit(vector: Array) -> Array:
    """A float64 vector divided by its length; a zero vector stays what it is."""
    largest = float(np.abs(vector).max(initial=0))
    if not 1e-100 < largest < 1e100:  # whose squares no float holds
        vector = vector / (largest or 1)
    length = float(np.sqrt((vector * vector).sum()))
    return vector / length if length else vector


def _weighted(given: Any, weight: float) -> list[tuple[Any, float]]:
    """Keys, vectors and pairs (key, weight) as such pairs."""
    if given is None:
        return []
    if isinstance(given, (str, int, np.integer)) or (isinstance(given, np.ndarray) and given.ndim == 1):
        given = [given]
    pairs = [item if isinstance(item, (tuple, list)) else (item, weight) for item in given]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], (str, int, np.integer, np.ndarray)):
            raise TypeError(f"expected a key, a vector (an array) or a pair (key, weight), got {pair!r}")
    return [(key, float(w)) for key, w in pairs]
