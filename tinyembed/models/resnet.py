"""ResNet: convolutional networks with residual connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..nn import ACTIVATIONS, Linear, MaxPool2d, Module, Sequential
from .vision import ConvNorm, GlobalPool, PictureModel

REDUCTION = 4  # the inner convolutions of a bottleneck have so many times fewer channels


@dataclass
class ResNetConfig:
    """The settings of a ResNet, under the names of its config.json; the defaults are resnet-50's.

    embedding_size   channels of the first layer; hidden_sizes of each stage, which has `depths` blocks
    layer_type       "basic" (resnet-18, resnet-34) or "bottleneck"
    hidden_act       of the first layer, and at the end of each block; within a block it is relu
    downsample_in_first_stage, downsample_in_bottleneck   where a stage halves the picture: the first stage does so too;
                     by the first convolution of a bottleneck, not by the second
    num_labels       classes; 0 for a model without a head
    """

    num_channels: int = 3
    embedding_size: int = 64
    hidden_sizes: Sequence[int] = (256, 512, 1024, 2048)
    depths: Sequence[int] = (3, 4, 6, 3)
    layer_type: str = "bottleneck"
    hidden_act: str = "relu"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False
    num_labels: int = 0


class Residual(Module):
    """y = a(x + convolutions(x)), or where width or size change a(shortcut(x) + convolutions(x))

    basic        3 x 3, 3 x 3
    bottleneck   1 x 1 to a quarter of the channels, 3 x 3 there, 1 x 1 to all
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, config: ResNetConfig, *,
                 rng: np.random.Generator, dtype: Any) -> None:
        if config.layer_type == "basic":
            shapes = [(in_channels, out_channels, 3, stride), (out_channels, out_channels, 3, 1)]
        else:
            n, first = out_channels // REDUCTION, config.downsample_in_bottleneck
            shapes = [(in_channels, n, 1, stride if first else 1), (n, n, 3, 1 if first else stride),
                      (n, out_channels, 1, 1)]
        self.convs = Sequential(*(ConvNorm(*shape, activation=None if shape is shapes[-1] else "relu", rng=rng,
                                           dtype=dtype) for shape in shapes))
        same = in_channels == out_channels and stride == 1
        self.shortcut = None if same else ConvNorm(in_channels, out_channels, 1, stride, activation=None, rng=rng,
                                                   dtype=dtype)
        self.activation = config.hidden_act

    def forward(self, x: Any) -> Tensor:
        return ACTIVATIONS[self.activation](self.convs(x) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(PictureModel):
    """A convolution of 7 x 7, a pool, stages of residual blocks, and the average over the picture.

        x (B, C, H, W) of any size -> (B, d), d = hidden_sizes[-1]: 2048 numbers of a resnet-50

    The modules that vectors are usually taken from: "average" (what the model itself gives), "stages.3" (maps of
    d channels, (B, d, H/32, W/32)); see `features`. `models.load` reads published weights.
    (He et al. 2016, "Deep residual learning for image recognition")

    >>> model = ResNet(ResNetConfig(3, 4, (8, 16), (1, 2), num_labels=5)).eval()
    >>> x = np.zeros((2, 3, 32, 32), np.float32)
    >>> model(x).shape, model.logits(x).shape, [h.shape for h in model.hidden_states(x)]
    ((2, 16), (2, 5), [(2, 4, 8, 8), (2, 8, 8, 8), (2, 16, 4, 4)])
    """

    def __init__(self, config: ResNetConfig, *, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        if c.layer_type not in ("basic", "bottleneck") or len(c.hidden_sizes) != len(c.depths) or not c.depths:
            raise ValueError(f"a ResNet is basic or bottleneck, with a width and a depth for each stage: {c}")
        self.config, self.num_channels, self.dim = c, c.num_channels, c.hidden_sizes[-1]
        self.stem = ConvNorm(c.num_channels, c.embedding_size, 7, 2, activation=c.hidden_act, rng=rng, dtype=dtype)
        self.pool = MaxPool2d(3, 2, 1)
        self.stages, width = [], c.embedding_size
        for i, (n, depth) in enumerate(zip(c.hidden_sizes, c.depths)):
            stride = 2 if i > 0 or c.downsample_in_first_stage else 1
            self.stages.append(Sequential(*(Residual(n if j else width, n, 1 if j else stride, c, rng=rng, dtype=dtype)
                                            for j in range(depth))))
            width = n
        self.average = GlobalPool()
        self.head = Linear(self.dim, c.num_labels, rng=rng, dtype=dtype) if c.num_labels else None

    def forward(self, x: Any) -> Tensor:
        return self.average(self.hidden_states(x)[-1])

    def hidden_states(self, x: Any) -> list[Tensor]:
        """Maps (B, channels, H', W'): what goes into the first stage, then what each stage made of it."""
        states = [self.pool(self.stem(self._checked(x)))]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states
