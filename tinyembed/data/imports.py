"""The import graph of Python's standard library: an example graph that needs no download."""

from __future__ import annotations

from .graph import Graph
from .prose import Roots
from .triples import IMPORTS, library_triples


def import_graph(roots: Roots = None) -> Graph:
    """The modules of Python's own library by name, with an edge from each to those that it imports, wherever in it the
    statement stands; also to modules that are not part of it, such as those written in C.

    Roots, errors and what is left out are those of `library_triples`. CPython 3.11 gives about 840 nodes and 3,700
    edges, in one or two seconds.

    >>> import json, pathlib
    >>> graph = import_graph([pathlib.Path(json.__file__).parent])      # of json alone; import_graph() reads all
    >>> i, j, _ = graph.edges()
    >>> ("decoder", "re") in [(graph.nodes[a], graph.nodes[b]) for a, b in zip(i, j)]
    True
    """
    return Graph([(head, tail) for head, relation, tail in library_triples(roots) if relation == IMPORTS],
                 directed=True)
