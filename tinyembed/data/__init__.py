"""Text that every Python installation already has, and the batches that training draws from it."""

from .batches import NextTokenBatches, split_documents
from .cooccurrence import CooccurrenceBatches, Cooccurrences, cooccurrences
from .planted import Planted, planted_corpus
from .prose import paragraphs, python_docs, python_docstrings
from .senses import Senses, two_senses
from .windows import SentenceIds, WindowBatches, Windows

__all__ = ["CooccurrenceBatches", "Cooccurrences", "NextTokenBatches", "Planted", "Senses", "SentenceIds",
           "WindowBatches", "Windows", "cooccurrences", "paragraphs", "planted_corpus", "python_docs",
           "python_docstrings", "split_documents", "two_senses"]
