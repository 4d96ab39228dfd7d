"""Laws of the training loop."""

import copy
import math
import os
import signal
import sys
from collections import UserDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed.train import evaluate, fit, train_step
from tinyembed.train.loop import examples_in


def line_model(rng=0):
    return te.nn.Linear(2, 1, rng=np.random.default_rng(rng))


def line_data(n=40, batch=8):
    x = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    y = x @ np.float32([[2], [-1]]) + 3
    return list(te.data.Batches((x, y), batch))


def squares(model, x, y):
    return te.ops.mse(model(x), y)


def run(model, data, **options):
    options = {"loss": squares, "progress": False, **options}
    return fit(model, data, te.optim.Adam(model.parameters(), lr=0.05), **options)


def test_it_learns_and_says_so():
    model = line_model()
    history = run(model, line_data(), epochs=200, held_out=line_data(8), every=50)
    assert history.steps == 1000 and not history.interrupted and history.seconds > 0
    assert [step for step, _ in history.train] == list(range(50, 1001, 50))
    assert [step for step, _ in history.held_out] == list(range(50, 1001, 50))
    assert history.held_out[-1][1] < 1e-4 < history.held_out[0][1]
    np.testing.assert_allclose(model.weight.data, [[2, -1]], atol=1e-2)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_the_loss_is_the_mean_over_examples_not_over_batches(sizes):
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(n, 2)).astype(np.float32), rng.normal(size=(n, 1)).astype(np.float32)) for n in sizes]
    model = line_model()
    whole = squares(model, *(np.concatenate(part) for part in zip(*data))).item()
    assert evaluate(model, data, loss=squares) == pytest.approx(whole, rel=1e-5)
    history = fit(model, data, te.optim.SGD(model.parameters(), lr=0.0), loss=squares, progress=False)
    assert history.train[-1][1] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("accumulate, clip_norm", [(1, None), (3, None), (2, 0.5)])
def test_train_step_is_what_fit_repeats(accumulate, clip_norm):
    model, other = (te.nn.Sequential(te.nn.Embedding(9, 4, rng=np.random.default_rng(0)),
                                     te.nn.Dropout(0.5, rng=np.random.default_rng(1))).train() for _ in range(2))
    rng = np.random.default_rng(2)
    data = [(rng.integers(9, size=n),) for n in (4, 1, 7, 2, 5, 3)]

    def loss(model, ids):
        return (model(ids) ** 2).mean()

    history = fit(model, data, te.optim.AdamW(model.parameters(), lr=0.1), loss=loss, accumulate=accumulate, every=1,
                  clip_norm=clip_norm, progress=False)
    adam, means = te.optim.AdamW(other.parameters(), lr=0.1), []
    for i in range(0, 6, accumulate):
        total, count = train_step(other, data[i:i + accumulate], adam, loss, clip_norm)
        means.append(total / count)
    assert [mean for _, mean in history.train] == means
    assert model[0].weight.data.tobytes() == other[0].weight.data.tobytes()


class Bags(te.nn.Module):
    """A mean over bags of several ids each: (ids, offsets, y)."""

    def __init__(self):
        self.bag = te.nn.EmbeddingBag(9, 1, mode="sum", rng=np.random.default_rng(0), dtype=np.float64)

    def loss(self, ids, offsets, y):
        return te.ops.mse(self.bag(ids, offsets), y)


def test_an_example_is_a_bag_and_not_an_id():
    """However the bags are cut into batches, the loss and the step are those of all of them together."""
    rng, lengths = np.random.default_rng(1), [1, 9, 2, 0, 5, 3, 3]
    bags, y = [rng.integers(9, size=n) for n in lengths], rng.normal(size=(7, 1))

    def batch(part):
        ids = bags[part]
        return np.concatenate(ids), np.cumsum([0, *map(len, ids)])[:-1], y[part]

    whole, cut = Bags(), Bags()
    parts = [batch(slice(0, 2)), batch(slice(2, 3)), batch(slice(3, 7))]
    assert [examples_in(part) for part in parts] == [2, 1, 4]
    assert evaluate(cut, parts) == pytest.approx(evaluate(whole, [batch(slice(None))]), rel=1e-12)
    for model, batches in ((whole, [batch(slice(None))]), (cut, parts)):
        _, count = train_step(model, batches, te.optim.SGD(model.parameters(), lr=0.1))
        assert count == 7
    np.testing.assert_allclose(cut.bag.weight.data, whole.bag.weight.data, rtol=1e-12)


@pytest.mark.parametrize("batch, count", [(([1, 2], 0.5), 2), (({"x": np.ones((3, 1)), "scale": 2.0},), 3),
                                          ((np.float32(1.0),), 1), ((te.Tensor([[1.0], [2.0]]), None), 2),
                                          ((np.ones((2, 1)), "name"), 2), ((UserDict(x=np.ones((3, 1)), y=[1, 2]),), 2),
                                          ((np.ones(4), np.ones(4), np.ones(9)), 4)])
def test_examples_of_other_batches(batch, count):
    assert examples_in(batch) == count


