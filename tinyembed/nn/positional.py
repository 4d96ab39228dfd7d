"""Where a token stands, told to a model that would not see it otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..ops import as_ids
from .dropout import Dropout
from .embedding import Embedding
from .module import Module


class LearnedPositionalEmbedding(Module):
    """y[…, t] = x[…, t] + weight[offset + t]: one learned row for each absolute position.

        x (…, T, D), offset + T <= max_seq_len -> y (…, T, D)

    The position gradient sums over the batch. Raises ValueError past the last position.
    (Gehring et al. 2017; the tables of GPT and BERT.)

    >>> LearnedPositionalEmbedding(10, 8)(Tensor(np.zeros((2, 6, 8)))).shape
    (2, 6, 8)
    """

    def __init__(self, max_seq_len: int, embed_dim: int, *, std: float = 0.02,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        self.max_seq_len = max_seq_len
        self.table = Embedding(max_seq_len, embed_dim, std=std, rng=rng, dtype=dtype)

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        D = self.table.embedding_dim
        if np.ndim(x) < 2 or np.shape(x)[-1] != D:
            raise ValueError(f"{self._title()} takes x (…, T, {D}), got {np.shape(x)}")
        T = np.shape(x)[-2]
        if offset < 0 or offset + T > self.max_seq_len:
            raise ValueError(f"{T} positions from {offset} on do not fit {self._title()}: it has {self.max_seq_len}")
        return self.table(np.arange(offset, offset + T)) + x

    def extra_repr(self) -> str:
        return f"{self.max_seq_len} positions"


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
        ids = as_ids(ids.data if isinstance(ids, Tensor) else ids, self.token.num_embeddings, "the token table")
        if ids.ndim == 0:
            raise ValueError("GPTEmbedding takes a sequence of ids (…, T), not a single one")
        y: Tensor = self.dropout(self.position(self.token(ids), offset))
        return y
