"""Losses: cross entropy, binary cross entropy, mean squared error; the mean over the examples by default."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, ValueAndVjp, as_ids, as_integers, primitive
from .elementwise import subtract
from .floats import floats
from .linalg import as_matrix
from .normalise import below_top


def _check_reduction(reduction: Any) -> None:
    """Said first of all: whoever comes from PyTorch may have put weights in its place."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        shown = repr(reduction) if isinstance(reduction, str) else f"a {type(reduction).__name__}"
        raise ValueError(f'reduction is "mean", "sum" or "none", not {shown}; weights go by name, or multiply the '
                         'losses of reduction="none"')


def _reduce(loss: Array, reduction: str, count: float) -> tuple[Any, float]:
    """(the reduced loss, the weight its gradient gives each example)."""
    if reduction == "none":
        return loss, 1.0
    weight = 1.0 / float(count) if reduction == "mean" and count else 1.0
    return loss.dtype.type(loss.sum(dtype=np.float64) * weight), weight


@primitive
def cross_entropy(logits: Array, targets: Array, ignore_index: int = -100, label_smoothing: float = 0.0,
                  reduction: str = "mean", weight: Any = None) -> ValueAndVjp:
    """-log softmax(logits)[target]: the next-token loss          logits (…, V), targets (…) integers -> () or (…)

        loss = logsumexp(z) - (1 - s) z[target] - s mean(z), s = label_smoothing
        dz = (softmax(z) - (1 - s) onehot(target) - s / V) * g / n

    Computed in one go from the logits: no probability is ever so small that its log is lost. Targets equal to
    ignore_index count neither in the loss nor in n; if that leaves none, the mean is 0 with gradient 0 (PyTorch: NaN).
    Logits of -inf are classes that cannot be. Errors: a target outside 0 … V-1, shapes that do not fit.

    targets (…, V) of floats   soft targets: a probability for each class
    weight (V)                 of the classes: then n is the sum of the targets' weights (of soft ones, their number)

        loss = -sum over c of weight[c] q[c] log softmax(z)[c], q = (1 - s) target + s / V, target one-hot or soft
        dz = (softmax(z) sum(weight q) - weight q) * g / n          dtarget = -(1 - s) weight log softmax(z) * g / n
    """
    if not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"ignore_index is one class, not {type(ignore_index).__name__}; weights of classes go by name, "
                        "weight=")
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is in 0 … 1, not {label_smoothing}")
    logits, V = floats(logits), logits.shape[-1] if logits.ndim else 0
    if weight is not None:
        weight = np.asarray(weight, logits.dtype)
        if weight.shape != (V,) or not ((weight >= 0) & (weight < np.inf)).all():
            raise ValueError(f"weight has a finite number, 0 or more, for each of {V} classes, not {weight!r:.80}")
    if V and isinstance(targets, np.ndarray) and targets.shape == logits.shape:
        if targets.dtype.kind != "f":
            raise TypeError(f"targets (…, V) are probabilities of the classes, floats, not {targets.dtype}")
        return _soft(logits, targets, weight, label_smoothing, reduction, None, targets.size // V)
    targets = as_integers(targets)
    if logits.ndim == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError(f"it needs logits (…, V) and a target each (…), not {logits.shape} and {targets.shape}")
    kept = targets != ignore_index
    ids = as_ids(np.where(kept, targets, 0), V, "the classes").reshape(-1)
    kept = kept.reshape(-1)
    own = None if weight is None else weight[ids] * kept  # (N,)
    if own is not None and label_smoothing:
        one_hot = np.zeros((len(ids), V), logits.dtype)
        one_hot[np.arange(len(ids)), ids] = 1
        return _soft(logits, one_hot, weight, label_smoothing, reduction, kept, own.sum(dtype=np.float64))
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
    if own is not None:
        loss *= own
    y, share = _reduce(loss, reduction, int(kept.sum()) if own is None else own.sum(dtype=np.float64))

    def vjp(g: Array) -> tuple[Any, ...]:
        scale = np.where(kept, np.reshape(g, -1) * share, 0).astype(z.dtype)  # (N,): g is () or (…)
        if own is not None:
            scale *= own
        gz = p * (scale / total[:, 0])[:, None]
        gz[n, ids] -= (1 - label_smoothing) * scale
        if label_smoothing:
            gz -= (label_smoothing / V * scale)[:, None]
        gz[~kept] = 0  # whatever stands there: NaN times 0 is NaN
        return (gz.reshape(logits.shape),)

    return (y.reshape(targets.shape) if reduction == "none" else y), vjp


def _soft(logits: Array, targets: Array, weight: Array | None, s: float, reduction: str, kept: Array | None,
          count: float) -> ValueAndVjp:
    """The cross entropy with a number for each class as target, (…, V). kept (N,): False for an example that is
    ignored; count: what a mean divides by."""
    z, V = as_matrix(logits), logits.shape[-1]
    log_p = below_top(z, -1)
    total = np.exp(log_p).sum(-1, keepdims=True)
    log_p -= np.log(np.where(total, total, 1))
    w = np.ones(V, z.dtype) if weight is None else weight
    w = w if kept is None else w * kept[:, None]
    q = ((1 - s) * as_matrix(targets) + s / V).astype(z.dtype) * w  # (N, V)
    loss = 0 - np.multiply(q, log_p, out=np.zeros_like(q), where=q != 0).sum(-1)  # a class that cannot be, and is not
    y, share = _reduce(loss, reduction, count)

    def vjp(g: Array) -> tuple[Any, ...]:
        scale = (np.reshape(g, (-1, 1)) * share).astype(z.dtype)
        gz = (np.exp(log_p) * q.sum(-1, keepdims=True) - q) * scale
        return gz.reshape(logits.shape), lambda: (w * log_p * ((s - 1) * scale)).reshape(logits.shape)

    return (y.reshape(logits.shape[:-1]) if reduction == "none" else y), vjp


@primitive
def bce_with_logits(logits: Array, targets: Array, reduction: str = "mean", pos_weight: Any = None) -> ValueAndVjp:
    """-t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid          logits (…), targets (…) in 0 … 1 -> () or (…)

        loss = max(x, 0) - x t + log(1 + e^-|x|), which cannot overflow          dx = (s(x) - t) g / n, dt = -x g / n

    pos_weight w, of a shape that broadcasts to (…): what t log s(x) is multiplied by, for labels that are rare.

        loss = (1 - t) x + (1 + (w - 1) t) log(1 + e^-x)          dx = (1 - t - (1 + (w - 1) t) (1 - s(x))) g / n
        dt = ((w - 1) log(1 + e^-x) - x) g / n
    """
    _check_reduction(reduction)
    x, t = logits, np.asarray(targets)
    if t.shape != x.shape:
        raise ValueError(f"it needs logits and targets of one shape, not {x.shape} and {t.shape}")
    x, t = floats(x, t)
    t = t.astype(x.dtype, copy=False)
    more = None if pos_weight is None else np.asarray(pos_weight, x.dtype) - x.dtype.type(1)
    if more is not None and (more.ndim > x.ndim or any(n not in (1, m) for n, m in zip(more.shape[::-1],
                                                                                      x.shape[::-1]))):
        raise ValueError(f"pos_weight broadcasts to the logits, {x.shape}, and {more.shape} does not")
    small = np.exp(-np.abs(x))
    log1p = np.log1p(small)
    loss = np.maximum(x, 0) - x * t + log1p
    if more is not None:
        soft_minus = log1p - np.minimum(x, 0)  # log(1 + e^-x)
        loss += more * t * soft_minus
    y, share = _reduce(loss, reduction, x.size)

    def vjp(g: Array) -> tuple[Any, ...]:
        s = np.where(x >= 0, 1, small) / (1 + small)
        if more is None:
            return (s - t) * (g * share), -x * (g * share)
        left = np.where(x >= 0, small, 1) / (1 + small)  # 1 - s(x)
        return (s - t - more * t * left) * (g * share), (more * soft_minus - x) * (g * share), None, \
            t * soft_minus * (g * share)

    return y, vjp


def mse(x: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """(x - y)^2, its mean, sum, or each          x (…), y (…) of one shape -> () or (…)"""
    _check_reduction(reduction)
    if np.shape(x) != np.shape(y):
        raise ValueError(f"mse needs two arrays of one shape, not {np.shape(x)} and {np.shape(y)}")
    squares = subtract(as_floats(x), as_floats(y)) ** 2
    return squares if reduction == "none" else squares.mean() if reduction == "mean" else squares.sum()


def as_floats(x: Any) -> Any:
    """x, integers as floats: a difference of unsigned ones would wrap round."""
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    return floats(array) if array.dtype.kind in "iub" else x
