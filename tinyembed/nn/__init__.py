"""Floor 2: Module and the layers, one idea a file."""

from ..core import Parameter
from .dropout import Dropout
from .embedding import Embedding
from .embedding_bag import EmbeddingBag
from .linear import Linear
from .module import Module, ModuleList, Sequential
from .norm import LayerNorm, RMSNorm
from .positional import BERTEmbedding, GPTEmbedding, LearnedPositionalEmbedding, SinusoidalPositionalEncoding
from .relative import ALiBi, RelativePositionBias, RotaryEmbedding

__all__ = ["ALiBi", "BERTEmbedding", "Dropout", "Embedding", "EmbeddingBag", "GPTEmbedding", "LayerNorm",
           "LearnedPositionalEmbedding", "Linear", "Module", "ModuleList", "Parameter", "RMSNorm",
           "RelativePositionBias", "RotaryEmbedding", "Sequential", "SinusoidalPositionalEncoding"]
