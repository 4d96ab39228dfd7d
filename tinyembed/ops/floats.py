"""The one rule for integers in ops of floats: they are taken for the numbers they are, as NumPy does."""

from __future__ import annotations

from typing import Any

import numpy as np


def floats(*arrays: Any) -> Any:
    """The arguments of an op of floats, as it computes with them: one alone, or several. Arrays of integers or booleans
    become the floats that the others are, or else those that NumPy makes of them beside float32. All else stays.

    >>> floats(np.array([1], np.uint8)).dtype, floats(np.array([1]), np.zeros(1, np.float32))[0].dtype
    (dtype('float32'), dtype('float32'))
    """
    dtypes = [x.dtype for x in arrays if isinstance(x, np.ndarray)]
    found = [dtype for dtype in dtypes if dtype.kind == "f"]
    if len(found) < len(dtypes):
        dtype = np.result_type(*found or [*dtypes, np.float32])
        arrays = tuple(x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind in "iub" else x for x in arrays)
    return arrays[0] if len(arrays) == 1 else arrays
