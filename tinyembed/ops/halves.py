"""Complex numbers as real vectors: n of them are 2n numbers, the real parts first.

The engine knows real numbers alone. A product is all it takes: a turn by an angle is the product with cos + i sin, and
the real part of x . conj(y) is the dot product of the 2n numbers.
"""

from __future__ import annotations

import numpy as np

from ..core import Array, ValueAndVjp, primitive


@primitive
def complex_multiply(x: Array, y: Array, conjugate: bool = False) -> ValueAndVjp:
    """x y, or x conj(y), for complex numbers in halves          x, y (…, 2n), which broadcast but for 2n -> (…, 2n)

    (a + ib)(c + id) = (ac - bd) + i(ad + bc)          gradients g conj(y), g conj(x); of x conj(y): g y, conj(g) x
    Raises ValueError for vectors of two lengths, or of an odd one.

    >>> complex_multiply([1.0, 2.0], [3.0, 4.0]).data.tolist()          # (1 + 2i)(3 + 4i) = -5 + 10i
    [-5.0, 10.0]
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0 or x.shape[-1] != y.shape[-1] or x.shape[-1] % 2:
        raise ValueError(f"complex numbers in halves are two vectors of one even length, not {np.shape(x)} and "
                         f"{np.shape(y)}")
    return _product(x, y, False, conjugate), lambda g: (
        _product(g, y, False, not conjugate), _product(x, g, not conjugate, conjugate))


def _product(x: Array, y: Array, conjugate_x: bool, conjugate_y: bool) -> Array:
    """The product of x and y, of each of which the conjugate may be meant."""
    n = x.shape[-1] // 2
    a, b, c, d = x[..., :n], x[..., n:], y[..., :n], y[..., n:]
    z = np.empty((*np.broadcast_shapes(x.shape[:-1], y.shape[:-1]), 2 * n), np.result_type(x, y))
    real, imaginary = z[..., :n], z[..., n:]
    np.multiply(a, c, out=real)
    (np.add if conjugate_x != conjugate_y else np.subtract)(real, b * d, out=real)
    np.multiply(b if not conjugate_x else -b, c, out=imaginary)
    (np.subtract if conjugate_y else np.add)(imaginary, a * d, out=imaginary)
    return z
