"""What all optimisers share: one rule, applied to blocks.

An optimiser is a rule for a few numbers: weights, their gradients, their states, and how many steps these have
taken. It neither knows nor cares whether the block it gets is a slice of a dense array or the rows that a
batch has looked up, so no optimiser is written twice.

    dense gradient    the array is walked in slices that fit the processor's cache, updated in place
    RowGrad           the rows are coalesced, taken out, updated and put back; nothing of the table's size is walked
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Parameter, RowGrad

BLOCK = 16_000  # entries: gradient, weight and states of a block stay in a core's own cache


class Optimizer:
    """Base of the optimisers. `step()` changes each parameter that has a gradient; `zero_grad()` forgets gradients.

    params: the parameters, as `model.parameters()` gives them.
    lr: the learning rate; may be assigned between steps.

    A subclass names its state arrays in `states` (each of the parameter's shape, zero at first; rows never touched
    take no memory, since the system hands out zero pages on first use) and defines `rule`.

    Of a table whose gradient is a RowGrad only the looked-up rows step, and each row counts its own steps: a row that
    is absent does not move by momentum either. PyTorch calls such optimisers sparse or lazy; the result differs from
    the dense one. A dense gradient steps every row.
    """

    states: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        self.params = list(params)
        if not self.params:
            raise ValueError("an optimiser needs at least one parameter")
        for i, p in enumerate(self.params):
            if not isinstance(p, Parameter):
                raise TypeError(f"item {i} of params is a {type(p).__name__}, not a Parameter; "
                                "give model.parameters()")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError("a parameter stands in params twice")
        self.lr = lr
        check_number("lr", lr)
        self.state: list[dict[str, Array]] = [{} for _ in self.params]

    def rule(self, w: Array, g: Array, t: Any, *states: Array) -> None:
        """Update `w` and the states in place. `g` is the gradient, not to be written to; `t` the number of steps taken,
        this one included: an int, or for rows an array (U, 1)."""
        raise NotImplementedError(f"{type(self).__name__} defines no rule")

    def zero_grad(self) -> None:
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """One step of every parameter that has a gradient. Raises ValueError before any changes if lr is no use."""
        check_number("lr", self.lr)
        for p, state in zip(self.params, self.state):
            if p.grad is None or not p.requires_grad:
                continue
            if not state:
                state.update({name: np.zeros(p.shape, p.dtype) for name in self.states})
                state["steps"] = np.zeros(len(p) if isinstance(p.grad, RowGrad) else (), np.int64)
            if isinstance(p.grad, RowGrad):
                self._step_rows(p, p.grad.coalesce(), state)
            else:
                self._step_dense(p, p.grad, state)
            p.mark_changed()

    def _step_dense(self, p: Parameter, g: Array, state: dict[str, Array]) -> None:
        state["steps"] += 1
        arrays = [p._data, g, *(state[name] for name in self.states)]
        steps = state["steps"]
        if steps.ndim:  # rows were stepped before, each with its own count
            self.rule(arrays[0], arrays[1], steps[:, None], *arrays[2:])
            return
        flat = [a.reshape(-1) for a in arrays]
        for i in range(0, p.size, BLOCK):
            w, g, *states = (a[i:i + BLOCK] for a in flat)
            self.rule(w, g, int(steps), *states)

    def _step_rows(self, p: Parameter, g: RowGrad, state: dict[str, Array]) -> None:
        if not state["steps"].ndim:  # only dense steps so far: all rows share their count
            state["steps"] = np.full(len(p), state["steps"])
        state["steps"][g.ids] += 1
        arrays = [p._data, *(state[name] for name in self.states)]
        w, *states = (a.take(g.ids, 0) for a in arrays)
        self.rule(w, g.rows, state["steps"][g.ids, None], *states)
        for a, rows in zip(arrays, (w, *states)):
            a[g.ids] = rows


def check_number(name: str, value: float, below: float = math.inf) -> None:
    """Refuse a setting that is negative, NaN, infinite or not below a bound."""
    if not (isinstance(value, numbers.Real) and 0 <= value < below):
        raise ValueError(f"{name} must be at least 0 and {'finite' if below == math.inf else f'below {below}'}, "
                         f"not {value!r}")
