"""Floor 3: Module, the layers, and the base of encoders, one idea a file."""

from typing import TYPE_CHECKING

from ..core import Parameter, no_such_name
from . import init
from .activation import GELU, ReLU
from .attention import KeysAndValues, MultiHeadAttention
from .batch_norm import BatchNorm1d, BatchNorm2d
from .convolution import AdaptiveAvgPool2d, AvgPool2d, Conv1d, Conv2d, Flatten, MaxPool2d
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .embedding_bag import EmbeddingBag
from .encoder import Encoder
from .features import Features
from .linear import Linear
from .module import Buffer, Module, ModuleList, Sequential
from .norm import LayerNorm, RMSNorm
from .pooling import Pooling
from .positional import BERTEmbedding, GPTEmbedding, LearnedPositionalEmbedding, SinusoidalPositionalEncoding
from .recurrent import GRU, LSTM
from .relative import ALiBi, RelativePositionBias, RotaryEmbedding
from .transformer import ACTIVATIONS, MLP, TransformerBlock

if not TYPE_CHECKING:  # which is to go on finding names that are wrong
    def __getattr__(name):
        return no_such_name(__name__, name)

__all__ = ["ACTIVATIONS", "GELU", "GRU", "LSTM", "MLP", "ALiBi", "AdaptiveAvgPool2d", "AvgPool2d", "BERTEmbedding",
           "BatchNorm1d", "BatchNorm2d", "Buffer", "Conv1d", "Conv2d", "Dense", "Dropout", "Embedding", "EmbeddingBag",
           "Encoder", "Features", "Flatten", "GPTEmbedding", "KeysAndValues", "LayerNorm", "LearnedPositionalEmbedding",
           "Linear", "MaxPool2d", "Module", "ModuleList", "MultiHeadAttention", "Parameter", "Pooling", "RMSNorm",
           "ReLU", "RelativePositionBias", "RotaryEmbedding", "Sequential", "SinusoidalPositionalEncoding",
           "TransformerBlock", "init"]
