"""Base of the encoders: items in, one vector each out, independent of the batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ..core import Array, Tensor, no_grad
from ..ops import concatenate, l2_normalise
from .module import Module

CHUNK = 64  # batches that are prepared, sorted by length and cut together


class Encoder(Module):
    """Base of the models that make one vector of an item: of a text, a picture, a user.

    A subclass says how items become the arguments of its `forward`, which gives their vectors (B, d):

    is_item     whether what `encode` was given is one item, and not several
    prepare     each item as something that has a len: what it costs, by which batches are formed
    collate     some of these as the arguments of `forward`
    dim         d
    padding     the share of a batch that may be padding: shorter items make a batch of their own. At 1, the default, it
                may be all, as suits what does not pay for padding
    """

    dim: int
    padding: float = 1.0

    def is_item(self, items: Any) -> bool:
        raise NotImplementedError(f"{type(self).__name__} defines no is_item: whether it was given a single item")

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} defines no prepare: items as what has a len")

    def collate(self, prepared: list[Any]) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__} defines no collate: the arguments of its forward")

    def vectors(self, items: Iterable[Any], forward: Callable[..., Tensor] | None = None,
                batch_size: int | None = None, prompt: str | None = None) -> Tensor:
        """The vectors of items, to be trained through: n items -> (n, d)

        Those of like length go through the model together, at most batch_size of them (None: no bound), the longest
        first. `forward` may be a function other than the model itself, from the same arguments.
        """
        if self.is_item(items):
            raise TypeError(f"vectors takes several items, not one: [{items!r:.40}]")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is 1 or more, or None, not {batch_size}")
        prepared = self.prepare(list(items), prompt)
        if not prepared:
            return Tensor(self._none(self.dim))
        order = sorted(range(len(prepared)), key=lambda i: -len(prepared[i]))
        found = [(self if forward is None else forward)(*self.collate([prepared[i] for i in some]))
                 for some in self._batches(order, prepared, len(order) if batch_size is None else batch_size)]
        y = found[0] if len(found) == 1 else concatenate(found)
        return y[np.argsort(order)]

    def _batches(self, order: list[int], prepared: list[Any], batch_size: int) -> Iterator[list[int]]:
        """The items in order, cut where a batch is full, or the next would be padded too much."""
        while order:
            least = (1 - self.padding) * len(prepared[order[0]])
            some = [i for i in order[:batch_size] if len(prepared[i]) >= least]
            yield some
            order = order[len(some):]

    def encode(self, items: Any, batch_size: int = 32, normalize_embeddings: bool = False,
               show_progress_bar: bool | None = None, prompt: str | None = None,
               truncate_dim: int | None = None) -> Any:
        """The vectors of items          one item -> (d,), a list or another iterable of n -> (n, d)

        batch_size            how many go through the model at a time, at most; those of like length together. Results
                              are in the order given, and differ by rounding only, whatever the batch
        normalize_embeddings  divide each vector by its length
        show_progress_bar     a bar, if tqdm is installed
        prompt                a text to be put before each text, as some models were trained with: "query: "
        truncate_dim          only the first so many numbers of each vector (before they are normalised)

        In eval mode, without a graph. An iterable is read some batches at a time. Arguments are named as in
        sentence-transformers.
        """
        if self.is_item(items):
            return self.encode([items], batch_size, normalize_embeddings, show_progress_bar, prompt, truncate_dim)[0]
        dim, cut = self._width(), truncate_dim or 0
        if batch_size < 1 or not (truncate_dim is None or 1 <= cut <= (dim or cut)):
            raise ValueError(f"batch_size is 1 or more, truncate_dim in 1 … {dim or 'd'}; not {batch_size} and "
                             f"{truncate_dim}")
        with self.evaluating(), no_grad():
            parts = []
            for chunk in _chunks(items, CHUNK * batch_size, show_progress_bar):
                parts.append(self.vectors(chunk, None, batch_size, prompt).data[:, :truncate_dim])
                if parts[-1].shape[1] < cut:  # where the width was not known before
                    raise ValueError(f"truncate_dim is in 1 … {parts[-1].shape[1]}, not {truncate_dim}")
        y = np.concatenate(parts) if parts else self._none(truncate_dim or self.dim)
        return y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-12) if normalize_embeddings else y

    def _width(self) -> int | None:
        """d, or None where it is known only once an item has been encoded."""
        return self.dim

    def _none(self, d: int) -> Array:
        """The vectors of no items, (0, d), of the parameters' dtype."""
        return np.zeros((0, d), next((p.dtype for p in self.parameters() if p.dtype.kind == "f"), np.float32))

    @staticmethod
    def similarity(a: Any, b: Any) -> Array:
        """The cosine of each vector of a with each of b, 0 with a zero vector: a (n, d) or (d,), b (m, d) or (d,)
        -> (n, m)"""
        x, y = (l2_normalise(np.atleast_2d(z)).data for z in (a, b))
        return np.asarray(x @ y.T)


def _chunks(items: Iterable[Any], size: int, show_progress_bar: bool | None) -> Iterator[list[Any]]:
    """Lists of up to `size` items."""
    if show_progress_bar:
        try:
            from tqdm import tqdm
            items = tqdm(items, unit="item")
        except ImportError:
            pass
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk
