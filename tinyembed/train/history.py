"""History: the losses of a run over time, and the row report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..core import Record

COUNT = range(2**53)  # what a number of steps or examples may be, in a file: as many as a float64 can count


@dataclass
class History:
    """What a run of `fit` has measured.

    train      (step, float64 mean loss over the examples since the entry before), one entry every `every` steps
    held_out   (step, float64 mean loss over the held-out batches), at the same steps and at the end
    rows       for each table that was looked up, which rows were touched, how often, and how far they moved
    """

    train: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def since_best(self) -> int:
        """How many entries of held_out come after the one with the lowest loss."""
        losses = [math.inf if math.isnan(loss) else loss for _, loss in self.held_out]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


class Mean(Record):
    """A float64 mean over examples, from the sums over batches."""

    FIELDS: ClassVar = {"sum": float, "count": COUNT}

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, total: float, count: int) -> None:
        self.sum, self.count = self.sum + total, self.count + count

    def take(self) -> float:
        """The mean so far; start again."""
        mean = self.sum / self.count if self.count else math.nan
        self.sum, self.count = 0.0, 0
        return mean
