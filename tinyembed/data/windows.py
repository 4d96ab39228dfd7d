"""Context windows: running text cut into blocks with their contexts, the batches of Word2Vec and its relatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array, blocks
from ..files import short

BLOCK = 16  # S: words that are scored against the same surroundings
BLOCKS = 128  # B at most
CHUNK = 1 << 20  # words that are read at a time


@dataclass
class Windows:
    """B blocks of S words, the P = S + 2w words in and around each, and which of these are neighbours of which.

        words (B, S), around (B, P), pairs (B, S, P) boolean, negatives (G, K), sentences (B, S)

    Each B / G blocks share their K negatives.

    Sentences of which one word is left are left out, so that every word has a neighbour, but with `lone`. At the end
    the last word stands again and again, in sentence -1, and in no pair. The length is what a mean loss is over: the
    number of pairs, or with per_word the number of words.
    """

    words: Array
    around: Array
    pairs: Array
    negatives: Array
    sentences: Array
    per_word: bool = False

    def __len__(self) -> int:
        return int(np.count_nonzero(self.sentences >= 0 if self.per_word else self.pairs))


def checked_sentences(sentences: Iterable[Iterable[Any]], what: str = "sentence", words: str = "word"
                      ) -> Iterator[Iterable[Any]]:
    """The sentences, one after the other. TypeError for one that is a string, of which each letter would be a word, or
    for an iterator in a list of them, of which nothing would be left after one pass. (What is no list may make them.)
    """
    keeps = isinstance(sentences, Sized)
    for i, sentence in enumerate(sentences):
        if isinstance(sentence, (str, bytes)):
            raise TypeError(f"{what} {i} is {short(sentence)}, a string, of which each letter would be one {words}: "
                            f"give a list of {words}s for each {what}")
        if keeps and iter(sentence) is sentence:
            raise TypeError(f"{what} {i} is a {type(sentence).__name__}, which lasts for one pass, and there are "
                            f"several: give a list of {words}s for each")
        yield sentence


class SentenceIds:
    """Sentences of words as ids, for one pass after the other: yields (ids (N,), number of the sentence of each (N,)).

    sentences   re-iterable lists of words; a list of them is encoded once and kept (8 bytes a word), anything else is
                read anew in every pass, about CHUNK words at a time
    index       word -> id; other words are left out, and what stands around them moves together
    Raises TypeError for sentences and words that are none, see `checked_sentences`.

    keep        whether to keep them; None for whether they are a list
    """

    def __init__(self, sentences: Iterable[Iterable[str]], index: dict[str, int], keep: bool | None = None) -> None:
        self.sentences, self.index = sentences, index
        self.read = 0  # words in the last pass, those without an id too
        keep = isinstance(sentences, (list, tuple)) if keep is None else keep
        self.kept = list(self._read()) if keep else None

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return iter(self._read() if self.kept is None else self.kept)

    def _read(self) -> Iterator[tuple[Array, Array]]:
        ids: list[int] = []
        lengths: list[int] = []
        first, read, get = 0, 0, self.index.get
        for number, sentence in enumerate(checked_sentences(self.sentences)):
            words = [*sentence]
            read += len(words)
            known = [i for i in map(get, words) if i is not None]
            if len(known) < len(words) and (strange := [word for word in words if not isinstance(word, str)]):
                raise TypeError(f"sentence {number} has the word {strange[0]!r:.60}, a {type(strange[0]).__name__}: "
                                "words are strings")
            ids += known
            lengths.append(len(known))
            if len(ids) >= CHUNK:
                yield np.array(ids, np.int32), first + np.repeat(np.arange(len(lengths)), lengths)
                ids, lengths, first = [], [], first + len(lengths)
        if ids:
            yield np.array(ids, np.int32), first + np.repeat(np.arange(len(lengths)), lengths)
        self.read = read


class WindowBatches:
    """Sentences of ids, as `Windows` for one epoch after the other.

    text        re-iterable: (ids (N,), number of the sentence of each (N,)), such as SentenceIds. Windows end where a
                sentence does
    window      w: each word is paired with the words at most w' before and after it, w' drawn from 1 … w for each word
                (w itself with shrink=False): near words count more
    keep        (V,) the probability that an occurrence of a word stays; what goes is gone before windows are made
    noise       (V,) what negatives are drawn in proportion to
    negatives   K
    group       B / G: how many blocks share negatives; the last batch is filled up to a multiple of it
    blocks      B: blocks in a batch
    per_word    an example is a word, not a pair
    lone        keep words that are alone in their sentence, too

    All that is random is drawn afresh in every epoch, from `rng`. An epoch of which thinning out leaves nothing is one
    batch of no blocks.

    >>> text = [(np.array([3, 1, 4, 1, 0, 2]), np.array([0, 0, 0, 0, 1, 1]))]
    >>> batches = WindowBatches(text, 2, np.ones(5), np.ones(5), negatives=4, shrink=False)
    >>> [(len(batch), batch.words.shape, batch.around.shape, batch.negatives.shape) for batch in batches]
    [(12, (4, 16), (4, 20), (1, 4))]
    """

    def __init__(self, text: Iterable[tuple[Array, Array]], window: int, keep: Array, noise: Array,
                 negatives: int = 32, *, group: int = 4, blocks: int = BLOCKS, shrink: bool = True,
                 per_word: bool = False, lone: bool = False, rng: np.random.Generator | None = None) -> None:
        if blocks % group:
            raise ValueError(f"blocks {blocks} are no multiple of the {group} that share negatives")
        if not (np.isfinite(noise).all() and np.min(noise, initial=0) >= 0 and np.any(noise)):
            raise ValueError("noise is a weight for each word, finite, 0 or more, and above 0 for one at least")
        if not (np.min(keep, initial=0) >= 0 and np.max(keep, initial=0) <= 1):  # NaN is neither
            raise ValueError("keep is a probability for each word, in 0 … 1")
        self.text: Any = text
        self.window, self.keep, self.negatives, self.group = window, keep, negatives, group
        self.blocks, self.shrink, self.per_word, self.lone = blocks, shrink, per_word, lone
        self.given = 0  # words given out, in all epochs
        self.ends_pass = False  # whether the batch that was given out last is the last of its pass
        self.noise = np.cumsum(noise, dtype=np.float64)
        self.noise /= self.noise[-1]
        self.rng = np.random.default_rng(0) if rng is None else rng

    @property
    def words(self) -> int:
        """The number of words in a full batch."""
        return self.blocks * BLOCK

    def steps(self) -> int:
        """About how many batches an epoch has: it is gone through once, as if the words were thinned out."""
        rng = np.random.default_rng(0)
        return max(sum(-(-len(ids) // self.words) for ids, _ in self._thinned(rng)), 1)

    def __iter__(self) -> Iterator[Windows]:
        """Go through one epoch."""
        batches = self._pass()
        batch = next(batches, None)
        while batch is not None:  # the next one is made first, to know whether there is one
            after = next(batches, None)
            self.ends_pass = after is None
            yield batch
            batch = after

    def _pass(self) -> Iterator[Windows]:
        before = self.given
        for ids, sentences in self._thinned(self.rng):
            # No window is wider than the longest sentence: what a batch takes does not depend on a setting.
            begins = np.flatnonzero(np.diff(sentences, prepend=-1, append=-1))
            w = min(self.window, max(int(np.diff(begins).max(initial=1)) - 1, 1))
            for batch in blocks(len(ids), entries=self.words):
                self.given += batch.stop - batch.start
                yield self._cut(ids, sentences, batch.start, batch.stop, w)
        if self.given == before:
            yield self._cut(np.zeros(1, np.int64), np.zeros(1, np.int64), 0, 0, 1)

    def _thinned(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """The text without the occurrences that are skipped, and without words that are then alone."""
        for ids, sentences in self.text:
            stays = rng.random(len(ids)) < self.keep[ids]
            ids, sentences = ids[stays], sentences[stays]
            if len(ids) and not self.lone:
                as_next = np.concatenate([sentences[1:] == sentences[:-1], [False]])
                has_neighbour = as_next.copy()
                has_neighbour[1:] |= as_next[:-1]
                ids, sentences = ids[has_neighbour], sentences[has_neighbour]
            yield ids, sentences

    def _cut(self, ids: Array, sentences: Array, start: int, stop: int, w: int) -> Windows:
        """The words from start to stop, in blocks, with w words on each side."""
        B = -(-(stop - start) // (self.group * BLOCK)) * self.group
        begin, end = max(start - w, 0), min(start + B * BLOCK + w, len(ids))
        around = np.full(B * BLOCK + 2 * w, ids[stop - 1], np.int64)
        number = np.full(len(around), -1)  # of the sentence
        around[begin - start + w:end - start + w] = ids[begin:end]
        number[begin - start + w:end - start + w] = sentences[begin:end]
        places = np.arange(B)[:, None] * BLOCK + np.arange(BLOCK + 2 * w)  # (B, P)
        words = slice(w, w + BLOCK)
        around, number = around[places], number[places]
        distance = np.abs(np.arange(BLOCK + 2 * w) - w - np.arange(BLOCK)[:, None]).astype(np.int32)  # (S, P)
        reach = self.rng.integers(1, self.window + 1, (B, BLOCK)) if self.shrink else np.full((B, BLOCK), self.window)
        pairs = distance <= np.minimum(reach, w).astype(np.int32)[..., None]  # (B, S, P)
        pairs &= distance > 0
        own = number[:, words, None]
        pairs &= np.where(own < 0, -2, own) == number[:, None]
        negatives = self.noise.searchsorted(self.rng.random((B // self.group, self.negatives)), "right")
        return Windows(around[:, words], around, pairs, negatives, number[:, words], self.per_word)
