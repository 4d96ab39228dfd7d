"""t-SNE: a two-dimensional map that keeps near vectors near. It is an `Embedding(N, 2)`, trained like any table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor
from ..nn import Embedding, Module
from ..ops import neighbourhood_kl
from ..optim import SGD
from ..train import fit
from .projection import pca

EARLY = 250  # steps with exaggerated attraction, in which clusters gather


class Map(Module):
    """Points in the plane, one row for each vector; the loss is `ops.neighbourhood_kl`."""

    def __init__(self, start: Array) -> None:
        self.points = Embedding.from_pretrained(start, freeze=False)

    def loss(self, P: Array) -> Tensor:
        return neighbourhood_kl(self.points.weight, P)


def tsne(vectors: Any, n_components: int = 2, perplexity: float = 30.0, *, learning_rate: float | None = None,
         steps: int = 750, exaggeration: float = 12.0, progress: bool = False) -> Array:
    """Points whose neighbourhoods are those of the vectors.

        vectors (N, D) -> (N, n_components), float32

    perplexity     how many neighbours a vector has, about; N is to be at least three times as many and one more
    learning_rate  of SGD with momentum 0.5, later 0.8; N / 4 if None, so that a pair's pull does not fade as N grows
    steps          of which the first 250, or a third, have P multiplied by `exaggeration`

    The map starts as the principal components, made small: the same vectors give the same map, and no seed is needed.
    Clusters and neighbours in it mean something; distances between clusters, and their sizes, do not. Time and memory
    grow with N^2: a second for 500 vectors, 5 for 1,000, 25 for 2,000.
    (van der Maaten and Hinton 2008, "Visualizing data using t-SNE"; a learning rate in proportion to N: Belkina et al.
    2019; their gains for each coordinate are left out)

    Raises ValueError for vectors that are no finite (N, D), and for a perplexity that N is too small for.

    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat([[0.0] * 5, [9.0] * 5], 20, axis=0)
    >>> Y = tsne(groups + rng.normal(size=groups.shape), perplexity=8, steps=300)
    >>> Y.shape, bool(np.linalg.norm(Y[:20].mean(0) - Y[20:].mean(0)) > 2 * Y[:20].std())
    ((40, 2), True)
    """
    X = np.asarray(vectors, np.float64)
    if X.ndim != 2 or not np.isfinite(X).all():
        raise ValueError(f"t-SNE takes finite vectors (N, D), got {X.shape}")
    N = len(X)
    if not 1 <= perplexity <= (N - 1) / 3:
        raise ValueError(f"perplexity is in 1 … (N - 1) / 3 = {(N - 1) / 3:.4g} for {N} vectors, not {perplexity}")
    P = neighbourhoods(X, perplexity).astype(np.float32)
    start = pca(X, n_components)
    model = Map((start * (1e-4 / max(start[:, 0].std(), 1e-30))).astype(np.float32))
    lr = N / 4 if learning_rate is None else learning_rate
    early = min(EARLY, steps // 3)
    for batch, momentum, epochs in ((P * np.float32(exaggeration), 0.5, early), (P, 0.8, steps - early)):
        optimizer = SGD(model.parameters(), lr=lr, momentum=momentum)
        if fit(model, [(batch,)], optimizer, epochs=epochs, progress=progress).interrupted:
            break
    points = model.points.weight.data
    return np.asarray(points - points.mean(0))


def neighbourhoods(X: Array, perplexity: float) -> Array:
    """The probabilities p_ij with which i and j are picked as neighbours, sum 1, symmetric.

        X (N, D) -> (N, N)          p_ij = (p_j|i + p_i|j) / 2N,   p_j|i = exp(-b_i |x_i - x_j|^2) / sum over k != i

    Each b_i is found by halving an interval, so that the entropy of p_.|i is the logarithm of the perplexity.

    >>> neighbourhoods(np.array([[0.0], [1.0], [9.0], [10.0]]), 1.0).round(2).tolist()[0]
    [0.0, 0.25, 0.0, 0.0]
    """
    X = X - X.mean(0)  # a large mean would leave the squares no digits for the differences
    squares = (X * X).sum(1)
    d = np.maximum(squares[:, None] - 2 * X @ X.T + squares, 0)
    np.fill_diagonal(d, np.inf)
    d -= d.min(1, keepdims=True)  # the nearest has weight 1, whatever b is
    scale = np.where(np.isfinite(d), d, 0).sum(1, keepdims=True) / max(len(X) - 1, 1)
    d /= np.where(scale > 0, scale, 1)
    low, high = np.zeros((len(X), 1)), np.full((len(X), 1), np.inf)
    b = np.ones((len(X), 1))
    finite = np.where(np.isfinite(d), d, 0)
    for _ in range(64):
        p = np.exp(-b * d)
        p /= p.sum(1, keepdims=True)
        entropy = b * (p * finite).sum(1, keepdims=True) + np.log(np.exp(-b * d).sum(1, keepdims=True))
        wide = entropy > np.log(perplexity)  # too many neighbours: a larger b
        low, high = np.where(wide, b, low), np.where(wide, high, b)
        b = np.where(np.isinf(high), b * 2, (low + high) / 2)
        if (np.abs(entropy - np.log(perplexity)) < 1e-5).all():
            break
    return np.asarray((p + p.T) / (2 * len(X)))
