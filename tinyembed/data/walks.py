"""Random walks on graphs, thousands at a time: the sentences of DeepWalk and node2vec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import Array, blocks, fresh_rng
from .graph import Graph, as_graph, first_above

WALKERS = 8192  # that walk side by side
WIDTH = 1024  # nodes of a walk that there is room for at first
PATIENCE = 16  # draws that may be rejected before all ways on are weighed


def random_walks(graph: Any, walk_length: int, num_walks: int, p: float = 1, q: float = 1,
                 weight_key: str | None = "weight", rng: np.random.Generator | None = None) -> Iterator[list[Any]]:
    """Yield walks as lists of nodes: num_walks from each node, every round in another order, walk_length nodes long.

    A walker at v who came from t goes on to x with a probability in proportion to

        w(v, x) / p  if x is t,    w(v, x)  if there is an edge t -> x,    w(v, x) / q  otherwise

    and at the first step to w(v, x). With a small p walks go back and forth, with a small q far away; with p = q = 1
    they have no memory. A walk ends early at a node with no way on: the walk of a node without edges is that node.

    graph   a Graph, or a networkx graph whose edges may have a weight under `weight_key`

    No table of second steps is made, which would grow with the squares of the degrees: x is drawn by w alone, and drawn
    again if a second draw rejects it. Beyond the graph that takes 32 bytes a node, 8 a weight where weights differ, and
    some megabytes for the walkers, whatever p and q. (Perozzi et al. 2014, "DeepWalk: online learning of social
    representations"; Grover and Leskovec 2016, "node2vec: scalable feature learning for networks"; rejection as in
    Yang et al. 2019, "KnightKing: a fast distributed graph random walk engine")

    Raises ValueError for lengths and numbers below 1, and for p and q that are not finite and above 0.

    >>> ring = Graph([("a", "b"), ("b", "c"), ("c", "a")], directed=True)
    >>> sorted(random_walks(ring, walk_length=4, num_walks=1))
    [['a', 'b', 'c', 'a'], ['b', 'c', 'a', 'b'], ['c', 'a', 'b', 'c']]
    """
    graph = as_graph(graph, weight_key)
    name_of = graph.nodes.__getitem__
    return (list(map(name_of, walk[:length].tolist()))
            for walks, lengths in walk_ids(graph, walk_length, num_walks, p, q, rng)
            for walk, length in zip(walks, lengths.tolist()))


def walk_ids(graph: Graph, walk_length: int, num_walks: int, p: float = 1, q: float = 1,
             rng: np.random.Generator | None = None) -> Iterator[tuple[Array, Array]]:
    """The walks of `random_walks` as ids, some thousands at a time: (walks (W, …), how long each is (W,))."""
    for name, number in ("walk_length", walk_length), ("num_walks", num_walks):
        if number < 1:
            raise ValueError(f"{name} is 1 or more, not {number}")
    for name, x in ("p", p), ("q", q):
        if not 0 < x < np.inf:
            raise ValueError(f"{name} is a finite number above 0, not {x}")
    return _walks(Steps(graph, p, q, fresh_rng() if rng is None else rng), walk_length, num_walks)


def _walks(steps: Steps, walk_length: int, num_walks: int) -> Iterator[tuple[Array, Array]]:
    """Walkers do not wait for each other: whose draw is rejected draws again while the others go on."""
    N = len(steps.graph)
    for rounds in blocks(num_walks, N, entries=WALKERS):
        starts = steps.rng.permuted(np.tile(np.arange(N), (rounds.stop - rounds.start, 1)), axis=1).reshape(-1)
        for some in blocks(len(starts), entries=WALKERS):
            here = before = starts[some]
            # As wide as they get: where there is no way on, a walk takes no room for its whole length.
            walks, lengths = np.zeros((len(here), min(walk_length, WIDTH)), np.int32), np.ones(len(here), np.int64)
            walks[:, 0], walking, tries = here, np.arange(len(here)), np.zeros(len(here), np.int64)
            while True:
                on = (lengths[walking] < walk_length) & (steps.totals[here] > 0)
                if not on.all():
                    walking, before, here, tries = walking[on], before[on], here[on], tries[on]
                if not len(walking):
                    break
                if lengths.max() == walks.shape[1]:
                    walks = np.concatenate([walks, np.zeros_like(walks)], axis=1)
                x, taken = steps.draw(None if (lengths == 1).all() else before, here)
                tries += 1
                for i in np.flatnonzero(~taken & (tries > PATIENCE)).tolist():
                    x[i], taken[i] = steps.weighed(before[i], here[i]), True
                who = walking[taken]
                walks[who, lengths[who]] = x[taken]
                lengths[who] += 1
                tries[taken] = 0
                before, here = np.where(taken, here, before), np.where(taken, x, here)
            yield walks, lengths


class Steps:
    """Steps of many walkers at once, from nodes that have a way on: to where each goes on from `here`, having come from
    `before`, ids (W,) all of them."""

    def __init__(self, graph: Graph, p: float, q: float, rng: np.random.Generator) -> None:
        self.graph, self.p, self.q, self.rng = graph, p, q, rng
        self.degrees, w = np.diff(graph.indptr), graph.weights
        self.totals, self.sums = self.degrees * w[:1].sum(), None
        if (w != w[:1]).any():  # shares of the edges of each node, added up over all nodes: each node has 1 of it
            self.totals = np.add.reduceat(np.append(w, 0), graph.indptr[:-1]) * (self.degrees > 0)
            self.sums = np.repeat(np.where(self.totals > 0, self.totals, 1), self.degrees)
            np.cumsum(np.divide(w, self.sums, out=self.sums), out=self.sums)

    def first(self, here: Array) -> Array:
        """By weight alone."""
        start, u = self.graph.indptr[here], self.rng.random(len(here))
        if self.sums is None:
            return self.graph.indices[start + (u * self.degrees[here]).astype(np.int64)]
        end = start + self.degrees[here]
        low, high = np.where(start > 0, self.sums[start - 1], 0), self.sums[end - 1]
        x = np.minimum(low + u * (high - low), np.nextafter(high, 0))  # below high, which rounding might reach
        return self.graph.indices[first_above(self.sums, start, end, x)]

    def draw(self, before: Array | None, here: Array) -> tuple[Array, Array]:
        """Where each goes if it is taken, and whether it is; before is None at the first step.

        A draw by weight is held against the greater of 1 and 1/q. What 1/p has above that is a share of its own: that
        of a draw which is the way back, and taken.
        """
        x, back, far = self.first(here), 1 / self.p, 1 / self.q
        if before is None or back == far == 1:
            return x, np.ones(len(x), bool)
        most, least = max(1, far), min(1, far)
        extra = (back - most) * self.way_back(before, here) if back > most else 0
        u = self.rng.random(len(here)) * (most + extra)
        x = np.where(u < most, x, before)
        returns = x == before
        taken = (u < np.where(returns, back, least)) | (self.degrees[here] == 1)  # a single way on is taken
        unsure = np.flatnonzero(~taken & ~returns)  # between the factors of near and far
        taken[unsure] = (self.graph.find(before[unsure], x[unsure]) >= 0) == (far < 1)
        return x, taken

    def way_back(self, before: Array, here: Array) -> Array:
        """The share of the way back among the weights of the ways on; 0 if there is none."""
        weights = self.graph.weights
        if self.sums is None and not self.graph.directed:
            return weights[0] / self.totals[here]
        edges = self.graph.find(here, before)
        return np.where(edges >= 0, weights[edges], 0) / self.totals[here]

    def weighed(self, t: int, v: int) -> int:
        """One step as the formula has it."""
        graph, ways = self.graph, slice(*self.graph.indptr[v:v + 2])
        x = graph.indices[ways]
        near = graph.find(np.full(len(x), t), x) >= 0
        sums = np.cumsum(graph.weights[ways] * np.where(x == t, 1 / self.p, np.where(near, 1, 1 / self.q)))
        return x[sums.searchsorted(self.rng.random() * sums[-1], "right")]
