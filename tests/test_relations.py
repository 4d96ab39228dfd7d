"""Models of triples: scores are the papers' formulas, relations can be what a score allows, and ranks are counted."""

import cmath
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Loss

import tinyembed as te
from tinyembed import ops
from tinyembed.data import Batches, Facts
from tinyembed.models import ComplEx, DistMult, RotatE, TransE, TripleModel, logistic_loss, margin_loss
from tinyembed.optim import Adam
from tinyembed.train import fit
from tinyembed.vectors import FrequentLinks, evaluate_links, link_ranks, rank_scores

MODELS = {"TransE, p=1": TransE, "TransE, p=2": functools.partial(TransE, p=2), "DistMult": DistMult,
          "ComplEx": ComplEx, "RotatE": RotatE}
every_model = pytest.mark.parametrize("name", MODELS)
seeds = st.integers(0, 2**32 - 1)


def make(name, E=6, R=3, D=4, seed=0, **options):
    """A model with numbers of size 1 in float64."""
    rng = np.random.default_rng(seed)
    model = MODELS[name](E, R, D, rng=rng, **options)
    for table in (model.entities, model.relations):
        table.weight = te.nn.Parameter(rng.normal(size=table.weight.shape))
    return model


# -- scores ------------------------------------------------------------------------------------------------------------


def as_complex(x):
    n = len(x) // 2
    return [complex(*pair) for pair in zip(x[:n], x[n:])]


def unit(x):
    return x / math.sqrt(sum(x * x))


SLOWLY = {
    "TransE, p=1": lambda h, r, t: -sum(abs(a + b - c) for a, b, c in zip(unit(h), r, unit(t))),
    "TransE, p=2": lambda h, r, t: -math.sqrt(sum((a + b - c) ** 2 for a, b, c in zip(unit(h), r, unit(t)))),
    "DistMult": lambda h, r, t: sum(a * b * c for a, b, c in zip(unit(h), r, unit(t))),
    "ComplEx": lambda h, r, t: sum(a * b * c.conjugate() for a, b, c in zip(*map(as_complex, (h, r, t)))).real,
    "RotatE": lambda h, r, t: -sum(abs(a * cmath.exp(1j * b) - c) for a, b, c in zip(as_complex(h), r, as_complex(t))),
}


