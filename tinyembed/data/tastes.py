"""Users and items of which is known what there is to learn: factors, and ratings and choices that are drawn from them.

Each user has a taste and each item a make-up, some numbers each. Their product is how much the one likes the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core import Array


@dataclass(frozen=True)
class Tastes:
    """What `planted_tastes` made.

    users (U, R), items (I, R)   the factors
    user_bias (U,), item_bias (I,)
    pairs (N, 2), ratings (N,)   who rated what, and how: pairs of user and item, each once, whoever likes what
    choices (M, 2)               what users took, by what they like: for models that learn from what users have alone
    """

    users: Array
    items: Array
    user_bias: Array
    item_bias: Array
    pairs: Array
    ratings: Array
    choices: Array

    def scores(self, users: Array) -> Array:
        """How much each likes everything, without noise: users (B,) -> (B, I). What no model can beat."""
        return self.users[users] @ self.items.T + self.user_bias[users, None] + self.item_bias


def planted_tastes(num_users: int = 200, num_items: int = 100, rank: int = 3, *, share: float = 0.3, noise: float = 0.1,
                   choices: int = 10, seed: int = 0) -> Tastes:
    """Make users and items with known factors; the same ones for the same seed.

        liking of u for i = p_u . q_i + b_u + c_i         p, q from N(0, 1) in R dimensions, b and c from N(0, 1)

    rank      R
    share     of all pairs is rated, drawn without regard to liking: rating = liking + noise * N(0, 1)
    choices   items that each user takes: one after the other, in proportion to e^liking, none twice

    Factors can be found again up to an invertible matrix A: p A and q A^-T have the same products. And up to their
    means, which biases can take over. Raises ValueError for settings that make no data.

    >>> tastes = planted_tastes(50, 20, rank=2, choices=4)
    >>> tastes.users.shape, tastes.pairs.shape, tastes.ratings.shape, tastes.choices.shape
    ((50, 2), (300, 2), (300,), (200, 2))
    """
    if min(num_users, num_items, rank) < 1 or not (0 <= share <= 1 and 0 <= noise < np.inf and
                                                    0 <= choices <= num_items):
        raise ValueError("there is at least 1 user, item and factor, share is in 0 … 1, noise 0 or more, and choices "
                         f"no more than items; got {num_users}, {num_items}, {rank}, {share}, {noise} and {choices}")
    rng = np.random.default_rng(seed)
    users, items = (rng.standard_normal((n, rank)) for n in (num_users, num_items))
    user_bias, item_bias = (rng.standard_normal(n) for n in (num_users, num_items))
    likings = users @ items.T + user_bias[:, None] + item_bias
    rated = np.sort(rng.choice(likings.size, round(share * likings.size), replace=False))
    pairs = np.stack(np.divmod(rated, num_items), 1)
    ratings = likings.reshape(-1)[rated] + noise * rng.standard_normal(len(rated))
    # The largest of likings + Gumbel noise, in order, is such a drawing without repeats.
    first = np.argsort(-likings - rng.gumbel(size=likings.shape), axis=1)[:, :choices]
    taken = np.stack([np.repeat(np.arange(num_users), choices), first.reshape(-1)], 1)
    return Tastes(users, items, user_bias, item_bias, pairs, ratings, taken)
