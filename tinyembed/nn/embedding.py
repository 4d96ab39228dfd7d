"""The token table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Parameter, Tensor, fresh_rng
from ..ops import embedding
from .module import Module


class Embedding(Module):
    """y[n] = weight[ids[n]]: one learned row for each id.

        ids (…) integers in 0 … num_embeddings-1 -> y (…, embedding_dim)

    The rows start as N(0, std^2); std=1 is PyTorch's, 0.02 GPT's. Gradient: the gradient of a looked-up row goes to
    that row, repeated ids add up, as a `RowGrad`: nothing of the table's size is made.
    Raises IndexError for ids outside the table (nothing wraps round), TypeError for ids that are no integers.

    >>> table = Embedding(6, 4)
    >>> y = table([[0, 5, 5]])
    >>> y.shape, np.array_equal(y.data[0, 1], table.weight.data[5])
    ((1, 3, 4), True)
    >>> y.sum().backward(); table.weight.grad
    RowGrad(shape=(6, 4), 3 rows, float32)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, *, std: float = 1.0,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(f"a table needs at least one row and one column, not {num_embeddings} x {embedding_dim}")
        rng = fresh_rng() if rng is None else rng
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        # Drawn in float32 where float32 is stored: no float64 copy of a large table.
        drawn = rng.standard_normal((num_embeddings, embedding_dim), np.float64 if dtype == np.float64 else np.float32)
        drawn *= std
        self.weight = Parameter(drawn.astype(dtype, copy=False))

    def forward(self, ids: Any) -> Tensor:
        return embedding(self.weight, ids)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings} x {self.embedding_dim}"