@every_model
@given(seed=seeds)
@settings(max_examples=8)
def test_a_score_is_its_formula_whichever_way_it_is_asked_for(name, seed):
    model = make(name, seed=seed)
    entities, relations = model.entities.weight.data, model.relations.weight.data
    h, r, t = np.random.default_rng(seed).integers([[6], [3], [6]], size=(3, 5))
    slow = np.array([[[SLOWLY[name](a, b, c) for c in entities] for a in entities] for b in relations])
    for found, expected in (
            (model(h, r, t).data, slow[r, h, t]), (model(h[:, None], r[:, None], t).data, slow[r, h][:, t]),
            (model.tails(h, r), slow[r, h]), (model.heads(t, r), slow[r, :, t])):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_distances_of_near_and_of_many_vectors():
    """Where squares from products would cancel, and in lists that are longer than what is looked at together."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 8)) + 1000
    y = x + 1e-6 * rng.normal(size=x.shape)
    for p, exact in ((1, np.abs), (2, np.square)):
        expected = exact(x[:, None] - y[None]).sum(-1) ** (1 / p)
        np.testing.assert_allclose(ops.cdist(x, y, p).data, expected, rtol=1e-5)
    assert ops.cdist(x, x).data.tolist() == np.sqrt(np.square(x[:, None] - x[None]).sum(-1)).tolist()
    x, y = rng.normal(size=(2, 300, 6)), rng.normal(size=(2, 250, 6))  # 450,000 differences each
    weights = rng.normal(size=(2, 300, 250))
    for p, moduli in ((1, False), (1, True), (2, False)):
        leaves = [te.Tensor(v, requires_grad=True) for v in (x, y)]
        (ops.cdist(*leaves, p, moduli) * weights).sum().backward()
        u = x[:, :, None] - y[:, None]
        z = u[..., :3] + 1j * u[..., 3:]
        d = {1: np.abs(z if moduli else u).sum(-1), 2: np.sqrt((u * u).sum(-1))}[p]
        np.testing.assert_allclose(ops.cdist(x, y, p, moduli).data, d, rtol=1e-12)
        z /= np.abs(z)
        direction = np.concatenate([z.real, z.imag], -1) if moduli else np.sign(u) if p == 1 else u / d[..., None]
        np.testing.assert_allclose(leaves[0].grad, np.einsum("nsq,nsqd->nsd", weights, direction), atol=1e-9)
        np.testing.assert_allclose(leaves[1].grad, -np.einsum("nsq,nsqd->nqd", weights, direction), atol=1e-9)


@pytest.mark.parametrize("near", [1e-6, 1e-4, 1e-2, 0.1, 1.0])
def test_gradients_of_near_vectors_are_as_exact_as_those_of_far_ones(near):
    """By products alone they would have errors of 0.004 at 1e-4. Each y is near to two x; the others are far."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(2, 5, 8)), 2, axis=1) + near * rng.normal(size=(2, 10, 8))
    y = x[:, ::2] + near * rng.normal(size=(2, 5, 8))
    x, y, weights = (v.astype(np.float32) for v in (x, y, rng.normal(size=(2, 10, 5))))
    leaves = [te.Tensor(v, requires_grad=True) for v in (x, y)]
    (ops.cdist(*leaves) * weights).sum().backward()
    u = np.float64(x)[:, :, None] - y[:, None]
    pulls = weights[..., None] * u / np.linalg.norm(u, axis=-1, keepdims=True)
    np.testing.assert_allclose(leaves[0].grad, pulls.sum(2), atol=3e-5)
    np.testing.assert_allclose(leaves[1].grad, -pulls.sum(1), atol=3e-5)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: ops.cdist(np.ones((2, 3)), np.ones((2, 4))), r"y \(…, Q, D\), not \(2, 3\) and \(2, 4\)"),
    (lambda: ops.cdist(np.ones((2, 3)), np.ones((2, 3)), 3), "p is 1 or 2, not 3"),
    (lambda: ops.cdist(np.ones((2, 3)), np.ones((2, 3)), 1, True), "D is even"),
    (lambda: ops.complex_multiply(np.ones(3), np.ones(3)), "one even length"),
    (lambda: RotatE(3, 1, 5), "dim is even"),
    (lambda: TransE(3, 1, 4, negatives=0), "negatives are 1 at least, not 4 and 0"),
    (lambda: TransE(3, 1, 0), "dim and negatives are 1 at least"),
    (lambda: TransE(3, 1, 4, p=3).tails([0], [0]), "p is 1 or 2")])
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_model_that_says_nothing_is_refused():
    with pytest.raises(NotImplementedError, match="TripleModel does not say how a relation moves"):
        TripleModel(3, 1, 2)(0, 0, 1)


# -- losses ------------------------------------------------------------------------------------------------------------


def slow_loss(model, triples, negatives, known, kind, margin, adversarial):
    total = 0.0
    for h, r, t in triples.tolist():
        s = model([h], [r], [t]).item()
        for corrupted in ([(h, r, k) for k in negatives], [(k, r, t) for k in negatives]):
            scores = [model([a], [b], [c]).item() for a, b, c in corrupted if (a, b, c) not in known | {(h, r, t)}]
            if kind == "margin":
                total += sum(max(0, margin - s + z) for z in scores) / max(len(scores), 1)
            else:
                p = [math.exp(adversarial * z) for z in scores]
                total += math.log(1 + math.exp(-margin - s))
                total += sum(a * math.log(1 + math.exp(margin + z)) for a, z in zip(p, scores)) / max(sum(p), 1e-300)
    return total / 2 / len(triples)


