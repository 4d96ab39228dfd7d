"""The loss of t-SNE: the Kullback-Leibler divergence between neighbourhoods."""

from __future__ import annotations

import numpy as np

from ..core import Array, ValueAndVjp, primitive
from .floats import floats


@primitive
def neighbourhood_kl(Y: Array, P: Array) -> ValueAndVjp:
    """KL(P || Q) = sum over i, j of p_ij log(p_ij / q_ij),   q_ij = n_ij / Z,   n_ij = 1 / (1 + |y_i - y_j|^2)

        Y (N, d), P (N, N), a constant, symmetric, its diagonal 0 -> one number;  Z the sum of all n_ij, i != j

    P says how probable it is that i and j are picked as neighbours where the points come from, Q how probable it is in
    the map: Student's t with one degree of freedom, whose long tails leave room between clusters. P may have another
    sum than 1 (t-SNE's exaggeration); p log p is 0 for p = 0. Gradient, with s the sum of P:

        dL/dy_i = 4 sum over j of (p_ij - s q_ij) n_ij (y_i - y_j)

    a spring for each pair. Errors: shapes that do not fit. (van der Maaten and Hinton 2008)
    """
    if Y.ndim != 2 or np.shape(P) != (len(Y), len(Y)):
        raise ValueError(f"it needs points Y (N, d) and P (N, N), not {Y.shape} and {np.shape(P)}")
    Y = floats(Y)
    P = np.asarray(P, Y.dtype)
    squares = np.einsum("nd,nd->n", Y, Y)
    n = Y @ (-2 * Y.T)
    n += squares[:, None]
    n += squares
    np.maximum(n, 0, out=n)  # what rounding left below
    n += 1
    np.fill_diagonal(n, 1)
    total, attraction = float(P.sum(dtype=np.float64)), float(np.vdot(P, np.log(n)))
    np.reciprocal(n, out=n)
    np.fill_diagonal(n, 0)
    Z = max(float(n.sum(dtype=np.float64)), float(np.finfo(Y.dtype).tiny))  # of one point alone 0
    entropy = float(np.vdot(P, np.log(np.where(P > 0, P, 1))))

    def vjp(g: Array) -> tuple[Array, None]:
        w = n * Y.dtype.type(-total / Z)
        w += P
        w *= n
        return (w.sum(1)[:, None] * Y - w @ Y) * (4 * g), None

    return np.asarray(entropy + attraction + total * np.log(Z), Y.dtype), vjp
