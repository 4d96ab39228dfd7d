"""Files in and out, as bytes, arrays and names; what they become is made by the floors above."""

from .errors import FormatError
from .fasttext import FastTextFile, read_fasttext
from .projector import write_projector
from .safetensors import SafeTensors, sparse_safetensors, write_safetensors
from .trees import FileReference, check_tree, read_tree, write_tree
from .word2vec import read_word2vec, write_word2vec
from .writing import atomic_write

__all__ = ["FastTextFile", "FileReference", "FormatError", "SafeTensors", "atomic_write", "check_tree", "read_fasttext",
           "read_tree", "read_word2vec", "sparse_safetensors", "write_projector", "write_safetensors", "write_tree",
           "write_word2vec"]
