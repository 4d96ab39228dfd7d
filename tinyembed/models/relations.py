"""Knowledge graph embeddings: TransE, DistMult, ComplEx and RotatE, models of triples (head, relation, tail).

A relation moves an entity, from head to tail, or back from tail to head; where it arrives is compared with all
entities. A model says how, and nothing else:

               moved to         score                        a relation can be
    TransE     h + r            -|h + r - t|                 antisymmetric, inverse of another, composed of others
    DistMult   h * r            (h * r) . t                  symmetric, and nothing else
    ComplEx    h r              real part of h r conj(t)     symmetric, antisymmetric, inverse
    RotatE     h e^(ir)         -|h e^(ir) - t|              all of it

What negatives are, and the losses, is in negatives.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Array, Tensor, fresh_rng, no_grad
from ..data import Facts
from ..nn import Embedding, Module
from ..ops import (
    cdist,
    complex_multiply,
    concatenate,
    cos,
    expand_dims,
    l2_normalise,
    linear,
    sin,
    vecdot,
)
from .negatives import Objective, are_wrong, drawn, logistic_loss, margin_loss


class TripleModel(Module):
    """Base of the models of triples: tables of entities and of relations, and a score that is high for facts.

        head (…), relation (…), tail (…) ids, which broadcast -> score (…)

    num_entities, num_relations, dim   the tables: (num_entities, dim), and a row for each relation
    objective   what a batch's loss is made of: `margin_loss` or `logistic_loss`, with functools.partial for settings.
                Each class has its paper's
    negatives   K entities are drawn for a batch, and stand for the tail of each of its triples, then for the head:
                2 B K comparisons for K rows. Repeats are dropped
    facts       `data.Facts` of what is known to be true: does not count as a negative. None: of the corrupted triples
                only the triple itself does not count
    rng         draws the tables, and the negatives. In eval mode these are drawn from seed 0

    `loss(triples)` takes ids (B, 3), such as `te.train.fit` gets from `te.data.Batches(triples, B, rng)`; its gradient
    is of the rows of the batch and the negatives alone. What the papers' penalties do is the weight decay of an
    optimiser here: `AdamW`'s is exact for rows that are absent, and touches none of them.

    A subclass says how a relation moves an entity (`moved`), and how near two are (`alike`, `alike_to_all`).

    >>> import tinyembed as te
    >>> facts = np.array([[i, 0, (i + 1) % 5] for i in range(5)])            # relation 0: the next one in a circle
    >>> model = RotatE(5, 1, dim=8, rng=np.random.default_rng(0))
    >>> history = te.train.fit(model, te.data.Batches(facts, 5), te.optim.Adam(model.parameters(), lr=0.05), epochs=100,
    ...                        progress=False)
    >>> model.tails([0, 3], [0, 0]).argmax(1).tolist(), model.heads([0, 3], [0, 0]).argmax(1).tolist()
    ([1, 4], [4, 2])
    """

    objective: Objective = staticmethod(margin_loss)
    of_length_1 = False  # whether entities are

    def __init__(self, num_entities: int, num_relations: int, dim: int, *, objective: Objective | None = None,
                 negatives: int = 64, facts: Facts | None = None, rng: np.random.Generator | None = None) -> None:
        if negatives < 1 or dim < 1:
            raise ValueError(f"dim and negatives are 1 at least, not {dim} and {negatives}")
        self.rng = fresh_rng() if rng is None else rng
        self.entities = Embedding(num_entities, dim, std=dim ** -0.5, rng=self.rng)
        self.relations = self._relations(num_relations, dim)
        self.negatives, self.facts = negatives, facts
        if objective is not None:
            self.objective = objective

    def _relations(self, R: int, D: int) -> Embedding:
        return Embedding(R, D, std=D ** -0.5, rng=self.rng)

    # -- what a model says ---------------------------------------------------------------------------------------------

    def moved(self, x: Tensor, r: Tensor, back: bool = False) -> Tensor:
        """Where relations r take heads x, or with back=True from where they come to tails x: (…, D) each -> (…, D)"""
        raise NotImplementedError(f"{type(self).__name__} does not say how a relation moves an entity")

    def alike(self, x: Tensor, y: Tensor) -> Tensor:
        """How near x is to y: (…, D), (…, D) -> (…)"""
        raise NotImplementedError(f"{type(self).__name__} does not say what is near")

    def alike_to_all(self, x: Tensor, y: Tensor) -> Tensor:
        """How near each x is to each y: (B, D), (K, D) -> (B, K)"""
        raise NotImplementedError(f"{type(self).__name__} does not say what is near")

    # -- scores --------------------------------------------------------------------------------------------------------

    def entity(self, ids: Any) -> Tensor:
        """The vectors of entities: ids (…) -> (…, D)"""
        rows = self.entities(ids)
        return l2_normalise(rows) if self.of_length_1 else rows

    def forward(self, head: Any, relation: Any, tail: Any) -> Tensor:
        head, relation, tail = np.broadcast_arrays(head, relation, tail)
        return self.alike(self.moved(self.entity(head), self.relations(relation)), self.entity(tail))

    def tails(self, head: Any, relation: Any) -> Array:
        """The scores of all entities as the tail: ids (B,), (B,) -> (B, num_entities)"""
        return self._all(head, relation, back=False)

    def heads(self, tail: Any, relation: Any) -> Array:
        """The scores of all entities as the head: ids (B,), (B,) -> (B, num_entities)"""
        return self._all(tail, relation, back=True)

    @no_grad()
    def _all(self, ids: Any, relation: Any, back: bool) -> Array:
        every = self.entities.weight
        x = self.moved(self.entity(ids), self.relations(relation), back)
        return self.alike_to_all(x, l2_normalise(every) if self.of_length_1 else every).data

    # -- training ------------------------------------------------------------------------------------------------------

    def loss(self, triples: Array, negatives: Any = None) -> Tensor:
        """The mean over triples (B, 3) of the objective for corrupted tails and for corrupted heads. negatives: the ids
        to corrupt them with, where they are not to be drawn."""
        h, r, t = np.asarray(triples).T
        k = drawn(self, self.entities.num_embeddings) if negatives is None else np.unique(negatives)
        heads, relations, tails, others = self.entity(h), self.relations(r), self.entity(t), self.entity(k)
        there, home = self.moved(heads, relations), self.moved(tails, relations, back=True)
        positive = self.alike(there, tails)
        of_tails, of_heads = (
            self.objective(positive, self.alike_to_all(x, others), are_wrong(self.facts, ids, r, answers, k, back))
            for x, ids, answers, back in ((there, h, t, False), (home, t, h, True)))
        return (of_tails + of_heads) * 0.5


class Product(TripleModel):
    """Base of the models whose score is a dot product."""

    def _relations(self, R: int, D: int) -> Embedding:
        return Embedding(R, D, rng=self.rng)  # factors, of size 1

    def alike(self, x: Tensor, y: Tensor) -> Tensor:
        return vecdot(x, y)

    def alike_to_all(self, x: Tensor, y: Tensor) -> Tensor:
        return linear(x, y)


class Distance(TripleModel):
    """Base of the models whose score is a distance, with a minus: p, the norm's (1 or 2), and whether of complex
    numbers."""

    moduli = False

    def __init__(self, *sizes: int, p: int = 1, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.p = p

    def alike(self, x: Tensor, y: Tensor) -> Tensor:
        return self.alike_to_all(expand_dims(x, -2), expand_dims(y, -2))[..., 0, 0]

    def alike_to_all(self, x: Tensor, y: Tensor) -> Tensor:
        return -cdist(x, y, self.p, self.moduli)


class TransE(Distance):
    """score = -|h + r - t|_p, p = 1 or 2, entities of length 1: a relation is a translation.

    Two relations one after the other are the sum of their vectors, and the inverse is -r. A symmetric one would have
    to be r = 0; and of several tails of one head, all are to be at one place.
    (Bordes et al. 2013, "Translating embeddings for modeling multi-relational data")

    >>> model = TransE(3, 1, dim=2, p=2)
    >>> model.entities.weight.data[:] = [[1, 0], [0, 1], [0, -1]]
    >>> model.relations.weight.data[:] = [[-1, 1]]
    >>> model([0, 0], [0, 0], [1, 2]).data
    array([-0., -2.], dtype=float32)
    """

    of_length_1 = True

    def moved(self, x: Tensor, r: Tensor, back: bool = False) -> Tensor:
        return x - r if back else x + r


class DistMult(Product):
    """score = sum of h * r * t, entities of length 1: a relation stretches each coordinate.

    Head and tail may change places, so each relation is symmetric.
    (Yang et al. 2015, "Embedding entities and relations for learning and inference in knowledge bases")

    >>> model = DistMult(5, 2, dim=4)
    >>> bool(np.allclose(model(0, 1, 2).data, model(2, 1, 0).data))
    True
    """

    of_length_1 = True

    def moved(self, x: Tensor, r: Tensor, back: bool = False) -> Tensor:
        return x * r


class ComplEx(Product):
    """score = Re(sum of h r conj(t)), of dim / 2 complex numbers each, real parts first.

    A real r is symmetric, an imaginary one antisymmetric; conj(r) is the inverse of r. The real part of x conj(y) is
    the dot product of their 2n numbers. (Trouillon et al. 2016, "Complex embeddings for simple link prediction")

    >>> model = ComplEx(2, 1, dim=2)
    >>> model.entities.weight.data[:] = [[1, 0], [0, 1]]                     # 1 and i
    >>> model.relations.weight.data[:] = [[0, 1]]                            # i: a quarter turn
    >>> model([0, 1], [0, 0], [1, 0]).data
    array([ 1., -1.], dtype=float32)
    """

    objective = staticmethod(logistic_loss)

    def moved(self, x: Tensor, r: Tensor, back: bool = False) -> Tensor:
        return complex_multiply(x, r, conjugate=back)


def _rotate_objective(positive: Tensor, negatives: Tensor, wrong: Array) -> Tensor:
    return logistic_loss(positive, negatives, wrong, margin=6.0, adversarial=1.0)


class RotatE(Distance):
    """score = -sum of the moduli of h e^(ir) - t, of dim / 2 complex numbers: a relation turns each by an angle.

    r is dim / 2 angles. The inverse turns back, two turns make one, and a symmetric relation turns by 0 or pi.
    (Sun et al. 2019, "RotatE: Knowledge graph embedding by relational rotation in complex space")

    >>> model = RotatE(2, 1, dim=2)
    >>> model.entities.weight.data[:] = [[1, 0], [0, 1]]                     # 1 and i
    >>> model.relations.weight.data[:] = [[np.pi / 2]]
    >>> model([0, 1], [0, 0], [1, 0]).data.round(4)
    array([-0., -2.], dtype=float32)
    """

    objective = staticmethod(_rotate_objective)
    moduli = True

    def _relations(self, R: int, D: int) -> Embedding:
        if D % 2:
            raise ValueError(f"dim is even, as complex numbers have two halves; not {D}")
        return Embedding(R, D // 2, std=math.pi / math.sqrt(3), rng=self.rng)

    def moved(self, x: Tensor, r: Tensor, back: bool = False) -> Tensor:
        return complex_multiply(x, concatenate([cos(r), sin(r)], -1), conjugate=back)
