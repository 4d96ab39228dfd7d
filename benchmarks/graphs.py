"""Walks, node vectors, relations and recommenders, beside the packages that are used for them.

1. Walk steps a second on one graph (10,000 nodes in 100 groups, 100,000 edges; p = 0.5, q = 2), beside the `node2vec`
   package and `fastnode2vec` (after numba has compiled it). What each computes before the first walk stands apart.
2. Node2Vec as a whole on the same graph, from edges to vectors, beside the `node2vec` package, with gensim inside and
   two workers; and how often one of a node's ten nearest is of its group.
3. Memory that walks on 1,000,000 edges take beyond the graph, as tracemalloc counts it.
4. An epoch of TransE on 100,000 triples (D = 100, p = 2, SGD, batches of 1,000), beside a plain torch loop with the
   same batches and negatives, with dense gradients and with sparse ones.
5. An epoch of BPR on 1,000,000 interactions (D = 64), beside `implicit` with two threads; and recall@10 after some
   epochs of each, so many that both are near their best, with the seconds that these took. The package draws a negative
   for each pair and takes a step for each; here a batch shares 64.

Where contenders compute the same thing it is compared before it is timed. Medians, the minimum in brackets. In the last
table "reach" is to be kept (under for times and memory, over for steps a second), "aim" is hoped for.

    python benchmarks/graphs.py            some six minutes, of which the node2vec package takes four; 2 GB
    python benchmarks/graphs.py --quick    seconds
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
import warnings
from typing import Any

import common
import numpy as np

import tinyembed as te
from tinyembed.data import Batches, Graph, random_walks
from tinyembed.models import BPR, Node2Vec, TransE
from tinyembed.vectors import Popularity, evaluate_recommendations

P, Q, LENGTH = 0.5, 2.0, 30
PEERS = ("torch", "node2vec", "fastnode2vec", "gensim", "implicit")
GOALS = {"walks, node2vec": (4, 12), "walks, fastnode2vec": (0.3, 1.0), "Node2Vec": (1.5, 3), "memory": (64, 16),
         "TransE": (1.0, 0.3), "BPR": (2.0, 1.0)}


def groups_of_nodes(N: int, edges: int, groups: int, seed: int = 0) -> tuple[Any, Any]:
    """Edges (E, 2) and the group of each node: four edges in five stay in a group, and nodes differ in degree."""
    rng = np.random.default_rng(seed)
    group, popularity = rng.integers(groups, size=N), (1 + rng.permutation(N)) ** -0.5
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(groups + 1))
    everybody = np.concatenate([[0], np.cumsum(popularity)])
    sums = np.concatenate([[0], np.cumsum(popularity[order])])
    pairs: Any = np.zeros((0, 2), np.int64)
    while len(pairs) < edges:
        i = np.searchsorted(everybody, rng.random(2 * edges) * everybody[-1], "right") - 1
        low, high = sums[starts[group[i]]], sums[starts[group[i] + 1]]
        j = order[np.minimum(np.searchsorted(sums, low + rng.random(2 * edges) * (high - low), "right") - 1, N - 1)]
        other = np.searchsorted(everybody, rng.random(2 * edges) * everybody[-1], "right") - 1
        j = np.where(rng.random(2 * edges) < 0.8, j, other)
        new = np.sort(np.stack([i, j], 1)[i != j], axis=1)
        pairs = np.unique(np.concatenate([pairs, new]), axis=0)
    return pairs[np.sort(rng.permutation(len(pairs))[:edges])], group


def nx_graph(pairs: Any, N: int) -> Any:
    import networkx
    graph = networkx.Graph()
    graph.add_nodes_from(range(N))
    graph.add_edges_from(pairs.tolist())
    return graph


def walks(pairs: Any, N: int, num_walks: int, repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of num_walks walks from each node as lists of nodes, and those of what comes before."""
    before: dict[str, list[float]] = {}

    def prepared(name: str, make: Any) -> Any:
        start = time.perf_counter()
        made = make()
        before[name] = [time.perf_counter() - start]
        return made

    graph = prepared(common.OURS, lambda: Graph(pairs, nodes=N))

    def count(found: Any) -> None:
        if sum(map(len, found)) < 0.95 * N * num_walks * LENGTH:
            raise SystemExit("some walks are too short")

    works = {common.OURS: lambda: count(random_walks(graph, LENGTH, num_walks, P, Q, rng=np.random.default_rng(0)))}
    if common.optional("node2vec"):
        import node2vec
        network = nx_graph(pairs, N)
        theirs = prepared("node2vec", lambda: node2vec.Node2Vec(network, walk_length=LENGTH, num_walks=0, p=P, q=Q,
                                                               quiet=True))
        theirs.num_walks = num_walks
        works["node2vec"] = lambda: count(theirs._generate_walks())
    if common.optional("fastnode2vec"):
        import fastnode2vec
        edges = pairs.tolist()
        fast = prepared("fastnode2vec", lambda: fastnode2vec.Graph(edges, directed=False, weighted=False,
                                                                   verbose=False))
        fast.generate_random_walk(LENGTH, P, Q, 0)  # compiles
        works["fastnode2vec"] = lambda: count(
            [fast.generate_random_walk(LENGTH, P, Q, node) for _ in range(num_walks) for node in range(N)])
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for i, name in common.turns(list(works), repeats):
        start = time.perf_counter()
        works[name]()
        if i >= 0:
            seconds[name].append(time.perf_counter() - start)
    return seconds, before


