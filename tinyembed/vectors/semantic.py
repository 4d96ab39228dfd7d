"""semantic_search, in sentence-transformers' form; several vectors of one text vote."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, blocks
from .search import SCORES, Found, nearest


def semantic_search(queries: Any, corpus: Any, top_k: int = 10, score: str = "cos_sim"
                    ) -> list[list[dict[str, float]]]:
    """For each query, the vectors of the corpus that score highest, best first; of equals the lower index.

        queries (Q, d) or (d,), corpus (N, d) -> Q lists of top_k times {"corpus_id": index, "score": float}

    score   "cos_sim", "dot" or "euclidean" (-|q - x|)

    The result is sentence-transformers' (`util.semantic_search`), the scores are those of float64. The corpus may have
    float16, float32 or float64 and may be mapped from a file; beside it, a search takes a few MiB.

    Several vectors of one text, such as those that the heads of an attention layer give it:

        queries (Q, H, d) or (H, d), corpus (N, H, d) -> as above, a score being a sum of votes

    Each head lists its top_k texts by `score`, and votes: the text at place p = 0, 1, … of head h gets s_h 2^-p. A head
    counts by how long its vectors are and how far apart: s_h = mean |x_nh| * mean (1 - cos(x_nh, x_mh)), over all
    n, m. (Multi-Head RAG, Besta et al. 2024)

    Raises ValueError for shapes that do not go together, an unknown score, top_k < 1, and NaN or infinity, with the
    row; TypeError for what is no array of numbers.

    >>> semantic_search([2, 0], [[0, 3], [5, 0], [3, 4]], top_k=2)
    [[{'corpus_id': 1, 'score': 1.0}, {'corpus_id': 2, 'score': 0.6}]]
    """
    corpus = as_table(corpus, "corpus")
    several = corpus.ndim == 3
    shape = "(N, H, d)" if several else "(N, d)"
    if corpus.ndim not in (2, 3):
        raise ValueError(f"a corpus is (N, d), or (N, H, d) with several vectors of each text, got {corpus.shape}")
    queries = as_queries(queries, corpus.shape[1:], score, f"the corpus {shape} {corpus.shape}")
    check_top_k(top_k)
    found = _vote(queries, corpus, top_k, score) if several else nearest(corpus, None, queries, top_k, score=score)
    return as_dicts(found)


def _vote(queries: Array, corpus: Array, k: int, score: str) -> Found:
    """Every head searches by itself and votes.          queries (Q, H, d), corpus (N, H, d)"""
    votes: list[dict[int, float]] = [{} for _ in queries]
    for h in range(corpus.shape[1]):
        weight = _spread(corpus[:, h])
        for given, (ids, _) in zip(votes, nearest(corpus[:, h], None, queries[:, h], k, score=score)):
            for p, i in enumerate(ids.tolist()):
                given[i] = given.get(i, 0.0) + weight * 2.0 ** -p
    ranked = [sorted(given.items(), key=lambda item: (-item[1], item[0]))[:k] for given in votes]
    return [(np.array([i for i, _ in best], int), np.array([vote for _, vote in best], float)) for best in ranked]


def _spread(vectors: Array) -> float:
    """mean |x_n| * mean (1 - u_n·u_m) over all n, m, with u = x / |x|: the second is 1 - |mean u|^2."""
    length, total = 0.0, np.zeros(vectors.shape[1])
    for some in blocks(len(vectors), vectors.shape[1]):
        rows = vectors[some].astype(np.float64)
        norms = np.sqrt((rows * rows).sum(1))
        length += float(norms.sum())
        total += (rows / np.where(norms == 0, 1, norms)[:, None]).sum(0)
    return length / max(len(vectors), 1) * max(0.0, float(1 - ((total / max(len(vectors), 1)) ** 2).sum()))


def as_table(vectors: Any, what: str) -> Array:
    """An array of floats, not copied if it is one; integers become float32."""
    table = np.asarray(vectors)
    if table.dtype.kind in "iub":
        table = table.astype(np.float32)
    if table.dtype.kind != "f" or table.dtype.itemsize > 8:
        raise TypeError(f"{what} must be an array of numbers in at most float64, got {table.dtype}")
    return table


def as_queries(queries: Any, shape: tuple[int, ...], score: str, beside: str) -> Array:
    """Queries (Q, *shape) in float64, divided by their lengths for "cos_sim"; one alone becomes (1, *shape)."""
    if score not in SCORES:
        raise ValueError(f"score is {score!r}; there are " + ", ".join(SCORES))
    asked = as_table(queries, "queries").astype(np.float64)
    asked = asked[None] if asked.ndim == len(shape) else asked
    if asked.shape[1:] != shape or asked.ndim != len(shape) + 1 or 0 in shape:
        raise ValueError(f"queries {np.shape(queries)} do not go with {beside}: all but the first axis must be equal, "
                         "and not empty")
    if not np.isfinite(asked).all():
        i = int(np.argmin(np.isfinite(asked).reshape(len(asked), -1).all(1)))
        raise ValueError(f"query {i} is not finite: {asked[i]}")
    if score != "cos_sim" and np.abs(asked).max(initial=0) > 1e150:
        raise ValueError("queries with numbers beyond 1e150, whose squares no float can hold: divide them first")
    if score == "cos_sim":
        asked /= np.maximum(np.abs(asked).max(-1, keepdims=True), np.finfo(np.float64).tiny)  # squares stay finite
        lengths = np.sqrt((asked * asked).sum(-1, keepdims=True))
        asked /= np.where(lengths == 0, 1, lengths)
    return asked


def check_top_k(top_k: int) -> None:
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")


def as_dicts(found: Found) -> list[list[dict[str, float]]]:
    return [[{"corpus_id": i, "score": s} for i, s in zip(ids.tolist(), scores.tolist())] for ids, scores in found]