@every_model
@pytest.mark.parametrize(("kind", "adversarial"), [("margin", 0.0), ("logistic", 0.0), ("logistic", 1.5)])
@given(seed=seeds)
@settings(max_examples=5)
def test_a_loss_is_its_formula(name, kind, adversarial, seed):
    rng = np.random.default_rng(seed)
    objective = functools.partial(margin_loss, margin=0.7) if kind == "margin" else functools.partial(
        logistic_loss, margin=0.7, adversarial=adversarial)
    triples = rng.integers([6, 3, 6], size=(4, 3))
    known = np.concatenate([triples, rng.integers([6, 3, 6], size=(30, 3))]) if seed % 2 else None
    model = make(name, seed=seed, objective=objective, facts=None if known is None else Facts(known))
    negatives = np.unique(rng.integers(6, size=4))
    facts = set() if known is None else set(map(tuple, known.tolist()))
    assert model.loss(triples, negatives).item() == pytest.approx(
        slow_loss(model, triples, negatives.tolist(), facts, kind, 0.7, adversarial), rel=1e-8)


@every_model
def test_gradients_are_those_of_finite_differences(name):
    model = make(name, seed=3)
    if name == "RotatE":  # the adversarial weights are constants: no derivative of the loss
        model.objective = functools.partial(logistic_loss, margin=1.0)

    te.check_gradients(Loss(model), np.array([[0, 0, 1], [2, 1, 3], [4, 2, 5]]), np.array([1, 4]))


@every_model
def test_a_step_touches_the_rows_of_the_batch_and_the_negatives_alone(name):
    model = MODELS[name](1000, 5, 4, rng=np.random.default_rng(0), negatives=3)
    model.loss(np.array([[7, 1, 8], [9, 1, 7]])).backward()
    g = model.entities.weight.grad
    assert isinstance(g, te.RowGrad) and len(set(g.ids.tolist())) <= 6
    assert set(model.relations.weight.grad.ids.tolist()) == {1}


def test_in_eval_mode_the_negatives_are_the_same_each_time():
    model = DistMult(50, 2, 4, rng=np.random.default_rng(0), negatives=5).eval()
    triples = np.array([[0, 1, 2]])
    state = model.rng.bit_generator.state
    assert model.loss(triples).item() == model.loss(triples).item()
    assert model.rng.bit_generator.state == state
    model.train()
    assert model.loss(triples).item() != model.loss(triples).item()


# -- what a relation can be --------------------------------------------------------------------------------------------


def swapped(model, h, r, t):
    """Scores with the relations r (B, D') in the place of a relation's own, of (h, r, t) and of (t, r, h)."""
    x, y, r = model.entity(h), model.entity(t), te.Tensor(r)
    return model.alike(model.moved(x, r), y).data, model.alike(model.moved(y, r), x).data


@given(seed=seeds)
def test_what_the_scores_can_and_cannot_express(seed):
    rng = np.random.default_rng(seed)
    h, t = rng.permutation(6)[:4], rng.permutation(6)[:4]
    r, zero, half = rng.normal(size=(4, 4)), np.zeros((4, 2)), rng.normal(size=(4, 2))
    turn = np.pi * rng.integers(0, 2, (4, 2))
    translation, dist, complex_, rotation = (make(name, seed=seed) for name in list(MODELS)[1:])

    def same(model, r, s, sign=1):
        """Whether (h, r, t) has the score of (t, s, h), or its opposite."""
        return np.allclose(swapped(model, h, r, t)[0], sign * swapped(model, h, s, t)[1])

    assert same(dist, r, r)  # symmetric, and never anything else
    assert same(complex_, np.concatenate([half, zero], 1), np.concatenate([half, zero], 1))  # a real one is symmetric
    assert same(complex_, np.concatenate([zero, half], 1), np.concatenate([zero, half], 1), -1)  # an imaginary one
    assert same(complex_, r, r * [1, 1, -1, -1])  # the conjugate is the inverse
    assert same(rotation, turn, turn) and same(rotation, half, -half) and not same(rotation, half, half)
    assert same(translation, r, -r) and not same(translation, r, r)
    x, first, then = (te.Tensor(rng.normal(size=(4, n))) for n in (4, 2, 2))
    for model, r, s in ((rotation, first, then), (translation, x, x * 2)):  # one after the other is their sum
        np.testing.assert_allclose(model.moved(model.moved(x, r), s).data, model.moved(x, r + s).data)
        np.testing.assert_allclose(model.moved(model.moved(x, r), r, back=True).data, x.data)


