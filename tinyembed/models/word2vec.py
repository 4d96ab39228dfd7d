"""Word2Vec: skip-gram and CBOW with negative sampling, with gensim's names and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Parameter, Tensor, unique_inverse
from ..data import SentenceIds, WindowBatches, Windows
from ..nn import Module
from ..ops import embedding, embedding_bag, log_sigmoid, matmul, negative_sampling, ragged, vecdot
from ..optim import Adagrad
from ..text import Vocabulary, keep_probabilities, noise_distribution
from ..train import evaluate, fit
from ..vectors import listed
from .settings import Settings, shows
from .words import TextModel, all_or_nothing, text_of

# With CBOW, and with skip-gram, of which each word is several examples:
RATE = (10.5, 9.0)  # Adagrad's learning rate for an alpha of 1
NEGATIVES = (24, 32)  # that 64 words share
BLOCKS = (256, 128)  # of 16 words, in a batch


@dataclass
class Word2VecSettings(Settings):
    """The settings of Word2Vec, under gensim's names and with its defaults; `Word2Vec` says what they mean."""

    vector_size: int = 100
    alpha: float = 0.025
    window: int = 5
    min_count: int = 5
    sample: float = 1e-3
    seed: int = 1
    workers: int = 3
    min_alpha: float = 1e-4
    sg: int = 0
    hs: int = 0
    negative: int = 5
    ns_exponent: float = 0.75
    cbow_mean: int = 1
    epochs: int = 5
    max_final_vocab: int | None = None
    compute_loss: bool = False
    shrink_windows: bool = True


class WindowModel(Module):
    """The two tables of Word2Vec, and the loss of a batch of windows.

    vectors (V, D): what a word is looked up as, and in the end its vector; output (V, D): what it is predicted as.

        skip-gram   each word is to be near what its neighbours are predicted as
        CBOW        the sum or mean of a word's neighbours is to be near what it is predicted as

    "Near" is `negative_sampling`: a large dot product for these, small ones for `negative` words drawn at random for
    each pair. The K negatives that blocks share stand for as many draws each as it takes. Of the settings `sg`,
    `negative` and `cbow_mean` are looked at here.
    """

    def __init__(self, vectors: Array, V: int, settings: Any) -> None:
        self.vectors = Parameter(vectors)
        self.output = Parameter(np.zeros((V, vectors.shape[1]), np.float32))
        self.settings = settings

    def rows(self, ids: Array) -> Tensor:
        """The input vectors of words: ids (…) -> (…, D)."""
        return embedding(self.vectors, ids)

    def loss(self, batch: Windows) -> Tensor:
        """The mean over the pairs of the batch, or with CBOW over its words."""
        return self.skip_gram(batch) if self.settings.sg else self.cbow(batch)

    def skip_gram(self, batch: Windows) -> Tensor:
        """Each word near what its neighbours are predicted as."""
        count = batch.pairs.sum(2, dtype=np.float32)[..., None]  # (B, S, 1) neighbours
        return self.attract(self.rows(batch.words), batch.around, batch.pairs, count, batch)

    def cbow(self, batch: Windows) -> Tensor:
        """The mean or sum of each word's neighbours near what it is predicted as."""
        count = batch.pairs.sum(2, dtype=np.float32)[..., None]
        share = batch.pairs / np.maximum(count, 1) if self.settings.cbow_mean else batch.pairs.astype(np.float32)
        return self.predict(matmul(share, self.rows(batch.around)), count > 0, batch)

    def predict(self, x: Tensor, there: Array, batch: Windows) -> Tensor:
        """x (B, S, D) near the words themselves, but for those of which there (B, S, 1) is False."""
        products = vecdot(x, embedding(self.output, batch.words))
        near = (log_sigmoid(products) * (there[..., 0] / np.float32(-max(len(batch), 1)))).sum()
        return near + self.repel(x, there, batch)

    def attract(self, x: Tensor, others: Array, pairs: Array, count: Array, batch: Windows) -> Tensor:
        """x (B, S, D) near the words `others` (B, Q) where `pairs` (B, S, Q) says so, count (B, S, 1) of them each."""
        near = negative_sampling(x, embedding(self.output, others), pairs / np.float32(max(len(batch), 1)))
        return near + self.repel(x, count, batch)

    def repel(self, x: Tensor, count: Array, batch: Windows) -> Tensor:
        """x (B, S, D) far from the negatives, as many times as count (B, S, 1) says."""
        (B, S, D), (G, K) = x.shape, batch.negatives.shape
        N = B * S // max(G, 1)  # words that share negatives
        each = count.reshape(G, N, 1) * np.float32(-self.settings.negative / K / max(len(batch), 1))
        return negative_sampling(x.reshape((G, N, D)), embedding(self.output, batch.negatives), np.repeat(each, K, 2))


