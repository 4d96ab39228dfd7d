"""Text and graphs that every Python installation already has, text and pictures that are made, and the batches that
training draws from them."""

from typing import TYPE_CHECKING

from ..core import no_such_name
from .baskets import BasketBatches
from .batches import Batches, NextTokenBatches, split_documents
from .cooccurrence import CooccurrenceBatches, Cooccurrences, cooccurrences
from .drawings import SHAPE_ATTRIBUTES, Drawings, drawn_shapes, shape_caption, shape_combinations
from .entailment import entailment_pairs
from .graph import Graph, as_graph
from .imports import import_graph
from .karate import karate_club
from .letters import letters
from .pictures import Pictures, area_average, digits_or_letters, picture_folder
from .planted import Planted, planted_corpus
from .prose import paragraphs, python_docs, python_docstrings
from .senses import Senses, two_senses
from .similarity import similar_pairs
from .tastes import Tastes, planted_tastes
from .triples import Facts, as_triples, library_triples, number_triples, split_triples
from .walks import random_walks
from .windows import SentenceIds, WindowBatches, Windows, checked_sentences

if not TYPE_CHECKING:  # which is to go on finding names that are wrong
    def __getattr__(name):
        return no_such_name(__name__, name)

__all__ = ["SHAPE_ATTRIBUTES", "BasketBatches", "Batches", "CooccurrenceBatches", "Cooccurrences", "Drawings", "Facts",
           "Graph", "NextTokenBatches", "Pictures", "Planted", "Senses", "SentenceIds", "Tastes", "WindowBatches",
           "Windows", "area_average", "as_graph", "as_triples", "checked_sentences", "cooccurrences",
           "digits_or_letters", "drawn_shapes", "entailment_pairs", "import_graph", "karate_club", "letters",
           "library_triples", "number_triples", "paragraphs", "picture_folder", "planted_corpus", "planted_tastes",
           "python_docs", "python_docstrings", "random_walks", "shape_caption", "shape_combinations", "similar_pairs",
           "split_documents", "split_triples", "two_senses"]
