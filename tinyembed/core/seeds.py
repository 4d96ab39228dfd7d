"""Where randomness comes from: one process-wide seed sequence, and independent streams spawned from it.

NumPy's own global state is never touched. Whatever takes `rng=` and is given none calls `fresh_rng()`.
"""

from __future__ import annotations

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


def fresh_rng() -> np.random.Generator:
    """A generator on the next independent stream of the process-wide sequence (numpy.random.SeedSequence.spawn)."""
    if _sequence is None:
        seed(None)
    assert _sequence is not None
    return np.random.default_rng(_sequence.spawn(1)[0])
