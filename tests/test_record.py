"""Records: what a class gives for a file has the form that it names, and comes back as it was."""

import numpy as np
import pytest

import tinyembed as te
from tinyembed import rows
from tinyembed.core import Record
from tinyembed.files import FormatError, check_tree
from tinyembed.train.history import Mean
from tinyembed.train.resume import Epochs


def trained(rule, **settings):
    """The LazyRows of a table after a few steps."""
    p = te.Parameter(np.random.default_rng(0).normal(size=(9, 2)))
    optimiser = rule([p], lr=0.1, **settings)
    for t in range(5):
        p.grad = te.RowGrad(p.shape, np.array([t, 8]), np.ones((2, 2)))
        optimiser.step()
    return optimiser.state[0]


def mean():
    found = Mean()
    found.add(2.5, 3)
    return found


def report():
    p = te.Parameter(np.ones((9, 2)))
    found = rows.RowReport("p", p)
    found.note(np.array([1, 4]))
    return found


GENERATORS = {"rng": np.random.default_rng(1)}
EXAMPLES = {  # class: (an instance, its attributes that are no fields)
    "LazyRows": (trained(te.optim.AdamW), lambda x: {"p": x.p}),
    "AdamCatchUp": (trained(te.optim.Adam).law, lambda x: {}),
    "LinearCatchUp": (trained(te.optim.SGD, momentum=0.9).law, lambda x: {}),
    "RowReport": (report(), lambda x: {"name": x.name, "p": x.p}),
    "Mean": (mean(), lambda x: {}),
    "Epochs": (Epochs([1, 2], 3, GENERATORS, {}),
               lambda x: {"batches": x.batches, "epochs": x.epochs, "generators": x.generators,
                          "shared": x.shared}),
}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b) and type(a) is type(b)


def test_there_is_an_example_of_each():
    assert {record.__name__ for record in Record.__subclasses__() if record.__module__.startswith("tinyembed.") and
            "core" not in record.__module__} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_has_its_form_and_comes_back_as_it_was(name):
    record, attributes = EXAMPLES[name]
    tree = record.to_tree()
    check_tree("a file", tree, type(record))
    assert set(tree) == {"class", *record.FIELDS} and tree["class"] == name
    again = type(record).from_tree(tree, **attributes(record))
    assert type(again) is type(record) and same(again.to_tree(), tree)
    for field in record.FIELDS:
        with pytest.raises(FormatError):
            check_tree("a file", {key: x for key, x in tree.items() if key != field}, type(record))
