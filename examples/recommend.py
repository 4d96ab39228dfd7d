"""Files that import json and re also import …: recommenders on what each file of Python's own library imports.

The files are the users, the modules that they import the items. Some imports are hidden, and each model names ten that
a file lacks: how many of the hidden ones are among them? Some modules are imported by nearly everybody, so that naming
the most popular goes a long way; but it names the same few to all.

    factors, BPR        a vector for each file and each module; the product says how much the one wants the other
    ItemToVec           a vector for each module, near those that are imported together with it, however popular it is;
                        a file is the mean of what it imports
    two towers          a vector from what a name says: "asyncio.base_events" is of asyncio, and of "base" and "events".
                        So they alone can say what a file would import that is not there yet

    python examples/recommend.py                      less than a minute on two cores, and a picture, recommend.png
    python examples/recommend.py --with json re socket
    python examples/recommend.py --new http.cookies.parser
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from shared import parser, picture

from tinyembed.core import Array
from tinyembed.data import Batches, library_triples, number_triples, split_triples
from tinyembed.models import BPR, ItemToVec, MatrixFactorisation, Tower, TwoTowers
from tinyembed.optim import AdamW
from tinyembed.train import fit
from tinyembed.vectors import ItemCosine, ItemMean, Popularity, draw, evaluate_recommendations, tsne

BASELINES = {"random": ":", "popularity": "--", "item-item cosine": "-."}  # and how their curves are drawn
KS = (1, 2, 3, 5, 7, 10, 15, 20, 30)  # of the curves in the picture


class Imports(NamedTuple):
    """Pairs (N, 2) of file and module, to train on, hidden, and of "you"; the names that the numbers stand for."""

    train: Array
    test: Array
    mine: Array
    files: list[str]
    modules: list[str]


class Chance:
    """Scores that are drawn: the same for a user whenever it is asked."""

    def __init__(self, num_users: int, num_items: int, seed: int) -> None:
        self.table = np.random.default_rng(seed).random((num_users, num_items))

    def scores(self, users: Any) -> Array:
        """users (B,) -> (B, I)"""
        return self.table[users]


class NameFeatures:
    """What a name says, as ids: the name itself, the packages that it is in, its words. Learned from some names; of
    another one, those of its features that are known.

    >>> features = NameFeatures(["json.decoder", "json"])
    >>> features(["json.decoder", "json", "json.fast_decoder"])
    [[0, 1, 2, 3], [4, 1, 2], [1, 2, 3]]
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.index: dict[str, int] = {}
        for name in names:
            for feature in self.of(name):
                self.index.setdefault(feature, len(self.index))

    def __call__(self, names: Iterable[str]) -> list[list[int]]:
        return [[self.index[feature] for feature in self.of(name) if feature in self.index] for name in names]

    @staticmethod
    def of(name: str) -> list[str]:
        """The features of a name, each once."""
        parts = name.split(".")
        packages = [f"in {'.'.join(parts[:n])}" for n in range(1, len(parts) + (len(parts) == 1))]
        return [f"is {name}", *packages, *dict.fromkeys(word for word in re.split(r"[._]+", name.lower()) if word)]


def read(roots: Any, owned: list[str], hidden: float, seed: int) -> Imports:
    """What each file imports; of this a share is hidden, but nothing that is the last of its file or its module."""
    imports = [(f"file {head}", relation, tail) for head, relation, tail in library_triples(roots)
               if relation == "imports"]
    known = {tail for *_, tail in imports}
    if not known.intersection(owned):
        raise ValueError(f"no file imports {' or '.join(owned)}")
    imports += [("(you)", "imports", module) for module in dict.fromkeys(owned) if module in known]
    ids, names, _ = number_triples(imports)
    (users, u), (items, i) = (np.unique(ids[:, side], return_inverse=True) for side in (0, 2))
    U = len(users)
    # Users and items are numbered apart, and to the split they are the entities of one relation. The last user is you.
    pairs = np.stack([u, ids[:, 1], i + U], 1)
    train, _, test = split_triples(pairs[u < U - 1], 0, hidden, np.random.default_rng(seed))
    if not len(test):
        raise ValueError("some imports are to be hidden")
    train, test, mine = (part[:, [0, 2]] - [0, U] for part in (train, test, pairs[u == U - 1]))
    return Imports(np.concatenate([train, mine]), test, mine, [names[n].removeprefix("file ") for n in users],
                   [names[n] for n in items])


