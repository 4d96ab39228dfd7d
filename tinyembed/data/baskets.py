"""Training batches for ItemToVec: baskets cut into blocks, every item a context of every other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ..core import Array, blocks
from .windows import BLOCK, BLOCKS, WindowBatches, Windows

PIECE = 32  # items of a basket that a block is scored against at a time


class BasketBatches(WindowBatches):
    """Baskets of ids, as `Windows` for one epoch after the other: any two items of a basket are neighbours, once in
    each direction.

    text    re-iterable: (ids (N,), number of the basket of each (N,)), such as SentenceIds. An item that is in a basket
            twice counts once, and the order in a basket changes nothing, not even the batches

    All else is as WindowBatches has it, but there is no window: a block of S items is scored against all of its
    baskets, PIECE items at a time, which is a row of a batch. So a batch takes the same memory however large a basket
    is. A basket of n items has n (n - 1) pairs, and takes time for these.

    >>> batches = BasketBatches([(np.array([3, 1, 4, 1, 0]), np.array([0, 0, 0, 0, 1]))], np.ones(5), np.ones(5))
    >>> [(len(batch), batch.words[0, :3].tolist(), batch.pairs[0, :3, :3].astype(int).tolist()) for batch in batches]
    [(6, [1, 3, 4], [[0, 1, 1], [1, 0, 1], [1, 1, 0]])]
    """

    def __init__(self, text: Iterable[tuple[Array, Array]], keep: Array, noise: Array, negatives: int = 32, *,
                 group: int = 4, blocks: int = BLOCKS, rng: np.random.Generator | None = None) -> None:
        super().__init__(text, 1, keep, noise, negatives, group=group, blocks=blocks, rng=rng)
        items = batches = 0
        for part in self._parts(np.random.default_rng(0)):
            items, batches = items + len(part.ids), batches - -int(part.rows[-1]) // self.blocks
        self._mean, self._steps = max(round(items / max(batches, 1)), 1), max(batches, 1)

    @property
    def words(self) -> int:
        """The mean number of items in a batch, counted once in the baskets as they were when this was made."""
        return self._mean

    def steps(self) -> int:
        """About how many batches an epoch has, counted then too."""
        return self._steps

    def _pass(self) -> Iterator[Windows]:
        before = self.given
        for part in self._parts(self.rng):
            self.given += len(part.ids)
            for batch in blocks(int(part.rows[-1]), entries=self.blocks):
                yield self._rows(part, batch.start, batch.stop)
        if self.given == before:
            zero = np.zeros(1, np.int64)
            yield self._rows(Part(zero, zero, zero, zero), 0, 0)

    def _parts(self, rng: np.random.Generator) -> Iterator[Part]:
        """The baskets that are read at a time: thinned out, without repeats, and without items that are then alone."""
        V = len(self.keep)
        for ids, baskets in self.text:
            baskets, ids = np.divmod(np.unique(baskets * V + ids.astype(np.int64)), V)
            stays = rng.random(len(ids)) < self.keep[ids]
            ids, baskets = ids[stays], baskets[stays]
            begins, ends = (baskets.searchsorted(baskets, side) for side in ("left", "right"))
            ids, baskets = ids[ends - begins > 1], baskets[ends - begins > 1]
            if len(ids):
                at = np.arange(0, len(ids), BLOCK)
                begins = baskets.searchsorted(baskets[at], "left")
                ends = baskets.searchsorted(baskets[np.minimum(at + BLOCK, len(ids)) - 1], "right")
                yield Part(ids, baskets, begins, np.cumsum(-((begins - ends) // PIECE)))

    def _rows(self, part: Part, start: int, stop: int) -> Windows:
        """The rows from start to stop, and as many empty ones as make a multiple of `group`."""
        B, N = -(-(stop - start) // self.group) * self.group, len(part.ids)
        row = np.minimum(np.arange(start, start + B), stop - 1)
        block = part.rows.searchsorted(row, "right")
        piece = row - np.concatenate([[0], part.rows])[block]
        places = block[:, None] * BLOCK + np.arange(BLOCK)  # (B, S)
        near = (part.begins[block] + piece * PIECE)[:, None] + np.arange(PIECE)  # (B, P)
        words, around = (part.ids[np.minimum(at, N - 1)] for at in (places, near))
        own, other = (np.where(at < N, part.baskets[np.minimum(at, N - 1)], -1) for at in (places, near))
        own[stop - start:] = -2  # of an empty row: no basket
        pairs = (own[..., None] == other[:, None]) & (own >= 0)[..., None] & (places[..., None] != near[:, None])
        negatives = self.noise.searchsorted(self.rng.random((B // self.group, self.negatives)), "right")
        return Windows(words, around, pairs, negatives, np.maximum(own, -1), self.per_word)


class Part(NamedTuple):
    """Items sorted by basket, ids (N,) and baskets (N,); for each block of S of them where the first of its baskets
    begins, and the number of rows that end with it."""

    ids: Array
    baskets: Array
    begins: Array
    rows: Array
