"""Token encoders for SentenceEncoder, besides BERT: static embeddings, and an LSTM over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor
from ..nn import LSTM, Embedding, EmbeddingBag, Module


class StaticEmbedding(Module):
    """A bag of rows: the body of an encoder without context          ids (B, T), mask (B, T) -> (B, D)

    bag   an `nn.EmbeddingBag`, by its mode the mean, the sum or the maximum of a text's rows

    >>> from tinyembed.nn import EmbeddingBag
    >>> StaticEmbedding(EmbeddingBag.from_pretrained(np.eye(3)))([[0, 2, 0]], [[True, True, False]]).data.tolist()
    [[0.5, 0.0, 0.5]]
    """

    def __init__(self, bag: EmbeddingBag) -> None:
        self.bag = bag

    def forward(self, ids: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return self.bag(ids)
        mask = np.asarray(mask, bool)
        ends = mask.sum(1).cumsum()
        return self.bag(np.asarray(ids)[mask], np.concatenate([[0], ends[:-1]]))


class TokenLSTM(Module):
    """Rows of a table, read in both directions: InferSent's body          ids (B, T), mask (B, T) -> (B, T, 2 hidden)

    (Conneau et al. 2017, "Supervised learning of universal sentence representations")

    >>> TokenLSTM(10, 4, 8)([[1, 2, 3]]).shape
    (1, 3, 16)
    """

    def __init__(self, vocab_size: int, embedding_dim: int, hidden_size: int, *,
                 rng: np.random.Generator | None = None) -> None:
        self.embed = Embedding(vocab_size, embedding_dim, std=0.1, rng=rng)
        self.lstm = LSTM(embedding_dim, hidden_size, bidirectional=True, rng=rng)

    def forward(self, ids: Any, mask: Any = None) -> Tensor:
        return self.lstm(self.embed(ids), lengths=None if mask is None else np.asarray(mask).sum(1))[0]
