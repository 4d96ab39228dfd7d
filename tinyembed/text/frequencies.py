"""Word frequencies in training: subsampling of frequent words, and the noise distribution of negative sampling."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def keep_probabilities(counts: npt.ArrayLike, sample: float = 1e-3) -> Floats:
    """The probability with which each occurrence of a word is kept, so that frequent words do not drown the others.

        min(1, (sqrt(n / t) + 1) t / n)          counts n (V,) -> (V,);  t = sample * sum n          (word2vec.c)

    sample >= 1 is a count, as in gensim: words with more occurrences are thinned, t = int(sample (3 + sqrt 5) / 2).
    0 keeps everything. Raises ValueError for counts or a sample below 0.

    >>> keep_probabilities([1000, 10, 1], sample=0.01).round(3)
    array([0.111, 1.   , 1.   ])
    """
    n = _checked(counts)
    if not (sample >= 0 and math.isfinite(sample)):
        raise ValueError(f"sample must be at least 0: a share of all words, or from 1 on a count; got {sample}")
    if sample == 0:
        return np.ones(n.shape)
    t = sample * n.sum() if sample < 1 else np.floor(sample * (3 + math.sqrt(5)) / 2)
    n = np.maximum(n, 1)
    return np.minimum(1, (np.sqrt(n / t) + 1) * (t / n)) if t else np.ones(n.shape)


def noise_distribution(counts: npt.ArrayLike, ns_exponent: float = 0.75) -> Floats:
    """The probability with which each word is drawn as a negative example: its count, to a power.

        n^ns_exponent / sum n^ns_exponent          counts n (V,) -> (V,), with sum 1          (Mikolov et al. 2013)

    1 is the words' own distribution, 0 draws all alike, below 0 rare words more often. A word that is never there is
    never drawn. Raises ValueError for counts below 0, or all 0.

    >>> noise_distribution([16, 1, 0])
    array([0.88888889, 0.11111111, 0.        ])
    """
    n = _checked(counts)
    if not n.any() or not math.isfinite(ns_exponent):
        raise ValueError(f"noise takes a word that is there, and a finite exponent; got {n.size} words, {ns_exponent}")
    there = n > 0
    logs = ns_exponent * np.log(n[there])
    weights = np.zeros(n.shape)
    weights[there] = np.exp(logs - logs.max())
    return weights / weights.sum()


def _checked(counts: npt.ArrayLike) -> Floats:
    n = np.asarray(counts, np.float64)
    if n.ndim != 1 or not np.isfinite(n).all() or (n < 0).any():
        raise ValueError(f"counts must be one number for each word, finite and at least 0, got {n.shape}: {n[:9]}")
    return n
