"""Contrastive losses: pairs that belong together are pulled near, the others pushed apart.

Each is a few ops of this room, whose gradients make its own. x, y (B, D) are vectors of B pairs; targets say how alike
the two of a pair are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import Array, Tensor
from .elementwise import abs, add, maximum, multiply, sqrt, subtract, where
from .linalg import matmul
from .losses import as_floats, cross_entropy, mse
from .normalise import cosine_similarity, l2_normalise
from .reduce import logsumexp
from .shape import concatenate, swapaxes

PAIR_FEATURES: dict[str, Callable[[Any, Any], Any]] = {
    "u": lambda u, v: u, "v": lambda u, v: v, "|u-v|": lambda u, v: abs(subtract(u, v)), "u*v": multiply}


def in_batch_softmax(x: Tensor, y: Tensor, scale: Any = 20.0, mask: Any = None, probability: Any = None) -> Tensor:
    """The mean of -log softmax(scale * cos(x_i, y))[i]: among all y of the batch, x_i is to find its own.

        x (B, D), y (N, D), N >= B, of which y_i belongs to x_i -> one number
        mask (B, N), False where y_j does not count against x_i, as it answers x_i too; y_i itself always counts
        probability (N,), that a place of the batch goes to y_j: its logarithm is taken off all scores of y_j, that for
        x_j too. So what is popular, and a negative often, is no further off than with a softmax over all there is

    The other y of the batch serve as negatives: B pairs give B (B - 1) comparisons for the price of B. Rows of y from B
    on are negatives of all. `scale` is 1 / temperature; it may be a Tensor that learns. Also known as multiple
    negatives ranking loss and as InfoNCE. Raises ValueError for shapes that do not fit.
    (Henderson et al. 2017, "Efficient natural language response suggestion for Smart Reply"; Yi et al. 2019,
    "Sampling-bias-corrected neural modeling for large corpus item recommendations")

    >>> x = np.float32([[3, 0], [0, 2]])
    >>> round(in_batch_softmax(x, x, scale=1.0).item(), 4), round(float(np.log(1 + np.exp(-1))), 4)
    (0.3133, 0.3133)
    """
    _check(x, y[:len(x)])
    B, N = len(x), len(y)
    scores = multiply(matmul(l2_normalise(x), swapaxes(l2_normalise(y), 0, 1)), scale)  # (B, N)
    if probability is not None:
        q = np.asarray(probability, np.float64)
        if q.shape != (N,) or not ((q > 0) & (q < np.inf)).all():
            raise ValueError(f"the probability is a finite number above 0 for each y, {(N,)}, not {q!r:.80}")
        scores = subtract(scores, np.log(q).astype(scores.dtype))
    if mask is not None:
        mask = np.asarray(mask, bool)
        if mask.shape != (B, N):
            raise ValueError(f"the mask has a boolean for each x and each y, {(B, N)}, not {mask.shape}")
        scores = where(mask | np.eye(B, N, dtype=bool), scores, np.full((), -np.inf, scores.dtype))
    return cross_entropy(scores, np.arange(B))


def cosine_loss(x: Tensor, y: Tensor, targets: Any) -> Tensor:
    """The mean of (cos(x_i, y_i) - target_i)^2          x, y (B, D), targets (B) in -1 … 1 -> one number

    (Reimers and Gurevych 2019, "Sentence-BERT": its regression objective)

    >>> cosine_loss(np.eye(2), np.ones((2, 2)), [0.5 ** 0.5, 0.5 ** 0.5]).item() < 1e-12
    True
    """
    _check(x, y)
    scores = cosine_similarity(x, y)
    return mse(scores, targets if isinstance(targets, Tensor) else Tensor(np.asarray(targets, scores.dtype)))


def triplet_margin_loss(x: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """The mean of max(0, |x_i - positive_i| - |x_i - negative_i| + margin)          (B, D) each -> one number

    Lengths are Euclidean, of the difference + 1e-6, as PyTorch has it: a length of 0 has no derivative.
    (Schroff et al. 2015, "FaceNet")

    >>> round(triplet_margin_loss(np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 5.5]])).item(), 4)
    0.5
    """
    _check(x, positive, negative)
    return maximum(_length(x, positive) - _length(x, negative) + margin, 0.0).mean()


def contrastive_loss(x: Tensor, y: Tensor, targets: Any, margin: float = 1.0) -> Tensor:
    """The mean of t d^2 / 2 + (1 - t) max(0, margin - d)^2 / 2, d = |x_i - y_i|, t = target_i

        x, y (B, D), targets (B), 1 or 0 -> one number

    Pairs with t = 1 are drawn together, others pushed apart until they are `margin` from each other. Lengths as in
    `triplet_margin_loss`.          (Hadsell, Chopra and LeCun 2006)

    >>> x, y = np.zeros((2, 2)), np.array([[0.6, 0.8], [0.3, 0.4]])
    >>> round(contrastive_loss(x, y, [1, 0]).item(), 4)                           # (1 + 0.5^2) / 2 / 2
    0.3125
    """
    _check(x, y)
    d, t = _length(x, y), _marks(targets, (0, 1), len(x))
    return (add(multiply(t, d ** 2), multiply(1 - t, maximum(margin - d, 0.0) ** 2)) / 2).mean()


def cosine_embedding_loss(x: Tensor, y: Tensor, targets: Any, margin: float = 0.0) -> Tensor:
    """The mean of 1 - cos(x_i, y_i) where target_i is 1, of max(0, cos(x_i, y_i) - margin) where it is -1

        x, y (B, D), targets (B) -> ()          (as PyTorch has it)

    >>> cosine_embedding_loss(np.eye(2), np.eye(2), [1, -1]).item()
    0.5
    """
    _check(x, y)
    c, t = cosine_similarity(x, y), _marks(targets, (-1, 1), len(x))
    return where(t == 1, 1 - c, maximum(c - margin, 0.0)).mean()


def margin_ranking_loss(x: Tensor, y: Tensor, targets: Any, margin: float = 0.0) -> Tensor:
    """The mean of max(0, -target_i (x_i - y_i) + margin): scores x (B), y (B), targets (B) 1 (x the larger) or -1 -> ()

    >>> margin_ranking_loss(np.array([3.0, 3.0]), np.array([1.0, 1.0]), [1, -1], margin=0.5).item()
    1.25
    """
    if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
        raise ValueError(f"it needs as many scores x (B) as y (B), not {np.shape(x)} and {np.shape(y)}")
    d = subtract(as_floats(x), as_floats(y))
    return maximum(margin - multiply(d, _marks(targets, (-1, 1), len(x)).astype(d.dtype)), 0.0).mean()


def cosent_loss(x: Tensor, y: Tensor, targets: Any, scale: Any = 20.0) -> Tensor:
    """log(1 + sum of e^(scale (c_j - c_i)) over the i, j with target_i > target_j), c_i = cos(x_i, y_i)

        x, y (B, D), targets (B), of which the order alone counts -> one number

    Of any two pairs the one that people find more alike is to have the larger cosine: Spearman's correlation, which
    such models are judged by, made smooth.          (Su 2022, "CoSENT")

    >>> cosent_loss(np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]]), [1, 0]).item() < 1e-8
    True
    """
    _check(x, y)
    c, targets = multiply(cosine_similarity(x, y), scale), np.asarray(targets)
    if targets.shape != c.shape:
        raise ValueError(f"it needs a target for each pair, {c.shape}, not {targets.shape}")
    wrong = where(targets[:, None] > targets, c - c.reshape(-1, 1), np.full((), -np.inf, c.dtype))  # [i, j]
    return logsumexp(concatenate([np.zeros(1, c.dtype), wrong.reshape(-1)]))


def matryoshka(loss: Callable[..., Tensor], dims: Sequence[int]) -> Callable[..., Tensor]:
    """A loss that sums `loss` over the first d numbers of each vector, for each d of dims.

    Vectors that it trained can be cut to any of these lengths, and each prefix is as good as it can be. Positional
    arguments are vectors (…, D), all else goes by name.
    (Kusupati et al. 2022, "Matryoshka representation learning")

    >>> x, y = np.float32([[1, 0, 0], [0, 0, 1]]), np.float32([[1, 0, 1], [0, 1, 0]])
    >>> total = matryoshka(cosine_loss, dims=(1, 3))(x, y, targets=[1, 1]).item()
    >>> round(total - cosine_loss(x, y, [1, 1]).item(), 6), cosine_loss(x[:, :1], y[:, :1], [1, 1]).item()
    (0.5, 0.5)
    """
    if not dims or min(dims) < 1:
        raise ValueError(f"dims are lengths of prefixes, 1 or more, not {dims}")

    def total(*vectors: Any, **options: Any) -> Tensor:
        if any(d > np.shape(x)[-1] for d in dims for x in vectors):
            raise ValueError(f"the vectors have {np.shape(vectors[0])[-1]} numbers, and dims asks for {dims}")
        first, *others = (loss(*(x[..., :d] for x in vectors), **options) for d in dims)
        return sum(others, first)

    return total


def pair_features(u: Tensor, v: Tensor, features: Sequence[str] = ("u", "v", "|u-v|")) -> Tensor:
    """What a classifier of pairs reads: u, v, |u-v|, u*v side by side          u, v (B, D) -> (B, D * len(features))

    ("u", "v", "|u-v|") is Sentence-BERT's choice (Reimers and Gurevych 2019); InferSent has "u*v" too (Conneau et al.
    2017).

    >>> pair_features(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]]), ("|u-v|", "u*v")).data.tolist()
    [[2.0, 2.0, 3.0, 0.0]]
    """
    unknown = [name for name in features if name not in PAIR_FEATURES]
    if unknown or not features:
        raise ValueError(f"features are some of {', '.join(PAIR_FEATURES)}, not {unknown}")
    _check(u, v)
    u, v = as_floats(u), as_floats(v)
    return concatenate([PAIR_FEATURES[name](u, v) for name in features], -1)


def _length(x: Any, y: Any) -> Tensor:
    """|x_i - y_i|, of the difference + 1e-6: a length of 0 has no derivative. (B)"""
    return sqrt((add(subtract(as_floats(x), as_floats(y)), 1e-6) ** 2).sum(-1))


def _marks(targets: Any, marks: tuple[int, int], B: int) -> Array:
    """Targets that are one of two numbers for each of B pairs."""
    t = np.asarray(targets.data if isinstance(targets, Tensor) else targets)
    if t.shape != (B,) or not np.isin(t, marks).all():
        raise ValueError(f"it needs a target for each of {B} pairs, {marks[0]} or {marks[1]}, not {t!r:.80}")
    return t.astype(np.int8)


def _check(*vectors: Any) -> None:
    shapes = [np.shape(x) for x in vectors]
    if len(shapes[0]) != 2 or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"it needs vectors (B, D) of as many pairs and one length, not {', '.join(map(str, shapes))}")
