"""Floor 3: what to do with a table of vectors once it is trained."""

from .correlation import Correlation, pearson, spearman
from .evaluation import Compared, agreement, evaluate_classifier, evaluate_clusters, kmeans
from .keyed import KeyedVectors
from .neighbours import nearest, row_norms
from .picture import draw
from .projection import pca
from .questions import evaluate_word_analogies, evaluate_word_pairs
from .spelling import UnknownKey
from .tsne import neighbourhoods, tsne

__all__ = ["Compared", "Correlation", "KeyedVectors", "UnknownKey", "agreement", "draw", "evaluate_classifier",
           "evaluate_clusters", "evaluate_word_analogies", "evaluate_word_pairs", "kmeans", "nearest",
           "neighbourhoods", "pca", "pearson", "row_norms", "spearman", "tsne"]
