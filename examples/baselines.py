"""Search by counting words: what a model with vectors has to beat. Examples share it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tinyembed.text import Vocabulary, spaced

WORD, HUMP = re.compile(r"[^\W_]+"), re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(text: str) -> list[str]:
    """The words of a text in lower case, of names too (check_output, ArgumentParser); Chinese characters one by one."""
    return WORD.findall(HUMP.sub(" ", spaced(text)).lower())


def plain(text: str) -> str:
    """The words of a text, a space between them."""
    return " ".join(words(text))


def strike(question: str, answer: str) -> str:
    """The question without the words that the answer has; both plain."""
    own = set(answer.split())
    return " ".join(word for word in question.split() if word not in own)


class WordCounts:
    """Documents as counts of words. A document scores the sum of its weights for the words of a query.

    A kind says what a weight is, in `weigh`, from: words, docs, counts (P), for each word of each document; df (V), how
    many documents have a word; N, how many there are.
    """

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self.vocabulary, self.N = Vocabulary.build(documents, specials=()), len(documents)
        ids = np.array([self.vocabulary.index[word] for words in documents for word in words], int)
        docs = np.repeat(np.arange(self.N), [len(words) for words in documents])
        pairs, self.counts = np.unique(ids * self.N + docs, return_counts=True)
        self.words, self.docs = np.divmod(pairs, self.N)
        self.starts = np.searchsorted(self.words, np.arange(len(self.vocabulary) + 1))
        self.df = np.diff(self.starts)
        self.weights = self.weigh()

    def weigh(self) -> np.ndarray:
        raise NotImplementedError

    def nearest(self, words: Sequence[str], k: int) -> list[int]:
        """The k documents that score highest, best first; fewer where fewer have any of the words."""
        scores = np.zeros(self.N)
        for id in (self.vocabulary.index[word] for word in words if word in self.vocabulary):
            some = slice(self.starts[id], self.starts[id + 1])
            scores[self.docs[some]] += self.weights[some]
        return [i for i in np.argsort(-scores, kind="stable")[:k].tolist() if scores[i] > 0]


class TfIdf(WordCounts):
    """The cosine between counts of words, each count times idf = log(documents / documents that have the word)."""

    def weigh(self) -> np.ndarray:
        idf = np.log(self.N / self.df)[self.words]
        lengths = np.sqrt(np.bincount(self.docs, (self.counts * idf) ** 2, self.N))
        return self.counts * idf * idf / np.maximum(lengths, 1e-9)[self.docs]  # one idf is the query's


class BM25(WordCounts):
    """idf c (k + 1) / (c + k (1 - b + b L / mean L)), for a word that stands c times in a document of L words.

    So a word counts less the more often it was seen already, and less in a long document. (Robertson et al. 1994)
    """

    k, b = 1.5, 0.75

    def weigh(self) -> np.ndarray:
        idf = np.log(1 + (self.N - self.df + 0.5) / (self.df + 0.5))[self.words]
        lengths = np.bincount(self.docs, self.counts, self.N)
        room = self.k * (1 - self.b + self.b * lengths / lengths.mean())[self.docs]
        return idf * self.counts * (self.k + 1) / (self.counts + room)
