"""EfficientNet: inverted residual blocks with depthwise convolution and squeeze-and-excitation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Tensor, fresh_rng
from ..nn import ACTIVATIONS, Conv2d, Dropout, Linear, Module
from ..ops import pad, sigmoid
from .vision import ConvNorm, GlobalPool, PictureModel

FIRST, LAST = 32, 1280  # channels of the first layer and of the last, before they are scaled


@dataclass
class EfficientNetConfig:
    """The settings of an EfficientNet, under the names of its config.json; the defaults are efficientnet-b0's.

    width_coefficient, depth_coefficient   times the channels, rounded to multiples of depth_divisor, and the blocks
    in_channels, out_channels, kernel_sizes, strides, num_block_repeats, expand_ratios   of each of the seven stages
    depthwise_padding   numbers of the blocks that halve the picture with as many zeros on all sides; the others have
                        one less above and on the left
    squeeze_expansion_ratio   how narrow the layer is that weighs the channels
    pooling_type        "mean" or "max", over the picture at the end
    dropout_rate, drop_connect_rate   before the head; of what blocks add, at the last one (less before), in training
    """

    num_channels: int = 3
    width_coefficient: float = 1.0
    depth_coefficient: float = 1.0
    depth_divisor: int = 8
    kernel_sizes: Sequence[int] = (3, 3, 5, 3, 5, 5, 3)
    in_channels: Sequence[int] = (32, 16, 24, 40, 80, 112, 192)
    out_channels: Sequence[int] = (16, 24, 40, 80, 112, 192, 320)
    depthwise_padding: Sequence[int] = ()
    strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1)
    num_block_repeats: Sequence[int] = (1, 2, 2, 3, 3, 4, 1)
    expand_ratios: Sequence[int] = (1, 6, 6, 6, 6, 6, 6)
    squeeze_expansion_ratio: float = 0.25
    hidden_act: str = "silu"
    pooling_type: str = "mean"
    batch_norm_eps: float = 1e-3
    batch_norm_momentum: float = 0.99
    dropout_rate: float = 0.2
    drop_connect_rate: float = 0.2
    num_labels: int = 0

    def width(self, channels: int) -> int:
        """So many channels scaled, to a multiple of depth_divisor that is not less than nine tenths of it.

        >>> EfficientNetConfig(width_coefficient=1.1).width(32), EfficientNetConfig(width_coefficient=2.0).width(1280)
        (32, 2560)
        """
        n, d = channels * self.width_coefficient, self.depth_divisor
        rounded = max(d, int(n + d / 2) // d * d)
        return rounded + d if rounded < 0.9 * n else rounded

    def stages(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        """(blocks, channels in, channels out, kernel size, stride, expansion) of each stage, scaled"""
        for repeats, n, m, kernel, stride, ratio in zip(self.num_block_repeats, self.in_channels, self.out_channels,
                                                        self.kernel_sizes, self.strides, self.expand_ratios):
            yield (math.ceil(self.depth_coefficient * repeats), self.width(n), self.width(m), kernel, stride, ratio)

    def squeezed(self, channels: int) -> int:
        """The width of the layer that weighs the channels, in a block of so many."""
        return max(1, int(channels * self.squeeze_expansion_ratio))


class MBConv(Module):
    """y = x + narrow(weigh(depthwise(widen(x)))); without x where width or size change.

    widen       1 x 1 to ratio times the channels, where ratio is above 1
    depthwise   each channel by itself, kernel_size x kernel_size
    weigh       each channel times a number in 0 … 1, which a small network finds from the means of all channels
    narrow      1 x 1 to out_channels, without an activation
    (Sandler et al. 2018, "MobileNetV2"; the weighing: Hu et al. 2018, "Squeeze-and-excitation networks")
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, ratio: int, even: bool,
                 skip: bool, drop: float, config: EfficientNetConfig, *, rng: np.random.Generator, dtype: Any) -> None:
        c, n, kind = config, in_channels * ratio, {"rng": rng, "dtype": dtype}
        norm: dict[str, Any] = {"eps": c.batch_norm_eps, "momentum": c.batch_norm_momentum, **kind}
        self.widen = None if ratio == 1 else ConvNorm(in_channels, n, 1, activation=c.hidden_act, **norm)
        before, after = kernel_size // 2 - 1, kernel_size // 2  # zeros above and left, below and right
        self.around = None if stride == 1 or even else ((0, 0), (0, 0), (before, after), (before, after))
        self.depthwise = ConvNorm(n, n, kernel_size, stride, n, c.hidden_act,
                                  padding=None if self.around is None else 0, **norm)
        self.squeeze, self.excite = (Conv2d(*sizes, 1, **kind) for sizes in (
            (n, c.squeezed(in_channels)), (c.squeezed(in_channels), n)))
        self.narrow = ConvNorm(n, out_channels, 1, activation=None, **norm)
        self.drop = Dropout(drop, rng=rng)
        self.activation, self.skip = c.hidden_act, skip

    def forward(self, x: Any) -> Tensor:
        h = x if self.widen is None else self.widen(x)
        h = self.depthwise(h if self.around is None else pad(h, self.around))
        weights = self.squeeze(h.mean((2, 3), keepdims=True))
        h = h * sigmoid(self.excite(ACTIVATIONS[self.activation](weights)))
        h = self.narrow(h)
        return x + self.drop(h) if self.skip else h


