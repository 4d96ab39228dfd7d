"""Absolute position embeddings: learned and sinusoidal; the input layers of GPT and BERT.

To a mean of token rows, and to attention too, the order of the tokens is invisible. What is added here shows it.
`relative.py` has the positions that speak of distances instead.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from ..core import Array, Tensor, as_ids, fresh_rng
from ..ops import frequencies
from .dropout import Dropout
from .embedding import Embedding
from .module import Module
from .norm import LayerNorm


def sequence(layer: Module, x: Any, D: int) -> tuple[Tensor, int]:
    """(x as a Tensor, T) of x (…, T, D), or a ValueError that names the layer and both shapes."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    if x.ndim < 2 or x.shape[-1] != D:
        raise ValueError(f"{layer._title()} takes x (…, T, {D}), got {x.shape}")
    return x, x.shape[-2]


def positions_from(layer: Module, offset: int, T: int) -> Array:
    """offset, offset + 1, … offset + T - 1; they start at 0 or later."""
    offset = operator.index(offset)
    if offset < 0:
        raise ValueError(f"{layer._title()}: positions start at 0, so offset={offset} has none")
    return np.arange(offset, offset + T)


class LearnedPositionalEmbedding(Module):
    """y[…, t] = x[…, t] + weight[offset + t]: one learned row for each absolute position.

        x (…, T, D), offset + T <= max_seq_len -> y (…, T, D)

    The position gradient sums over the batch. Raises ValueError past the last position. Invariance: none; a row says
    nothing of its neighbours until training makes it, and there is no row beyond max_seq_len.
    (Gehring et al. 2017; the tables of GPT and BERT.)

    >>> LearnedPositionalEmbedding(10, 8)(Tensor(np.zeros((2, 6, 8)))).shape
    (2, 6, 8)
    """

    def __init__(self, max_seq_len: int, embed_dim: int, *, std: float = 0.02,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        self.table = Embedding(max_seq_len, embed_dim, std=std, rng=rng, dtype=dtype)

    @property
    def max_seq_len(self) -> int:
        return self.table.num_embeddings

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        x, T = sequence(self, x, self.table.embedding_dim)
        if offset < 0 or offset + T > self.max_seq_len:
            raise ValueError(f"{T} positions from {offset} on do not fit {self._title()}: it has {self.max_seq_len}")
        return self.table(positions_from(self, offset, T)) + x

    def extra_repr(self) -> str:
        return f"{self.max_seq_len} positions"


@functools.lru_cache(maxsize=4)
def sinusoids(start: int, stop: int, D: int) -> Array:
    """The rows start … stop-1 of the original Transformer's table, (stop - start, D) in float64, read-only.

    >>> sinusoids(0, 2, 4).round(3)
    array([[0.   , 1.   , 0.   , 1.   ],
           [0.841, 0.54 , 0.01 , 1.   ]])
    """
    angles = np.arange(start, stop)[:, None] * frequencies(D)  # (T, D/2)
    table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(stop - start, D)
    table.flags.writeable = False
    return table


class SinusoidalPositionalEncoding(Module):
    """y[…, t] = x[…, t] + PE[offset + t]: a fixed table of sines and cosines, for sequences of any length.

        PE[t, 2i] = sin(t / 10000^(2i/D)),   PE[t, 2i + 1] = cos(t / 10000^(2i/D))
        x (…, T, D), D even -> y (…, T, D)

    Nothing is learned, so nothing is in `parameters()`; dL/dx = dL/dy. (The original Transformer first multiplies the
    token rows by sqrt(D), so that they stand out against the table's entries.)

    Invariance: PE[t + k] is PE[t] with each pair (sin, cos) turned by an angle that depends on k alone, the same linear
    map at every t; so the inner product PE[s] . PE[t] depends on t - s only.

    Raises ValueError for an odd width (a frequency has a sine and a cosine), another width, a negative offset.
    (Vaswani et al. 2017.)

    >>> SinusoidalPositionalEncoding(4)(np.zeros((2, 4))).data.round(3)
    array([[0.   , 1.   , 0.   , 1.   ],
           [0.841, 0.54 , 0.01 , 1.   ]])
    """

    def __init__(self, embed_dim: int) -> None:
        if embed_dim < 2 or embed_dim % 2:
            raise ValueError("SinusoidalPositionalEncoding needs an even embed_dim, a sine and a cosine for each "
                             f"frequency, not {embed_dim}")
        self.embed_dim = embed_dim

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        x, T = sequence(self, x, self.embed_dim)
        positions_from(self, offset, 0)
        table = sinusoids(offset, offset + T, self.embed_dim)
        return x + table.astype(x.dtype if x.dtype.kind == "f" else np.float32)

    def extra_repr(self) -> str:
        return f"width {self.embed_dim}"


class GPTEmbedding(Module):
    """The input layer of GPT: token row + position row, then dropout.

        ids (B, T) or (T), T <= max_seq_len -> (B, T, embed_dim) or (T, embed_dim)

    Both tables start as N(0, 0.02^2).          (Radford et al. 2018)

    >>> GPTEmbedding(vocab_size=100, embed_dim=8, max_seq_len=10)([[0, 1, 2, 3, 4, 5]]).shape
    (1, 6, 8)
    """

    def __init__(self, vocab_size: int, embed_dim: int, max_seq_len: int, dropout: float = 0.0, *, std: float = 0.02,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        rng = fresh_rng() if rng is None else rng
        self.token = Embedding(vocab_size, embed_dim, std=std, rng=rng, dtype=dtype)
        self.position = LearnedPositionalEmbedding(max_seq_len, embed_dim, std=std, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, ids: Any, offset: int = 0) -> Tensor:
        ids = _sequence_of_ids(self, ids, self.token, "the token table")
        y: Tensor = self.dropout(self.position(self.token(ids), offset))
        return y


class BERTEmbedding(Module):
    """The input layer of BERT: token row + position row + segment row, then LayerNorm, then dropout.

        ids (B, T) or (T), T <= max_seq_len; segments the same shape, in 0 … num_segments-1; None: all 0 -> (…, T, D)

    The segment row says to which of two sentences a token belongs. The three tables start as N(0, 0.02^2). Each gets
    a `RowGrad`. Once through the LayerNorm, token and position no longer simply add, so a mean over T sees order.
    Raises IndexError for ids outside their table, ValueError past the last position or for segments of another shape.
    (Devlin et al. 2019.)

    >>> layer = BERTEmbedding(vocab_size=100, embed_dim=8)
    >>> layer([[2, 7, 3, 9, 3]], segments=[[0, 0, 0, 1, 1]]).shape
    (1, 5, 8)
    """

    def __init__(self, vocab_size: int, embed_dim: int, max_seq_len: int = 512, num_segments: int = 2,
                 dropout: float = 0.1, eps: float = 1e-12, *, std: float = 0.02,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        rng = fresh_rng() if rng is None else rng
        self.token = Embedding(vocab_size, embed_dim, std=std, rng=rng, dtype=dtype)
        self.position = LearnedPositionalEmbedding(max_seq_len, embed_dim, std=std, rng=rng, dtype=dtype)
        self.segment = Embedding(num_segments, embed_dim, std=std, rng=rng, dtype=dtype)
        self.norm = LayerNorm(embed_dim, eps, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, ids: Any, segments: Any = None) -> Tensor:
        ids = _sequence_of_ids(self, ids, self.token, "the token table")
        # Without segments, one row of them serves the whole batch.
        segments = np.zeros(ids.shape[-1:], np.int64) if segments is None else segments
        segments = segments.data if isinstance(segments, Tensor) else segments
        segments = as_ids(segments, self.segment.num_embeddings, "the segment table")
        if segments.shape not in (ids.shape, ids.shape[-1:]):
            raise ValueError(f"BERTEmbedding takes segments of the shape of ids, {ids.shape}, got {segments.shape}")
        y: Tensor = self.dropout(self.norm(self.position(self.token(ids) + self.segment(segments))))
        return y


def _sequence_of_ids(layer: Module, ids: Any, table: Embedding, what: str) -> Array:
    ids = as_ids(ids, table.num_embeddings, what)
    if ids.ndim == 0:
        raise ValueError(f"{type(layer).__name__} takes a sequence of ids (…, T), not a single one")
    return ids
