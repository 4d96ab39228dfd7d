"""What array a Tensor holds, of Python numbers, of lists, and of the scalars that NumPy makes of 0-d results; and what
arrays an op gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from .rowgrad import Array, RowGrad


def new_array(data: Any) -> Array:
    """What Tensor(data) holds; the rules stand in its docstring."""
    data = data.to_dense() if isinstance(data, RowGrad) else data
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
    return array if isinstance(data, np.memmap) else given(array)


def first_leaf(data: Any) -> Any:
    """The first leaf of nested lists; None if there is none."""
    while isinstance(data, (list, tuple)):
        if not data:
            return None
        data = data[0]
    return data


def result_array(y: Any, name: str, values: list[Any]) -> Array:
    """What an op made, as an array; of a NumPy scalar, one without axes. Python scalars must not promote: where no
    input array is wider than float32, neither is the output, although NumPy 1.26 makes float64 of
    `np.float32(1) * 2.0`."""
    y = np.asarray(y)
    if y.dtype.kind not in "fiub":
        raise TypeError(f"{name} made {y.dtype}, and a Tensor holds floats, integers or booleans [given "
                        f"{words_for(values)}]")
    if y.dtype == np.float64:
        dtypes = [x.dtype for x in values if isinstance(x, (np.ndarray, np.generic)) and x.dtype != bool]
        if all(d.kind == "f" and d != np.float64 for d in dtypes):
            y = y.astype(np.result_type(*dtypes) if dtypes else np.float32)
    return y


def plain_number(x: Any) -> Any:
    """A scalar of NumPy's as a Python number, which does not promote: float32 * np.float64(2) is float32."""
    return float(x) if x.dtype.kind == "f" else x.item()


def is_scalar(x: Any) -> bool:
    """Whether x is a scalar of NumPy's: its type, or a 0-d array of floats, which 1.26 and 2.x promote differently."""
    return isinstance(x, np.generic) or (type(x) is np.ndarray and x.ndim == 0 and x.dtype.kind == "f")


def beside_arrays(values: list[Any], scalars: list[int]) -> list[Any]:
    """The values of an op's arguments, those scalars among them (at these places) such that they do not promote the
    arrays beside them."""
    arrays = [x.dtype for i, x in enumerate(values) if isinstance(x, np.ndarray) and i not in scalars]
    floating = [dtype for dtype in arrays if dtype.kind == "f"]
    for i in scalars if arrays else ():
        if isinstance(values[i], np.generic):
            values[i] = plain_number(values[i])
        elif floating:
            values[i] = values[i].astype(np.result_type(*floating))
    return values


def given(x: Any) -> Any:
    """A constant as an op gets it: an array of NumPy's own class (np.matrix has other products), in this machine's
    order of bytes; of a RowGrad the whole of it. A list of Python floats is a float32 array, as in Tensor; other lists
    (shapes, axes, an index) stay lists."""
    if type(x) in (list, tuple):
        return new_array(x) if type(first_leaf(x)) is float else type(x)(map(given, x))
    if isinstance(x, np.ndarray):
        if x.dtype.kind == "c":
            raise TypeError(f"an op takes floats, integers or booleans, not {x.dtype}")
        x = x if type(x) is np.ndarray else x.view(np.ndarray)
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    return x.to_dense() if type(x) is RowGrad else x


def kept(x: Any) -> Any:
    """x, an index or a mask copied: the vjp keeps it, and it may be filled again for the next batch before that is
    called."""
    if type(x) in (list, tuple):
        return type(x)(map(kept, x))
    return x.copy() if type(x) is np.ndarray and x.dtype.kind in "iub" else x


def as_axes(axis: Any) -> Any:
    """An axis, or several as the tuple that NumPy wants."""
    return tuple(axis) if type(axis) is list else axis


def words_for(values: list[Any]) -> str:
    """The inputs of an op in words, for its errors."""
    words = [f"{x.dtype} {x.shape}" for x in values if hasattr(x, "shape")]
    words += [words_for(list(x)) for x in values if type(x) in (list, tuple) and any(hasattr(i, "shape") for i in x)]
    return ", ".join(words) or "no array"
