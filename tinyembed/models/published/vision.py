"""Models of pictures from safetensors, under the names of Hugging Face's models: ViT."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from ...core import Array
from ...files import FormatError, SafeTensors, short
from ..vision import ViT, ViTConfig, both
from .pictures import read_preprocessing
from .weights import (
    ACTIVATIONS,
    each_of,
    filled,
    is_size,
    joined,
    known_settings,
    read_config,
    refuse_larger,
    renamed,
    without_prefix,
    wrong_sizes,
)

VIT_NAMES = {  # ours, outside and in a block -> theirs; {…}: several tensors, one below the other
    "patches": "embeddings.patch_embeddings.projection", "norm": "layernorm", "pooler": "pooler.dense",
    "head": "classifier", "norm1": "layernorm_before", "attention.in_proj": "attention.attention.{query,key,value}",
    "attention.out_proj": "attention.output.dense", "norm2": "layernorm_after", "mlp.linear1": "intermediate.dense",
    "mlp.linear2": "output.dense"}


def load_vit(folder: str | os.PathLike[str], *, dtype: Any = np.float32) -> ViT:
    """A ViT with published weights: a folder of ViTModel or ViTForImageClassification, such as
    google/vit-base-patch16-224. In eval mode.

    It has a `head` and a `pooler` where the file has. Called, it gives the class token's vector after the last norm
    (768 numbers), `hidden_states` those of all patches; pictures are of the size that it has positions for. Raises
    FormatError as `te.models.load` says.
    """
    file, path, given = opened(folder)
    names = without_prefix(file, r"vit\.")
    config = _vit_config(path, given, rows_of(file, names.get("pooler.dense.weight")),
                         classes(file, names.get("classifier.weight"), path, given))
    D, (p, q), (h, w) = config.hidden_size, both(config.patch_size), config.grid
    refuse_larger(file, (h * w + config.num_channels * p * q) * D
                  + config.num_hidden_layers * (4 * D + 2 * config.intermediate_size) * D)
    model = ViT(config, dtype=dtype)

    def theirs(ours: str) -> list[str]:
        special = {"class_token": "embeddings.cls_token", "position.table.weight": "embeddings.position_embeddings"}
        return [special[ours]] if ours in special else each_of(renamed(ours, VIT_NAMES, "encoder.layer"))

    shapes = {"patches.weight": (D, config.num_channels, p, q), "class_token": (1, 1, D),
              "position.table.weight": (1, h * w + 1, D)}  # in the file
    return read_pictures(model, file, names, theirs, shapes, r"embeddings\.mask_token$|decoder\.", path, given)


def _vit_config(path: str, given: dict[str, Any], pooled: int, labels: int) -> ViTConfig:
    """The settings of a ViT's config.json, pooler and head as the file has them."""
    ours = {f.name: f.default for f in fields(ViTConfig) if f.name not in (
        "num_labels", "class_token", "patch_bias", "pre_norm")}
    settings = known_settings(path, given, {**ours, "pooler_act": "tanh"},
                              ("attention_probs_dropout_prob", "encoder_stride"))
    sizes = {name: settings[name] for name in (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels")}
    wrong = wrong_sizes(sizes, "hidden_size", "num_attention_heads") + wrong_shares(settings, "hidden_dropout_prob",
                                                                                    "layer_norm_eps")
    wrong += [f"{name} {short(settings[name])}" for name in ("image_size", "patch_size") if not is_pair(settings[name])]
    wrong += [f"qkv_bias {short(settings['qkv_bias'])}"] * (type(settings["qkv_bias"]) is not bool)
    wrong += [f"pooler_act {short(settings['pooler_act'])}"] * (pooled > 0 and settings["pooler_act"] != "tanh")
    if str(settings["hidden_act"]) not in ACTIVATIONS or wrong:
        raise FormatError(path, "the settings", f"a ViT with a hidden_act of {', '.join(ACTIVATIONS)} and a pooler_act "
                          f"of tanh can be read" + "; ".join(["", *wrong]))
    settings |= {"hidden_act": ACTIVATIONS[settings["hidden_act"]], "pooler_output_size": pooled, "num_labels": labels}
    config = ViTConfig(**{name: settings[name] for name in (*ours, "num_labels")})
    try:
        _ = config.grid
    except ValueError as error:
        raise FormatError(path, "image_size", str(error)) from None
    return config


# -- what all families take --------------------------------------------------------------------------------------------


def opened(folder: str | os.PathLike[str]) -> tuple[SafeTensors, str, dict[str, Any]]:
    """The weights of a folder, where its config.json is, and the settings in that."""
    path = os.path.join(folder, "config.json")
    return SafeTensors(folder), path, read_config(path, FormatError(
        path, "the file", "there is none: it stands beside the weights, in the folder that is loaded"))


def rows_of(file: SafeTensors, name: str | None) -> int:
    """How many numbers the linear layer of this weight gives; 0 where there is none."""
    shape = () if name is None else file.shape(name)
    return shape[0] if shape else 0


def classes(file: SafeTensors, name: str | None, path: str, given: dict[str, Any]) -> int:
    """How many classes the layer of this weight tells apart, 0 where there is none; as config.json says, if it does."""
    n, words = rows_of(file, name), given.get("id2label")
    if n == 0 and words != {} and any("ForImageClassification" in str(x) for x in given.get("architectures") or ()):
        raise FormatError(file.path, "the weights", f"there is no classifier, which {path} speaks of")
    if n and words is not None and (not isinstance(words, dict) or set(words) != {str(i) for i in range(n)}):
        raise FormatError(path, "id2label", f"{short(words)} names no {n} classes, which the classifier in {file.path} "
                          "tells apart")
    return n


def is_pair(size: Any) -> bool:
    """Whether it is a size in pixels, or one for height and width each."""
    return is_size(size) or (isinstance(size, list) and len(size) == 2 and all(map(is_size, size)))


def wrong_shares(settings: dict[str, Any], *names: str) -> list[str]:
    """Those that are no numbers in 0 … 1 (exclusive)."""
    return [f"{name} {short(x)}" for name in names
            if type(x := settings[name]) not in (int, float) or not 0 <= x < 1]


def read_pictures(model: Any, file: SafeTensors, names: dict[str, str], theirs: Callable[[str], list[str]],
                  shapes: dict[str, tuple[int, ...]], left_over: str, path: str, given: dict[str, Any]) -> Any:
    """The model with what its folder says of it: the weights, names of the classes, what is to be done to a picture.

    names      name without prefix -> name in the file
    theirs     our name -> those of the tensors that it is made of, without prefix
    shapes     our name -> the shape in the file, where it is another
    left_over  a regular expression for the tensors that nobody asks for
    """
    used, made = set(), {name: p.shape for name, p in model.named_parameters()}

    def found(ours: str) -> Array | None:
        parts = theirs(ours)
        used.update(parts)
        x = joined(file, [names.get(name) for name in parts], ours)
        return x.reshape(made[ours]) if x is not None and x.shape == shapes.get(ours) else x

    filled(model, file, found)
    if unknown := [name for name in names if name not in used and not re.match(left_over, name)]:
        raise FormatError(file.path, f"tensor {short(unknown[0])}", f"there is no place for it ({len(unknown)} in all) "
                          f"in the model that {path} speaks of")
    words = given.get("id2label")
    model.labels = [str(words[str(i)]) for i in range(len(words))] if words and model.head is not None else None
    model.preprocessing = read_preprocessing(os.path.dirname(path), given.get("model_type"))
    return model
