"""Recommenders from interactions: matrix factorisation, and BPR (Bayesian personalised ranking).

A user and an item are a vector each; their dot product, and what is said of each by itself, is how much the one wants
the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, as_ids, fresh_rng, no_grad
from ..data import Facts
from ..nn import Embedding, Module
from ..ops import bce_with_logits, linear, log_sigmoid, mse, softplus, vecdot
from ..vectors import as_pairs
from .negatives import are_wrong, drawn, shares


class Recommender(Module):
    """Base of the recommenders: a score for each user and item, higher for what the user wants.

        score(u, i) = p_u . q_i + c_i          users (…), items (…) ids, which broadcast -> (…)

    num_users, num_items, dim   the tables, (num_users, dim) and (num_items, dim), and a bias c for each item
    negatives   K items are drawn for a batch, and shared by its users, as what they do not have; repeats are dropped
    owned       pairs (N, 2) of user and item: what a user has is no negative. None: of a pair only its own item is not
    rng         draws the tables, and the negatives. In eval mode these are drawn from seed 0

    The gradient of `loss` is of the rows of the batch and the negatives alone.
    """

    def __init__(self, num_users: int, num_items: int, dim: int, *, negatives: int = 64, owned: Any = None,
                 rng: np.random.Generator | None = None) -> None:
        if negatives < 1:
            raise ValueError(f"negatives are 1 at least, not {negatives}")
        self.rng = fresh_rng() if rng is None else rng
        self.users, self.items = (Embedding(n, dim, std=0.1, rng=self.rng) for n in (num_users, num_items))
        self.item_bias = Embedding(num_items, 1, std=0.0, rng=self.rng)
        self.negatives = negatives
        self.owned = None
        if owned is not None and len(owned):
            pairs = as_pairs(owned)
            as_ids(pairs[:, 0], num_users, "the table of users")
            as_ids(pairs[:, 1], num_items, "the table of items")
            self.owned = Facts(np.insert(pairs, 1, 0, axis=1))

    def forward(self, users: Any, items: Any) -> Tensor:
        users, items = np.broadcast_arrays(users, items)
        return self._each(self._of(users), items)

    @no_grad()
    def scores(self, users: Any) -> Array:
        """The scores of all items: users (B,) -> (B, num_items)"""
        return self._all(self._of(users), self.items.weight, self.item_bias.weight).data

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Groups of parameters for an optimiser: the vectors decay, the biases do not, as how often an item is wanted
        is no matter of taste.

        >>> from tinyembed.optim import SGD
        >>> sgd = SGD(Recommender(3, 4, dim=2).groups(weight_decay=0.01), lr=0.1)
        >>> [(group.weight_decay, [p.shape for p in group.params]) for group in sgd.groups]
        [(0.01, [(3, 2), (4, 2)]), (0.0, [(4, 1)])]
        """
        vectors = [self.users.weight, self.items.weight]
        biases = [p for p in self.parameters() if p is not vectors[0] and p is not vectors[1]]
        return [{"params": vectors, "weight_decay": weight_decay}, {"params": biases, "weight_decay": 0.0}]

    def _of(self, users: Any) -> tuple[Tensor, Any]:
        """What is looked up of users, once for all of their scores: vectors (…, D), and a bias (…, 1) or 0."""
        return self.users(users), 0.0

    def _each(self, user: tuple[Tensor, Any], items: Any) -> Tensor:
        """The score of each user's own item: … vectors, items (…) -> (…)"""
        p, b = user
        return vecdot(p, self.items(items)) + (self.item_bias(items) + b)[..., 0]

    def _all(self, user: tuple[Tensor, Any], items: Tensor, bias: Tensor) -> Tensor:
        """The scores of all of some items for each user: B vectors, items (K, D), bias (K, 1) -> (B, K)"""
        p, b = user
        return linear(p, items, bias[:, 0]) + b

    def _scores(self, users: Array, items: Array) -> tuple[Tensor, Tensor, Array]:
        """Scores (B,) of what users have, scores (B, K) of items that were drawn, and what these weigh: 1 / B in a row,
        0 for what a user has."""
        users, items = np.asarray(users), np.asarray(items)
        if users.ndim != 1 or users.shape != items.shape:
            raise ValueError(f"pairs are users (B,) and items (B,), not {users.shape} and {items.shape}")
        k = drawn(self, self.items.num_embeddings)
        user = self._of(users)
        others = self._all(user, self.items(k), self.item_bias(k))
        wrong = are_wrong(self.owned, users, np.zeros_like(users), items, k)
        return self._each(user, items), others, shares(wrong, others.dtype)


