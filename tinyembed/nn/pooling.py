"""Pooling of token vectors into one sentence vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array, Tensor
from ..ops import concatenate, floats, matmul, max, where
from .module import Module

MODES = ("cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last")


class Pooling(Module):
    """Pool the vectors of real tokens, those where mask is True; with several modes, side by side as they are given.

        x (B, T, D), mask (B, T) or None (all are real) -> (B, D * number of modes)

    cls             the first token's vector
    max             the maximum of each of the D numbers
    mean            the mean
    mean_sqrt_len   the sum over the root of the number of tokens
    weighted_mean   sum of t x_t / sum of t, t = 1, 2 … T: later tokens of a decoder have read more
    last            the last token's vector

    All but max are a product with weights (B, T), so padding counts for nothing, and gets no gradient. A line without
    real tokens gives zeros.
    (Reimers and Gurevych 2019; weighted_mean: Muennighoff 2022, "SGPT")

    >>> x, mask = np.float32([[[1, 5], [3, 1], [9, 9]]]), [[True, True, False]]
    >>> Pooling("mean")(x, mask).data.tolist(), Pooling(["max", "last"])(x, mask).data.tolist()
    ([[2.0, 3.0]], [[3.0, 5.0, 3.0, 1.0]])
    """

    def __init__(self, modes: str | list[str] = "mean") -> None:
        self.modes = [modes] if isinstance(modes, str) else list(modes)
        if not self.modes or set(self.modes) - set(MODES):
            raise ValueError(f"pooling is one or more of {', '.join(MODES)}, not {modes!r}")

    def forward(self, x: Any, mask: Any = None) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        x = x if x.dtype.kind == "f" else Tensor(floats(x.data))
        mask = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask, bool)
        if x.ndim != 3 or mask.shape != x.shape[:2]:
            raise ValueError(f"pooling takes x (B, T, D) and mask (B, T), not {x.shape} and {mask.shape}")
        pooled = [_maximum(x, mask) if mode == "max" else
                  matmul(_weights(mode, mask).astype(x.dtype)[:, None], x)[:, 0] for mode in self.modes]
        return concatenate(pooled, -1) if len(pooled) > 1 else pooled[0]

    def extra_repr(self) -> str:
        return ", ".join(self.modes)


def _weights(mode: str, mask: Array) -> Array:
    """(B, T), 0 at padding."""
    T = mask.shape[1]
    place = np.arange(T)
    if mode in ("cls", "last") and T:
        found = mask.argmax(1) if mode == "cls" else T - 1 - mask[:, ::-1].argmax(1)
        return mask & (place == found[:, None])
    w = mask * (place + 1.0 if mode == "weighted_mean" else 1.0)
    total = np.maximum(w.sum(1, keepdims=True), 1)
    return w / (np.sqrt(total) if mode == "mean_sqrt_len" else total)


def _maximum(x: Tensor, mask: Array) -> Tensor:
    if not mask.shape[1]:
        return x.sum(1)
    lowest = np.where(mask.any(1, keepdims=True), np.finfo(x.dtype).min, 0).astype(x.dtype)  # (B, 1)
    return max(where(mask[:, :, None], x, lowest[:, None]), 1)
