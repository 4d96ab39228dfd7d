"""Recommenders: scores and losses are their formulas, planted tastes are found again, and places are counted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Loss

import tinyembed as te
from tinyembed.data import Batches, planted_tastes
from tinyembed.models import BPR, MatrixFactorisation
from tinyembed.optim import SGD, Adam
from tinyembed.train import fit
from tinyembed.vectors import ItemCosine, Popularity, evaluate_recommendations

seeds = st.integers(0, 2**32 - 1)
OWNED = np.array([[0, 1], [0, 3], [2, 0], [3, 3], [1, 2]])


def make(kind, seed=0, U=4, items=5, D=3, **options):
    """In float64, with numbers of size 1, in eval mode: the negatives are always the same."""
    model = kind(U, items, D, negatives=3, rng=np.random.default_rng(seed), **options).eval()
    rng = np.random.default_rng(seed)
    for name in ("users", "items", "user_bias", "item_bias"):
        if table := getattr(model, name, None):
            table.weight = te.nn.Parameter(rng.normal(size=table.weight.shape))
    return model


def slow_score(model, u, i):
    p, q = model.users.weight.data[u], model.items.weight.data[i]
    of_user = 0.0 if isinstance(model, BPR) else float(model.user_bias.weight.data[u, 0]) + model.mean
    return math.fsum(p * q) + float(model.item_bias.weight.data[i, 0]) + of_user


def log_sigmoid(x):
    return -math.log(1 + math.exp(-x))


def slow_loss(model, pairs):
    k = set(np.random.default_rng(0).integers(5, size=3).tolist())
    total = 0.0
    for u, i in pairs.tolist():
        s = slow_score(model, u, i)
        others = [slow_score(model, u, j) for j in k if j != i and (
            model.owned is None or [u, j] not in OWNED.tolist())]
        if isinstance(model, BPR):
            total -= sum(log_sigmoid(s - x) for x in others) / max(len(others), 1)
        elif model.objective == "squared":
            total += (s - 1) ** 2 + sum(x * x for x in others) / max(len(others), 1)
        else:
            total -= log_sigmoid(s) + sum(log_sigmoid(-x) for x in others) / max(len(others), 1)
    return total / len(pairs)


KINDS = {"BPR": (BPR, {}), "squared": (MatrixFactorisation, {"mean": 0.3}),
         "logistic": (MatrixFactorisation, {"objective": "logistic"})}


@pytest.mark.parametrize("name", KINDS)
@given(seed=seeds)
@settings(max_examples=8)
def test_scores_and_losses_are_their_formulas(name, seed):
    kind, options = KINDS[name]
    model = make(kind, seed, owned=OWNED if seed % 2 else None, **options)
    expected = [[slow_score(model, u, i) for i in range(5)] for u in range(4)]
    np.testing.assert_allclose(model.scores([0, 1, 2, 3]), expected, rtol=1e-10)
    np.testing.assert_allclose(model(np.arange(4)[:, None], np.arange(5)).data, expected, rtol=1e-10)
    assert model.loss(*OWNED.T).item() == pytest.approx(slow_loss(model, OWNED), rel=1e-8)


def test_the_loss_of_ratings():
    for name, cost in (("squared", lambda s, y: (s - y) ** 2),
                       ("logistic", lambda s, y: -y * log_sigmoid(s) - (1 - y) * log_sigmoid(-s))):
        kind, options = KINDS[name]
        model, ratings = make(kind, **options), np.array([0, 1, 0.5, 1, 0])
        expected = np.mean([cost(slow_score(model, u, i), y) for (u, i), y in zip(OWNED, ratings)])
        assert model.loss(*OWNED.T, ratings).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_are_those_of_finite_differences_and_of_rows(name):
    kind, options = KINDS[name]
    model = make(kind, owned=OWNED, **options)

    te.check_gradients(Loss(model), *OWNED.T)
    model = kind(100, 1000, 4, negatives=3, rng=np.random.default_rng(0), **options)
    model.loss(np.array([7, 8]), np.array([70, 80])).backward()
    assert set(model.users.weight.grad.ids.tolist()) == {7, 8}
    for p in (model.items.weight, model.item_bias.weight):
        assert isinstance(p.grad, te.RowGrad) and len(set(p.grad.ids.tolist())) <= 5


def test_vectors_decay_and_biases_do_not():
    model = make(MatrixFactorisation).train()
    before = model.state_dict()
    sgd = SGD(model.groups(weight_decay=0.5), lr=0.1)
    for p in model.parameters():
        p.grad = np.zeros(p.shape)
    sgd.step()
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, before[name] * (1 if "bias" in name else 0.95))


def outside(found, true):
    """The share of the variance of true (n, R), about its mean, that no linear map of found (n, D) reaches; and the map
    that reaches most."""
    found, true = found - found.mean(0), true - true.mean(0)
    map_, *_ = np.linalg.lstsq(found, true, rcond=None)
    return np.square(found @ map_ - true).sum() / np.square(true).sum(), map_


def test_planted_factors_are_found_again_up_to_an_invertible_map():
    """p_u . q_i is that of A p_u and A^-T q_i as well, for any invertible A: one A maps users and items."""
    planted = planted_tastes(100, 60, rank=3, share=0.4, noise=0.1)
    rng = np.random.default_rng(0)
    model = MatrixFactorisation(100, 60, 3, mean=planted.ratings.mean(), rng=rng)
    fit(model, Batches((*planted.pairs.T, planted.ratings), 400, rng), Adam(model.groups(0.0), lr=0.1), epochs=30,
        progress=False, schedule=te.optim.cosine(6 * 30))
    error = model.scores(np.arange(100)) - planted.scores(np.arange(100))
    error[tuple(planted.pairs.T)] = 0  # of what was not rated
    assert np.square(error).sum() / 0.6 / error.size < 0.02  # of a variance of about 5
    (left_of_users, A), (left_of_items, B) = (outside(table.weight.data, true) for table, true in (
        (model.users, planted.users), (model.items, planted.items)))
    assert max(left_of_users, left_of_items) < 0.005
    assert np.abs(A @ B.T - np.eye(3)).max() < 0.03  # B is A^-T
    assert min(outside(rng.normal(size=true.shape), true)[0] for true in (planted.users, planted.items)) > 0.8


def test_planted_tastes_are_what_they_say():
    planted, again, other = (planted_tastes(4000, 6, rank=2, share=0.5, noise=0.3, choices=2, seed=seed)
                             for seed in (1, 1, 2))
    for name, array in vars(planted).items():
        assert np.array_equal(array, getattr(again, name)) and not np.array_equal(array, getattr(other, name))
    likings = planted.scores(np.arange(4000))
    u, i = 7, 3
    assert likings[u, i] == pytest.approx(math.fsum(planted.users[u] * planted.items[i]) + planted.user_bias[u]
                                          + planted.item_bias[i])
    assert len(np.unique(planted.pairs, axis=0)) == len(planted.pairs) == 12_000
    noise = planted.ratings - likings[tuple(planted.pairs.T)]
    assert abs(noise.std() - 0.3) < 0.01 and abs(np.corrcoef(noise, planted.ratings)[0, 1]) < 0.2
    # What is taken first is drawn in proportion to e^liking; chi-square with 5 degrees of freedom, 1 in 1,000.
    first, second = planted.choices.reshape(4000, 2, 2).transpose(1, 0, 2)
    assert (first[:, 0] == np.arange(4000)).all() and (first[:, 1] != second[:, 1]).all()
    shares = np.exp(likings) / np.exp(likings).sum(1, keepdims=True)
    counts, expected = np.bincount(first[:, 1], minlength=6), shares.sum(0)
    assert ((counts - expected) ** 2 / expected).sum() < 20.5
    assert shares[np.arange(4000), first[:, 1]].mean() == pytest.approx(np.square(shares).sum(1).mean(), abs=0.02)
    for settings_ in ({"rank": 0}, {"share": 1.5}, {"noise": np.nan}, {"choices": 101}):
        with pytest.raises(ValueError, match="share is in 0 … 1"):
            planted_tastes(**settings_)


def tastes():
    """40 users of four tastes, each with most of what is to their taste; the rest is held out."""
    rng = np.random.default_rng(1)
    pairs = np.array([(u, i) for u in range(40) for i in range(32) if u % 4 == i % 4 or i == 0])
    return [pairs[side] for side in (rng.random(len(pairs)) < 0.7,) for side in (side, ~side)]


@pytest.mark.parametrize("name", ["BPR", "logistic"])
def test_tastes_are_found_where_popularity_sees_none(name):
    kind, options = KINDS[name]
    train, test = tastes()
    model = kind(40, 32, 8, negatives=16, owned=train, rng=np.random.default_rng(0), **options)
    fit(model, Batches(tuple(train.T), 32, np.random.default_rng(1)), Adam(model.parameters(), lr=0.03), epochs=40,
        progress=False)
    ours, popular, cosine = (evaluate_recommendations(m, train, test, 5) for m in (
        model, Popularity(train, 32), ItemCosine(train, 32)))
    assert ours["recall@5"] > 0.75 and cosine["recall@5"] > 0.9 and popular["recall@5"] < 0.5
    assert ours["ndcg@5"] > popular["ndcg@5"] and ours["coverage@5"] > popular["coverage@5"]


# -- evaluation --------------------------------------------------------------------------------------------------------


class Table:
    def __init__(self, table):
        self.table = table

    def scores(self, users):
        return self.table[users]


def slow_evaluation(scores, train, test, k):
    recall, ndcg, named = [], [], set()
    for u in sorted({u for u, _ in test}):
        wanted = {i for v, i in test if v == u}
        open_ = [i for i in range(scores.shape[1]) if (u, i) not in train]
        top = sorted(open_, key=lambda i: (-scores[u, i], i))[:k]
        named |= set(top)
        recall.append(sum(i in wanted for i in top) / len(wanted))
        most = sum(1 / math.log2(place + 2) for place in range(min(len(wanted), k, scores.shape[1])))
        ndcg.append(sum(1 / math.log2(place + 2) for place, i in enumerate(top) if i in wanted) / most)
    return np.mean(recall), np.mean(ndcg), len(named) / scores.shape[1]


@given(seeds, st.integers(1, 6), st.integers(1, 8))
def test_an_evaluation_is_its_formula(seed, items, k):
    rng = np.random.default_rng(seed)
    pairs = [(u, i) for u in range(5) for i in range(items)]
    in_train = rng.random(len(pairs)) < 0.4
    train = [p for p, there in zip(pairs, in_train) if there]
    test = [p for p, there in zip(pairs, in_train) if not there and rng.random() < 0.6] or [pairs[0]]
    train = [p for p in train if p not in test]
    scores = rng.integers(0, 3, (5, items)).astype(float)
    found = evaluate_recommendations(Table(scores), np.reshape(train, (-1, 2)).astype(int), test, k)
    np.testing.assert_allclose(list(found.values()), slow_evaluation(scores, set(train), test, k))


def test_chunks_change_nothing(monkeypatch):
    train, test = tastes()
    whole = evaluate_recommendations(Popularity(train, 32), train, test)
    monkeypatch.setattr("tinyembed.vectors.recommendations.SCORES", 100)
    assert evaluate_recommendations(Popularity(train, 32), train, test) == pytest.approx(whole)


@given(seeds)
def test_item_cosines(seed):
    rng = np.random.default_rng(seed)
    has = rng.random((5, 4)) < 0.5
    has[0, 0] = True
    users, items = np.nonzero(has)
    columns = has.T.astype(float)
    cosine = [[sum(a * b) / (math.sqrt(sum(a)) * math.sqrt(sum(b)) or 1) for b in columns] for a in columns]
    expected = [[sum(cosine[j][i] for j in range(4) if has[u, j]) for i in range(4)] for u in range(5)]
    pairs = np.stack([users, items], 1)
    model = ItemCosine(rng.permutation(np.concatenate([pairs, pairs])), 4)
    np.testing.assert_allclose(model.scores(np.arange(5)), expected)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: evaluate_recommendations(Table(np.ones((1, 2))), [[0, 0]], [[0, 1]], 0), "top_k is 1 at least"),
    (lambda: evaluate_recommendations(Table(np.ones((1, 2))), [[0, 0]], np.zeros((0, 2), int)), "no pair"),
    (lambda: evaluate_recommendations(Table(np.ones((1, 2))), [0, 0], [[0, 1]]), r"ids \(N, 2\)"),
    (lambda: evaluate_recommendations(Table(np.full((1, 2), np.nan)), [[0, 0]], [[0, 1]]), "NaN"),
    (lambda: BPR(2, 2, 2, negatives=0), "negatives are 1 at least"),
    (lambda: BPR(2, 2, 2).loss([0, 1], [1]), r"pairs are .* not \(2,\) and \(1,\)"),
    (lambda: MatrixFactorisation(2, 2, 2).loss([0], [0, 1]), r"pairs are .* not \(1,\) and \(2,\)"),
    (lambda: MatrixFactorisation(2, 2, 2, objective="hinge"), 'objective is "squared" or "logistic"')])
def test_what_is_no_use_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(("pair", "table"), [([2, 0], "users"), ([0, 3], "items")])
def test_owned_pairs_are_of_rows_that_are_there(pair, table):
    with pytest.raises(IndexError, match=f"outside the table of {table}"):
        BPR(2, 3, 2, owned=[[0, 0], pair])


def test_what_a_user_has_is_no_hit_even_where_all_items_are_named():
    found = te.vectors.evaluate_recommendations(te.vectors.Popularity([[0, 0]], 2), [[0, 0]], [[0, 0]], top_k=2)
    assert found == {"recall@2": 0.0, "ndcg@2": 0.0, "coverage@2": 0.5}


def test_lists_are_taken_as_batches_give_them():
    for owned in (None, [], [[0, 1]]):
        model = te.models.BPR(3, 5, dim=2, owned=owned)
        assert np.isfinite(model.loss([0, 2], [1, 4]).item())
    with pytest.raises(ValueError, match="pairs are ids"):
        te.models.BPR(3, 5, dim=2, owned=[[0, 1, 5]])
