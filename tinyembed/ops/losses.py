"""What training makes small. Each is one number by default: the mean over the examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, as_ids, as_integers, primitive
from .elementwise import subtract
from .floats import floats
from .linalg import as_matrix
from .normalise import below_top


def _reduce(loss: Array, reduction: str, count: int) -> tuple[Any, float]:
    """(the reduced loss, the weight its gradient gives each example)."""
    if reduction == "none":
        return loss, 1.0
    if reduction not in ("mean", "sum"):
        raise ValueError(f'reduction is "mean", "sum" or "none", not {reduction!r}')
    weight = 1.0 if reduction == "sum" else 1.0 / max(count, 1)
    return loss.dtype.type(loss.sum(dtype=np.float64) * weight), weight


@primitive
def cross_entropy(logits: Array, targets: Array, ignore_index: int = -100, label_smoothing: float = 0.0,
                  reduction: str = "mean") -> ValueAndVjp:
    """-log softmax(logits)[target]: the next-token loss          logits (…, V), targets (…) integers -> () or (…)

        loss = logsumexp(z) - (1 - s) z[target] - s mean(z), s = label_smoothing
        dz = (softmax(z) - (1 - s) onehot(target) - s / V) * g / n

    Computed in one go from the logits: no probability is ever so small that its log is lost. Targets equal to
    ignore_index count neither in the loss nor in n; if that leaves none, the mean is 0 with gradient 0 (PyTorch: NaN).
    Logits of -inf are classes that cannot be. Errors: a target outside 0 … V-1, shapes that do not fit.
    """
    if not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"ignore_index is one class, not {type(ignore_index).__name__}; weights of classes multiply "
                        'the losses of reduction="none"')
    targets = as_integers(targets)
    if logits.ndim == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError(f"it needs logits (…, V) and a target each (…), not {logits.shape} and {targets.shape}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is in 0 … 1, not {label_smoothing}")
    logits, V = floats(logits), logits.shape[-1]
    kept = targets != ignore_index
    ids = as_ids(np.where(kept, targets, 0), V, "the classes").reshape(-1)
    kept = kept.reshape(-1)
    z = as_matrix(logits)
    n = np.arange(len(z))

    p = below_top(z, -1)  # becomes e^(z - top); divided by `total` it is the softmax
    loss = -(1 - label_smoothing) * p[n, ids]
    if label_smoothing:
        loss -= label_smoothing * p.mean(-1)
    np.exp(p, out=p)
    total = p.sum(-1, keepdims=True)
    total[total == 0] = 1
    loss = np.where(kept, loss + np.log(total[:, 0]), 0).astype(z.dtype)
    y, weight = _reduce(loss, reduction, int(kept.sum()))

    def vjp(g: Array) -> tuple[Any, ...]:
        scale = np.where(kept, np.reshape(g, -1) * weight, 0).astype(z.dtype)  # (N,): g is () or (…)
        gz = p * (scale / total[:, 0])[:, None]
        gz[n, ids] -= (1 - label_smoothing) * scale
        if label_smoothing:
            gz -= (label_smoothing / V * scale)[:, None]
        gz[~kept] = 0  # whatever stands there: NaN times 0 is NaN
        return (gz.reshape(logits.shape),)

    return (y.reshape(targets.shape) if reduction == "none" else y), vjp


@primitive
def bce_with_logits(logits: Array, targets: Array, reduction: str = "mean") -> ValueAndVjp:
    """-t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid          logits (…), targets (…) in 0 … 1 -> () or (…)

        loss = max(x, 0) - x t + log(1 + e^-|x|), which cannot overflow          dx = (s(x) - t) g / n, dt = -x g / n
    """
    x, t = logits, np.asarray(targets)
    if t.shape != x.shape:
        raise ValueError(f"it needs logits and targets of one shape, not {x.shape} and {t.shape}")
    x, t = floats(x, t)
    t = t.astype(x.dtype, copy=False)
    small = np.exp(-np.abs(x))
    y, weight = _reduce(np.maximum(x, 0) - x * t + np.log1p(small), reduction, x.size)

    def vjp(g: Array) -> tuple[Any, ...]:
        s = np.where(x >= 0, 1, small) / (1 + small)
        return (s - t) * (g * weight), -x * (g * weight)

    return y, vjp


def mse(x: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """(x - y)^2, its mean, sum, or each          x (…), y (…) of one shape -> () or (…)"""
    if np.shape(x) != np.shape(y):
        raise ValueError(f"mse needs two arrays of one shape, not {np.shape(x)} and {np.shape(y)}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction is "mean", "sum" or "none", not {reduction!r}')
    squares = subtract(as_floats(x), as_floats(y)) ** 2
    return squares if reduction == "none" else squares.mean() if reduction == "mean" else squares.sum()


def as_floats(x: Any) -> Any:
    """x, integers as floats: a difference of unsigned ones would wrap round."""
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    return floats(array) if array.dtype.kind in "iub" else x
