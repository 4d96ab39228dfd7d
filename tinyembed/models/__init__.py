"""Floor 4: the models that made embeddings what they are, one a file."""

from .doc2vec import Doc2Vec, TaggedDocument
from .fasttext import FastText
from .glove import GloVe
from .word2vec import Word2Vec

__all__ = ["Doc2Vec", "FastText", "GloVe", "TaggedDocument", "Word2Vec"]
