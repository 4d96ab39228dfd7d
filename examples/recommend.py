"""Files that import json and re also import …: recommenders on what each file of Python's own library imports.

The files are the users, the modules that they import the items. Some imports are hidden, and each model names ten that
a file lacks: how many of the hidden ones are among them? Some modules are imported by nearly everybody, so that naming
the most popular goes a long way; but it names the same few to all.

    python examples/recommend.py                      less than a minute on two cores
    python examples/recommend.py --with json re socket
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from tinyembed.core import Array
from tinyembed.data import Batches, library_triples, number_triples, split_triples
from tinyembed.models import BPR, MatrixFactorisation
from tinyembed.optim import AdamW
from tinyembed.train import fit
from tinyembed.vectors import ItemCosine, Popularity, evaluate_recommendations


class Chance:
    """Scores that are drawn: the same for a user whenever it is asked."""

    def __init__(self, num_users: int, num_items: int, seed: int) -> None:
        self.table = np.random.default_rng(seed).random((num_users, num_items))

    def scores(self, users: Any) -> Array:
        """users (B,) -> (B, I)"""
        return self.table[users]


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--roots", nargs="+", help="folders of another library than this Python's own")
    cli.add_argument("--dim", type=int, default=32, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=40, help="passes over the imports (default %(default)s)")
    cli.add_argument("--lr", type=float, default=0.01, help="learning rate of AdamW (default %(default)s)")
    cli.add_argument("--decay", type=float, default=1.0,
                     help="of vectors, not of biases; chosen on other splits, --seed 2 and 3 (default %(default)s)")
    cli.add_argument("--batch", type=int, default=256, help="imports in a step (default %(default)s)")
    cli.add_argument("--hidden", type=float, default=0.2, help="the fraction of imports to hide (default %(default)s)")
    cli.add_argument("--seed", type=int, default=1, help="seed of everything random (default %(default)s)")
    cli.add_argument("--with", nargs="+", dest="owned", default=["json", "re"], metavar="MODULE",
                     help="what a file imports already that asks for more (default: json re)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        imports = [(f"file {head}", relation, tail) for head, relation, tail in library_triples(o.roots)
                   if relation == "imports"]
        imports += [("you", "imports", module) for module in o.owned if any(module == tail for *_, tail in imports)]
        ids, names, _ = number_triples(imports)
        users, items = np.unique(ids[:, 0]), np.unique(ids[:, 2])
        pairs = np.stack([np.searchsorted(users, ids[:, 0]), ids[:, 1], np.searchsorted(items, ids[:, 2])], 1)
        U, modules = len(users), [names[i] for i in items]
        you = len(users) - 1 if names[users[-1]] == "you" else None
        if you is None:
            raise ValueError(f"no file imports {' or '.join(o.owned)}")
        # Users and items are numbered apart, and to the split they are the entities of one relation.
        mine, others = pairs[pairs[:, 0] == you], pairs[pairs[:, 0] != you] + [0, 0, U]
        train, _, test = split_triples(others, 0, o.hidden, np.random.default_rng(o.seed))
        train, test = (part[:, [0, 2]] - [0, U] for part in (train, test))
        train = np.concatenate([train, mine[:, [0, 2]]])
        batches = Batches(tuple(train.T), o.batch, np.random.default_rng(o.seed))
        sizes, options = (U, len(items), o.dim), {"owned": train, "negatives": 128}
        models = {"factors, squared": MatrixFactorisation(*sizes, rng=np.random.default_rng(o.seed), **options),
                  "factors, logistic": MatrixFactorisation(*sizes, rng=np.random.default_rng(o.seed),
                                                           objective="logistic", **options),
                  "BPR": BPR(*sizes, rng=np.random.default_rng(o.seed), **options)}
        optimizers = [AdamW(model.groups(o.decay), lr=o.lr) for model in models.values()]
        if o.epochs < 0 or not len(test):
            raise ValueError("epochs are 0 or more, and some imports are hidden")
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{U - 1:,} files import {len(items):,} modules, {len(train):,} imports to train on, {len(test):,} hidden\n")
    seconds = {}
    for (name, model), optimizer in zip(models.items(), optimizers):
        start = time.perf_counter()
        fit(model, batches, optimizer, epochs=o.epochs, every=len(batches))
        seconds[name] = time.perf_counter() - start

    judged = {"random": Chance(U, len(items), o.seed), "popularity": Popularity(train, len(items)),
              "item-item cosine": ItemCosine(train, len(items)), **models}
    print(f"\n{'':<20}{'recall@10':>10}{'ndcg@10':>10}{'coverage@10':>13}{'seconds':>9}")
    for name, model in judged.items():
        found = evaluate_recommendations(model, train, test)
        print(f"{name:<20}{found['recall@10']:>10.3f}{found['ndcg@10']:>10.3f}{found['coverage@10']:>13.3f}"
              f"{seconds.get(name, 0):>9.1f}")

    print(f"\nfiles that import {' and '.join(o.owned)} also import")
    for name, model in judged.items():
        scores = model.scores(np.array([you]))[0].copy()
        scores[mine[:, 2]] = -np.inf
        print(f"  {name:<20}{' '.join(modules[i] for i in np.argsort(-scores, kind='stable')[:6])}")


if __name__ == "__main__":
    main()
