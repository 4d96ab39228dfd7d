"""What is missing in a net of facts? TransE, DistMult, ComplEx and RotatE on what Python's own library says of itself:
which module contains which class, what inherits from what, which function belongs where, which module imports which.

Of some facts that are held out the tail is asked for among all modules, classes and functions, then the head: at which
rank does a model have it, and would it have been enough to name what is most frequent? The picture has the answers, and
shows what TransE means by a relation: arrows of one direction and length. Where they are not, it does badly.

    python examples/relations.py                      all four, one by two losses, in a minute and a half;
                                                      draws relations.png
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
from shared import parser, picture

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


def mrr_by_relation(filtered: np.ndarray, of: np.ndarray, R: int) -> np.ndarray:
    """The mean of 1 / rank for each relation: ranks of tails and of heads (2, N), relations of (N,) -> (2, R)"""
    return np.array([[(1 / ranks[of == r]).mean() if (of == r).any() else np.nan for r in range(R)]
                     for ranks in filtered])


def draw(figure: Any, mrr: dict[str, np.ndarray], relations: list[str], arrows: dict[str, np.ndarray]) -> None:
    """On the left the MRR of each model, (2, R); on the right, where there are arrows, those of each relation."""
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5)) if arrows else (figure, None)
    axes, (baseline, *models) = left.subplots(), mrr.items()
    axes.barh(range(2 * len(relations)), baseline[1].T.ravel(), color="0.8", label=baseline[0])
    for (name, values), marker in zip(models, "osD^v"):
        axes.plot(values.T.ravel(), range(2 * len(relations)), marker, label=name, alpha=0.8)
    axes.set_yticks(range(2 * len(relations)),
                    [label for name in relations for label in (f"… {name} what?", f"what {name} …?")])
    axes.set(title="Facts that were held out: who finds the rest?", xlabel="filtered MRR, the mean of 1 / rank")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    if not arrows:
        return
    right.suptitle("TransE: from head to tail of facts that were held out; grey: to the tail of another\n"
                   "a relation that is a translation is level")
    for panel, (relation, (heads, tails)) in zip(right.subplots(2, 2).flat, arrows.items()):
        for others, colour in ((np.roll(tails, len(tails) // 2, axis=0), "0.87"), (tails, "C0")):
            panel.quiver(*heads.T, *(others - heads).T, color=colour, angles="xy", scale_units="xy", scale=1,
                         width=0.004)
        panel.set_title(relation)
        panel.update_datalim(np.concatenate([heads, tails]))
        panel.autoscale_view()
        panel.set_aspect("equal", "datalim")


def in_two_dimensions(model: TransE, facts: np.ndarray) -> np.ndarray:
    """Heads and tails of 40 facts of one relation (N, 3) in a plane -> (2, 40, 2): to the right lies where the relation
    points; up, at right angles to it, where the tails differ most. A true translation is level."""
    facts = facts[::len(facts) // 40 or 1][:40]
    heads, tails = model.entity(facts[:, 0]).data, model.entity(facts[:, 2]).data
    right = model.relations(facts[0, 1]).data
    right = right / np.linalg.norm(right)
    rest = tails - np.outer(tails @ right, right)
    up = np.linalg.svd(rest - rest.mean(0), full_matrices=False)[2][0]
    return np.stack([heads, tails]) @ np.stack([right, up]).T


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="relations.png")
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
    mrr = {name: mrr_by_relation(filtered, test[:, 1], len(relations)) for name, (_, filtered) in ranks.items()}
    for name, values in mrr.items():
        print(f"{name:<16}" + "".join(f"{tails:>12.3f}{heads:>6.3f}" for tails, heads in values.T))

    for head, relation, h, r in questions:
        print(f"\n{head} {relation} …")
        known = facts.answers([h], [r])[1]
        for name, model in judged.items():
            scores = model.tails([h], [r])[0].copy()
            scores[known] = -np.inf  # what it was told
            print(f"  {name:<16}{', '.join(entities[i] for i in np.argsort(-scores, kind='stable')[:4])}")

    print()
    arrows = {relations[r]: in_two_dimensions(model, test[test[:, 1] == r])
              for model in [model for model in models.values() if isinstance(model, TransE)][-1:]
              for r in np.unique(test[:, 1])}
    picture(o.save, draw, mrr, relations, arrows, figsize=(17, 8))


if __name__ == "__main__":
    main()
