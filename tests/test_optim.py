"""Laws of the optimisers: the dense rule against plain references and torch, and "touched" rows.

That exact rows are the dense optimiser's is the law of test_exact.py; groups and refusals stand in test_settings.py.
"""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimisers import BAD, CLASSES, VARIANTS, adam, numbers_of, public_optimisers
from tables import rng, row_grad, states, table

import tinyembed as te
from tinyembed import nn
from tinyembed.core import machine
from tinyembed.optim import SGD, Adam, clip_grad_norm, clip_grad_value
from tinyembed.rows import lazy

RULES = {name: (v.make, v.rule, v.settings) for name, v in VARIANTS.items()}
pytestmark = pytest.mark.filterwarnings("ignore:.* takes dense steps")
every_rule = pytest.mark.parametrize("name", RULES)


# --------------------------------------------------------------------------------------------------------- the registry


def test_every_optimiser_is_in_the_registry():
    """So that no test of optimisers passes one by."""
    assert set(CLASSES) == public_optimisers()
    for make in CLASSES:
        variants = [v for v in VARIANTS.values() if v.make is make]
        assert any(v.slow for v in variants) and any(v.draw or v.dense for v in variants), make
        assert set(numbers_of(make)) <= set(BAD), make


# ------------------------------------------------------------------------------------------------------- the dense rule


@every_rule
@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (29, 31)])
def test_200_dense_steps_equal_the_reference(name, shape, monkeypatch):
    """The last shape as if it were large: in several blocks, by two threads."""
    if shape == (29, 31):
        monkeypatch.setattr(lazy, "STEPPED", 100)
        monkeypatch.setattr(machine, "LARGE", 1)
        monkeypatch.setattr(machine, "TWO", True)
    make, rule, options = RULES[name]
    if len(shape) < 2 and "per_row" in options:
        pytest.skip("there are no rows")
    w, drawn = rng(1).normal(size=shape), rng(2)
    p, state = te.Parameter(w), {}
    optimiser = make([p], **options)
    for t in range(1, 201):
        g = drawn.normal(size=shape) * 10.0 ** drawn.integers(-3, 3)
        p.grad = np.asarray(g)
        optimiser.step()
        w = rule(w, g, state, t, **options)
    np.testing.assert_allclose(p.data, w, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, v in VARIANTS.items() if v.torch])
def test_200_dense_steps_equal_torchs(name):
    torch = pytest.importorskip("torch")
    make, _, options = RULES[name]
    start = rng(1).normal(size=(17, 11))
    p, q = te.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = make([p], **options), getattr(torch.optim, make.__name__)([q], **options)
    worst = 0.0
    for t in range(200):
        p.grad = rng(t).normal(size=start.shape) * 10.0 ** rng(t).integers(-3, 3)
        q.grad = torch.tensor(p.grad)
        ours.step()
        theirs.step()
        worst = max(worst, np.abs(p.data - q.detach().numpy()).max())
    print(f"\n{name:30} largest difference from torch over 200 steps {worst:.1e}")
    assert worst < 1e-10


@every_rule
def test_a_step_in_float32_stays_there_and_is_near_the_exact_one(name):
    make, rule, options = RULES[name]
    w = rng(1).normal(size=(5, 3)).astype(np.float32)
    p, state = te.Parameter(w), {}
    optimiser = make([p], **options)
    for t in range(1, 101):
        p.grad = rng(t).normal(size=(5, 3)).astype(np.float32)
        optimiser.step()
        w = rule(w, p.grad.astype(np.float64), state, t, **options)
    assert p.dtype == np.float32 and all(s.dtype == np.float32 for s in states(optimiser))
    np.testing.assert_allclose(p.data, w, rtol=1e-4, atol=1e-4)


