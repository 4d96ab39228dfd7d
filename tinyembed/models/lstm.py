"""LSTMModel: a recurrent language model."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor, fresh_rng
from ..nn import LSTM, Dropout, Embedding, Linear
from ..ops import linear
from .language import TokenModel


class LSTMModel(TokenModel):
    """Token rows, LSTM layers, a score for each token.

        ids (B, T) -> logits (B, T, V)

    tied: the scores are dot products with the token rows, of which the LSTM's width is then that (Press and Wolf 2017).
    (Mikolov et al. 2010, "Recurrent neural network based language model"; Sundermeyer et al. 2012 for the LSTM)

    >>> model = LSTMModel(50, embed_dim=8, num_layers=2)
    >>> model(np.array([[1, 2, 1, 4]])).shape
    (1, 4, 50)
    """

    block_size = None

    def __init__(self, vocab_size: int, embed_dim: int, hidden: int | None = None, num_layers: int = 1,
                 dropout: float = 0.0, tied: bool = True, *, rng: np.random.Generator | None = None) -> None:
        rng, hidden = fresh_rng() if rng is None else rng, embed_dim if hidden is None else hidden
        if tied and hidden != embed_dim:
            raise ValueError(f"a tied head needs states as wide as the rows, {embed_dim}, not {hidden}: tied=False")
        self.token = Embedding(vocab_size, embed_dim, std=0.1, rng=rng)
        self.drop = Dropout(dropout, rng=rng)
        self.lstm = LSTM(embed_dim, hidden, num_layers, dropout=dropout, rng=rng)
        self.head = None if tied else Linear(hidden, vocab_size, rng=rng)

    def forward(self, ids: Any) -> Tensor:
        return self._scores(self.lstm(self.drop(self.token(ids)))[0])

    def hidden_states(self, ids: Any) -> list[Tensor]:
        x = self.drop(self.token(ids))
        return [x, self.lstm(x)[0]]

    def advance(self, ids: Array, state: Any) -> tuple[Array, Any]:
        y, state = self.lstm(self.token(ids), state)
        return self._scores(y[:, -1:]).data[:, -1], state

    def _scores(self, y: Tensor) -> Tensor:
        y = self.drop(y)
        return linear(y, self.token.weight) if self.head is None else self.head(y)
