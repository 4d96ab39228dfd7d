"""EfficientNet weights in safetensors: names of Hugging Face's EfficientNetModel and …ForImageClassification."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np

from ...files import FormatError, short
from ..efficientnet import FIRST, LAST, EfficientNet, EfficientNetConfig
from .vision import are_sizes, classes, described, opened, with_weights
from .weights import (
    ACTIVATIONS,
    computed_in,
    is_size,
    known_settings,
    refuse_larger,
    renamed,
    without_prefix,
    wrong_shares,
)

EFFICIENTNET_NAMES = {  # ours, outside and in a block -> theirs
    "stem.conv": "embeddings.convolution", "stem.norm": "embeddings.batchnorm", "top.conv": "encoder.top_conv",
    "top.norm": "encoder.top_bn", "head": "classifier", "widen.conv": "expansion.expand_conv",
    "widen.norm": "expansion.expand_bn", "depthwise.conv": "depthwise_conv.depthwise_conv",
    "depthwise.norm": "depthwise_conv.depthwise_norm", "squeeze": "squeeze_excite.reduce",
    "excite": "squeeze_excite.expand", "narrow.conv": "projection.project_conv",
    "narrow.norm": "projection.project_bn"}
STAGES = ("in_channels", "out_channels", "kernel_sizes", "strides", "num_block_repeats", "expand_ratios")


def load_efficientnet(folder: str | os.PathLike[str], *, dtype: Any = np.float32) -> EfficientNet:
    """An EfficientNet with published weights: a folder of EfficientNetModel or EfficientNetForImageClassification, such
    as google/efficientnet-b0. In eval mode, with a `head` where the file has one.

    Called, it gives the means over the last maps (1280 numbers of a b0), as `features("average")` does. Raises
    FormatError as `te.models.load` says.
    """
    dtype = computed_in(dtype)
    file, path, given = opened(folder)
    names = without_prefix(file, r"efficientnet\.")
    config = _config(path, given, classes(file, names.get("classifier.weight"), path, given))
    wanted = 0
    for repeats, n, m, kernel, _, ratio in config.stages():
        first, others = (width * ratio * (kernel ** 2 + m + 2 * config.squeezed(width)) for width in (n, m))
        wanted += first + (repeats - 1) * others
    refuse_larger(file, wanted, sum(repeats for repeats, *_ in config.stages()))
    model = EfficientNet(config, dtype=dtype)
    with_weights(model, file, names, lambda ours: [renamed(ours, EFFICIENTNET_NAMES, "encoder.blocks")])
    return described(model, path, given)


def _config(path: str, given: dict[str, Any], labels: int) -> EfficientNetConfig:
    """The settings of an EfficientNet's config.json, with a head as the file has it."""
    ours: dict[str, Any] = {f.name: f.default for f in fields(EfficientNetConfig) if f.name != "num_labels"}
    theirs = {"width_coefficient": 2.0, "depth_coefficient": 3.1, "hidden_act": "swish", "dropout_rate": 0.5,
              "hidden_dim": 2560}  # what they take where nothing is said: a b7
    s = known_settings(path, given, {**ours, **theirs}, ("image_size", "num_hidden_layers"))
    s = {name: list(x) if isinstance(x, tuple) else x for name, x in s.items()}
    wrong = [name for name in STAGES if not are_sizes(s[name])]
    wrong += [name for name in ("num_channels", "depth_divisor", "hidden_dim") if not is_size(s[name])]
    wrong += [name for name in ("width_coefficient", "depth_coefficient", "squeeze_expansion_ratio")
              if type(s[name]) not in (int, float) or not 0 < s[name] < 1e6]
    wrong += [name for name in ("dropout_rate", "drop_connect_rate", "batch_norm_eps", "batch_norm_momentum")
              if wrong_shares(s, name)]
    wrong += ["hidden_act"] * (str(s["hidden_act"]) not in ACTIVATIONS)
    wrong += ["pooling_type"] * (s["pooling_type"] not in ("mean", "max"))
    wrong += ["depthwise_padding"] * (s["depthwise_padding"] != [] and not (
        isinstance(s["depthwise_padding"], list) and all(type(i) is int for i in s["depthwise_padding"])))
    if not wrong:
        wrong += ["strides"] * any(n > 2 for n in s["strides"])
        wrong += ["kernel_sizes"] * any(n < 3 or n % 2 == 0 for n in s["kernel_sizes"])
        wrong += [name for name in STAGES if len(s[name]) != len(s["strides"])]
        wrong += ["in_channels"] * (s["in_channels"] != [FIRST, *s["out_channels"][:-1]])
    config = None if wrong else EfficientNetConfig(**{
        **{name: s[name] for name in ours}, "hidden_act": ACTIVATIONS[s["hidden_act"]], "num_labels": labels})
    if config is None or config.width(LAST) != s["hidden_dim"]:
        raise FormatError(path, "the settings", "an EfficientNet can be read with six lists of a number for each "
                          "stage, of which each takes what the one before gives, odd kernel_sizes from 3, strides 1 "
                          f"and 2, a pooling_type of mean or max, a hidden_act of {', '.join(ACTIVATIONS)}, and the "
                          f"hidden_dim that width_coefficient makes of {LAST}"
                          + "".join(f"; {name} {short(s[name])}" for name in wrong or ["hidden_dim"]))
    return config
