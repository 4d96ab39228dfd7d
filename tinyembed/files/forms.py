"""The form of what a file holds, written down once, and the one function that checks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Record
from .errors import FormatError, Path, short


def check_tree(path: Path, tree: Any, pattern: Any, where: str = "tree") -> None:
    """FormatError, with the place, unless a tree of dicts and lists has the form of a pattern:

        a type                 a value of it (an int is a float too, a bool no int); object allows anything
        None, "text", True, 0  this value
        range(a, b)            an int in it
        np.dtype(…)            an array of this dtype
        (a, b, …)              one of these; of dicts that say their "type" or "class", that of the tree's
        [a]                    a list of a's;   [a, b, …]  a list of an a, a b, …
        {"x": a, "y?": b}      a dict with these keys, y if need be;   {str: a}  with any strings for keys
        a Record class         what an instance of it gives

    >>> check_tree("file", {"step": 3, "losses": [0.5, "?"]}, {"step": int, "losses": [float]})
    Traceback (most recent call last):
    tinyembed.files.errors.FormatError: file, tree.losses.1: '?', where a float was expected
    """
    wrong = _mismatch(tree, pattern, where)
    if wrong:
        raise FormatError(path, wrong[0] or "the file", wrong[1])


def _mismatch(tree: Any, pattern: Any, where: str) -> tuple[str, str] | None:
    """(where, what is wrong), or None."""
    if isinstance(pattern, type) and issubclass(pattern, Record):
        pattern = pattern.form()
    inside = f"{where}." if where else ""
    if isinstance(pattern, tuple):
        return _no_choice(tree, pattern, where)
    if isinstance(pattern, list) and isinstance(tree, list) and (len(pattern) == 1 or len(pattern) == len(tree)):
        patterns = pattern if len(pattern) == len(tree) else pattern * len(tree)
        return _first(_mismatch(x, p, f"{inside}{i}") for i, (x, p) in enumerate(zip(tree, patterns)))
    if isinstance(pattern, dict) and isinstance(tree, dict):
        if strange := [key for key in tree if not isinstance(key, str)]:
            return where, f"has the key {short(strange[0])}, where strings were expected"
        if str in pattern:
            pattern = dict.fromkeys(tree, pattern[str])
        known = {key.removesuffix("?"): key for key in pattern}
        missing = [key for key, name in known.items() if key not in tree and key == name]
        if missing or not known.keys() >= tree.keys():
            strange = [key for key in tree if key not in known]
            return where, f"lacks {', '.join(map(short, missing))}" if missing else \
                f"has {', '.join(map(short, strange[:3]))}, where only {', '.join(known)} are known"
        return _first(_mismatch(tree[key], pattern[known[key]], f"{inside}{key}") for key in tree)
    return None if _fits(tree, pattern) else (where, f"{_there(tree)}, where {_name(pattern)} was expected")


def _no_choice(tree: Any, patterns: tuple[Any, ...], where: str) -> tuple[str, str] | None:
    """What is wrong with each of the patterns: the place that came closest, or None if one fits."""
    patterns = tuple(p.form() if isinstance(p, type) and issubclass(p, Record) else p for p in patterns)
    for key in ("type", "class"):
        kinds = [p[key] for p in patterns if isinstance(p, dict) and isinstance(p.get(key), str)]
        if kinds and isinstance(tree, dict):
            patterns = tuple(p for p in patterns if isinstance(p, dict) and
                             (str in p or _fits(tree.get(key), p.get(key))))
            if not patterns:
                expected = " or ".join(map(repr, dict.fromkeys(kinds)))
                return f"{where}.{key}", f"{_there(tree.get(key))}, where {expected} was expected"
    found = [_mismatch(tree, pattern, where) for pattern in patterns]
    wrong = [f for f in found if f]
    if len(wrong) < len(found):
        return None
    if len(wrong) > 1 and all(f[0] == where for f in wrong):
        return where, f"{_there(tree)}, where {_name(patterns)} was expected"
    return max(wrong, key=lambda f: len(f[0]))


def _first(wrong: Iterable[tuple[str, str] | None]) -> tuple[str, str] | None:
    return next(filter(None, wrong), None)


def _fits(tree: Any, pattern: Any) -> bool:
    if isinstance(pattern, np.dtype):
        return isinstance(tree, np.ndarray) and tree.dtype == pattern
    if isinstance(pattern, range):
        return type(tree) is int and tree in pattern
    if pattern is float:
        return type(tree) is float or (type(tree) is int and abs(tree) <= 2**53)
    if isinstance(pattern, type):
        return isinstance(tree, pattern) and (pattern in (bool, object) or not isinstance(tree, bool))
    return type(tree) is type(pattern) and not isinstance(tree, (dict, list)) and bool(tree == pattern)


def _there(tree: Any) -> str:
    return short(tree) if isinstance(tree, (str, int, float, type(None))) else f"a {type(tree).__name__}"


def _name(pattern: Any) -> str:
    if isinstance(pattern, tuple):
        return " or ".join(map(_name, pattern))
    if isinstance(pattern, np.dtype):
        return f"an array of {pattern}"
    if isinstance(pattern, range):
        return f"an int from {pattern.start} to {pattern.stop - 1}"
    if not isinstance(pattern, (type, dict, list)):
        return short(pattern)
    name = pattern.__name__ if isinstance(pattern, type) else type(pattern).__name__
    size = f" of {len(pattern)}" if isinstance(pattern, list) and len(pattern) > 1 else ""
    return f"a{'n' * (name[0] in 'aio')} {name}{size}"
