"""Triples of the library: read from small sources and from Python's own; numbered, split and looked up."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import Facts, library_triples, number_triples, split_triples

SOURCES = {
    "a/__init__.py": "from .b import Base as Other, helper\nfrom .b import *\nimport sys, a.c\n",
    "a/b.py": '''
import os.path as path, collections
from collections import OrderedDict as OD
from . import c
from .. import top
from .c import *
class Base: pass
class Child(Base, Exception):
    def close(self):
        import inner
        def nested(): pass
    class Within(OD): pass
class Named(collections.UserDict, make("x"), missing.Thing, Starred): pass
def helper(): pass
async def close(): pass
''',
    "a/c.py": "from a import Other\nimport a\nclass Starred(Other): pass\nif True:\n    def late(): pass\n",
    "top.py": "from a import *\nclass Top(Starred, Unknown): pass\n",
    "odd.py": "def (:",
    "tests/test_a.py": "import a",
}
FOUND = {
    ("a", "imports", "a.b"), ("a", "imports", "sys"), ("a", "imports", "a.c"),
    ("a.b", "imports", "os.path"), ("a.b", "imports", "collections"), ("a.b", "imports", "a.c"),
    ("a.b", "imports", "top"), ("a.b", "imports", "inner"), ("a.c", "imports", "a"), ("top", "imports", "a"),
    ("a.b", "contains", "a.b.Base"), ("a.b", "contains", "a.b.Child"), ("a.b", "contains", "a.b.Child.Within"),
    ("a.b", "contains", "a.b.Named"), ("a.c", "contains", "a.c.Starred"), ("top", "contains", "top.Top"),
    ("a.b.Child", "inherits from", "a.b.Base"), ("a.b.Child", "inherits from", "builtins.Exception"),
    ("a.b.Child.Within", "inherits from", "collections.OrderedDict"),
    ("a.b.Named", "inherits from", "collections.UserDict"), ("a.b.Named", "inherits from", "a.c.Starred"),
    ("a.c.Starred", "inherits from", "a.b.Base"),
    ("close()", "belongs to", "a.b.Child"), ("close()", "belongs to", "a.b"), ("helper()", "belongs to", "a.b"),
    ("late()", "belongs to", "a.c"),
}


@pytest.fixture
def sources(tmp_path):
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_the_triples_of_small_sources(sources):
    triples = library_triples([sources])
    assert len(triples) == len(set(triples))
    assert set(triples) == FOUND


def test_what_is_no_library_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no documentation"):
        library_triples([tmp_path])
    with pytest.raises(TypeError, match="alone"):
        library_triples(str(tmp_path))


def test_names_and_numbers_are_each_other(sources):
    triples = library_triples([sources])
    ids, entities, relations = number_triples(triples)
    assert [(entities[h], relations[r], entities[t]) for h, r, t in ids.tolist()] == triples
    assert len(set(entities)) == len(entities) == ids[:, [0, 2]].max() + 1
    with pytest.raises(ValueError, match="no triple"):
        number_triples([])


many = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=40)


@given(many, st.floats(0, 0.5), st.floats(0, 0.45), st.integers(0, 99))
def test_a_split_leaves_nothing_unknown(triples, valid, test, seed):
    parts = split_triples(triples, valid, test, np.random.default_rng(seed))
    as_sets = [set(map(tuple, part.tolist())) for part in parts]
    assert sum(map(len, parts)) == len(set(triples)) == len(set.union(*as_sets))
    for part in parts:  # the order is kept
        places = [triples.index(tuple(triple)) for triple in part.tolist()]
        assert places == sorted(places)
    known = [{triple[column] for triple in as_sets[0]} for column in range(3)]
    for h, r, t in as_sets[1] | as_sets[2]:
        assert {h, t} <= known[0] | known[2] and r in known[1]
    n = len(set(triples))
    assert len(parts[2]) <= round(test * n) and len(parts[1]) + len(parts[2]) <= round((test + valid) * n)
    if len(parts[1]) + len(parts[2]) < round((test + valid) * n):  # then no triple of train can be spared
        entities, relations = collections.Counter(), collections.Counter()
        for h, r, t in as_sets[0]:
            entities.update({h, t})
            relations[r] += 1
        assert all(relations[r] == 1 or 1 in (entities[h], entities[t]) for h, r, t in as_sets[0])


def test_equal_triples_are_not_in_two_parts():
    train, valid, test = split_triples([[0, 0, 1]] * 10 + [[1, 0, 0]] * 10, 0.2, 0.2)
    assert len(train) + len(valid) + len(test) == 2


@given(many, many)
def test_facts_are_looked_up_from_both_sides(triples, asked):
    facts = Facts(triples)
    for back in (False, True):
        one, other = (2, 0) if back else (0, 2)
        ids, relations = [q[one] for q in asked], [q[1] for q in asked]
        query, entity = facts.answers(ids, relations, back)
        expected = [(i, e) for i, q in enumerate(asked) for e in sorted(
            {t[other] for t in triples if t[one] == q[one] and t[1] == q[1]})]
        assert list(zip(query.tolist(), entity.tolist())) == expected


@pytest.mark.parametrize("wrong", [[1, 2, 3], [[0, 1]], [[0, 0, -1]]])
def test_what_are_no_triples_is_refused(wrong):
    for use in (split_triples, Facts):
        with pytest.raises(ValueError, match=r"triples are ids \(N, 3\)"):
            use(wrong)
    with pytest.raises(ValueError, match="together below 1"):
        split_triples([[0, 0, 1]], 0.5, 0.5)
