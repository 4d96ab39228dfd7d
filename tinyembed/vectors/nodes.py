"""Vectors of nodes and edges of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core import Array
from .keyed import KeyedVectors

EDGES: dict[str, Callable[[Array, Array], Array]] = {
    "average": lambda a, b: (a + b) / 2,
    "hadamard": lambda a, b: a * b,
    "l1": lambda a, b: np.abs(a - b),
    "l2": lambda a, b: (a - b) ** 2}


def node_key(node: Any) -> str | int:
    """The key of a node's vector: an integer as it is, anything else as text."""
    return int(node) if isinstance(node, (int, np.integer)) and not isinstance(node, bool) else str(node)


class NodeVectors(KeyedVectors):
    """Vectors by node. A node is found by its name and by the text of it, and nothing is found by its row: 33 and "33"
    are node 33, wherever its row is. A node that is neither a string nor an integer has its text as key; a tuple is
    one node, and stands as str(node) in lists. ValueError for two nodes with the same text.

    >>> wv = NodeVectors(keys=[33, 0, "hub"], vectors=np.eye(3))
    >>> wv["33"].tolist(), wv[0].tolist(), 1 in wv, wv.most_similar("hub", topn=1)
    ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], False, [(33, 0.0)])
    """

    def __init__(self, vector_size: int | None = None, *, keys: Iterable[Any] = (), **named: Any) -> None:
        super().__init__(vector_size, keys=_distinct(map(node_key, keys)), **named)
        self._find_by_text()

    def _find_by_text(self) -> None:
        for i, key in enumerate(self.index_to_key):
            self.key_to_index.setdefault(str(key), i)

    def add_vectors(self, keys: Any, weights: Any, replace: bool = False) -> None:
        """Add vectors at the end; of nodes that are there already, replace the vector or leave it."""
        one = isinstance(keys, (str, int, np.integer, tuple))
        super().add_vectors(node_key(keys) if one else _distinct(map(node_key, keys)), weights, replace)

    def put(self, keys: list[Any], rows: Array, replace: bool) -> None:
        super().put(keys, rows, replace)
        self._find_by_text()

    def __getitem__(self, key: Any) -> Array:
        """node -> (D,), read-only; list of n nodes -> (n, D), a fresh array."""
        return super().__getitem__(str(key) if isinstance(key, tuple) else key)

    def most_similar(self, positive: Any = None, *args: Any, **options: Any) -> Any:
        """As KeyedVectors has it; a tuple alone is a node."""
        return super().most_similar(str(positive) if isinstance(positive, tuple) else positive, *args, **options)

    def get_index(self, key: Any, default: int | None = None) -> int:
        """The row of a node; of one that is not there `default`, or UnknownKey if that is None."""
        return super().get_index(str(key), default)


def _distinct(keys: Iterable[str | int]) -> list[str | int]:
    """A list of keys that differ as text, or ValueError."""
    found = list(keys)
    if len(set(map(str, found))) < len(found):
        raise ValueError("two nodes are the same as text, such as 1 and '1': name one of them otherwise")
    return found


def edge_vectors(wv: KeyedVectors, edges: Iterable[tuple[Any, Any]], how: str = "hadamard") -> Array:
    """A vector for each of n pairs of nodes, from the vectors a and b of the two          -> (n, D)

        "average" (a + b) / 2     "hadamard" a * b     "l1" |a - b|     "l2" (a - b)^2          number by number

    Both directions of a pair have the same. Raises UnknownKey for a node without a vector, ValueError for another word.
    (Grover and Leskovec 2016, table 1)

    >>> wv = NodeVectors(keys=["a", "b"], vectors=[[1, 2], [3, 5]])
    >>> edge_vectors(wv, [("a", "b")], "l2").tolist()
    [[4.0, 9.0]]
    """
    if how not in EDGES:
        raise ValueError(f"how is one of {', '.join(map(repr, EDGES))}, not {how!r}")
    pairs = list(edges)
    return EDGES[how](*(wv[[pair[side] for pair in pairs]] for side in (0, 1)))
