"""CLIP: an image tower and a text tower, trained so that a picture and its caption point the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, as_ids, fresh_rng, no_grad
from ..nn import Embedding, Encoder, LayerNorm, LearnedPositionalEmbedding, Linear, Module, TransformerBlock
from ..ops import concatenate, exp, in_batch_softmax, l2_normalise, softmax, swapaxes

LARGEST = np.float32(math.log(100))  # of logit_scale: scores of up to 100, a temperature of 0.01


@dataclass
class CLIPTextConfig:
    """The settings of CLIP's text tower, under the names of its config.json; the defaults are clip-vit-base-patch32's.

    eos_token_id   the token at whose first place a text's vector is taken; None: the place of the largest id
    """

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    eos_token_id: int | None = 49407


class CLIPText(Module):
    """Token + position rows -> causal pre-norm blocks -> LayerNorm -> the vector at the end token.

        ids (B, T), mask (B, T) or None (all are real) -> (B, D)

    The body of a SentenceEncoder: the tokeniser puts the end token behind each text. No token looks at a later one, so
    the end alone has read all, and padding behind it changes nothing. A line without it gives its last real token's.
    (Radford et al. 2021)

    >>> body = CLIPText(CLIPTextConfig(20, 8, 16, 2, 2, 10, eos_token_id=19)).eval()
    >>> y = body([[5, 7, 19, 0, 0], [5, 7, 19, 8, 19]])
    >>> y.shape, np.allclose(y.data[0], y.data[1], atol=1e-6)
    ((2, 8), True)
    """

    def __init__(self, config: CLIPTextConfig, *, rng: np.random.Generator | None = None, dtype: Any = np.float32
                 ) -> None:
        c, rng = config, fresh_rng() if rng is None else rng
        self.config, D = c, c.hidden_size
        self.token = Embedding(c.vocab_size, D, std=0.02, rng=rng, dtype=dtype)
        self.position = LearnedPositionalEmbedding(c.max_position_embeddings, D, std=0.01, rng=rng, dtype=dtype)
        self.blocks = [TransformerBlock(D, c.num_attention_heads, c.intermediate_size, causal=True,
                                        activation=c.hidden_act, eps=c.layer_norm_eps, rng=rng, dtype=dtype)
                       for _ in range(c.num_hidden_layers)]
        self.norm = LayerNorm(D, c.layer_norm_eps, dtype=dtype)

    def forward(self, ids: Any, mask: Any = None) -> Tensor:
        ids = as_ids(ids, self.token.num_embeddings, "the vocabulary")
        return self.hidden_states(ids)[-1][np.arange(len(ids)), self._ends(ids, mask)]

    def hidden_states(self, ids: Any, mask: Any = None) -> list[Tensor]:
        """num_hidden_layers + 1 tensors (B, T, D): what the tables gave, then what each block made of it, the last one
        through the final norm. `mask` changes nothing: padding stands behind a text, which does not look there."""
        states = [self.position(self.token(ids))]
        for block in self.blocks:
            states.append(block(states[-1]))
        states[-1] = self.norm(states[-1])
        return states

    def _ends(self, ids: Array, mask: Any) -> Array:
        """The place in each line whose vector is the text's."""
        if self.config.eos_token_id is None:
            return ids.argmax(1)
        real = np.ones(ids.shape, bool) if mask is None else np.asarray(mask, bool)
        ends, last = ids == self.config.eos_token_id, ids.shape[1] - 1 - real[:, ::-1].argmax(1)
        return np.where(ends.any(1), ends.argmax(1), last)


class Projected(Encoder):
    """An encoder, and a linear map of its vectors into a space that others share          items -> (B, dim)"""

    def __init__(self, encoder: Encoder, dim: int, *, rng: np.random.Generator | None = None, dtype: Any = np.float32
                 ) -> None:
        self.encoder, self.dim, self.padding = encoder, dim, encoder.padding
        self.projection = Linear(encoder.dim, dim, bias=False, rng=rng, dtype=dtype)

    def is_item(self, items: Any) -> bool:
        return self.encoder.is_item(items)

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Any]:
        return self.encoder.prepare(items, prompt)

    def collate(self, prepared: list[Any]) -> tuple[Any, ...]:
        return self.encoder.collate(prepared)

    def forward(self, *batch: Any) -> Tensor:
        return self.projection(self.encoder(*batch))