def trained(name, triples, **options):
    E, R = triples[:, [0, 2]].max() + 1, triples[:, 1].max() + 1
    model = MODELS[name](E, R, 16, facts=Facts(triples), rng=np.random.default_rng(0), **options)
    fit(model, Batches(triples, 64, np.random.default_rng(1)), Adam(model.parameters(), lr=0.05), steps=200,
        progress=False)
    return model


def without(triples, some):
    return np.delete(triples, some, 0), triples[some]


@pytest.fixture(scope="module")
def circle():
    """12 in a circle: next, its inverse, two on (next after next), and the opposite (symmetric); of the last three a
    quarter is held out."""
    triples = np.array([(i, r, (i + step) % 12) for i in range(12) for r, step in enumerate((1, -1, 2, 6))])
    later = np.flatnonzero(triples[:, 1] > 0)
    return triples, *without(triples, np.random.default_rng(0).permutation(later)[:9])


def hits(model, triples, known):
    return evaluate_links(model, triples, known)["filtered"]["hits@1"]


@pytest.mark.parametrize("name", ["ComplEx", "RotatE"])
def test_inverse_composed_and_symmetric_relations_are_found_again(name, circle):
    triples, train, held_out = circle
    assert hits(trained(name, train), held_out, triples) == 1


def test_a_product_of_three_cannot_tell_the_next_from_the_one_before(circle):
    triples, train, _ = circle
    model = trained("DistMult", train)
    assert hits(model, triples[triples[:, 1] == 3], triples) == 1  # the opposite
    assert hits(model, triples[triples[:, 1] == 0], triples) < 0.7  # 1 / 2, but for ties


def test_a_translation_cannot_go_round_in_a_circle_nor_there_and_back(circle):
    """Twelve steps that add up to nothing are nothing each, and so are two that are each other's inverse."""
    triples, train, held_out = circle
    assert hits(trained("TransE, p=2", train), held_out, triples) < 0.7


def test_translations_are_inverted_and_composed_on_a_cube():
    """The corners of a cube of 4 dimensions: set a bit, clear it, set two."""
    up = [(x, i, x | 1 << i) for x in range(16) for i in range(4) if not x >> i & 1]
    down, both = [(t, i + 4, h) for h, i, t in up], [(x, 8 + i, x | 3 << i) for x in range(16) for i in range(3)
                                                     if not x >> i & 3]
    triples = np.array(up + down + both)
    later = np.random.default_rng(0).permutation(np.arange(len(up), len(triples)))[:12]
    train, held_out = without(triples, later)
    assert hits(trained("TransE, p=2", train), held_out, triples) > 0.9


def test_facts_do_not_count_as_negatives():
    """One head with many tails: without `facts` each is pushed away for the sake of the others."""
    star = np.array([(0, 0, t) for t in range(1, 9)])
    losses = [DistMult(12, 1, 4, rng=np.random.default_rng(0), facts=facts, negatives=500).eval().loss(star).item()
              for facts in (None, Facts(star))]
    assert losses[0] != losses[1]


def test_runs_are_resumed_to_the_byte(tmp_path):
    triples = np.random.default_rng(0).integers([30, 2, 30], size=(64, 3))
    states = []
    for steps in ((20,), (9, 20)):
        for n in steps:
            model = RotatE(30, 2, 8, rng=np.random.default_rng(1), negatives=5)
            fit(model, Batches(triples, 16, np.random.default_rng(2)), Adam(model.parameters()), steps=n,
                progress=False, checkpoint=tmp_path / f"{len(steps)}.safetensors", resume=True)
        states.append(model.state_dict())
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])


# -- ranks -------------------------------------------------------------------------------------------------------------


class Table:
    """Scores (R, E, E) that are simply there."""

    def __init__(self, scores):
        self.scores = scores

    def tails(self, head, relation):
        return self.scores[relation, head]

    def heads(self, tail, relation):
        return self.scores[relation, :, tail]


