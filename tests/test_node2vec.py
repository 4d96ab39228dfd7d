"""Laws of Node2Vec and DeepWalk: the factions are found, nodes are the keys, and walks are read as they are made."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from tinyembed.data import Graph, karate_club, random_walks
from tinyembed.models import DeepWalk, Node2Vec, NodeModel, Word2Vec
from tinyembed.vectors import KeyedVectors, NodeVectors, UnknownKey, agreement, edge_vectors, kmeans

SMALL = {"dimensions": 4, "walk_length": 5, "num_walks": 3}


@pytest.mark.parametrize("model", [Node2Vec, DeepWalk])
def test_the_factions_of_the_karate_club_are_found(model):
    club = karate_club()
    wv = model(club, walk_length=10, num_walks=80, seed=3).fit(window=5).wv
    units = wv[list(range(34))] / np.linalg.norm(wv[list(range(34))], axis=1, keepdims=True)
    sides = np.array([label == "Officer" for label in club.labels])
    groups, _ = kmeans(units, 2)
    assert agreement(groups, sides.astype(int))["purity"] * 34 > 30.5
    nearest = [wv.most_similar(node, topn=1)[0][0] for node in range(34)]
    assert (sides[nearest] == sides).sum() > 30


def test_nodes_are_the_keys_whatever_their_rows(tmp_path):
    edges = [(10, 7), (7, -3), ("x", 10), ("x", (1, 2)), ("x", "04"), ("x", "5"), ("x", True)]
    model = Node2Vec(Graph(edges), **SMALL).fit(window=2, epochs=1)
    model.save(tmp_path / "model")
    model.wv.save(tmp_path / "wv")
    for wv in (model.wv, NodeModel.load(tmp_path / "model").wv, NodeVectors.load(tmp_path / "wv")):
        assert set(wv.index_to_key) == {10, 7, -3, "x", "(1, 2)", "04", "5", "True"}
        for i, key in enumerate(wv.index_to_key):
            assert np.array_equal(wv[key], model.wv.vectors[i]) and np.array_equal(wv[str(key)], wv[key])
            assert wv.get_index(key) == i
        assert np.array_equal(wv[np.int64(10)], wv["10"]) and np.array_equal(wv[5], wv["5"])
        assert np.array_equal(wv.get_vector((1, 2)), wv["(1, 2)"]) and True in wv
        assert not any(key in wv for key in (0, 1, 4, "4", "07", 7.5, None))
        assert {key for key, _ in model.predict_output_word([7, "x"])} == set(wv.index_to_key)
        assert {key for key, _ in wv.most_similar("10", topn=7)} == set(wv.index_to_key) - {10}
        with pytest.raises(UnknownKey):
            wv[0]
    wv.add_vectors(["10", 99], np.ones((2, 4)))
    assert wv["99"].tolist() == [1] * 4 and len(wv) == 9 and not np.array_equal(wv[10], wv[99])


def test_a_loaded_model_is_the_model(tmp_path):
    node2vec = Node2Vec(karate_club(), **SMALL)
    model = node2vec.fit(window=3, epochs=2, sg=0)
    assert isinstance(model, Word2Vec) and (model.window, model.sg, model.sample, model.epochs) == (3, 0, 0, 2)
    model.save(tmp_path / "model")
    again = NodeModel.load(tmp_path / "model")
    for each in (model, again):
        each.train(node2vec.walks)
    assert np.array_equal(model.wv.vectors, again.wv.vectors) and again.wv.index_to_key == model.wv.index_to_key


def test_walks_are_made_anew_in_each_pass_and_the_same():
    walks = Node2Vec(karate_club(), **SMALL, p=0.5, q=2, seed=5).walks
    assert list(walks) == list(walks) != list(Node2Vec(karate_club(), **SMALL, p=0.5, q=2, seed=6).walks)
    expected = random_walks(karate_club(), 5, 3, 0.5, 2, rng=np.random.default_rng(walks.seed))
    assert list(walks) == [list(map(str, walk)) for walk in expected]
    unseeded = Node2Vec(karate_club(), **SMALL, seed=None).walks
    assert list(unseeded) == list(unseeded) != list(Node2Vec(karate_club(), **SMALL, seed=None).walks)


def test_walks_are_never_in_memory_all_at_once():
    walks = Node2Vec(karate_club(), walk_length=50, num_walks=10**9).walks
    tracemalloc.start()
    assert sum(map(len, islice(walks, 20_000))) == 10**6
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


def test_a_seed_gives_the_same_bytes():
    one, two, other = (Node2Vec(karate_club(), **SMALL, seed=seed).fit(epochs=1).wv.vectors for seed in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert np.array_equal(one, DeepWalk(karate_club(), **SMALL).fit(epochs=1).wv.vectors)


def test_isolated_nodes_keep_their_row_and_are_named():
    graph = Graph([(0, 1), (1, 2), (2, 0)], nodes=[4, 0, 1, "lone", 2])
    node2vec = Node2Vec(graph, **SMALL)
    before = NodeModel(vector_size=4, min_count=1)
    before.build_vocab(node2vec.walks)
    model = node2vec.fit(window=2)
    assert set(model.untrained()) == {4, "lone"}
    changed = {key for key in model.wv.index_to_key if not np.array_equal(model.wv[key], before.wv[key])}
    assert changed == {0, 1, 2}
    assert (model.history.rows[0].updates > 0).sum() == 3


def test_what_is_no_use_is_refused_at_once():
    with pytest.raises(ValueError, match="the same as text"):
        Node2Vec(Graph([(1, "1")]))
    with pytest.raises(ValueError, match="walk_length"):
        Node2Vec(karate_club(), walk_length=0)
    with pytest.raises(TypeError, match="networkx"):
        Node2Vec([(0, 1)])
    with pytest.raises(ValueError, match="vector_size"):
        Node2Vec(karate_club(), dimensions=0).fit()
    with pytest.raises(TypeError, match="nothing"):
        Node2Vec(karate_club()).fit(nothing=1)


def test_weights_count():
    edges = [(a, b, 100 if a // 4 == b // 4 else 1) for a in range(8) for b in range(a)]  # two groups, by weights alone
    wv = Node2Vec(Graph(edges), dimensions=8, walk_length=10, num_walks=40).fit(window=2, epochs=10).wv
    assert all(wv.most_similar(node, topn=1)[0][0] // 4 == node // 4 for node in range(8))


def test_a_networkx_graph_is_a_graph():
    networkx = pytest.importorskip("networkx")
    theirs = networkx.Graph()
    theirs.add_weighted_edges_from([("a", "b", 1), ("b", "c", 5)], weight="cost")
    ours = Graph([("a", "b", 1), ("b", "c", 5)])
    one, other = (Node2Vec(g, **SMALL, weight_key="cost").fit(epochs=1).wv.vectors for g in (theirs, ours))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(("how", "expected"), [
    ("average", [2, 0.5]), ("hadamard", [3, -2]), ("l1", [2, 3]), ("l2", [4, 9])])
def test_edge_vectors(how, expected):
    wv = NodeVectors(keys=[5, "b"], vectors=[[1, 2], [3, -1]])
    assert edge_vectors(wv, [(5, "b"), ("b", "5")], how).tolist() == [expected] * 2
    assert edge_vectors(wv, iter([]), how).shape == (0, 2)
    with pytest.raises(UnknownKey):
        edge_vectors(wv, [(5, "c")], how)
    with pytest.raises(ValueError, match="'average', 'hadamard'"):
        edge_vectors(KeyedVectors(2), [], "mean")


def test_two_nodes_with_one_text_are_refused():
    with pytest.raises(ValueError, match="the same as text"):
        NodeVectors(keys=[1, "1"], vectors=np.eye(2))


def test_a_tuple_is_one_node():
    wv = NodeVectors(keys=[(0, 1), (0, 2), 0, 1], vectors=np.float32([[1, 0], [.9, .1], [0, 1], [-1, 0]]))
    assert wv[(0, 1)].tolist() == [1, 0] and wv.most_similar((0, 1), topn=1)[0][0] == "(0, 2)"
    wv.add_vectors((5, 5), [1, 1])
    assert wv[(5, 5)].tolist() == [1, 1]
    with pytest.raises(ValueError, match="two nodes are the same as text"):
        wv.add_vectors([7, "7"], np.ones((2, 2)))
    assert len(wv) == 5
