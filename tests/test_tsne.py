"""Laws of t-SNE: the perplexity is reached, the loss falls, clusters stay apart where components cannot show them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyembed as te
from tinyembed.vectors import neighbourhoods, pca, tsne


def clusters(groups=8, each=15, D=20, seed=0):
    """Vectors around points that stand along different axes: no two components tell all of them apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups), each)
    return 6 * np.eye(groups, D)[labels] + rng.normal(size=(groups * each, D)) * 0.5, labels


def agreement(Y, labels, k=5):
    """The share of the k nearest points that have a point's own label."""
    d = ((Y[:, None] - Y) ** 2).sum(2) + np.diag(np.full(len(Y), np.inf))
    return (labels[np.argsort(d, 1)[:, :k]] == labels[:, None]).mean()


@settings(max_examples=20)
@given(st.integers(20, 60), st.floats(2, 6), st.integers(0, 99))
def test_each_vector_has_as_many_neighbours_as_the_perplexity_says(N, perplexity, seed):
    X = np.random.default_rng(seed).normal(size=(N, 4)) * np.random.default_rng(seed).uniform(0.01, 100)
    P = neighbourhoods(X, perplexity)
    assert P.sum() == pytest.approx(1) and np.array_equal(P, P.T) and (np.diag(P) == 0).all() and (P >= 0).all()
    d = ((X[:, None] - X) ** 2).sum(2)
    for i in range(0, N, 7):  # p_j|i, found again by another way: its entropy falls as b grows
        others = np.delete(d[i], i)

        def entropy(b, others=others):
            p = np.exp(-b * (others - others.min()))
            p = p / p.sum()
            return float(-(p * np.log(np.maximum(p, 1e-300))).sum())

        low, high = -40.0, 40.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if entropy(np.exp(middle)) > np.log(perplexity) else (low, middle)
        p = np.exp(-np.exp(low) * (others - others.min()))
        p /= p.sum()
        joint = np.insert(p, i, 0)
        assert (2 * N * P[i] >= joint - 1e-3).all()  # its part of the symmetric sum


def test_clusters_stay_apart_where_principal_components_mix_them():
    X, labels = clusters()
    Y = tsne(X, perplexity=10, steps=400)
    assert Y.shape == (120, 2) and Y.dtype == np.float32 and np.isfinite(Y).all()
    assert agreement(Y, labels) > 0.99 > 0.9 > agreement(pca(X), labels)
    assert np.array_equal(Y, tsne(X, perplexity=10, steps=400))


def test_training_makes_the_divergence_small():
    X, _ = clusters(5, 12)
    P = neighbourhoods(X, 8)
    loss = {steps: te.ops.neighbourhood_kl(tsne(X, perplexity=8, steps=steps).astype(float), P).item()
            for steps in (0, 300, 600)}
    assert loss[600] <= 1.01 * loss[300] and loss[300] < 0.3 * loss[0]  # there, momentum makes the last digits waver


def test_equal_vectors_and_far_ones_give_a_map():
    X = np.zeros((10, 3))
    X[9] = 1e6
    assert np.isfinite(tsne(X, perplexity=2, steps=50)).all()
    assert np.isfinite(tsne(np.ones((7, 3)), perplexity=2, steps=50)).all()


@pytest.mark.parametrize(("vectors", "options", "reason"), [
    (np.zeros(5), {}, "finite vectors"), ([[0.0, np.nan]] * 40, {}, "finite vectors"),
    (np.eye(20), {}, "perplexity is in 1 … .* 6.333 for 20 vectors, not 30"), (np.eye(40), {"perplexity": 0.5}, "0.5"),
])
def test_bad_input_is_refused_with_a_reason(vectors, options, reason):
    with pytest.raises(ValueError, match=reason):
        tsne(vectors, **options)


def test_a_large_mean_changes_nothing():
    X, _ = clusters(4, 10)
    np.testing.assert_allclose(neighbourhoods(X + 1e6, 5), neighbourhoods(X, 5), atol=1e-8)


def test_ctrl_c_in_the_first_phase_ends_it(monkeypatch):
    import sys
    module, calls = sys.modules["tinyembed.vectors.tsne"], []

    def interrupted(model, batches, *args, **options):
        calls.append(float(batches[0][0].sum()))
        return te.train.History(interrupted=True)

    monkeypatch.setattr(module, "fit", interrupted)
    tsne(clusters(4, 10)[0], perplexity=5)
    assert calls == [pytest.approx(12)]  # the exaggerated phase, and no other
