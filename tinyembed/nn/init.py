"""Other starting values for a parameter: each function draws all of it anew, in place, and returns it.

    te.nn.init.xavier_uniform(layer.weight, rng=rng)          for a Linear, a convolution, or a table

Rows that are frozen, the padding row among them, stay as they are. Numbers are drawn in float32 for a parameter of
float32. The fans of a weight are what one output is made of and what one input goes into: of (out, in) they are in and
out; of a kernel (out, in, h, w) both times h w; of a table (V, D) they are D and V.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Array, Tensor, fresh_rng, no_such_name

if not TYPE_CHECKING:  # which is to go on finding names that are wrong
    def __getattr__(name):
        return no_such_name(__name__, name)


def uniform(p: Tensor, a: float = 0.0, b: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Each number uniform in a … b."""
    if not -math.inf < a <= b < math.inf:
        raise ValueError(f"a uniform number lies between finite a <= b, not {a} and {b}")
    return _filled(p, rng, lambda draw, shape, dtype: draw.random(shape, dtype) * (b - a) + a)


def normal(p: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Each number N(mean, std^2).

    >>> from tinyembed.nn import Embedding
    >>> table = Embedding(1000, 8, padding_idx=0)
    >>> round(float(normal(table.weight, std=0.02, rng=np.random.default_rng(0)).data[1:].std()), 3)
    0.02
    >>> table([0]).data.tolist() == [[0.0] * 8]
    True
    """
    if not (0 <= std < math.inf and abs(mean) < math.inf):
        raise ValueError(f"a normal number has a finite mean and std, std 0 or more, not {mean} and {std}")
    return _filled(p, rng, lambda draw, shape, dtype: draw.standard_normal(shape, dtype) * std + mean)


def xavier_uniform(p: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Uniform in ±gain sqrt(6 / (fan_in + fan_out)).          (Glorot and Bengio 2010)"""
    bound = gain * math.sqrt(6 / max(sum(fans(p)), 1))
    return uniform(p, -bound, bound, rng=rng)


def xavier_normal(p: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """N(0, gain^2 2 / (fan_in + fan_out)).          (Glorot and Bengio 2010)"""
    return normal(p, 0.0, gain * math.sqrt(2 / max(sum(fans(p)), 1)), rng=rng)


def kaiming_uniform(p: Tensor, gain: float = math.sqrt(2), *, rng: np.random.Generator | None = None) -> Any:
    """Uniform in ±gain sqrt(3 / fan_in); the gain sqrt(2) is that of relu.          (He et al. 2015)"""
    bound = gain * math.sqrt(3 / max(fans(p)[0], 1))
    return uniform(p, -bound, bound, rng=rng)


def kaiming_normal(p: Tensor, gain: float = math.sqrt(2), *, rng: np.random.Generator | None = None) -> Any:
    """N(0, gain^2 / fan_in); the gain sqrt(2) is that of relu.          (He et al. 2015)"""
    return normal(p, 0.0, gain / math.sqrt(max(fans(p)[0], 1)), rng=rng)


def constant(p: Tensor, value: float) -> Any:
    """Each number the same.

    >>> from tinyembed.nn import Linear
    >>> constant(Linear(2, 3).bias, 0.5).data
    array([0.5, 0.5, 0.5], dtype=float32)
    """
    return _filled(p, None, lambda draw, shape, dtype: np.full(shape, value, dtype))


def fans(p: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, …); ValueError for fewer than two axes.

    >>> fans(Tensor(np.zeros((8, 3, 5, 5))))
    (75, 200)
    """
    if p.ndim < 2:
        raise ValueError(f"a weight (out, in, …) has fans, and {p.shape} has none: uniform and normal need no fans")
    field = math.prod(p.shape[2:])
    return p.shape[1] * field, p.shape[0] * field


def _filled(p: Any, rng: np.random.Generator | None, draw: Callable[..., Array]) -> Any:
    if not isinstance(p, Tensor):
        raise TypeError(f"a parameter is filled, layer.weight say, not a {type(p).__name__}")
    drawn = draw(fresh_rng() if rng is None else rng, p.shape, p.dtype)
    if (frozen := getattr(p, "frozen_rows", None)) is not None:
        drawn[frozen] = p.data[frozen]
    p.data = drawn.astype(p.dtype, copy=False)
    return p
