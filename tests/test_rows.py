"""Rows of a table under training: frozen, projected, grown, reported on."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimisers import SLOW as RULES

from tinyembed import optim
from tinyembed.nn import Embedding
from tinyembed.rows.report import RowTracker
from tinyembed.train import fit

pytestmark = pytest.mark.filterwarnings("ignore:.* takes dense steps")
each_rule = pytest.mark.parametrize("name", RULES)
seeds = st.integers(0, 2**32 - 1)


def table(V=12, D=3, **options):
    return Embedding(V, D, rng=np.random.default_rng(0), dtype=np.float64, **options)


def train(layer, optimizer, steps, seed=1, V=None):
    """Steps on the squared distance of looked-up rows from random targets."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        ids = rng.integers(V or layer.num_embeddings, size=5)
        optimizer.zero_grad()
        ((layer(ids) - rng.normal(size=(5, layer.embedding_dim))) ** 2).sum().backward()
        optimizer.step()


@each_rule
@pytest.mark.parametrize("sparse", ["exact", "touched"])
def test_the_padding_row_is_bit_equal_after_100_steps(name, sparse):
    layer = Embedding.from_pretrained(np.random.default_rng(0).normal(size=(12, 3)), freeze=False, padding_idx=-1)
    before = layer.weight.data[11].tobytes()
    train(layer, RULES[name](layer.parameters(), sparse=sparse), 50)
    layer.sparse = False  # and dense gradients
    train(layer, RULES[name](layer.parameters(), sparse=sparse), 50)
    assert layer.weight.data[11].tobytes() == before


@each_rule
@given(ids=st.lists(st.integers(0, 11), min_size=1, max_size=6))
def test_only_the_given_rows_train(name, ids):
    layer = table()
    optimizer = RULES[name](layer.parameters())
    train(layer, optimizer, 5)
    layer.train_only_rows(ids)
    before = layer.weight.data.copy()
    train(layer, optimizer, 12)
    moved = (layer.weight.data != before).any(1)
    assert not moved[~np.isin(np.arange(12), ids)].any() and moved.any()


@each_rule
def test_a_row_that_was_frozen_goes_on_from_where_it_stopped(name):
    layer = table()
    optimizer = RULES[name](layer.parameters())
    train(layer, optimizer, 5)
    layer.freeze_rows([3])
    stopped = layer.weight.data[3].tobytes()
    train(layer, optimizer, 20)
    assert layer.weight.data[3].tobytes() == stopped
    layer.unfreeze_rows()
    assert layer.weight.data[3].tobytes() == stopped
    train(layer, optimizer, 20)
    assert layer.weight.data[3].tobytes() != stopped


@each_rule
@given(seed=seeds)
def test_max_norm_is_committed_by_the_step_and_by_nothing_else(name, seed):
    layer = table(max_norm=0.5)
    stored = layer.weight.data.copy()
    optimizer = RULES[name](layer.parameters())
    ids = np.random.default_rng(seed).integers(12, size=4)
    y = layer(ids)
    assert (np.linalg.norm(y.data, axis=1) <= 0.5).all()
    np.testing.assert_array_equal(layer.weight.data, stored)
    y.backward(np.full(y.shape, 1.0 if RULES[name].dense else 0.0))  # a dense step knows rows by their gradients
    optimizer.lr = 0.0
    optimizer.step()
    now = np.linalg.norm(layer.weight.data, axis=1)
    assert (now[ids] <= 0.5).all()
    others = ~np.isin(np.arange(12), ids)
    np.testing.assert_array_equal(layer.weight.data[others], stored[others])


