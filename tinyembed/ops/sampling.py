"""The loss of negative sampling, for many words against the same rows at a time: what Word2Vec and its kin train by."""

from __future__ import annotations

import numpy as np

from ..core import Array, ValueAndVjp, primitive

FAR = 80.0  # exp of it is finite in float32, and softplus(-FAR) is 0 to the last digit of any sum


@primitive
def negative_sampling(x: Array, z: Array, weights: Array) -> ValueAndVjp:
    """L = sum over b, i, j of  |a| softplus(-sign(a) x_i . z_j)      a = weights[b, i, j], softplus(t) = log(1 + e^t)

        x (B, S, D), z (B, Q, D), weights (B, S, Q), constants -> one number

    Logistic regression on dot products: pairs with a > 0 were seen and are to have large products, pairs with a < 0
    were drawn at random and are to have small ones; a = 0 is no pair. The products of a block are one matrix product,
    whatever number of them are pairs. Gradient: with u = -a sigmoid(-sign(a) x_i . z_j), of x_i the sum of u z_j, of
    z_j the sum of u x_i. Products beyond ±80 count as ±80 in the loss.
    (Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality")
    """
    if x.ndim != 3 or z.ndim != 3 or (len(x), x.shape[2]) != (len(z), z.shape[2]) or \
            np.shape(weights) != (*x.shape[:2], z.shape[1]):
        raise ValueError(f"x (B, S, D), z (B, Q, D) and weights (B, S, Q) do not go together: weights are "
                         f"{np.shape(weights)}")
    weights = np.asarray(weights, x.dtype)
    v = np.matmul(x, z.transpose(0, 2, 1))
    np.negative(v, out=v, where=weights < 0)
    np.clip(v, -FAR, FAR, out=v)
    t = np.exp(v)
    t += 1
    loss = np.einsum("bsq,bsq->b", np.log(t) - v, np.abs(weights)).sum(dtype=np.float64)
    u = np.divide(weights, t, out=v)  # the gradient of the products
    np.negative(u, out=u)

    def vjp(g: Array) -> tuple[Array, Array, None]:
        ug = u if g == 1 else u * g
        return np.matmul(ug, z), np.matmul(ug.transpose(0, 2, 1), x), None

    return np.asarray(loss, x.dtype), vjp
