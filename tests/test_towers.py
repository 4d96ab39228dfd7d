"""Two towers: scores and losses are their formulas, the correction does its work, and what is new has a vector."""

import numpy as np
import pytest
from tables import Loss

import tinyembed as te
from tinyembed.data import Batches
from tinyembed.models import Tower, TwoTowers
from tinyembed.optim import Adam
from tinyembed.train import fit
from tinyembed.vectors import Popularity, evaluate_recommendations

USERS, ITEMS = [[0], [1, 2], [2, 2, 3], []], [[4, 0], [1], [2, 3, 1]]
OWNED = np.array([[0, 0], [0, 1], [1, 1], [2, 2], [1, 2]])


def make(seed=0, hidden=(5,), **options):
    """In float64, with numbers of size 1."""
    rng = np.random.default_rng(seed)
    model = TwoTowers(Tower(4, 3, hidden, "silu", rng=rng), Tower(5, 3, hidden, "silu", rng=rng), USERS, ITEMS,
                      temperature=0.5, **options)
    for module in (module for _, module in model.named_modules()):
        for name, value in list(vars(module).items()):
            if isinstance(value, te.nn.Parameter):
                setattr(module, name, te.nn.Parameter(rng.normal(size=value.shape)))
    return model


def slow_vector(tower, bag):
    x = np.mean([tower.rows.weight.data[i] for i in bag], axis=0) if bag else np.zeros(tower.rows.weight.shape[1])
    for n, layer in enumerate(tower.layers):
        x = layer.weight.data @ x + layer.bias.data
        if n < len(tower.layers) - 1:
            x = x / (1 + np.exp(-x))
    return x


def slow_scores(model):
    x, y = ([slow_vector(tower, bag) for bag in bags] for tower, bags in ((model.users, USERS), (model.items, ITEMS)))
    return np.array([[a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12) for b in y] for a in x])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("owned", [None, OWNED])
def test_scores_and_losses_are_their_formulas(seed, owned):
    model = make(seed, hidden=[(), (5,), (4, 6)][seed % 3], owned=owned)
    scores = slow_scores(model)
    np.testing.assert_allclose(model.scores([3, 1, 0, 2]), scores[[3, 1, 0, 2]], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model(*OWNED.T).data, scores[tuple(OWNED.T)], rtol=1e-9)
    np.testing.assert_allclose(model.items.encode(ITEMS, normalize_embeddings=True), model.item_vectors())
    share = [1, 1, 1] if owned is None else [1, 2, 2]  # how often an item is in OWNED
    total = 0.0
    for u, i in OWNED.tolist():
        logits = [scores[u, j] / 0.5 - np.log(share[j] / sum(share)) for j in OWNED[:, 1].tolist()
                  if j != i and (owned is None or [u, j] not in OWNED.tolist())]
        right = scores[u, i] / 0.5 - np.log(share[i] / sum(share))
        total += np.log(np.exp([right, *logits]).sum()) - right
    assert model.loss(*OWNED.T).item() == pytest.approx(total / len(OWNED), rel=1e-9)


def test_gradients_are_those_of_finite_differences_and_of_rows():
    model = make(hidden=(2,), owned=OWNED)

    te.check_gradients(Loss(model), *OWNED.T)
    model = TwoTowers(Tower(1000, 4), Tower(1000, 4), np.arange(1000)[:, None], np.arange(1000)[:, None])
    loss = model.loss([7, 8, 7], [70, 80, 90])
    loss.backward()
    assert loss.dtype == np.float32
    assert sorted(model.users.rows.weight.grad.coalesce().ids.tolist()) == [7, 8]
    assert sorted(model.items.rows.weight.grad.coalesce().ids.tolist()) == [70, 80, 90]


@pytest.mark.parametrize(("users", "items"), [([[0]], []), ([], [[0]]), ([], [])])
def test_towers_without_users_or_items_are_refused(users, items):
    with pytest.raises(ValueError, match=f"{len(users)} users and {len(items)} items"):
        TwoTowers(Tower(2, 3), Tower(2, 3), users, items)