def whole(pairs: Any, group: Any, num_walks: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds from edges to vectors of 64 numbers, and how many of ten neighbours share the group."""
    N, seconds, quality = len(group), {}, {}
    settings: dict[str, Any] = {"window": 10, "min_count": 1, "epochs": 1}

    def train(name: str, make: Any) -> None:
        start = time.perf_counter()
        model = make()
        seconds[name] = [time.perf_counter() - start]
        keys = [int(key) for key in model.wv.index_to_key]
        hits = te.vectors.semantic_search(np.asarray(model.wv.vectors)[:1000], np.asarray(model.wv.vectors), 11)
        own = group[keys]
        quality[name] = float(np.mean([[own[hit["corpus_id"]] == own[i] for hit in found[1:]]
                                       for i, found in enumerate(hits)]))

    train(common.OURS, lambda: Node2Vec(Graph(pairs, nodes=N), 64, LENGTH, num_walks, P, Q).fit(**settings))
    if common.optional("node2vec") and common.optional("gensim"):
        import node2vec
        train("node2vec", lambda: node2vec.Node2Vec(nx_graph(pairs, N), 64, LENGTH, num_walks, P, Q, workers=2,
                                                    quiet=True).fit(workers=2, **settings))
    return seconds, quality


def memory(edges: int) -> float:
    """MiB that NumPy and Python ask for at the peak of a round of walks, read one by one, beyond the graph."""
    pairs, group = groups_of_nodes(edges // 10, edges, 100)
    graph = Graph(pairs, nodes=len(group))
    tracemalloc.start()
    for _ in random_walks(graph, LENGTH, 1, P, Q, rng=np.random.default_rng(0)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def transe(n: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of an epoch over n triples of 10,000 entities and 20 relations."""
    E, R, D, B, K, margin, lr = 10_000, 20, 100, 1000, 64, 1.0, 0.5
    rng = np.random.default_rng(0)
    triples = np.stack([rng.integers(E, size=n), rng.integers(R, size=n), rng.integers(E, size=n)], 1)
    first = TransE(E, R, D, p=2, negatives=K, rng=np.random.default_rng(1))
    tables = [first.entities.weight.data.copy(), first.relations.weight.data.copy()]

    def ours(i: int) -> Any:
        model = TransE(E, R, D, p=2, negatives=K, rng=np.random.default_rng(1))
        sgd, batches = te.optim.SGD(model.parameters(), lr=lr), Batches(triples, B, np.random.default_rng(2))
        return lambda: te.train.fit(model, batches, sgd, epochs=1, progress=False)

    contenders: dict[str, common.Contender] = {common.OURS: ours}
    if common.optional("torch"):
        import torch

        def loss(entities: Any, relations: Any, some: Any, k: Any) -> Any:
            h, r, t = some.T
            unit = torch.nn.functional.normalize
            heads, tails, others, moves = unit(entities(h)), unit(entities(t)), unit(entities(k)), relations(r)
            positive = -(heads + moves - tails).norm(dim=1)
            total = 0.0
            for x, answers in ((heads + moves, t), (tails - moves, h)):
                wrong = k != answers[:, None]
                hinge = torch.relu(margin - positive[:, None] - torch.cdist(x, others))
                total = total + ((hinge * wrong).sum(1) / wrong.sum(1)).mean() / 2
            return total

        def theirs(sparse: bool) -> common.Contender:
            def prepare(i: int) -> Any:
                layers = [torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze=False, sparse=sparse)
                          for table in tables]
                sgd = torch.optim.SGD([layer.weight for layer in layers], lr=lr)
                draw, data = np.random.default_rng(3), torch.tensor(triples)

                def epoch() -> None:
                    order = torch.from_numpy(np.random.default_rng(2).permutation(n))
                    for some in order.split(B):
                        k = torch.from_numpy(np.unique(draw.integers(E, size=K)))
                        sgd.zero_grad()
                        loss(*layers, data[some], k).backward()
                        sgd.step()

                return epoch

            return prepare

        k = np.unique(np.random.default_rng(3).integers(E, size=K))
        layers = [torch.nn.Embedding.from_pretrained(torch.tensor(table)) for table in tables]
        value = loss(*layers, torch.tensor(triples[:B]), torch.tensor(k)).item()
        if abs(value - first.loss(triples[:B], negatives=k).item()) > 1e-4:
            raise SystemExit("the two compute other losses")
        contenders |= {"torch": theirs(False), "torch, sparse": theirs(True)}
    return common.timed(contenders, repeats)


