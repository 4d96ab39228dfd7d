"""A karate club that fell out, and its two sides, found from who met whom: DeepWalk, node2vec and LINE.

Zachary watched the 34 members of a club for two years; then it split. The vectors of the members are made from the 78
pairs that met outside the club, and never see the sides. Two questions are asked of them, with ten seeds each:

    k-means       two groups: how many of the 34 are in the group of their side
    leave one out each member is given the side of the member with the nearest vector: how many are right

Beside them stand spectral clustering (Ng, Jordan and Weiss 2001), which is made for the first question, and random
vectors. Whether a line can part the sides is not asked: it parts any 34 points in 64 dimensions.

    python examples/karate.py          about half a minute, and a picture, karate.png
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed.models import LINE, DeepWalk, Node2Vec
from tinyembed.vectors import agreement, draw, kmeans, pca


def spectral(club: te.data.Graph) -> np.ndarray:
    """The two eigenvectors of the normalised adjacency matrix with the largest eigenvalues, a row a member (N, 2)."""
    i, j, w = club.edges()
    A = np.zeros((len(club), len(club)))
    A[i, j] = A[j, i] = w
    root = np.sqrt(A.sum(1))
    return np.linalg.eigh(A / np.outer(root, root))[1][:, -2:]


def found(X: np.ndarray, sides: np.ndarray, seed: int) -> tuple[int, int]:
    """How many members k-means and the nearest other vector give to their side: X (N, D), sides (N,) of 0 and 1."""
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    groups, _ = kmeans(units, 2, seed=seed)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    return round(agreement(groups, sides)["purity"] * len(X)), int((sides[cosines.argmax(1)] == sides).sum())


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, seed=None, save="karate.png")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector, even (default %(default)s)")
    cli.add_argument("--length", type=int, default=10, help="nodes of a walk (default %(default)s)")
    cli.add_argument("--walks", type=int, default=80, help="walks from each node (default %(default)s)")
    cli.add_argument("--window", type=int, default=5, help="largest distance in a walk (default %(default)s)")
    cli.add_argument("--p", type=float, default=1.0, help="small: node2vec's walks go back (default %(default)s)")
    cli.add_argument("--q", type=float, default=2.0, help="large: node2vec's walks stay near (default %(default)s)")
    cli.add_argument("--seeds", type=int, default=10, help="how many seeds (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    settings = o.dim // 2, o.length, o.walks, o.window, o.seeds
    if min(settings) < 1 or o.dim % 2 or not (0 < o.p < np.inf and 0 < o.q < np.inf):
        cli.error("--dim must be even, --length, --walks, --window and --seeds at least 1, --p and --q above 0")
    club = te.data.karate_club()
    members, sides = list(club.nodes), np.array([side == "Officer" for side in club.labels]).astype(int)
    print(f"{club}: {' and '.join(f'{club.labels.count(side)} with {side}' for side in dict.fromkeys(club.labels))}\n")

    models: dict[str, Callable[[int], np.ndarray]] = {
        "DeepWalk": lambda seed: DeepWalk(club, o.dim, o.length, o.walks, seed=seed).fit(o.window).wv[members],
        f"node2vec, p={o.p:g}, q={o.q:g}":
            lambda seed: Node2Vec(club, o.dim, o.length, o.walks, o.p, o.q, seed=seed).fit(o.window).wv[members],
        "LINE": lambda seed: LINE(club, o.dim, seed=seed).fit().wv[members],
        "spectral clustering": lambda seed: spectral(club),
        "random vectors": lambda seed: np.random.default_rng(seed).standard_normal((len(club), o.dim))}
    print(f"of {len(club)} members, with {o.seeds} seeds{'':<10} k-means            leave one out")
    for name, vectors in models.items():
        counts = np.array([found(vectors(seed), sides, seed) for seed in range(1, o.seeds + 1)])
        columns = [f"{column.mean():5.1f}  ({column.min()} to {column.max()})" for column in counts.T]
        print(f"  {name:<36} {columns[0]:<18} {columns[1]}", flush=True)

    X = models["DeepWalk"](1)
    groups, _ = kmeans(X / np.linalg.norm(X, axis=1, keepdims=True), 2)
    groups = groups if (groups == sides).mean() > 0.5 else 1 - groups
    print("\nwho k-means on DeepWalk's vectors of seed 1 gives to the other side, and whom they met")
    for i in np.flatnonzero(groups != sides):
        own = sides[club.indices[club.indptr[i]:club.indptr[i + 1]]] == sides[i]
        print(f"  {i:>2}: {own.sum()} of their own side, {(~own).sum()} of the other")
    print()
    picture(o.save, lambda figure: draw(
        pca(X), members, axes=figure.subplots(), groups=club.labels, xlabel="first principal component",
        ylabel="second principal component", title="DeepWalk: the members of a karate club, and their sides"),
        figsize=(12, 9))


if __name__ == "__main__":
    main()
