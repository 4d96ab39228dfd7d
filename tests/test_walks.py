"""Random walks: transitions have the probabilities of the formula, and walks are paths of the graph."""

import tracemalloc
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import tinyembed as te
from tinyembed.data import Graph, karate_club, random_walks, walks

RNG = np.random.default_rng
NAMES = "abcdefgh"


def weights(kind):
    """A small graph as node -> {node: weight}, with a loop, and with a dead end if it is directed."""
    rng, N = RNG(5), len(NAMES)
    W = rng.integers(1, 6, (N, N)) * (rng.random((N, N)) < 0.4)
    W = W / 2 if "weighted" in kind else np.sign(W)
    W[2, 2] = W[0, 1] = W[1, 0] = W[0, 2] = W[2, 0] = 1
    if "directed" in kind:
        W[7] = 0
    else:
        W = np.triu(W) + np.triu(W, 1).T
    return {NAMES[i]: {NAMES[j]: float(W[i, j]) for j in range(N) if W[i, j]} for i in range(N)}


def graph_of(ways, directed):
    edges = [(a, b, w) for a in ways for b, w in ways[a].items() if directed or a <= b]
    return Graph(edges, NAMES, directed=directed)


def theory(ways, t, v, p, q):
    """The probabilities of the formula: {x: …} at v, having come from t, or from nowhere if that is None."""
    raw = {x: w * (1 / p if x == t else 1 if x in ways.get(t, ()) else 1 / q) for x, w in ways[v].items()}
    return {x: w / sum(raw.values()) for x, w in raw.items()}


def chi_square(observed, expected):
    """Whether counts are as expected: the statistic, less its mean, in standard deviations. Groups: [(Counter, {…})]"""
    statistic = degrees = 0
    for counts, probabilities in zip(observed, expected):
        assert set(counts) <= set(probabilities)
        n = sum(counts.values())
        cells = [(counts[x], n * share) for x, share in probabilities.items() if n * share >= 5]
        rest = n - sum(c for c, _ in cells), n - sum(e for _, e in cells)
        cells += [rest] if rest[1] >= 1 else []
        statistic += sum((c - e) ** 2 / e for c, e in cells)
        degrees += len(cells) - 1
    assert degrees > 20
    return (statistic - degrees) / np.sqrt(2 * degrees)


def steps(found):
    """(t, v) -> how often each x came next."""
    seen = {}
    for walk in found:
        for t, v, x in zip([None, *walk], walk, walk[1:]):
            seen.setdefault((t, v), Counter())[x] += 1
    return seen


@pytest.mark.parametrize("kind", ["plain", "weighted", "directed", "directed weighted"])
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0.5, 2), (4, 0.25), (0.05, 0.2), (30, 30), (1, 3), (2, 1)])
def test_transitions_are_those_of_the_formula(kind, p, q):
    ways = weights(kind)
    seen = steps(random_walks(graph_of(ways, "directed" in kind), 30, 150, p, q, rng=RNG(1)))
    assert abs(chi_square(seen.values(), [theory(ways, t, v, p, q) for t, v in seen])) < 3.5


@pytest.mark.parametrize("kind", ["plain", "directed weighted"])
def test_the_ways_on_weighed_one_by_one_give_the_same_probabilities(monkeypatch, kind):
    monkeypatch.setattr(walks, "PATIENCE", 0)
    ways = weights(kind)
    seen = steps(random_walks(graph_of(ways, "directed" in kind), 30, 100, 2, 0.25, rng=RNG(3)))
    assert abs(chi_square(seen.values(), [theory(ways, t, v, 2, 0.25) for t, v in seen])) < 3.5


