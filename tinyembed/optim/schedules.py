"""Learning rate schedules: functions of the step that give a factor on the learning rate.

    for step in range(steps):
        optimizer.scale = schedule(step)          or fit(…, schedule=schedule)
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant() -> Schedule:
    """1 at every step."""
    return lambda step: 1.0


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """factor^(step // every): 1 at first, `factor` times less after every `every` steps.

    >>> [step_decay(10, 0.5)(step) for step in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """
    _positive("every", every)
    return lambda step: float(factor ** (step // every))


def cosine(total: int, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Up in a line over `warmup` steps, then down half a cosine to `floor` at step `total`, and flat after that.

    (Loshchilov and Hutter 2017)

    >>> [round(cosine(100, warmup=10)(step), 3) for step in (0, 9, 10, 55, 100, 500)]
    [0.1, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    _positive("total - warmup", total - warmup)

    def schedule(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min((step - warmup) / (total - warmup), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return schedule


def inverse_sqrt(warmup: int) -> Schedule:
    """Up in a line over `warmup` steps, then sqrt(warmup / step): the original Transformer's.

    (Vaswani et al. 2017, with 1 for the factor D^-0.5 warmup^-0.5)

    >>> [inverse_sqrt(4)(step) for step in (0, 3, 15)]
    [0.25, 1.0, 0.5]
    """
    _positive("warmup", warmup)
    return lambda step: min((step + 1) / warmup, math.sqrt(warmup / (step + 1)))


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
