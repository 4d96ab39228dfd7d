"""bfloat16, the upper half of a float32: sign, all 8 bits of the exponent, 7 of the 23 of the fraction."""

from __future__ import annotations

import numpy as np

from ..core import Array


def widen(bits: Array) -> Array:
    """The float32 values of bfloat16s, given as the integers that their bits are. Exact.

        bits (…) uint16 -> a fresh array (…) float32

    >>> widen(np.array([0x3F80, 0xC000], np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    wide = np.array(bits, np.uint32, order="C")  # no memmap, even of one
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def narrow(x: Array) -> Array:
    """The nearest bfloat16s, ties to even, as the integers that their bits are; NaN stays NaN.

        x (…) float16, float32 or float64 -> (…) uint16

    Beyond the largest by half a step or more, 3.396e38, is infinity. A float64 is rounded once, not by way of the
    nearest float32: that may lie on the middle between two bfloat16s where x does not.

    >>> [hex(b) for b in narrow(np.array([1.0, 1 + 2**-8, 1 + 2**-8 + 2**-40, np.inf]))]
    ['0x3f80', '0x3f80', '0x3f81', '0x7f80']
    """
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.array(x, np.float32, order="C")
        bits = near.view(np.uint32)
        if x.dtype.itemsize == 8:
            # Round to odd: cut towards zero, and set the last bit if anything was cut off. No such number is a middle.
            bits -= (np.abs(near, dtype=np.float64) > np.abs(x)).astype(np.uint32)
            bits |= (near != x).astype(np.uint32)
    nan = np.isnan(x)
    bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    bits >>= np.uint32(16)
    half = bits.astype(np.uint16)
    half[nan] = 0x7FC0
    return half
