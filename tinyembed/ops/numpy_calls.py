"""What NumPy's functions give for tensors: the op of that name; or a look at values, from which no gradient could come;
or a refusal, where a gradient would be lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import OPS, Array, Op, Tensor, bare, method, wrap
from . import shape

# Functions that are ops here, and how many of their arguments stand in the same places.
FUNCTIONS = {"broadcast_to": 2, "clip": 3, "concatenate": 2, "cumsum": 2, "einsum": 99, "expand_dims": 2, "flip": 2,
             "max": 2, "mean": 2, "min": 2, "norm": 4, "pad": 2, "prod": 2, "reshape": 2, "split": 3, "squeeze": 2,
             "stack": 2, "std": 2, "sum": 2, "swapaxes": 3, "take_along_axis": 3, "transpose": 2, "var": 2, "where": 3}
# Those that are applied to each entry have an op's name, or one of these.
RENAMED = {"absolute": "abs", "fabs": "abs", "true_divide": "divide"}
# Those that look at values or shapes.
LOOKS = {"all", "allclose", "any", "argmax", "argmin", "argsort", "array_equal", "array_repr", "array_str",
         "array2string", "can_cast", "count_nonzero", "empty_like", "equal", "full_like", "greater", "greater_equal",
         "isclose", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or",
         "may_share_memory", "ndim", "nonzero", "not_equal", "ones_like", "result_type", "shape", "shares_memory",
         "signbit", "size", "zeros_like"}
FILLS = {("full_like", 1), ("full_like", "fill_value")}  # but this argument's values are in what they give


@method
def __array_function__(x: Tensor, function: Any, types: Any, args: Any, options: Any) -> Any:
    """For NumPy: a function of arrays was given tensors."""
    name = function.__name__
    if name not in FUNCTIONS or function is not getattr(np, name, np.linalg.norm):
        return _with_arrays(function, args, options)
    if len(args) > FUNCTIONS[name]:
        raise TypeError(f"np.{name} of a Tensor is te's op {name}: what follows its first {FUNCTIONS[name]} arguments "
                        "goes by name")
    op: Op = OPS[name] if name in OPS else getattr(shape, name)
    return op(*args, **options)


@method
def __array_ufunc__(x: Tensor, function: Any, how: str, *args: Any, **options: Any) -> Any:
    """For NumPy: a function of each entry was given tensors; `array + tensor` is one too."""
    name = RENAMED.get(function.__name__, function.__name__)
    if how == "__call__" and name in OPS and not options:
        return OPS[name](*args)
    y = _with_arrays(function if how == "__call__" else getattr(function, how), args, options, function.__name__)
    return wrap(y) if isinstance(y, (np.ndarray, np.generic)) and "out" not in options else y


def _with_arrays(function: Any, args: Any, options: Any, name: str = "") -> Any:
    """NumPy's own function, of arrays in the place of tensors; TypeError if one of them wants a gradient."""
    name = name or function.__name__

    def array(key: Any, x: Any) -> Array | Any:
        if type(x) in (list, tuple):
            return type(x)(array(key, i) for i in x)
        return bare(x, f"np.{name}", name in LOOKS and (name, key) not in FILLS)

    return function(*(array(i, x) for i, x in enumerate(args)), **{key: array(key, x) for key, x in options.items()})
