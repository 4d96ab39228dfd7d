"""Every optimiser, with each variant that has a way of its own: the one list that the tests of optimisers go by.

A new optimiser, or a new setting of one, joins with an entry in VARIANTS (and in BAD, if the setting has a name that is
new): its rule is held against the plain one here, its rows against its dense steps, its state against files.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinyembed.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

# ----------------------------------------------------------------------------------------------------- plain references
# One block of numbers, its states in a dict, t counted by the caller: (w, g, state, t, **settings) -> the new w.


def sgd(w, g, state, t, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    g = g + weight_decay * w
    buffer = state["b"] = momentum * state.get("b", 0) + g
    return w - lr * (g + momentum * buffer if nesterov else buffer)


def adam(w, g, state, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * w
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g**2
    return w - lr * (state["m"] / (1 - betas[0]**t)) / (np.sqrt(state["v"] / (1 - betas[1]**t)) + eps)


def adamw(w, g, state, t, lr, weight_decay=0.01, **options):
    return adam(w - lr * weight_decay * w, g, state, t, lr, **options)


def adagrad(w, g, state, t, lr, eps=1e-10, weight_decay=0.0, per_row=False):
    g = g + weight_decay * w
    state["s"] = state.get("s", 0) + (np.mean(g**2, -1, keepdims=True) if per_row else g**2)
    return w - lr * g / (np.sqrt(state["s"]) + eps)


def rmsprop(w, g, state, t, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0):
    g = g + weight_decay * w
    state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g**2
    state["b"] = momentum * state.get("b", 0) + g / (np.sqrt(state["v"]) + eps)
    return w - lr * state["b"]


# --------------------------------------------------------------------------------------------- settings drawn at random


def one_of(rng, *choices):
    return choices[rng.integers(len(choices))]


def log_uniform(rng, low, high):
    return float(10 ** rng.uniform(np.log10(low), np.log10(high)))


def rate(rng):
    return {"lr": log_uniform(rng, 1e-3, 1)}


def rate_and_momentum(rng):
    return {**rate(rng), "momentum": one_of(rng, 0.5, 0.9, 0.99)}


def rate_and_eps(rng):
    return {**rate(rng), "eps": log_uniform(rng, 1e-12, 1)}


def averages(rng):
    return {"lr": log_uniform(rng, 1e-4, 0.3), "eps": log_uniform(rng, 1e-12, 1),
            "betas": one_of(rng, (0.9, 0.999), (0.9, 0.95), (0.8, 0.99), (0.0, 0.999))}


def average(rng):
    return {"lr": log_uniform(rng, 1e-4, 0.1), "eps": log_uniform(rng, 1e-12, 1), "alpha": one_of(rng, 0.9, 0.99)}


# --------------------------------------------------------------------------------------------------------- the registry


@dataclasses.dataclass(frozen=True)
class Variant:
    """An optimiser with settings; calling it with parameters makes one.

    make      its class
    rule      its plain reference
    settings  those it is tried with
    draw      rng -> settings drawn at random, for rows that lag behind; None where the dense step is taken, or where
              another variant's draws are much the same
    dense     what is said (a pattern) when a RowGrad makes it take a dense step; "" where rows are exact
    slow      whether slow tests run on it too: one for each class, set of states, and way to catch up
    torch     whether torch has it, under the name of the class and with the same settings
    """

    make: type[Optimizer]
    rule: Callable[..., Any]
    settings: dict[str, Any]
    draw: Callable[[np.random.Generator], dict[str, Any]] | None = None
    dense: str = ""
    slow: bool = False
    torch: bool = True

    def __call__(self, params: Iterable[Any], **more: Any) -> Optimizer:
        return self.make(params, **{**self.settings, **more})


VARIANTS: dict[str, Variant] = {
    "SGD": Variant(SGD, sgd, {"lr": 0.1}, rate, slow=True),
    "SGD, momentum": Variant(SGD, sgd, {"lr": 0.05, "momentum": 0.9}, rate_and_momentum),
    "SGD, decay": Variant(SGD, sgd, {"lr": 0.1, "weight_decay": 0.3}, lambda rng: {
        **rate(rng), "weight_decay": rng.uniform(0, 0.5)}),
    "SGD, momentum, decay": Variant(SGD, sgd, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.3}, lambda rng: {
        **rate_and_momentum(rng), "weight_decay": rng.uniform(0, 0.5)}, slow=True),
    "SGD, Nesterov, decay": Variant(
        SGD, sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3}, lambda rng: {
            **rate_and_momentum(rng), "nesterov": True, "weight_decay": one_of(rng, 0.0, rng.uniform(0, 0.5))},
        slow=True),
    "Adam": Variant(Adam, adam, {"lr": 0.05}, averages, slow=True),
    "Adam, other averages": Variant(Adam, adam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    "Adam, no averages": Variant(Adam, adam, {"lr": 0.1, "betas": (0.0, 0.0)}),
    "Adam, decay": Variant(Adam, adam, {"lr": 0.01, "weight_decay": 0.1}, slow=True,
                           dense="decay that passes through Adam's averages"),
    "AdamW": Variant(AdamW, adamw, {"lr": 0.05, "weight_decay": 0.3}, lambda rng: {
        **averages(rng), "weight_decay": one_of(rng, 0.0, 0.01, rng.uniform(0, 0.5))}, slow=True),
    "AdamW, defaults": Variant(AdamW, adamw, {"lr": 0.01}),
    "AdamW, other averages": Variant(AdamW, adamw, {"lr": 0.01, "weight_decay": 0.5, "betas": (0.9, 0.95)}),
    "AdamW, short averages": Variant(AdamW, adamw, {"lr": 0.01, "betas": (0.9, 0.8)},
                                     dense=r"betas \(0.9, 0.8\) does not reach the dtype's precision"),
    "Adagrad": Variant(Adagrad, adagrad, {"lr": 0.1}, rate_and_eps, slow=True),
    "Adagrad, decay": Variant(Adagrad, adagrad, {"lr": 0.1, "weight_decay": 0.1},
                              dense="decay through Adagrad's sums of squares"),
    "Adagrad, per row": Variant(Adagrad, adagrad, {"lr": 0.1, "per_row": True}, lambda rng: {
        **rate_and_eps(rng), "per_row": True}, slow=True, torch=False),
    "RMSprop": Variant(RMSprop, rmsprop, {"lr": 0.05, "alpha": 0.9}, average),
    "RMSprop, defaults": Variant(RMSprop, rmsprop, {"lr": 0.01}),
    "RMSprop, momentum": Variant(RMSprop, rmsprop, {"lr": 0.05, "alpha": 0.9, "momentum": 0.9}, lambda rng: {
        **average(rng), "momentum": one_of(rng, 0.5, 0.9)}, slow=True),
    "RMSprop, momentum, decay": Variant(
        RMSprop, rmsprop, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "alpha": 0.9},
        dense="decay through RMSprop's sums of squares"),
}


def touched(variants: dict[str, Variant]) -> dict[str, Variant]:
    """The same with sparse="touched", which none of them refuses or answers with dense steps."""
    return {f"{name}, touched": dataclasses.replace(v, settings={**v.settings, "sparse": "touched"}, dense="")
            for name, v in variants.items()}


EITHER_WAY = {**VARIANTS, **touched(VARIANTS)}
SLOW = {name: v for name, v in VARIANTS.items() if v.slow}
DRAWN = {name: v for name, v in VARIANTS.items() if v.draw}
CLASSES = list(dict.fromkeys(v.make for v in VARIANTS.values()))

BAD: dict[str, list[tuple[Any, str]]] = {  # setting: (a value that is no use, what is said)
    "lr": [(-1.0, "lr must be"), (np.nan, "lr must be")],
    "momentum": [(1.0, "momentum must be")],
    "alpha": [(1.0, "alpha must be")],
    "betas": [((0.9, 1.0), r"betas\[1\] must be")],
    "eps": [(np.inf, "eps must be")],
    "weight_decay": [("0.1", "weight_decay must be")],
}


def numbers_of(make: type[Optimizer]) -> list[str]:
    """The settings of a class that are not simply on or off."""
    return [name for name, x in inspect.signature(make).parameters.items()
            if name not in ("params", "sparse") and not isinstance(x.default, bool)]


def public_optimisers(base: type[Optimizer] = Optimizer) -> set[type[Optimizer]]:
    """Those that the package defines, whatever their base, and that are not private."""
    found = {x for x in base.__subclasses__() if x.__module__.startswith("tinyembed.") and x.__name__[0] != "_"}
    return found.union(*map(public_optimisers, base.__subclasses__()))
