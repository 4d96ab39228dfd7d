"""Laws of LINE: its loss is the paper's, edges are drawn by weight, and the two orders see what they are to see."""

from itertools import product

import numpy as np
import pytest

from tinyembed.data import Graph, karate_club
from tinyembed.models import LINE
from tinyembed.models.line import EdgeModel, EdgeSamples


@pytest.mark.parametrize("order", [1, 2])
def test_the_loss_is_the_formula_of_the_paper(order):
    rng = np.random.default_rng(0)
    model = EdgeModel(rng.normal(size=(6, 3)), order, negative=4)
    if order == 2:
        model.contexts.data = rng.normal(size=(6, 3))
    U, C = model.vectors.data, model.contexts.data
    assert (U is C) == (order == 1) and len(model.parameters()) == order
    i, j, noise = np.array([0, 3, 3]), np.array([1, 1, 5]), np.array([0, 2, 2, 1])

    def log_s(x):
        return -np.log1p(np.exp(-x))
    expected = np.mean([-log_s(U[a] @ C[b]) - 4 / 4 * sum(log_s(-U[a] @ C[n]) for n in noise if n != a)
                        for a, b in zip(i, j)])
    assert model.loss(i, j, noise).item() == pytest.approx(expected, rel=1e-12)


def test_edges_and_noise_are_drawn_by_weight():
    weights = np.array([1, 0, 2, 5.0])
    samples = EdgeSamples(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 1]), weights, 4, np.random.default_rng(1))
    drawn = [batch for _ in range(3000) for batch in samples]
    edges = dict.fromkeys([(0, 1), (1, 0), (2, 1)], 0)
    for i, j, _ in drawn:
        assert len(i) == len(j) == 4
        for pair in zip(i.tolist(), j.tolist()):
            edges[pair] += 1
    np.testing.assert_allclose(np.array(list(edges.values())) / 12000, weights[[0, 2, 3]] / 8, atol=0.015)
    expected = np.array([2, 6, 0, 0]) ** 0.75
    noise = np.bincount(np.concatenate([noise for *_, noise in drawn]), minlength=4)
    np.testing.assert_allclose(noise / noise.sum(), expected / expected.sum(), atol=0.01)


@pytest.mark.parametrize("orders", [(2,), (1, 2)])
def test_the_factions_of_the_karate_club_are_found(orders):
    club = karate_club()
    wv = LINE(club, orders=orders).fit().wv
    same = [club.labels[wv.most_similar(node, topn=1)[0][0]] == club.labels[node] for node in range(34)]
    assert sum(same) >= 30 and wv.vectors.shape == (34, 64)


def test_order_1_joins_who_meet_and_order_2_who_meet_the_same():
    # Each of 0 … 3 leads to each of 4 … 7; then all of it once more.
    edges = [(a + k, b + k) for k in (0, 8) for a, b in product(range(4), range(4, 8))]
    graph = Graph(edges, 16, directed=True)
    first, second = (LINE(graph, 8, (order,)).fit(100).wv for order in (1, 2))
    for a in range(4):
        assert {key // 8 for key, _ in first.most_similar(a, topn=7)} == {0}
        assert {key // 4 for key, _ in second.most_similar(a, topn=3)} == {0}


def test_a_seed_gives_the_same_bytes_and_isolated_nodes_keep_their_row():
    graph = Graph([("a", 7), (7, "7b", 2), ("a", (1, 2))], nodes=["lone", "a", np.int64(7), "7b", (1, 2)])
    model = LINE(graph, 4)
    one, two, other = (m.fit(3).wv.vectors for m in (model, model, LINE(graph, 4, seed=2)))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    np.testing.assert_allclose(np.linalg.norm(one.reshape(5, 2, 2), axis=2), 1, rtol=1e-6)
    assert model.wv.index_to_key == ["lone", "a", 7, "7b", "(1, 2)"] and "7" in model.wv
    assert [history.rows[0].updates[0] for history in model.history] == [0, 0]
    begun = np.random.default_rng(1).random((5, 2), np.float32)[0] - 0.5
    np.testing.assert_allclose(model.wv["lone"][:2], begun / np.linalg.norm(begun), rtol=1e-5)


@pytest.mark.parametrize(("graph", "settings", "match"), [
    (Graph([], 3), {}, "no edge"), (Graph([(0, 1, 0)]), {}, "no edge"), (karate_club(), {"orders": (3,)}, "orders"),
    (karate_club(), {"dimensions": 5}, "dimensions"), (karate_club(), {"negative": 0}, "negative")])
def test_what_is_no_use_is_refused(graph, settings, match):
    with pytest.raises(ValueError, match=match):
        LINE(graph, **settings)
