"""What an optimiser is told: groups and their settings, schedules, and what is refused before anything changes."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimisers import BAD, CLASSES, EITHER_WAY, numbers_of
from tables import rng, row_grad, table

import tinyembed as te
from tinyembed import optim
from tinyembed.optim import SGD, Adam, AdamW, Optimizer

# ------------------------------------------------------------------------------------------------- groups


def test_groups_have_their_own_settings():
    a, b, c = table(seed=1), table(seed=2), table(seed=3)
    alone = [te.Parameter(p.data) for p in (a, b, c)]
    together = SGD([{"params": [a, b], "lr": 0.5}, {"params": [c], "momentum": 0.9, "weight_decay": 0.1}], lr=0.1)
    apart = [SGD([alone[0]], lr=0.5), SGD([alone[1]], lr=0.5), SGD([alone[2]], lr=0.1, momentum=0.9, weight_decay=0.1)]
    for t in range(20):
        for i, (p, q, one) in enumerate(zip((a, b, c), alone, apart)):
            p.grad = q.grad = row_grad(p, rng(t).integers(6, size=3), t + i)
            one.step()
        together.step()
    for p, q in zip((a, b, c), alone):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-13, atol=1e-15)
    assert together.params == [a, b, c] and [o.lr for o in together.groups] == [0.5, 0.1] and together.lr == 0.5


def test_scale_is_a_factor_on_every_group_and_lr_sets_all():
    p, q = te.Parameter(np.zeros(1)), te.Parameter(np.zeros(1))
    optimiser = SGD([{"params": [p], "lr": 1.0}, {"params": [q]}], lr=0.1)
    for set_rate in (lambda: None, lambda: setattr(optimiser, "scale", 0.5), lambda: setattr(optimiser, "lr", 2.0)):
        set_rate()
        p.grad = q.grad = np.array([-1.0])
        optimiser.step()
    assert p.item() == pytest.approx(1 + 0.5 + 1) and q.item() == pytest.approx(0.1 + 0.05 + 1)


def test_groups_that_cannot_be_are_refused():
    p, q = table(), table()
    with pytest.raises(ValueError, match=r"SGD has no setting \['betas', 'learning_rate'\]"):
        SGD([{"params": [p], "learning_rate": 1.0, "betas": 3}], lr=0.1)
    with pytest.raises(ValueError, match="twice"):
        Adam([{"params": [p, q]}, {"params": [q], "lr": 1.0}])
    with pytest.raises(ValueError, match="lr must be at least 0 and finite, not -1"):
        Adam([{"params": [p]}, {"params": [q], "lr": -1.0}])
    with pytest.raises(ValueError, match="at least one parameter"):
        Adam([{"params": []}])
    with pytest.raises(ValueError, match="params"):
        Adam([{"lr": 0.1}])
    with pytest.raises(ValueError, match="nesterov needs a momentum"):
        SGD([{"params": [p], "nesterov": True}, {"params": [q], "momentum": 0.9}], lr=0.1)


# ---------------------------------------------------------------------------------------------- schedules


def test_schedules_have_the_values_of_their_formulas():
    steps = range(300)
    assert [optim.constant()(s) for s in steps] == [1.0] * 300
    assert [optim.step_decay(30, 0.5)(s) for s in steps] == [0.5 ** (s // 30) for s in steps]
    cosine = [optim.cosine(200, warmup=20, floor=0.1)(s) for s in steps]
    assert cosine[:20] == pytest.approx([(s + 1) / 20 for s in range(20)])
    assert cosine[20:200] == pytest.approx([0.1 + 0.45 * (1 + math.cos(math.pi * s / 180)) for s in range(180)])
    assert cosine[200:] == pytest.approx([0.1] * 100) and cosine[110] == pytest.approx(0.55)
    root = [optim.inverse_sqrt(25)(s) for s in steps]
    assert root[:25] == pytest.approx([(s + 1) / 25 for s in range(25)])
    assert root[24:] == pytest.approx([5 / math.sqrt(s + 1) for s in range(24, 300)])


@given(total=st.integers(1, 500), warmup=st.integers(0, 499), floor=st.floats(0, 1))
def test_schedules_rise_to_1_and_then_never_rise(total, warmup, floor):
    warmup = min(warmup, total - 1)
    for schedule, top in ((optim.constant(), 0), (optim.step_decay(total), 0), (optim.inverse_sqrt(warmup + 1), warmup),
                          (optim.cosine(total, warmup, floor), max(warmup - 1, 0))):
        values = np.array([schedule(s) for s in range(total + 50)])
        assert values.max() == pytest.approx(1) and values[top] == pytest.approx(1) and values.min() >= 0
        assert (np.diff(values[:top + 1]) > 0).all() and (np.diff(values[top:]) <= 1e-15).all()


@pytest.mark.parametrize("make", [lambda: optim.step_decay(0), lambda: optim.inverse_sqrt(0), lambda: optim.cosine(0),
                                  lambda: optim.cosine(10, warmup=10)])
def test_schedules_without_a_length_are_refused(make):
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
        make()


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("make", CLASSES)
@pytest.mark.parametrize("lr", [-0.1, np.nan, np.inf, "0.1", None])
def test_a_learning_rate_that_is_no_use_is_refused(make, lr):
    p = te.Parameter(np.ones(2))
    with pytest.raises(ValueError, match="lr must be at least 0 and finite, not"):
        make([p], lr=lr)
    optimiser = make([{"params": [p]}, {"params": [te.Parameter(np.ones(2))], "lr": 0.2}], lr=0.1)
    with pytest.raises(ValueError, match="lr must be at least 0 and finite, not"):
        optimiser.lr = lr
    assert [o.lr for o in optimiser.groups] == [0.1, 0.2] and [o.rate for o in optimiser.groups] == [0.1, 0.2]


@pytest.mark.parametrize("options, words", [
    ({"betas": (1.0, 0.9)}, r"betas\[0\] must be at least 0 and below 1, not 1.0"),
    ({"betas": (0.9, 1.5)}, r"betas\[1\] must be at least 0 and below 1, not 1.5"),
    ({"betas": (-0.1, 0.9)}, r"betas\[0\]"), ({"betas": (0.9, np.nan)}, r"betas\[1\]"),
    ({"betas": (0.9,)}, "betas"), ({"betas": 0.9}, "betas"), ({"betas": (0.9, 0.99, 0.999)}, "betas"),
    ({"eps": -1e-8}, "eps must be at least 0"), ({"eps": np.nan}, "eps")])
def test_settings_of_adam_that_are_no_use_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Adam([table()], **options)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, np.nan])
def test_a_momentum_that_is_no_use_is_refused(momentum):
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1"):
        SGD([table()], lr=0.1, momentum=momentum)


@pytest.mark.parametrize("make", CLASSES)
def test_parameters_that_cannot_be_optimised_are_refused(make):
    p, q = table(), table()
    with pytest.raises(ValueError, match="at least one parameter"):
        make([], lr=0.1)
    with pytest.raises(ValueError, match="twice"):
        make([p, q, p], lr=0.1)
    with pytest.raises(TypeError, match="item 1 of params is a Tensor, not a Parameter"):
        make([p, te.Tensor([1.0], requires_grad=True)], lr=0.1)
    with pytest.raises(TypeError, match=r"ndarray.*model\.parameters\(\)"):
        make([np.zeros(2)], lr=0.1)
    with pytest.raises(TypeError, match="not one Parameter"):
        make(p, lr=0.1)  # a parameter where a list of them belongs
    make(iter([p, q]), lr=0.1)  # a generator is fine


def test_an_optimiser_without_a_rule_says_so():
    p = te.Parameter(np.ones(2))
    p.grad = np.ones(2)
    with pytest.raises(NotImplementedError, match="Optimizer defines no rule"):
        Optimizer([p], lr=0.1).step()

@pytest.mark.parametrize("make, setting, value, words", [
    *((make, setting, *bad) for make in CLASSES for setting in numbers_of(make) for bad in BAD[setting]),
    (AdamW, "weight_decay", 10.0, r"lr \* weight_decay = 1 would turn the weights round")])
def test_a_setting_that_is_no_use_is_refused_when_it_is_set_and_stays_what_it_was(make, setting, value, words):
    p, q = table(), table(seed=1)
    options = {"lr": 0.1, **({"momentum": 0.9} if setting == "momentum" else {})}
    optimiser = make([{"params": [p]}, {"params": [q]}], **options)

    def step():
        p.grad, q.grad = row_grad(p, [1, 2]), np.ones(q.shape)
        optimiser.step()

    step()
    before = [o.settings() for o in optimiser.groups]
    with pytest.raises(ValueError, match=words):
        setattr(optimiser.groups[1], setting, value)
    assert [o.settings() for o in optimiser.groups] == before and optimiser.groups[1].rate == 0.1
    step()
    assert [s.steps for s in optimiser.state] == [2, 2]
    with pytest.raises(ValueError, match=words):
        make([p], **{**options, setting: value})


@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf, None])
def test_a_scale_that_is_no_use_is_refused(scale):
    p = te.Parameter(np.ones(2))
    optimiser = Adam([p])
    with pytest.raises(ValueError, match="scale must be at least 0 and finite"):
        optimiser.scale = scale
    assert optimiser.scale == 1.0


def test_settings_that_an_optimiser_does_not_have_cannot_be_set():
    optimiser = SGD([table()], lr=0.1)
    with pytest.raises(AttributeError, match=r"no setting 'learning_rate' that can be set, but lr, .*nesterov, scale"):
        optimiser.groups[0].learning_rate = 0.2
    with pytest.raises(ValueError, match="momentum was 0 when this optimiser was made"):
        optimiser.groups[0].momentum = 0.9
    with pytest.raises(ValueError, match="nesterov needs a momentum"):
        SGD([table()], lr=0.1, momentum=0.9, nesterov=True).groups[0].momentum = 0.0


def test_the_scale_of_each_group_goes_through_a_file(tmp_path):
    model = te.nn.Linear(2, 2)
    make = lambda: SGD([{"params": [model.weight]}, {"params": [model.bias]}], lr=0.1)
    optimiser, other = make(), make()
    optimiser.groups[1].scale = 0.5
    te.train.save_checkpoint(tmp_path / "run", model, optimiser)
    te.train.load_checkpoint(tmp_path / "run", model, other)
    assert [o.scale for o in other.groups] == [1.0, 0.5]


def test_what_is_set_for_all_groups_is_set_for_all_or_for_none():
    optimiser = AdamW([{"params": [table()]}, {"params": [table()], "weight_decay": 0.9}], lr=0.1)
    for name, value in (("lr", 1.2), ("scale", 12.0)):
        with pytest.raises(ValueError, match="would turn the weights round"):
            setattr(optimiser, name, value)  # the first group could have it
        assert [(o.lr, o.scale) for o in optimiser.groups] == [(0.1, 1.0)] * 2


def test_a_sparse_that_is_none_is_refused():
    with pytest.raises(ValueError, match='sparse is "exact" or "touched", not True'):
        Adam([table()], sparse=True)


@pytest.mark.parametrize("bad", [np.ones((3, 6)), np.ones(6), np.float64(1), [[1.0] * 3] * 6,
                                 te.RowGrad((7, 3), np.array([1]), np.ones((1, 3)))])
def test_a_misshapen_gradient_is_refused_and_nothing_changes(bad):
    p = table()
    before = p.data.copy()
    optimiser = Adam([p])
    p.grad = good = row_grad(p, [1, 2])
    with pytest.raises(ValueError, match=r"a gradient of a Tensor of shape \(6, 3\) is an ndarray or RowGrad"):
        p.grad = bad
    assert p.grad is good and np.array_equal(p.data, before)
    optimiser.step()


@pytest.mark.parametrize("name", EITHER_WAY)
def test_a_group_that_is_added_later_is_as_one_that_was_there_and_had_no_gradient(name):
    def run(later):
        p, q = te.Parameter(np.ones((4, 3))), te.Parameter(np.ones((4, 3)))
        optimizer = EITHER_WAY[name]([p] if later else [p, q])
        optimizer.scale = 0.5
        for step in range(5):
            if step == 2 and later:
                optimizer.add_param_group({"params": [q], "name": "more"})
            p.grad = te.RowGrad((4, 3), np.array([step % 4]), np.full((1, 3), step + 1.0))
            q.grad = te.RowGrad((4, 3), np.array([1, 3]), np.full((2, 3), step - 5.0)) if step > 1 else None
            optimizer.step()
        assert len(optimizer.state) == 2 and optimizer.params[1] is q
        return p.data.tolist(), q.data.tolist()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run(True) == run(False)


def test_a_group_has_labels_and_one_that_is_refused_changes_nothing():
    p, q = te.Parameter(np.ones(2)), te.Parameter(np.ones(3))
    sgd = te.optim.SGD([{"params": [p], "name": "body", "lr": 0.2}], lr=0.1)
    assert sgd.groups[0].labels == {"name": "body"} and sgd.lr == 0.2
    before = repr(sgd)
    assert before == ("SGD(sparse='exact')\n  1 parameter, 2 numbers: name='body', lr=0.2, momentum=0.0, "
                      "weight_decay=0.0, nesterov=False")
    for group, words in (({"params": [p]}, "already"), ({"params": [q, q]}, "twice"), ({"params": [q], "lr": -1}, "lr"),
                         ({"params": [q], "momentum": 0.9}, "keeps none"), ({"lr": 0.1}, '"params"'), ([q], "a dict"),
                         ({"params": [q], "learning_rate": 0.1}, "no setting")):
        with pytest.raises(ValueError, match=words):
            sgd.add_param_group(group)
    assert repr(sgd) == before and len(sgd.state) == 1
    tables = te.optim.decay_groups(te.nn.Embedding(3, 2))
    assert [len(group["params"]) for group in tables] == [0, 1] and "0 parameters" in repr(te.optim.AdamW(tables))
