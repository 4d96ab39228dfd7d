"""The base of all optimisers: one update rule, applied in blocks, and three ways to treat rows without a gradient.

An optimiser is a rule for a few numbers: weights, their gradients, their states, and how many steps were taken. It
neither knows nor cares whether the block it gets is a slice of a dense array or the rows that a batch has looked up,
so no optimiser is written twice. What it keeps for a parameter, and the stepping itself, is `LazyRows` (rows/lazy.py):

    dense gradient            the array is walked in slices that fit the processor's cache, updated in place, two
                              slices at a time
    RowGrad, exact            the touched rows are brought up to date, stepped and stored; the others lag, and whoever
                              looks at them sees where the dense optimiser would have them (rows/catch_up.py)
    RowGrad, touched          the touched rows are stepped, each by its own count; the others stay where they are
"""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core import Answering, Array, Parameter, RowGrad, answering
from ..rows import LazyRows
from .groups import listed


def check_number(name: str, value: Any, below: float = math.inf) -> None:
    """Refuse a setting that is negative, NaN, infinite or not below a bound."""
    try:
        fits = isinstance(value, numbers.Real) and 0 <= float(value) < below
    except OverflowError:  # an integer of hundreds of digits
        fits = False
    if not fits:
        raise ValueError(f"{name} must be at least 0 and {'finite' if below == math.inf else f'below {below}'}, "
                         f"not {value!r}")


def checked(name: str, value: Any) -> Any:
    """The setting of this name as Python's numbers: a file has no others, and a NumPy one would make float32 of a
    product. ValueError for what is no use."""
    if name == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(f"betas are two numbers, not {value!r}")
        for i in (0, 1):
            check_number(f"betas[{i}]", value[i], below=1)
        return float(value[0]), float(value[1])
    check_number(name, value, below=1 if name in ("momentum", "alpha") else math.inf)
    return value.item() if isinstance(value, np.generic) else value


class ParamGroup:
    """Parameters that share their settings, each an attribute; `scale` is a factor on lr, for schedules, and `rate` is
    lr * scale. A setting is checked when it is set; one that is refused stays what it was. Further words of a group,
    its name say, are in `labels`.

    >>> group = ParamGroup([], {"lr": 0.1, "momentum": 0.9}, Optimizer.check)
    >>> group.scale = 0.5
    >>> group.rate
    0.05
    >>> group.momentum = 1.0
    Traceback (most recent call last):
    ValueError: momentum must be at least 0 and below 1, not 1.0
    """

    params: list[Parameter]
    labels: dict[str, str]
    names: tuple[str, ...]  # of the settings, such as
    lr: float
    momentum: float
    scale: float
    keeps_momentum = True  # False: made with momentum 0, so that there is no state for it
    check: Callable[[Any], None]  # ValueError for settings that do not go together

    def __init__(self, params: list[Parameter], settings: dict[str, Any], check: Callable[[Any], None],
                 labels: dict[str, str] | None = None, scale: float = 1.0, keeps_momentum: bool = True) -> None:
        settings = {**settings, "scale": scale}
        vars(self).update(params=params, names=tuple(settings), check=check, labels=labels or {},
                          keeps_momentum=keeps_momentum)
        vars(self).update(self.trial(settings))

    @property
    def rate(self) -> float:
        return float(self.lr) * float(self.scale)

    def __repr__(self) -> str:
        said = [f"{name}={x!r}" for name, x in {**self.labels, **self.settings()}.items() if (name, x) != ("scale", 1)]
        count = f"{len(self.params)} parameter" + "s" * (len(self.params) != 1)
        return f"{count}, {sum(p.size for p in self.params):,} numbers: {', '.join(said)}"

    def settings(self, *but: str) -> dict[str, Any]:
        """The settings by name, without those named here."""
        return {name: getattr(self, name) for name in self.names if name not in but}

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise AttributeError(f"there is no setting {name!r} that can be set, but {', '.join(self.names)}")
        vars(self).update(self.trial({name: value}))

    def trial(self, changes: dict[str, Any]) -> dict[str, Any]:
        """These settings as they will be kept. ValueError if one is no use, or does not go with the others."""
        changes = {name: checked(name, value) for name, value in changes.items()}
        changed = copy.copy(self)
        vars(changed).update(changes)
        if not self.keeps_momentum and changed.momentum:
            raise ValueError("momentum was 0 when this optimiser was made, so it keeps none; make a new one")
        self.check(changed)
        return changes


