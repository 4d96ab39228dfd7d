"""Floor 3: search, evaluation and pictures of trained vectors."""

from .correlation import Correlation, pearson, spearman
from .evaluation import Compared, agreement, evaluate_classifier, evaluate_clusters, kmeans
from .index import SearchIndex
from .keyed import KeyedVectors
from .keyed_table import listed, refuse_unless_declared
from .links import FrequentLinks, LinkRanks, evaluate_links, link_ranks, rank_scores
from .nodes import NodeVectors, edge_vectors, node_key
from .picture import draw
from .projection import pca
from .questions import evaluate_word_analogies, evaluate_word_pairs
from .recommendations import ItemCosine, ItemMean, Popularity, as_pairs, evaluate_recommendations
from .retrieval import evaluate_retrieval, fuse_ranks, retrieval_scores
from .search import nearest, row_norms
from .semantic import semantic_search
from .tsne import neighbourhoods, tsne
from .unknown_key import UnknownKey

__all__ = ["Compared", "Correlation", "FrequentLinks", "ItemCosine", "ItemMean", "KeyedVectors", "LinkRanks",
           "NodeVectors", "Popularity", "SearchIndex", "UnknownKey", "agreement", "as_pairs", "draw", "edge_vectors",
           "evaluate_classifier", "evaluate_clusters", "evaluate_links", "evaluate_recommendations",
           "evaluate_retrieval", "evaluate_word_analogies", "evaluate_word_pairs", "fuse_ranks", "kmeans",
           "link_ranks", "listed", "nearest", "neighbourhoods", "node_key", "pca", "pearson", "rank_scores",
           "refuse_unless_declared", "retrieval_scores", "row_norms", "semantic_search", "spearman", "tsne"]
