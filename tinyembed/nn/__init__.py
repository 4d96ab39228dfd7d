"""Floor 3: Module and the layers, one idea a file."""

from ..core import Parameter
from .attention import KeysAndValues, MultiHeadAttention
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .embedding_bag import EmbeddingBag
from .linear import Linear
from .module import Module, ModuleList, Sequential
from .norm import LayerNorm, RMSNorm
from .pooling import Pooling
from .positional import BERTEmbedding, GPTEmbedding, LearnedPositionalEmbedding, SinusoidalPositionalEncoding
from .recurrent import GRU, LSTM
from .relative import ALiBi, RelativePositionBias, RotaryEmbedding
from .transformer import ACTIVATIONS, MLP, TransformerBlock

__all__ = ["ACTIVATIONS", "GRU", "LSTM", "MLP", "ALiBi", "BERTEmbedding", "Dense", "Dropout", "Embedding",
           "EmbeddingBag", "GPTEmbedding", "KeysAndValues", "LayerNorm", "LearnedPositionalEmbedding", "Linear",
           "Module", "ModuleList", "MultiHeadAttention", "Parameter", "Pooling", "RMSNorm", "RelativePositionBias",
           "RotaryEmbedding", "Sequential", "SinusoidalPositionalEncoding", "TransformerBlock"]
