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
import warnings
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..core import Array, Parameter, RowGrad, in_halves
from ..rows.lazy import Behind
from ..rows.state import State, check_number, check_setting

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
        self.state: list[State] = [self._state_of(p) for p in self.params]

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
            g = p.grad
            if p.resting is not None and not isinstance(g, RowGrad):  # a table kept elsewhere is stepped by rows alone
                ids = np.flatnonzero(g.any(axis=1))
                g = RowGrad(p.shape, ids, g[ids], coalesced=True)
            self._settle(o, p, s)
            if s.arrays is None:
                s.arrays = [p.new_state(name, self.state_shape(o, p), p.dtype) for name in self.states]
            elif len(s.arrays) != len(self.states):
                raise ValueError(f"the table was kept with {len(s.arrays)} states, momentum among them or not, and "
                                 f"{type(self).__name__} now has {len(self.states)}")
            s.grow(p)
            if isinstance(g, RowGrad) and self._by_rows(o, p, s):
                self._step_rows(o, p, g.coalesce(), s)
            else:
                self._step_dense(o, p, g.to_dense() if isinstance(g, RowGrad) else g, s)
            p.mark_changed()

    # -- what is kept from run to run ----------------------------------------------------------------------------------

    def tree(self) -> dict[str, Any]:
        """The settings, and for each parameter the state, as plain values and the arrays in use, for a file. It belongs
        to the rows as they are stored (`te.train.save_checkpoint` keeps both). None for tables that keep it themselves
        (`Embedding.mapped`)."""
        settings = [{name: x for name, x in vars(o).items() if name not in ("params", "rate")} for o in self.groups]
        for p, s in zip(self.params, self.state):
            if p.resting is None:
                s.grow(p)
        return {"rule": type(self).__name__, "sparse": self.sparse, "scale": self.scale, "groups": settings,
                "states": [s.tree() if p.resting is None else None for p, s in zip(self.params, self.state)]}

    def restore(self, tree: Any) -> None:
        """Go on from what `tree()` gave: settings, learning rates included, and states, whose arrays become this
        optimiser's. The rows that belong to it are for the caller to put in place (`Parameter.restore`).
        ValueError with the reason if it is another optimiser's; then nothing has changed."""
        mine = self.tree()
        for name in ("rule", "sparse"):
            if tree[name] != mine[name]:
                raise ValueError(f"{name} {tree[name]!r} was saved, and this optimiser has {mine[name]!r}")
        for name in ("groups", "states"):
            if len(tree[name]) != len(mine[name]):
                raise ValueError(f"{len(tree[name])} {name} were saved, and this optimiser has {len(mine[name])}")
        for i, (theirs, ours) in enumerate(zip(tree["groups"], mine["groups"])):
            if set(theirs) != set(ours):
                raise ValueError(f"group {i} was saved with the settings {sorted(theirs)}, expected {sorted(ours)}")
        before, states = (self.scale, [vars(o).copy() for o in self.groups]), []
        pairs = [(o, p) for o in self.groups for p in o.params]
        try:
            self._set(tree["scale"], tree["groups"])
            self._check()
            for (o, p), s, saved in zip(pairs, self.state, tree["states"]):
                if (saved is None) != (p.resting is not None):
                    raise ValueError("a table that was mapped is not now, or the other way round")
                if saved is not None:
                    s = State.of(p, saved, [self.state_shape(o, p) for _ in self.states])
                    exact = self.sparse == "exact"
                    if s.by_rows and s.settings == _but_for_rate(o) and (s.row_steps is None, s.behind is None) != (
                            exact, not exact or self.drift(o, 0, p.dtype) is None):
                        raise ValueError("the optimiser's state does not fit: it does not say when rows were stepped")
                states.append(s)
        except ValueError:
            self._set(*before)
            raise
        self.state = states

    def _set(self, scale: float, groups: list[dict[str, Any]]) -> None:
        self.scale = scale
        for o, settings in zip(self.groups, groups):
            vars(o).update(settings)

    def _state_of(self, p: Parameter) -> State:
        """A new state, or the one that a mapped table keeps."""
        if p.resting is None:
            return State()
        mine = {"rule": type(self).__name__, "sparse": self.sparse}
        if p.kept is None:
            p.kept = mine, State()
        elif p.kept[0] != mine:
            raise ValueError(f"this mapped table is trained by {p.kept[0]}, and this optimiser is {mine}; "
                             "table.weight.forget_optimizer() lets another one start afresh")
        return p.kept[1]

    def _check(self) -> None:
        """Refuse settings that are no use, and set each group's rate."""
        check_number("scale", self.scale)
        for o in self.groups:
            for name, value in vars(o).items():
                if name not in ("params", "rate"):
                    check_setting(name, value)
                    # Python's numbers: a file has no others, and a NumPy one would make float32 of o.rate * value.
                    vars(o)[name] = tuple(map(float, value)) if name == "betas" else \
                        value.item() if isinstance(value, np.generic) else value
            if self.no_momentum and getattr(o, "momentum", False):
                raise ValueError("momentum was 0 when this optimiser was made, so it keeps none; make a new one")
            if self.decoupled and o.lr * self.scale * o.weight_decay >= 1:
                raise ValueError(f"lr * weight_decay = {o.lr * self.scale * o.weight_decay:.3g} would turn the weights "
                                 "round; it must be below 1")
        for o in self.groups:
            o.rate = float(o.lr) * float(self.scale)

    def _settle(self, o: Any, p: Parameter, s: State) -> None:
        """Commit the rows of p that are behind under other settings, or by another optimiser's doing."""
        settings = _but_for_rate(o)
        if p.resting is not None and (p.kept is None or p.kept[1] is not s):
            raise ValueError("the mapped table has forgotten this optimiser (forget_optimizer); make a new one")
        if s.settings != settings:
            s.settings, s.behind = settings, None
            s.by_rows = s.by_rows if s.row_steps is not None else None  # to be decided afresh
        p.hand_to(s.behind)

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
                s.row_steps = p.new_state("row_steps", p.shape[:1], np.int64, s.steps)
            else:
                try:
                    drift = self.drift(o, s.steps, p.dtype)
                except ValueError as reason:
                    s.by_rows = None if p.resting is not None else False
                    if s.by_rows is None:
                        raise ValueError(f'{type(self).__name__} would take dense steps for a mapped table: {reason}. '
                                         'sparse="touched" is another algorithm that does not') from None
                    warnings.warn(f'{type(self).__name__} takes dense steps for a table of shape {p.shape}: {reason}. '
                                  'sparse="touched" is another algorithm that does not.', stacklevel=3)
                else:
                    if drift is not None:
                        s.behind = Behind(p, s.arrays, drift)
                        p.hand_to(s.behind)
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
        now = [p.stored(ids), *(a.take(ids, 0) for a in s.arrays)] if s.behind is None else s.behind.rows(ids)
        w, *states = now
        if p.project is not None:
            w = p.project(w)
        self.rule(o, t, w, rows, *states)
        if s.behind is not None:
            s.behind.drift.advance(self.rule, o)
            s.behind.store(ids, [w, *states])
        else:
            p.store(ids, w)
            for a, new in zip(s.arrays, states):
                a[ids] = new


def _but_for_rate(o: Any) -> dict[str, Any]:
    """The settings of a group on which the way of rows without gradient depends."""
    return {name: x for name, x in vars(o).items() if name not in ("params", "lr", "rate")}
