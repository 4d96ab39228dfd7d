"""What all optimisers share: one rule, applied to blocks, and three ways to treat the rows that have no gradient.

An optimiser is a rule for a few numbers: weights, their gradients, their states, and how many steps were taken. It
neither knows nor cares whether the block it gets is a slice of a dense array or the rows that a batch has looked up,
so no optimiser is written twice.

    dense gradient            the array is walked in slices that fit the processor's cache, updated in place, two
                              slices at a time
    RowGrad, exact            the touched rows are brought up to date, stepped and put back; the others stay behind, and
                              whoever looks at them sees where the dense optimiser would have them (behind.py, drift.py)
    RowGrad, touched          the touched rows are stepped, each by its own count; the others stay where they are
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..core import Array, Parameter, RowGrad, in_halves
from .behind import Behind

BLOCK = 192_000  # entries of a table that are stepped at a time: few enough for the cache, enough to be worth a call


class Optimizer:
    """Base of the optimisers. `step()` changes each parameter that has a gradient; `zero_grad()` forgets gradients.

    params    the parameters, as `model.parameters()` gives them; or groups, a list of dicts each with "params" and any
              settings that differ from the optimiser's: `[{"params": a, "lr": 0.1}, {"params": b}]`
    sparse    what a RowGrad means. "exact": the table is, whenever anyone looks at it, what the dense optimiser would
              have made of the same gradients; momentum goes on moving untouched rows, decay goes on shrinking them.
              Only touched rows are worked on. Where that is impossible the dense step is taken, and a warning says
              why. "touched": another algorithm, PyTorch's lazy one: a row steps, and decays, only when it was looked
              up, and counts its own steps, so that its first step under Adam has size lr.

    `groups` are the groups with their settings, `lr` the learning rate (of the first group; assigning sets all),
    `scale` a factor on every group's, for schedules: `optimizer.scale = schedule(step)`.

    A subclass names its state arrays in `states` (each of the parameter's shape, zero at first; rows never touched take
    no memory, since the system hands out zero pages on first use), and defines `rule` and, if rows without gradient
    move, `drift`. Settings are checked before anything changes.
    """

    states: tuple[str, ...] = ()
    no_momentum = False  # made with momentum 0, so that no state for it is kept
    decoupled = False  # weight decay acts on the weights themselves, as a factor

    def __init__(self, params: Iterable[Any], sparse: str = "exact", **settings: Any) -> None:
        if sparse not in ("exact", "touched"):
            raise ValueError(f'sparse is "exact" or "touched", not {sparse!r}')
        self.sparse, self.scale = sparse, 1.0
        groups = list(params)
        if not all(isinstance(group, dict) for group in groups):
            groups = [{"params": groups}]
        if not all("params" in group for group in groups):
            raise ValueError('each group is a dict with "params" and the settings that differ')
        self.groups = [SimpleNamespace(**{**settings, **group, "params": list(group["params"])}) for group in groups]
        for o in self.groups:
            unknown = set(vars(o)) - set(settings) - {"params"}
            if unknown:
                raise ValueError(f"{type(self).__name__} has no setting {sorted(unknown)}")
            for i, p in enumerate(o.params):
                if not isinstance(p, Parameter):
                    raise TypeError(f"item {i} of params is a {type(p).__name__}, not a Parameter; "
                                    "give model.parameters()")
        if not self.params:
            raise ValueError("an optimiser needs at least one parameter")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError("a parameter stands in params, or in the groups, twice")
        self._check()
        self.state: list[State] = [State() for _ in self.params]

    @property
    def params(self) -> list[Parameter]:
        """The parameters of all groups."""
        return [p for o in self.groups for p in o.params]

    @property
    def lr(self) -> float:
        """The learning rate of the first group; assigning sets that of all."""
        return float(self.groups[0].lr)

    @lr.setter
    def lr(self, value: float) -> None:
        for o in self.groups:
            o.lr = value

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        """Update `w` and the states in place. `o` has the group's settings, with `o.rate` the learning rate of this
        step; `t` is the number of steps taken, this one included: an int, or for rows an array (U, 1). `g` is not
        written to."""
        raise NotImplementedError(f"{type(self).__name__} defines no rule")

    def drift(self, o: Any, t: int, dtype: Any) -> Any:
        """How rows without gradient move from step t on: a drift, or None if they stand still. Raises ValueError with
        the reason if that cannot be had exactly."""
        return None

    def state_shape(self, o: Any, p: Parameter) -> tuple[int, ...]:
        """The shape of each state array of p: p's own, or with sides of 1 where entries share a number."""
        return p.shape

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        self._check()
        pairs = [(o, p) for o in self.groups for p in o.params]
        for (o, p), s in zip(pairs, self.state):
            if p.grad is None or not p.requires_grad:
                continue
            self._settle(o, p, s)
            if s.arrays is None:
                s.arrays = [np.zeros(self.state_shape(o, p), p.dtype) for _ in self.states]
            s.grow(p)
            if isinstance(p.grad, RowGrad) and self._by_rows(o, p, s):
                self._step_rows(o, p, p.grad.coalesce(), s)
            else:
                self._step_dense(o, p, p.grad.to_dense() if isinstance(p.grad, RowGrad) else p.grad, s)
            p.mark_changed()

    def _check(self) -> None:
        """Refuse settings that are no use, and set each group's rate."""
        check_number("scale", self.scale)
        for o in self.groups:
            for name, value in vars(o).items():
                if name == "betas":
                    if not isinstance(value, (tuple, list)) or len(value) != 2:
                        raise ValueError(f"betas are two numbers, not {value!r}")
                    for i in (0, 1):
                        check_number(f"betas[{i}]", value[i], below=1)
                elif name not in ("params", "rate"):
                    check_number(name, value, below=1 if name in ("momentum", "alpha") else math.inf)
            if self.no_momentum and getattr(o, "momentum", False):
                raise ValueError("momentum was 0 when this optimiser was made, so it keeps none; make a new one")
            if self.decoupled and o.lr * self.scale * o.weight_decay >= 1:
                raise ValueError(f"lr * weight_decay = {o.lr * self.scale * o.weight_decay:.3g} would turn the weights "
                                 "round; it must be below 1")
        for o in self.groups:
            o.rate = float(o.lr) * float(self.scale)

    def _settle(self, o: Any, p: Parameter, s: State) -> None:
        """Commit the rows of p that are behind under other settings, or by another optimiser's doing."""
        settings = {name: x for name, x in vars(o).items() if name not in ("params", "lr", "rate")}
        if s.settings != settings:
            if s.behind is not None:
                s.behind.commit()
                p._pending = None if p._pending is s.behind else p._pending
            s.settings, s.behind = settings, None
            s.by_rows = s.by_rows if s.row_steps is not None else None  # to be decided afresh
        if p._pending is not s.behind:
            if p._pending is not None:
                p._pending.commit()
            p._pending = s.behind

    # -- dense ---------------------------------------------------------------------------------------------------------

    def _step_dense(self, o: Any, p: Parameter, g: Array, s: State) -> None:
        if s.behind is not None:
            s.behind.commit()
        s.steps += 1
        arrays = [p._data, *s.arrays]
        frozen = None if p.frozen_rows is None else np.flatnonzero(p.frozen_rows)
        kept = [] if frozen is None else [a.take(frozen, 0) for a in arrays]
        if p.project is not None:
            touched = np.flatnonzero(g.any(axis=1))
            p._data[touched] = p.project(p._data[touched])
        if s.row_steps is not None:
            s.row_steps += 1
            self.rule(o, s.row_steps[:, None], arrays[0], g, *arrays[1:])
        else:
            # Whole rows at a time, so that a rule may look along them.
            n = p.shape[0] if p.ndim else 1
            contiguous = (p._data, np.ascontiguousarray(g), *s.arrays)
            w, g, *states = (a.reshape(n, math.prod(a.shape[1:])) for a in contiguous)
            size = max(BLOCK // max(w.shape[1], 1), 1)

            def step_rows(start: int, stop: int) -> None:
                for i in range(start, stop, size):
                    block = slice(i, min(i + size, stop))
                    self.rule(o, s.steps, w[block], g[block], *(a[block] for a in states))

            in_halves(step_rows, n, w.nbytes)
        for a, rows in zip(arrays, kept):
            a[frozen] = rows
        if s.behind is not None:
            s.behind.drift.advance(self.rule, o)
            s.behind.last[:] = s.steps

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _by_rows(self, o: Any, p: Parameter, s: State) -> bool:
        """Whether a RowGrad of p steps rows; decided, and set up, at the first one."""
        if s.by_rows is None:
            s.by_rows = True
            if self.sparse == "touched":
                s.row_steps = np.full(len(p), s.steps)
            else:
                try:
                    drift = self.drift(o, s.steps, p.dtype)
                except ValueError as reason:
                    s.by_rows = False
                    warnings.warn(f'{type(self).__name__} takes dense steps for a table of shape {p.shape}: {reason}. '
                                  'sparse="touched" is another algorithm that does not.', stacklevel=3)
                else:
                    if drift is not None:
                        s.behind = p._pending = Behind(p, s.arrays, drift)
        return s.by_rows

    def _step_rows(self, o: Any, p: Parameter, g: RowGrad, s: State) -> None:
        ids, rows = g.ids, g.rows
        if p.frozen_rows is not None:
            free = np.flatnonzero(~p.frozen_rows[ids])
            ids, rows = ids[free], rows[free]
        s.steps += 1
        t: Any = s.steps
        if s.row_steps is not None:
            s.row_steps[ids] += 1
            t = s.row_steps[ids, None]
        w, *states = [a.take(ids, 0) for a in (p._data, *s.arrays)] if s.behind is None else s.behind.rows(ids)
        if p.project is not None:
            w = p.project(w)
        self.rule(o, t, w, rows, *states)
        if s.behind is not None:
            s.behind.drift.advance(self.rule, o)
            s.behind.store(ids, [w, *states])
        else:
            for a, new in zip((p._data, *s.arrays), (w, *states)):
                a[ids] = new


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


def check_number(name: str, value: Any, below: float = math.inf) -> None:
    """Refuse a setting that is negative, NaN, infinite or not below a bound."""
    if not (isinstance(value, numbers.Real) and 0 <= float(value) < below):
        raise ValueError(f"{name} must be at least 0 and {'finite' if below == math.inf else f'below {below}'}, "
                         f"not {value!r}")
