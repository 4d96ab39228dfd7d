"""The rows of a table that are nearest to a vector by cosine, chunk by chunk: no copy of the table is made.

The scores of a chunk are one matrix product in the table's own precision (float32 at least). How that rounds depends
on where in the chunk a row stands. So the best rows, and all that rounding may hide among them, are scored again in
float64, each in the same way: the result is that of a search in float64, and equal rows stand by their index.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..core import Array, blocks

CHUNK = 1 << 22  # scores that are computed together: of one query, those of 4 million rows
BLOCK = 1 << 13  # rows that are looked at together, whose numbers a cache holds


def row_norms(vectors: Array) -> Array:
    """Euclidean lengths.          vectors (V, D) -> (V,), summed in float64, in float32 or the table's wider dtype

    >>> row_norms(np.float32([[3, 4], [0, 0]]))
    array([5., 0.], dtype=float32)
    """
    norms = np.empty(len(vectors), _working(vectors))
    for some in blocks(len(vectors), entries=BLOCK):
        rows = vectors[some].astype(np.float64)
        with np.errstate(over="ignore"):  # beyond float32: infinity, which the caller refuses
            norms[some] = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return norms


def cosines(vectors: Array, norms: Array, queries: Array, start: int = 0, stop: int | None = None
            ) -> Iterator[tuple[int, Array]]:
    """Chunk by chunk, the index of its first row, and the cosines of its rows with some vectors.

        vectors (V, D), norms (V,) as of row_norms, queries (Q, D) of length 1 -> index, scores (Q, n)

    A zero vector has cosine 0 with everything.
    """
    dtype = _working(vectors)
    queries = queries.astype(dtype)
    tiny, stop = np.finfo(dtype).tiny, len(vectors) if stop is None else min(stop, len(vectors))
    step = max(1, CHUNK // max(len(queries), 1)) if vectors.dtype == dtype else BLOCK  # rows that are copied to convert
    for a in range(start, stop, step):
        b = min(a + step, stop)
        scores = queries @ vectors[a:b].astype(dtype, copy=False).T
        scores /= np.maximum(norms[a:b], tiny)
        yield a, scores


def exact_cosines(vectors: Array, ids: Array, query: Array) -> Array:
    """The cosines of some rows with one vector of length 1, in float64; the same bits wherever a row stands.

        vectors (V, D), ids (n,), query (D,) -> (n,)
    """
    scores = np.empty(len(ids))
    for some in blocks(len(ids), entries=BLOCK):
        rows = vectors[ids[some]].astype(np.float64)
        norms = np.sqrt((rows * rows).sum(1))
        scores[some] = (rows * query).sum(1) / np.where(norms == 0, 1, norms)
    return scores


def slack(vectors: Array) -> float:
    """How far two scores of `cosines` can at most be from where they are in exact arithmetic, together."""
    return float((vectors.shape[1] + 8) * np.finfo(_working(vectors)).eps)  # D roundings of eps / 2 in each dot product


def nearest(vectors: Array, norms: Array, queries: Array, k: int, start: int = 0, stop: int | None = None
            ) -> list[tuple[Array, Array]]:
    """For each query, the k rows in start … stop-1 with the largest cosines, best first; of equals the lower index.

        vectors (V, D), norms (V,) as of row_norms, queries (Q, D) of length 1 -> Q times: ids (k,), cosines (k,)

    Fewer than k where there are fewer rows.

    >>> table = np.float32([[1, 0], [0, 2], [3, 0], [-1, 0]])
    >>> nearest(table, row_norms(table), np.array([[1.0, 0.0]]), 3)
    [(array([0, 2, 1]), array([1., 1., 0.]))]
    """
    margin = slack(vectors)
    best = [(np.zeros(0, np.int64), np.zeros(0, _working(vectors)))] * len(queries)
    floors = [-np.inf] * len(queries)
    for first, scores in cosines(vectors, norms, queries, start, stop):
        for q, some in product(range(len(queries)), blocks(scores.shape[1], entries=BLOCK)):
            block = scores[q, some]
            hits = np.flatnonzero(block >= floors[q])
            if not hits.size:
                continue
            ids = np.concatenate((best[q][0], hits + (first + some.start)))
            values = np.concatenate((best[q][1], block[hits]))
            if ids.size > k:
                floors[q] = float(np.partition(values, -k)[-k]) - margin
                kept = values >= floors[q]
                ids, values = ids[kept], values[kept]
            best[q] = ids, values
    found = []
    for (ids, _), query in zip(best, queries):
        exact = exact_cosines(vectors, ids, query)
        order = np.lexsort((ids, -exact))[:k]
        found.append((ids[order], exact[order]))
    return found


def _working(vectors: Array) -> np.dtype[Any]:
    return np.result_type(vectors.dtype, np.float32)