def test_a_parameter_that_was_replaced_is_not_left_out_of_training():
    """The optimiser goes on with the old one; with all others alone it trains, as it was asked to."""
    batch, rng = (np.ones((2, 1)), np.ones((2, 1))), np.random.default_rng(0)
    loss = lambda model, x, y: te.ops.mse(model(x), y)
    for replace in (lambda m: setattr(m, "weight", te.Parameter(np.ones((1, 1)))),
                    lambda m: setattr(m, "bias", te.Parameter(np.ones(1)))):
        model = te.nn.Linear(1, 1, rng=rng, dtype=np.float64)
        sgd = te.optim.SGD(model.parameters(), lr=0.1)
        replace(model)
        before = [p.data.copy() for p in model.parameters()]
        with pytest.raises(ValueError, match=r"has not (weight|bias), which would not be"):
            train_step(model, [batch], sgd, loss=loss)
        assert [p.data.tolist() for p in model.parameters()] == [x.tolist() for x in before]
        train_step(model, [batch], te.optim.SGD([model.bias], lr=0.1), loss=loss)
        assert model.weight.data.tolist() == before[0].tolist() and model.bias.data != before[1]


def test_the_row_report_needs_nothing_of_the_optimiser():
    """One whose `step` is its own, and that trains in the loss too, is reported on like any other."""
    class Stepping(te.optim.SGD):
        def step(self):
            super().step()

    table, calls = te.nn.Embedding(4, 2, rng=np.random.default_rng(0)), []
    optimiser = Stepping(table.parameters(), lr=0.1)

    def loss(model, ids):
        calls.append(len(calls))
        if len(calls) == 2:  # once, in the middle
            fit(model, [([0, 1],)], optimiser, loss=lambda model, ids: (model(ids) ** 2).sum(), progress=False)
            optimiser.zero_grad()
        return (model(ids) ** 2).sum()

    history = fit(table, [([2, 3],)] * 4, optimiser, loss=loss, progress=False)
    assert history.rows[0].updates.tolist() == [0, 0, 4, 4]


def test_the_loss_is_added_up_in_float64():
    model = line_model()
    values = iter([1e8, 1.0] * 50)
    data = [(np.zeros((1, 2), np.float32),)] * 100
    mean = evaluate(model, data, loss=lambda model, x: te.Tensor(next(values)))
    assert mean == (1e8 + 1) / 2  # in float32 the ones would be lost


def test_evaluate_leaves_no_trace():
    model = te.nn.Sequential(te.nn.Linear(2, 1), te.nn.Dropout(0.5))
    for mode in (True, False):
        model.train(mode)
        before = model.state_dict()
        evaluate(model, line_data(), loss=squares)
        assert model.training is mode and model[1].training is mode
        assert all(np.array_equal(x, before[name]) for name, x in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ValueError, match="no batch to evaluate"):
        evaluate(model, [], loss=squares)


@pytest.mark.parametrize(("options", "steps"), [({}, 5), ({"epochs": 3}, 15), ({"steps": 7}, 7), ({"steps": 0}, 0),
                                                ({"epochs": 1, "steps": 99}, 5), ({"epochs": 9, "steps": 6}, 6)])
def test_how_long_it_runs(options, steps):
    assert run(line_model(), line_data(), **options).steps == steps


def test_schedule_and_clipping_reach_the_optimiser():
    model, seen = line_model(), []
    optimizer = te.optim.SGD(model.parameters(), lr=1.0)
    before = model.state_dict()

    def schedule(step):
        seen.append(step)
        return 0.5

    fit(model, line_data()[:1], optimizer, loss=squares, clip_norm=1e-3, schedule=schedule, progress=False)
    moved = math.sqrt(sum(((x - before[name]) ** 2).sum() for name, x in model.state_dict().items()))
    assert seen == [0] and moved == pytest.approx(0.5e-3, rel=1e-3)


