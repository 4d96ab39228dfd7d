"""Settings of the word models: each is stored once, and validated whenever it is set.

A model has a dataclass of settings, in the order and with the defaults of its constructor, which are gensim's. The
model's network reads the same object, so what is assigned counts from the next batch on. A name that two models have
stands in the signature of both, as its place and its default are theirs; what it may be stands here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from sys import float_info
from typing import Any, ClassVar, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., None])
SIZES = ("vector_size", "min_n", "max_n", "bucket")  # settings that decide how many rows there are, and how wide
MOST = float_info.max  # beyond it an integer is no float
COUNTS = range(2**63)  # what NumPy counts to
RULES: dict[str, tuple[str, Callable[[Any], Any]]] = {  # what a setting is, and whether a value is that
    **dict.fromkeys(("vector_size", "window", "negative", "min_n", "max_n", "bucket"),
                    ("an integer, 1 or more", lambda x: type(x) is int and x in COUNTS[1:])),
    **dict.fromkeys(("epochs", "min_count"), ("an integer, 0 or more", lambda x: type(x) is int and x in COUNTS)),
    "max_final_vocab": ("an integer, 1 or more, or None",
                        lambda x: x is None or (type(x) is int and x in COUNTS[1:])),
    "seed": ("an integer, 0 or more, or None", lambda x: x is None or (isinstance(x, int) and 0 <= x < 2**1000)),
    **dict.fromkeys(("alpha", "min_alpha", "sample", "lr"),
                    ("a finite number, 0 or more", lambda x: isinstance(x, (int, float)) and 0 <= x <= MOST)),
    "x_max": ("a finite number above 0", lambda x: isinstance(x, (int, float)) and 0 < x <= MOST),
    "ns_exponent": ("a finite number", lambda x: isinstance(x, (int, float)) and -MOST <= x <= MOST),
    **dict.fromkeys(("sg", "cbow_mean", "dm", "dbow_words", "shrink_windows"),
                    ("0 or 1", lambda x: isinstance(x, int) and x in (0, 1))),
    "dm_mean": ("0, 1 or None", lambda x: x is None or (isinstance(x, int) and x in (0, 1)))}
NO_RULE = "a number, True, False or None", lambda x: x is None or isinstance(x, (int, float))
NOT_HERE = {"hs": "hierarchical softmax, is not here; negative sampling (hs=0, negative=5) is",
            "dm_concat": "a document's neighbours side by side, is not here; dm=1 with their mean or their sum is"}


@dataclass
class Settings:
    """Base of a model's settings. One that is no use is a ValueError with its name, in the constructor and whenever it
    is set, and changes nothing. Those without a rule above are accepted for gensim's sake, and change nothing either.
    A NumPy scalar is kept as the Python number that it is, as it comes back from a file. Those of SIZES stay what they
    are once a model has its tables (`_fixed`).

    >>> @dataclass
    ... class Mine(Settings):
    ...     window: int = 5
    >>> mine = Mine(3)
    >>> mine.window = 0
    Traceback (most recent call last):
    ValueError: window is an integer, 1 or more, not 0
    """

    _fixed: ClassVar[bool] = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__:
            raise AttributeError(f"{name!r} cannot be set in {type(self).__name__}")
        if name in NOT_HERE and value:
            raise ValueError(f"{name}={value!r}, {NOT_HERE[name]}")
        if isinstance(value, np.generic):
            value = float(value) if isinstance(value, np.floating) else value.item()
        what, is_that = RULES.get(name, NO_RULE)
        if not is_that(value):
            raise ValueError(f"{name} is {what}, not {value!r:.100}")
        if self._fixed and name in SIZES and value != getattr(self, name):
            raise ValueError(f"{name} gave the tables their size when the vocabulary was built: make a new model with "
                             f"{name}={value!r}")
        o = {**vars(self), name: value}
        if "min_alpha" in o and not 0 < o["alpha"] >= o["min_alpha"]:
            raise ValueError(f"alpha {o['alpha']!r} falls to min_alpha {o['min_alpha']!r}, so it must be larger, and "
                             "not 0")
        if "max_n" in o and o["min_n"] > o["max_n"]:
            raise ValueError(f"1 <= min_n <= max_n must hold, got {o['min_n']!r}, {o['max_n']!r}")
        super().__setattr__(name, value)


def shows(settings: type[Settings]) -> Callable[[F], F]:
    """Decorator of a constructor that hands its `*values` and `**named` on to `settings`: help() and editors show these
    settings, as if they stood in the signature."""
    def decorate(init: F) -> F:
        own = list(inspect.signature(init).parameters.values())
        by_place = any(p.kind is p.VAR_POSITIONAL for p in own)
        handed_on = [p if by_place else p.replace(kind=p.KEYWORD_ONLY)
                     for p in inspect.signature(settings).parameters.values()]
        own = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        init.__dict__["__signature__"] = inspect.Signature(sorted(own + handed_on, key=lambda p: p.kind))
        return init
    return decorate
