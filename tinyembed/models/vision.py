"""Image classifiers: a small CNN and the Vision Transformer; what all image models share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, fresh_rng
from ..nn import (
    ACTIVATIONS,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Encoder,
    LayerNorm,
    LearnedPositionalEmbedding,
    Linear,
    Module,
    TransformerBlock,
)
from ..ops import broadcast_to, concatenate, cross_entropy, max_pool2d


class PictureModel(Encoder):
    """Base of the models of pictures. Called, it gives their vectors; `logits` a score for each class.

        x (B, C, H, W) floats -> (B, d)

    `encode` takes one picture (C, H, W), an array or a list of several. A subclass says `num_channels` and `dim`, has a
    module `head` (None where it has no classes), and a `forward`. Of a model that `models.load` has read, `labels` are
    the names of the classes, and `preprocessing` turns pictures (H, W, 3) of bytes into what it was trained on.
    """

    num_channels: int
    head: Module | None
    labels: list[str] | None = None
    preprocessing: Callable[[Any], Array] | None = None

    def logits(self, x: Any) -> Tensor:
        """A score for each class: (B, num_labels)"""
        if self.head is None:
            raise ValueError(f"this {type(self).__name__} was made without classes: it gives vectors, model(x)")
        return self.head(self(x))

    def loss(self, x: Any, y: Any) -> Tensor:
        """The mean of -log p(class)          pictures x (B, C, H, W), classes y (B)"""
        return cross_entropy(self.logits(x), y)

    def is_item(self, items: Any) -> bool:
        return isinstance(items, (np.ndarray, Tensor)) and items.ndim == 3

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Array]:
        if prompt is not None:
            raise TypeError("a prompt is put before texts; pictures have none")
        pictures = [x.data if isinstance(x, Tensor) else np.asarray(x) for x in items]
        for i, x in enumerate(pictures):
            if x.shape != pictures[0].shape or x.ndim != 3:
                raise ValueError(f"picture {i} is {x.shape}: pictures are (C, H, W), and those that are encoded "
                                 "together are of one size")
        return pictures

    def collate(self, prepared: list[Array]) -> tuple[Array]:
        return (np.stack(prepared),)

    def _checked(self, x: Any) -> Tensor:
        """x (B, C, H, W) as a Tensor of floats, or an error."""
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.ndim != 4 or x.shape[1] != self.num_channels:
            raise ValueError(f"{type(self).__name__} takes pictures (B, {self.num_channels}, H, W), got {x.shape}" +
                             "; the channels stand before height and width: x.transpose(0, 3, 1, 2)" *
                             (x.ndim == 4 and x.shape[3] == self.num_channels))
        if x.dtype.kind != "f":
            raise TypeError(f"{type(self).__name__} takes pictures of floats, as it was trained on, not {x.dtype}")
        return x


class ConvNorm(Module):
    """y = a(norm(convolution(x))): the convolution has no bias, as the norm takes every mean away.

        x (B, in_channels, H, W) -> (B, out_channels, H', W'); with stride 1 and an odd kernel_size H' = H, W' = W

    activation   of `nn.MLP`'s, or None
    padding      kernel_size // 2 on all sides if None
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1,
                 activation: str | None = "relu", *, padding: int | None = None, eps: float = 1e-5,
                 momentum: float = 0.1, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        if activation is not None and activation not in ACTIVATIONS:
            raise ValueError(f"activation is None or one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        padding = kernel_size // 2 if padding is None else padding
        self.conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, 1, groups, False, rng=rng,
                           dtype=dtype)
        self.norm = BatchNorm2d(out_channels, eps, momentum, dtype=dtype)
        self.activation = activation

    def forward(self, x: Any) -> Tensor:
        y = self.norm(self.conv(x))
        return y if self.activation is None else ACTIVATIONS[self.activation](y)

    def extra_repr(self) -> str:
        return str(self.activation)