def interactions(users: int, items: int, n: int) -> tuple[Any, Any]:
    """n pairs of user and item to train on and some to judge by: users have three tastes, items are unlike popular."""
    rng, tastes = np.random.default_rng(0), items // 200
    kind, popularity = rng.integers(tastes, size=items), (1.0 + rng.permutation(items)) ** -0.7
    order = np.argsort(kind, kind="stable")
    starts, sums = np.searchsorted(kind[order], np.arange(tastes + 1)), np.append(0, np.cumsum(popularity[order]))
    u = rng.integers(users, size=int(1.4 * n))
    taste = rng.integers(tastes, size=(users, 3))[u, rng.choice(3, size=len(u), p=[0.5, 0.3, 0.2])]
    low, high = sums[starts[taste]], sums[starts[taste + 1]]
    i = order[np.minimum(np.searchsorted(sums, low + rng.random(len(u)) * (high - low), "right") - 1, items - 1)]
    noise = rng.random(len(u)) < 0.1
    i[noise] = rng.integers(items, size=int(noise.sum()))
    pairs = np.unique(np.stack([u, i], 1), axis=0)
    pairs = pairs[rng.permutation(len(pairs))]
    return pairs[:n], pairs[n:][pairs[n:, 0] < 2000]


class Theirs:
    """The scores of a model of `implicit`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def scores(self, users: Any) -> Any:
        return self.model.user_factors[users] @ self.model.item_factors.T


def bpr(n: int, epochs: dict[str, int]) -> tuple[dict[str, list[float]], list[list[str]]]:
    """Seconds of an epoch, and recall@10 after `epochs` of them."""
    users, items = n // 20, max(n // 100, 1000)
    train, test = interactions(users, items, n)
    seconds: dict[str, list[float]] = {}
    lines = [["after some epochs", "epochs", "seconds", "recall@10"]]

    def judged(name: str, model: Any, took: float) -> None:
        seconds[name] = [took / epochs[name]]
        recall = evaluate_recommendations(model, train, test)["recall@10"]
        lines.append([name, str(epochs[name]), f"{took:.1f}", f"{recall:.3f}"])

    popular = evaluate_recommendations(Popularity(train, items), train, test)["recall@10"]
    lines.append(["popularity", "", "", f"{popular:.3f}"])
    model = BPR(users, items, 64, negatives=64, rng=np.random.default_rng(0))
    batches = Batches(tuple(train.T), 8192, np.random.default_rng(0))
    adagrad = te.optim.Adagrad(model.parameters(), lr=0.1)
    start = time.perf_counter()
    te.train.fit(model, batches, adagrad, epochs=epochs[common.OURS], progress=False)
    judged(common.OURS, model, time.perf_counter() - start)
    if common.optional("implicit"):
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from scipy.sparse import csr_matrix
        table = csr_matrix((np.ones(len(train), np.float32), train.T), shape=(users, items))
        theirs = BayesianPersonalizedRanking(factors=64, learning_rate=0.05, regularization=0.002, num_threads=2,
                                             iterations=epochs["implicit"], random_state=1)
        start = time.perf_counter()
        theirs.fit(table, show_progress=False)
        judged("implicit", Theirs(theirs), time.perf_counter() - start)
    return seconds, lines


def main() -> None:
    o = common.parser(__doc__, 2).parse_args()
    warnings.filterwarnings("ignore", module="(?!tinyembed)")
    common.describe(o.threads, PEERS)
    N, repeats, num_walks = (500, 1, 1) if o.quick else (10_000, o.repeats or 3, 2)
    pairs, group = groups_of_nodes(N, 10 * N, N // 100)
    steps, before = walks(pairs, N, num_walks, repeats)
    common.table("s, median (min)", {f"{num_walks * N * (LENGTH - 1):,} steps of walks": steps,
                                     "what comes before": before}, 1)
    seconds, quality = whole(pairs, group, 2 if o.quick else 5)
    common.table("s", {"Node2Vec as a whole": seconds}, 1)
    common.markdown([["of a node's ten nearest, in its group", *quality],
                     ["share", *(f"{x:.3f}" for x in quality.values())]])
    relations = transe(2000 if o.quick else 100_000, 1 if o.quick else o.repeats or 5)
    common.table("s, median (min)", {"TransE, an epoch": relations}, 1)
    epochs, lines = bpr(20_000 if o.quick else 1_000_000,
                        {common.OURS: 1, "implicit": 1} if o.quick else {common.OURS: 2, "implicit": 10})
    common.table("s", {"BPR, an epoch": epochs}, 1)
    common.markdown(lines)
    def ratio(row: dict[str, list[float]], peer: str, over: bool = False) -> str:
        if peer not in row:
            return "–"
        x = statistics.median(row[common.OURS]) / statistics.median(row[peer])
        return f"{1 / x if over else x:.2f}"

    found = {"walks, node2vec": ratio(steps, "node2vec", True),
             "walks, fastnode2vec": ratio(steps, "fastnode2vec", True), "Node2Vec": ratio(seconds, "node2vec", True),
             "memory": f"{memory(20_000 if o.quick else 1_000_000):.1f} MiB",
             "TransE": ratio(relations, "torch"), "BPR": ratio(epochs, "implicit")}
    names = ("walk steps a second over node2vec's", "walk steps a second over fastnode2vec's",
             "Node2Vec as a whole, times as fast as the package", "memory of walks beyond the graph",
             "TransE epoch over torch's", "BPR epoch over implicit's")
    common.markdown([["against the reaches", "ours", "reach", "aim"],
                     *([name, found[key], *map("{:g}".format, GOALS[key])] for name, key in zip(names, GOALS))])
    if o.quick:
        print("\nThe goals are for the full sizes.")


if __name__ == "__main__":
    main()
