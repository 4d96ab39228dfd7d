"""LazyRows restored from a file: validated against the parameter, or refused with the reason."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ..core import Parameter
from .catch_up import LinearCatchUp
from .lazy import LazyRows


def saved_rows(tree: dict[str, Any], p: Parameter) -> LazyRows:
    """The LazyRows of p that a tree of their form tells of. Nothing of the parameter is changed: it is for the caller
    to have its rows read through them (`Parameter.restore`). ValueError if the values are not of this parameter, or do
    not go together."""
    lazy: LazyRows = LazyRows.from_tree(tree, p=p)
    states, settings, law = lazy.arrays or [], lazy.settings or {}, lazy.law
    _check(all(_is_setting(x) for x in settings.values()), "settings that are no numbers")
    _check(lazy.arrays is not None or lazy.steps == 0, f"{lazy.steps} steps, and no states")
    _check(all(a.dtype == p.dtype and a.ndim == p.ndim and a.shape[:1] == p.shape[:1] for a in states),
           f"states {[(a.dtype, a.shape) for a in states]} of a parameter {p.dtype} {p.shape}")
    for rows in (lazy.row_steps, lazy.last):
        if rows is not None:
            _check(lazy.arrays is not None and p.ndim == 2 and lazy.by_rows is True, "rows that are not stepped")
            _check(rows.shape == p.shape[:1], f"steps of {rows.shape} rows, of a table {p.shape}")
            _check(bool(((rows >= 0) & (rows <= lazy.steps)).all()), "rows that were stepped in the future")
    _check((law is None) == (lazy.last is None), "a law without steps of rows, or the other way round")
    if law is not None:
        _check(lazy.row_steps is None and law.t == lazy.steps, "a law of another step")
        _check(all(a.shape == p.shape for a in states) and _is_whole(law, 1 + len(states)), "a law of another shape")
        _check(all(vars(law).get(name, x) == x for name, x in settings.items()), "another law")
    return lazy


def _is_whole(law: Any, size: int) -> bool:
    """Whether the arrays of a catch-up law, for w and its states, `size` numbers an entry, have their shapes."""
    if isinstance(law, LinearCatchUp):
        return law.tails.shape[1:] == (size, size) == law.blocks.shape[1:] and len(law.tails) > law.t and \
            len(law.blocks) > law.t // law.BLOCK and np.array_equal(law.eye, np.eye(size))
    n, N = law.scale.size, law.gaps.size
    return size == 3 and n > law.t and law.C.shape == (n, N) == law.Q.shape and law.scale.shape == (n,) \
        and law.gaps.shape == (N,) and law.pattern.ndim == 2 and law.pattern.shape[1] == N \
        and all(type(beta) in (float, int) and 0 <= beta < 1 for beta in law.betas) and len(law.betas) == 2


def _is_setting(x: Any) -> bool:
    """Whether x is a number, or a few of them, so that two settings can be compared."""
    return isinstance(x, numbers.Real) or (isinstance(x, (tuple, list)) and all(isinstance(y, numbers.Real) for y in x))


def _check(fits: bool, problem: str) -> None:
    if not fits:
        raise ValueError(f"the optimiser's state does not fit: {problem}")
