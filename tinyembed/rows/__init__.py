"""Floor 2: lazily updated rows: catching up, memory-mapped tables, reports.

`lazy` and `catch_up` are what optimisers need; mapped tables, the row report and what comes from files load on first
use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .catch_up import AdamCatchUp, LinearCatchUp
from .lazy import LazyRows

if TYPE_CHECKING:
    from .mapped import InFiles, MappedParameter, open_mapped
    from .report import RowReport, RowTracker
    from .saved import saved_rows

__all__ = ["AdamCatchUp", "InFiles", "LazyRows", "LinearCatchUp", "MappedParameter", "RowReport", "RowTracker",
           "open_mapped", "saved_rows"]

_LATER = {"InFiles": "mapped", "MappedParameter": "mapped", "open_mapped": "mapped", "RowReport": "report",
          "RowTracker": "report", "saved_rows": "saved"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    raise AttributeError(f"module 'tinyembed.rows' has no attribute {name!r}")
