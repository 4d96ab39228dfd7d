"""VGG weights in safetensors under torchvision's names; the sizes are read off the tensors."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...files import FormatError, SafeTensors
from ..vgg import DEPTHS, GRID, VGG, VGGConfig
from .vision import rows_of, with_weights
from .weights import computed_in, refuse_larger


def load_vgg(path: str | os.PathLike[str], *, architecture: str = "vgg16", dtype: Any = np.float32) -> VGG:
    """A VGG with published weights: a safetensors file with torchvision's names (features.0.weight …). In eval mode,
    with a `head` where the file has a classifier.6.

    architecture   "vgg11", "vgg13", "vgg16" or "vgg19", without the norms of "vgg16_bn"

    The first dense layer, 4096 numbers, is `features("classifier.0")`, after its ReLU "classifier.1". Raises
    FormatError as `te.models.load` says.
    """
    dtype = computed_in(dtype)
    file, depths = SafeTensors(path), DEPTHS[architecture]
    firsts = [sum(2 * depth + 1 for depth in depths[:i]) for i in range(len(depths))]  # the first layer of each stage
    needed = {name: rows_of(file, name) for name in (*(f"features.{i}.weight" for i in firsts), "classifier.0.weight")}
    *widths, hidden = needed.values()
    if 0 in needed.values() or len(file.shape("features.0.weight")) != 4:
        missing = ", ".join(name for name, n in needed.items() if not n) or "features.0.weight of a convolution"
        raise FormatError(file.path, "the tensors", f"they are not those of torchvision's {architecture}, which has "
                          f"{missing}")
    channels, labels = file.shape("features.0.weight")[1], rows_of(file, "classifier.6.weight")
    refuse_larger(file, hidden * (widths[-1] * GRID * GRID + hidden) + sum(
        9 * n * (before + (depth - 1) * n) for n, before, depth in zip(widths, (channels, *widths), depths)))
    model = VGG(VGGConfig(channels, depths, widths, hidden, num_labels=labels), dtype=dtype)
    return with_weights(model, file, {name: name for name in file}, lambda ours: [
        ours.replace("convolutions.", "features.").replace("head.", "classifier.6.")])
