"""Multi-head attention, self and cross, with masks and a key-value cache."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, fresh_rng
from ..ops import attention, check_mask, linear, softmax, swapaxes, where
from .linear import Linear
from .module import Module
from .positional import sequence
from .relative import RotaryEmbedding


class KeysAndValues:
    """The keys and values of all positions so far, so that a generator need not compute them again.

    Room for `size` positions of B sequences. `length` positions are there.
    """

    def __init__(self, size: int) -> None:
        self.size, self.length = size, 0
        self.arrays: list[Array] = []

    def add(self, *new: Any) -> tuple[Array, ...]:
        """Put keys and values (B, T, H, d) of the next T positions behind the others; all of them, as views."""
        B, T, H, d = new[0].shape
        if self.length + T > self.size:
            raise ValueError(f"{self.length} positions and {T} more do not fit in {self.size}")
        if not self.arrays:
            self.arrays = [np.empty((B, self.size, H, d), x.dtype) for x in new]
        if self.arrays[0].shape[0] != B:
            raise ValueError(f"the positions before are of {len(self.arrays[0])} sequences, these of {B}")
        for array, x in zip(self.arrays, new):
            array[:, self.length:self.length + T] = x
        self.length += T
        return tuple(array[:, :self.length] for array in self.arrays)


class MultiHeadAttention(Module):
    """H times attention side by side, each on its own part of the width, and a projection of what they found.

        q, k, v = x W_in^T + b_in, cut into three, each into H heads of d = D / H
        head_h = softmax(q_h k_h^T / sqrt(d) + mask) v_h          y = [head_1 … head_H] W_out^T + b_out

        x (B, T, D); for cross-attention keys and values come from `memory` (B, Tk, D) -> y (B, T, D)
        mask, broadcasting to (B, H, T, Tk): booleans, True where a query may look at a key, or floats to be added
        padding (B, Tk): True where a key is a real token

    causal    no query looks at a later key
    position  what tells the heads of distances: a RotaryEmbedding(D / H), by which queries and keys are turned; or an
              ALiBi(H) or RelativePositionBias(H), called (Tq, Tk, offset) for what is added to the scores; or None
    dropout   of the weights, in training

    A query that may look at nothing gets b_out. Parameters are named as in torch.nn.MultiheadAttention (in_proj_weight
    (3D, D), in_proj_bias, out_proj) and start uniform in ±sqrt(6 / 4D), ±1/sqrt(D), biases 0. Differs: the batch comes
    first, masks are True where one *may* look, and the weights are had from `weights(x)`, the heads from `heads(x)`.
    (Vaswani et al. 2017)

    >>> layer = MultiHeadAttention(8, 2, causal=True)
    >>> x = np.ones((1, 3, 8), np.float32)
    >>> layer(x).shape, layer.heads(x).shape, layer.weights(x).data[0, 0, 1].tolist()
    ((1, 3, 8), (1, 3, 2, 4), [0.5, 0.5, 0.0])
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, *,
                 causal: bool = False, position: Module | None = None, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise ValueError(f"the width is shared by the heads in equal parts; {embed_dim} is no multiple of "
                             f"{num_heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"the dropout probability is in 0 … 1 (exclusive), not {dropout}")
        self.rng = fresh_rng() if rng is None else rng
        self.embed_dim, self.num_heads, self.dropout, self.causal = embed_dim, num_heads, dropout, causal
        bound = math.sqrt(6 / (4 * embed_dim))
        self.in_proj_weight = Parameter(self.rng.uniform(-bound, bound, (3 * embed_dim, embed_dim)).astype(dtype))
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=self.rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data[...] = 0
        self.position = position

    def forward(self, x: Any, memory: Any = None, mask: Any = None, padding: Any = None,
                cache: KeysAndValues | None = None) -> Tensor:
        y = self.heads(x, memory, mask, padding, cache)
        return self.out_proj(y.reshape(*y.shape[:2], self.embed_dim))

    def heads(self, x: Any, memory: Any = None, mask: Any = None, padding: Any = None,
              cache: KeysAndValues | None = None) -> Tensor:
        """What each head has gathered, before the projection: (B, T, H, d)"""
        x, memory = self._checked(x), None if memory is None else self._checked(memory)
        mask = self._mask(x, memory, mask, padding, cache)  # refuses before the cache is extended
        qkv = self._projected(x, memory, cache)
        q, k, v = qkv if len(qkv) == 3 else (*qkv, None, None)
        return attention(q, k, v, mask, self.causal, self.dropout if self.training else 0.0, self.rng)

    def weights(self, x: Any, memory: Any = None, mask: Any = None, padding: Any = None) -> Tensor:
        """How much each query takes from each key: (B, H, T, Tk), each row summing to 1 (to 0 where all is masked)."""
        x, memory = self._checked(x), None if memory is None else self._checked(memory)
        mask, qkv = self._mask(x, memory, mask, padding, None), self._projected(x, memory, None)
        q, k, _ = (qkv[0][:, :, i] for i in range(3)) if len(qkv) == 1 else qkv
        scores = q.transpose(0, 2, 1, 3) @ k.transpose(0, 2, 3, 1) * (1 / math.sqrt(q.shape[-1]))
        if mask is not None:
            added = isinstance(mask, Tensor) or np.asarray(mask).dtype != bool
            scores = scores + mask if added else where(mask, scores, np.full((), -np.inf, scores.dtype))
        if self.causal:
            Tq, Tk = scores.shape[2:]
            scores = where(np.tri(Tq, Tk, Tk - Tq, dtype=bool), scores, np.full((), -np.inf, scores.dtype))
        return softmax(scores)

    def _checked(self, x: Any) -> Tensor:
        """x (B, T, D) as a Tensor, or a ValueError."""
        x, _ = sequence(self, x, self.embed_dim)
        if x.ndim != 3:
            raise ValueError(f"{self._title()} takes x (B, T, {self.embed_dim}), got {x.shape}")
        return x

    def _projected(self, x: Tensor, memory: Tensor | None, cache: KeysAndValues | None) -> list[Any]:
        """Queries, keys and values (B, T, H, d) each; or, where nothing comes between, all three in one array."""
        D, H, W, b = self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias
        T = x.shape[1]
        if memory is not None:
            if cache is not None:
                raise ValueError("keys and values of a memory stay the same: they are not for a cache")
            q = linear(x, W[:D], None if b is None else b[:D]).reshape(len(x), T, H, D // H)
            kv = linear(memory, W[D:], None if b is None else b[D:]).reshape(*memory.shape[:2], 2, H, D // H)
            return self._turned([q, kv[:, :, 0], kv[:, :, 1]], 0)
        qkv = linear(x, W, b).reshape(len(x), T, 3, H, D // H)
        if cache is None:
            turns = isinstance(self.position, RotaryEmbedding)
            return self._turned([qkv[:, :, i] for i in range(3)], 0) if turns else [qkv]
        if qkv.requires_grad:
            raise RuntimeError("a cache keeps arrays, through which no gradient goes: use te.no_grad()")
        q, k, v = self._turned([qkv.data[:, :, i] for i in range(3)], cache.length)
        return [q, *cache.add(k, v)]

    def _turned(self, qkv: list[Any], offset: int) -> list[Any]:
        if not isinstance(self.position, RotaryEmbedding):
            return qkv
        turned = [swapaxes(self.position(swapaxes(x, 1, 2), offset), 1, 2) for x in qkv[:2]]
        return [*turned, qkv[2]]

    def _mask(self, x: Tensor, memory: Tensor | None, mask: Any, padding: Any, cache: KeysAndValues | None) -> Any:
        """One mask of all that has to do with who looks at whom, but for causality. The cache has no new keys yet."""
        (B, Tq, _), offset = x.shape, 0 if cache is None else cache.length
        Tk, parts = offset + Tq if memory is None else memory.shape[1], []
        if self.position is not None and not isinstance(self.position, RotaryEmbedding):
            parts.append(self.position(Tq, Tk, offset))
        if mask is not None:
            if not isinstance(mask, Tensor) or mask.dtype == bool:
                mask = np.asarray(mask.data if isinstance(mask, Tensor) else mask)
            check_mask(mask, (B, self.num_heads, Tq, Tk))
            parts.append(mask)
        if padding is not None:
            padding = np.asarray(padding)
            if padding.dtype != bool or padding.shape != (B, Tk):
                raise ValueError(f"padding has a boolean for each key, True for a token: {(B, Tk)}, not "
                                 f"{padding.dtype} {padding.shape}")
            parts.append(padding[:, None, None])
        if not parts:
            return None
        if all(part.dtype == bool for part in parts):
            return functools.reduce(operator.and_, parts)
        return functools.reduce(operator.add, [
            np.where(part, np.float32(0), np.float32(-np.inf)) if part.dtype == bool else part for part in parts])

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads} heads" + ", causal" * self.causal
