"""DeepWalk and node2vec: Word2Vec on random walks: a walk is a sentence, a node a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from ..data import Graph, as_graph, random_walks
from ..files import short
from ..vectors import NodeVectors, node_key, refuse_unless_declared
from .word2vec import Word2Vec


class Walks:
    """Walks as sentences, each node as text. They are made while they are read, and made anew in each pass, from the
    same seed: every pass reads the same walks, and no more than a few thousand of them are in memory.

    >>> walks = Walks(Graph([("a", 1)]), walk_length=3, num_walks=1, p=1, q=1, seed=0)
    >>> sorted(walks), list(walks) == list(walks)
    ([['1', 'a', '1'], ['a', '1', 'a']], True)
    """

    def __init__(self, graph: Graph, walk_length: int, num_walks: int, p: float, q: float, seed: int | None) -> None:
        self.graph, self.settings = graph, (walk_length, num_walks, p, q)
        self.text = {node: str(node) for node in graph.nodes}
        if len(set(self.text.values())) < len(graph):
            raise ValueError("two nodes are the same as text, such as 1 and '1': name one of them otherwise")
        self.seed = np.random.SeedSequence(seed).spawn(1)[0]  # not the stream of the model's own numbers
        iter(self)  # refuses what is no use

    def __iter__(self) -> Iterator[list[str]]:
        walks = random_walks(self.graph, *self.settings, rng=np.random.default_rng(self.seed))
        return (list(map(self.text.__getitem__, walk)) for walk in walks)


class NodeModel(Word2Vec):
    """Word2Vec of walks, as `Node2Vec.fit` makes it: the keys of `wv` are nodes (`NodeVectors`)."""

    ROWS: ClassVar = [str]  # the nodes that are integers, as text
    keyed = NodeVectors
    integers: frozenset[str] = frozenset()  # the nodes that are integers, as text

    def _tables(self, rows: Any) -> dict[str, int]:
        for text in rows:
            if text not in self.vocabulary or not re.fullmatch("0|-?[1-9][0-9]{,400}", text):
                raise ValueError(f"{short(text)} is no integer among the nodes")
        return super()._tables(rows)

    def _make(self, rows: Any = None) -> None:
        super()._make()
        if rows is not None:
            self.integers = frozenset(rows)

    def _keys(self) -> list[Any]:
        return list(map(self._key, self.vocabulary.tokens))

    def _key(self, token: str) -> Any:
        return int(token) if token in self.integers else token

    def predict_output_word(self, context_words: Iterable[Any], topn: int = 10) -> list[tuple[Any, float]] | None:
        """The nodes that such neighbours predict, with softmax probabilities; None if no neighbour is known."""
        found = super().predict_output_word(map(str, context_words), topn)
        return found and [(self._key(token), p) for token, p in found]

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "rows": sorted(self.integers)}


class Node2Vec:
    """Vectors for the nodes of a graph, such that nodes which walks visit together have similar ones.

    graph         a `te.data.Graph`, or a networkx graph
    dimensions    D
    walk_length   nodes of a walk
    num_walks     walks that start at each node
    p, q          how willingly a walk goes back, and away (`te.data.random_walks`): with q > 1 it stays near, and
                  vectors tell parts of the graph; with q < 1 it goes far, and they tell roles more
    weight_key    the attribute of a networkx graph's edges that is their weight
    seed          the same seed, graph and machine give the same bytes

    Names are those of the `node2vec` package, and the defaults those of its README. `walks` are the sentences: they are
    read as they are made, never all at once (`Walks`); the package holds them all, and a table of second steps.
    (Grover and Leskovec 2016, "node2vec: scalable feature learning for networks")

    Raises ValueError for settings that are no use, and for nodes that are the same as text.

    >>> from tinyembed.data import karate_club
    >>> model = Node2Vec(karate_club(), dimensions=16, walk_length=20, num_walks=20).fit(window=5)
    >>> bool(model.wv.similarity(32, "33") > model.wv.similarity(33, 0))
    True
    """

    graph: Graph
    dimensions: int
    seed: int | None
    walks: Walks

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_unless_declared(self, name, ("graph", "dimensions", "seed", "walks"))
        super().__setattr__(name, value)

    def __init__(self, graph: Any, dimensions: int = 64, walk_length: int = 30, num_walks: int = 200, p: float = 1,
                 q: float = 1, weight_key: str | None = "weight", seed: int | None = 1) -> None:
        self.graph, self.dimensions, self.seed = as_graph(graph, weight_key), dimensions, seed
        self.walks = Walks(self.graph, walk_length, num_walks, p, q, seed)

    def fit(self, window: int = 10, min_count: int = 1, *, progress: bool = False, **settings: Any) -> NodeModel:
        """Train Word2Vec on the walks. Settings are its arguments. If they do not say otherwise it is skip-gram (sg=1),
        and no node is thinned out (sample=0): where nodes are few, each is a large share of the text.

        A node without edges keeps the random row that it began with: `untrained()` of the model names it, and
        `history.rows` has the report.
        """
        model = NodeModel(**{"vector_size": self.dimensions, "seed": self.seed, "sg": 1, "sample": 0, **settings},
                          window=window, min_count=min_count)
        model.integers = frozenset(str(node) for node in self.graph.nodes if isinstance(node_key(node), int))
        model.build_vocab(self.walks)
        model.train(self.walks, progress=progress)
        return model


class DeepWalk(Node2Vec):
    """Node2Vec with walks that have no memory, p = q = 1, and with negative sampling, where the paper has hierarchical
    softmax. (Perozzi et al. 2014, "DeepWalk: online learning of social representations")

    >>> graph = Graph([("a", "b"), ("b", "c"), ("c", "d")])
    >>> DeepWalk(graph, dimensions=4, walk_length=5, num_walks=3).fit(window=2, epochs=1).wv
    NodeVectors<vector_size=4, 4 keys>
    """

    def __init__(self, graph: Any, dimensions: int = 64, walk_length: int = 30, num_walks: int = 200,
                 weight_key: str | None = "weight", seed: int | None = 1) -> None:
        super().__init__(graph, dimensions, walk_length, num_walks, weight_key=weight_key, seed=seed)