def ragged_rows(table: Parameter, pieces: Array, starts: Array, ids: Array, mode: str) -> Tensor:
    """For each id i the sum or mean of several rows, pieces[starts[i]:starts[i + 1]]:  ids (…) -> (…, D)

    Each is put together once, however often it stands in ids.
    """
    unique, inverse = unique_inverse(ids.reshape(-1))
    return embedding_bag(table, *ragged(pieces, starts, unique), mode=mode)[inverse.reshape(ids.shape)]


class Word2Vec(TextModel):
    """Vectors for words, such that words with the same neighbours have similar ones.

    sentences        lists of words, gone through several times: a list, `LineSentences(path)` or the like. A list is
                     kept as ids; anything else is read anew in each pass, and may be larger than memory
    vector_size      D
    alpha, min_alpha the learning rate falls from alpha to min_alpha in a straight line. The rule is Adagrad with one
                     sum of squares a row, not plain SGD as in gensim: a batch moves a frequent word once where SGD
                     would move it hundreds of times; alpha is scaled so that gensim's values serve
    window           the largest distance of a neighbour; with shrink_windows drawn from 1 … window for each word
    min_count        words that are seen less often are left out
    sample           how frequent words are thinned out: the larger a word's share of the text, the more of its
                     occurrences are skipped. 0: none
    sg               1: skip-gram, 0: CBOW, with the mean of the neighbours (cbow_mean=1) or their sum (0)
    negative         words drawn at random for each pair, in proportion to count^ns_exponent
    seed             the same seed, text and machine give the same bytes, in every process

    Settings are attributes: `model.epochs = 3` is checked as here, counts in the next training, and is saved with the
    model. What decides how large the tables are is refused once there is a vocabulary.

    After training `wv` has the vectors (`KeyedVectors`), `history` what was measured: the mean loss in each epoch,
    and `history.rows`, which rows moved and which never did (`untrained()` names these words). (Mikolov et al. 2013,
    "Efficient estimation of word representations in vector space" and "Distributed representations of words and
    phrases and their compositionality")

    Differs from gensim: `workers`, `compute_loss` and train's `total_examples` and `total_words` are accepted and
    change nothing (one thread trains, and the loss is always there), hs=1 (hierarchical softmax) and Doc2Vec's
    dm_concat=1 are refused; the loss is a mean, not a sum; saving uses one safetensors file. Raises ValueError for
    settings that are no use and for texts in which no word is frequent enough, TypeError for a string where a list of
    words is meant.

    >>> text = [["king", "rules", "land"], ["queen", "rules", "land"], ["cat", "eats", "fish"], ["dog", "eats", "fish"]]
    >>> model = Word2Vec(text * 50, vector_size=8, min_count=1, sample=0, sg=1, epochs=20)
    >>> model.wv.most_similar("king", topn=1)[0][0]
    'queen'
    """

    settings_class: ClassVar[type[Settings]] = Word2VecSettings

    @shows(Word2VecSettings)
    def __init__(self, sentences: Any = None, corpus_file: Any = None, *settings: Any, held_out: Any = None,
                 **named: Any) -> None:
        super().__init__(Word2VecSettings(*settings, **named), sentences, corpus_file, held_out=held_out)

    def _make(self, rows: Any = None) -> None:
        """The tables, as yet untrained, and their optimiser, whose rate `train` sets."""
        V = len(self.vocabulary)
        self.word_rows = np.arange(V)
        self.network = WindowModel(self._drawn(V), V, self.settings)
        self.optimizer = Adagrad(self.network.parameters(), per_row=True)

    def _grow(self, new: Vocabulary) -> None:
        k = len(new) - len(self.vocabulary)
        self.word_rows = np.arange(len(new))
        self.network.vectors.grow(self._drawn(k))
        self.network.output.grow(np.zeros((k, self.vector_size)))

    def _vectors(self) -> Array:
        return self.network.vectors.data

    def _shared(self) -> dict[str, Array]:
        return {"wv": self.network.vectors.data}

    # -- training ------------------------------------------------------------------------------------------------------

    @all_or_nothing
    def train(self, corpus_iterable: Any = None, corpus_file: Any = None, total_examples: Any = None,
              total_words: Any = None, epochs: int | None = None, start_alpha: float | None = None,
              end_alpha: float | None = None, *, held_out: Any = None, progress: bool = False, checkpoint: Any = None,
              resume: bool = False) -> tuple[int, int]:
        """Go through the text `epochs` times; returns how many words were trained on and how many were read,
        those without a row too.

        May be called again, with the same text or another. held_out: sentences whose mean loss is measured after every
        epoch. checkpoint, resume: as in `te.train.fit`.
        """
        sentences = self._sentences(corpus_iterable, corpus_file)
        asked = self._settings_for(epochs=epochs, alpha=start_alpha, min_alpha=end_alpha)
        keep = keep_probabilities(self.vocabulary.counts, self.sample)
        batches = self._batches(sentences, keep, self.rng)
        steps = batches.steps() * asked.epochs  # of this text, whatever the vocabulary was counted in
        held = None if held_out is None else list(self._held_out(held_out))
        for group, rate in zip(self.optimizer.groups, self._rates()):
            group.lr = rate
        self.history = fit(
            self.network, batches, self.optimizer, epochs=asked.epochs, held_out=held, every=None,
            schedule=self._falling(asked, steps),
            progress=progress, checkpoint=checkpoint, resume=resume, about=self._about())
        self._refresh()
        return batches.given, batches.text.read * asked.epochs

    def _rates(self) -> tuple[float, ...]:
        """The learning rate of each group of the optimiser, for an alpha that does not fall."""
        return (self.alpha * RATE[bool(self.sg)],)

    def _falling(self, asked: Any, steps: float) -> Callable[[int], float]:
        """From alpha to min_alpha in a straight line, those that are asked for, as a factor on the optimiser's rate,
        which is that of the model's own alpha."""
        start, end = float(asked.alpha), float(asked.min_alpha)
        return lambda step: max(start - (start - end) * step / max(steps, 1), end) / float(self.alpha)

    def _batches(self, sentences: Any, keep: Array, rng: np.random.Generator, **options: Any) -> WindowBatches:
        sg = bool(self.sg)
        options = {"negatives": NEGATIVES[sg], "blocks": BLOCKS[sg], "per_word": not sg, **options}
        return WindowBatches(SentenceIds(sentences, self.vocabulary.index), self.window, keep,
                             noise_distribution(self.vocabulary.counts, self.ns_exponent), shrink=self.shrink_windows,
                             rng=rng, **options)

    def _held_out(self, sentences: Any) -> WindowBatches:
        """Batches to evaluate on: no word is thinned out, and what is drawn is drawn from seed 0."""
        self._take_back()
        return self._batches(text_of(sentences), np.ones(len(self.vocabulary)), np.random.default_rng(0))

    def loss_on(self, sentences: Any) -> float:
        """The mean loss on other sentences, with windows and negatives drawn from seed 0."""
        return evaluate(self.network, self._held_out(sentences))

    def predict_output_word(self, context_words: Iterable[str], topn: int = 10) -> list[tuple[str, float]] | None:
        """The words that such neighbours predict, with softmax probabilities; None if no neighbour is known."""
        ids = [self.vocabulary.index[word] for word in listed(context_words) if word in self.vocabulary]
        if not ids:
            return None
        self._take_back()
        x = self.network.rows(np.array(ids)).data
        scores = self.network.output.data @ (x.mean(0) if self.cbow_mean else x.sum(0))
        p = np.exp(scores - scores.max(), dtype=np.float64)
        best = np.argsort(-p, kind="stable")[:topn]
        return [(self.vocabulary.tokens[i], float(p[i] / p.sum())) for i in best]
