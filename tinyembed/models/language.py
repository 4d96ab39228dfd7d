"""Base of the language models: next-token loss, generation, bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Tensor, as_ids, fresh_rng, no_grad
from ..nn import Embedding, Module
from ..ops import cross_entropy
from ..train import evaluate


class LanguageModel(Module):
    """Base of the models that read ids (B, T) and give scores for each next token: forward(ids) -> logits (B, T, V).

    vocab_size   V
    block_size   the longest context that is looked at; None where it has no bound

    A subclass that can go on from where it was (a cache, a recurrent state) overrides `advance`.
    """

    vocab_size: int
    block_size: int | None

    def loss(self, ids: Any, targets: Any) -> Tensor:
        """The mean over all tokens of -log p(target), in nats: ids (B, T), targets (B, T) -> ()"""
        return cross_entropy(self(ids), targets)

    def hidden_states(self, ids: Any) -> list[Tensor]:
        """The vector of each token after each layer, (B, T, D) each; the first is what the tables gave."""
        raise NotImplementedError(f"{type(self).__name__} has no hidden states to show")

    def advance(self, ids: Array, state: Any) -> tuple[Array, Any]:
        """Read ids (B, T), after those that `state` is of (None: none): scores for what comes next (B, V), and the
        new state. This one keeps the ids themselves and reads the last block_size of them anew."""
        ids = ids if state is None else np.concatenate([state, ids], 1)
        ids = ids if self.block_size is None else ids[:, -self.block_size:]
        return self(ids).data[:, -1], ids

    @no_grad()
    def generate(self, ids: Any, max_new_tokens: int, temperature: float = 1.0, top_k: int | None = None,
                 top_p: float | None = None, *, seed: int | None = None, stop: int | None = None, mask: Any = None
                 ) -> Any:
        """Go on from a prompt, token by token, each drawn from softmax(logits / temperature).

            ids (T,) or a list of T ids -> a list of T + max_new_tokens; ids (B, T) -> an array (B, T + max_new_tokens)
            a list of prompts of several lengths -> a list of lists

        temperature   below 1 likely tokens become likelier; 0 takes the likeliest (greedy)
        top_k         only the k likeliest are drawn from (all of V where k is larger)
        top_p         only the likeliest are, as many as it takes for their probabilities to sum to top_p (Holtzman et
                      al. 2020); after top_k
        seed          of the draws; the same seed gives the same text. None: other text each time
        stop          an id at which a list ends early; the rows of an array go on
        mask          (B, T), True for tokens and False for padding, on whichever side: a prompt is its tokens

        Prompts of several lengths go on side by side, from the end of the shortest; where one has tokens left, they
        are taken in the place of those drawn. So each is gone on with as if it were alone.

        In eval mode, whatever the model's mode is, without gradient. Prompts longer than block_size are read from their
        end. Raises ValueError for an empty prompt and settings out of range, IndexError for ids outside the vocabulary,
        FloatingPointError for scores of NaN or inf, from which nothing can be drawn.
        """
        several = mask is None and isinstance(ids, (list, tuple)) and len({np.shape(prompt) for prompt in ids}) > 1
        given = [as_ids(x, self.vocab_size, "the vocabulary") for x in (ids if several else [ids])]
        prompts = given if several or given[0].ndim == 1 else list(given[0])
        if mask is not None:
            prompts = [row[kept] for row, kept in zip(given[0], check_padding(mask, given[0].shape))]
        if given[0].ndim > 2 or any(x.ndim != 1 or not x.size for x in prompts):
            shapes = " and ".join(str(x.shape) for x in (given if mask is None else prompts)[:3])
            raise ValueError(f"a prompt has one token at least, ids (T,) or (B, T), not {shapes}; with nothing to say, "
                             "begin with the token that ends a text")
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens is 0 or more, not {max_new_tokens}")
        check_sampling(temperature, top_k, top_p)
        if not prompts:
            return np.zeros((0, given[0].shape[1] + max_new_tokens), np.int64)
        lists, rng = several or given[0].ndim == 1, np.random.default_rng(seed)
        read = [x[-(self.block_size or 0):] for x in prompts]
        lengths = np.array([len(x) for x in read])
        text = np.zeros((len(read), lengths.max() + max_new_tokens), np.int64)
        for row, x in zip(text, read):
            row[:len(x)] = x
        state, known, ended = None, 0, np.zeros(len(read), bool)
        with self.evaluating():
            for t in range(lengths.min(), text.shape[1]):
                logits, state = self.advance(text[:, known:t], state)
                drawn = t >= lengths
                text[drawn, t], known = draw_next(logits, temperature, top_k, top_p, rng)[drawn], t
                ended |= drawn & (text[:, t] == stop)
                if lists and ended.all():
                    break
        new = text[np.arange(len(read))[:, None], lengths[:, None] + np.arange(max_new_tokens)]  # (B, max_new_tokens)
        if not lists:
            return np.concatenate([given[0], new], 1)
        found = [x.tolist() + _up_to(stop, y.tolist()) for x, y in zip(prompts, new)]
        return found if several else found[0]

    def bits_per_byte(self, batches: Iterable[Any], bytes_per_token: float) -> float:
        """How many bits each byte of a text costs to tell: the mean loss in bits, over the bytes that a token stands
        for on average. Perplexity is per token, so it cannot compare tokenisers; this can.

        >>> from tinyembed.models import Bigram
        >>> round(Bigram(256).bits_per_byte([(np.array([[1, 2]]), np.array([[2, 3]]))], 1.0), 1)
        8.0
        """
        return evaluate(self, batches) / math.log(2) / bytes_per_token


class TokenModel(LanguageModel):
    """Base of the language models that have a table `token` of rows; and, if they are not tied, a `head`.

    How many tokens there are is what the table says: it is kept nowhere else, and `grow` keeps the head in step.
    """

    token: Embedding
    head: Any  # a Linear, or None
    direct: Any = None  # straight from the rows to the scores, where a model has that

    @property
    def vocab_size(self) -> int:  # type: ignore[override]
        return self.token.num_embeddings

    def grow(self, k: int, *, std: float | None = None, rng: np.random.Generator | None = None) -> Any:
        """Add k tokens to the vocabulary: rows of the table, and of the heads, N(0, std^2) (None: as those that are
        there are spread); returns the model. What it says of the old tokens stays; optimisers carry on.

        >>> from tinyembed.models import LSTMModel
        >>> model = LSTMModel(50, embed_dim=8).grow(2)
        >>> model.vocab_size, model([[1, 51]]).shape
        (52, (1, 2, 52))
        """
        rng = fresh_rng() if rng is None else rng
        for part in (self.token, self.head, self.direct):  # the table first: it refuses what cannot be
            if part is not None:
                part.grow(k, std=float(part.weight.data.std()) if std is None else std, rng=rng)
        return self


def check_padding(mask: Any, shape: tuple[int, ...]) -> Array:
    """The mask as booleans (B, T), of ids of that shape; ValueError for what is none."""
    mask = np.asarray(mask.data if isinstance(mask, Tensor) else mask)
    if len(shape) != 2 or mask.shape != shape or not np.isin(mask, (0, 1)).all():
        raise ValueError(f"a mask has True or False (1 or 0) for each of ids (B, T), {shape}, not {mask.dtype} "
                         f"{mask.shape}")
    return mask.astype(bool)


def _up_to(stop: int | None, ids: list[int]) -> list[int]:
    return ids[:ids.index(stop) + 1] if stop in ids else ids


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """ValueError for settings from which nothing can be drawn."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is 0 (the likeliest token, always) or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k leaves 1 token or more, not {top_k}; None leaves all")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is a probability above 0, 1 at most, not {top_p}; None leaves all tokens")


