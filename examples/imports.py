"""Which import is missing? Edges of a graph, held out and found again from vectors of its nodes.

The graph is that of Python's own library: which module imports which. A fifth of its edges is taken away. Then each
method says of these edges, and of pairs of modules that have none, how probable an edge is; AUC is how often it says
more of an edge than of no edge: 1 is always, 0.5 is as by chance. The pairs without an edge are

    any pairs              most of them of modules with few edges, so that the number of edges tells much
    same modules           the modules of the edges that are held out, paired anew: now it tells nothing

    node2vec, LINE         cosine of the two nodes' vectors; or what logistic regression makes of their edge vector
                           (`te.vectors.edge_vectors`), trained on edges that are left and on such pairs
    common neighbours      how many nodes are neighbours of both
    Adamic-Adar            the same, each counted as 1 / log of its degree: a rare one says more (2003)
    product of degrees     knows nothing of the pair but how many edges its nodes have

    python examples/imports.py          about a minute, and a picture, imports.png
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed.models import LINE, Node2Vec
from tinyembed.vectors import NodeVectors, draw, edge_vectors, tsne


def split(graph: te.data.Graph, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Edges (n, 2) to keep and to hold out; each node that has an edge keeps one."""
    pairs = np.stack(graph.edges()[:2], 1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    degrees = np.bincount(pairs.reshape(-1), minlength=len(graph))
    out = np.zeros(len(pairs), bool)
    for n in rng.permutation(len(pairs)):
        if out.sum() < share * len(pairs) and degrees[pairs[n]].min() > 1:
            degrees[pairs[n]] -= 1
            out[n] = True
    return pairs[~out], pairs[out]


def no_edges(graph: te.data.Graph, n: int, rng: np.random.Generator) -> np.ndarray:
    """n pairs of different nodes without an edge (n, 2)."""
    pairs = rng.integers(len(graph), size=(4 * n + 100, 2))
    return pairs[(pairs[:, 0] != pairs[:, 1]) & (graph.find(*pairs.T) < 0)][:n]


def paired_anew(graph: te.data.Graph, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The second ends of edges (n, 2) given to other first ends, where that makes no edge."""
    pairs = np.stack([edges[:, 0], rng.permutation(edges[:, 1])], 1)
    return pairs[(pairs[:, 0] != pairs[:, 1]) & (graph.find(*pairs.T) < 0)]


def auc(edges: np.ndarray, others: np.ndarray) -> float:
    """How often a score of an edge is above one of another pair; half of the time where they are equal."""
    above, equal = edges[:, None] > others, edges[:, None] == others
    return float(above.mean() + equal.mean() / 2)


def report(name: str, scores: list[list[np.ndarray]]) -> None:
    """A line of the table: scores of edges and of other pairs, for each kind of these."""
    print(f"  {name:<28} {'       '.join(f'{auc(*both):.3f}' for both in scores)}", flush=True)


def regression(X: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Logistic regression on the vectors of edges and of other pairs, X[0] and X[1]: its scores of X[2] and X[3]."""
    train = np.concatenate(X[:2])
    X = [(x - train.mean(0)) / train.std(0) for x in X]
    model = te.nn.Linear(train.shape[1], 1, rng=rng)
    batches = te.data.Batches((np.concatenate(X[:2]), np.repeat(np.float32([1, 0]), [len(x) for x in X[:2]])), 256, rng)
    te.train.fit(model, batches, te.optim.AdamW(model.parameters(), lr=0.01), epochs=30, progress=False,
                 loss=lambda model, x, y: te.ops.bce_with_logits(model(x).reshape((-1,)), y))
    return [model(x).data[:, 0] for x in X[2:]]


def show(figure: Any, names: list[str], X: np.ndarray) -> None:
    """A map of modules, X (N, D), in which near vectors stay near; a package of four modules or more has a colour."""
    packages = [name.partition(".")[0] for name in names]
    large = {package for package in packages if packages.count(package) > 3}
    draw(tsne(X, perplexity=12), names, axes=figure.subplots(),
         groups=[package if package in large else "other modules" for package in packages],
         title="node2vec: modules of Python's library that many others import or that import many")


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="imports.png")
    cli.add_argument("--root", help="a folder of Python sources instead of the library")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector, even (default %(default)s)")
    cli.add_argument("--walks", type=int, default=20, help="walks from each node (default %(default)s)")
    cli.add_argument("--p", type=float, default=1.0, help="small: walks go back (default %(default)s)")
    cli.add_argument("--q", type=float, default=1.0, help="small: walks go far (default %(default)s)")
    cli.add_argument("--points", type=int, default=150, help="modules in the picture (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if o.dim < 2 or o.dim % 2 or o.walks < 1 or o.points < 20 or not (0 < o.p < 1e9 and 0 < o.q < 1e9):
        cli.error("--dim must be even, --walks at least 1, --points 20, --p and --q above 0")
    try:
        imports = te.data.import_graph(o.root and [o.root])
    except FileNotFoundError as error:
        cli.error(str(error))
    rng = np.random.default_rng(o.seed)
    i, j, _ = imports.edges()
    whole = te.data.Graph(np.stack([i, j], 1), len(imports))  # either imports the other
    kept, held = split(whole, 0.2, rng)
    left = te.data.Graph(kept, len(whole))
    print(f"{imports}; without directions {len(kept) + len(held)}, of which {len(held)} are held out\n")
    # Of both kinds: edges and other pairs to train on, edges and other pairs to judge by.
    tasks = [(kept, no_edges(whole, len(kept), rng), held, no_edges(whole, len(held), rng)),
             (kept, paired_anew(whole, kept, rng), held, paired_anew(whole, held, rng))]

    A = np.zeros((len(left), len(left)))
    A[kept[:, 0], kept[:, 1]] = A[kept[:, 1], kept[:, 0]] = 1
    degrees = A.sum(1)
    tables = {"product of degrees": np.outer(degrees, degrees), "common neighbours": A @ A,
              "Adamic-Adar": A / np.log(np.maximum(degrees, 2)) @ A}
    print(f"{'AUC, against':<28} any pairs   same modules")
    for name, table in tables.items():
        report(name, [[table[tuple(pairs.T)] for pairs in task[2:]] for task in tasks])
    found: dict[str, NodeVectors] = {}
    for name in f"node2vec, p={o.p:g}, q={o.q:g}", "LINE":
        start = time.perf_counter()
        if name == "LINE":
            wv = LINE(left, o.dim, seed=o.seed).fit().wv
        else:
            wv = Node2Vec(left, o.dim, num_walks=o.walks, p=o.p, q=o.q, seed=o.seed).fit().wv
        print(f"{name} ({time.perf_counter() - start:.0f} s)")
        found[name], units = wv, NodeVectors(keys=wv.index_to_key, vectors=wv.get_normed_vectors())
        report("cosine", [[edge_vectors(units, pairs.tolist()).sum(1) for pairs in task[2:]] for task in tasks])
        for how in "hadamard", "average", "l1", "l2":
            report(how, [regression([edge_vectors(wv, pairs.tolist(), how) for pairs in task], rng) for task in tasks])
    print()
    top = np.argsort(-degrees, kind="stable")[:o.points]
    picture(o.save, show, [imports.nodes[i] for i in top], next(iter(found.values()))[top.tolist()], figsize=(12, 9))


if __name__ == "__main__":
    main()