@each_rule
@pytest.mark.parametrize("sparse", ["exact", "touched"])
def test_a_table_that_grows_goes_on_as_if_it_had_been_large_from_the_start(name, sparse):
    small, large = table(V=8), table(V=11)
    large.weight.data = np.concatenate([small.weight.data, np.zeros((3, 3))])
    optimizers = [RULES[name](layer.parameters(), sparse=sparse) for layer in (small, large)]
    for layer, optimizer in zip((small, large), optimizers):
        large_rows = layer.num_embeddings > 8
        if large_rows:
            layer.freeze_rows([8, 9, 10])
        train(layer, optimizer, 15, V=8)
    rows = np.random.default_rng(5).normal(size=(3, 3))
    small.weight.grow(rows)
    large.unfreeze_rows()
    grown = large.weight.data.copy()
    grown[8:] = rows
    large.weight.data = grown
    for layer, optimizer in zip((small, large), optimizers):
        train(layer, optimizer, 15, seed=2)
    np.testing.assert_allclose(small.weight.data, large.weight.data, rtol=1e-12, atol=1e-12)


def test_growing_adds_tokens_and_training_only_those_moves_no_other():
    layer = table()
    adam = RULES["AdamW"](layer.parameters())
    train(layer, adam, 10)
    before = layer.weight.data.copy()
    layer.grow(2, rng=np.random.default_rng(1)).train_only_rows([12, 13])
    assert layer.num_embeddings == 14 and layer([13]).shape == (1, 3)
    np.testing.assert_array_equal(layer.weight.data[:12], before)
    train(layer, adam, 20)
    np.testing.assert_array_equal(layer.weight.data[:12], before)
    with pytest.raises(ValueError, match="at least one row"):
        layer.grow(0)
    with pytest.raises(ValueError, match=r"\(1, 4\).*\(14, 3\)"):
        layer.weight.grow(np.zeros((1, 4)))


@given(seed=seeds)
def test_the_report_counts_and_measures(seed):
    rng = np.random.default_rng(seed)
    layer, batches = table(), [(rng.integers(6, size=4),) for _ in range(7)]
    start = layer.weight.data.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = fit(layer, batches, optim.SGD(layer.parameters(), lr=0.1), progress=False,
                      loss=lambda model, ids: (model(ids) ** 2).sum())
    [report] = history.rows
    counts = sum(np.isin(np.arange(12), ids).astype(int) for ids, in batches)
    assert report.name == "weight" and report.updates.tolist() == counts.tolist()
    assert report.untouched.tolist() == np.flatnonzero(counts == 0).tolist()
    np.testing.assert_allclose(report.drift, np.linalg.norm(layer.weight.data - start, axis=1))


def test_drift_is_measured_from_where_the_first_update_found_a_row():
    layer = table()
    adam = optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    tracker = RowTracker(layer.named_parameters())
    rng = np.random.default_rng(0)
    found = {}
    for step in range(30):
        ids = rng.integers(0, 4 if step < 10 else 12, size=2)
        layer.zero_grad()
        layer(ids).sum().backward()
        for i in set(ids.tolist()) - set(found):
            found[i] = layer.weight.data[i].copy()
        tracker.note()
        adam.step()
    expected = [np.linalg.norm(layer.weight.data[i] - found[i]) if i in found else 0.0 for i in range(12)]
    np.testing.assert_allclose(tracker.reports[0].drift, expected, rtol=1e-12)


def test_tables_that_hardly_moved_are_warned_of():
    layer = table(V=100)
    with pytest.warns(UserWarning, match="weight: 98 of 100 rows never touched; the others updated 3 times"):
        fit(layer, [([1, 2],)] * 3, optim.SGD(layer.parameters(), lr=0.1), progress=False,
            loss=lambda model, ids: model(ids).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(layer, [(list(range(100)),)], optim.SGD(layer.parameters(), lr=0.1), progress=False,
            loss=lambda model, ids: model(ids).sum())


def test_a_learning_rate_for_each_group():
    a, b = table(), table()
    sgd = optim.SGD([{"params": a.parameters(), "lr": 0.0}, {"params": b.parameters()}], lr=0.1)
    before = a.weight.data.copy()
    for layer in (a, b):
        layer([1]).sum().backward()
    sgd.step()
    np.testing.assert_array_equal(a.weight.data, before)
    np.testing.assert_allclose(b.weight.data[1], before[1] - 0.1)
