"""Floor 1: file formats: bytes, arrays and names in and out; the floors above make objects of them."""

from ..core import FileReference
from .archive import read_tree, strings_of, write_tree
from .atomic import Data, atomic_write, finish_save, write_together
from .errors import FormatError, found_in, short
from .fasttext import FastTextFile, read_fasttext
from .forms import check_tree
from .gzipped import Source, check_whole, open_file, read_file
from .projector import write_projector
from .safetensors import SafeTensors, safetensors_data, sparse_safetensors, write_safetensors
from .untrusted import Repeats, is_unicode, json_bytes, read_json
from .word2vec import read_word2vec, write_word2vec

__all__ = ["Data", "FastTextFile", "FileReference", "FormatError", "Repeats", "SafeTensors", "Source", "atomic_write",
           "check_tree", "check_whole", "finish_save", "found_in", "is_unicode", "json_bytes", "open_file",
           "read_fasttext", "read_file", "read_json", "read_tree", "read_word2vec", "safetensors_data", "short",
           "sparse_safetensors", "strings_of", "write_projector", "write_safetensors", "write_together", "write_tree",
           "write_word2vec"]
