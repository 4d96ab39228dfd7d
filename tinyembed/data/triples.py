"""Triples (head, relation, tail): what Python's own library says of its modules, classes and functions; how they are
numbered, split and looked up."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core import Array, as_ids, as_integers
from .prose import Roots, library_sources, nothing_found, syntax_tree

Triple = tuple[str, str, str]
CONTAINS, INHERITS, BELONGS, IMPORTS = "contains", "inherits from", "belongs to", "imports"


def library_triples(roots: Roots = None) -> list[Triple]:
    """Collect facts about Python's own library as triples of names (head, relation, tail), each once.

        module "contains" class           ("json.decoder", "contains", "json.decoder.JSONDecoder")
        class "inherits from" class       ("json.decoder.JSONDecodeError", "inherits from", "builtins.ValueError")
        function "belongs to" module      ("dumps()", "belongs to", "json"), and so to the class of a method
        module "imports" module           ("json.decoder", "imports", "re")

    Modules and classes have full names, a class that is imported on the way that of the place where it is defined.
    A function is its bare name: the `close()` of two classes are one entity, which is what says that they are alike.
    Functions inside functions are left out, and so are bases that are no names, such as calls. Roots, errors, and what
    of the library is left out are those of `python_docs`. The order is that of the sources. CPython 3.11 gives about
    25,000 triples on 12,000 entities, in a few seconds.

    >>> import json, pathlib
    >>> triples = library_triples([pathlib.Path(json.__file__).parent])    # of json alone; library_triples() reads all
    >>> triples[:2]
    [('__init__', 'imports', 'decoder'), ('__init__', 'imports', 'encoder')]
    >>> ("decoder.JSONDecodeError", "inherits from", "builtins.ValueError") in triples
    True
    """
    modules: dict[str, Definitions] = {}
    for path, source in library_sources(roots):
        if (tree := syntax_tree(source)) is not None:
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            modules[name] = _read(name, tree, path.endswith("__init__.py"))
    found = dict.fromkeys(triple for name in modules for triple in _facts(name, modules))
    return list(found) or nothing_found(roots)


class Numbered(NamedTuple):
    """Triples as numbers: ids (N, 3) of head, relation and tail, and the names that the numbers stand for."""

    ids: Array
    entities: list[str]
    relations: list[str]


def number_triples(triples: Iterable[tuple[Any, Any, Any]]) -> Numbered:
    """Number entities and relations, each from 0, in the order in which they are first met.

    Raises ValueError if there is no triple.

    >>> number_triples([("ann", "knows", "bob"), ("bob", "knows", "eve")])
    Numbered(ids=array([[0, 0, 1],
           [1, 0, 2]]), entities=['ann', 'bob', 'eve'], relations=['knows'])
    """
    entities: dict[Any, int] = {}
    relations: dict[Any, int] = {}
    ids = [(entities.setdefault(head, len(entities)), relations.setdefault(relation, len(relations)),
            entities.setdefault(tail, len(entities))) for head, relation, tail in triples]
    if not ids:
        raise ValueError("there is no triple to number")
    return Numbered(np.array(ids, np.int64), list(entities), list(relations))


def split_triples(triples: Any, valid: float = 0.05, test: float = 0.05, rng: np.random.Generator | None = None
                  ) -> tuple[Array, Array, Array]:
    """Split triples (N, 3) into (train, valid, test), such that train knows every entity and relation.

    valid, test   the fractions to hold out; fewer where too many triples are the only one of an entity
    rng           decides which; None for `np.random.default_rng(0)`, the same split every time

    Triples are gone through in random order, and held out if each of their entities and their relation is in another
    one that stays. Equal triples are one. The parts keep the order of `triples`, and no triple is in two of them.
    Raises ValueError for what is not (N, 3) ids and for fractions out of range.

    >>> train, valid, test = split_triples([[0, 0, 1], [1, 0, 2], [0, 0, 2], [2, 0, 3]], valid=0, test=0.9)
    >>> train.tolist(), test.tolist()                   # nothing else knows of 3
    ([[0, 0, 1], [2, 0, 3]], [[1, 0, 2], [0, 0, 2]])
    """
    if not (0 <= valid and 0 <= test and valid + test < 1):
        raise ValueError(f"valid and test are fractions of the triples, together below 1, not {valid} and {test}")
    triples = as_triples(triples)
    triples = triples[np.sort(np.unique(triples, axis=0, return_index=True)[1])]
    rng = np.random.default_rng(0) if rng is None else rng
    # How many triples that stay have this entity, or this relation. A triple with one entity twice counts once.
    ids = np.unique(triples, return_inverse=True)[1].reshape(triples.shape)  # those that are there, from 0
    entities, relations = np.zeros((2, ids.max(initial=-1) + 1), np.int64)
    np.add.at(relations, ids[:, 1], 1)
    np.add.at(entities, ids[:, 0], 1)
    np.add.at(entities, ids[ids[:, 0] != ids[:, 2], 2], 1)
    part = np.zeros(len(triples), np.int8)  # 0: train, 1: valid, 2: test
    wanted = [round(test * len(triples)), round((test + valid) * len(triples))]
    held = 0
    for i in rng.permutation(len(triples)).tolist():
        if held == wanted[1]:
            break
        head, relation, tail = ids[i].tolist()
        both = [head, tail] if head != tail else [head]
        if relations[relation] > 1 and (entities[both] > 1).all():
            entities[both] -= 1
            relations[relation] -= 1
            part[i] = 2 if held < wanted[0] else 1
            held += 1
    return triples[part == 0], triples[part == 1], triples[part == 2]


class Facts:
    """Triples (N, 3), looked up by two of their three: the tails of (head, relation), the heads of (tail, relation).

    Memory is four numbers a triple, and a lookup takes a binary search.

    >>> facts = Facts([[0, 0, 1], [0, 0, 2], [3, 0, 2]])
    >>> facts.answers([0, 1], [0, 0])                   # of query 0 the tails are 1 and 2, query 1 has none
    (array([0, 0]), array([1, 2]))
    >>> facts.answers([2], [0], back=True)
    (array([0, 0]), array([0, 3]))
    """

    def __init__(self, triples: Any) -> None:
        head, relation, tail = np.unique(as_triples(triples), axis=0).T
        self._sides = []
        for one, other in ((head, tail), (tail, head)):
            keys = _keys(one, relation)
            order = np.argsort(keys, kind="stable")
            self._sides.append((keys[order], other[order]))

    def answers(self, ids: Any, relations: Any, back: bool = False) -> tuple[Array, Array]:
        """The entities that make a triple with ids (B,) and relations (B,): tails, or with back=True heads.

        -> (query (M,), entity (M,)): answer m belongs to query[m] of 0 … B - 1, in ascending order.
        """
        keys, entities = self._sides[back]
        asked = _keys(np.asarray(ids, np.int64), np.asarray(relations, np.int64))
        first = np.searchsorted(keys, asked)
        counts = np.searchsorted(keys, asked, side="right") - first
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - counts), counts)
        return np.repeat(np.arange(len(asked)), counts), entities[places]


def as_triples(triples: Any, num_entities: int | None = None) -> Array:
    """ids (N, 3) as int64; ValueError for what is none, IndexError for an entity beyond num_entities."""
    ids = as_integers(triples)
    if ids.ndim != 2 or ids.shape[1] != 3 or ids.min(initial=0) < 0:
        raise ValueError(f"triples are ids (N, 3) of head, relation and tail, none below 0, not {ids.shape}")
    if num_entities is not None:
        as_ids(ids[:, [0, 2]], num_entities, "the entities")
    return ids.astype(np.int64, copy=False)


def _keys(ids: Array, relations: Array) -> Array:
    """One number for both; ValueError for ids that it has no room for."""
    if ids.max(initial=0) >= 1 << 40 or relations.max(initial=0) >= 1 << 23:
        raise ValueError(f"facts are of ids below 2^40 and relations below 2^23, not {ids.max()} and "
                         f"{relations.max()}: data.number_triples numbers names")
    return (relations << 40) | ids


# -- reading the sources -----------------------------------------------------------------------------------------------


@dataclass
class Definitions:
    """What a module says: the names that it binds, and where they come from; its imports; what it defines."""

    names: dict[str, str] = field(default_factory=dict)  # "OD" -> "collections.OrderedDict", of imports and classes
    stars: list[str] = field(default_factory=list)  # modules of which it imports all
    imports: list[tuple[str, str]] = field(default_factory=list)  # (module, name in it or "")
    classes: list[tuple[str, list[str]]] = field(default_factory=list)  # full name, bases as they are written
    functions: list[tuple[str, str]] = field(default_factory=list)  # name, full name of its class or module


def _read(name: str, tree: ast.Module, is_package: bool) -> Definitions:
    found = Definitions()
    for node, owner, in_function in _statements(name, tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.imports.append((alias.name, ""))
                top = alias.name.partition(".")[0]
                found.names.setdefault(alias.asname or top, alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            parts = [] if name == "__init__" else name.split(".")  # of a root that is itself a package
            base = parts[:len(parts) + is_package - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                found.imports.append((module, alias.name))
                if alias.name == "*":
                    found.stars.append(module)
                found.names.setdefault(alias.asname or alias.name, f"{module}.{alias.name}".lstrip("."))
        elif isinstance(node, ast.ClassDef) and not in_function:
            found.classes.append((f"{owner}.{node.name}", [ast.unparse(base) for base in node.bases]))
            if owner == name:
                found.names[node.name] = f"{owner}.{node.name}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not in_function:
            found.functions.append((f"{node.name}()", owner))
    return found


def _statements(name: str, tree: ast.Module) -> Iterator[tuple[ast.AST, str, bool]]:
    """All statements of a module in the order of the source: (statement, full name of the class or module that it
    stands in, whether it stands in a function)."""
    stack: list[tuple[ast.AST, str, bool]] = [(tree, name, False)]
    while stack:
        node, owner, in_function = stack.pop()
        yield node, owner, in_function
        if isinstance(node, ast.ClassDef):
            owner = f"{owner}.{node.name}"
        in_function = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for part in ("cases", "finalbody", "orelse", "handlers", "body"):  # the last on the stack is the first read
            children = getattr(node, part, [])
            if isinstance(children, list):
                stack.extend((child, owner, in_function) for child in reversed(children))


def _facts(name: str, modules: dict[str, Definitions]) -> Iterator[Triple]:
    found = modules[name]
    for module, inner in found.imports:
        both = f"{module}.{inner}".strip(".")
        target = both if both in modules or not module else module
        if target != name:
            yield name, IMPORTS, target
    for full, bases in found.classes:
        yield name, CONTAINS, full
        for base in bases:
            if (above := _class_of(name, base, modules)) and above != full:
                yield full, INHERITS, above
    for function, owner in found.functions:
        yield function, BELONGS, owner


def _class_of(module: str, base: str, modules: dict[str, Definitions]) -> str | None:
    """The full name of a base class that is written so in a module, at the place where it is defined; None for what
    is no name, or none that the module binds."""
    if not base.replace(".", "").isidentifier():
        return None
    first, _, rest = base.partition(".")
    if first in modules[module].names:
        full = f"{modules[module].names[first]}.{rest}".rstrip(".")
    elif hasattr(builtins, first):
        return f"builtins.{base}"
    else:
        full = f"{module}.{base}"
    for _ in range(10):  # imported from a module that imports it from another, and so on
        place, _, name = full.rpartition(".")
        if place not in modules:
            break
        through = [f"{star}.{name}" for star in modules[place].stars if star in modules and name in modules[star].names]
        further = modules[place].names.get(name, through[0] if through else full)
        if further == full:
            break
        full = further
    return full if full != f"{module}.{base}" or base in modules[module].names else None
