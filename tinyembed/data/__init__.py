"""Text that every Python installation already has, text that is made, and the batches that training draws from them."""

from .batches import Batches, NextTokenBatches, split_documents
from .cooccurrence import CooccurrenceBatches, Cooccurrences, cooccurrences
from .entailment import entailment_pairs
from .planted import Planted, planted_corpus
from .prose import paragraphs, python_docs, python_docstrings
from .senses import Senses, two_senses
from .similarity import similar_pairs
from .windows import SentenceIds, WindowBatches, Windows

__all__ = ["Batches", "CooccurrenceBatches", "Cooccurrences", "NextTokenBatches", "Planted", "Senses", "SentenceIds",
           "WindowBatches", "Windows", "cooccurrences", "entailment_pairs", "paragraphs", "planted_corpus",
           "python_docs", "python_docstrings", "similar_pairs", "split_documents", "two_senses"]
