"""Co-occurrence counts of words, and the batches of them that GloVe trains on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ..core import Array, blocks

PIECE = 1 << 17  # words that are counted together: their pairs, not those of the text, are in memory


class Cooccurrences(NamedTuple):
    """The entries of a sparse symmetric matrix (V, V) that are not zero, row after row.

        rows (N,), columns (N,) int32, counts (N,) float32
    """

    rows: Array
    columns: Array
    counts: Array


def cooccurrences(text: Iterable[tuple[Array, Array]], V: int, window: int) -> Cooccurrences:
    """Count how often words stand near each other, near ones more:

        X[i, j] = sum over all places of i and j, at a distance d <= window in one sentence, of 1 / d

    text   yields (ids (N,), number of the sentence of each (N,)), such as SentenceIds

    Both orders count: X is symmetric, and a word beside itself adds 2 / d to X[i, i]. Counted are pairs i <= j, as one
    number i V + j; pieces of the text are sorted and merged when they are as long as what was merged before. So the
    memory is that of the matrix, a few times over, however long the text. Sums are float64.
    (Pennington, Socher and Manning 2014)

    >>> X = cooccurrences([(np.array([0, 1, 2]), np.zeros(3, int))], 3, window=2)
    >>> list(zip(X.rows.tolist(), X.columns.tolist(), X.counts.tolist()))
    [(0, 1, 1.0), (0, 2, 0.5), (1, 0, 1.0), (1, 2, 1.0), (2, 0, 0.5), (2, 1, 1.0)]
    """
    merged = np.zeros(0, np.int64), np.zeros(0)
    waiting: list[tuple[Array, Array]] = []
    for ids, sentences in text:
        for piece in blocks(len(ids), entries=PIECE):
            waiting.append(_count(ids, sentences, piece.start, piece.stop, V, window))
            if sum(len(keys) for keys, _ in waiting) >= len(merged[0]):
                merged, waiting = _merge([merged, *waiting]), []
    keys, counts = _merge([merged, *waiting])
    i, j = keys // V, keys % V
    other = i != j  # the diagonal has met both orders at once
    rows, columns = np.concatenate([i, j[other]]), np.concatenate([j, i[other]])
    counts = np.concatenate([np.where(other, counts, 2 * counts), counts[other]])
    order = np.lexsort((columns, rows))
    return Cooccurrences(rows[order].astype(np.int32), columns[order].astype(np.int32),
                         counts[order].astype(np.float32))


def _count(ids: Array, sentences: Array, start: int, stop: int, V: int, window: int) -> tuple[Array, Array]:
    """Keys and counts of the pairs whose first word stands in start … stop - 1."""
    keys, weights = [], []
    for d in range(1, window + 1):
        a, b = slice(start, max(min(stop, len(ids) - d), 0)), slice(start + d, stop + d)
        together = sentences[a] == sentences[b]
        x, y = ids[a][together].astype(np.int64), ids[b][together].astype(np.int64)
        keys.append(np.minimum(x, y) * V + np.maximum(x, y))
        weights.append(np.full(len(x), 1 / d))
        if not len(x):  # no sentence is that long
            break
    return _merge([(np.concatenate(keys), np.concatenate(weights))])


def _merge(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each key once, in ascending order, with the sum of its weights."""
    keys, inverse = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    return keys, np.bincount(inverse, np.concatenate([weights for _, weights in parts]), len(keys))


class CooccurrenceBatches:
    """All entries of a matrix of counts in another order in each epoch, `size` at a time: (rows, columns, counts).

    >>> X = cooccurrences([(np.array([0, 1, 2]), np.zeros(3, int))], 3, window=2)
    >>> [len(rows) for rows, columns, counts in CooccurrenceBatches(X, 4)]
    [4, 2]
    """

    def __init__(self, X: Cooccurrences, size: int, rng: np.random.Generator | None = None) -> None:
        self.X, self.size, self.rng = X, size, np.random.default_rng(0) if rng is None else rng

    def __len__(self) -> int:
        return -(-len(self.X.counts) // self.size)

    def __iter__(self) -> Iterator[Cooccurrences]:
        order = self.rng.permutation(len(self.X.counts))
        for some in blocks(len(order), entries=self.size):
            yield Cooccurrences(*(a[order[some]] for a in self.X))
