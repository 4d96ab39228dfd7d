"""ViT weights in safetensors: names of Hugging Face's ViTModel and ViTForImageClassification."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np

from ...files import FormatError, short
from ..vision import ViT, ViTConfig, both
from .vision import classes, described, is_pair, opened, rows_of, with_weights
from .weights import (
    ACTIVATIONS,
    computed_in,
    each_of,
    known_settings,
    refuse_larger,
    renamed,
    without_prefix,
    wrong_shares,
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
    dtype = computed_in(dtype)
    file, path, given = opened(folder)
    names = without_prefix(file, r"vit\.")
    config = _vit_config(path, given, rows_of(file, names.get("pooler.dense.weight")),
                         classes(file, names.get("classifier.weight"), path, given))
    D, (p, q), (h, w) = config.hidden_size, both(config.patch_size), config.grid
    refuse_larger(file, (h * w + config.num_channels * p * q) * D
                  + config.num_hidden_layers * (4 * D + 2 * config.intermediate_size) * D, config.num_hidden_layers)
    model = ViT(config, dtype=dtype)

    def theirs(ours: str) -> list[str]:
        special = {"class_token": "embeddings.cls_token", "position.table.weight": "embeddings.position_embeddings"}
        return [special[ours]] if ours in special else each_of(renamed(ours, VIT_NAMES, "encoder.layer"))

    shapes = {"patches.weight": (D, config.num_channels, p, q), "class_token": (1, 1, D),
              "position.table.weight": (1, h * w + 1, D)}  # in the file
    with_weights(model, file, names, theirs, shapes, left_over=r"embeddings\.mask_token$|decoder\.")
    return described(model, path, given)


def _vit_config(path: str, given: dict[str, Any], pooled: int, labels: int) -> ViTConfig:
    """The settings of a ViT's config.json, pooler and head as the file has them."""
    ours = {f.name: f.default for f in fields(ViTConfig) if f.name not in (
        "num_labels", "class_token", "patch_bias", "pre_norm")}
    theirs = {**ours, "attention_probs_dropout_prob": 0.0, "pooler_act": "tanh"}
    settings = known_settings(path, given, theirs, ("encoder_stride",))
    sizes = {name: settings[name] for name in (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels")}
    wrong = wrong_sizes(sizes, "hidden_size", "num_attention_heads") + wrong_shares(
        settings, "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
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
