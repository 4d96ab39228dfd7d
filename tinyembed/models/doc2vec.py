"""Doc2Vec: document vectors, trained like word vectors, and inferred for new documents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core import Array, Parameter, Tensor, warn
from ..data import WindowBatches, Windows
from ..files import short
from ..ops import matmul
from ..optim import Adagrad
from ..text import LineSentences
from ..train import fit
from ..vectors import KeyedVectors
from .settings import Settings, shows
from .word2vec import RATE, WindowModel, Word2Vec, ragged_rows
from .words import TextModel, all_or_nothing, text_of

SELDOM = 3.0  # a document's vector is stepped about once in an epoch, a word's many times: it takes longer steps


class TaggedDocument(NamedTuple):
    """A list of words, and the tags whose vectors they train: names or numbers, mostly one for each document."""

    words: Sequence[str]
    tags: Sequence[str | int]


@dataclass
class Doc2VecSettings(Settings):
    """The settings of Doc2Vec, under gensim's names and with its defaults; `Doc2Vec` and `Word2Vec` say what they
    mean."""

    vector_size: int = 100
    dm_mean: int | None = None
    dm: int = 1
    dbow_words: int = 0
    dm_concat: int = 0
    window: int = 5
    epochs: int = 10
    shrink_windows: bool = True
    _: KW_ONLY
    alpha: float = 0.025
    min_count: int = 5
    sample: float = 1e-3
    seed: int = 1
    workers: int = 3
    min_alpha: float = 1e-4
    negative: int = 5
    ns_exponent: float = 0.75
    max_final_vocab: int | None = None
    hs: int = 0

    @property
    def cbow_mean(self) -> bool:
        """Whether neighbours count by their mean, not their sum."""
        return self.dm_mean is None or bool(self.dm_mean)


class DocumentModel(WindowModel):
    """WindowModel with a third table: documents (T, D), one row for each tag.

    tags (N,), starts (documents + 1,): tags[starts[i]:starts[i + 1]] are the rows of document i. A document is their
    sum or mean, as a word's neighbours are with CBOW.

        PV-DM     the sum or mean of a word's neighbours and its document's tags is to be near what the word is
                  predicted as
        PV-DBOW   the mean of its document's tags is; with dbow_words skip-gram is trained beside it
    """

    tags: Array
    starts: Array

    def __init__(self, vectors: Array, documents: Array, V: int, settings: Doc2VecSettings) -> None:
        super().__init__(vectors, V, settings)
        self.documents = Parameter(documents)

    def loss(self, batch: Windows) -> Tensor:
        """The mean over the words of the batch."""
        there = batch.sentences[..., None] >= 0  # (B, S, 1)
        documents = np.maximum(batch.sentences, 0)
        x = ragged_rows(self.documents, self.tags, self.starts, documents, "sum")
        number = (self.starts[documents + 1] - self.starts[documents])[..., None]  # of tags
        if not self.settings.dm:
            loss = self.predict(x / number.astype(np.float32), there, batch)
            return loss + self.skip_gram(batch) if self.settings.dbow_words else loss
        x = x + matmul(batch.pairs.astype(np.float32), self.rows(batch.around))
        if self.settings.cbow_mean:
            x = x / (number + batch.pairs.sum(2)[..., None]).astype(np.float32)
        return self.predict(x, there, batch)


class Doc2Vec(Word2Vec):
    """Vectors for documents, such that documents with the same words, in the same company, have similar ones.

    documents    `TaggedDocument(words, tags)`, or anything with these attributes; gone through several times, in the
                 same order. A list is kept as ids; anything else is read anew in each pass
    corpus_file  instead: a file with a document in each line, whose tag is the number of its line, from 0; blank lines
                 count, and have none
    dm           1: PV-DM, document and neighbours predict a word; 0: PV-DBOW, the document alone does
    dm_mean      PV-DM adds up tags and neighbours (0) or takes their mean (1)
    dbow_words   with dm=0: also train the words' vectors, by skip-gram; else they stay random (`untrained()` says so)
    epochs       passes over the text, 10 as in gensim

    All other settings are those of `Word2Vec`; `train` goes through the documents that `build_vocab` has seen, and
    holds none out, as these have no vectors. After training `dv` has the vectors by tag, `wv` those of words (both
    `KeyedVectors`), and `infer_vector(words)` makes one for a new document. Several tags on one document share its
    gradient: PV-DBOW has their mean predict, where gensim has each of them.
    (Le and Mikolov 2014, "Distributed representations of sentences and documents")

    >>> texts = ["the king rules the land", "the queen rules the land", "a cat eats fish", "a dog eats fish"]
    >>> documents = [TaggedDocument(text.split(), [i]) for i, text in enumerate(texts * 10)]
    >>> model = Doc2Vec(documents, vector_size=8, min_count=1, sample=0, dm=0, epochs=40)
    >>> model.dv.most_similar([model.infer_vector("the queen rules the land".split())], topn=1)[0][0] % 4 in (0, 1)
    True
    """

    settings_class = Doc2VecSettings
    ROWS: ClassVar = [[(str, int)]]  # the tags of each document
    sg = 0  # an example is a word
    tags: list[list[str | int]]  # of each document
    dv: KeyedVectors

    @shows(Doc2VecSettings)
    def __init__(self, documents: Any = None, corpus_file: Any = None, *settings: Any, **named: Any) -> None:
        self.tags = []
        TextModel.__init__(self, Doc2VecSettings(*settings, **named), documents, corpus_file)

    @all_or_nothing
    def build_vocab(self, corpus_iterable: Any = None, corpus_file: Any = None, update: bool = False) -> None:
        """Count the words and make a row for each that is frequent enough, and one for each tag."""
        if update:
            raise ValueError("Doc2Vec does not take further words in; infer_vector makes vectors for new documents, "
                             "of the words that are known")
        documents = documents_of(corpus_iterable, corpus_file)
        self.tags = [_checked_tags(document.tags, i) for i, document in enumerate(documents or ())]
        super().build_vocab(documents and words_of(documents))

    def _tables(self, rows: Any) -> dict[str, int]:
        tags = {tag for i, tags in enumerate(rows) for tag in _checked_tags(tags, i)}
        return {**super()._tables(rows), "documents": len(tags)}

    def _make(self, rows: Any = None) -> None:
        V = len(self.vocabulary)
        self.tags = self.tags if rows is None else rows
        index = {tag: i for i, tag in enumerate(dict.fromkeys(tag for tags in self.tags for tag in tags))}
        self.word_rows = np.arange(V)
        self.network = DocumentModel(self._drawn(V), self._drawn(len(index)), V, self.settings)
        self.network.tags = np.array([index[tag] for tags in self.tags for tag in tags], np.int64)
        self.network.starts = np.cumsum([0, *map(len, self.tags)])
        self.optimizer = Adagrad([{"params": [self.network.vectors, self.network.output]},
                                  {"params": [self.network.documents]}], per_row=True)

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "rows": self.tags}

    def _tables_by_key(self) -> dict[str, KeyedVectors]:
        keys = dict.fromkeys(tag for tags in self.tags for tag in tags)
        return {**super()._tables_by_key(), "dv": KeyedVectors(keys=keys, vectors=self.network.documents.data)}

    def _shared(self) -> dict[str, Array]:
        return {**super()._shared(), "dv": self.network.documents.data}

    def _sentences(self, given: Any, corpus_file: Any) -> Any:
        documents = documents_of(given, corpus_file)
        sentences = super()._sentences(documents and words_of(documents), None)
        if [[*document.tags] for document in documents] != self.tags:
            raise ValueError("training goes through the documents that build_vocab has seen, in their order, and these "
                             "are others: make a new model, or infer_vector for each of them")
        return sentences

    def _refresh(self, known: int | None = None) -> None:
        """As there; documents of which nothing was read in any training have zeros, not the numbers they began with."""
        for sums in self.optimizer.state[-1].arrays or ():
            self.network.documents.data[sums[:, 0] == 0] = 0
        super()._refresh(known)

    def _held_out(self, sentences: Any) -> WindowBatches:
        raise ValueError("held-out documents have no vectors to predict with; judge infer_vector's")

    def _rates(self) -> tuple[float, ...]:
        rate = self.alpha * RATE[1]
        return rate, rate * SELDOM

    def _batches(self, sentences: Any, keep: Array, rng: np.random.Generator, **options: Any) -> WindowBatches:
        # A document predicts its words even where they have no neighbours. It is a few blocks long: if these shared
        # their negatives it would meet too few words that are not its own. Batches and rate are those of skip-gram.
        return super()._batches(sentences, keep, rng, negatives=16, group=1, blocks=128, lone=True)

    def infer_vector(self, doc_words: Sequence[str], alpha: float | None = None, min_alpha: float | None = None,
                     epochs: int | None = None) -> Array:
        """The vector (D,) that a document of these words would have had: it is trained for, all else stands still.

        The same words give the same vector every time, from a start that the model's seed decides. Words that are not
        in the vocabulary are passed over; where all are, the vector is zeros, whose similarity with everything is 0,
        and a warning says so. alpha, min_alpha, epochs: those of training if None.
        """
        if isinstance(doc_words, (str, bytes)):
            raise TypeError("doc_words is a list of words; of a string each letter would be one: split it first")
        asked = self._settings_for(alpha=alpha, min_alpha=min_alpha, epochs=epochs)
        words = list(doc_words)
        if not len(self.vocabulary):
            raise ValueError("there is no vocabulary yet: build_vocab and train first")
        if not any(word in self.vocabulary for word in words):
            warn(f"no word of {short(words)} is in the vocabulary: the vector is zeros")
            return np.zeros(self.vector_size, np.float32)
        self._take_back()
        rng = np.random.default_rng(self.seed)
        D = self.vector_size
        network = copy.copy(self.network)
        vars(network).update(vectors=self.network.vectors.data, output=self.network.output.data)  # arrays: not trained
        network.documents = Parameter((rng.random((1, D), np.float32) - np.float32(0.5)) / np.float32(D))
        network.tags, network.starts = np.zeros(1, np.int64), np.arange(2)
        network.settings = replace(self.settings, dbow_words=0)  # no words are trained
        batches = self._batches([words], np.ones(len(self.vocabulary)), rng)
        optimizer = Adagrad([network.documents], lr=self._rates()[1], per_row=True)
        fit(network, batches, optimizer, epochs=asked.epochs, progress=False,
            schedule=self._falling(asked, batches.steps() * asked.epochs))
        return network.documents.data[0]


class Again:
    """What a function gives, asked for anew in every pass."""

    def __init__(self, items: Callable[[], Iterator[Any]]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return self.items()


def documents_of(documents: Any, corpus_file: Any) -> Any:
    """The documents, or the lines of a file, tagged by number; None if neither is given."""
    text = text_of(documents, corpus_file)
    if isinstance(text, (list, tuple)) and text and not hasattr(text[0], "tags"):
        raise TypeError(f"a document has words and tags, TaggedDocument(words, tags), not {text[0]!r:.60}")
    if corpus_file is None:
        return text
    lines = LineSentences(corpus_file, None)
    return Again(lambda: (TaggedDocument(words, [i]) for i, words in enumerate(lines) if words))


def words_of(documents: Any) -> Any:
    """Their lists of words: a list, or for what is no list something to go through anew in every pass."""
    if isinstance(documents, (list, tuple)):
        return [document.words for document in documents]
    return Again(lambda: (document.words for document in documents))


def _checked_tags(tags: Any, i: int) -> list[str | int]:
    if isinstance(tags, (str, int)) or not len(tags):
        raise ValueError(f"document {i} has the tags {tags!r}: a list of one or more is expected")
    return list(tags)