class Optimizer(Answering, place="Optimizer"):
    """Base of the optimisers. `step()` changes each parameter that has a gradient; `zero_grad()` forgets gradients.

    params    the parameters, as `model.parameters()` gives them; or groups, a list of dicts each with "params" and any
              settings that differ from the optimiser's: `[{"params": a, "lr": 0.1}, {"params": b, "name": "head"}]`.
              Other keys are labels, which are strings; a number under a name that is no setting is refused
    sparse    what a RowGrad means. "exact": the table is, whenever anyone looks at it, what the dense optimiser would
              have made of the same gradients; momentum goes on moving untouched rows, decay goes on shrinking them.
              Only touched rows are worked on. Where that is impossible the dense step is taken, and a warning says
              why. "touched": another algorithm, PyTorch's lazy one: a row steps, and decays, only when it was looked
              up, and counts its own steps, so that its first step under Adam has size lr.

    `groups` are the groups with their settings (`ParamGroup`), `lr` the learning rate and `scale` a factor on it, for
    schedules (of the first group; assigning sets all): `optimizer.scale = schedule(step)`. `state` has a LazyRows for
    each of `params`.

    A subclass names its state arrays in `states` (each of the parameter's shape, zero at first; rows never touched take
    no memory, since the system hands out zero pages on first use), and defines `rule` and, if rows without gradient
    move, `catch_up_law`. Settings are checked when they are set, before anything changes.
    """

    states: tuple[str, ...] = ()
    groups: Any = ()

    def __init__(self, params: Iterable[Any], sparse: str = "exact", **settings: Any) -> None:
        if sparse not in ("exact", "touched"):
            raise ValueError(f'sparse is "exact" or "touched", not {sparse!r}')
        self.sparse = sparse
        groups = listed(params)
        if not all(isinstance(group, dict) for group in groups):
            groups = [{"params": groups}]
        self.defaults = settings
        self.groups = [self._group(group) for group in groups]
        if not self.params:
            raise ValueError("an optimiser needs at least one parameter")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError("a parameter stands in params, or in the groups, twice")
        self.state = [self._state_of(p) for p in self.params]

    def _group(self, group: Any) -> ParamGroup:
        """A group from the dict of a user."""
        if not isinstance(group, dict) or "params" not in group:
            raise ValueError('each group is a dict with "params" and the settings that differ')
        others = {name: x for name, x in group.items() if name != "params" and name not in self.defaults}
        if unknown := sorted(name for name, x in others.items() if not isinstance(x, str)):
            raise ValueError(f"{type(self).__name__} has no setting {unknown}, but {', '.join(self.defaults)}")
        settings = {name: group.get(name, x) for name, x in self.defaults.items()}
        as_others = (self.scale, self.groups[0].keeps_momentum) if self.groups else ()
        return ParamGroup(listed(group["params"]), settings, self.check, others, *as_others)

    # -- what a subclass says ------------------------------------------------------------------------------------------

    def rule(self, o: Any, t: Any, w: Array, g: Array, *states: Array) -> None:
        """Update `w` and the states in place. `o` has the group's settings, with `o.rate` the learning rate of this
        step; `t` is the number of steps taken, this one included: an int, or for rows an array (U, 1). `g` is not
        written to."""
        raise NotImplementedError(f"{type(self).__name__} defines no rule")

    def catch_up_law(self, o: Any, t: int, dtype: Any) -> Any:
        """How rows without gradient move from step t on (rows/catch_up.py), or None if they stand still. Raises
        ValueError with the reason if that cannot be had exactly."""
        return None

    def state_shape(self, o: Any, p: Parameter) -> tuple[int, ...]:
        """The shape of each state array of p: p's own, or with sides of 1 where entries share a number."""
        return p.shape

    @staticmethod
    def check(o: Any) -> None:
        """ValueError for settings of a group that do not go together."""

    # -- what users call -----------------------------------------------------------------------------------------------

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
        self.set_each([{"lr": value}] * len(self.groups))

    @property
    def scale(self) -> float:
        """The factor on the learning rate; assigning sets that of all groups."""
        return float(self.groups[0].scale)

    @scale.setter
    def scale(self, value: float) -> None:
        self.set_each([{"scale": value}] * len(self.groups))

    def add_param_group(self, group: dict[str, Any]) -> None:
        """One more group, from here on, with its "params" and the settings that differ; `scale` is that of the others.

        >>> optimizer = Optimizer([Parameter([1.0])], lr=0.1)
        >>> optimizer.add_param_group({"params": [Parameter([2.0])], "lr": 0.01, "name": "head"})
        >>> optimizer.groups[1]
        1 parameter, 1 numbers: name='head', lr=0.01
        """
        new = self._group(group)
        if len({id(p) for p in self.params + new.params}) < len(self.params) + len(new.params):
            raise ValueError("a parameter of the new group is in the optimiser already, or in the group twice")
        self.state += [self._state_of(p) for p in new.params]
        self.groups.append(new)

    def __repr__(self) -> str:
        return "\n  ".join([f"{type(self).__name__}(sparse={self.sparse!r})", *map(repr, self.groups)])

    @answering
    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        states = iter(self.state)
        for o in self.groups:
            settings = o.settings("lr", "scale")
            for p, lazy in zip(o.params, states):
                if p.grad is None or not p.requires_grad:
                    continue
                g = p.storage.gradient(p.grad)
                lazy.settle(settings)
                lazy.make_states(self.states, self.state_shape(o, p))
                if not isinstance(g, RowGrad):
                    lazy.step_all(self.rule, o, g)
                elif self._by_rows(o, p, lazy):
                    lazy.step_rows(self.rule, o, g.coalesce())
                else:
                    lazy.step_all(self.rule, o, g.to_dense())
                p.mark_changed()

    # -- within --------------------------------------------------------------------------------------------------------

    def set_each(self, changes: list[dict[str, Any]]) -> None:
        """Change the settings of each group, or of none."""
        trials = [o.trial(of_group) for o, of_group in zip(self.groups, changes)]
        for o, settings in zip(self.groups, trials):
            vars(o).update(settings)

    def _momentum_state(self, name: str) -> tuple[str, ...]:
        """The name of the state that momentum takes, or none if it is 0 in all groups; then it is to stay so."""
        keeps = any(o.momentum for o in self.groups)
        for o in self.groups:
            vars(o)["keeps_momentum"] = keeps
        return (name,) if keeps else ()

    def _state_of(self, p: Parameter) -> LazyRows:
        """What is kept for p: what its table has from an earlier run, or a new one."""
        rule = {"rule": type(self).__name__, "sparse": self.sparse}
        lazy: LazyRows | None = p.storage.lazy_of(rule)
        if lazy is None:
            lazy = LazyRows(p)
            p.storage.train_by(rule, lazy)
        return lazy

    def _by_rows(self, o: Any, p: Parameter, lazy: LazyRows) -> bool:
        """Whether a RowGrad of p steps rows; decided, and set up, at the first one."""
        if lazy.by_rows is None and self.sparse == "touched":
            lazy.count_rows()
        elif lazy.by_rows is None:
            try:
                lazy.follow(self.catch_up_law(o, lazy.steps, p.dtype))
            except ValueError as error:
                reason = f'{error}. sparse="touched" is another algorithm that does not'
            else:
                return True
            p.storage.refuse_dense(type(self).__name__, reason)
            warnings.warn(f"{type(self).__name__} takes dense steps for a table of shape {p.shape}: {reason}.",
                          stacklevel=3)
            lazy.by_rows = False
        return bool(lazy.by_rows)
