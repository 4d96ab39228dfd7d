"""Training: the loop; and, loaded on first use, checkpoints and several processes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .history import History
from .loop import evaluate, fit, train_step
from .resume import check_states

if TYPE_CHECKING:
    from .checkpoint import load_checkpoint, save_checkpoint
    from .group import Group
    from .processes import launch

__all__ = ["Group", "History", "check_states", "evaluate", "fit", "launch", "load_checkpoint", "save_checkpoint",
           "train_step"]

_LATER = {"Group": "group", "launch": "processes", "load_checkpoint": "checkpoint", "save_checkpoint": "checkpoint"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    raise AttributeError(f"module 'tinyembed.train' has no attribute {name!r}")