@every_rule
def test_a_gradient_is_not_written_to(name):
    make, _, options = RULES[name]
    p, q = te.Parameter(np.ones((3, 2))), table()
    optimiser = make([p, q], **options)
    g, rows = rng().normal(size=(3, 2)), row_grad(q, [1, 1, 4])
    g.flags.writeable = rows.rows.flags.writeable = rows.ids.flags.writeable = False
    p.grad, q.grad = g, rows
    optimiser.step()
    optimiser.step()
    assert p.grad is g and q.grad is rows


@every_rule
def test_a_gradient_that_is_a_strided_view_serves_as_well(name):
    make, _, options = RULES[name]
    p, q = te.Parameter(np.ones((200, 300))), te.Parameter(np.ones((200, 300)))
    one, two = make([p], **options), make([q], **options)
    g = rng().normal(size=(300, 200)).T
    for _ in range(3):
        p.grad, q.grad = g, np.ascontiguousarray(g)
        one.step()
        two.step()
    assert p.data.tobytes() == q.data.tobytes()


def test_the_learning_rate_may_change_between_steps():
    p, w, state = te.Parameter(np.ones(3)), np.ones(3), {}
    optimiser = Adam([p], lr=1.0)
    for t in range(1, 10):
        optimiser.lr = 0.1 / t
        p.grad = rng(t).normal(size=3)
        optimiser.step()
        w = adam(w, p.grad, state, t, 0.1 / t)
    np.testing.assert_allclose(p.data, w, rtol=1e-12)


def test_a_learning_rate_from_numpy_is_a_number_too():
    p = te.Parameter(np.ones(3, np.float32))
    for lr in (np.float32(0.5), np.float64(0.5), 1):
        optimiser = SGD([p], lr=lr)
        optimiser.lr = lr
        p.grad = np.ones(3, np.float32)
        optimiser.step()
    assert p.dtype == np.float32 and p.data.tolist() == [-1, -1, -1]


def test_parameters_without_a_gradient_stay_and_count_no_step():
    p, q = te.Parameter(np.ones(3)), te.Parameter(np.ones(3))
    optimiser = Adam([p, q], lr=0.1)
    for t in range(5):
        p.grad = rng(t).normal(size=3)
        optimiser.step()
    assert q.data.tolist() == [1, 1, 1]
    q.grad = np.array([1e-3, -1e3, 1.0])
    optimiser.step()  # q's first
    np.testing.assert_allclose(q.data, [0.9, 1.1, 0.9], rtol=1e-5)


@every_rule
def test_frozen_parameters_stay(name):
    make, _, options = RULES[name]
    p, q = table(), table(seed=1)
    optimiser = make([p, q], **options)
    for t in range(3):
        p.grad, q.grad = row_grad(p, [1, 2], t), rng(t).normal(size=q.shape)
        optimiser.step()
    p.requires_grad = q.requires_grad = False
    before = p.data.tobytes(), q.data.tobytes()
    for grads in ((row_grad(p, [1, 3]), np.zeros(q.shape)), (np.ones(p.shape), row_grad(q, [0]))):
        p.grad, q.grad = grads
        optimiser.step()
    assert (p.data.tobytes(), q.data.tobytes()) == before


def test_zero_grad_forgets_all_gradients():
    p, q = table(), table()
    p.grad, q.grad = row_grad(p, [1]), np.ones(q.shape)
    SGD([p, q], lr=1.0).zero_grad()
    assert p.grad is None and q.grad is None


# -------------------------------------------------------------------------------------------------------- rows, touched


@every_rule
@given(batches=st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=12))
def test_a_row_step_is_the_dense_rule_on_the_rows_touched_each_with_its_own_count(name, batches):
    make, rule, options = RULES[name]
    p = table()
    w, row_states, counts = p.data.copy(), [{} for _ in range(6)], [0] * 6
    optimiser = make([p], **options, sparse="touched")
    for t, ids in enumerate(batches):
        p.grad = row_grad(p, np.array(ids, np.int64), t)
        dense = p.grad.to_dense()
        before, states_before = p.data.copy(), [s.copy() for s in states(optimiser)]
        optimiser.step()
        absent = [i for i in range(6) if i not in ids]
        assert p.data[absent].tobytes() == before[absent].tobytes()
        for now, then in zip(states(optimiser), states_before):
            assert now[absent].tobytes() == then[absent].tobytes()
        for i in set(ids):
            counts[i] += 1
            w[i] = rule(w[i], dense[i], row_states[i], counts[i], **options)
    np.testing.assert_allclose(p.data, w, rtol=1e-12, atol=1e-12)


