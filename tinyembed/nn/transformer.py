"""The transformer block: multi-head attention, then an MLP, each with a residual connection and a norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..ops import gelu, relu, sigmoid, silu
from .attention import KeysAndValues, MultiHeadAttention
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .norm import LayerNorm

ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    "gelu": gelu, "gelu_tanh": lambda x: gelu(x, "tanh"), "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": relu, "silu": silu}


class MLP(Module):
    """y = W_2 a(W_1 x + b_1) + b_2, a network of one hidden layer at each position          x (…, D) -> y (…, D)

    activation  "gelu" (BERT), "gelu_tanh" (GPT-2), "quick_gelu" (CLIP: x sigmoid(1.702 x), near gelu), "relu" (the
                original Transformer), "silu"
    gated       y = W_2 (a(W_1 x + b_1) * (W_3 x + b_3)) + b_2; with "silu" it is the SwiGLU of Llama and Qwen
    (Shazeer 2020, "GLU variants improve Transformer")

    >>> MLP(4, 16)(np.ones((2, 4), np.float32)).shape
    (2, 4)
    """

    def __init__(self, embed_dim: int, hidden: int, activation: str = "gelu", bias: bool = True, gated: bool = False,
                 *, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        rng = fresh_rng() if rng is None else rng
        self.activation = activation
        self.linear1 = Linear(embed_dim, hidden, bias, rng=rng, dtype=dtype)
        self.linear2 = Linear(hidden, embed_dim, bias, rng=rng, dtype=dtype)
        self.gate = Linear(embed_dim, hidden, bias, rng=rng, dtype=dtype) if gated else None

    def forward(self, x: Any) -> Tensor:
        h = ACTIVATIONS[self.activation](self.linear1(x))
        return self.linear2(h if self.gate is None else h * self.gate(x))

    def extra_repr(self) -> str:
        return self.activation + ", gated" * (self.gate is not None)


class TransformerBlock(Module):
    """Attention between the positions, then an MLP at each; both added to what came in.

        pre-norm    x = x + attention(norm1(x)),  y = x + mlp(norm2(x))          (norm_first=True: GPT-2, Llama)
        post-norm   x = norm1(x + attention(x)),  y = norm2(x + mlp(x))          (the original Transformer, BERT)

        x (B, T, D) -> y (B, T, D); mask, padding, cache as in MultiHeadAttention, which gets them

    hidden    width of the MLP, 4 D if None
    dropout   of what attention and MLP add, and of the attention's weights, in training; attention_dropout: of the
              weights, where theirs is another
    causal, position: those of MultiHeadAttention; activation, gated: those of MLP; eps of the LayerNorms
    (Vaswani et al. 2017; Xiong et al. 2020 on where the norm goes)

    >>> TransformerBlock(8, 2, causal=True)(np.ones((1, 3, 8), np.float32)).shape
    (1, 3, 8)
    """

    def __init__(self, embed_dim: int, num_heads: int, hidden: int | None = None, dropout: float = 0.0, *,
                 norm_first: bool = True, causal: bool = False, position: Module | None = None,
                 activation: str = "gelu", gated: bool = False, bias: bool = True, eps: float = 1e-5,
                 attention_dropout: float | None = None, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        rng = fresh_rng() if rng is None else rng
        self.norm_first = norm_first
        self.norm1 = LayerNorm(embed_dim, eps, dtype=dtype)
        self.attention = MultiHeadAttention(embed_dim, num_heads, dropout if attention_dropout is None else
                                            attention_dropout, bias, causal=causal, position=position, rng=rng,
                                            dtype=dtype)
        self.norm2 = LayerNorm(embed_dim, eps, dtype=dtype)
        self.mlp = MLP(embed_dim, 4 * embed_dim if hidden is None else hidden, activation, bias, gated, rng=rng,
                       dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, x: Any, mask: Any = None, padding: Any = None, cache: KeysAndValues | None = None) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm1(x), None, mask, padding, cache))
            return x + self.dropout(self.mlp(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x, None, mask, padding, cache)))
        return self.norm2(x + self.dropout(self.mlp(x)))

    def extra_repr(self) -> str:
        return "norm first" if self.norm_first else "norm last"
