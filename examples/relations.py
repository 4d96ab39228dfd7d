"""What is missing in a net of facts? TransE, DistMult, ComplEx and RotatE on what Python's own library says of itself:
which module contains which class, what inherits from what, which function belongs where, which module imports which.

Of some facts that are held out the tail is asked for among all modules, classes and functions, then the head: at which
rank does a model have it, and would it have been enough to name what is most frequent?

    python examples/relations.py                      all four, one of them by two losses, in about a minute
    python examples/relations.py --models TransE --epochs 40
    python examples/relations.py --ask "json.decoder.JSONDecoder" "inherits from"
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from shared import parser

from tinyembed.data import Batches, Facts, library_triples, number_triples, split_triples
from tinyembed.models import ComplEx, DistMult, RotatE, TransE, logistic_loss, margin_loss
from tinyembed.optim import Adagrad, AdamW
from tinyembed.train import fit
from tinyembed.vectors import FrequentLinks, link_ranks, rank_scores

# Settings that did well on the facts for validation. The negatives that a model takes for facts teach it most: of the
# thousands that could be drawn nearly all are so wrong that there is nothing to learn. Products take decay, distances
# are held in place by the margin.
MODELS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "TransE, margin": (partial(TransE, p=2, objective=partial(margin_loss, margin=0.5)), partial(Adagrad, lr=0.3)),
    "TransE": (partial(TransE, p=2, objective=partial(logistic_loss, margin=1.0, adversarial=5.0)),
               partial(Adagrad, lr=0.3)),
    "DistMult": (partial(DistMult, objective=partial(logistic_loss, adversarial=3.0)),
                 partial(AdamW, lr=0.01, weight_decay=0.5)),
    "ComplEx": (partial(ComplEx, objective=partial(logistic_loss, adversarial=2.0)),
                partial(AdamW, lr=0.01, weight_decay=2.0)),
    "RotatE": (partial(RotatE, objective=partial(logistic_loss, margin=2.0, adversarial=3.0)),
               partial(Adagrad, lr=0.1)),
}


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which to train (default: all)")
    cli.add_argument("--roots", nargs="+", help="folders of another library than this Python's own")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=20, help="passes over the facts (default %(default)s)")
    cli.add_argument("--batch", type=int, default=1024, help="facts in a step (default %(default)s)")
    cli.add_argument("--negatives", type=int, default=64, help="wrong answers that share a step (default %(default)s)")
    cli.add_argument("--ask", nargs=2, metavar=("HEAD", "RELATION"), action="append",
                     help="a question to each model, such as json.decoder imports")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        triples, entities, relations = number_triples(library_triples(o.roots))
        train, valid, test = split_triples(triples, rng=np.random.default_rng(o.seed))
        batches = Batches(train, o.batch, np.random.default_rng(o.seed))
        E, facts, steps = len(entities), Facts(train), o.epochs * len(batches)
        models = {name: MODELS[name][0](E, len(relations), o.dim, negatives=o.negatives, facts=facts,
                                        rng=np.random.default_rng(o.seed)) for name in o.models}
        questions = [(head, relation, entities.index(head), relations.index(relation)) for head, relation in
                     o.ask or [(entities[i], relations[r]) for i, r in test[::len(test) // 4 or 1, :2][:4]]]
        if steps < 0:
            raise ValueError(f"epochs cannot be {o.epochs}")
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{len(triples):,} facts on {E:,} entities; {len(train):,} to train on, {len(test):,} to judge by")
    for r, name in enumerate(relations):
        head, _, tail = triples[triples[:, 1] == r][-1]
        print(f"  {(triples[:, 1] == r).sum():>6,}  such as  {entities[head]} {name} {entities[tail]}")

    seconds = {"most frequent": 0.0}
    for name, model in models.items():
        start = time.perf_counter()
        fit(model, batches, MODELS[name][1](model.parameters()), epochs=o.epochs, every=len(batches),
            held_out=Batches(valid, o.batch), schedule=lambda step: 1 - step / max(steps, 1))
        seconds[name] = time.perf_counter() - start

    judged = {"most frequent": FrequentLinks(train, E), **models}
    ranks = {name: link_ranks(model, test, triples) for name, model in judged.items()}
    print(f"\n{'':<16}{'filtered':^32}{'raw':^16}\n{'':<16}{'MRR':>8}{'hits@1':>8}{'hits@3':>8}{'hits@10':>8}{'MRR':>8}"
          f"{'hits@10':>8}{'seconds':>9}")
    for name, (raw, filtered) in ranks.items():
        numbers = [*rank_scores(filtered).values(), rank_scores(raw)["mrr"], rank_scores(raw)["hits@10"]]
        print(f"{name:<16}{''.join(f'{x:>8.3f}' for x in numbers)}{seconds[name]:>9.1f}")

    print(f"\nfiltered MRR of tails, and of heads\n{'':<16}{''.join(f'{relation:>18}' for relation in relations)}")
    for name, (_, filtered) in ranks.items():
        of_relation = [filtered[:, test[:, 1] == r] for r in range(len(relations))]
        print(f"{name:<16}" + "".join(
            f"{rank_scores(tails)['mrr']:>12.3f}{rank_scores(heads)['mrr']:>6.3f}" if tails.size else f"{'none':>18}"
            for tails, heads in of_relation))

    for head, relation, h, r in questions:
        print(f"\n{head} {relation} …")
        known = facts.answers([h], [r])[1]
        for name, model in judged.items():
            scores = model.tails([h], [r])[0].copy()
            scores[known] = -np.inf  # what it was told
            print(f"  {name:<16}{', '.join(entities[i] for i in np.argsort(-scores, kind='stable')[:4])}")


if __name__ == "__main__":
    main()