@every_rule
def test_with_all_rows_in_every_step_rows_and_dense_agree(name):
    make, _, options = RULES[name]
    p, q = table(), table()
    rows, dense = make([p], **options, sparse="touched"), make([q], **options)
    for t in range(20):
        p.grad = row_grad(p, [5, 0, 1, 2, 2, 3, 4, 5, 5], t)
        q.grad = p.grad.to_dense()
        rows.step()
        dense.step()
    np.testing.assert_allclose(p.data, q.data, rtol=1e-13)


@every_rule
def test_dense_and_row_gradients_may_alternate(name):
    """A dense gradient steps every row, a RowGrad those it names; the counts of either are kept."""
    make, rule, options = RULES[name]
    for first in ("dense", "rows"):
        p = table()
        w, row_states, counts = p.data.copy(), [{} for _ in range(6)], [0] * 6
        optimiser = make([p], **options, sparse="touched")
        for t in range(12):
            dense_now = (t % 4 < 2) == (first == "dense")
            p.grad = rng(t).normal(size=p.shape) if dense_now else row_grad(p, [1, 4, 4], t)
            g = p.grad if dense_now else p.grad.to_dense()
            optimiser.step()
            for i in range(6) if dense_now else (1, 4):
                counts[i] += 1
                w[i] = rule(w[i], g[i], row_states[i], counts[i], **options)
        np.testing.assert_allclose(p.data, w, rtol=1e-12)


@every_rule
def test_all_equal_ids_are_one_row_with_the_sum(name):
    make, rule, options = RULES[name]
    p = table()
    before = p.data.copy()
    p.grad = row_grad(p, [4] * 1000)
    make([p], **options, sparse="touched").step()
    np.testing.assert_allclose(p.data[4], rule(before[4], p.grad.rows.sum(0), {}, 1, **options), rtol=1e-11)
    assert np.array_equal(np.delete(p.data, 4, 0), np.delete(before, 4, 0))


@every_rule
def test_a_step_without_rows_changes_nothing(name):
    make, _, options = RULES[name]
    p = table()
    before = p.data.tobytes()
    p.grad = row_grad(p, np.array([], np.int64))
    make([p], **options, sparse="touched").step()
    assert p.data.tobytes() == before


def test_the_first_step_of_a_row_has_size_lr_under_adam_whenever_it_comes():
    p = te.Parameter(np.zeros((100, 1)))
    optimiser = Adam([p], lr=0.01, sparse="touched")
    for i in range(100):
        p.grad = te.RowGrad((100, 1), np.array([0, i]), np.array([[1.0], [(-1.0)**i * 10.0 ** (i % 7 - 3)]]))
        optimiser.step()
        if i:
            assert p.data[i, 0] == pytest.approx(-0.01 * (-1)**i, rel=1e-4)


@every_rule
def test_a_lookup_steps_its_rows(name):
    """The same from the layer on: the gradient of a lookup reaches the optimiser as rows."""
    make, rule, options = RULES[name]
    layer = nn.Embedding(7, 2, rng=rng(), dtype=np.float64)
    before = layer.weight.data.copy()
    (layer([[3, 1, 3]]) ** 2).sum().backward()
    make(layer.parameters(), **options, sparse="touched").step()
    after = before.copy()
    after[1] = rule(before[1], 2 * before[1], {}, 1, **options)
    after[3] = rule(before[3], 4 * before[3], {}, 1, **options)
    np.testing.assert_allclose(layer.weight.data, after, rtol=1e-12)


