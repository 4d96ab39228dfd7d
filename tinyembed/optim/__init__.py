"""Floor 3: optimisers, learning rate schedules, gradient clipping."""

from typing import TYPE_CHECKING

from ..core import no_such_name
from .adam import Adam, AdamW
from .adaptive import Adagrad, RMSprop
from .clip import clip_grad_norm, clip_grad_value
from .groups import decay_groups, each
from .optimizer import Optimizer
from .saved import OPTIMIZER, optimizer_tree, restore_optimizer
from .schedules import constant, cosine, inverse_sqrt, step_decay
from .sgd import SGD

if not TYPE_CHECKING:  # which is to go on finding names that are wrong
    def __getattr__(name):
        return no_such_name(__name__, name)

__all__ = ["OPTIMIZER", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "clip_grad_value",
           "constant", "cosine", "decay_groups", "each", "inverse_sqrt", "optimizer_tree", "restore_optimizer",
           "step_decay"]
