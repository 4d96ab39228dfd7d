"""Weights that others have trained, one family a file: their names, their settings, their numbers."""

from .bert import load_bert
from .gpt import load_gpt, save_gpt
from .token_table import PretrainedTable, load_table

__all__ = ["PretrainedTable", "load_bert", "load_gpt", "load_table", "save_gpt"]