@every_rule
def test_a_row_step_allocates_nothing_of_the_tables_size(name):
    make, _, options = RULES[name]
    V, D, N = 250_000, 4, 100
    layer = nn.Embedding(V, D, rng=rng())
    optimiser = make(layer.parameters(), **options, sparse="touched")
    ids = rng().integers(V, size=N)

    def step():
        optimiser.zero_grad()
        (layer(ids) ** 2).sum().backward()
        clip_grad_norm(layer.parameters(), 1.0)
        clip_grad_value(layer.parameters(), 0.5)
        optimiser.step()

    step()  # makes the states
    tracemalloc.start()
    try:
        step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000 < V  # not so much as one byte a row


# ------------------------------------------------------------------------------------------------------------ the graph


@every_rule
def test_backward_through_a_graph_older_than_the_step_is_refused(name):
    make, _, options = RULES[name]
    layer = nn.Embedding(4, 2, rng=rng())
    optimiser = make(layer.parameters(), **options)
    first, second = layer([0, 1]).sum(), layer([1, 2]).sum()
    first.backward()
    grad = layer.weight.grad
    optimiser.step()
    with pytest.raises(RuntimeError, match=r"Parameter of shape \(4, 2\) was changed after embedding had read it"):
        second.backward()
    assert layer.weight.grad is grad
    layer([1, 2]).sum().backward()  # a new graph is fine


def test_a_parameter_that_did_not_step_keeps_its_graphs():
    p, q = te.Parameter(np.ones(2)), te.Parameter(np.ones(2))
    y = (q * q).sum()
    p.grad = np.ones(2)
    SGD([p, q], lr=1.0).step()
    y.backward()
    assert q.grad.tolist() == [2, 2]


@pytest.mark.parametrize("call", [lambda p: te.optim.clip_grad_norm(p, 1.0), lambda p: te.optim.clip_grad_value(p, 1.0),
                                  lambda p: te.optim.SGD(p, lr=0.1), lambda p: te.optim.AdamW(p),
                                  lambda p: te.optim.Adam([{"params": p}])])
def test_where_parameters_are_meant_one_is_refused_and_so_is_nothing(call):
    model = te.nn.Linear(2, 2)
    for p in model.parameters():
        p.grad = np.ones(p.shape, np.float32)
    used_up = (p for p in model.parameters())
    list(used_up)
    for wrong, error, words in ((model.weight, TypeError, "not one Parameter"), (model, TypeError, "parameters()"),
                                (used_up, ValueError, "used up"), ([te.Tensor([1.0])], TypeError, "item 0"),
                                (model.named_parameters(), TypeError, "item 0"), (None, TypeError, "not one"),
                                ({"weight": model.weight}, TypeError, "not a dict")):
        with pytest.raises(error, match=re.escape(words)):
            call(wrong)
    for mixed in ([model.weight, {"params": [model.bias]}], [{"params": [model.weight]}, model.bias]):
        with pytest.raises(TypeError, match="not both"):
            call(mixed)
    assert all((p.grad == 1).all() for p in model.parameters())
    call(iter(model.parameters()))


@pytest.mark.parametrize("form", [lambda p, q: [p, q, p], lambda p, q: [{"params": [p, q]}, {"params": (p,)}],
                                  lambda p, q: [{"params": iter([p])}, {"params": [q]}], lambda p, q: {p, q}])
def test_clipping_takes_groups_and_each_parameter_once(form):
    p, q = te.Parameter(np.zeros(1)), te.Parameter(np.zeros(1))
    p.grad, q.grad = np.array([30.0]), np.array([40.0])
    assert te.optim.clip_grad_norm(form(p, q), 5.0) == 50
    assert [p.grad.item(), q.grad.item()] == pytest.approx([3, 4])
    te.optim.clip_grad_value(form(p, q), 3.5)
    assert [p.grad.item(), q.grad.item()] == pytest.approx([3, 3.5])
