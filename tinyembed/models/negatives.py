"""Wrong answers that all examples of a batch share: how they are drawn, for which examples they are right ones, and
the losses that tell them from the right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array, Tensor
from ..data import Facts
from ..ops import relu, softplus

Objective = Callable[[Tensor, Tensor, Array], Tensor]  # scores (B,), of negatives (B, K), which are wrong (B, K) -> ()


def drawn(model: Any, n: int) -> Array:
    """About `model.negatives` of the ids 0 … n - 1, in ascending order: repeats are dropped. Drawn from the model's
    generator, or in eval mode from seed 0, so that looking at a loss does not change what is drawn next. No more are
    drawn than 64 n, of which one id is missing once in e^64 / n times. ValueError for fewer than one."""
    if model.negatives < 1:
        raise ValueError(f"negatives are 1 at least, not {model.negatives}")
    rng = model.rng if model.training else np.random.default_rng(0)
    return np.unique(rng.integers(n, size=min(model.negatives, 64 * n)))


def are_wrong(facts: Facts | None, ids: Array, relations: Array, answers: Array, k: Array, back: bool = False) -> Array:
    """(B, K): whether k[j] (K,), ascending, in the place of the answer (B,) makes of example i one that is no fact.

    >>> are_wrong(Facts([[7, 0, 1], [7, 0, 2]]), np.array([7]), np.array([0]), np.array([1]), np.array([0, 1, 2, 3]))
    array([[ True, False, False,  True]])
    """
    wrong = k != answers[:, None]
    if facts is not None and len(k):
        example, entity = facts.answers(ids, relations, back)
        place = np.minimum(np.searchsorted(k, entity), len(k) - 1)
        hit = k[place] == entity
        wrong[example[hit], place[hit]] = False
    return wrong


def shares(wrong: Array, dtype: Any) -> Array:
    """(B, K): what a negative weighs in a mean over examples and over those that are wrong: 1 / B, divided among these.

    >>> shares(np.array([[True, False], [True, True]]), np.float64)
    array([[0.5 , 0.  ],
           [0.25, 0.25]])
    """
    return wrong * (1 / np.maximum(wrong.sum(1, keepdims=True) * len(wrong), 1)).astype(dtype)


def margin_loss(positive: Tensor, negatives: Tensor, wrong: Array, margin: float = 1.0) -> Tensor:
    """The mean over i, and over the j that are wrong, of max(0, margin - positive_i + negatives_ij)

        positive (B,) scores of facts, negatives (B, K), wrong (B, K): which of these are no facts -> one number

    A fact is to score higher than what is none by the margin; then it has learned enough. (Bordes et al. 2013)

    >>> margin_loss(Tensor([2.0]), Tensor([[1.5, 0.0, 9.0]]), np.array([[True, True, False]])).item()
    0.25
    """
    return (relu(negatives - (positive - margin).reshape((-1, 1))) * shares(wrong, negatives.dtype)).sum()


def logistic_loss(positive: Tensor, negatives: Tensor, wrong: Array, margin: float = 0.0, adversarial: float = 0.0
                  ) -> Tensor:
    """The mean over i of -log s(margin + positive_i) - sum_j p_ij log s(-margin - negatives_ij), s the sigmoid

        positive (B,) scores of facts, negatives (B, K), wrong (B, K): which of these are no facts -> one number

    p_ij is the same for all j that are wrong, or proportional to e^(adversarial * negatives_ij), as a constant: what
    the model takes for a fact teaches more than the rest ("self-adversarial", Sun et al. 2019). As scores, distances
    are below 0; the margin is where true and false part. (Trouillon et al. 2016, with margin 0)

    >>> logistic_loss(Tensor([0.0]), Tensor([[0.0, 5.0]]), np.array([[True, False]])).item()
    1.386294...
    """
    p = shares(wrong, negatives.dtype)
    if adversarial:
        z = np.where(wrong, negatives.data * adversarial, -np.inf)
        e = np.exp(z - np.maximum(z.max(1, keepdims=True, initial=-np.inf), np.finfo(z.dtype).min))
        p = e / np.maximum(e.sum(1, keepdims=True) * len(e), np.finfo(z.dtype).tiny)
    return softplus(-(positive + margin)).mean() + (softplus(negatives + margin) * p).sum()