class GlobalPool(Module):
    """The mean of each channel over the picture, or its largest number ("max")          x (B, C, H, W) -> (B, C)"""

    def __init__(self, kind: str = "mean") -> None:
        if kind not in ("mean", "max"):
            raise ValueError(f'a picture is pooled by "mean" or "max", not {kind!r}')
        self.kind = kind

    def forward(self, x: Any) -> Tensor:
        return x.mean((2, 3)) if self.kind == "mean" else x.max((2, 3))

    def extra_repr(self) -> str:
        return self.kind


class CNN(PictureModel):
    """A small convolutional network: layers of convolution, norm and ReLU, each after the first on half the pixels;
    what the last one sees is averaged over the picture.

        x (B, C, H, W) of any size -> (B, d), d = channels[-1]

    channels     of each layer
    num_labels   classes; 0 for a model without a head

    A layer sees windows of what the one before it saw, so that later ones see more of the picture.
    (LeCun et al. 1989; the norm: Ioffe and Szegedy 2015; the average in place of large layers: Lin et al. 2014)

    >>> model = CNN((8, 16), num_channels=1, num_labels=5).eval()
    >>> x = np.zeros((2, 1, 12, 12), np.float32)
    >>> model(x).shape, model.logits(x).shape, model.encode(x[0]).shape
    ((2, 16), (2, 5), (16,))
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128), num_channels: int = 3, num_labels: int = 0, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        rng = fresh_rng() if rng is None else rng
        if not channels:
            raise ValueError("a CNN has at least one layer: channels says how wide each is")
        self.num_channels, self.dim = num_channels, channels[-1]
        self.layers = [ConvNorm(before, n, rng=rng, dtype=dtype)
                       for before, n in zip((num_channels, *channels), channels)]
        self.average = GlobalPool()
        self.head = Linear(self.dim, num_labels, rng=rng, dtype=dtype) if num_labels else None

    def forward(self, x: Any) -> Tensor:
        h = self.layers[0](self._checked(x))
        for layer in self.layers[1:]:
            h = layer(max_pool2d(h, 2))
        return self.average(h)


@dataclass
class ViTConfig:
    """The settings of a ViT, under the names of its config.json; the defaults are vit-base-patch16-224's.

    image_size, patch_size   in pixels; an int, or a pair (height, width)
    hidden_act   of the MLPs (see `nn.MLP`)
    hidden_dropout_prob   in training, of the patches' vectors and what the blocks add
    attention_probs_dropout_prob   in training, of the attention's weights; None: hidden_dropout_prob
    qkv_bias     whether queries, keys and values have a bias
    num_labels   classes; 0 for a model without a head
    pooler_output_size   0, or the width of a tanh layer on top of the vector, `ViT.pooled`
    class_token  a row that is put before the patches, to gather what the picture is; without it their mean is taken
    patch_bias, pre_norm   CLIP's picture tower has no bias in the first layer, and a norm before the blocks
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float | None = None
    layer_norm_eps: float = 1e-12
    image_size: int | tuple[int, int] = 224
    patch_size: int | tuple[int, int] = 16
    num_channels: int = 3
    qkv_bias: bool = True
    num_labels: int = 0
    pooler_output_size: int = 0
    class_token: bool = True
    patch_bias: bool = True
    pre_norm: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """How many patches stand below and beside each other; ValueError where they do not fill the picture."""
        (H, W), (p, q) = both(self.image_size), both(self.patch_size)
        if min(H, W, p, q) < 1 or H % p or W % q:
            raise ValueError(f"a picture of {H} x {W} is not cut into patches of {p} x {q} without a rest")
        return H // p, W // q


