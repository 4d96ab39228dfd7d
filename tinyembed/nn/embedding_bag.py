"""EmbeddingBag: bags of ids, each reduced to one vector."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..core import Tensor
from ..ops import check_mode, embedding_bag
from .embedding import Table


class EmbeddingBag(Table):
    """y[b] = the sum, mean or maximum of weight[i] over the ids i of bag b; `ops.embedding_bag` has the formulas.

        ids (B, L)                    -> y (B, embedding_dim)     a bag for each line
        ids (N), offsets (B)          -> y (B, embedding_dim)     bag b begins at offsets[b]
        per_sample_weights, of the shape of ids, for the modes "sum" and "mean"; they get a gradient

    Without making the rows of all ids at once, unlike Embedding followed by a reduction. Ids equal to padding_idx are
    left out, of a mean's count too; an empty bag is zeros; no ids (0, L) give (0, embedding_dim). With
    include_last_offset, offsets (B + 1) end with N. The other options and the starting values are Embedding's.

    A weighted mean is sum w row / sum w. Differs from torch.nn.EmbeddingBag: that has weights for "sum" alone, no
    row gradients for "max", sparse=False by default, and on the CPU a scale_grad_by_freq that divides by the counts of
    other ids (2.13.0; PyTorch's issue 190063); for max_norm and padding_idx see Embedding.
    Raises what `ops.embedding_bag` and Embedding raise, before anything changes.
    (Joulin et al. 2016: a text as the mean of its words.)

    >>> bag = EmbeddingBag(6, 4, mode="sum")
    >>> y = bag([1, 5, 5, 2], offsets=[0, 3, 3])
    >>> y.shape, y.data[1].tolist()
    ((3, 4), [0.0, 0.0, 0.0, 0.0])
    >>> np.array_equal(y.data[2], bag.weight.data[2])
    True
    """

    OPTIONS: ClassVar[dict[str, Any]] = {"mode": "mean", "include_last_offset": False, **Table.OPTIONS}
    mode: str
    include_last_offset: bool

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = True,
                 include_last_offset: bool = False, padding_idx: int | None = None, *, std: float = 1.0,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        self._set_up(num_embeddings, embedding_dim, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                     scale_grad_by_freq=scale_grad_by_freq, sparse=sparse, mode=mode,
                     include_last_offset=include_last_offset)
        self.weight = self._drawn((num_embeddings, embedding_dim), std, rng, dtype)

    @classmethod
    def from_pretrained(cls, table: Any, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
                        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = True,
                        include_last_offset: bool = False, padding_idx: int | None = None) -> Any:
        """A layer with the rows of `table` (V, D); see `Embedding.from_pretrained`.

        >>> EmbeddingBag.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([[0, 1]]).data.tolist()
        [[2.0, 3.0]]
        """
        return cls._adopting(table, freeze, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                             scale_grad_by_freq=scale_grad_by_freq, sparse=sparse, mode=mode,
                             include_last_offset=include_last_offset)

    def _check(self, num_embeddings: int, embedding_dim: int, options: dict[str, Any]) -> None:
        super()._check(num_embeddings, embedding_dim, options)
        check_mode(options["mode"])

    def forward(self, ids: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        return embedding_bag(self.weight, ids, offsets, per_sample_weights, *self.options.values())
