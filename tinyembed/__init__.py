"""tinyembed: a from-scratch deep-learning mini-framework for embeddings, in NumPy.

`core` and `ops` load at once, the other rooms on first use (PEP 562), so that `import tinyembed` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import ops
from .core import OPS, Parameter, RowGrad, Tensor, debug_nan, no_grad, no_such_name, primitive, seed
from .core import __version__ as __version__

if TYPE_CHECKING:
    from . import data, files, models, nn, optim, text, train, vectors
    from .explain import explain_lookup, param_count
    from .gradcheck import GradientError, KinkError, check_gradients
    from .models.published import load_table

__all__ = ["OPS", "GradientError", "KinkError", "Parameter", "RowGrad", "Tensor", "check_gradients", "data",
           "debug_nan", "explain_lookup", "files", "load_table", "models", "nn", "no_grad", "ops", "optim",
           "param_count", "primitive", "seed", "text", "train", "vectors"]

_ROOMS = ("data", "files", "models", "nn", "optim", "text", "train", "vectors")
_LATER = {"GradientError": "gradcheck", "KinkError": "gradcheck", "check_gradients": "gradcheck",
          "explain_lookup": "explain", "load_table": "models.published", "param_count": "explain"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    return no_such_name(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