class ViT(PictureModel):
    """A picture as a sequence: patches -> vectors + positions -> pre-norm blocks -> LayerNorm -> the class token's.

        x (B, C, H, W) -> (B, D)

    A patch becomes a vector by one linear layer on its C * p * p numbers: a convolution whose stride is its size.
    Nothing but the position rows says which patches are neighbours. What the model gives is `features("norm",
    pool="cls")`; blocks are "blocks.0" … `models.load` reads published weights.
    (Dosovitskiy et al. 2021, "An image is worth 16x16 words")

    >>> model = ViT(ViTConfig(16, 2, 2, 32, image_size=12, patch_size=4, num_labels=5)).eval()
    >>> x = np.zeros((2, 3, 12, 12), np.float32)
    >>> model(x).shape, model.logits(x).shape, model.hidden_states(x)[-1].shape, model.encode(x[0]).shape
    ((2, 16), (2, 5), (2, 10, 16), (16,))
    """

    def __init__(self, config: ViTConfig, *, rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        (h, w), (p, q), D = c.grid, both(c.patch_size), c.hidden_size
        self.config, self.dim, self.num_channels = c, D, c.num_channels
        self.patches = Linear(c.num_channels * p * q, D, c.patch_bias, rng=rng, dtype=dtype)
        self.class_token = Parameter((rng.standard_normal(D) * 0.02).astype(dtype)) if c.class_token else None
        self.position = LearnedPositionalEmbedding(h * w + c.class_token, D, rng=rng, dtype=dtype)
        self.drop = Dropout(c.hidden_dropout_prob, rng=rng)
        self.pre_norm = LayerNorm(D, c.layer_norm_eps, dtype=dtype) if c.pre_norm else None
        self.blocks = [TransformerBlock(D, c.num_attention_heads, c.intermediate_size, c.hidden_dropout_prob,
                                        activation=c.hidden_act, eps=c.layer_norm_eps,
                                        attention_dropout=c.attention_probs_dropout_prob, rng=rng, dtype=dtype)
                       for _ in range(c.num_hidden_layers)]
        if not c.qkv_bias:
            for block in self.blocks:
                block.attention.in_proj_bias = None
        self.norm = LayerNorm(D, c.layer_norm_eps, dtype=dtype)
        self.pooler = Dense(D, c.pooler_output_size, "tanh", rng=rng, dtype=dtype) if c.pooler_output_size else None
        self.head = Linear(D, c.num_labels, rng=rng, dtype=dtype) if c.num_labels else None

    def forward(self, x: Any) -> Tensor:
        h = self.hidden_states(x)[-1]
        return h[:, 0] if self.class_token is not None else h.mean(1)

    def hidden_states(self, x: Any) -> list[Tensor]:
        """num_hidden_layers + 1 tensors (B, T, D), the class token before the patches, row by row: what goes into the
        blocks, then what each made of it, the last one through the final norm."""
        h = self.patches(self._cut(self._checked(x)))
        if self.class_token is not None:
            h = concatenate([broadcast_to(self.class_token, (len(h), 1, h.shape[2])), h], 1)
        h = self.drop(self.position(h))
        states = [h if self.pre_norm is None else self.pre_norm(h)]
        for block in self.blocks:
            states.append(block(states[-1]))
        states[-1] = self.norm(states[-1])
        return states

    def pooled(self, x: Any) -> Tensor:
        """The vector through the tanh layer that the first Transformers took sentences from: (B, pooler_output_size)"""
        if self.pooler is None:
            raise ValueError("this ViT has no pooler: its vectors are model(x)")
        return self.pooler(self(x))

    def _cut(self, x: Tensor) -> Tensor:
        """The patches, row by row, and each as one line of numbers: (B, C, H, W) -> (B, T, C p q)"""
        (h, w), (p, q) = self.config.grid, both(self.config.patch_size)
        B, C, H, W = x.shape
        if (H, W) != (h * p, w * q):
            raise ValueError(f"this ViT has positions for pictures of {h * p} x {w * q}, not {H} x {W}")
        return x.reshape(B, C, h, p, w, q).transpose(0, 2, 4, 1, 3, 5).reshape(B, h * w, C * p * q)


def both(size: Any) -> tuple[int, int]:
    """A size for height and width alike, or one for each."""
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    return height, width
