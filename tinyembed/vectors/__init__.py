"""Floor 3: what to do with a table of vectors once it is trained."""

from .correlation import Correlation, pearson, spearman
from .evaluation import Compared, agreement, evaluate_classifier, evaluate_clusters, kmeans
from .index import SearchIndex
from .keyed import KeyedVectors
from .picture import draw
from .projection import pca
from .questions import evaluate_word_analogies, evaluate_word_pairs
from .retrieval import evaluate_retrieval, fuse_ranks, retrieval_scores
from .search import nearest, row_norms
from .semantic import semantic_search
from .spelling import UnknownKey
from .tsne import neighbourhoods, tsne

__all__ = ["Compared", "Correlation", "KeyedVectors", "SearchIndex", "UnknownKey", "agreement", "draw",
           "evaluate_classifier", "evaluate_clusters", "evaluate_retrieval", "evaluate_word_analogies",
           "evaluate_word_pairs", "fuse_ranks", "kmeans", "nearest", "neighbourhoods", "pca", "pearson",
           "retrieval_scores", "row_norms", "semantic_search", "spearman", "tsne"]
