"""PCA: principal components of a table of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array


def pca(vectors: Any, n_components: int = 2) -> Array:
    """Principal components: the directions in which the vectors vary most, and where each vector lies along them.

        vectors (N, D) -> (N, n_components), centred, columns by falling variance

    From the singular value decomposition X = U S V^T of the centred vectors: U S. The sign of a component, which the
    decomposition leaves open, makes its largest entry in absolute value positive.          (Pearson 1901)
    Raises ValueError for more components than vectors or dimensions.

    >>> pca(np.array([[0., 0., 1.], [2., 0., 1.], [7., 0., 1.]]), 1).round(6).tolist()
    [[-3.0], [-1.0], [4.0]]
    """
    X = np.asarray(vectors)
    if X.ndim != 2 or not 1 <= n_components <= min(X.shape):
        raise ValueError(f"pca takes vectors (N, D) and 1 … min(N, D) components, got {X.shape} and {n_components}")
    mean = X.mean(0, dtype=np.float64)  # in float32, that of many rows is far off
    U, S, _ = np.linalg.svd(X - mean.astype(np.result_type(X, np.float32)), full_matrices=False)
    Y = U[:, :n_components] * S[:n_components]
    top = np.abs(Y).argmax(0)
    sign = np.where(Y[top, np.arange(n_components)] < 0, -1, 1).astype(Y.dtype)
    return Y * sign