class MatrixFactorisation(Recommender):
    """A table of ratings as the product of two narrow ones: rating ~ p_u . q_i + b_u + c_i + mean, b a bias for each
    user.

    loss       "squared": the mean of (score - rating)^2; "logistic": cross-entropy of ratings 0 … 1 with
               sigmoid(score). `loss(users, items, ratings)` is that of ratings (B,); without ratings, where all that is
               known is what a user has, these are 1, and 0 for the negatives, which weigh as much together
    mean       is added to each score: that of all ratings, say

    (Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems")

    >>> import tinyembed as te
    >>> users, items, ratings = np.array([[0, 0, 4], [0, 1, 2], [1, 0, 2], [1, 1, 1]]).T
    >>> model = MatrixFactorisation(2, 2, dim=1, mean=ratings.mean(), rng=np.random.default_rng(0))
    >>> history = te.train.fit(model, [(users, items, ratings)], te.optim.Adam(model.parameters(), lr=0.05), epochs=500,
    ...                        progress=False)
    >>> model.scores([0, 1]).round(2) + 0.0
    array([[4., 2.],
           [2., 1.]], dtype=float32)
    """

    def __init__(self, *sizes: int, objective: str = "squared", mean: float = 0.0, **options: Any) -> None:
        if objective not in ("squared", "logistic"):
            raise ValueError(f'the objective is "squared" or "logistic", not {objective!r}')
        super().__init__(*sizes, **options)
        self.user_bias = Embedding(self.users.num_embeddings, 1, std=0.0, rng=self.rng)
        self.objective, self.mean = objective, float(mean)

    def _of(self, users: Any) -> tuple[Tensor, Any]:
        return self.users(users), self.user_bias(users) + self.mean

    def loss(self, users: Array, items: Array, ratings: Array | None = None) -> Tensor:
        error = mse if self.objective == "squared" else bce_with_logits
        if ratings is not None:
            scores = self(users, items)
            return error(scores, Tensor(np.asarray(ratings, scores.dtype)))
        scores, others, weights = self._scores(users, items)
        wrong = others * others if self.objective == "squared" else softplus(others)
        return error(scores, Tensor(np.ones(scores.shape, scores.dtype))) + (wrong * weights).sum()


class BPR(Recommender):
    """Bayesian personalised ranking: what a user has is to score higher than what the user does not.

        loss = mean over pairs (u, i), and over items j that u does not have, of -log sigmoid(score(u, i) - score(u, j))

    What stands below what is learned, and not by which number: so it fits data that say what users have, and nothing of
    what they dislike. A user's bias would cancel, so there is none.
    (Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from implicit
    feedback")

    >>> import tinyembed as te
    >>> pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 3], [3, 2]])          # two tastes
    >>> model = BPR(4, 4, dim=4, owned=pairs, rng=np.random.default_rng(0))
    >>> history = te.train.fit(model, te.data.Batches(tuple(pairs.T), 7), te.optim.Adam(model.parameters(), lr=0.05),
    ...                        epochs=100, progress=False)
    >>> bool(model.scores([3])[0, 3] > model.scores([3])[0, :2].max())                      # user 3 lacks item 3
    True
    """

    def loss(self, users: Array, items: Array) -> Tensor:
        scores, others, weights = self._scores(users, items)
        return -(log_sigmoid(scores.reshape((-1, 1)) - others) * weights).sum()