def slow_ranks(scores, triples, known):
    """By sorting: the mean of the places that the true entity may stand at among its equals."""
    raw, filtered = [], []
    for side in (2, 0):
        for ranks, leave_out in ((raw, False), (filtered, True)):
            for triple in triples:
                row = []
                for e in range(scores.shape[1]):
                    other = [*triple[:side], e, *triple[side + 1:]]
                    if e == triple[side] or not leave_out or tuple(other) not in known:
                        row.append(scores[other[1], other[0], other[2]])
                own = scores[triple[1], triple[0], triple[2]]
                places = [i + 1 for i, s in enumerate(sorted(row, reverse=True)) if s == own]
                ranks.append(sum(places) / len(places))
    return [np.reshape(ranks, (2, len(triples))) for ranks in (raw, filtered)]


@given(seed=seeds, E=st.integers(1, 7), N=st.integers(1, 6))
def test_ranks_are_those_of_sorting(seed, E, N):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (2, E, E)).astype(np.float32)
    triples, others = rng.integers([E, 2, E], size=(N, 3)), rng.integers([E, 2, E], size=(2 * E, 3))
    for known in (None, others):
        facts = set(map(tuple, triples.tolist() if known is None else [*triples.tolist(), *others.tolist()]))
        ranks = link_ranks(Table(scores), triples, known)
        for found, expected in zip(ranks, slow_ranks(scores, triples.tolist(), facts)):
            np.testing.assert_array_equal(found, expected)
        both = evaluate_links(Table(scores), triples, known)
        for kind, of_kind in ranks._asdict().items():
            assert both[kind]["mrr"] == pytest.approx(np.mean([1 / rank for side in of_kind for rank in side]))
            assert all(both[kind][f"hits@{k}"] == np.mean(of_kind <= k) for k in (1, 3, 10))


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    scores, triples = rng.integers(0, 9, (2, 20, 20)), rng.integers([20, 2, 20], size=(30, 3))
    whole = link_ranks(Table(scores), triples)
    monkeypatch.setattr("tinyembed.vectors.links.SCORES", 70)
    for one, other in zip(whole, link_ranks(Table(scores), triples)):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match=r"NaN, of the tails"):
        link_ranks(Table(np.full((1, 2, 2), np.nan)), [[0, 0, 1]])
    with pytest.raises(ValueError, match="no rank"):
        evaluate_links(Table(np.zeros((1, 2, 2))), np.zeros((0, 3), int))
    with pytest.raises(ValueError, match="no rank"):
        rank_scores([])


@given(seed=seeds)
def test_the_baseline_counts(seed):
    rng = np.random.default_rng(seed)
    triples, r = rng.integers([6, 3, 6], size=(20, 3)), rng.integers(0, 4, 5)
    model = FrequentLinks(triples, 6)
    for side, scores in ((2, model.tails(r * 0, r)), (0, model.heads(r * 0, r))):
        expected = [[sum(t[1] == a and t[side] == e for t in triples.tolist()) for e in range(6)] for a in r]
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("name", ["TransE, p=2", "DistMult", "ComplEx", "RotatE"])
def test_training_beats_the_baseline_on_a_planted_graph(name):
    """People and things of four groups: people have things of their own group, and want those of the next. A fifth of
    that is held out; one thing is as frequent as another."""
    triples = np.array([(p, r, 20 + t) for p in range(20) for t in range(20) for r in range(2) if (p + r - t) % 4 == 0])
    train, held_out = without(triples, np.random.default_rng(0).permutation(len(triples))[::5])
    ours, baseline = (evaluate_links(model, held_out, triples)["filtered"]["mrr"]
                      for model in (trained(name, train, negatives=8), FrequentLinks(train, 40)))
    assert ours > 3 * baseline, (ours, baseline)


def test_without_negatives_only_the_facts_count():
    facts = Facts([[0, 0, 1]])
    model = ComplEx(3, 1, dim=2, facts=facts)
    assert np.isfinite(model.loss(np.array([[0, 0, 1]]), negatives=np.zeros(0, int)).item())
