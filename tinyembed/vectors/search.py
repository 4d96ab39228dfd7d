"""Exact nearest neighbour search, chunk by chunk; the table is never copied.

    cos_sim     q·x / (|q| |x|), 0 where one of them is zero
    dot         q·x
    euclidean   -|q - x|

The scores of a chunk are one matrix product for all queries, in the table's own precision (float32 at least). How that
rounds depends on where in the chunk a row stands. So each row that may be among the best, for all that rounding can
hide, is scored again in float64, always in the same way: the result is that of a search in float64, and equal rows
stand by their index. Few rows are scored twice: after n rows, the next one has a chance of about k / n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..core import Array, blocks

SCORES = ("cos_sim", "dot", "euclidean")
CHUNK = 1 << 20  # scores that are computed together
ROWS = 1 << 16  # rows of a chunk, at the most: of the first chunk more than k rows are scored twice, or sorted
QUERIES = 256  # that go through the table together
LEAST, MOST = 1e-12, 1e12  # between these lengths, neither products nor squares leave the range of float32
Found = list[tuple[Array, Array]]  # for each query ids (k,) and scores (k,), best first


def nearest(vectors: Array, norms: Array | None, queries: Array, k: int, start: int = 0, stop: int | None = None,
            score: str = "cos_sim") -> Found:
    """For each query, the k rows in start … stop-1 that score highest, best first; of equals the lower index.

        vectors (V, D), norms (V,) as of row_norms, queries (Q, D) in float64 -> Q times: ids (k,), scores (k,)

    Without norms, they are computed on the way, and a row that is not finite raises ValueError. For "cos_sim" queries
    have length 1, or 0. Fewer than k where there are fewer rows.

    >>> table = np.float32([[1, 0], [0, 2], [3, 0], [-1, 0]])
    >>> nearest(table, row_norms(table), np.array([[1.0, 0.0]]), 3)
    [(array([0, 2, 1]), array([1., 1., 0.]))]
    """
    if not 0 < len(queries) <= QUERIES:
        return [pair for some in blocks(len(queries), entries=QUERIES)
                for pair in nearest(vectors, norms, queries[some], k, start, stop, score)]
    squares = (queries * queries).sum(1)

    def exact(who: Array, ids: Array, _: Array) -> Array:
        return exact_scores(vectors, ids, queries, who, score)

    def value(scores: Array) -> Array:
        """What stands in a chunk for such scores: |q - x|^2 = |q|^2 - 2 (q·x - |x|^2 / 2)."""
        return (squares - scores * scores) / 2 if score == "euclidean" else scores

    return collect(chunks(vectors, norms, queries, start, stop, score), len(queries), k, exact, value)


def collect(parts: Iterable[tuple[int, Array, Array]], Q: int, k: int,
            exact: Callable[[Array, Array, Array], Array] = lambda who, ids, values: values,
            value: Callable[[Array], Array] = lambda scores: scores) -> Found:
    """The k best rows of each query out of chunks (first row, values (Q, n), slack (Q,)), without sorting them all.

    exact   (queries (n,), rows (n,), their values) -> scores; a value is off by the slack of its query at the most
    value   scores (Q,) -> values
    """
    who = ids = np.zeros(0, np.int64)
    scores, floors, room = np.zeros(0), np.full(Q, -np.inf), 0
    for first, values, slack in parts:
        n = values.shape[1]
        least = value(floors) - slack
        if n > k and floors[0] == -np.inf:  # nothing to compare with: the best of this chunk itself
            least = np.partition(values, n - k, axis=1)[:, n - k] - 2 * slack
        hits = np.flatnonzero(values >= least.astype(values.dtype)[:, None])
        new, rows = np.divmod(hits, n)
        who, ids = np.concatenate((who, new)), np.concatenate((ids, rows + first))
        scores = np.concatenate((scores, exact(new, rows + first, values.ravel()[hits])))
        if len(who) >= room:  # at once, and then when as many have come as were left
            who, ids, scores = _best(who, ids, scores, k)
            room = 2 * len(who)
            if len(who) == Q * k:
                floors = scores[k - 1::k]
    _, ids, scores = _best(who, ids, scores, k)
    return list(zip(ids.reshape(Q, -1), scores.reshape(Q, -1)))


def _best(who: Array, ids: Array, scores: Array, k: int) -> tuple[Array, Array, Array]:
    """Sorted by query, and of each query the k best, best first."""
    order = np.lexsort((ids, -scores, who))
    place = np.arange(len(who)) - np.searchsorted(who[order], who[order])
    order = order[place < k]
    return who[order], ids[order], scores[order]


def chunks(vectors: Array, norms: Array | None, queries: Array, start: int = 0, stop: int | None = None,
           score: str = "cos_sim") -> Iterator[tuple[int, Array, Array]]:
    """Chunk by chunk: its first row, a value for each query and row, and how far those of a query may be off.

        vectors (V, D), norms (V,) or None, queries (Q, D) -> first, values (Q, n), slack (Q,)

        cos_sim   q·x / |x|        dot   q·x        euclidean   q·x - |x|^2 / 2, the larger the nearer
    """
    stop = len(vectors) if stop is None else min(stop, len(vectors))
    lengths = np.sqrt((queries * queries).sum(1))
    for some in blocks(max(stop - start, 0), entries=min(ROWS, CHUNK // max(len(queries), 1))):
        a, b = some.start + start, some.stop + start
        rows, long = vectors[a:b], _quick_norms(vectors[a:b], a) if norms is None else norms[a:b]
        wide = _extreme(lengths) or _extreme(long)  # then float32 would lose digits
        values = _product(queries, rows, np.dtype(np.float64) if wide else long.dtype)
        largest = float(long.max())
        if score == "cos_sim":
            values /= np.maximum(long, np.finfo(long.dtype).tiny)
            reach = lengths
        elif score == "dot":
            reach = lengths * largest
        else:
            values -= long.astype(values.dtype) ** 2 / 2
            reach = (lengths + largest) ** 2
        if norms is not None and not np.isfinite(values).all():
            finite_norms(rows, a)  # the table was written into after its norms were taken
        yield a, values, slack(vectors) * reach


def _quick_norms(rows: Array, first: int) -> Array:
    """finite_norms, but of ordinary rows in float32, whose rounding the slack covers as well."""
    if rows.dtype == np.float32:
        squares = np.einsum("nd,nd->n", rows, rows)
        if squares.min() > LEAST * LEAST and squares.max() < MOST * MOST:
            return np.sqrt(squares)
    return finite_norms(rows, first)


def _product(queries: Array, rows: Array, dtype: np.dtype[Any]) -> Array:
    """queries @ rows.T; rows of another dtype are converted some at a time."""
    queries = queries.astype(dtype)
    if rows.dtype == dtype:
        return queries @ rows.T
    D = rows.shape[1]
    return np.concatenate([queries @ rows[some].astype(dtype).T for some in blocks(len(rows), D, CHUNK)], axis=1)


def _extreme(lengths: Array) -> bool:
    return bool(((lengths > MOST) | ((lengths < LEAST) & (lengths > 0))).any())


def exact_scores(vectors: Array, ids: Array, queries: Array, who: Array | int = 0, score: str = "cos_sim") -> Array:
    """The scores of some rows, each with a query, in float64; the same bits wherever a row stands.

        vectors (V, D), ids (n,), queries (Q, D), who (n,): which query each row goes with -> (n,)
    """
    scores, who = np.empty(len(ids)), np.broadcast_to(who, len(ids))
    for some in blocks(len(ids), vectors.shape[1]):
        rows, asked = vectors[ids[some]].astype(np.float64, order="C"), queries[who[some]]
        if score == "euclidean":
            scores[some] = -np.sqrt(((rows - asked) ** 2).sum(1))
            continue
        scores[some] = (rows * asked).sum(1)
        if score == "cos_sim":
            norms = np.sqrt((rows * rows).sum(1))
            scores[some] /= np.where(norms == 0, 1, norms)
    return scores


def row_norms(vectors: Array) -> Array:
    """Euclidean lengths.          vectors (V, D) -> (V,), summed in float64, in float32 or the table's wider dtype

    >>> row_norms(np.float32([[3, 4], [0, 0]]))
    array([5., 0.], dtype=float32)
    """
    norms = np.empty(len(vectors), _working(vectors))
    for some in blocks(*vectors.shape):
        rows = vectors[some].astype(np.float64)
        with np.errstate(over="ignore"):  # beyond float32: infinity, which the caller refuses
            norms[some] = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return norms


def finite_norms(vectors: Array, first: int = 0) -> Array:
    """The same; ValueError for a row that is not finite. Rows are counted from `first`."""
    norms = row_norms(vectors)
    if not np.isfinite(norms).all():
        i = int(np.argmin(np.isfinite(norms)))
        raise ValueError(f"row {first + i} is not finite, or too long for {norms.dtype}: {vectors[i]}")
    return norms


def slack(vectors: Array) -> float:
    """How far two cosines in the table's precision can at most be from where they are in exact arithmetic, together."""
    return float((vectors.shape[1] + 8) * np.finfo(_working(vectors)).eps)  # D roundings of eps / 2 in each dot product


def _working(vectors: Array) -> np.dtype[Any]:
    return np.result_type(vectors.dtype, np.float32)