def learners(o: argparse.Namespace, data: Imports, of_files: NameFeatures, of_modules: NameFeatures
             ) -> dict[str, Callable[[], Any]]:
    """Functions that train a model and return it, by its name. Whatever is no use is refused here."""
    train, U, num_items = data.train, len(data.files), len(data.modules)
    sizes, options = (U, num_items, o.dim), {"owned": train, "negatives": 128}
    models: dict[str, Any] = {
        "factors, squared": MatrixFactorisation(*sizes, rng=np.random.default_rng(o.seed), **options),
        "factors, logistic": MatrixFactorisation(*sizes, objective="logistic", rng=np.random.default_rng(o.seed),
                                                 **options),
        "BPR": BPR(*sizes, rng=np.random.default_rng(o.seed), **options)}
    rng = np.random.default_rng(o.seed)
    towers = TwoTowers(Tower(len(of_files.index), o.dim, rng=rng), Tower(len(of_modules.index), o.dim, rng=rng),
                       of_files(data.files), of_modules(data.modules), temperature=0.1, owned=train)
    optimizers = {name: AdamW(model.groups(o.decay), lr=o.lr) for name, model in models.items()}
    optimizers["two towers"] = AdamW(towers.parameters(), lr=o.lr, weight_decay=0.1)
    models["two towers"] = towers
    batches = Batches(tuple(train.T), o.batch, np.random.default_rng(o.seed))
    item2vec = ItemToVec(vector_size=o.dim, sample=1e-3, epochs=o.passes, seed=o.seed)
    if o.epochs < 0:
        raise ValueError("epochs are 0 or more")

    def with_fit(name: str) -> Any:
        fit(models[name], batches, optimizers[name], epochs=o.epochs, every=len(batches))
        return models[name]

    def from_baskets() -> Any:
        baskets = [train[train[:, 0] == u, 1].tolist() for u in range(U)]
        item2vec.build_vocab(baskets)
        item2vec.train(baskets, progress=True)
        return ItemMean(item2vec.wv[list(range(num_items))], train)

    return {**{name: lambda name=name: with_fit(name) for name in models}, "ItemToVec": from_baskets}


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="recommend.png")
    cli.add_argument("--roots", nargs="+", help="folders of another library than this Python's own")
    cli.add_argument("--dim", type=int, default=32, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=40, help="passes over the imports (default %(default)s)")
    cli.add_argument("--lr", type=float, default=0.01, help="learning rate of AdamW (default %(default)s)")
    cli.add_argument("--decay", type=float, default=1.0,
                     help="of factors, not of biases; chosen on other splits, --seed 2 and 3, as were the settings of "
                          "ItemToVec and of the towers (default %(default)s)")
    cli.add_argument("--passes", type=int, default=100,
                     help="of ItemToVec over what files import (default %(default)s)")
    cli.add_argument("--batch", type=int, default=256, help="imports in a step (default %(default)s)")
    cli.add_argument("--hidden", type=float, default=0.2, help="the fraction of imports to hide (default %(default)s)")
    cli.add_argument("--with", nargs="+", dest="owned", default=["json", "re"], metavar="MODULE",
                     help="what a file imports already that asks for more (default: json re)")
    cli.add_argument("--new", default="email.http.client", metavar="NAME",
                     help="a file that is not there yet, by its name (default %(default)s)")
    return cli


def show(figure: Any, data: Imports, curves: dict[str, list[float]], vectors: Array) -> None:
    """How many of the hidden imports are among the first k, and a map of the modules, vectors (I, D)."""
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    for name, curve in sorted(curves.items(), key=lambda item: -item[1][-1]):
        left.plot(KS, curve, marker=".", color="0.4" if name in BASELINES else None, label=name,
                  linestyle=BASELINES.get(name, "-"))
    left.set(xscale="log", xticks=KS, xticklabels=KS, xlabel="k", ylabel="recall@k", ylim=(0, None),
             title="the share of a file's hidden imports among k modules that are named")
    left.minorticks_off()
    left.grid(alpha=0.3)
    left.legend()
    counts = np.bincount(data.train[:, 1], minlength=len(data.modules))
    top = np.argsort(-counts, kind="stable")[:150]
    names = [data.modules[i] for i in top]
    packages = [name.partition(".")[0] for name in names]
    groups = [package if packages.count(package) > 3 else "other modules" for package in packages]
    draw(tsne(vectors[top], perplexity=12), names, axes=right, groups=groups,
         title="ItemToVec: the modules that most files import, near those imported with them")
    right.set(xticks=[], yticks=[])


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        data = read(o.roots, o.owned, o.hidden, o.seed)
        of_files, of_modules = NameFeatures(data.files), NameFeatures(data.modules)
        learn = learners(o, data, of_files, of_modules)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    U, num_items = len(data.files), len(data.modules)
    print(f"{U - 1:,} files import {num_items:,} modules, {len(data.train):,} imports to train on, "
          f"{len(data.test):,} hidden\n")
    judged: dict[str, Any] = {"random": Chance(U, num_items, o.seed), "popularity": Popularity(data.train, num_items),
                              "item-item cosine": ItemCosine(data.train, num_items)}
    seconds = {}
    for name, trained in learn.items():
        start = time.perf_counter()
        judged[name] = trained()
        seconds[name] = time.perf_counter() - start

    print(f"\n{'':<20}{'recall@10':>10}{'ndcg@10':>10}{'coverage@10':>13}{'seconds':>9}")
    curves = {}
    for name, model in judged.items():
        found = {k: evaluate_recommendations(model, data.train, data.test, k) for k in KS}
        curves[name] = [found[k][f"recall@{k}"] for k in KS]
        print(f"{name:<20}{found[10]['recall@10']:>10.3f}{found[10]['ndcg@10']:>10.3f}"
              f"{found[10]['coverage@10']:>13.3f}{seconds.get(name, 0):>9.1f}")

    print(f"\nfiles that import {' and '.join(o.owned)} also import")
    for name, model in judged.items():
        scores = model.scores(np.array([U - 1]))[0].copy()
        scores[data.mine[:, 1]] = -np.inf
        print(f"  {name:<20}{named(scores, data.modules)}")
    towers = judged["two towers"]
    new = towers.users.encode(of_files([o.new]), normalize_embeddings=True) @ towers.item_vectors().T
    print(f"\na file named {o.new} would import, say the two towers\n  {named(new[0], data.modules)}")
    print()
    picture(o.save, show, data, curves, judged["ItemToVec"].units, figsize=(16, 8))


def named(scores: Array, modules: list[str]) -> str:
    """The modules with the highest scores."""
    return " ".join(modules[i] for i in np.argsort(-scores, kind="stable")[:6])


if __name__ == "__main__":
    main()
