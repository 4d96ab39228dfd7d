"""LINE: node vectors from sampled edges, without random walks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..core import Array, Parameter, Tensor, blocks
from ..data import Graph, as_graph
from ..nn import Module
from ..ops import embedding, log_sigmoid, negative_sampling, vecdot
from ..optim import Adagrad
from ..train import History, fit
from ..vectors import NodeVectors, refuse_unless_declared

BATCH, NOISE = 256, 32  # edges in a step, and nodes drawn at random that they share


class EdgeModel(Module):
    """u_i . c_j, large where an edge leads from i to j: of order 2 each node has two vectors, u as itself and c as what
    others lead to; of order 1 both are the same.

    The loss of edges (i, j) and of noise, nodes drawn at random, with s the logistic function: the mean over edges of

        -log s(u_i . c_j) - negative * mean over noise n of log s(-u_i . c_n)          i (B,), j (B,), noise (K,)
    """

    def __init__(self, vectors: Array, order: int, negative: int) -> None:
        self.vectors, self.negative = Parameter(vectors), negative
        self.contexts = self.vectors if order == 1 else Parameter(np.zeros_like(vectors))

    def loss(self, i: Array, j: Array, noise: Array) -> Tensor:
        x = embedding(self.vectors, i)
        # A node is no noise to itself: that would only pull its vector to 0.
        far = np.where(noise == i[:, None], 0, -self.negative / noise.size / i.size)
        near = log_sigmoid(vecdot(x, embedding(self.contexts, j))).mean()
        return negative_sampling(x.reshape((1, *x.shape)), embedding(self.contexts, noise[None]), far[None]) - near


class EdgeSamples:
    """As many edges as there are, drawn by weight, in each pass: (i (B,), j (B,), noise (K,)); noise is drawn in
    proportion to (sum of the weights of the edges to a node)^0.75."""

    def __init__(self, i: Array, j: Array, weights: Array, N: int, rng: np.random.Generator) -> None:
        self.i, self.j, self.rng = i, j, rng
        self.weights, self.noise = np.cumsum(weights), np.cumsum(np.bincount(j, weights, N) ** 0.75)

    def __iter__(self) -> Iterator[tuple[Array, Array, Array]]:
        for some in blocks(len(self.weights), entries=BATCH):
            edges, noise = (sums.searchsorted(self.rng.random(n) * sums[-1], "right")
                            for sums, n in ((self.weights, some.stop - some.start), (self.noise, NOISE)))
            yield self.i[edges], self.j[edges], noise


class LINE:
    """Vectors for the nodes of a graph, from its edges: near each other where an edge joins them (order 1), or where
    edges join them to the same others (order 2).

    graph        a `te.data.Graph`, or a networkx graph with weights under `weight_key`
    dimensions   D, of all orders together
    orders       trained apart, each with its share of D; vectors stand side by side, at length 1 each. Order 1 does not
                 look at the directions of edges
    negative     nodes that count as drawn at random for each edge
    seed         the same seed, graph and machine give the same bytes

    `fit` gives `wv`, whose keys are the nodes (`NodeVectors`), and `history`, what the training of each order has
    measured. A node from which no edge leads keeps a random row of order 2: the rows of `history` have the report.
    Edges are drawn in proportion to their weights, so that a step is as long for each; the rule is Adagrad with one sum
    of squares a row.
    (Tang et al. 2015, "LINE: large-scale information network embedding")

    Raises ValueError for settings that are no use and for graphs without edges.

    >>> from tinyembed.data import karate_club
    >>> wv = LINE(karate_club(), dimensions=16).fit().wv
    >>> bool(wv.similarity(32, "33") > wv.similarity(33, 0))
    True
    """

    graph: Graph
    dimensions: int
    orders: tuple[int, ...]
    negative: int
    seed: int | None
    history: list[History]
    wv: NodeVectors

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_unless_declared(self, name, ("graph", "dimensions", "orders", "negative", "seed"))
        super().__setattr__(name, value)

    def __init__(self, graph: Any, dimensions: int = 64, orders: Iterable[int] = (1, 2), negative: int = 5,
                 weight_key: str | None = "weight", seed: int | None = 1) -> None:
        self.graph, self.dimensions, self.orders = as_graph(graph, weight_key), dimensions, tuple(orders)
        self.negative, self.seed = negative, seed
        if self.orders not in ((1,), (2,), (1, 2)):
            raise ValueError(f"orders are (1,), (2,) or (1, 2), not {self.orders}")
        if dimensions < 1 or dimensions % len(self.orders) or not 1 <= negative < np.inf:
            raise ValueError(f"dimensions, which {self.orders} have equal shares of, and negative are 1 or more, not "
                             f"{dimensions} and {negative}")
        if not self.graph.weights.any():
            raise ValueError(f"{self.graph} has no edge to learn from")

    def fit(self, epochs: int = 50, lr: float = 0.1, *, progress: bool = False) -> LINE:
        """Draw as many edges as there are, `epochs` times; the learning rate falls from lr to 0 in a straight line."""
        rng = np.random.default_rng(self.seed)
        self.history = []
        tables = [self._trained(order, rng, epochs, lr, progress) for order in self.orders]
        self.wv = NodeVectors(keys=self.graph.nodes, vectors=np.concatenate(tables, 1))
        return self

    def _trained(self, order: int, rng: np.random.Generator, epochs: int, lr: float, progress: bool) -> Array:
        """The vectors of one order, at length 1."""
        graph, N, D = self.graph, len(self.graph), self.dimensions // len(self.orders)
        i, j, w = np.repeat(np.arange(N), np.diff(graph.indptr)), graph.indices, graph.weights
        if graph.directed and order == 1:
            i, j, w = np.append(i, j), np.append(j, i), np.append(w, w)
        model = EdgeModel((rng.random((N, D), np.float32) - np.float32(0.5)) / np.float32(D), order, self.negative)
        steps = -(-len(w) // BATCH) * epochs
        self.history.append(fit(model, EdgeSamples(i, j, w, N, rng), Adagrad(model.parameters(), lr, per_row=True),
                                epochs=epochs, schedule=lambda step: 1 - step / steps, every=max(steps // 20, 1),
                                progress=progress))
        return model.vectors.data / np.linalg.norm(model.vectors.data, axis=1, keepdims=True)
