"""Two towers: user and item vectors from their features, trained to be near for pairs that go together.

What has a row of its own is known from its past alone. What is put together from features has a vector on its first
day, and the vectors of items can be searched like any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..core import Array, Tensor, as_ids, blocks, no_grad
from ..data import Facts
from ..nn import Dense, EmbeddingBag, Encoder, Module, Sequential
from ..ops import in_batch_softmax, l2_normalise, ragged, vecdot
from ..vectors import as_pairs
from .negatives import are_wrong


class Tower(Encoder):
    """A vector from a bag of features: the mean of their rows, and then layers.

        bags of ids 0 … num_features - 1, of any lengths -> (n, dim)

    num_features   rows in the table of features
    dim            of the vectors, and of the rows
    hidden         widths of layers with `activation` after the mean; another one without it leads back to dim. Without
                   any the mean is the vector

    `encode([[3, 1], [2]])` gives two vectors, `encode([3, 1])` one. An empty bag is a mean of zeros.
    IndexError for ids that are no features.

    >>> tower = Tower(5, dim=2, hidden=[4], rng=np.random.default_rng(0))
    >>> tower.encode([[0, 4], [2, 2, 3], []]).shape, tower.encode([0, 4]).shape
    ((3, 2), (2,))
    """

    def __init__(self, num_features: int, dim: int, hidden: Sequence[int] = (), activation: str = "relu", *,
                 rng: np.random.Generator | None = None) -> None:
        if dim < 1:
            raise ValueError(f"vectors have 1 number or more, not dim={dim}")
        widths = [dim, *hidden, dim] if hidden else []
        self.dim = dim
        self.rows = EmbeddingBag(num_features, dim, std=dim ** -0.5, rng=rng)
        self.layers = Sequential(*(Dense(a, b, "identity" if n == len(hidden) else activation, rng=rng)
                                   for n, (a, b) in enumerate(pairwise(widths))))

    def forward(self, ids: Any, offsets: Any) -> Tensor:
        """Bags end to end: ids (N,), offsets (B,), where each begins -> (B, dim)"""
        return self.layers(self.rows(ids, offsets))

    def is_item(self, items: Any) -> bool:
        return isinstance(items, (list, tuple, np.ndarray)) and len(items) > 0 and np.ndim(items[0]) == 0

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Array]:
        if prompt is not None:
            raise ValueError("a bag of features has no text for a prompt to stand before")
        return [as_ids(bag, self.rows.num_embeddings, "the table of features") for bag in items]

    def collate(self, prepared: list[Any]) -> tuple[Any, ...]:
        return Bags(prepared).of(np.arange(len(prepared)))


class Bags:
    """Bags of ids end to end: ids (N,); bag i is ids[starts[i]:starts[i + 1]].

    >>> Bags([[7, 8], [], [9]]).of(np.array([2, 0]))                    # ids, and where each bag begins
    (array([9, 7, 8]), array([0, 1]))
    """

    def __init__(self, bags: Iterable[Any], size: int | None = None) -> None:
        found = [np.asarray(bag, np.int64) if size is None else as_ids(bag, size, "the table of features")
                 for bag in bags]
        self.ids = np.concatenate([np.zeros(0, np.int64), *found])
        self.starts = np.cumsum([0, *map(len, found)])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, which: Array) -> tuple[Array, Array]:
        """Some bags: which (B,) -> their ids (N,), and where each begins in these (B,)"""
        return ragged(self.ids, self.starts, which)


class TwoTowers(Module):
    """How much a user wants an item: the cosine of the vectors that two towers make of their features.

        loss of pairs (u, i) = the mean of -log softmax over the items j of the batch of cos(x_u, y_j) / T - log q_j

    users, items                   a `Tower` each, whose vectors have one length
    user_features, item_features   a bag of feature ids for each user and each item. The user or item itself may be one
                                   of its features: then it has a row of its own, which its other features help
    temperature                    T
    owned                          pairs (N, 2) of user and item: what a user has is no negative, wherever it stands in
                                   a batch; and q_j is the share of item j in them. None: all items are as probable,
                                   and of a pair only its own item is no negative

    Items are negatives as often as they are positives of others, so the popular ones would be pushed away; that the
    logarithm of q is taken off makes good for it (`ops.in_batch_softmax`). It is not part of the score.
    A user or an item that came later has a vector all the same: `model.items.encode(bag, normalize_embeddings=True)`.
    (Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item recommendations")

    >>> rng = np.random.default_rng(0)
    >>> model = TwoTowers(Tower(4, 8, rng=rng), Tower(5, 8, rng=rng), [[0], [0, 1], [2, 3]], [[0, 1], [2], [3, 4]],
    ...                   owned=[[0, 1], [1, 1], [2, 0]])
    >>> model.loss(np.array([0, 2]), np.array([1, 0])).shape, model.scores([0, 1]).shape
    ((), (2, 3))
    """

    def __init__(self, users: Tower, items: Tower, user_features: Iterable[Any], item_features: Iterable[Any], *,
                 temperature: float = 0.05, owned: Any = None) -> None:
        if users.dim != items.dim or not 0 < temperature < np.inf:
            raise ValueError(f"the towers' vectors have one length, and the temperature is above 0, not {users.dim}, "
                             f"{items.dim} and {temperature}")
        self.users, self.items, self.temperature = users, items, temperature
        self.user_features = Bags(user_features, users.rows.num_embeddings)
        self.item_features = Bags(item_features, items.rows.num_embeddings)
        if not len(self.user_features) or not len(self.item_features):
            raise ValueError(f"there is nothing to choose from: {len(self.user_features)} users and "
                             f"{len(self.item_features)} items have features")
        self.owned, counts = None, np.ones(len(self.item_features), np.int64)
        if owned is not None and len(owned):
            pairs = as_pairs(owned)
            as_ids(pairs[:, 0], len(self.user_features), "the users that have features")
            as_ids(pairs[:, 1], len(self.item_features), "the items that have features")
            self.owned = Facts(np.insert(pairs, 1, 0, axis=1))
            counts = np.maximum(np.bincount(pairs[:, 1], minlength=len(counts)), 1)
        self.probability = counts / counts.sum()

    def forward(self, users: Any, items: Any) -> Tensor:
        """The scores of pairs: users (B,), items (B,) -> (B,)"""
        return vecdot(*(l2_normalise(x) for x in self._vectors(users, items)))

    def loss(self, users: Any, items: Any) -> Tensor:
        users, items = np.asarray(users), np.asarray(items)
        if users.ndim != 1 or users.shape != items.shape:
            raise ValueError(f"pairs are users (B,) and items (B,), not {users.shape} and {items.shape}")
        x, y = self._vectors(users, items)
        k, place = np.unique(items, return_inverse=True)
        wrong = are_wrong(self.owned, users, np.zeros_like(users), items, k)[:, place]  # (B, B)
        return in_batch_softmax(x, y, 1 / self.temperature, wrong, self.probability[items])

    @no_grad()
    def scores(self, users: Any) -> Array:
        """The scores of all items: users (B,) -> (B, I)"""
        x = l2_normalise(self.users(*self.user_features.of(as_ids(users, len(self.user_features), "the users"))))
        return x.data @ self.item_vectors().T

    @no_grad()
    def item_vectors(self) -> Array:
        """The vectors of all items, of length 1, to be searched: -> (I, D)"""
        every = np.arange(len(self.item_features))
        return np.concatenate([l2_normalise(self.items(*self.item_features.of(every[some]))).data
                               for some in blocks(len(every), self.items.dim)])

    def _vectors(self, users: Any, items: Any) -> list[Tensor]:
        """(B, D) each; who is in the batch twice goes through the tower once."""
        found = []
        for tower, bags, ids in (self.users, self.user_features, users), (self.items, self.item_features, items):
            ids, place = np.unique(as_ids(ids, len(bags), "those that have features"), return_inverse=True)
            found.append(tower(*bags.of(ids))[place])
        return found