def test_a_tower_encodes_bags_one_or_many_whatever_the_batch():
    tower = Tower(9, 3, [4], rng=np.random.default_rng(0))
    bags = [[1], [], [3, 4, 4, 8], [0, 2]]
    many = tower.encode(bags)
    assert many.shape == (4, 3) and tower.encode([]).shape == (0, 3)
    np.testing.assert_allclose(tower.encode(iter(bags), batch_size=1), many, rtol=1e-5)
    np.testing.assert_allclose(tower.encode(np.array([3, 4, 4, 8])), many[2], rtol=1e-5)
    first, second = tower.layers  # of the empty bag there are the biases left
    np.testing.assert_allclose(many[1], second.weight.data @ np.maximum(first.bias.data, 0) + second.bias.data)


def towers_on(pairs, user_bags, item_bags, epochs, owned=True):
    rng = np.random.default_rng(0)
    sizes = [max(i for bag in bags for i in bag) + 1 for bags in (user_bags, item_bags)]
    model = TwoTowers(*(Tower(n, 8, rng=rng) for n in sizes), user_bags, item_bags, temperature=0.2,
                      owned=pairs if owned else None)
    fit(model, Batches(tuple(pairs.T), 128, rng), Adam(model.parameters(), lr=0.03), epochs=epochs, progress=False)
    return model


def test_the_correction_gives_popular_items_the_scores_that_a_softmax_over_all_would():
    """Users who differ in nothing, items of which some are taken far more often: score / T = log of the share + c."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 31)
    pairs = np.stack([np.arange(1500), rng.choice(30, 1500, p=share / share.sum())], 1)
    users, items = [[0]] * 1500, [[i] for i in range(30)]
    slopes = [np.polyfit(np.log(share), towers_on(pairs, users, items, 10, owned).scores([0])[0] / 0.2, 1)[0]
              for owned in (True, False)]
    assert 0.7 < slopes[0] < 1.4 and slopes[1] < 0.4


def test_users_and_items_that_came_later_have_vectors_by_their_features():
    """Feature 0 … 3 is the taste, of users and items alike; each has a feature of its own as well."""
    rng = np.random.default_rng(1)
    users, items = [[u % 4, 4 + u] for u in range(80)], [[i % 4, 4 + i] for i in range(60)]
    pairs = np.array([(u, i) for u in range(80) for i in range(60) if u % 4 == i % 4 and rng.random() < 0.4])
    model = towers_on(pairs, users, items, 8)
    new_users, new_items = model.users.encode([[0], [1], [2], [3]]), model.items.encode([[0], [1], [2], [3]])
    assert ((new_users @ new_items.T).argmax(1) == np.arange(4)).all()
    train = pairs[pairs[:, 1] >= 12]  # the first twelve items are met by nobody
    cold = towers_on(train, users, items, 8)
    scores = cold.scores(np.arange(80))[:, :12]
    assert (scores.argmax(1) % 4 == np.arange(80) % 4).mean() > 0.95
    test = pairs[pairs[:, 1] < 12]
    ours, popular = (evaluate_recommendations(m, train, test, 15)["recall@15"] for m in (cold, Popularity(train, 60)))
    assert ours > 2 * popular


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: TwoTowers(Tower(4, 2), Tower(5, 3), USERS, ITEMS), ValueError, "one length"),
    (lambda: make(owned=[[0, 3]]), IndexError, "items that have features"),
    (lambda: make(owned=[[4, 0]]), IndexError, "users that have features"),
    (lambda: TwoTowers(Tower(3, 2), Tower(5, 2), USERS, ITEMS), IndexError, "id 3 at position .* table of features"),
    (lambda: make().loss([0], [3]), IndexError, "id 3"), (lambda: make().scores([-1]), IndexError, "id -1"),
    (lambda: make(owned=OWNED).loss([0, 1], [2]), ValueError, r"pairs are .* not \(2,\) and \(1,\)"),
    (lambda: make().users.encode([[4]]), IndexError, "table of features"),
    (lambda: make().users.encode([[0.5]]), TypeError, "ids are integers"),
    (lambda: make().users.encode([[1]], prompt="query: "), ValueError, "no text"),
    (lambda: Tower(4, 0), ValueError, "not dim=0"), (lambda: Tower(4, 2, [3], "step"), ValueError, "activation")])
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
