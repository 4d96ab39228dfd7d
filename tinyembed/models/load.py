"""load(folder): published models of any supported architecture, recognised by their configuration."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..files import FormatError, check_whole, short
from .published import load_bert, load_clip, load_efficientnet, load_gpt, load_resnet, load_vgg, load_vit, read_config
from .published.weights import computed_in
from .sentence import SentenceEncoder
from .vgg import DEPTHS

LOADERS: dict[str, Callable[..., Any]] = {  # model_type in config.json -> what reads such a folder
    "bert": load_bert, "gpt2": load_gpt, "vit": load_vit, "resnet": load_resnet, "efficientnet": load_efficientnet,
    "clip": load_clip,
    **{name: functools.partial(load_vgg, architecture=name) for name in DEPTHS}}  # these have no config.json


def load(path: str | os.PathLike[str], dtype: Any = np.float32, architecture: str | None = None) -> Any:
    """A published model, in eval mode: of the kind that its folder says.

    path           a folder with config.json and safetensors, as Hugging Face's Transformers write it, or with
                   modules.json, as sentence-transformers do; or a safetensors file. Nothing is fetched
    dtype          of the parameters, whatever is stored: np.float32 or np.float64
    architecture   what it is, where the folder does not say: the model_type, or "vgg16" for a file of torchvision's

        model_type               what comes back        called, it gives
        bert                     BERT                   a vector for each token (B, T, D)
        gpt2                     GPT                    logits (B, T, V)
        vit                      ViT                    a vector for each picture (B, d); `logits` scores of classes
        resnet, efficientnet     ResNet, EfficientNet   the same
        vgg11, 13, 16, 19        VGG                    the same
        clip                     CLIP                   with pictures and texts: scores (n, m); use `encode`: -> (n, d)
        none, but modules.json   SentenceEncoder        use `encode`: texts -> (n, d)

    A model of pictures has `labels`, the names of its classes, and `preprocessing`, which turns pictures (H, W, 3) of
    bytes into what it takes; each None where the folder does not say: model.encode(model.preprocessing(pictures)).

    Raises FormatError for other kinds, by name, for settings that would change what is computed and that we do not
    have, for weights that are missing, misshapen or without a place; FileNotFoundError for what is not there.

    >>> import tempfile
    >>> from tinyembed.models import BERT, BERTConfig, save_bert
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_bert(folder, BERT(BERTConfig(20, 4, 1, 2, 8, 8)))
    ...     type(load(folder)).__name__, load(folder)([[1, 2]]).shape
    ('BERT', (1, 2, 4))
    """
    dtype = computed_in(dtype)
    check_whole(path)
    if architecture is None and os.path.isfile(os.path.join(path, "modules.json")):
        return SentenceEncoder.from_pretrained(path, dtype).eval()
    config = os.path.join(path, "config.json")
    kind: Any = architecture
    if kind is None:
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path}: there is no such folder. Only local folders are read and nothing is "
                                    "fetched: give the folder in which a model's files are")
        kind = read_config(config, FormatError(
            path, "the folder" if os.path.isdir(path) else "the file", "no config.json says what model it is; name "
            f"it with architecture=, one of {', '.join(LOADERS)}")).get("model_type")
    if not isinstance(kind, str) or kind not in LOADERS:
        raise FormatError(config, "model_type", f"{short(kind)} cannot be read; {', '.join(LOADERS)} can, and the "
                          "token table of most others: te.load_table(folder)")
    return LOADERS[kind](path, dtype=dtype)
