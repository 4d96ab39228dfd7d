"""Floor 4: the models that made embeddings what they are, one a file."""

from .fasttext import FastText
from .word2vec import Word2Vec

__all__ = ["FastText", "Word2Vec"]
