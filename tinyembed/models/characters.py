"""Character CNN: a word vector from its characters by convolution and max pooling, so every word has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Parameter, Tensor
from ..nn import Conv1d, Embedding, Linear, Module, ModuleList, Pooling
from ..ops import concatenate, relu, sigmoid, swapaxes, tanh


class Highway(Module):
    """y = g * relu(W x + b) + (1 - g) * x,  g = sigmoid(W_g x + b_g)          x (…, D) -> (…, D)

    The gate g says, number by number, how much of x is changed. It starts near 0.1, so that most passes.
    (Srivastava et al. 2015, "Training very deep networks")

    >>> Highway(3)(np.ones((2, 3), np.float32)).shape
    (2, 3)
    """

    def __init__(self, size: int, *, rng: np.random.Generator | None = None) -> None:
        self.change, self.gate = Linear(size, size, rng=rng), Linear(size, size, rng=rng)
        self.gate.bias = Parameter(np.full(size, -2, np.float32))

    def forward(self, x: Any) -> Tensor:
        g = sigmoid(self.gate(x))
        return g * relu(self.change(x)) + (1 - g) * x


class CharacterCNN(Module):
    """A word from its characters: what a SentenceEncoder reads them with          ids (B, T), mask (B, T) -> (B, dim)

        z = tanh of the maximum over t of K . (x_t … x_{t + w - 1}) + b, for each kernel K of each width w
        vector = W highway(z) + b

    vocab_size      characters that have a row
    embedding_dim   of these rows
    dim             of the vectors
    widths          w: how many characters a kernel sees
    filters         times w: how many kernels of width w there are. The longer a piece, the more of its kind there are

    A kernel is a piece of a word, spelt softly: it answers to its letters and less to others like them, wherever they
    stand. FastText has a row for each piece instead, and none for a piece that it never met. Around a word there are
    zeros, which tell kernels where it begins and ends; of padding no kernel sees more.
    (Kim et al. 2016, "Character-aware neural language models"; trained to give a word the vector that it has in a
    table: Pinter et al. 2017, "Mimicking word embeddings using subword RNNs")

    >>> from tinyembed.models import SentenceEncoder
    >>> from tinyembed.text import CharacterTokenizer
    >>> letters = CharacterTokenizer.train(["receive"], unknown="<unk>")
    >>> encoder = SentenceEncoder(letters, CharacterCNN(len(letters), 4, dim=8))
    >>> encoder.encode(["receive", "recieve", "zero", ""]).shape
    (4, 8)
    """

    def __init__(self, vocab_size: int, embedding_dim: int, dim: int, widths: Sequence[int] = (1, 2, 3, 4, 5),
                 filters: int = 25, *, rng: np.random.Generator | None = None) -> None:
        if min([len(widths), filters, dim, *widths]) < 1:
            raise ValueError(f"widths are one or more, and they, filters and dim are 1 or more, not {widths!r}, "
                             f"{filters} and {dim}")
        self.rows = Embedding(vocab_size, embedding_dim, rng=rng)
        # So much zero padding that each window which has a character is seen, that of the first or last alone too.
        self.kernels = ModuleList([Conv1d(embedding_dim, filters * w, w, padding=w - 1, rng=rng) for w in widths])
        self.pool, self.highway = Pooling("max"), Highway(filters * sum(widths), rng=rng)
        self.out = Linear(filters * sum(widths), dim, rng=rng)

    def forward(self, ids: Any, mask: Any = None) -> Tensor:
        mask = np.ones(np.shape(ids), bool) if mask is None else np.asarray(mask, bool)
        x = self.rows(ids)
        x = swapaxes(x * mask[:, :, None].astype(x.dtype), 1, 2)  # (B, embedding_dim, T), zeros where no character is
        found = []
        for conv in self.kernels:
            y = swapaxes(conv(x), 1, 2)  # (B, T + w - 1, filters * w)
            seen = np.zeros(y.shape[:2], bool)  # windows with a character
            for k in range(conv.kernel_size[0]):
                seen[:, k:k + mask.shape[1]] |= mask
            found.append(self.pool(y, seen))
        # The maximum of the tanh is the tanh of the maximum, for fewer numbers.
        return self.out(self.highway(tanh(concatenate(found, -1))))
