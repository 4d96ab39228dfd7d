"""Graphs: the adjacency arrays are those of a dict of dicts, whatever the edges; what is wrong is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import Graph, as_graph, import_graph, karate_club

NAMES = ["a", 0, "0", (1, 2), None, 2.5, frozenset("x")]


@st.composite
def edge_lists(draw, names=NAMES):
    """(edges, directed): pairs and triples between a few nodes, repeats and loops among them."""
    name = st.sampled_from(names)
    weight = st.sampled_from([0, 0.5, 1, 3])
    edge = st.one_of(st.tuples(name, name), st.tuples(name, name, weight))
    return draw(st.lists(edge, max_size=25)), draw(st.booleans())


def ways(edges, directed, nodes):
    """The slow twin: node -> {node: weight}."""
    found = {node: {} for node in nodes}
    for a, b, *w in edges:
        for here, there in {(a, b), (a, b) if directed else (b, a)}:
            found[here][there] = found[here].get(there, 0) + (w[0] if w else 1)
    return found


def rows(graph):
    parts = zip(graph.nodes, graph.indptr, graph.indptr[1:])
    return {node: {graph.nodes[i]: w for i, w in zip(graph.indices[a:b], graph.weights[a:b])} for node, a, b in parts}


@given(edge_lists())
def test_the_arrays_are_those_of_a_dict_of_dicts(drawn):
    edges, directed = drawn
    graph = Graph(edges, NAMES, directed=directed)
    assert graph.nodes == NAMES and rows(graph) == ways(edges, directed, NAMES)
    assert (graph.indptr.dtype, graph.indices.dtype, graph.weights.dtype) == (np.int64, np.int32, np.float64)
    for a, b in zip(graph.indptr, graph.indptr[1:]):
        assert (np.diff(graph.indices[a:b]) > 0).all()
    i, j, w = graph.edges()
    again = Graph([(NAMES[a], NAMES[b], x) for a, b, x in zip(i, j, w)], NAMES, directed=directed)
    assert rows(again) == rows(graph) and (directed or (i <= j).all())
    assert len(i) == len({(a, b) if directed else frozenset((a, b)) for a, b, *_ in edges})


@given(edge_lists())
def test_nodes_come_in_the_order_of_the_edges(drawn):
    edges, directed = drawn
    assert Graph(edges, directed=directed).nodes == list(dict.fromkeys(name for edge in edges for name in edge[:2]))


@given(edge_lists(range(9)))
def test_edges_are_found(drawn):
    edges, directed = drawn
    graph = Graph(edges, 9, directed=directed)
    i, j = np.divmod(np.arange(81), 9)
    at = graph.find(i, j)
    there = ways(edges, directed, range(9))
    assert [k >= 0 for k in at] == [b in there[a] for a, b in zip(i, j)]
    assert (graph.indices[at[at >= 0]] == j[at >= 0]).all()
    assert ((graph.indptr[i] <= at) & (at < graph.indptr[i + 1]))[at >= 0].all()


@given(edge_lists(range(9)))
def test_an_array_of_ids_is_a_list_of_pairs(drawn):
    edges, directed = [edge[:2] for edge in drawn[0]], drawn[1]
    array = np.array(edges, np.int64).reshape(-1, 2)
    assert rows(Graph(array, 9, directed=directed)) == rows(Graph(edges, 9, directed=directed))
    assert Graph(array).nodes == Graph(edges).nodes
    assert all(type(name) is int for name in Graph(array).nodes)


@pytest.mark.parametrize("weight", [-1, -1e-300, float("nan"), float("inf")])
def test_weights_that_are_no_use_are_refused(weight):
    with pytest.raises(ValueError, match=r"weight of edge 1 .*'b', 'c'"):
        Graph([("a", "b", 1), ("b", "c", weight)])


@pytest.mark.parametrize(("edges", "nodes", "error", "match"), [
    ([(0, 1), (1, 5)], 5, IndexError, r"id 5 at position \(1, 1\) is outside the graph: 5 rows"),
    ([(0, -1)], 5, IndexError, "id -1"),
    (np.array([[0, 9]]), 5, IndexError, "id 9"),
    ([("a", "z")], ["a", "b"], ValueError, "'z' is none of the 2 nodes"),
    ([], ["a", "b", "a"], ValueError, "given twice"),
    (["ab"], None, ValueError, "edge 0 is a pair"),
    ([("a", "b"), ("a",)], None, ValueError, "edge 1 is a pair"),
    (np.zeros((3, 3), int), None, ValueError, r"\(n, 2\)"),
    (np.zeros((3, 2)), None, ValueError, r"\(n, 2\)"),
    ([("a", "b", 1e308), ("a", "b", 1e308)], None, ValueError, "add up"),
])
def test_what_is_no_graph_is_refused(edges, nodes, error, match):
    with pytest.raises(error, match=match), np.errstate(over="ignore"):
        Graph(edges, nodes)


def test_labels_go_with_nodes_and_what_is_no_graph_is_no_graph():
    with pytest.raises(ValueError, match="as many labels"):
        Graph([(0, 1)], 2, labels=["x"])
    with pytest.raises(TypeError, match="networkx"):
        as_graph([(0, 1)])
    graph = Graph([(0, 1)])
    assert as_graph(graph) is graph


def test_the_karate_club_is_networkx_s():
    networkx = pytest.importorskip("networkx")
    theirs, ours = networkx.karate_club_graph(), karate_club()
    assert rows(as_graph(theirs, None)) == rows(ours)
    assert ours.labels == [theirs.nodes[node]["club"] for node in theirs] and list(ours.nodes) == list(theirs)


@pytest.mark.parametrize("kind", ["Graph", "DiGraph", "MultiGraph", "MultiDiGraph"])
def test_a_networkx_graph_is_taken_as_it_is(kind):
    theirs = getattr(pytest.importorskip("networkx"), kind)()
    theirs.add_nodes_from(["lone", (0, 1)])
    edges = [("a", (0, 1), 2), ("a", "a", 3), ("b", "a", 1), ("a", "b", 4)]
    for a, b, w in edges:
        theirs.add_edge(a, b, cost=w)
    theirs.add_edge("b", "c")
    if not theirs.is_multigraph():  # the last weight of an edge counts there
        edges = edges if theirs.is_directed() else [edge for edge in edges if edge != ("b", "a", 1)]
    ours = as_graph(theirs, "cost")
    assert ours.nodes == ["lone", (0, 1), "a", "b", "c"] and ours.directed == theirs.is_directed()
    assert rows(ours) == ways([*edges, ("b", "c")], ours.directed, ours.nodes)


def test_the_import_graph_is_that_of_the_sources(tmp_path):
    for name, text in {"a.py": "import b, sys\nfrom pack import inner\n", "b.py": "def f():\n    import a\n",
                       "pack/__init__.py": "from .inner import x\n", "pack/inner.py": "from .. import b\nimport sys",
                       "alone.py": "import alone", "broken.py": "import ("}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = import_graph([tmp_path])
    i, j, w = graph.edges()
    assert graph.directed and (w == 1).all() and {(graph.nodes[a], graph.nodes[b]) for a, b in zip(i, j)} == {
        ("a", "b"), ("a", "sys"), ("a", "pack.inner"), ("b", "a"), ("pack", "pack.inner"), ("pack.inner", "b"),
        ("pack.inner", "sys")}
    with pytest.raises(FileNotFoundError):
        import_graph([tmp_path / "nothing"])
