"""GPT: a stack of causal transformer blocks that predicts the next token, built as GPT-2 is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, as_ids, fresh_rng
from ..nn import (
    ALiBi,
    Dropout,
    Embedding,
    KeysAndValues,
    LayerNorm,
    LearnedPositionalEmbedding,
    Linear,
    RotaryEmbedding,
    TransformerBlock,
)
from ..ops import cross_entropy, linear, sampled_softmax
from .language import TokenModel, check_padding

POSITIONS = ("learned", "rotary", "alibi")


@dataclass
class GPTConfig:
    """The sizes of a GPT, under nanoGPT's names; the defaults make the smallest GPT-2.

    vocab_size V, block_size the longest context, n_layer blocks, n_head heads, n_embd D
    dropout      of the rows, the attention's weights and what the blocks add
    bias         whether the linear layers have one
    tied         the head is the token table: logits = h W^T
    activation   of the MLPs, and `gated` (see `nn.MLP`)
    position     "learned" (a table), "rotary", "alibi"
    std          of the matrices at the start; token_std: of the token table. GPT-2's 0.02 is for D = 768: narrow models
                 learn sooner from 0.05 and 0.1
    sampled      0, or how many tokens the loss is taken over in training instead of all V (see `ops.sampled_softmax`)
    """

    vocab_size: int = 50257
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True
    tied: bool = True
    activation: str = "gelu_tanh"
    gated: bool = False
    position: str = "learned"
    std: float = 0.02
    token_std: float = 0.02
    sampled: int = 0


class GPT(TokenModel):
    """Token + position rows -> blocks -> LayerNorm -> logits.

        ids (B, T), T <= block_size -> logits (B, T, V); position t sees ids 0 … t
        mask (B, T) or None, True for tokens and False for padding, which no token sees and no position counts

    Starts as GPT-2 does: weights N(0, std^2), those that add to the residual stream divided by sqrt(2 n_layer), biases
    0. `loss` is the next-token loss; with `config.sampled`, in training, its estimate over a sample of the vocabulary,
    and then a step's cost does not depend on V. `generate` keeps keys and values while they fit block_size; further on
    it reads the last block_size tokens anew for each, as positions move. `models.load_gpt` reads published weights.
    (Radford et al. 2019, "Language models are unsupervised multitask learners")

    >>> model = GPT(GPTConfig(vocab_size=65, block_size=8, n_layer=2, n_head=2, n_embd=16))
    >>> model(np.array([[1, 2, 3]])).shape, len(model.generate([1, 2], 20, seed=1))
    ((1, 3, 65), 22)
    """

    def __init__(self, config: GPTConfig, *, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        if min(c.vocab_size, c.block_size, c.n_embd) < 1 or c.n_layer < 0 or c.sampled < 0:
            raise ValueError(f"sizes of a GPT are positive: {c}")
        if c.position not in POSITIONS:
            raise ValueError(f"position is one of {', '.join(POSITIONS)}, not {c.position!r}")
        self.config, self.block_size, D = c, c.block_size, c.n_embd
        self.token = Embedding(c.vocab_size, D, std=c.token_std, rng=rng, dtype=dtype)
        learned, position = c.position == "learned", None
        self.position = LearnedPositionalEmbedding(c.block_size, D, rng=rng, dtype=dtype) if learned else None
        if not learned:
            position = RotaryEmbedding(D // c.n_head) if c.position == "rotary" else ALiBi(c.n_head, dtype=dtype)
        self.drop = Dropout(c.dropout, rng=rng)
        self.blocks = [TransformerBlock(D, c.n_head, None, c.dropout, causal=True, position=position, bias=c.bias,
                                        activation=c.activation, gated=c.gated, rng=rng, dtype=dtype)
                       for _ in range(c.n_layer)]
        self.norm = LayerNorm(D, dtype=dtype)
        self.head = None if c.tied else Linear(D, c.vocab_size, bias=False, rng=rng, dtype=dtype)
        self._start(rng)

    _config: GPTConfig

    @property
    def config(self) -> GPTConfig:
        """The settings; vocab_size is as many as the token table has rows."""
        if self._config.vocab_size != self.vocab_size:
            self._config = replace(self._config, vocab_size=self.vocab_size)
        return self._config

    @config.setter
    def config(self, config: GPTConfig) -> None:
        self._config = config

    def _start(self, rng: np.random.Generator) -> None:
        """N(0, std^2) for the matrices; the two that end in the residual stream of each block are smaller."""
        tables = {id(self.token.weight), id(None if self.position is None else self.position.table.weight)}
        for name, p in self.named_parameters():
            if p.ndim == 2 and id(p) not in tables:
                last = name.endswith(("out_proj.weight", "linear2.weight"))
                p.data = rng.standard_normal(p.shape) * self.config.std / ((2 * len(self.blocks)) ** 0.5 if last else 1)
            elif name.endswith("bias"):
                p.data = np.zeros(p.shape, p.dtype)

    def forward(self, ids: Any, mask: Any = None) -> Tensor:
        return self._scores(self.hidden_states(ids, mask=mask)[-1])

    def loss(self, ids: Any, targets: Any, mask: Any = None) -> Tensor:
        h = self.hidden_states(ids, mask=mask)[-1]
        if not (self.config.sampled and self.training):
            return cross_entropy(self._scores(h), targets)
        table = self.token.weight if self.head is None else self.head.weight
        return sampled_softmax(h, table, targets, self.config.sampled, self.drop.rng)

    def hidden_states(self, ids: Any, cache: list[KeysAndValues] | None = None, mask: Any = None) -> list[Tensor]:
        """n_layer + 1 tensors (B, T, D): what the tables gave, then what each block made of it, the last one through
        the final norm (as Hugging Face's `output_hidden_states` has them)."""
        ids = as_ids(ids, self.vocab_size, "the vocabulary")
        before = cache[0].length if cache else 0
        if ids.ndim != 2 or before + ids.shape[1] > self.config.block_size:
            raise ValueError(f"a GPT takes ids (B, T) with T at most block_size = {self.config.block_size}, not "
                             f"{ids.shape}" + f" after {before}" * bool(before))
        mask = None if mask is None else check_padding(mask, ids.shape)
        x = self.token(ids)
        if self.position is not None and mask is None:
            x = self.position(x, before)
        elif self.position is not None:
            x = self.position.table(np.maximum(np.cumsum(mask, 1) - 1, 0)) + x
        x = self.drop(x)
        states = [x]
        for i, block in enumerate(self.blocks):
            x = block(x, padding=mask, cache=cache[i] if cache else None)
            states.append(x)
        states[-1] = self.norm(x)
        return states

    def advance(self, ids: Array, state: Any) -> tuple[Array, Any]:
        seen, cache = (ids, None) if state is None else (np.concatenate([state[0], ids], 1), state[1])
        if seen.shape[1] > self.config.block_size:
            seen = seen[:, -self.config.block_size:]
            return self._scores(self.hidden_states(seen)[-1][:, -1:]).data[:, -1], (seen, None)
        if not cache:  # the first time, and always without blocks, which have nothing to keep
            cache, ids = [KeysAndValues(self.config.block_size) for _ in self.blocks], seen
        return self._scores(self.hidden_states(ids, cache)[-1][:, -1:]).data[:, -1], (seen, cache)

    def _scores(self, h: Tensor) -> Tensor:
        return linear(h, self.token.weight) if self.head is None else self.head(h)

    def crop(self, block_size: int) -> GPT:
        """Make the context shorter, and the position table with it; returns the model. Optimisers are to be made anew.

        >>> GPT(GPTConfig(20, 8, 1, 1, 4)).crop(4).position.table.weight.shape
        (4, 4)
        """
        if not 1 <= block_size <= self.config.block_size:
            raise ValueError(f"a context of {self.config.block_size} can be cropped to 1 … {self.config.block_size}, "
                             f"not {block_size}")
        self.config, self.block_size = replace(self.config, block_size=block_size), block_size
        if self.position is not None:
            old = self.position
            self.position = LearnedPositionalEmbedding(block_size, self.config.n_embd, dtype=old.table.weight.dtype)
            self.position.table.weight = Parameter(old.table.weight.data[:block_size])
        return self