@pytest.mark.parametrize("kind", ["plain", "weighted", "directed", "directed weighted"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_walks_are_paths(monkeypatch, kind, length):
    monkeypatch.setattr(walks, "WALKERS", 20)  # several blocks, rounds and nodes alike
    ways = weights(kind)
    found = list(random_walks(graph_of(ways, "directed" in kind), length, 5, 0.5, 2, rng=RNG(3)))
    assert Counter(walk[0] for walk in found) == dict.fromkeys(NAMES, 5)
    for n in range(5):
        assert sorted(walk[0] for walk in found[8 * n:8 * n + 8]) == list(NAMES)
    assert len({"".join(walk[0] for walk in found[8 * n:8 * n + 8]) for n in range(5)}) == 5
    for walk in found:
        assert all(x in ways[v] for v, x in pairwise(walk))
        assert len(walk) == length or not ways[walk[-1]]


def test_borders():
    odd = [("a", 1), frozenset("b"), None, "lone", "loop", "nowhere"]
    graph = Graph([(odd[0], odd[1], 2), (odd[1], odd[2], 0), ("loop", "loop"), ("nowhere", odd[0], 0)], odd)
    found = {}
    for walk in random_walks(graph, 5, 3, 0.5, 2, rng=RNG(0)):
        assert found.setdefault(walk[0], walk) == walk  # there is but one walk from each
    assert found == {odd[0]: [odd[0], odd[1]] * 2 + [odd[0]], odd[1]: [odd[1], odd[0]] * 2 + [odd[1]], None: [None],
                     "lone": ["lone"], "loop": ["loop"] * 5, "nowhere": ["nowhere"]}
    assert list(random_walks(Graph([]), 5, 3)) == []
    assert sorted(random_walks(Graph([], 2), 5, 1)) == [[0], [1]]


def test_small_weights_count_among_themselves():
    graph = Graph([("tiny", "a", 1e-200), ("tiny", "b", 3e-200), ("a", "b", 1e200), ("a", "tiny", 0)], directed=True)
    next_to = Counter(walk[1] for walk in random_walks(graph, 2, 2000, rng=RNG(0)) if walk[0] == "tiny")
    assert abs(next_to["b"] / 2000 - 0.75) < 0.04 and len(next_to) == 2


def test_a_seed_makes_the_walks():
    def some(seed, **named):
        return list(random_walks(karate_club(), 6, 3, 0.5, 2, rng=RNG(seed), **named))
    assert some(1) == some(1) != some(2)
    for _ in range(2):
        te.seed(4)
        first, second = (list(random_walks(karate_club(), 6, 1)) for _ in range(2))
        assert first != second
    te.seed(4)
    assert first == list(random_walks(karate_club(), 6, 1))


@pytest.mark.parametrize("directed", [False, True])
def test_small_shares_and_large_degrees_take_no_table(directed):
    """A hub of 5,000 neighbours: a table of second steps would have 25 million numbers."""
    n = 5_000
    spokes = [(0, i) for i in range(1, n)] + [(i, 0) for i in range(1, n) if directed]
    graph = Graph([*spokes, (0, n, 1e-9), *([(n, 0)] if directed else [])], n + 1, directed=directed)
    tracemalloc.start()
    for p, q in (1e12, 1e-12), (1e-12, 1e12):
        visits = Counter(node for walk in random_walks(graph, 4, 1, p, q, rng=RNG(0)) for node in walk)
        assert visits[0] > 2 * n * 0.99 and visits[n] == 2 if p < 1 else visits[n] <= 3
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_networkx_graph_walks_by_its_weights():
    theirs = pytest.importorskip("networkx").DiGraph()
    theirs.add_weighted_edges_from([("a", "b", 1), ("a", "c", 0), ("b", "a", 1), ("c", "a", 1)], weight="cost")
    assert {walk[1] for walk in random_walks(theirs, 2, 50, weight_key="cost") if walk[0] == "a"} == {"b"}
    assert {walk[1] for walk in random_walks(theirs, 2, 50, weight_key=None) if walk[0] == "a"} == {"b", "c"}


@pytest.mark.parametrize("settings", [{"walk_length": 0}, {"num_walks": 0}, {"p": 0}, {"q": -1},
                                      {"q": float("nan")}, {"p": float("inf")}])
def test_what_is_no_use_is_refused_at_once(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        random_walks(karate_club(), **{"walk_length": 3, "num_walks": 1, **settings})
