"""Laws of what fit can be told besides: batches that make one step together, patience, the best model's file."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.optim import SGD, Adam
from tinyembed.train import evaluate, fit, load_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*never touched")


def rng(seed=0):
    return np.random.default_rng(seed)


def made(dtype=np.float64):
    """A table and a head: a gradient of rows, and a dense one."""
    return nn.Sequential(nn.Embedding(7, 3, rng=rng(1), dtype=dtype), nn.Linear(3, 7, rng=rng(2), dtype=dtype))


def data(*sizes):
    ids = [rng(i).integers(7, size=n) for i, n in enumerate(sizes)]
    return [(x, (3 * x + 1) % 7) for x in ids]


def joined(batches):
    return tuple(np.concatenate(part) for part in zip(*batches))


def loss(model, x, y):
    return ops.cross_entropy(model(x), y)


def run(model, batches, optimizer=None, **options):
    optimizer = SGD(model.parameters(), lr=0.5) if optimizer is None else optimizer
    return fit(model, batches, optimizer, loss=loss, progress=False, **options)


def same(model, other, rtol=1e-12):
    for p, q in zip(model.parameters(), other.parameters()):
        np.testing.assert_allclose(p.data, q.data, rtol=rtol, atol=rtol)


# ------------------------------------------------------------------------------------------------------ accumulation


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=9), k=st.integers(1, 4), epochs=st.integers(1, 3),
       clip_norm=st.sampled_from([None, 0.1]))
def test_some_batches_make_the_step_of_one_with_all_their_examples(sizes, k, epochs, clip_norm):
    """Of different lengths too, across the end of a pass, and with fewer batches in the last step."""
    small = data(*sizes)
    rest = small * epochs
    one, two = made(), made()
    a = run(one, small, epochs=epochs, accumulate=k, clip_norm=clip_norm, every=1, held_out=small)
    b = run(two, [joined(rest[i:i + k]) for i in range(0, len(rest), k)], clip_norm=clip_norm, every=1, held_out=small)
    same(one, two)
    assert a.steps == b.steps == -(-len(rest) // k)
    np.testing.assert_allclose(a.train, b.train, rtol=1e-12)
    np.testing.assert_allclose(a.held_out, b.held_out, rtol=1e-12)


def test_in_float32_they_make_nearly_that_step():
    one, two = made(np.float32), made(np.float32)
    small = data(4, 2, 3)
    run(one, small, accumulate=3, epochs=10)
    run(two, [joined(small)], epochs=10)
    assert all(p.dtype == np.float32 for p in one.parameters())
    same(one, two, rtol=1e-5)


def test_steps_and_schedules_count_steps_not_batches():
    seen, calls = [], []
    model = made()

    def counted(model, x, y):
        calls.append(len(x))
        return loss(model, x, y)

    history = fit(model, data(1, 2, 3, 4, 5), SGD(model.parameters(), lr=0.1), loss=counted, steps=3, accumulate=2,
                  schedule=lambda step: seen.append(step) or 1.0, progress=False)
    assert history.steps == 3 and seen == [0, 1, 2] and calls == [1, 2, 3, 4, 5, 1]


def test_progress_counts_steps_too(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model = made()
    fit(model, data(1, 2, 3, 4, 5), SGD(model.parameters(), lr=0.1), loss=loss, epochs=1, accumulate=2, every=3)
    assert capsys.readouterr().out.splitlines()[-1].startswith("step 3 of 3 ")


def test_a_bad_batch_among_them_changes_nothing():
    model, calls = made(), [0]
    before = model.state_dict()

    def bad(model, x, y):
        calls[0] += 1
        return loss(model, x, y) * (np.inf if calls[0] == 2 else 1)

    with pytest.raises(FloatingPointError, match="at step 0: the loss is inf, and nothing was changed"):
        fit(model, data(2, 3, 4), SGD(model.parameters(), lr=0.1), loss=bad, accumulate=3, progress=False)
    assert all(np.array_equal(x, before[name]) for name, x in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


# ----------------------------------------------------------------------------------------------------------- patience


class Scripted(nn.Module):
    """A model whose weight counts its steps (the gradient is -1, the rate 1), with a held-out loss for each."""

    def __init__(self, losses):
        self.weight, self.losses = te.Parameter(np.zeros(1)), losses

    def loss(self, x):
        return -self.weight.sum() if self.training else te.Tensor(np.float64(self.losses[int(self.weight.data[0])]))


def scripted(losses, **options):
    model = Scripted([9.0, *losses])
    options = {"steps": len(losses), "held_out": [np.zeros(1)], "every": 1, **options}
    return model, fit(model, [np.zeros(1)], SGD(model.parameters(), lr=1.0), progress=False, **options)


@given(losses=st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12), patience=st.integers(1, 4))
def test_patience_ends_a_run_after_so_many_losses_without_a_new_lowest(losses, patience):
    _, history = scripted(losses, patience=patience)
    last, best, since = 0, np.inf, 0
    while last < len(losses) and since < patience:
        best, since = (losses[last], 0) if losses[last] < best else (best, since + 1)
        last += 1
    assert history.steps == last and history.since_best() == since
    assert history.held_out == [(i + 1, x) for i, x in enumerate(losses[:last])]


def test_a_run_that_patience_ended_stays_ended(tmp_path):
    losses = [3.0, 1.0, 2.0, 2.0, 0.0, 0.0]
    options = {"patience": 2, "checkpoint": tmp_path / "run", "resume": True}
    model, history = scripted(losses, **options)
    written = (tmp_path / "run").read_bytes()
    again, resumed = scripted(losses, **options)
    assert history.steps == resumed.steps == 4 and resumed.held_out == history.held_out
    assert again.weight.data == model.weight.data == 4 and (tmp_path / "run").read_bytes() == written
    _, longer = scripted(losses, **{**options, "patience": 3})  # unless it is told to have more
    assert longer.steps == 6


@pytest.mark.parametrize("cut", range(1, 7))
def test_patience_counts_on_from_where_a_killed_run_was(tmp_path, cut):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0]
    options = {"patience": 3, "checkpoint": tmp_path / "run", "resume": True, "best": tmp_path / "best"}
    scripted(losses, **options, steps=min(cut, len(losses)))
    model, history = scripted(losses, **options)
    assert history.steps == model.weight.data == 5
    best = Scripted([])
    load_checkpoint(tmp_path / "best", best)
    assert best.weight.data == 2


# ---------------------------------------------------------------------------------------------------------- the best


@given(losses=st.lists(st.integers(0, 5).map(float), min_size=1, max_size=9), every=st.integers(1, 3))
def test_the_best_file_is_the_first_model_with_the_lowest_loss(tmp_path_factory, losses, every):
    path = tmp_path_factory.mktemp("best") / "best"
    _, history = scripted(losses, best=path, every=every)
    measured = [i + 1 for i in range(len(losses)) if (i + 1) % every == 0 or i + 1 == len(losses)]
    best = Scripted([])
    load_checkpoint(path, best)
    assert best.weight.data == min(measured, key=lambda step: losses[step - 1])
    assert [step for step, _ in history.held_out] == measured


def test_a_loss_that_is_no_number_is_never_the_best(tmp_path):
    for losses in ([np.nan, 2.0, 1.0, np.nan], [2.0, 1.0, np.nan, np.nan], [np.nan, np.inf, 1.0, 3.0]):
        _, history = scripted(losses, best=tmp_path / "best")
        best = Scripted([])
        load_checkpoint(tmp_path / "best", best)
        assert losses[int(best.weight.data[0]) - 1] == 1 and history.since_best() == 3 - losses.index(1)


@pytest.mark.parametrize("sparse", ["exact", "touched"])
def test_the_best_file_gives_the_loss_that_was_measured(tmp_path, sparse):
    """Rows that the optimiser has left behind are up to date in it."""
    model, held = made(), data(9)
    batches = [(np.array([i % 3]), np.array([i % 7])) for i in range(8)]
    history = run(model, batches, Adam(model.parameters(), lr=0.3, sparse=sparse), epochs=3, every=5, held_out=held,
                  best=tmp_path / "best")
    again = made()
    load_checkpoint(tmp_path / "best", again)
    lowest = min(x for _, x in history.held_out)
    assert evaluate(again, held, loss=loss) == pytest.approx(lowest, rel=1e-12)
    assert history.held_out[-1][1] > lowest  # and it is not the last


def test_the_best_file_holds_what_is_to_be_kept_with_it(tmp_path):
    scripted([2.0, 1.0], best=tmp_path / "best", about={"words": ["a"]})
    assert load_checkpoint(tmp_path / "best").about == {"words": ["a"]}


@pytest.mark.parametrize(("options", "problem"), [
    ({"accumulate": 0}, "accumulate and patience are 1 or more, not 0 and None"),
    ({"patience": 0, "held_out": data(2)}, "not 1 and 0"), ({"patience": 2}, "held_out batches, and there are none"),
    ({"best": "x"}, "held_out batches, and there are none")])
def test_options_that_cannot_be_are_named(options, problem):
    with pytest.raises(ValueError, match=problem):
        run(made(), data(2), **options)


def test_every_none_reports_after_each_pass():
    model = te.nn.Linear(1, 1)
    batches = [(np.float32([[i]]), np.float32([[i]])) for i in range(3)]
    history = te.train.fit(model, batches, te.optim.SGD(model.parameters(), lr=0.01), epochs=4, every=None,
                           loss=lambda model, x, y: te.ops.mse(model(x), y), held_out=batches[:1], progress=False)
    assert [step for step, _ in history.train] == [step for step, _ in history.held_out] == [3, 6, 9, 12]
