"""Clustering and classification on frozen vectors, compared with a random table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..core import Array
from ..nn import Linear
from ..ops import cross_entropy
from ..optim import SGD
from ..train import fit


class Compared(NamedTuple):
    """Scores by name, of the vectors and of a random table in their place."""

    vectors: dict[str, float]
    random: dict[str, float]


def evaluate_clusters(vectors: Any, labels: Iterable[Any], *, seed: int = 1) -> Compared:
    """How well k-means finds the classes again, with as many groups as there are classes.

        vectors (N, D), at length 1 in it; labels, N of them

    purity          share of vectors that are of the class that is most frequent in their group
    nmi             mutual information of groups and classes, over the mean of their entropies (1 if both are 0)
    adjusted_rand   share of pairs that groups and classes join or part alike, from 0 as by chance to 1

    Beside them, the same for vectors drawn from a normal distribution. Raises ValueError for what is not finite
    vectors with a label each, of two classes or more.

    >>> table = np.float32([[1, 0], [9, 1], [0, 1], [1, 8]])
    >>> evaluate_clusters(table, ["x", "x", "y", "y"]).vectors
    {'purity': 1.0, 'nmi': 1.0, 'adjusted_rand': 1.0}
    """
    def score(units: Array, y: Array) -> dict[str, float]:
        groups, _ = kmeans(units, int(y.max()) + 1, seed=seed)
        return agreement(groups, y)

    return _beside(vectors, labels, seed, score)


def evaluate_classifier(vectors: Any, labels: Iterable[Any], *, folds: int = 5, steps: int = 100, seed: int = 1
                        ) -> Compared:
    """Accuracy of logistic regression on the vectors, which it does not change, each class held out in parts.

        vectors (N, D), at length 1 in it; labels, N of them

    The vectors of each class are dealt out to `folds` parts; each part is judged by a classifier that was trained on
    the n others, less their mean and at mean length 1: an `nn.Linear`, after `steps` steps of SGD with momentum on

        mean cross-entropy + |W|^2 / 2n

    "majority" is the accuracy of always saying the most frequent class. (Without the second term, and by Adam, which
    moves all weights alike, what is peculiar to a vector and its neighbour drowns what their classes share.)
    Raises ValueError as `evaluate_clusters` does, and for folds below 2.

    >>> rng = np.random.default_rng(0)
    >>> table = np.concatenate((rng.normal(3, 1, (20, 4)), rng.normal(-3, 1, (20, 4))))
    >>> evaluate_classifier(table, [0] * 20 + [1] * 20).vectors
    {'accuracy': 1.0, 'majority': 0.5}
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")

    def score(units: Array, y: Array) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(y.size)
        part = np.empty(y.size, int)
        part[shuffled[np.argsort(y[shuffled], kind="stable")]] = np.arange(y.size) % folds  # class after class
        right = 0
        for fold in range(min(folds, y.size)):  # beyond it parts are empty
            train, test = part != fold, part == fold
            X = units - units[train].mean(0)
            X /= np.sqrt((X[train] ** 2).sum(1).mean()) or 1
            model = Linear(units.shape[1], int(y.max()) + 1, rng=rng)
            fit(model, [(X[train], y[train])], SGD(model.parameters(), lr=1.0, momentum=0.9), epochs=steps,
                progress=False,
                loss=lambda model, x, y: cross_entropy(model(x), y) + (model.weight ** 2).sum() / (2 * len(y)))
            right += int((model(X[test]).data.argmax(1) == y[test]).sum())
        return {"accuracy": right / y.size, "majority": float(np.bincount(y).max() / y.size)}

    return _beside(vectors, labels, seed, score)


