"""What exact resume needs: the position in the data, and the state of every random generator."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import islice
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from ..core import Record, Tensor
from .history import COUNT

DATA = 1000  # entries; what is longer is data
END = object()
NOT_SEARCHED = (str, bytes, int, float, np.ndarray, Tensor, type, ModuleType, type(None))


class Epochs(Record):
    """All batches of all epochs, and a place among them that can be left and found again.

    epoch     passes over the batches that are finished
    done      batches of the running pass that were given out
    before    the state of each generator before the running pass

    To find a place again, the generators are put as they were before that pass, its first `done` batches are drawn
    once more and thrown away, and the generators are put as they were at the place. So whatever the batches are, they
    need not know of it: they are re-iterable, and draw from NumPy generators that stand among their attributes.

    That holds because nobody else's draws move the batches on the way, however many there are. A generator of theirs
    that others hold as well (`shared`: one `rng` for dropout and for a shuffle buffer) is in two states that take
    turns: the batches have it in theirs while one is drawn, and all others have it in another one the rest of the time.
    """

    FIELDS: ClassVar = {"epoch": COUNT, "done": COUNT, "before": {str: {str: object}}}

    def __init__(self, batches: Any, epochs: int | None, generators: dict[str, np.random.Generator],
                 shared: dict[str, np.random.Generator]) -> None:
        self.batches, self.epochs, self.generators, self.shared = batches, epochs, generators, shared
        self.epoch = self.done = 0
        self.before = states(generators)

    def check(self) -> None:
        check_states(self.generators, self.before)

    @property
    def ends_pass(self) -> bool:
        """Whether the batch that was given out last is the last of its pass."""
        return self.done == len(self.batches) if isinstance(self.batches, Sized) else bool(self.batches.ends_pass)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """A generator that is used up after one pass is an error, not a short training."""
        mine = states(self.shared)  # as the batches have left them
        if not self.epoch and not self.done:
            for generator in self.shared.values():
                bits: Any = type(generator.bit_generator)
                generator.bit_generator.state = bits(int(generator.integers(2**63))).state
        while self.epochs is None or self.epoch < self.epochs:
            now, skip = states(self.generators), self.done
            if skip:
                restore(self.generators, self.before)
            else:
                self.before = {**now, **mine}
                restore(self.shared, mine)
            rest = iter(self.batches)
            if sum(1 for _ in islice(rest, skip)) < skip:
                raise ValueError(f"the checkpoint was made after {skip} batches of a pass over the data, and there are "
                                 "fewer now: it must be the same data")
            mine = states(self.shared)
            restore(self.generators if skip else self.shared, now)
            while True:
                others = states(self.shared)
                restore(self.shared, mine)
                batch = next(rest, END)
                mine = states(self.shared)
                restore(self.shared, others)
                if batch is END:
                    break
                self.done += 1
                yield as_tuple(batch)
            if not self.done:
                raise ValueError("there is no batch to train on" if self.epoch == 0 else f"the batches were used up "
                                 f"after {self.epoch} epoch(s); give a list or another re-iterable")
            self.epoch, self.done = self.epoch + 1, 0


def as_tuple(batch: Any) -> tuple[Any, ...]:
    """The arguments that a batch stands for: those of a tuple or list, or the one array."""
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def generators_in(**roots: Any) -> dict[str, np.random.Generator]:
    """The NumPy generators among the attributes of these objects, at any depth: where each was found first -> it.
    Lists, tuples and dicts of more than a thousand entries are taken for data, and not searched.

    >>> import tinyembed as te
    >>> list(generators_in(model=te.nn.Sequential(te.nn.Dropout(0.5), te.nn.Dropout(0.5))))
    ['model.0.rng', 'model.1.rng']
    """
    found: dict[str, np.random.Generator] = {}
    seen: dict[int, Any] = {}  # the objects themselves, so that no id is given to another one meanwhile
    left = list(roots.items())[::-1]
    while left:
        name, x = left.pop()
        if id(x) in seen or isinstance(x, NOT_SEARCHED):
            continue
        seen[id(x)] = x
        if isinstance(x, np.random.Generator):
            found[name] = x
        if isinstance(x, (dict, list, tuple)) and len(x) > DATA:
            continue
        inside = x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, (list, tuple)) else \
            getattr(x, "__dict__", {}).items()
        left += [(f"{name}.{key}", value) for key, value in inside][::-1]
    return found


def states(generators: dict[str, np.random.Generator]) -> dict[str, Any]:
    """What each generator will draw next, as plain values."""
    return {name: generator.bit_generator.state for name, generator in generators.items()}


def restore(generators: dict[str, np.random.Generator], saved: dict[str, Any]) -> None:
    """Put the generators as `states` found them."""
    for name, generator in generators.items():
        generator.bit_generator.state = saved[name]


def common(some: dict[str, np.random.Generator], others: dict[str, np.random.Generator]
           ) -> dict[str, np.random.Generator]:
    """Those of the first that are among the second, whatever their names there."""
    known = {id(generator) for generator in others.values()}
    return {name: generator for name, generator in some.items() if id(generator) in known}


def check_states(generators: dict[str, np.random.Generator], saved: dict[str, Any]) -> None:
    """ValueError if `saved` cannot be the states of these generators; they are left as they are."""
    if set(saved) != set(generators):
        raise ValueError(f"random generators were saved of {sorted(saved)}, and there are {sorted(generators)}")
    for name, generator in generators.items():
        bits: Any = type(generator.bit_generator)(0)
        try:
            _check_form(saved[name], bits.state, "state")
            bits.state = saved[name]
            if len(set(bits.random_raw(4).tolist())) == 1:  # zeros, of which a shuffle would never be done
                raise ValueError("it would draw the same number for ever")
        except (ValueError, OverflowError) as error:
            raise ValueError(f"what was saved is no state of the {bits.state['bit_generator']} at {name}: "
                             f"{error}") from None


def _check_form(x: Any, like: Any, where: str) -> None:
    """ValueError unless x is made as a state is. NumPy would read beyond a buffer from a place outside it."""
    if isinstance(x, dict) and isinstance(like, dict):
        for key in {**like, **x}:
            _check_form(x.get(key), like.get(key), f"{where}.{key}")
        place: Any = x.get("buffer_pos", x.get("pos", 0))
        buffer: Any = x.get("buffer", x.get("key", ()))
        if place > len(buffer):
            raise ValueError(f"place {place} in a buffer of {len(buffer)}")
    elif type(x) is not type(like) or np.shape(x) != np.shape(like) or (isinstance(x, str) and x != like) or (
            isinstance(x, np.ndarray) and x.dtype != like.dtype) or (isinstance(x, int) and x < 0):
        raise ValueError(f"{where} is {x!r:.50}, where {like!r:.50} or its like was expected")