@pytest.mark.parametrize("where", ["loss", "gradient", "gradient, clipped"])
def test_a_bad_step_is_named_and_changes_nothing(where):
    model, steps = line_model(), 3
    optimizer = te.optim.Adam(model.parameters(), lr=0.05)
    calls, snapshot = [0], {}

    @te.primitive
    def broken(x):
        return x, lambda g: (g * np.nan,)

    def loss(model, x, y):
        calls[0] += 1
        if calls[0] <= steps:
            return squares(model, x, y)
        snapshot.update(model.state_dict())
        return squares(model, x, y) * np.inf if where == "loss" else broken(model.weight).sum() + model.bias.sum()

    try:
        bad = pytest.raises(FloatingPointError, match=r"step 3.*nothing was changed")
        with np.errstate(invalid="ignore"), bad as error:
            fit(model, line_data(), optimizer, loss=loss, clip_norm=1.0 if "clipped" in where else None, progress=False)
    finally:
        te.OPS.pop("broken")
    if where != "loss":
        assert "weight" in str(error.value) and "bias" not in str(error.value)
    assert all(np.array_equal(x, snapshot[name]) for name, x in model.state_dict().items())
    assert optimizer.state[0].steps == steps
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_ctrl_c_ends_after_the_running_step(capsys):
    model, calls = line_model(), [0]
    handler = signal.getsignal(signal.SIGINT)

    def loss(model, x, y):
        calls[0] += 1
        if calls[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return squares(model, x, y)

    history = run(model, line_data(), loss=loss, epochs=100, held_out=line_data(8))
    assert history.interrupted and history.steps in (3, 4) and history.held_out
    assert signal.getsignal(signal.SIGINT) is handler
    assert "Ctrl-C again" in capsys.readouterr().err
    assert run(model, line_data(), epochs=1).steps == 5  # the model is whole and trains on


def test_keyboard_interrupt_from_elsewhere_is_an_end_too():
    def data():
        yield from line_data()[:2]
        raise KeyboardInterrupt

    class Data:
        def __iter__(self):
            return data()

    history = run(line_model(), Data(), epochs=10)
    assert history.interrupted and history.steps == 2


def test_bad_input():
    model = line_model()
    with pytest.raises(ValueError, match="no batch"):
        run(model, [])
    with pytest.raises(ValueError, match="used up after 1 epoch"):
        run(model, iter(line_data()), epochs=2)
    with pytest.raises(ValueError, match="one entry"):
        run(model, line_data(), loss=lambda model, x, y: model(x))
    with pytest.raises(ValueError, match="every"):
        run(model, line_data(), every=0)
    with pytest.raises(AttributeError, match="loss"):
        fit(model, line_data(), te.optim.SGD(model.parameters(), lr=0.1), progress=False)


def test_progress_without_tqdm_is_lines(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run(line_model(), line_data(), epochs=4, every=10, held_out=line_data(8), progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[-1].startswith("step 20 of 20  loss ") and "held out" in lines[-1]


def test_pca_against_the_covariance():
    X = np.random.default_rng(0).normal(size=(30, 5)) * [3, 2, 1, 0.5, 0.1]
    Y = te.vectors.pca(X, 3)
    np.testing.assert_allclose(np.cov(Y.T), np.diag(np.linalg.eigvalsh(np.cov(X.T))[::-1][:3]), atol=1e-10)
    with pytest.raises(ValueError, match=r"1 … min\(N, D\)"):
        te.vectors.pca(X, 6)
    for many in (np.tile(np.float32([[100, 200], [100, 200], [103, 200]]), (100_000, 1)), np.uint8([[1], [1], [4]])):
        np.testing.assert_allclose(te.vectors.pca(many, 1)[:3], [[-1], [-1], [2]], rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.*never touched")
def test_gradients_outside_the_optimiser_do_not_pile_up():
    table, head = te.nn.Embedding(9, 2), te.nn.Linear(2, 1)
    model = te.nn.Sequential(table, head)
    ids = np.zeros((4, 1), int)
    fit(model, [(ids,)] * 5, te.optim.SGD(head.parameters(), lr=0.1), progress=False,
        loss=lambda model, ids: (model(ids) ** 2).mean())
    assert table.weight.grad is None


def test_training_and_evaluation_read_a_batch_the_same_way():
    x = np.ones((1, 3), np.float32)
    seen = []
    model = te.nn.Linear(3, 1)

    def loss(model, *batch):
        seen.append([array.shape for array in batch])
        return model(batch[0]).mean()

    for batch in (x, [x, x], (x, x)):
        seen.clear()
        fit(model, [batch], te.optim.SGD(model.parameters(), lr=0.1), loss=loss, held_out=[batch], progress=False)
        assert len(seen) == 2 and seen[0] == seen[1]


def test_evaluate_puts_each_modules_mode_back():
    model = te.nn.Sequential(te.nn.Linear(2, 1), te.nn.Dropout(0.5))
    model[1].eval()
    evaluate(model, line_data(), loss=squares)
    assert model.training and model[0].training and not model[1].training


def test_an_optimiser_of_other_parameters_is_refused():
    """Of another model, of a copy, of a parameter that was replaced, of frozen ones."""
    batch = (np.float32([[1, 2]]), np.float32([[1]]))
    mse = lambda model, x, y: te.ops.mse(model(x), y)

    def replace(model):
        model.weight, model.bias = te.Parameter(model.weight.data), None

    for change, params in ((lambda model: None, lambda model: te.nn.Linear(2, 1).parameters()),
                           (lambda model: None, lambda model: copy.deepcopy(model).parameters()),
                           (replace, te.nn.Linear.parameters), (te.nn.Linear.freeze, te.nn.Linear.parameters)):
        model = te.nn.Linear(2, 1)
        sgd = te.optim.SGD(params(model), lr=0.1)
        change(model)
        before = [p.data.copy() for p in model.parameters()]
        for run in (fit, train_step):
            with pytest.raises((ValueError, RuntimeError), match=r"no parameter of the optimiser|requires_grad"):
                run(model, [batch], sgd, loss=mse)
        assert all(map(np.array_equal, before, [p.data for p in model.parameters()]))
