"""Floor 2: Module and the layers, one idea a file."""

from ..core import Parameter
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module, ModuleList, Sequential
from .norm import LayerNorm, RMSNorm
from .positional import GPTEmbedding, LearnedPositionalEmbedding

__all__ = ["Dropout", "Embedding", "GPTEmbedding", "LayerNorm", "LearnedPositionalEmbedding", "Linear", "Module",
           "ModuleList", "Parameter", "RMSNorm", "Sequential"]
