"""Text that every Python installation already has, and the batches that training draws from it."""

from .batches import NextTokenBatches, split_documents
from .prose import python_docs

__all__ = ["NextTokenBatches", "python_docs", "split_documents"]