class CLIP(Encoder):
    """Two towers, each an encoder and a linear map into one space (d,), where a caption is near what it says.

        pictures (n, C, H, W), m texts -> e^logit_scale * cos (n, m)

    image        an Encoder of pictures: ViT, any PictureModel
    text         an Encoder of texts: a SentenceEncoder, with CLIPText as its body in the paper
    dim          d
    temperature  e^-logit_scale at the start; it is learned

    `encode` takes a text or a picture, or several, mixed as you like; `encode_text` and `encode_image` one kind.
    Vectors have any length, as in the published code: normalize_embeddings=True makes them unit vectors.
    `models.load` reads published weights.
    (Radford et al. 2021, "Learning transferable visual models from natural language supervision")

    >>> from tinyembed.models import SentenceEncoder, StaticEmbedding, ViT, ViTConfig
    >>> from tinyembed.nn import EmbeddingBag
    >>> from tinyembed.text import Vocabulary, WordTokenizer
    >>> words = WordTokenizer(Vocabulary.build([["red", "blue"]]))
    >>> text = SentenceEncoder(words, StaticEmbedding(EmbeddingBag(len(words), 8)))
    >>> model = CLIP(ViT(ViTConfig(8, 1, 2, 16, image_size=8, patch_size=4)), text, dim=4)
    >>> pictures = np.zeros((2, 3, 8, 8), np.float32)
    >>> model.encode(["red", pictures[0], "blue"]).shape, model(pictures, ["red", "blue", "red blue"]).shape
    ((3, 4), (2, 3))
    >>> model.classify(pictures, ["red", "blue"], "a {} thing").sum(1).round(4).tolist()
    [1.0, 1.0]
    """

    preprocessing: Callable[[Any], Array] | None = None  # of published ones: bytes (H, W, 3) -> (B, 3, H', W')

    def __init__(self, image: Encoder, text: Encoder, dim: int = 512, temperature: float = 0.07, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        for tower in (image, text):
            if not isinstance(tower, Encoder):
                raise TypeError("a tower is an Encoder, which knows how items become batches, not a "
                                f"{type(tower).__name__}: for pictures subclass PictureModel, for texts give it to a "
                                "SentenceEncoder as its body")
        if not 0.01 <= temperature < math.inf:
            raise ValueError(f"the temperature is 0.01 or more, as scores stay within 100; not {temperature}")
        rng = fresh_rng() if rng is None else rng
        self.dim = dim
        self.image, self.text = (Projected(tower, dim, rng=rng, dtype=dtype) for tower in (image, text))
        self.logit_scale = Parameter(np.array(math.log(1 / temperature), dtype))

    # -- vectors -------------------------------------------------------------------------------------------------------

    def encode_image(self, images: Any, batch_size: int = 32, **options: Any) -> Any:
        """The vectors of pictures; options as in `encode`          (C, H, W) -> (d,), n of them -> (n, d)"""
        return self.image.encode(images, batch_size, **options)

    def encode_text(self, texts: Any, batch_size: int = 32, **options: Any) -> Any:
        """The vectors of texts; options as in `encode`          a string -> (d,), n of them -> (n, d)"""
        return self.text.encode(texts, batch_size, **options)

    def is_item(self, items: Any) -> bool:
        return self.text.is_item(items) or self.image.is_item(items)

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Any]:
        """Nothing is prepared but by a tower, so `features` are those of a tower; TypeError."""
        raise TypeError("a CLIP has two towers, and no item goes through both: take the features of one, "
                        'model.image.features("encoder.norm", pool="cls") or model.text.features(…)')

    def vectors(self, items: Iterable[Any], forward: Callable[..., Tensor] | None = None,
                batch_size: int | None = None, prompt: str | None = None) -> Tensor:
        """The vectors of items, each by its tower, to be trained through: n texts or pictures -> (n, d)"""
        if self.is_item(items):
            raise TypeError(f"vectors takes several items, not one: [{items!r:.40}]")
        items = list(items)
        texts = [self.text.is_item(item) for item in items]
        found, order = [], np.argsort(np.logical_not(texts), kind="stable")  # texts first
        for tower, kind in ((self.text, True), (self.image, False)):
            if some := [item for item, is_text in zip(items, texts) if is_text == kind]:
                found.append(tower.vectors(some, forward, batch_size, prompt))
        if len(found) == 2:
            return concatenate(found)[np.argsort(order)]
        return found[0] if found else self.text.vectors([])

    def forward(self, images: Any, texts: Sequence[str]) -> Tensor:
        x, y = l2_normalise(self._pictures(images)), l2_normalise(self.text.vectors(texts))
        return exp(self.logit_scale) * (x @ swapaxes(y, 0, 1))

    def _pictures(self, images: Any) -> Tensor:
        """Their vectors; a Tensor goes to the tower as it is, so that its gradient can be asked for."""
        return self.image(images) if isinstance(images, Tensor) else self.image.vectors(images)

    # -- captions as classes -------------------------------------------------------------------------------------------

    def label_vectors(self, labels: Sequence[str], templates: str | Sequence[str] = "a photo of a {}.") -> Array:
        """The vector of each label, the mean over its captions, of length 1: K labels -> (K, d)

        templates   one caption or several, with {} where the label goes; a mean over several is steadier than one
        """
        templates = [templates] if isinstance(templates, str) else list(templates)
        labels = labels if isinstance(labels, str) else list(labels)
        if (isinstance(labels, str) or not labels or not all(isinstance(label, str) for label in labels)
                or not templates or not all("{}" in template for template in templates)):
            raise ValueError("it takes a list of labels, which are texts, and templates with {} where a label goes; "
                             f"not {labels!r:.40} and {templates!r:.40}")
        captions = [template.replace("{}", label) for label in labels for template in templates]
        y = self.encode_text(captions, normalize_embeddings=True).reshape(len(labels), len(templates), -1).mean(1)
        return np.asarray(l2_normalise(y).data)

    @no_grad()
    def classify(self, images: Any, labels: Sequence[str], templates: str | Sequence[str] = "a photo of a {}.",
                 batch_size: int = 32) -> Array:
        """How likely each of K labels is: softmax(e^logit_scale * cos)          n pictures -> (n, K), one -> (K,)

        No picture of these classes need have been named so in training ("zero-shot"). Templates as in `label_vectors`.
        """
        x = self.encode_image(images, batch_size, normalize_embeddings=True)
        scores = x @ self.label_vectors(labels, templates).T * np.exp(self.logit_scale.data)
        return np.asarray(softmax(scores).data)

    # -- training ------------------------------------------------------------------------------------------------------

    def loss(self, images: Any, texts: Sequence[str]) -> Tensor:
        """The mean of two `ops.in_batch_softmax`: to each picture its caption, to each caption its picture.

            n pictures (n, C, H, W), the n captions -> one number

        Where a caption stands twice, both pictures are right answers: they do not count against each other. In training
        a logit_scale that a step has brought above log 100 is set to that before it is used, so no score passes 100
        and its gradient is what it would be anyway: it can come down again. (A `minimum` in the formula would hold
        it: above, its gradient is 0.) In eval mode, and in `forward`, the value counts as it is.
        """
        if not len(images) == len(texts) > 0:
            raise ValueError(f"each picture has a caption; got {len(images)} pictures and {len(texts)} captions")
        if self.training and self.logit_scale.data > LARGEST:
            self.logit_scale.data = np.full((), LARGEST, self.logit_scale.dtype)
        x, y, scale = self._pictures(images), self.text.vectors(texts), exp(self.logit_scale)
        mask = np.array([[a != b for b in texts] for a in texts])  # symmetric; a pair itself always counts
        return (in_batch_softmax(x, y, scale, mask) + in_batch_softmax(y, x, scale, mask)) * 0.5
