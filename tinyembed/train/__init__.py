"""The training loop, and what it takes to stop and go on."""

from .checkpoint import load_checkpoint, save_checkpoint
from .loop import History, evaluate, fit

__all__ = ["History", "evaluate", "fit", "load_checkpoint", "save_checkpoint"]
