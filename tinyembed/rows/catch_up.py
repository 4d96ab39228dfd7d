"""Catching up: what k steps without a gradient do to a row, in closed form.

Under momentum or decay a row moves on when nobody looks it up. Stepping it each time would cost what the dense
optimiser costs. A catch-up law has the way as a table: for each step a that a row may have been left at, the few
numbers that bring it from a to now. Keeping the tables costs a little arithmetic a step, whatever the size of the
model; catching a row up is a lookup by its last step.

Two laws are enough. Where the step without gradient is linear (SGD, RMSprop), the numbers are the entries of a small
matrix. Adam's is not linear, but its steps fade so fast that it can be summed in closed form up to rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Record

MOST_NODES, MOST_GAPS = 32, 4000  # where Adam's sum needs more, the dense step is the better way
TOLERANCE = {np.dtype(np.float32): 1e-7, np.dtype(np.float64): 1e-12}
STEP = range(2**31)  # what a number of steps may be: those of rows are kept in int32
REALS = np.dtype(np.float64)


class LinearCatchUp(Record):
    """z_i = M_i z_{i-1} for z = (w, *states): a row left at step a is now M_t … M_{a+1} z_a.

    M_i is read off the optimiser's own rule, by letting it step the unit vectors with gradient zero. The products are
    kept in two parts: `tails[a]` from a to the end of the block of BLOCK steps that a lies in, `blocks[j]` of all that
    came after block j. A step multiplies one block of tails, and blocks.
    """

    BLOCK: ClassVar = 256  # steps whose matrices are multiplied one by one; between blocks, block by block
    FIELDS: ClassVar = {"t": STEP, "eye": REALS, "tails": REALS, "blocks": REALS}

    def __init__(self, size: int, t: int) -> None:
        self.t = t
        self.eye = np.eye(size)
        self.tails = np.empty((0, size, size))
        self.blocks = np.empty((0, size, size))
        self._grow()

    def _grow(self) -> None:
        """Room for step t, filled with unit matrices."""
        for name, needed in (("tails", self.t + 1), ("blocks", self.t // self.BLOCK + 1)):
            array = getattr(self, name)
            if len(array) < needed:
                more = np.broadcast_to(self.eye, (needed + needed // 2 + 16 - len(array), *self.eye.shape))
                setattr(self, name, np.concatenate([array, more]))

    def advance(self, rule: Callable[..., None], o: Any) -> None:
        """One step more, by the rule with the settings `o`."""
        self.t += 1
        self._grow()
        z = self.eye.copy()
        rule(o, self.t, z[0], np.zeros(len(z)), *z[1:])
        j = (self.t - 1) // self.BLOCK
        self.tails[j * self.BLOCK:self.t] = z @ self.tails[j * self.BLOCK:self.t]
        self.blocks[:j] = z @ self.blocks[:j]

    def catch_up(self, last: Array, *z: Array) -> None:
        """Bring rows (U, D) of w and the states, left at the steps `last` (U,), to now, in place."""
        M = (self.blocks[last // self.BLOCK] @ self.tails[last])[..., None]  # (U, S, S, 1), float64: rounded once
        new = [sum(M[:, i, j] * z[j] for j in range(len(z)) if M[:, i, j].any()) for i in range(len(z))]
        for old, x in zip(z, new):
            old[...] = x


class AdamCatchUp(Record):
    """Adam without gradient: m and v shrink by their betas, w follows m, and decays (AdamW).

    A row left at a with m and v makes, with r = beta1 / sqrt(beta2) and s_i = sqrt(1 - beta2^i), at step i = a + k

        lr_i s_i / (1 - beta1^i) * r^k * m / (sqrt(v) + eps q),          q = s_i beta2^(-k/2).

    Without eps all steps would be multiples of m / sqrt(v), with known factors. With eps, 1 / (sqrt(v) + eps q) still
    changes so smoothly with k that a few gaps k_n determine it for every other k, whatever sqrt(v) is:

        1 / (sqrt(v) + eps q_k)  =  sum over n of P[k, n] / (sqrt(v) + eps q_{k_n})

    to the dtype's precision (`interpolation`). So the steps of all gaps add up to

        m * sum over n of C[a, n] / (sqrt(v) + Q[a, n]),          Q[a, n] = eps q_{k_n}

    with weights C[a, n] that each new step adds to, for the last K starting points a only: r^K is below rounding.
    What decay does to a step after it was made is a product over the steps since then: `scale`.
    """

    FIELDS: ClassVar = {"t": STEP, "betas": (tuple, [float]), "eps": float, "gaps": np.dtype(np.int64),
                        "pattern": REALS, "C": REALS, "Q": REALS, "scale": REALS}

    def __init__(self, betas: tuple[float, float], eps: float, dtype: Any, t: int) -> None:
        self.t, self.betas, self.eps = t, betas, float(eps)
        found = interpolation(*betas, TOLERANCE[np.dtype(dtype)]) if np.dtype(dtype) in TOLERANCE else None
        if found is None:
            raise ValueError(f"catching up under betas {betas} does not reach the dtype's precision with "
                             f"{MOST_NODES} terms over {MOST_GAPS} steps")
        self.gaps, self.pattern = found
        self.C = np.zeros((0, len(self.gaps)))
        self.Q = np.zeros((0, len(self.gaps)))
        self.scale = np.ones(0)
        self._grow()

    def _grow(self) -> None:
        have, needed = len(self.scale), self.t + 1
        if have >= needed:
            return
        more = needed + needed // 2 + 64 - have
        steps = have + np.arange(more)[:, None] + self.gaps
        beta2 = self.betas[1]
        Q = self.eps * np.sqrt(1 - beta2 ** steps) * beta2 ** (-self.gaps / 2) if len(self.gaps) else steps * 0.0
        self.Q = np.concatenate([self.Q, np.minimum(Q, np.finfo(np.float32).max)])
        self.C = np.concatenate([self.C, np.zeros((more, len(self.gaps)))])
        self.scale = np.concatenate([self.scale, np.ones(more)])

    def advance(self, rule: Callable[..., None], o: Any) -> None:
        """One step more, with the learning rate and decay that `o` has now."""
        self.t += 1
        self._grow()
        t, (beta1, beta2), K = self.t, self.betas, len(self.pattern)
        self.scale[t] = self.scale[t - 1] * (1 - o.rate * o.weight_decay)
        if self.scale[t] < 1e-100:  # before it underflows, measure from here on
            self.C *= self.scale[t]
            with np.errstate(over="ignore"):
                self.scale /= self.scale[t]
            self.scale[t:] = 1
        weight = o.rate * math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t) / self.scale[t]
        first = max(t - K, 0)
        self.C[first:t] += weight * self.pattern[K - (t - first):]

    def catch_up(self, last: Array, w: Array, m: Array, v: Array) -> None:
        """Bring rows (U, D), left at the steps `last` (U,), to now, in place."""
        dtype = w.dtype
        root = np.sqrt(v)
        root += np.finfo(dtype).tiny  # 0 / 0 is 0 here: eps = 0, and a row that never moved
        C, Q = (self.C[last] * self.scale[self.t]).astype(dtype), self.Q[last].astype(dtype)
        w *= (self.scale[self.t] / self.scale[last]).astype(dtype)[:, None]
        d, total = np.empty_like(w), np.zeros_like(w)
        for n in range(len(self.gaps)):
            np.add(root, Q[:, n, None], out=d)
            np.divide(m, d, out=d)
            d *= C[:, n, None]
            total += d
        w -= total
        gap = (self.t - last)[:, None]
        m *= (self.betas[0] ** gap).astype(dtype)
        v *= (self.betas[1] ** gap).astype(dtype)


@functools.cache
def interpolation(beta1: float, beta2: float, tolerance: float) -> tuple[Array, Array] | None:
    """(gaps k_n (N,), r^k P[k, n] for k = K … 1 (K, N)) as AdamCatchUp's docstring has them; None if it takes too many.

    The functions of k to be represented are 1 / (1 + e q_k) for every scale e and start a. On a sample of them, take
    as the next gap the one at which what is left over is largest, until nothing is (a QR decomposition with pivots); P
    is then the least-squares fit.
    """
    if beta1 == 0:  # m is forgotten at once: nothing to sum
        return np.zeros(0, np.int64), np.zeros((0, 0))
    r = beta1 / math.sqrt(beta2) if beta2 else math.inf
    K = math.ceil(math.log(tolerance / 10) / math.log(r)) if r < 1 else math.inf
    if K > MOST_GAPS or -K / 2 * math.log10(beta2) > 30:  # too many steps, or v fades so much faster than m
        return None
    k = np.arange(1, K + 1)
    weight = r ** k
    curves = []
    for a in (1, 2, 3, 5, 8, 15, 30, 60, 120, 300, 1000, 5000, 100_000):
        q = np.sqrt(1 - beta2 ** (a + k)) * beta2 ** (-k / 2)
        count = 60 + int(6 * math.log10(q.max() / q.min()))
        curves += [1 / (1 + e * q) for e in np.geomspace(1e-5 / q.max(), 1e5 / q.min(), count)]
    F = np.array([curve / curve.max() for curve in curves])
    left = F * weight
    nodes: list[int] = []
    while np.abs(left).sum(1).max() > tolerance * weight.sum():
        if len(nodes) == MOST_NODES:
            return None
        nodes.append(int(np.argmax((left * left).sum(0))))
        u = left[:, nodes[-1]] / np.linalg.norm(left[:, nodes[-1]])
        left = left - np.outer(u, u @ left)
    nodes.sort()
    P = np.linalg.lstsq(F[:, nodes], F, rcond=1e-15)[0]  # (N, K)
    return k[nodes], (P * weight).T[::-1].copy()
