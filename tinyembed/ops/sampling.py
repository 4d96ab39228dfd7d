"""Losses over a sample of the vocabulary, so that a step's cost does not depend on V: negative sampling, the loss of
Word2Vec, for many words against the same rows at a time; and sampled softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, as_ids, primitive
from .elementwise import where
from .floats import floats
from .linalg import linear, vecdot
from .lookup import embedding
from .losses import cross_entropy
from .shape import concatenate, reshape

FAR = 80.0  # exp of it is finite in float32, and softplus(-FAR) is 0 to the last digit of any sum


@primitive
def negative_sampling(x: Array, z: Array, weights: Array) -> ValueAndVjp:
    """L = sum over b, i, j of  |a| softplus(-sign(a) x_i . z_j)      a = weights[b, i, j], softplus(t) = log(1 + e^t)

        x (B, S, D), z (B, Q, D), weights (B, S, Q), constants -> one number

    Logistic regression on dot products: pairs with a > 0 were seen and are to have large products, pairs with a < 0
    were drawn at random and are to have small ones; a = 0 is no pair. The products of a block are one matrix product,
    whatever number of them are pairs. Gradient: with u = -a sigmoid(-sign(a) x_i . z_j), of x_i the sum of u z_j, of
    z_j the sum of u x_i. Products beyond ±80 count as ±80 in the loss.
    (Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality")
    """
    if x.ndim != 3 or z.ndim != 3 or (len(x), x.shape[2]) != (len(z), z.shape[2]) or \
            np.shape(weights) != (*x.shape[:2], z.shape[1]):
        raise ValueError(f"x (B, S, D), z (B, Q, D) and weights (B, S, Q) do not go together: weights are "
                         f"{np.shape(weights)}")
    x, z = floats(x, z)
    weights = np.asarray(weights, x.dtype)
    v = np.matmul(x, z.transpose(0, 2, 1))
    np.negative(v, out=v, where=weights < 0)
    np.clip(v, -FAR, FAR, out=v)
    t = np.exp(v)
    t += 1
    loss = np.einsum("bsq,bsq->b", np.log(t) - v, np.abs(weights)).sum(dtype=np.float64)
    u = np.divide(weights, t, out=v)  # the gradient of the products
    np.negative(u, out=u)

    def vjp(g: Array) -> tuple[Array, Array, None]:
        ug = u if g == 1 else u * g
        return np.matmul(ug, z), np.matmul(ug.transpose(0, 2, 1), x), None

    return np.asarray(loss, x.dtype), vjp


def sampled_softmax(x: Tensor, W: Any, targets: Any, samples: int, rng: np.random.Generator) -> Tensor:
    """The mean of -log softmax(x W^T)[target], estimated over the target and `samples` drawn tokens that all share.

        x (…, D), W (V, D), targets (…) in 0 … V-1 -> one number

    Tokens are drawn with replacement, q_j = log((j + 2) / (j + 1)) / log(V + 1) each time: few of the rare, if ids are
    numbered from the most frequent on, as vocabularies and trained tokenisers (roughly) do. Each that came up stands in
    the sample once, however often it did, with its score lowered by log(1 - (1 - q_j)^samples), the log of how probable
    that was; so is the target's, which is in any case there, and once. The larger the sample the nearer are loss and
    gradient to those over all V, and a model that minimises it on average is nearly the right one for few samples too.
    W's gradient is a RowGrad of the targets' and the sample's rows.
    (Jean et al. 2015, "On using very large target vocabulary for neural machine translation"; the log-uniform sampler
    is TensorFlow's)
    """
    V, D = W.shape
    targets = as_ids(targets, V, "the classes")
    if samples < 1:
        raise ValueError(f"a sampled softmax draws one token at least, not {samples}")
    if targets.shape != x.shape[:-1]:
        raise ValueError(f"it needs x (…, D) and a target each (…), not {x.shape} and {targets.shape}")
    drawn = np.unique(np.minimum(np.exp(rng.random(samples) * np.log(V + 1)).astype(np.int64) - 1, V - 1))

    def log_chance(ids: Array) -> Array:
        return np.log(1 - (1 - np.log1p(1 / (ids + 1)) / np.log(V + 1)) ** samples).astype(x.dtype)

    flat, targets = reshape(x, (targets.size, D)), targets.reshape(-1)
    own = vecdot(flat, embedding(W, targets)) - log_chance(targets)
    others = linear(flat, embedding(W, drawn)) - log_chance(drawn)
    others = where(targets[:, None] == drawn, np.full((), -np.inf, x.dtype), others)
    return cross_entropy(concatenate([reshape(own, (-1, 1)), others], 1), np.zeros(len(targets), np.int64))
