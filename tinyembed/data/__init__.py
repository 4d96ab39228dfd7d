"""Text that every Python installation already has, and the batches that training draws from it."""

from .batches import NextTokenBatches, split_documents
from .cooccurrence import CooccurrenceBatches, Cooccurrences, cooccurrences
from .planted import Planted, planted_corpus
from .prose import python_docs
from .windows import SentenceIds, WindowBatches, Windows

__all__ = ["CooccurrenceBatches", "Cooccurrences", "NextTokenBatches", "Planted", "SentenceIds", "WindowBatches",
           "Windows", "cooccurrences", "planted_corpus", "python_docs", "split_documents"]
