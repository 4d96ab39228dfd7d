"""Floor 2: optimisers, schedules, and clipping before a step."""

from .adam import Adam, AdamW
from .adaptive import Adagrad, RMSprop
from .clip import clip_grad_norm, clip_grad_value
from .groups import decay_groups
from .optimizer import Optimizer
from .report import RowReport, RowTracker
from .schedules import constant, cosine, inverse_sqrt, step_decay
from .sgd import SGD
from .state import STATE, State

__all__ = ["SGD", "STATE", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "RowReport", "RowTracker", "State",
           "clip_grad_norm", "clip_grad_value", "constant", "cosine", "decay_groups",
           "inverse_sqrt", "step_decay"]