class EfficientNet(PictureModel):
    """A convolution, stages of `MBConv` blocks, a last layer of 1 x 1, and the mean (or max) over the picture.

        x (B, C, H, W) of any size -> (B, d): 1280 numbers of an efficientnet-b0

    The modules that vectors are usually taken from: "average" (what the model itself gives), "top" (maps of d channels,
    (B, d, H/32, W/32)), and the blocks; see `features`. `models.load` reads published weights.
    (Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks")

    >>> config = EfficientNetConfig(width_coefficient=0.1, depth_coefficient=0.1, num_labels=5)
    >>> model = EfficientNet(config).eval()
    >>> x = np.zeros((2, 3, 32, 32), np.float32)
    >>> model(x).shape, model.logits(x).shape, len(model.hidden_states(x))
    ((2, 128), (2, 5), 8)
    """

    def __init__(self, config: EfficientNetConfig, *, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        lists = (c.kernel_sizes, c.in_channels, c.out_channels, c.strides, c.num_block_repeats, c.expand_ratios)
        if len({*map(len, lists)}) > 1 or not c.strides or any(n < 3 or n % 2 == 0 for n in c.kernel_sizes):
            raise ValueError("an EfficientNet has six lists with a number for each stage, and kernel_sizes that are "
                             f"odd and 3 or more: {c}")
        norm: dict[str, Any] = {"eps": c.batch_norm_eps, "momentum": c.batch_norm_momentum, "rng": rng, "dtype": dtype}
        self.config, self.num_channels, self.dim = c, c.num_channels, c.width(LAST)
        self.stem = ConvNorm(c.num_channels, c.width(FIRST), 3, 2, activation=c.hidden_act, padding=0, **norm)
        self.blocks: list[MBConv] = []
        total, out = sum(stage[0] for stage in c.stages()), c.width(FIRST)
        for repeats, n, out, kernel, stride, ratio in c.stages():
            for j in range(repeats):
                i = len(self.blocks)
                self.blocks.append(MBConv(out if j else n, out, kernel, 1 if j else stride, ratio,
                                          i in c.depthwise_padding, j > 0, c.drop_connect_rate * i / total, c, rng=rng,
                                          dtype=dtype))
        self.top = ConvNorm(out, self.dim, 1, activation=c.hidden_act, **norm)
        self.average = GlobalPool(c.pooling_type)
        self.drop = Dropout(c.dropout_rate, rng=rng)
        self.head = Linear(self.dim, c.num_labels, rng=rng, dtype=dtype) if c.num_labels else None

    def forward(self, x: Any) -> Tensor:
        return self.average(self.top(self.hidden_states(x)[-1]))

    def logits(self, x: Any) -> Tensor:
        if self.head is None:
            return super().logits(x)
        return self.head(self.drop(self(x)))

    def hidden_states(self, x: Any) -> list[Tensor]:
        """Maps (B, channels, H', W'): what goes into the first block, then what each block made of it."""
        states = [self.stem(pad(self._checked(x), ((0, 0), (0, 0), (0, 1), (0, 1))))]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states
