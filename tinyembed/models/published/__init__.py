"""Weights that others have trained, one family a file: their names, their settings, their numbers."""

from .token_table import PretrainedTable, load_table
from .transformers import load_bert, load_gpt, save_gpt

__all__ = ["PretrainedTable", "load_bert", "load_gpt", "load_table", "save_gpt"]
