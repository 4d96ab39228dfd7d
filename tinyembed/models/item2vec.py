"""ItemToVec: item vectors from baskets: skip-gram in which a whole basket is one context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array
from ..data import BasketBatches, SentenceIds, WindowBatches, checked_sentences
from ..text import noise_distribution
from ..vectors import node_key
from .node2vec import NodeModel
from .settings import Settings, shows
from .word2vec import BLOCKS, NEGATIVES
from .words import TextModel, all_or_nothing, text_of


@dataclass
class ItemToVecSettings(Settings):
    """The settings of ItemToVec: those of Word2Vec that mean something where there is no order."""

    vector_size: int = 100
    alpha: float = 0.025
    min_count: int = 1
    sample: float = 0.0
    seed: int = 1
    min_alpha: float = 1e-4
    negative: int = 5
    ns_exponent: float = 0.75
    epochs: int = 5
    max_final_vocab: int | None = None

    sg = cbow_mean = 1  # no settings: skip-gram it is


class Baskets:
    """Baskets as sentences: each item as text, once. They are made while they are read; `integers` says of each text
    that was met whether its item is one.

    >>> baskets = Baskets([["tea", 7, "tea"], [7]])
    >>> list(baskets), baskets.integers
    ([['tea', '7'], ['7']], {'tea': False, '7': True})
    """

    def __init__(self, baskets: Iterable[Iterable[Any]], integers: dict[str, bool] | None = None) -> None:
        self.baskets, self.integers = baskets, {} if integers is None else integers

    def __iter__(self) -> Iterator[list[str]]:
        for basket in checked_sentences(self.baskets, "basket", "item"):
            for key in map(node_key, items := list(basket)):
                if self.integers.setdefault(str(key), isinstance(key, int)) != isinstance(key, int):
                    raise ValueError(f"two items are the same as text, {str(key)!r} and {key!s}: name one of them "
                                     "otherwise")
            yield list(dict.fromkeys(map(str, items)))


class ItemToVec(NodeModel):
    """Vectors for items, such that items which are had together have similar ones.

        loss = the mean over the pairs i, j of a basket, i != j, of -log s(u_i . v_j), and `negative` times as many
               drawn items k with -log s(-u_i . v_k), s the sigmoid; u are the vectors, v what items are predicted as

    baskets      lists of items: what a customer bought, what a file imports. Gone through several times; a list is kept
                 as ids, anything else is read anew in each pass, and may be larger than memory
    corpus_file  instead: a file with a basket in each line
    min_count    items that are in fewer baskets are left out
    sample       how items that are in many baskets are thinned out. 0: none

    The whole basket is one context: order and repeats in it change nothing, to the last bit, and there is no window.
    Memory grows with the baskets, and time with the squares of their sizes (`te.data.BasketBatches`). Settings, files,
    `train` and `untrained` are those of `Word2Vec` with sg=1. Keys of `wv` are the items (`NodeVectors`: integers stay
    integers, all else is kept as its text). What goes with several items is `wv.most_similar([item, item])`; what goes
    with what users have, `te.vectors.ItemMean`. ValueError for two items that are the same as text.
    (Barkan and Koenigstein 2016, "Item2Vec: neural item embedding for collaborative filtering")

    >>> baskets = [["tea", "milk", 7], [7, "milk", "tea"], ["nail", "saw"], ["saw", "nail", "glue"]] * 20
    >>> model = ItemToVec(baskets, vector_size=8, epochs=20)
    >>> sorted(item for item, _ in model.wv.most_similar(7, topn=2)), model.wv.most_similar("glue", topn=1)[0][0]
    (['milk', 'tea'], 'saw')
    """

    settings_class = ItemToVecSettings

    @shows(ItemToVecSettings)
    def __init__(self, baskets: Any = None, corpus_file: Any = None, *settings: Any, held_out: Any = None,
                 **named: Any) -> None:
        if "window" in named:
            raise TypeError("there is no window: all of a basket is one context, whatever its size")
        TextModel.__init__(self, ItemToVecSettings(*settings, **named), baskets, corpus_file, held_out=held_out)

    @all_or_nothing
    def build_vocab(self, corpus_iterable: Any = None, corpus_file: Any = None, update: bool = False) -> None:
        """Count in how many baskets each item is, and make a row for each that is in enough. With update=True further
        ones: rows for items that are new, and the counts of the old ones go up."""
        text = text_of(corpus_iterable, corpus_file)
        known = {token: token in self.integers for token in self.vocabulary.tokens if update}
        baskets = None if text is None else Baskets(text, known)
        super().build_vocab(baskets, update=update)
        self.integers = frozenset(token for token in self.vocabulary.tokens if known.get(token))
        self._refresh()

    def _batches(self, sentences: Any, keep: Array, rng: np.random.Generator, **options: Any) -> WindowBatches:
        known = {token: token in self.integers for token in self.vocabulary.tokens}
        ids = SentenceIds(Baskets(sentences, known), self.vocabulary.index, keep=isinstance(sentences, (list, tuple)))
        return BasketBatches(ids, keep, noise_distribution(self.vocabulary.counts, self.ns_exponent), NEGATIVES[1],
                             blocks=BLOCKS[1], rng=rng)
