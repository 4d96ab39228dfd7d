"""Laws of the losses that compare vectors: their formulas written out, and their gradients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import ops


def cosine(a, b):
    length = math.sqrt(sum(a * a)) * math.sqrt(sum(b * b))
    return sum(a * b) / length


def softmax_loss(x, y, scale=20.0, mask=None, q=None):
    total = 0.0
    for i, a in enumerate(x):
        scores = [scale * cosine(a, b) - (0 if q is None else math.log(q[j])) for j, b in enumerate(y)]
        counted = [s for j, s in enumerate(scores) if mask is None or mask[i][j] or i == j]
        total += math.log(math.fsum(math.exp(s) for s in counted)) - scores[i]
    return total / len(x)


def cosine_loss(x, y, targets):
    return np.mean([(cosine(a, b) - t) ** 2 for a, b, t in zip(x, y, targets)])


def length(d):
    return math.sqrt(sum((d + 1e-6) ** 2))


def triplet_loss(x, positive, negative, margin=1.0):
    return np.mean([max(0, length(a - p) - length(a - n) + margin) for a, p, n in zip(x, positive, negative)])


def cosent_loss(x, y, targets, scale=20.0):
    c = [scale * cosine(a, b) for a, b in zip(x, y)]
    return math.log(1 + math.fsum(math.exp(c[j] - c[i]) for i in range(len(c)) for j in range(len(c))
                                  if targets[i] > targets[j]))


@st.composite
def batches(draw):
    """(vectors of B pairs, a third one for each, targets with ties, a mask)"""
    B, D, rng = draw(st.integers(1, 4)), draw(st.integers(1, 4)), np.random.default_rng(draw(st.integers(0, 999)))
    x, y, z = (v + np.sign(v) * 0.2 for v in rng.normal(size=(3, B, D)))
    return x, y, z, rng.integers(0, 3, B) / 2, rng.random((B, 2 * B)) < 0.6


@given(batches(), st.sampled_from([1.0, 7.0]))
def test_each_loss_is_its_formula(batch, scale):
    x, y, z, targets, mask = batch
    candidates = np.concatenate([y, z])
    q = np.random.default_rng(len(x)).random(len(candidates)) + 0.01
    for ours, theirs in [
            (ops.in_batch_softmax(x, y, scale), softmax_loss(x, y, scale)),
            (ops.in_batch_softmax(x, candidates, scale, mask), softmax_loss(x, candidates, scale, mask)),
            (ops.in_batch_softmax(x, candidates, scale, mask, q), softmax_loss(x, candidates, scale, mask, q)),
            (ops.cosine_loss(x, y, targets), cosine_loss(x, y, targets)),
            (ops.triplet_margin_loss(x, y, z, scale), triplet_loss(x, y, z, scale)),
            (ops.cosent_loss(x, y, targets, scale), cosent_loss(x, y, targets, scale)),
            (ops.contrastive_loss(x, y, targets > 0, scale),
             np.mean([length(a - b) ** 2 / 2 if t > 0 else max(0, scale - length(a - b)) ** 2 / 2
                      for a, b, t in zip(x, y, targets)])),
            (ops.cosine_embedding_loss(x, y, np.where(targets > 0, 1, -1), 0.2),
             np.mean([1 - cosine(a, b) if t > 0 else max(0, cosine(a, b) - 0.2) for a, b, t in zip(x, y, targets)])),
            (ops.margin_ranking_loss(x[:, 0], y[:, 0], np.where(targets > 0, 1, -1), scale),
             np.mean([max(0, scale + (b - a if t > 0 else a - b)) for a, b, t in zip(x[:, 0], y[:, 0], targets)]))]:
        assert ours.item() == pytest.approx(theirs, rel=1e-10, abs=1e-12)


@settings(max_examples=settings.default.max_examples * 2 // 5)  # each is four losses
@given(batches())
def test_their_gradients_are_those_of_finite_differences(batch):
    x, y, z, targets, mask = batch
    q = np.arange(1, 2 * len(x) + 1)
    for loss in (lambda x, y, z: ops.in_batch_softmax(x, ops.concatenate([y, z]), 3.0, mask, q),
                 lambda x, y, z: ops.cosine_loss(x, y, targets) + ops.triplet_margin_loss(x, y, z, 9.0),
                 lambda x, y, z: ops.cosent_loss(x, y, targets, 3.0) + ops.pair_features(x, z, ["u", "u*v"]).mean(),
                 lambda x, y, z: ops.contrastive_loss(x, y, targets > 0, 9.0) + ops.cosine_embedding_loss(
                     x, z, np.ones(len(x))) + ops.margin_ranking_loss(x[:, 0], z[:, 0], -np.ones(len(x)), 9.0),
                 ops.matryoshka(ops.triplet_margin_loss, [1, x.shape[1]])):
        te.check_gradients(loss, *(te.Tensor(v, requires_grad=True) for v in (x, y, z)))


@given(batches(), st.integers(1, 4))
def test_what_stands_often_with_a_large_probability_counts_as_it_does_once(batch, times):
    """The correction for popularity: m places of a batch, each with m times the probability, are as one place."""
    x, y, z, *_ = batch
    once = ops.in_batch_softmax(x, np.concatenate([y, z]), 3.0, probability=np.full(2 * len(x), 0.1))
    often = ops.in_batch_softmax(x, np.concatenate([y, *[z] * times]), 3.0,
                                 probability=np.repeat([0.1, 0.1 * times], [len(y), times * len(z)]))
    assert often.item() == pytest.approx(once.item()) == ops.in_batch_softmax(x, np.concatenate([y, z]), 3.0).item()


def test_a_scale_that_learns_and_arrays_without_a_graph():
    x, scale = np.random.default_rng(0).normal(size=(3, 2)), te.Tensor(np.array(2.0), requires_grad=True)
    te.check_gradients(lambda s: ops.in_batch_softmax(x, x[::-1].copy(), s), scale)
    for loss in (ops.in_batch_softmax, ops.triplet_margin_loss):
        args = (x, x[::-1], x * 2)[:2 + (loss is ops.triplet_margin_loss)]
        assert loss(*args).item() == loss(*map(te.Tensor, args)).item()
    x = x.astype(np.float32)
    assert {ops.in_batch_softmax(x, x, probability=q).dtype for q in (None, [0.2, 0.3, 0.5])} == {np.dtype(np.float32)}


def test_losses_equal_torchs_and_those_of_sentence_transformers():
    torch = pytest.importorskip("torch")
    x, y, z = np.random.default_rng(1).normal(size=(3, 6, 5))
    tx, ty, tz = map(torch.tensor, (x, y, z))
    assert ops.triplet_margin_loss(x, y, z, 0.7).item() == pytest.approx(
        torch.nn.functional.triplet_margin_loss(tx, ty, tz, 0.7).item())
    some, signs = np.array([1, 0, 1, 1, 0, 0]), np.array([1, -1, 1, 1, -1, -1])
    functional, tsigns = torch.nn.functional, torch.tensor(signs)
    for ours, theirs in [
            (ops.cosine_embedding_loss(x, y, signs, 0.1), functional.cosine_embedding_loss(tx, ty, tsigns, 0.1)),
            (ops.margin_ranking_loss(x[:, 0], y[:, 0], signs, 0.3),
             functional.margin_ranking_loss(tx[:, 0], ty[:, 0], tsigns, 0.3))]:
        assert ours.item() == pytest.approx(theirs.item())
    losses = pytest.importorskip("sentence_transformers.losses")
    contrastive = losses.ContrastiveLoss(torch.nn.Identity(), losses.SiameseDistanceMetric.EUCLIDEAN, 3.0)
    assert ops.contrastive_loss(x, y, some, 3.0).item() == pytest.approx(
        contrastive.compute_loss_from_embeddings([tx, ty], torch.tensor(some)).item())
    targets = np.array([0.1, 0.9, 0.5, 0.5, 0.0, 1.0])
    for ours, theirs, vectors, labels in [
            (ops.in_batch_softmax(x, np.concatenate([y, z])), losses.MultipleNegativesRankingLoss, [tx, ty, tz], None),
            (ops.cosine_loss(x, y, targets), losses.CosineSimilarityLoss, [tx, ty], torch.tensor(targets)),
            (ops.cosent_loss(x, y, targets), losses.CoSENTLoss, [tx, ty], torch.tensor(targets))]:
        loss = theirs(model=torch.nn.Identity())  # which these do not ask
        assert ours.item() == pytest.approx(loss.compute_loss_from_embeddings(vectors, labels).item())


def test_more_alike_targets_order_the_cosines_and_nothing_else():
    """CoSENT: only the order of the targets counts, and a right order with wide gaps costs nothing."""
    x, y = np.random.default_rng(2).normal(size=(2, 5, 3))
    targets = np.array([0.1, 0.5, 0.2, 0.5, 0.9])
    assert ops.cosent_loss(x, y, targets).item() == ops.cosent_loss(x, y, np.exp(9 * targets)).item()
    assert ops.cosent_loss(x, y, np.zeros(5)).item() == 0


def test_a_matryoshka_is_the_sum_over_its_prefixes():
    x, y = np.random.default_rng(3).normal(size=(2, 4, 6))
    total = ops.matryoshka(ops.in_batch_softmax, dims=[2, 3, 6])(x, y, scale=5.0)
    assert total.item() == pytest.approx(sum(softmax_loss(x[:, :d], y[:, :d], 5.0) for d in (2, 3, 6)))


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: ops.in_batch_softmax(x, x[:1]), r"as many pairs"),
    (lambda x: ops.in_batch_softmax(x, x, mask=[[True]]), r"mask has a boolean for each x and each y, \(2, 2\)"),
    (lambda x: ops.in_batch_softmax(x, x, probability=[0.5]), r"above 0 for each y, \(2,\), not"),
    (lambda x: ops.in_batch_softmax(x, x, probability=[0.5, 0]), "above 0 for each y"),
    (lambda x: ops.in_batch_softmax(x, x, probability=[0.5, np.nan]), "above 0 for each y"),
    (lambda x: ops.triplet_margin_loss(x, x, x[:, :1]), r"not \(2, 3\), \(2, 3\), \(2, 1\)"),
    (lambda x: ops.cosent_loss(x[0], x[0], [1]), r"vectors \(B, D\)"),
    (lambda x: ops.cosent_loss(x, x, [[1], [0]]), r"a target for each pair, \(2,\), not \(2, 1\)"),
    (lambda x: ops.contrastive_loss(x, x, [1, -1]), "each of 2 pairs, 0 or 1, not"),
    (lambda x: ops.cosine_embedding_loss(x, x, [1, 0]), "each of 2 pairs, -1 or 1, not"),
    (lambda x: ops.margin_ranking_loss(x, x, [1, 1]), r"as many scores x \(B\) as y \(B\)"),
    (lambda x: ops.matryoshka(ops.cosine_loss, []), "dims are lengths"),
    (lambda x: ops.matryoshka(ops.cosine_loss, [4])(x, x, targets=[1, 1]), r"have 3 numbers, and dims asks for \[4\]"),
    (lambda x: ops.pair_features(x, x, ["u-v"]), r"features are some of u, v, \|u-v\|, u\*v, not \['u-v'\]")])
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.ones((2, 3)))
