"""SentenceEncoder: token vectors pooled to one sentence vector, and its training objectives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Array, Tensor, no_grad, warn
from ..nn import Encoder, Linear, Module, Pooling
from ..ops import cross_entropy, in_batch_softmax, l2_normalise, matryoshka, pair_features, relu
from ..text import Tokenizer, pad
from .bert import BERT
from .published import read_sentence_encoder, write_sentence_encoder


class SentenceEncoder(Encoder):
    """A text's tokens -> body -> pooling -> head -> one vector (d,), of length 1 if `normalize`.

    tokenizer    a Tokenizer; or a folder, see `from_pretrained`
    body         ids (B, T), mask (B, T) -> a vector for each token (B, T, D): BERT, TokenLSTM; or one for each text
                 (B, D), and then there is nothing to pool: StaticEmbedding
    pooling      a mode of `nn.Pooling`, or several
    head         modules that the pooled vector goes through, such as `nn.Dense`
    normalize    divide the result by its length
    max_length   longer texts are cut to so many tokens, and to the positions that a BERT has; what `encode` cuts is
                 counted in a warning
    prompt       what is put before each text, unless `encode` is given another

    An empty text is what the tokeniser puts around a text ([CLS] [SEP]); where that is nothing, it gives zeros. Kinds:

        mean of rows, also with SIF (`models.sif`)   StaticEmbedding
        deep averaging network (Iyyer et al. 2015; Cer et al. 2018, "Universal Sentence Encoder")
                                                     StaticEmbedding, head=[Dense(D, D, "relu"), Dense(D, D)]
        InferSent (Conneau et al. 2017)              TokenLSTM, pooling="max", trained as a PairClassifier
        Sentence-BERT (Reimers and Gurevych 2019)    BERT, pooling="mean", as a PairClassifier or by `loss`

    >>> from tinyembed.models import StaticEmbedding
    >>> from tinyembed.nn import EmbeddingBag
    >>> from tinyembed.text import Vocabulary, WordTokenizer
    >>> words = WordTokenizer(Vocabulary.build([["a", "b", "c"]]))
    >>> encoder = SentenceEncoder(words, StaticEmbedding(EmbeddingBag(len(words), 4)))
    >>> encoder.encode("b a").shape, encoder.encode(["a", "a b c", ""]).shape
    ((4,), (3, 4))
    """

    def __init__(self, tokenizer: Tokenizer | str | os.PathLike[str], body: Module | None = None,
                 pooling: str | list[str] = "mean", head: Sequence[Module] = (), normalize: bool = False,
                 max_length: int | None = None, prompt: str = "") -> None:
        if not isinstance(tokenizer, Tokenizer) and body is None:
            if (pooling, tuple(head), normalize, max_length, prompt) != ("mean", (), False, None, ""):
                raise TypeError("a folder says itself what the encoder is; assign what is to be other: encoder.prompt "
                                '= "query: "')
            SentenceEncoder.__init__(self, **read_sentence_encoder(tokenizer))
            return
        if not isinstance(tokenizer, Tokenizer) or body is None:
            raise TypeError(f"a SentenceEncoder takes a tokenizer and a body, or a folder; not {tokenizer!r}, {body!r}")
        self.tokenizer, self.body, self.pooling, self.head = tokenizer, body, Pooling(pooling), list(head)
        self.normalize, self.max_length, self.prompt = normalize, max_length, prompt
        self.pad_id = tokenizer.index.get("[PAD]", 0)
        if isinstance(body, BERT):
            positions = body.config.max_position_embeddings
            self.max_length = positions if max_length is None else min(max_length, positions)
            self.padding = 0.2  # an LSTM prefers one long batch, and a bag has no padding
        with self.evaluating(), no_grad():
            self.dim = self([[0]], [[True]]).shape[1]

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], dtype: Any = np.float32) -> SentenceEncoder:
        """A published model from a folder of sentence-transformers (modules.json): the same vectors, with numpy alone;
        its parameters in `dtype`, whatever is stored.

        A Transformer of the BERT kind, or a StaticEmbedding; Pooling in all its modes, Dense, Normalize. Raises
        FormatError for other modules and settings, by name; FileNotFoundError where no folder is: nothing is fetched.
        """
        return cls(**read_sentence_encoder(folder, dtype))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that `from_pretrained` and sentence-transformers read: of a BERT or a StaticEmbedding, heads
        of Dense. ValueError for others. Its files are all of one save, as those of `save_gpt` are."""
        write_sentence_encoder(folder, self)

    # -- texts to vectors ----------------------------------------------------------------------------------------------

    def is_item(self, items: Any) -> bool:
        return isinstance(items, str)

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[list[int]]:
        """The ids of each text. In eval mode a warning counts the texts that were cut."""
        prompt = self.prompt if prompt is None else prompt
        for i, text in enumerate(items):
            if not isinstance(text, str):
                raise TypeError(f"item {i} is no text but {type(text).__name__}: a SentenceEncoder encodes strings")
        prepared = [self.tokenizer.encode(prompt + text) for text in items]
        long = [i for i, ids in enumerate(prepared) if self.max_length is not None and len(ids) > self.max_length]
        for i in long:
            prepared[i] = self.tokenizer.encode(prompt + items[i], max_length=self.max_length)
        if long and not self.training:
            warn(f"{len(long)} of {len(items)} texts have more than {self.max_length} tokens, and were cut: what comes "
                 "later in them does not count")
        return prepared

    def collate(self, prepared: list[list[int]]) -> tuple[Array, Array]:
        return pad(prepared, self.pad_id, max(1, *map(len, prepared)))

    def forward(self, ids: Any, mask: Any) -> Tensor:
        y = self.body(ids, mask=mask)
        y = self.pooling(y, mask) if y.ndim == 3 else y
        for module in self.head:
            y = module(y)
        return l2_normalise(y) if self.normalize else y

    def encode_heads(self, texts: Sequence[str], batch_size: int = 32) -> Array:
        """What each head of the last attention gathers, pooled: several vectors of a text          n -> (n, H, D / H)

        With several pooling modes D / H numbers of each, side by side.

        Heads attend to different sides of a text, so they find different neighbours: `te.vectors.semantic_search` lets
        them vote.          (Besta et al. 2024, "Multi-Head RAG")
        """
        if not hasattr(self.body, "blocks"):
            raise TypeError(f"a {type(self.body).__name__} has no attention, and so no heads")
        body: Any = self.body
        last = body.blocks[-1]

        def heads(ids: Array, mask: Array) -> Tensor:
            x = body.hidden_states(ids, mask=mask)[-2]
            y = last.attention.heads(last.norm1(x) if last.norm_first else x, padding=mask)  # (B, T, H, d)
            return self.pooling(y.reshape(*y.shape[:2], -1), mask)

        with self.evaluating(), no_grad():
            y = self.vectors(texts, heads, batch_size).data
        n, modes, H = len(y), len(self.pooling.modes), last.attention.num_heads
        d = last.attention.embed_dim // H
        return y.reshape(n, modes, H, d).swapaxes(1, 2).reshape(n, H, modes * d)

    # -- training ------------------------------------------------------------------------------------------------------

    def loss(self, a: Sequence[str], b: Sequence[str], *negatives: Sequence[str], scale: float = 20.0,
             dims: Sequence[int] | None = None) -> Tensor:
        """`ops.in_batch_softmax` of texts a and their answers b, with further texts that answer none of them.

        What answers a text anywhere in the batch does not count against it, nor does a copy of that. dims: prefixes of
        the vectors that are to be good as well (`ops.matryoshka`).
        """
        if not len(a) == len(b) > 0:
            raise ValueError(f"each text has an answer; got {len(a)} texts and {len(b)} answers")
        texts = [*b, *(text for more in negatives for text in more)]
        right: dict[str, set[str]] = {}
        for text, answer in zip(a, b):
            right.setdefault(text, set()).add(answer)
        mask = [[other not in right[text] for other in texts] for text in a]
        x, y = self.vectors(a), self.vectors(texts)
        loss = in_batch_softmax if dims is None else matryoshka(in_batch_softmax, dims)
        return loss(x, y, scale=scale, mask=mask)


