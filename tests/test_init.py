"""Laws of nn.init: the distribution that the formula says, in place, from one generator; frozen rows stay."""

import math

import numpy as np
import pytest

import tinyembed as te
from tinyembed import nn
from tinyembed.nn import init

FILLS = {  # name: (its settings, the largest number there can be or None, the standard deviation), for fans 300 and 200
    "uniform": ({"a": -0.5, "b": 0.5}, 0.5, 1 / math.sqrt(12)),
    "normal": ({"std": 0.3}, None, 0.3),
    "xavier_uniform": ({}, math.sqrt(6 / 500), math.sqrt(2 / 500)),
    "xavier_normal": ({"gain": 2.0}, None, 2 * math.sqrt(2 / 500)),
    "kaiming_uniform": ({}, math.sqrt(6 / 300), math.sqrt(2 / 300)),
    "kaiming_normal": ({"gain": 1.0}, None, 1 / math.sqrt(300)),
}
WEIGHTS = {"Linear": lambda **o: nn.Linear(300, 200, **o), "Embedding": lambda **o: nn.Embedding(200, 300, **o),
           "Conv2d": lambda **o: nn.Conv2d(75, 50, 2, **o)}


def test_every_fill_has_a_case():
    assert {name for name, x in vars(init).items() if callable(x) and getattr(x, "__module__", "") == init.__name__
            and name[0] != "_"} == {*FILLS, "constant", "fans"}


@pytest.mark.parametrize("layer", WEIGHTS)
@pytest.mark.parametrize("name", FILLS)
def test_a_fill_is_its_formula_in_place_and_from_rng_alone(name, layer):
    settings, bound, std = FILLS[name]
    for dtype in (np.float32, np.float64):
        weight = WEIGHTS[layer](dtype=dtype).weight
        assert getattr(init, name)(weight, **settings, rng=np.random.default_rng(1)) is weight
        x, again = weight.data.copy(), getattr(init, name)(weight, **settings, rng=np.random.default_rng(1)).data
        assert x.dtype == dtype and x.tobytes() == again.tobytes() and not (x == x.flat[0]).all()
        assert x.std() == pytest.approx(std, rel=0.02) and abs(x.mean()) < 5 * std / math.sqrt(x.size)
        if bound is not None:
            assert 0.99 * bound < abs(x).max() <= bound * (1 + 1e-6)
        theirs = pytest.importorskip("torch").nn.init if dtype == np.float64 and name[0] in "xk" else None
        if theirs is not None:
            tensor = pytest.importorskip("torch").zeros(weight.shape, dtype=pytest.importorskip("torch").float64)
            options = {"nonlinearity": "linear" if settings else "relu"} if name[0] == "k" else settings
            getattr(theirs, name + "_")(tensor, **options)
            assert x.std() == pytest.approx(tensor.numpy().std(), rel=0.02)


@pytest.mark.parametrize("name", [*FILLS, "constant"])
def test_frozen_rows_and_the_padding_row_stay_and_lagging_rows_are_filled_too(name):
    settings = FILLS[name][0] if name in FILLS else {"value": 7.0}
    table = nn.Embedding(6, 4, padding_idx=2).freeze_rows([0])
    adam = te.optim.Adam(table.parameters(), lr=0.1)
    for ids in ([1, 3], [4]):  # rows 1 and 3 lag
        table(ids).sum().backward()
        adam.step()
        adam.zero_grad()
    before = table.weight.data.copy()
    getattr(init, name)(table.weight, **settings)
    assert (table.weight.data == before).all(1).tolist() == [True, False, True, False, False, False]


def test_what_cannot_be_filled_is_refused():
    layer = nn.Linear(2, 3)
    before = layer.weight.data.copy()
    for call, error, words in [
            (lambda: init.xavier_uniform(layer.bias), ValueError, r"has fans, and \(3,\) has none"),
            (lambda: init.uniform(layer), TypeError, "not a Linear"),
            (lambda: init.normal(layer.weight.data), TypeError, "not a ndarray"),
            (lambda: init.uniform(layer.weight, 1, 0), ValueError, "finite a <= b"),
            (lambda: init.uniform(layer.weight, 0, np.inf), ValueError, "finite a <= b"),
            (lambda: init.normal(layer.weight, std=-1), ValueError, "std 0 or more"),
            (lambda: init.normal(layer.weight, np.nan), ValueError, "finite mean")]:
        with pytest.raises(error, match=words):
            call()
    assert (layer.weight.data == before).all()
