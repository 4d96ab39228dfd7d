"""Parameter groups: which parameters an optimiser or a clipping is for, and which of them decay."""

from __future__ import annotations

from typing import Any

from ..core import Parameter, Tensor


def listed(params: Any) -> list[Any]:
    """What is in `params`, as a list: parameters, as `model.parameters()` gives them, or groups. TypeError for one
    parameter or a module, and for items that are neither; ValueError for an iterator that is used up.

    >>> listed(Parameter([1.0]))
    Traceback (most recent call last):
    TypeError: params are several parameters, model.parameters() say, not one Parameter; [p] are those of one
    """
    if isinstance(params, Tensor) or not hasattr(params, "__iter__"):
        hint = f"{type(params).__name__}; " + ("[p] are those of one" if isinstance(params, Tensor) else "give its "
                                               "parameters(), if it is a model" )
        raise TypeError(f"params are several parameters, model.parameters() say, not one {hint}")
    if isinstance(params, (dict, str)):
        raise TypeError(f"params are parameters, or a list of groups, not a {type(params).__name__}")
    found = list(params)
    if not found and iter(params) is params:
        raise ValueError("params is an iterator that gives nothing: used up before? Give a list")
    for i, p in enumerate(found):
        if not isinstance(p, (Parameter, dict)):
            raise TypeError(f"item {i} of params is a {type(p).__name__}, not a Parameter; give model.parameters()")
        if isinstance(p, dict) != isinstance(found[0], dict):
            raise TypeError(f"params are parameters or groups, not both: item {i} is a {type(p).__name__}")
    return found


def each(params: Any) -> list[Parameter]:
    """The parameters in `params`, those of groups too, each once."""
    found = listed(params)
    if found and isinstance(found[0], dict):
        found = [p for group in found for p in listed(group["params"])]
    return list({id(p): p for p in found}.values())


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