class PairClassifier(Module):
    """Which of some classes a pair of texts is of: softmax(W [u, v, |u - v|] + b), u and v from one encoder.

        a, b: n texts each -> logits (n, classes)

    features   what W reads, see `ops.pair_features`: ("u", "v", "|u-v|") is Sentence-BERT's, with "u*v" InferSent's
    hidden     width of a layer with relu in between; None for none

    Training it on entailment, contradiction or neither trains the encoder, whose vectors then serve elsewhere.
    (Reimers and Gurevych 2019; Conneau et al. 2017)
    """

    def __init__(self, encoder: SentenceEncoder, classes: int, features: Sequence[str] = ("u", "v", "|u-v|"),
                 hidden: int | None = None, *, rng: np.random.Generator | None = None) -> None:
        width = encoder.dim * len(features)
        self.encoder, self.reads = encoder, tuple(features)
        self.hidden = None if hidden is None else Linear(width, hidden, rng=rng)
        self.output = Linear(width if hidden is None else hidden, classes, rng=rng)

    def forward(self, a: Sequence[str], b: Sequence[str]) -> Tensor:
        vectors = self.encoder.vectors([*a, *b])  # in one go
        y = pair_features(vectors[:len(a)], vectors[len(a):], self.reads)
        return self.output(y if self.hidden is None else relu(self.hidden(y)))

    def loss(self, a: Sequence[str], b: Sequence[str], targets: Any) -> Tensor:
        """The mean of -log p(target); targets (n) in 0 … classes - 1"""
        return cross_entropy(self(a, b), targets)
