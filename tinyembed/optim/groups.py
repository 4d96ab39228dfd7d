"""Which parameters weight decay is for."""

from __future__ import annotations

from typing import Any


def decay_groups(model: Any, weight_decay: float = 0.1) -> list[dict[str, Any]]:
    """Two groups for an optimiser: matrices of layers, which decay, and all else, which does not.

    Tables are all else: a row that is seldom looked up would be decayed away in between. So are biases and the weights
    of norms, which say where and how large, not how much of what. (As GPT-2 and its kin were trained, but for the
    tables, which decayed there.) A tied head is a table.

    >>> import tinyembed as te
    >>> model = te.nn.Sequential(te.nn.Embedding(9, 4), te.nn.LayerNorm(4), te.nn.Linear(4, 2))
    >>> [(len(group["params"]), group["weight_decay"]) for group in decay_groups(model)]
    [(1, 0.1), (4, 0.0)]
    >>> adam = te.optim.AdamW(decay_groups(model), lr=1e-3)
    """
    tables = {id(module.weight) for _, module in model.named_modules()
              if hasattr(module, "num_embeddings")}
    decayed = [p for p in model.parameters() if p.ndim > 1 and id(p) not in tables]
    chosen = {id(p) for p in decayed}
    return [{"params": decayed, "weight_decay": weight_decay},
            {"params": [p for p in model.parameters() if id(p) not in chosen], "weight_decay": 0.0}]
