"""Pearson's and Spearman's correlation, with p-values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..core import Array


class Correlation(NamedTuple):
    """A coefficient in -1 … 1, and the probability of one at least as far from 0 where there is none (two-sided)."""

    statistic: float
    pvalue: float


def pearson(x: Any, y: Any) -> Correlation:
    """Correlation of values:   r = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2  sum (y - mean y)^2)

        x (N,), y (N,), N >= 2

    The p-value is Student's: t = r sqrt((N - 2) / (1 - r^2)) with N - 2 degrees of freedom. NaN where all of x or
    all of y are equal. Raises ValueError for other shapes, NaN and infinity.

    >>> pearson([1, 2, 3, 4], [2, 1, 4, 3])
    Correlation(statistic=0.6, pvalue=0.4)
    """
    a, b = (np.asarray(z, np.float64) for z in (x, y))
    if a.shape != b.shape or a.ndim != 1 or a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"a correlation takes two sequences of N >= 2 finite numbers, got {a.shape} and {b.shape}")
    if (a == a[0]).all() or (b == b[0]).all():
        return Correlation(math.nan, math.nan)
    a, b = (z - z.mean() for z in (a, b))
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares neither overflow nor vanish
    r = min(1.0, max(-1.0, float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))))
    return Correlation(r, _two_sided(r, a.size))


def spearman(x: Any, y: Any) -> Correlation:
    """Correlation of ranks; equal values share the mean of theirs.          (Spearman 1904)

    As `pearson` of the ranks, its p-value too.

    >>> spearman([10, 20, 20, 1000], [1, 2, 3, 4]).statistic.__round__(6)
    0.948683
    """
    pearson(x, y)  # refuses what is not two sequences of numbers
    return pearson(ranks(x), ranks(y))


def ranks(x: Any) -> Array:
    """1 for the smallest value, and so on; equal values share the mean of theirs.

    >>> ranks([30, 10, 30, 20])
    array([3.5, 1. , 3.5, 2. ])
    """
    _, place, counts = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: Array = (last - (counts - 1) / 2)[place]
    return shared


def _two_sided(r: float, n: int) -> float:
    """P(|R| >= |r|) of N independent normal pairs: the incomplete beta function I_{1 - r^2}((N - 2) / 2, 1 / 2)."""
    if n == 2:
        return 1.0
    return _beta((1 - r) * (1 + r), r * r, (n - 2) / 2, 0.5)  # 1 - r^2, without cancellation


def _beta(x: float, y: float, a: float, b: float) -> float:
    """I_x(a, b), y = 1 - x: the continued fraction of https://dlmf.nist.gov/8.17.E22, from its last term on."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(y, x, b, a)
    if x == 0:
        return 0.0
    fraction = 1.0
    for m in range(100 + 5 * math.isqrt(math.ceil(a + b)), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = 1 + odd / (1 + even / fraction)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(y) - beta) / (a * fraction)