def kmeans(vectors: Array, k: int, *, seed: int = 1, restarts: int = 10) -> tuple[Array, Array]:
    """k groups with the smallest sum of squared distances to their means that several starts have found.

        vectors (N, D) -> group of each (N,), means (k, D)

    Starts are k-means++ (Arthur and Vassilvitskii 2007): each further mean is a vector drawn by its squared distance
    from those before. Then, until nothing changes, vectors go to the nearest mean (of equals the first), means to the
    middle of their vectors; one that has none goes to the vector that is farthest from its own.

    >>> kmeans(np.array([[0.0], [1.0], [10.0], [11.0]]), 2)[1].tolist()
    [[0.5], [10.5]]
    """
    X = np.asarray(vectors, np.float64)
    if X.ndim != 2 or not 1 <= k <= len(X) or restarts < 1:
        raise ValueError(f"k-means takes vectors (N, D), 1 … N groups and a start at least, got {X.shape}, {k} and "
                         f"{restarts}")
    if not np.isfinite(X).all():
        raise ValueError(f"k-means takes finite vectors; line {int(np.flatnonzero(~np.isfinite(X).all(1))[0])} is none")
    rng = np.random.default_rng(seed)
    best, least = (np.zeros(0, int), X[:0]), np.inf
    for _ in range(restarts):
        means = X[rng.integers(len(X), size=1)]
        while len(means) < k:
            d = _squared_distances(X, means).min(1)
            chosen = rng.choice(len(X), 1, p=d / d.sum()) if d.any() else rng.integers(len(X), size=1)
            means = np.concatenate((means, X[chosen]))
        groups = np.full(len(X), -1)
        for _ in range(300):
            distances = _squared_distances(X, means)
            before, groups = groups, distances.argmin(1)
            if (groups == before).all():
                break
            for j in range(k):
                own = groups == j
                means[j] = X[own].mean(0) if own.any() else X[distances.min(1).argmax()]
        loss = float(distances.min(1).sum())
        if loss < least:
            best, least = (groups, means), loss
    return best


def agreement(groups: Array, classes: Array) -> dict[str, float]:
    """Purity, normalised mutual information and adjusted Rand index of two partitions; see `evaluate_clusters`.

        groups (N,), classes (N,): integers from 0

    >>> agreement(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))["adjusted_rand"]
    1.0
    """
    N = len(groups)
    table = np.zeros((groups.max() + 1, classes.max() + 1))
    np.add.at(table, (groups, classes), 1)
    rows, columns = table.sum(1), table.sum(0)

    def entropy(counts: Array) -> float:
        p = counts[counts > 0] / N
        return float(-(p * np.log(p)).sum())

    def within(counts: Array) -> float:
        return float((counts * (counts - 1) / 2).sum())

    h, information = entropy(rows) + entropy(columns), entropy(rows) + entropy(columns) - entropy(table)
    expected, most = within(rows) * within(columns) / (N * (N - 1) / 2), (within(rows) + within(columns)) / 2
    return {"purity": float(table.max(1).sum() / N), "nmi": 2 * information / h if h else 1.0,
            "adjusted_rand": (within(table) - expected) / (most - expected) if most != expected else 1.0}


def _squared_distances(X: Array, means: Array) -> Array:
    """(N, k), without an array (N, k, D)."""
    return np.maximum((X * X).sum(1)[:, None] - 2 * X @ means.T + (means * means).sum(1), 0)


def _beside(vectors: Any, labels: Iterable[Any], seed: int, score: Callable[[Array, Array], dict[str, float]]
            ) -> Compared:
    """The score of vectors and classes, and of a random table of the same shape, all at length 1."""
    X, names = np.asarray(vectors), list(labels)
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if X.ndim != 2 or len(X) != len(names) or len(number) < 2 or not np.isfinite(X).all():
        raise ValueError(f"expected finite vectors (N, D) and N labels of two classes or more, got {X.shape} and "
                         f"{len(names)} labels of {len(number)}")
    random = np.random.default_rng(seed).standard_normal(X.shape)
    units = [(Z / np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-30)).astype(np.float32)
             for Z in (X.astype(np.float64), random)]
    y = np.array([number[name] for name in names])
    return Compared(*(score(Z, y) for Z in units))
