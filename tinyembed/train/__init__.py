"""The training loop, what it takes to stop and go on, and to train in several processes."""

from .checkpoint import load_checkpoint, save_checkpoint
from .group import Group
from .loop import History, evaluate, fit
from .parallel import launch

__all__ = ["Group", "History", "evaluate", "fit", "launch", "load_checkpoint", "save_checkpoint"]
