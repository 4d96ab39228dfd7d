"""What an optimiser keeps for one parameter, in memory and as a tree of plain values for a file."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ..core import Array, Parameter
from .catch_up import DRIFTS, STEP, drift_of
from .lazy import Behind

# The form of what `State.tree` gives, in the notation of `tinyembed.files.check_tree`.
STATE = {"steps": STEP, "by_rows": (None, bool), "row_steps": (None, np.dtype(np.int64)),
         "settings": (None, {str: object}), "arrays": (None, [np.ndarray]),
         "behind": (None, {"last": np.dtype(np.int32), "drift": tuple(drift.form for drift in DRIFTS.values())})}


class State:
    """What an optimiser keeps for one parameter.

    arrays       the states, each of the parameter's shape; None before the first step
    steps        steps taken: one for each `step()` at which the parameter had a gradient
    by_rows      whether a RowGrad steps rows (True) or is made dense (False); None before the first
    row_steps    (V,) steps of each row, for sparse="touched"
    behind       the rows that are behind, for sparse="exact"
    settings     the group's settings, but for lr, at the last step
    """

    def __init__(self) -> None:
        self.arrays: Any = None
        self.steps = 0
        self.by_rows: bool | None = None
        self.row_steps: Array | None = None
        self.behind: Behind | None = None
        self.settings: dict[str, Any] | None = None

    def grow(self, p: Parameter) -> None:
        """Rows that p has gained since (`Embedding.grow`) start with zero states and no steps of their own."""
        more = len(p) - len(self.arrays[0]) if p.ndim and self.arrays else 0
        if more:
            self.arrays[:] = [np.concatenate([a, np.zeros((more, *a.shape[1:]), a.dtype)]) for a in self.arrays]
        if self.row_steps is not None and len(self.row_steps) < len(p):
            self.row_steps = np.concatenate([self.row_steps, np.zeros(len(p) - len(self.row_steps), np.int64)])

    def tree(self) -> dict[str, Any]:
        """All of it as plain values; the arrays are those in use."""
        behind = None if self.behind is None else {"last": self.behind.last, "drift": self.behind.drift.tree()}
        return {"steps": self.steps, "by_rows": self.by_rows, "row_steps": self.row_steps, "settings": self.settings,
                "arrays": self.arrays, "behind": behind}

    @classmethod
    def of(cls, p: Parameter, tree: Any, shapes: list[tuple[int, ...]]) -> State:
        """The state that `tree` tells of, for p with states of these shapes. Nothing of p is changed: it is for the
        caller to let `behind` take over (`p.hand_to`). ValueError with the reason if it does not fit."""
        s = cls()
        s.arrays, s.steps, s.by_rows = tree["arrays"], tree["steps"], tree["by_rows"]
        s.row_steps, s.settings = tree["row_steps"], tree["settings"]
        for name, value in (s.settings or {}).items():
            check_setting(name, value)
        if s.arrays is not None:
            _check([a.shape for a in s.arrays] == shapes, f"states {[a.shape for a in s.arrays]}, expected {shapes}")
            _check(all(a.dtype == p.dtype for a in s.arrays), f"states of another dtype than {p.dtype}")
        _check(s.arrays is not None or s.steps == 0, f"{s.steps} steps, and no states")
        for rows in (s.row_steps, tree["behind"] and tree["behind"]["last"]):
            if rows is not None:
                _check(s.arrays is not None and p.ndim == 2 and s.by_rows is True, "rows that are not stepped")
                _check(rows.shape == p.shape[:1], f"steps of {rows.shape} rows, of a table {p.shape}")
                _check(bool(((rows >= 0) & (rows <= s.steps)).all()), "rows that were stepped in the future")
        if tree["behind"] is not None:
            drift = drift_of(tree["behind"]["drift"], 1 + len(s.arrays or []))
            _check(s.row_steps is None and drift.t == s.steps, "a drift of another step")
            _check(all(vars(drift).get(name, x) == x for name, x in (s.settings or {}).items()), "another drift")
            s.behind = Behind(p, s.arrays, drift, tree["behind"]["last"])
        return s


def check_setting(name: str, value: Any) -> None:
    """Refuse what is no use as the setting of this name."""
    if name == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(f"betas are two numbers, not {value!r}")
        for i in (0, 1):
            check_number(f"betas[{i}]", value[i], below=1)
    else:
        check_number(name, value, below=1 if name in ("momentum", "alpha") else math.inf)


def check_number(name: str, value: Any, below: float = math.inf) -> None:
    """Refuse a setting that is negative, NaN, infinite or not below a bound."""
    try:
        fits = isinstance(value, numbers.Real) and 0 <= float(value) < below
    except OverflowError:  # an integer of hundreds of digits
        fits = False
    if not fits:
        raise ValueError(f"{name} must be at least 0 and {'finite' if below == math.inf else f'below {below}'}, "
                         f"not {value!r}")


def _check(fits: bool, problem: str) -> None:
    if not fits:
        raise ValueError(f"the optimiser's state does not fit: {problem}")
