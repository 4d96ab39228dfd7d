"""Relative positions: rotary embeddings, ALiBi, learned biases, T5's buckets.

Three ways into the scores of attention, score[i, j] = q[i] . k[j]: turn q and k by their positions (rotary), add a
learned number for each distance (relative bias), or subtract distance times a fixed slope (ALiBi). All three run beyond
the length that they were trained on. Queries are i = offset … offset + Tq - 1, keys j = 0 … Tk - 1: with earlier keys
kept, a generator asks for one query at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor
from ..ops import check_pairs, rotate
from .embedding import Embedding
from .module import Module
from .positional import positions_from, sequence


def distances(layer: Module, Tq: int, Tk: int | None, offset: int) -> Array:
    """j - i of key j and query i, (Tq, Tk); Tk None: the keys end with the last query."""
    i = positions_from(layer, offset, Tq)
    Tk = offset + Tq if Tk is None else Tk
    if Tq < 0 or Tk < 0:
        raise ValueError(f"{layer._title()} takes numbers of queries and keys, not {Tq} and {Tk}")
    return np.arange(Tk) - i[:, None]


class RotaryEmbedding(Module):
    """y[…, t] = R(offset + t) x[…, t]: each pair of entries turned by an angle that grows with the position.

        x (…, T, head_dim), head_dim even -> y (…, T, head_dim)

    Pair i turns by t * base^(-2i/head_dim); `ops.rotate` has the formula and the gradient (turned back). For queries
    and keys of attention, not for values. Nothing is learned. `pairs` says which entries form a pair: "interleaved"
    neighbours, as in the paper, or "halves", as the published weights of GPT-NeoX and Llama need.

    Invariance: R(i)q . R(j)k = q . R(j - i)k, so a score depends on j - i only, at any position; lengths are kept.

    Raises ValueError for an odd head_dim, another width, a negative offset.          (Su et al. 2021, "RoFormer")

    >>> rotary, q, k = RotaryEmbedding(2), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> [round(float(rotary(q, offset=i).data[0] @ rotary(k, offset=i + 3).data[0]), 6) for i in (0, 5, 5000)]
    [-0.14112, -0.14112, -0.14112]
    """

    def __init__(self, head_dim: int, base: float = 10000.0, *, pairs: str = "interleaved") -> None:
        if head_dim < 2 or head_dim % 2:
            raise ValueError(f"RotaryEmbedding needs an even head_dim, entries turn in pairs, not {head_dim}")
        check_pairs(pairs)
        self.head_dim, self.base, self.pairs = head_dim, base, pairs

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        x, T = sequence(self, x, self.head_dim)
        return rotate(x, positions_from(self, offset, T), self.base, self.pairs)

    def extra_repr(self) -> str:
        return f"width {self.head_dim}, base {self.base:g}, {self.pairs}"


def t5_buckets(distance: Array, num_buckets: int, max_distance: int, bidirectional: bool) -> Array:
    """The row of T5's table for each distance j - i: exact when small, then log-spaced up to max_distance, one beyond.

    Bidirectional: half of the buckets for earlier keys, half for later ones; else later keys all share bucket 0. Of the
    n buckets of a direction, the first n/2 are for a distance each.

    >>> t5_buckets(np.array([0, -1, -7, -8, -15, -16, -127, -128, -9999, 1, 8]), 32, 128, True).tolist()
    [0, 1, 7, 8, 9, 10, 15, 15, 15, 17, 24]
    """
    n = num_buckets // 2 if bidirectional else num_buckets
    first = n * (distance > 0) if bidirectional else 0
    d = np.abs(distance) if bidirectional else np.maximum(-distance, 0)
    exact = n // 2
    far = np.log(np.maximum(d, exact) / exact) / np.log(max_distance / exact)  # 0 at `exact`, 1 at max_distance
    return first + np.where(d < exact, d, np.minimum(exact + (far * (n - exact)).astype(np.int64), n - 1))


class RelativePositionBias(Module):
    """b[h, i, j] = weight[bucket(j - i), h]: a learned number for each head and distance, to be added to the scores.

        (Tq, Tk=None, offset=0) -> b (num_heads, Tq, Tk)

    buckets="distance"   |j - i|, clipped at max_distance: max_distance + 1 rows.
    buckets="t5"         `t5_buckets`: num_buckets rows, fine nearby and coarse afar; with bidirectional=True earlier
                         and later keys have rows of their own, else later keys share row 0 (for causal attention).

    The rows start as N(0, std^2). Gradient: that of b[h, i, j] goes to entry h of its row, as a `RowGrad`; all pairs at
    one distance add up. Invariance: b[:, i + s, j + s] = b[:, i, j]; beyond max_distance all are alike, at any length.
    Raises ValueError for a table without rows, for other buckets, a negative number of queries or offset.
    (Shaw et al. 2018 clip distances; the bias and its buckets are those of T5, Raffel et al. 2020.)

    >>> bias = RelativePositionBias(num_heads=2, max_distance=8)
    >>> bias(4, 6).shape, bool(bias(100).data[0, 0, 99] == bias(9).data[0, 8, 0])
    ((2, 4, 6), True)
    """

    def __init__(self, num_heads: int, max_distance: int = 128, buckets: str = "distance", *, num_buckets: int = 32,
                 bidirectional: bool = True, std: float = 0.02, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        if buckets not in ("distance", "t5"):
            raise ValueError(f'buckets is "distance" or "t5", not {buckets!r}')
        exact = num_buckets // (4 if bidirectional else 2)
        if num_heads < 1 or max_distance < 0:
            raise ValueError(f"RelativePositionBias needs num_heads >= 1 and max_distance >= 0, not {num_heads} and "
                             f"{max_distance}")
        if buckets == "t5" and (exact < 1 or num_buckets % 2 or max_distance <= exact):
            raise ValueError("T5's buckets need an even num_buckets, 2 at least (4 if bidirectional), and a "
                             f"max_distance beyond the {exact} exact ones, not {num_buckets} and {max_distance}")
        self.num_heads, self.max_distance, self.buckets = num_heads, max_distance, buckets
        self.num_buckets, self.bidirectional = num_buckets, bidirectional
        rows = max_distance + 1 if buckets == "distance" else num_buckets
        self.table = Embedding(rows, num_heads, std=std, rng=rng, dtype=dtype)

    def forward(self, Tq: int, Tk: int | None = None, offset: int = 0) -> Tensor:
        distance = distances(self, Tq, Tk, offset)
        if self.buckets == "distance":
            rows = np.minimum(np.abs(distance), self.max_distance)
        else:
            rows = t5_buckets(distance, self.num_buckets, self.max_distance, self.bidirectional)
        return self.table(rows).transpose(2, 0, 1)  # (Tq, Tk, H) -> (H, Tq, Tk)

    def extra_repr(self) -> str:
        return f"{self.num_heads} heads, {self.buckets} up to {self.max_distance}"


class ALiBi(Module):
    """b[h, i, j] = -slope[h] * |j - i|: a fixed penalty on distance, to be added to the scores. Nothing is learned.

        (Tq, Tk=None, offset=0) -> b (num_heads, Tq, Tk)

    Slopes: 2^(-8 h / H) for h = 1 … H where H is a power of two. For another H those of the largest power of two P
    below it, then every other one of 2 P heads: 2^(-4 h / P) for h = 1, 3, 5, …

    causal=False is symmetric; a causal mask on top makes it the paper's. causal=True has that mask in it: later keys
    get -inf, which softmax takes for weight 0. Invariance: b[:, i + s, j + s] = b[:, i, j], at any length.
    Raises ValueError without a head, for a negative number of queries or offset.
    (Press, Smith and Lewis 2022, "Train short, test long".)

    >>> ALiBi(8).slopes.tolist()[:3], ALiBi(1, causal=True)(2).data.tolist()
    ([0.5, 0.25, 0.125], [[[0.0, -inf], [-0.00390625, 0.0]]])
    """

    def __init__(self, num_heads: int, causal: bool = False, *, dtype: Any = np.float32) -> None:
        if num_heads < 1:
            raise ValueError(f"ALiBi needs a head at least, not {num_heads}")
        self.num_heads, self.causal = num_heads, causal
        power = 1 << (num_heads.bit_length() - 1)
        h = [*range(2, 2 * power + 1, 2), *range(1, 2 * (num_heads - power), 2)]  # numbered among 2 * power heads
        self.slopes: Array = (2.0 ** (-4 * np.array(h) / power)).astype(dtype)

    def forward(self, Tq: int, Tk: int | None = None, offset: int = 0) -> Tensor:
        distance = distances(self, Tq, Tk, offset)
        bias = self.slopes[:, None, None] * (-np.abs(distance)).astype(self.slopes.dtype)
        if self.causal:
            bias[:, distance > 0] = -np.inf
        return Tensor(bias)

    def extra_repr(self) -> str:
        return f"{self.num_heads} heads" + ", causal" * self.causal
