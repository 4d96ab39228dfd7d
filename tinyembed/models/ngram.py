"""Models of fixed context: the bigram, and the neural n-gram of Bengio et al."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..nn import Embedding, Linear
from ..ops import concatenate, pad, tanh
from .language import LanguageModel, TokenModel


class Bigram(LanguageModel):
    """logits of the next token = a row of a table, that of the last token: a table (V, V), and nothing else.

        ids (B, T) -> logits (B, T, V)

    It learns log p(next | last), so far as there is text to learn it from. Its gradient is a RowGrad: a step touches
    the rows of the tokens in the batch.

    >>> Bigram(5)(np.array([[1, 2, 1]])).shape
    (1, 3, 5)
    """

    def __init__(self, vocab_size: int, *, std: float = 0.01, rng: np.random.Generator | None = None) -> None:
        self.vocab_size, self.block_size = vocab_size, 1
        self.table = Embedding(vocab_size, vocab_size, std=std, rng=rng)

    def forward(self, ids: Any) -> Tensor:
        return self.table(ids)


class NeuralNGram(TokenModel):
    """The rows of the last `context` tokens side by side, a hidden layer, a score for each token.

        x_t = [W[ids[t - context + 1]] … W[ids[t]]], zeros before the first;  logits_t = U tanh(H x_t + d) + A x_t + b
        ids (B, T) -> logits (B, T, V)

    What was learned of one word serves for all with a similar row: a table of counts knows nothing of it. `direct` adds
    the paper's straight connections A. (Bengio, Ducharme, Vincent and Jauvin 2003, "A neural probabilistic
    language model")

    >>> model = NeuralNGram(50, embed_dim=8, context=3, hidden=16)
    >>> model(np.array([[1, 2, 1, 4]])).shape
    (1, 4, 50)
    """

    def __init__(self, vocab_size: int, embed_dim: int, context: int, hidden: int, direct: bool = False, *,
                 rng: np.random.Generator | None = None) -> None:
        if context < 1:
            raise ValueError(f"the model looks at one token at least, not {context}")
        rng = fresh_rng() if rng is None else rng
        self.block_size = context
        self.token = Embedding(vocab_size, embed_dim, std=0.1, rng=rng)
        self.mix = Linear(context * embed_dim, hidden, rng=rng)
        self.head = Linear(hidden, vocab_size, rng=rng)
        self.direct = Linear(context * embed_dim, vocab_size, bias=False, rng=rng) if direct else None

    def forward(self, ids: Any) -> Tensor:
        x = self._window(ids)
        y = self.head(tanh(self.mix(x)))
        return y if self.direct is None else y + self.direct(x)

    def hidden_states(self, ids: Any) -> list[Tensor]:
        x = self._window(ids)
        return [x, tanh(self.mix(x))]

    def _window(self, ids: Any) -> Tensor:
        """The rows of each token and those before it, side by side: (B, T) -> (B, T, context * D)"""
        x, C = self.token(ids), self.block_size or 1
        T = x.shape[1]
        past = pad(x, ((0, 0), (C - 1, 0), (0, 0)))
        return concatenate([past[:, k:k + T] for k in range(C)], axis=-1)
