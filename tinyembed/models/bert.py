"""BERT: a stack of bidirectional transformer blocks, pretrained on masked tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, as_ids, fresh_rng
from ..nn import ACTIVATIONS, BERTEmbedding, LayerNorm, Linear, Module, TransformerBlock
from ..ops import cross_entropy, linear

IGNORED = -100  # a target that is not asked for


@dataclass
class BERTConfig:
    """The sizes of a BERT, under the names of its config.json; the defaults are bert-base's.

    hidden_dropout_prob            in training, of the rows and what the blocks add
    attention_probs_dropout_prob   in training, of the attention's weights; None: hidden_dropout_prob
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    attention_probs_dropout_prob: float | None = None


class BERT(Module):
    """Token + position + segment rows -> LayerNorm -> post-norm blocks: a vector for each token in its context.

        ids (B, T), segments (B, T) or None (all 0), mask (B, T), True for tokens and False for padding, or None
        -> (B, T, D)

    `logits` and `loss` are of its training: `mask_tokens` hides some tokens, and a head (a layer, gelu, norm, and the
    token table) has to name them. `models.load_bert` reads published weights.
    (Devlin et al. 2019, "BERT: pre-training of deep bidirectional transformers for language understanding")

    >>> model = BERT(BERTConfig(100, 16, 2, 2, 32)).eval()
    >>> model([[2, 7, 3, 0]], mask=[[True, True, True, False]]).shape, len(model.hidden_states([[2, 7, 3]]))
    ((1, 4, 16), 3)
    """

    def __init__(self, config: BERTConfig, *, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        self.config, D, eps = c, c.hidden_size, c.layer_norm_eps
        self.embed = BERTEmbedding(c.vocab_size, D, c.max_position_embeddings, c.type_vocab_size,
                                   c.hidden_dropout_prob, eps, rng=rng, dtype=dtype)
        self.blocks = [TransformerBlock(D, c.num_attention_heads, c.intermediate_size, c.hidden_dropout_prob, eps=eps,
                                        norm_first=False, activation=c.hidden_act,
                                        attention_dropout=c.attention_probs_dropout_prob, rng=rng, dtype=dtype)
                       for _ in range(c.num_hidden_layers)]
        self.transform = Linear(D, D, rng=rng, dtype=dtype)
        self.transform_norm = LayerNorm(D, eps, dtype=dtype)
        self.bias = Parameter(np.zeros(c.vocab_size, dtype))
        for block in self.blocks:
            for p in block.parameters():
                if p.ndim == 2:
                    p.data = rng.standard_normal(p.shape) * 0.02

    def forward(self, ids: Any, segments: Any = None, mask: Any = None) -> Tensor:
        return self.hidden_states(ids, segments, mask)[-1]

    def hidden_states(self, ids: Any, segments: Any = None, mask: Any = None) -> list[Tensor]:
        """num_hidden_layers + 1 tensors (B, T, D): what the tables gave, then what each block made of it."""
        mask = None if mask is None else np.asarray(mask).astype(bool)
        states = [self.embed(ids, segments)]
        for block in self.blocks:
            states.append(block(states[-1], padding=mask))
        return states

    def grow(self, k: int, *, std: float = 0.02, rng: np.random.Generator | None = None) -> BERT:
        """Add k tokens to the vocabulary: rows N(0, std^2) of the table, and of the head; returns the model.

        >>> BERT(BERTConfig(100, 16, 2, 2, 32)).grow(3).logits([[2, 102]]).shape
        (1, 2, 103)
        """
        self.embed.token.grow(k, std=std, rng=rng)
        self.bias.grow(np.zeros(k))
        self.config = replace(self.config, vocab_size=self.config.vocab_size + k)
        return self

    def logits(self, ids: Any, segments: Any = None, mask: Any = None) -> Tensor:
        """A score for each token of the vocabulary at each place: (B, T, V)"""
        h = self.transform(self.forward(ids, segments, mask))
        h = self.transform_norm(ACTIVATIONS[self.config.hidden_act](h))
        return linear(h, self.embed.token.weight, self.bias)

    def loss(self, ids: Any, targets: Any, segments: Any = None, mask: Any = None) -> Tensor:
        """The mean of -log p(target) over the places where targets (B, T) are not -100: those that were hidden."""
        return cross_entropy(self.logits(ids, segments, mask), targets, IGNORED)


def mask_tokens(ids: Any, vocab_size: int, mask_id: int, rng: np.random.Generator, share: float = 0.15,
                keep: Any = ()) -> tuple[Array, Array]:
    """Hide tokens for BERT to find: (ids with some replaced, targets, -100 where nothing is asked).

    Each token is chosen with probability `share`; of the chosen, 80 % become mask_id, 10 % a random token, 10 % stay
    what they are, so that the model cannot rely on seeing which are asked for. keep: ids that are never chosen, such as
    [CLS], [SEP], [PAD]. At least one is chosen in each line that has one to choose, which matters for short lines.

    >>> hidden, targets = mask_tokens(np.arange(5, 15)[None], 20, mask_id=4, rng=np.random.default_rng(0), share=0.5)
    >>> print(hidden, targets)
    [[ 5  4  8  4  9 10 11 12 13 14]] [[-100    6    7    8 -100 -100 -100 -100 -100 -100]]
    """
    ids = as_ids(ids, vocab_size, "the vocabulary")
    as_ids(mask_id, vocab_size, "the vocabulary")
    if not 0 < share <= 1:
        raise ValueError(f"share is a probability above 0, not {share}")
    can = ~np.isin(ids, np.asarray(list(keep), np.int64))
    draw = np.where(can, rng.random(ids.shape), 2.0)
    chosen = (draw < share) | ((draw == draw.min(-1, keepdims=True, initial=2.0)) & can)
    how = rng.random(ids.shape)
    hidden = np.where(chosen & (how < 0.8), mask_id, ids)
    random = chosen & (how >= 0.8) & (how < 0.9)
    hidden[random] = rng.integers(vocab_size, size=int(random.sum()))
    return hidden, np.where(chosen, ids, IGNORED)
