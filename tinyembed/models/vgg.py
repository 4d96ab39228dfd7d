"""VGG: stacks of 3 x 3 convolutions, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from .vision import PictureModel

DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
GRID = 7  # parts of the picture, each way, that the dense layers look at


@dataclass
class VGGConfig:
    """The sizes of a VGG; the defaults are VGG16's. `depths` convolutions of `widths` channels stand in each stage."""

    num_channels: int = 3
    depths: Sequence[int] = DEPTHS["vgg16"]
    widths: Sequence[int] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dropout: float = 0.5
    num_labels: int = 0


class VGG(PictureModel):
    """Stages of convolutions with ReLU, each ended by a pool that halves the picture; two dense layers; the head.

        x (B, C, H, W), H and W from 32 on (trained at 224) -> (B, hidden): what the head gets, after a ReLU

    The module that vectors are usually taken from is the first dense layer, 4096 numbers of a VGG16: "classifier.0"
    before its ReLU, "classifier.1" after it; see `features`. Layers are numbered as in torchvision, whose weights
    `te.models.load("vgg16.safetensors", architecture="vgg16")` reads: they take pictures in 0 … 1, less the mean
    (0.485, 0.456, 0.406) and divided by (0.229, 0.224, 0.225).
    (Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition")

    >>> model = VGG(VGGConfig(depths=(1, 1), widths=(4, 8), hidden=16, num_labels=5)).eval()
    >>> x = np.zeros((2, 3, 32, 32), np.float32)
    >>> model(x).shape, model.logits(x).shape
    ((2, 16), (2, 5))
    """

    def __init__(self, config: VGGConfig, *, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        if len(c.depths) != len(c.widths) or not c.depths:
            raise ValueError(f"a VGG has a depth and a width for each stage: {c}")
        self.config, self.num_channels, self.dim = c, c.num_channels, c.hidden
        layers: list[Module] = []
        width = c.num_channels
        for depth, n in zip(c.depths, c.widths):
            for _ in range(depth):
                layers += [Conv2d(width, n, 3, padding=1, rng=rng, dtype=dtype), ReLU()]
                width = n
            layers.append(MaxPool2d(2))
        self.convolutions = Sequential(*layers)
        self.average = Sequential(AdaptiveAvgPool2d(GRID), Flatten())
        self.classifier = Sequential(
            Linear(width * GRID * GRID, c.hidden, rng=rng, dtype=dtype), ReLU(), Dropout(c.dropout, rng=rng),
            Linear(c.hidden, c.hidden, rng=rng, dtype=dtype), ReLU(), Dropout(c.dropout, rng=rng))
        self.head = Linear(c.hidden, c.num_labels, rng=rng, dtype=dtype) if c.num_labels else None

    def forward(self, x: Any) -> Tensor:
        return self.classifier(self.average(self.convolutions(self._checked(x))))
