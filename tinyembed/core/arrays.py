"""What array a Tensor holds: of Python numbers, of lists, and of the scalars that NumPy makes of 0-d results."""

from __future__ import annotations

from typing import Any

import numpy as np

from .rowgrad import Array


def new_array(data: Any) -> Array:
    """What Tensor(data) holds; the rules stand in its docstring."""
    try:
        array = data.view(np.ndarray) if isinstance(data, np.memmap) else np.array(data, order="C")
    except ValueError as error:
        raise ValueError(f"a Tensor needs numbers in rows of equal length: {error}") from None
    if not isinstance(data, (np.ndarray, np.generic)) and array.dtype == np.float64:
        leaf = first_leaf(data)
        if leaf is None:
            array = array.astype(np.int64)  # an empty list is ids
        elif not isinstance(leaf, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
    if not array.flags.c_contiguous:
        raise ValueError("a mapped table must be stored row after row (C order), and be mapped whole")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a Tensor holds floats, integers or booleans, not {array.dtype}")
    return array


def first_leaf(data: Any) -> Any:
    """The first leaf of nested lists; None if there is none."""
    while isinstance(data, (list, tuple)):
        if not data:
            return None
        data = data[0]
    return data


def scalar_array(y: Any, values: list[Any]) -> Array:
    """A NumPy scalar as a 0-d array. Python scalars must not promote: where no input array is wider than float32,
    neither is the output, although NumPy 1.26 makes float64 of `np.float32(1) * 2.0`."""
    y = np.asarray(y)
    if y.dtype == np.float64:
        dtypes = [x.dtype for x in values if isinstance(x, (np.ndarray, np.generic)) and x.dtype != bool]
        if all(d.kind == "f" and d != np.float64 for d in dtypes):
            y = y.astype(np.result_type(*dtypes) if dtypes else np.float32)
    return y
