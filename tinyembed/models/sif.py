"""SIF: sentence vectors as weighted means of word vectors, rare words weighing more. Nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..nn import EmbeddingBag, Linear
from ..text import Tokenizer
from .bodies import StaticEmbedding
from .sentence import SentenceEncoder


def sif(tokenizer: Tokenizer, table: Any, counts: Any, texts: Iterable[str], a: float = 1e-3) -> SentenceEncoder:
    """Smooth inverse frequency: v(text) = (I - u u^T) mean of a / (a + p(w)) row_w

        table (V, D): a row for each token of the tokenizer; counts (V,): how often each occurs, p = counts / sum
        u (D,): the direction that the vectors of `texts` have most in common (their first right singular vector)

    The weights are put into the table and I - u u^T is a Linear layer, so the result is a SentenceEncoder like others,
    and can be trained further. a: the smaller, the less frequent words count; the authors take 1e-3 … 1e-4.
    Raises ValueError for a table or counts that do not fit the tokenizer, and without texts.
    (Arora, Liang and Ma 2017, "A simple but tough-to-beat baseline for sentence embeddings")

    >>> from tinyembed.text import Vocabulary, WordTokenizer
    >>> words = WordTokenizer(Vocabulary.build([["the", "the", "the", "cat", "sat"]], specials=()))
    >>> encoder = sif(words, np.eye(3), words.vocabulary.counts, ["the cat", "the sat"])
    >>> encoder.encode("the cat").shape
    (3,)
    """
    table, counts, texts = np.asarray(table), np.asarray(counts, np.float64), list(texts)
    if table.ndim != 2 or len(table) != len(tokenizer) or counts.shape != (len(table),) or not texts \
            or not (counts.min() >= 0 and counts.sum() > 0 and a > 0):
        raise ValueError(f"sif takes a row and a count for each of {len(tokenizer)} tokens, not all of them 0, an a "
                         f"above 0, and a text at least; got {table.shape}, {counts.shape}, {a} and {len(texts)} texts")
    weights = a / (a + counts / counts.sum())
    rows = (table * weights[:, None]).astype(np.result_type(table.dtype, np.float32))
    encoder = SentenceEncoder(tokenizer, StaticEmbedding(EmbeddingBag.from_pretrained(rows, freeze=False)))
    X = encoder.encode(texts).astype(np.float64)
    u = np.linalg.eigh(X.T @ X)[1][:, -1]
    common = Linear(len(u), len(u), bias=False, dtype=rows.dtype)
    common.weight.data = np.eye(len(u)) - np.outer(u, u)
    encoder.head.append(common)
    return encoder