def draw_next(logits: Array, temperature: float, top_k: int | None, top_p: float | None,
              rng: np.random.Generator) -> Array:
    """A token for each line of logits: (B, V) -> (B,). See `LanguageModel.generate`.

    >>> logits = np.log([[0.5, 0.3, 0.2]])
    >>> rng = np.random.default_rng(0)
    >>> [int(draw_next(logits, 1.0, None, 0.6, rng)[0]) for _ in range(6)]
    [1, 0, 0, 0, 1, 1]
    """
    best = logits.max(-1)
    if not np.isfinite(best).all():
        b = int(np.flatnonzero(~np.isfinite(best))[0])
        raise FloatingPointError(f"no token can be drawn for line {b} of the batch: its largest score is {best[b]}; "
                                 "the model's parameters may have left the numbers (te.nn.Module.named_parameters)")
    if temperature == 0:
        return np.argmax(logits, -1)
    B, V = logits.shape
    order = None
    if top_p is not None:
        order = np.argsort(-logits, -1, kind="stable")[:, :top_k]  # the likeliest first
    elif top_k is not None and top_k < V:
        order = np.argpartition(-logits, top_k - 1, -1)[:, :top_k]
    z = (logits if order is None else np.take_along_axis(logits, order, -1)).astype(np.float64)
    z -= z.max(-1, keepdims=True)
    if temperature != 1:
        with np.errstate(over="ignore"):  # at temperatures near 0
            z /= temperature
    p = np.exp(z)
    total = np.cumsum(p, -1)
    if top_p is not None:  # a token stays if those before it do not reach top_p
        stays = total - p < top_p * total[:, -1:]
        total = np.cumsum(p * stays, -1)
    at = (total <= rng.random((B, 1)) * total[:, -1:]).sum(-1)
    return at if order is None else np.take_along_axis(order, at[:, None], -1)[:, 0]
