"""Random generators: one process-wide seed sequence, and independent streams spawned from it.

NumPy's own global state is never touched. Whatever takes `rng=` and is given none calls `fresh_rng()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_sequence: np.random.SeedSequence | None = None  # made on first use: numpy.random takes a while to load


def seed(n: int | None) -> None:
    """Start the process-wide seed sequence afresh at `n`: layers made after it draw the same numbers every time.

    >>> seed(7)
    >>> a = fresh_rng().normal()
    >>> b = fresh_rng().normal()
    >>> seed(7)
    >>> a == fresh_rng().normal(), a == b
    (True, False)
    """
    global _sequence
    _sequence = np.random.SeedSequence(n)


def seed_state() -> Any:
    """Where the process-wide sequence is, as numbers: None before anything was drawn."""
    return None if _sequence is None else {"entropy": _sequence.entropy, "spawned": _sequence.n_children_spawned}


def restore_seed(state: Any) -> None:
    """Go on where `seed_state()` was.

    >>> seed(7)
    >>> _, state, a = fresh_rng(), seed_state(), fresh_rng().normal()
    >>> restore_seed(state)
    >>> a == fresh_rng().normal()
    True
    """
    global _sequence
    _sequence = None if state is None else np.random.SeedSequence(state["entropy"], n_children_spawned=state["spawned"])


def fresh_rng() -> np.random.Generator:
    """A generator on the next independent stream of the process-wide sequence (numpy.random.SeedSequence.spawn)."""
    if _sequence is None:
        seed(None)
    assert _sequence is not None
    return np.random.default_rng(_sequence.spawn(1)[0])
