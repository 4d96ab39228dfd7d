"""Floor 1: every op beside its gradient, one idea a file. The primitives stand in `te.OPS` too."""

from typing import TYPE_CHECKING

from ..core import as_ids, no_such_name
from .attention import attention, check_mask
from .bag import check_mode, embedding_bag, ragged
from .batch_norm import batch_norm
from .contrast import (
    contrastive_loss,
    cosent_loss,
    cosine_embedding_loss,
    cosine_loss,
    in_batch_softmax,
    margin_ranking_loss,
    matryoshka,
    pair_features,
    triplet_margin_loss,
)
from .convolution import conv1d, conv2d
from .distance import cdist
from .elementwise import (
    abs,
    add,
    astype,
    clip,
    cos,
    divide,
    exp,
    expm1,
    log,
    log1p,
    log_sigmoid,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    silu,
    sin,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from .floats import floats
from .gelu import gelu
from .halves import complex_multiply
from .linalg import einsum, linear, matmul, vecdot
from .lookup import check_max_norm, embedding, getitem, project_rows
from .losses import bce_with_logits, cross_entropy, mse
from .normalise import (
    cosine_similarity,
    dropout,
    l2_normalise,
    layer_norm,
    log_softmax,
    rms_norm,
    softmax,
)
from .numpy_calls import FUNCTIONS as FUNCTIONS  # from here on NumPy's functions take tensors
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .recurrent import gru, lstm
from .reduce import all, any, argmax, argmin, argsort, cumsum, logsumexp, max, mean, min, norm, prod, std, sum, var
from .rotation import check_pairs, frequencies, rotate
from .sampling import negative_sampling, sampled_softmax
from .shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    flatten,
    flip,
    pad,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    take_along_axis,
    transpose,
)
from .tsne import neighbourhood_kl
from .windows import pair

if not TYPE_CHECKING:  # which is to go on finding names that are wrong
    def __getattr__(name):
        return no_such_name(__name__, name)

__all__ = [
    "abs", "adaptive_avg_pool2d", "add", "all", "any", "argmax", "argmin", "argsort", "as_ids", "astype", "attention",
    "avg_pool2d", "batch_norm", "bce_with_logits", "broadcast_to", "cdist", "check_mask", "check_max_norm",
    "check_mode", "check_pairs", "clip", "complex_multiply", "concatenate", "contrastive_loss", "conv1d", "conv2d",
    "cos", "cosent_loss", "cosine_embedding_loss", "cosine_loss", "cosine_similarity", "cross_entropy", "cumsum",
    "divide", "dropout", "einsum", "embedding", "embedding_bag", "exp", "expand_dims", "expm1", "flatten", "flip",
    "floats", "frequencies", "gelu", "getitem", "gru", "in_batch_softmax", "l2_normalise", "layer_norm", "linear",
    "log", "log1p", "log_sigmoid", "log_softmax", "logsumexp", "lstm", "margin_ranking_loss", "matmul", "matryoshka",
    "max", "max_pool2d", "maximum", "mean", "min", "minimum", "mse", "multiply", "negative", "negative_sampling",
    "neighbourhood_kl", "norm", "pad", "pair", "pair_features", "power", "prod", "project_rows", "ragged", "relu",
    "reshape", "rms_norm", "rotate", "sampled_softmax", "sigmoid", "sign", "silu", "sin", "softmax", "softplus",
    "split", "sqrt", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "take_along_axis", "tanh", "transpose",
    "triplet_margin_loss", "var", "vecdot", "where",
]
