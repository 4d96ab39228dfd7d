"""ResNet weights in safetensors: names of Hugging Face's ResNetModel and ResNetForImageClassification."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from typing import Any

import numpy as np

from ...files import FormatError, short
from ..resnet import REDUCTION, ResNet, ResNetConfig
from .vision import are_sizes, classes, described, opened, with_weights
from .weights import ACTIVATIONS, computed_in, is_size, known_settings, refuse_larger, without_prefix

RESNET_NAMES = [  # what ours begin with, or have in them -> theirs
    (r"^stem\.", "embedder.embedder."), (r"^stages\.(\d+)\.(\d+)\.", r"encoder.stages.\1.layers.\2."),
    (r"^head\.", "classifier.1."), (r"\.convs\.", ".layer."), (r"\.conv\.", ".convolution."),
    (r"\.norm\.", ".normalization.")]


def load_resnet(folder: str | os.PathLike[str], *, dtype: Any = np.float32) -> ResNet:
    """A ResNet with published weights: a folder of ResNetModel or ResNetForImageClassification, such as
    microsoft/resnet-50. In eval mode, with a `head` where the file has one.

    Called, it gives the averages over the last maps (2048 numbers of a resnet-50), as `features("average")` does.
    Raises FormatError as `te.models.load` says.
    """
    dtype = computed_in(dtype)
    file, path, given = opened(folder)
    names = without_prefix(file, r"resnet\.")
    config = _config(path, given, classes(file, names.get("classifier.1.weight"), path, given))
    wanted = config.embedding_size * config.num_channels * 49
    for n, depth in zip(config.hidden_sizes, config.depths):
        inner = n // REDUCTION
        wanted += depth * (18 * n * n if config.layer_type == "basic" else 2 * n * inner + 9 * inner * inner)
    refuse_larger(file, wanted, sum(config.depths))
    model = ResNet(config, dtype=dtype)

    def theirs(ours: str) -> list[str]:
        for pattern, words in RESNET_NAMES:
            ours = re.sub(pattern, words, ours)
        return [ours]

    return described(with_weights(model, file, names, theirs), path, given)


def _config(path: str, given: dict[str, Any], labels: int) -> ResNetConfig:
    """The settings of a ResNet's config.json, with a head as the file has it."""
    settings = known_settings(path, given, {f.name: f.default for f in fields(ResNetConfig) if f.name != "num_labels"},
                              ("out_features", "out_indices", "stage_names"))
    sizes, depths = (list(x) if isinstance(x, tuple) else x for x in (settings["hidden_sizes"], settings["depths"]))
    wrong = [name for name in ("num_channels", "embedding_size") if not is_size(settings[name])]
    wrong += [name for name in ("downsample_in_first_stage", "downsample_in_bottleneck")
              if type(settings[name]) is not bool]
    wrong += [name for name, x in (("hidden_sizes", sizes), ("depths", depths)) if not are_sizes(x)]
    if not wrong and (len(sizes) != len(depths) or min(sizes) < REDUCTION):
        wrong = ["hidden_sizes", "depths"]
    wrong += ["layer_type"] * (settings["layer_type"] not in ("basic", "bottleneck"))
    wrong += ["hidden_act"] * (str(settings["hidden_act"]) not in ACTIVATIONS)
    if wrong:
        raise FormatError(path, "the settings", "a ResNet can be read of layer_type basic or bottleneck, with a "
                          f"hidden_act of {', '.join(ACTIVATIONS)}, and for each stage a depth, and a size of at least "
                          f"{REDUCTION}" + "".join(f"; {name} {short(settings[name])}" for name in wrong))
    return ResNetConfig(**{**settings, "hidden_act": ACTIVATIONS[settings["hidden_act"]], "num_labels": labels})
