"""Evaluation of retrieval: recall, MRR and NDCG, of vectors or of any ranking; rank fusion."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core import Array
from .semantic import check_top_k, semantic_search

Texts = Sequence[str] | Mapping[Any, str]
Relevant = Sequence[Collection[Any]] | Mapping[Any, Collection[Any]]


def evaluate_retrieval(encoder: Any, queries: Texts, relevant: Relevant, corpus: Texts,
                       top_ks: Iterable[int] = (1, 5, 10), score: str = "cos_sim") -> dict[str, float]:
    """How well an encoder's vectors find the texts that answer queries: a way to choose between models on your data.

    encoder    anything with encode(list of str) -> (n, d)
    queries    a list of texts, or a dict id -> text
    relevant   for each query the ids of the texts that answer it: a list of sets, in the order of the queries; or a
               dict, query -> set. In a list of texts, the id of a text is its index.
    corpus     a list of texts, or a dict id -> text
    top_ks     for which k recall is wanted; the other two take the largest
    score      as in `semantic_search`

    Returns `retrieval_scores` of the texts that score highest. Queries that no text answers are left out, as
    sentence-transformers' InformationRetrievalEvaluator does. Raises ValueError for ids that are not there, and if no
    query is left; TypeError for texts that are none, and for a string where a set of ids is due.

    >>> class Letters:
    ...     def encode(self, texts):
    ...         return np.array([[text.count(letter) for letter in "abc"] for text in texts])
    >>> evaluate_retrieval(Letters(), ["ab", "c"], [{0}, {1, 2}], ["aab", "b", "cc"], top_ks=[1, 2])
    {'recall@1': 0.75, 'recall@2': 0.75, 'mrr@2': 1.0, 'ndcg@2': 0.80...}
    """
    query_ids, asked = _texts(queries, "queries")
    text_ids, texts = _texts(corpus, "corpus")
    answers = _answers(relevant, query_ids, text_ids)
    ks = _top_ks(top_ks)
    kept = [i for i, answer in enumerate(answers) if answer]
    if not kept:
        raise ValueError("no query has a text that answers it")
    vectors: list[Array] = [np.asarray(encoder.encode(some)) for some in ([asked[i] for i in kept], texts)]
    found = semantic_search(vectors[0], vectors[1], max(ks), score)
    ranked = [[text_ids[int(hit["corpus_id"])] for hit in hits] for hits in found]
    return retrieval_scores(ranked, [answers[i] for i in kept], ks)


def retrieval_scores(ranked: Sequence[Sequence[Hashable]], relevant: Sequence[Collection[Hashable]],
                     top_ks: Iterable[int] = (1, 5, 10)) -> dict[str, float]:
    """What lists of ids, best first, are worth: means over queries. R are the ids that answer a query, K = max top_ks.

        recall@k   |first k of the list in R| / |R|
        mrr@K      1 / place of the first in R, counted from 1; 0 if it is not among the first K
        ndcg@K     sum of 1 / log2(1 + place) over the first K in R, divided by the same of a list that begins with R

    Queries with an empty R are left out. Raises ValueError if none is left, for lists of another number than the
    queries, for an id twice in a list, and for k < 1. (Järvelin and Kekäläinen 2002, with gains of 0 and 1)

    >>> retrieval_scores([["a", "b", "c"]], [{"b", "z"}], top_ks=[1, 3])
    {'recall@1': 0.0, 'recall@3': 0.5, 'mrr@3': 0.5, 'ndcg@3': 0.38...}
    """
    ks = _top_ks(top_ks)
    if len(ranked) != len(relevant):
        raise ValueError(f"{len(ranked)} lists of ids, and {len(relevant)} queries")
    longest = max(map(len, [*ranked, *relevant]), default=0)  # places beyond it have nobody
    gains = 1 / np.log2(np.arange(2, min(max(ks), longest) + 2))
    rows = []
    for ids, answer in zip(ranked, relevant):
        if len(set(ids)) < len(ids):
            raise ValueError(f"an id stands twice in {list(ids)[:20]}")
        if isinstance(answer, (str, bytes)):
            raise TypeError(f"expected a set of ids that answer a query, got the string {answer!r}")
        answer = set(answer)
        if not answer:
            continue
        right = np.array([i in answer for i in ids[:max(ks)]], bool)
        first = 1 / (1 + int(right.argmax())) if right.any() else 0.0
        gain = float(gains[:len(right)][right].sum() / gains[:len(answer)].sum())
        rows.append([*(int(right[:k].sum()) / len(answer) for k in ks), first, gain])
    if not rows:
        raise ValueError("no query has a text that answers it")
    names = [*(f"recall@{k}" for k in ks), f"mrr@{max(ks)}", f"ndcg@{max(ks)}"]
    return dict(zip(names, np.mean(rows, axis=0).tolist()))


def fuse_ranks(rankings: Iterable[Sequence[Any]], k: int = 60) -> list[Any]:
    """One list of ids out of several for the same query: sorted by the sum of 1 / (k + place), places counted from 1.

    Of equals, the one that came first. A list says nothing of ids that it lacks. (Reciprocal rank fusion, Cormack et
    al. 2009)

    >>> fuse_ranks([["a", "b", "c"], ["b", "d"]])
    ['b', 'a', 'd', 'c']
    """
    total: dict[Any, float] = {}
    for ranking in rankings:
        for place, i in enumerate(ranking, 1):
            total[i] = total.get(i, 0.0) + 1 / (k + place)
    return sorted(total, key=lambda i: -total[i])


def _texts(texts: Texts, what: str) -> tuple[list[Any], list[str]]:
    """Ids and texts."""
    if isinstance(texts, str):
        raise TypeError(f"{what} must be a list of texts, or a dict of ids and texts, got the string {texts[:50]!r}")
    ids, found = (list(texts), list(texts.values())) if isinstance(texts, Mapping) else (range(len(texts)), list(texts))
    for i, text in zip(ids, found):
        if not isinstance(text, str):
            raise TypeError(f"{what}: {i!r} is a {type(text).__name__}, where a text was expected")
    return list(ids), found


def _answers(relevant: Relevant, query_ids: list[Any], text_ids: list[Any]) -> list[set[Any]]:
    """For each query, the ids that answer it."""
    known = set(text_ids)
    if isinstance(relevant, Mapping):
        asked = set(query_ids)
        if strange := [i for i in relevant if i not in asked]:
            raise ValueError(f"relevant has {strange[0]!r}, which is no query")
        given = [relevant.get(i, ()) for i in query_ids]
    else:
        given = list(relevant)
        if len(given) != len(query_ids):
            raise ValueError(f"relevant has {len(given)} sets of ids, for {len(query_ids)} queries")
    for i, answer in zip(query_ids, given):
        if isinstance(answer, (str, bytes)) or not isinstance(answer, Collection):
            raise TypeError(f"relevant: query {i!r} has {answer!r}, where a set of ids was expected")
        if strange := [j for j in answer if j not in known]:
            raise ValueError(f"relevant: query {i!r} is answered by {strange[0]!r}, which is no id of the corpus")
    return [set(answer) for answer in given]


def _top_ks(top_ks: Iterable[int]) -> list[int]:
    ks = sorted(set(top_ks))
    for k in ks:
        check_top_k(k)
    if not ks:
        raise ValueError("top_ks is empty")
    return ks
