"""Link prediction of knowledge graph models: ranks, raw and filtered; MRR and hits@k.

Here, among the evaluations, and not beside the models: it asks for arrays of scores, whoever makes them, and what is
most frequent is asked in the same way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core import Array, blocks
from ..data import Facts, as_triples

SCORES = 1 << 21  # that are looked at together


class LinkRanks(NamedTuple):
    """The ranks of the true entity, from 1: (2, N), those of the tails and then those of the heads of N triples."""

    raw: Array
    filtered: Array


def evaluate_links(model: Any, triples: Any, known: Any = None) -> dict[str, dict[str, float]]:
    """How well a model completes triples (N, 3): for each, its tail and then its head is asked for among all entities.

    model     has `tails(head, relation)` and `heads(tail, relation)`, ids (B,), (B,) -> scores (B, E) of all entities
    triples   those that are asked for
    known     all triples that are known to be true, those of training and validation too; None for `triples` alone

    -> {"raw": …, "filtered": …}, each with "mrr", the mean of 1 / rank, "hits@1", "hits@3" and "hits@10", the shares of
    ranks up to that, over both sides. Filtered: other entities that make a known triple, which are right answers too,
    are not ranked (Bordes et al. 2013). Of entities with one score the rank is the mean, 1 + those above + half of the
    others with that score: the "realistic" one of Berrendorf et al. 2020, "On the ambiguity of rank-based evaluation".
    A model that scores all alike is so worth no more than chance, and none profits from where its entity stands.

    `link_ranks` has the ranks themselves, `FrequentLinks` is a baseline. Raises ValueError for what are no triples, and
    for scores that are NaN.

    >>> class Next:                                                          # knows that 0 -> 1 -> 2 -> 3
    ...     def tails(self, head, relation):
    ...         return np.float32([[0, 5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 5], [0, 0, 0, 0]])[head]
    ...     def heads(self, tail, relation):
    ...         return np.float32([[0, 0, 0, 0], [5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0]])[tail]
    >>> evaluate_links(Next(), [[0, 0, 1], [1, 0, 2]])["filtered"]
    {'mrr': 1.0, 'hits@1': 1.0, 'hits@3': 1.0, 'hits@10': 1.0}
    """
    ranks = link_ranks(model, triples, known)
    return {name: rank_scores(of_kind) for name, of_kind in ranks._asdict().items()}


def rank_scores(ranks: Any) -> dict[str, float]:
    """Mean reciprocal rank, and hits at 1, 3 and 10, of some ranks from 1 on; ValueError for none.

    >>> rank_scores([1, 2.5, 10, 20])
    {'mrr': 0.3875, 'hits@1': 0.25, 'hits@3': 0.5, 'hits@10': 0.75}
    """
    ranks = np.asarray(ranks, np.float64)
    if not ranks.size:
        raise ValueError("there is no rank to judge by")
    return {"mrr": float((1 / ranks).mean()), **{f"hits@{k}": float((ranks <= k).mean()) for k in (1, 3, 10)}}


def link_ranks(model: Any, triples: Any, known: Any = None) -> LinkRanks:
    """The ranks of the tails and heads of triples (N, 3), as `evaluate_links` says: raw (2, N), filtered (2, N).

    >>> class Alike:
    ...     def tails(self, ids, relation):
    ...         return np.zeros((len(ids), 5))
    ...     heads = tails
    >>> link_ranks(Alike(), [[0, 0, 1]]).raw.tolist()
    [[3.0], [3.0]]
    """
    triples = as_triples(triples)
    known = triples if known is None else np.concatenate([as_triples(known), triples])
    facts = Facts(known)
    ranks = LinkRanks(*np.empty((2, 2, len(triples))))
    for back, (score, ask, answer) in enumerate(((model.tails, 0, 2), (model.heads, 2, 0))):
        E = score(triples[:1, ask], triples[:1, 1]).shape[1] if len(triples) else 1 << 40
        as_triples(known, E)
        for some in blocks(len(triples), E, SCORES):
            ids, relation, true = triples[some, ask], triples[some, 1], triples[some, answer]
            scores = score(ids, relation)
            if np.isnan(scores).any():
                raise ValueError(f"the model has scores that are NaN, of the {('tails', 'heads')[back]}")
            own = scores[np.arange(len(true)), true][:, None]
            query, entity = facts.answers(ids, relation, bool(back))
            right = scores[query, entity]  # those of all right answers, the true one too
            halves = np.zeros((3, len(true)))
            halves[0] = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
            np.add.at(halves[1], query, right > own[query, 0])
            np.add.at(halves[2], query, right == own[query, 0])
            ranks.raw[back, some] = 1 + halves[0]
            ranks.filtered[back, some] = 1 + halves[0] - halves[1] - (halves[2] - 1) / 2
    return ranks


class FrequentLinks:
    """The baseline of `evaluate_links`: for each relation the most frequent tails and heads, whatever is asked for.

        triples (N, 3) to count in, E entities          the score of an entity is its count

    >>> FrequentLinks([[0, 0, 1], [2, 0, 1], [0, 0, 3]], 4).tails([2], [0]).tolist()
    [[0.0, 2.0, 0.0, 1.0]]
    """

    def __init__(self, triples: Any, num_entities: int) -> None:
        self.triples, self.num_entities = as_triples(triples, num_entities), num_entities

    def tails(self, head: Any, relation: Any) -> Array:
        """How often each entity is the tail of the relation: ids (B,), (B,) -> (B, E)"""
        return self._counts(relation, 2)

    def heads(self, tail: Any, relation: Any) -> Array:
        """How often each entity is the head of the relation: ids (B,), (B,) -> (B, E)"""
        return self._counts(relation, 0)

    def _counts(self, relation: Any, side: int) -> Array:
        asked, each = np.unique(relation, return_inverse=True)
        counts = [np.bincount(self.triples[self.triples[:, 1] == r, side], minlength=self.num_entities) for r in asked]
        return np.array(counts, np.float64)[each]
