"""Graph: adjacency arrays in compressed form: each node's neighbours and the weights of its edges."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..core import Array, as_ids


class Graph:
    """N nodes and the edges between them; those of node i lead to indices[indptr[i]:indptr[i + 1]], in ascending order.

        indptr (N + 1,) int64   indices (E,) int32   weights (E,) float64

    edges      pairs of nodes, or triples with a weight (of a pair it is 1); or an array of integers (n, 2)
    nodes      all nodes in the order of their ids, those without an edge too; names of any kind that a dict takes, kept
               as they are. An integer N: the nodes are 0 … N-1. None: the nodes of the edges as they come
    directed   an edge leads from its first node to its second; otherwise it stands at both, so that E counts it twice
    labels     a class of each node, if one is known

    Edges that are given again are one edge, of the sum of their weights. A loop, from a node to itself, stands there
    once. An edge of weight 0 is an edge that no walk takes.

    Raises ValueError for weights that are negative, infinite or NaN, for what is no pair or triple, for nodes given
    twice and for names that are not among the nodes; IndexError for ids outside 0 … N-1.

    >>> graph = Graph([("a", "b"), ("b", "c", 2.5), ("c", "b", 1)], nodes=["a", "b", "c", "d"])
    >>> graph, graph.indptr.tolist(), graph.indices.tolist(), graph.weights.tolist()
    (Graph(4 nodes, 2 edges), [0, 1, 3, 4, 4], [1, 0, 2, 1], [1.0, 1.0, 3.5, 3.5])
    """

    def __init__(self, edges: Iterable[Any], nodes: int | Iterable[Hashable] | None = None, *, directed: bool = False,
                 labels: Iterable[Any] | None = None) -> None:
        pairs, w = _pairs_and_weights(edges)
        self.nodes: Sequence[Any]
        if isinstance(nodes, (int, np.integer)):
            self.nodes, ids = range(nodes), as_ids(pairs, int(nodes), "the graph").reshape(-1, 2)
        else:
            pairs = pairs.tolist() if isinstance(pairs, np.ndarray) else pairs
            self.nodes = list(dict.fromkeys(name for pair in pairs for name in pair) if nodes is None else nodes)
            ids = np.array([self.id_of(name) for pair in pairs for name in pair], np.int64).reshape(-1, 2)
        N, self.directed = len(self.nodes), directed
        if len(self.index) < N:
            raise ValueError(f"a node is given twice: there are {N} names, {len(self.index)} of them different")
        self.labels = None if labels is None else list(labels)
        if self.labels is not None and len(self.labels) != N:
            raise ValueError(f"{N} nodes need as many labels, not {len(self.labels)}")
        i, j = ids.T if directed else (ids.min(1), ids.max(1))
        keys, inverse = np.unique(i * N + j, return_inverse=True)  # each edge once, in order
        (i, j), w = np.divmod(keys, max(N, 1)), np.bincount(inverse, w, len(keys))
        if not np.isfinite(w.sum()):
            raise ValueError("the weights add up to more than a float can be: divide them all by the largest")
        if not directed:
            other = i != j
            i, j, w = np.append(i, j[other]), np.append(j, i[other]), np.append(w, w[other])
            order = np.lexsort((j, i))
            i, j, w = i[order], j[order], w[order]
        self.indptr = np.searchsorted(i, np.arange(N + 1))
        self.indices, self.weights = j.astype(np.int32), w.astype(np.float64)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"Graph({len(self)} nodes, {len(self.edges()[0])} edges{', directed' if self.directed else ''})"

    @cached_property
    def index(self) -> dict[Any, int]:
        """Node -> id."""
        return {name: i for i, name in enumerate(self.nodes)}

    def id_of(self, node: Any) -> int:
        """The id of a node; ValueError if there is none of that name."""
        if node not in self.index:
            raise ValueError(f"{node!r} is none of the {len(self)} nodes")
        return self.index[node]

    def edges(self) -> tuple[Array, Array, Array]:
        """The ids from which and to which each edge leads and its weight (n,); of an undirected graph each edge once,
        from the lower id to the higher."""
        i, j = np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices
        some = slice(None) if self.directed else i <= j
        return i[some], j[some], self.weights[some]

    def find(self, i: Array, j: Array) -> Array:
        """Where in `indices` the edges from ids i (n,) to ids j (n,) stand, -1 for those that are none."""
        end = self.indptr[i + 1]
        at = first_above(self.indices, self.indptr[i], end, j - 1)
        there = at < end
        there[there] = self.indices[at[there]] == j[there]
        return np.where(there, at, -1)


def first_above(values: Array, start: Array, end: Array, x: Array) -> Array:
    """For each of n parts values[start:end], in ascending order, where its first value above x stands; `end` if none
    does: start (n,), end (n,), x (n,) -> (n,). All by halving, at the same time."""
    at = start
    for k in reversed(range(int((end - start).max(initial=0)).bit_length())):
        ahead = at + (1 << k)
        at = np.where((ahead <= end) & (values.take(ahead - 1, mode="clip") <= x), ahead, at)
    return at


def as_graph(graph: Any, weight_key: str | None = "weight") -> Graph:
    """A Graph as it is, or one made of a networkx graph: nodes and edges in its order, directed if it is, with weights
    from the edges' attribute `weight_key`, 1 where there is none. TypeError for anything else."""
    if isinstance(graph, Graph):
        return graph
    if not (hasattr(graph, "is_directed") and hasattr(graph, "nodes")):
        raise TypeError(f"expected a Graph or a networkx graph, got a {type(graph).__name__}: Graph(edges) makes one")
    return Graph(graph.edges(data=weight_key, default=1), graph.nodes(), directed=graph.is_directed())


def _pairs_and_weights(edges: Any) -> tuple[Any, Array]:
    """The pairs as a list, or as the array that was given, and the weights (n,)."""
    if isinstance(edges, np.ndarray):
        if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
            raise ValueError(f"an array of edges holds integers (n, 2), not {edges.dtype} {edges.shape}; weights stand "
                             "in triples")
        return edges, np.ones(len(edges))
    pairs, weights = [], []
    for n, edge in enumerate(edges):
        if isinstance(edge, (str, bytes)) or len(edge) not in (2, 3):
            raise ValueError(f"edge {n} is a pair of nodes, or a triple with a weight, not {edge!r}")
        weight = float(edge[2]) if len(edge) == 3 else 1.0
        if not 0 <= weight < np.inf:
            raise ValueError(f"the weight of edge {n} is finite, and 0 or more, not {weight}: {edge!r}")
        pairs.append(edge[:2])
        weights.append(weight)
    return pairs, np.array(weights, np.float64)
