"""Evaluation of recommenders (recall, NDCG, coverage), and baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, as_ids, as_integers, blocks
from ..data import Facts

SCORES = 1 << 21  # that are looked at together


def evaluate_recommendations(model: Any, train: Any, test: Any, top_k: int = 10) -> dict[str, float]:
    """How well a model names what users want: for each user of `test`, the top_k items that the user does not have.

    model         has `scores(users)`, ids (B,) -> (B, I), a score of all items for each
    train, test   pairs (N, 2) of user and item: what users have, and what of the rest they want

    With k for top_k, the mean over the users of test of

        recall@k     the share of what the user wants that is named
        ndcg@k       sum over the named that are wanted of 1 / log2(1 + place), over the most that it can be
        coverage@k   the share of all items that is named to anybody: 1 / I times k if all are told the same

    Of items with one score the lower id is first. Raises ValueError for what are no pairs, for top_k below 1, and for
    scores that are NaN. (Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques")

    >>> train, test = [[0, 0], [1, 1], [1, 0]], [[0, 1]]
    >>> evaluate_recommendations(Popularity(train, 3), train, test, top_k=1)
    {'recall@1': 1.0, 'ndcg@1': 1.0, 'coverage@1': 0.3333333333333333}
    """
    if top_k < 1:
        raise ValueError(f"top_k is 1 at least, not {top_k}")
    train, test = as_pairs(train), as_pairs(test)
    if not len(test):
        raise ValueError("there is no pair to judge by")
    have, want = (Facts(np.insert(pairs, 1, 0, axis=1)) for pairs in (train, test))
    users = np.unique(test[:, 0])
    num_items = model.scores(users[:1]).shape[1]
    train, test = as_pairs(train, num_items), as_pairs(test, num_items)
    k = min(top_k, num_items)
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0], np.cumsum(gains)])
    recall, ndcg, named = [], [], np.zeros(num_items, bool)
    for some in blocks(len(users), num_items, SCORES):
        asked = users[some]
        scores = np.array(model.scores(asked), np.float64)
        if np.isnan(scores).any():
            raise ValueError("the model has scores that are NaN")
        scores[have.answers(asked, np.zeros_like(asked))] = -np.inf
        top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        wanted = np.zeros(scores.shape, bool)
        wanted[want.answers(asked, np.zeros_like(asked))] = True
        hits = np.take_along_axis(wanted, top, 1) & (np.take_along_axis(scores, top, 1) > -np.inf)
        count = wanted.sum(1)
        recall.append(hits.sum(1) / count)
        ndcg.append(hits @ gains / best[np.minimum(count, k)])
        named[top[np.take_along_axis(scores, top, 1) > -np.inf]] = True
    found = {"recall": np.concatenate(recall), "ndcg": np.concatenate(ndcg), "coverage": named}
    return {f"{name}@{top_k}": float(values.mean()) for name, values in found.items()}


class Popularity:
    """The baseline that tells everybody the same: the score of an item is how many have it.

    >>> Popularity([[0, 1], [1, 1], [1, 0]], 3).scores([0, 1]).tolist()
    [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]
    """

    def __init__(self, pairs: Any, num_items: int) -> None:
        self.counts = np.bincount(as_pairs(pairs, num_items)[:, 1], minlength=num_items).astype(np.float64)

    def scores(self, users: Any) -> Array:
        """users (B,) -> (B, I)"""
        return np.tile(self.counts, (len(users), 1))


class ItemCosine:
    """The baseline "who has this also has that": the score of an item is the sum of its cosines with what a user has,
    where an item is the vector of who has it. Memory is a matrix (I, I).

    >>> ItemCosine([[0, 0], [0, 1], [1, 0]], 3).scores([1]).round(3).tolist()
    [[1.0, 0.707, 0.0]]
    """

    def __init__(self, pairs: Any, num_items: int) -> None:
        pairs = np.unique(as_pairs(pairs, num_items), axis=0)
        self.have = Facts(np.insert(pairs, 1, 0, axis=1))
        together = np.zeros((num_items, num_items))
        starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        for items in np.split(pairs[:, 1], starts[1:]):
            together[np.ix_(items, items)] += 1
        lengths = np.sqrt(np.maximum(np.diag(together), 1))
        self.cosines = together / lengths[:, None] / lengths

    def scores(self, users: Any) -> Array:
        """users (B,) -> (B, I)"""
        user, item = self.have.answers(users, np.zeros(len(users), np.int64))
        owned = np.zeros((len(users), len(self.cosines)))
        owned[user, item] = 1
        return owned @ self.cosines


class ItemMean:
    """Scores from vectors of items (I, D), such as ItemToVec's: a user is the mean of what the user has, each vector
    divided by its length, and the score of an item is its cosine with that. It is what `KeyedVectors.most_similar` says
    of several keys. A user that has nothing, and an item whose vector is zero, have scores of 0. How popular an item is
    does not count here, so that `Popularity` may name more of what users want.

    >>> ItemMean([[2, 0], [0, 1], [3, 3]], [[0, 0], [1, 0], [1, 1]]).scores([0, 1]).round(3).tolist()
    [[1.0, 0.0, 0.707], [0.707, 0.707, 1.0]]
    """

    def __init__(self, vectors: Any, pairs: Any) -> None:
        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ValueError(f"vectors are finite, (I, D), a row for each item of the pairs, not {vectors.shape}")
        pairs = as_pairs(pairs, len(vectors))
        self.units = _units(vectors)
        self.have = Facts(np.insert(pairs, 1, 0, axis=1))

    def scores(self, users: Any) -> Array:
        """users (B,) -> (B, I)"""
        user, item = self.have.answers(users, np.zeros(len(users), np.int64))
        sums = np.zeros((len(users), self.units.shape[1]))
        np.add.at(sums, user, self.units[item])
        return _units(sums) @ self.units.T


def _units(X: Array) -> Array:
    """Each row of length 1, but a row of zeros stays one."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(lengths > 0, lengths, 1)


def as_pairs(pairs: Any, num_items: int | None = None) -> Array:
    """ids (N, 2) of user and item as int64; ValueError for what is none, IndexError for an item beyond num_items."""
    ids = as_integers(pairs)
    if ids.ndim != 2 or ids.shape[1] != 2 or ids.min(initial=0) < 0:
        raise ValueError(f"pairs are ids (N, 2) of user and item, none below 0, not {ids.shape}")
    if num_items is not None:
        as_ids(ids[:, 1], num_items, "the items")
    return ids.astype(np.int64, copy=False)
