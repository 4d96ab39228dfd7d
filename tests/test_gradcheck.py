"""Laws of the gradient checker: it notices every kind of wrong gradient, accepts the right ones, and leaves no trace.

A wrong gradient is made on purpose by `op(value, vjp)`: a function with any vjp one likes beside any value.
"""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import GradientError, KinkError, check_gradients, nn, ops
from tinyembed.core.tensor import METHODS

MODES = pytest.mark.parametrize("full", [True, False], ids=["full", "directional"])


def op(value, vjp, rows=False):
    """An op with this value and this gradient, right or wrong, that does not stay in the registry."""

    def op_of_a_test(*xs):
        return value(*xs), lambda g: vjp(g, *xs)

    made = te.primitive(rows=rows)(op_of_a_test)
    del te.OPS["op_of_a_test"], METHODS["op_of_a_test"]
    return made


def draw(*shape, seed=0):
    return te.Tensor(np.random.default_rng(seed).normal(size=shape))


def bumped(a, index, by):
    """A copy of a with one entry changed."""
    a = a.copy()
    a[index] += by
    return a


class Holder(nn.Module):
    """Parameters and a function of them."""

    def __init__(self, forward, **parts):
        self.__dict__.update(parts)
        self._function = forward

    def forward(self, *inputs):
        return self._function(self, *inputs)


# ------------------------------------------------------------------------------- it notices wrong gradients

TANH = (np.tanh, lambda g, x: (g * (1 - np.tanh(x) ** 2),))
GATE = (lambda x, y: x * y + x, lambda g, x, y: (g * (y + 1), g * x))
MATMUL = (np.matmul, lambda g, x, y: (g @ y.T, x.T @ g))

# name: (the op with its right gradient, a wrong gradient of it, how many inputs)
WRONG = {
    "1 % too large": (TANH, lambda g, x: (1.01 * TANH[1](g, x)[0],), 1),
    "other sign": (TANH, lambda g, x: (-TANH[1](g, x)[0],), 1),
    "a factor forgotten": (TANH, lambda g, x: (g,), 1),
    "zero": (TANH, lambda g, x: (np.zeros_like(g),), 1),
    "none at all": (TANH, lambda g, x: (), 1),
    "NaN": (TANH, lambda g, x: (g * np.nan,), 1),
    "wrong at one entry": (TANH, lambda g, x: (bumped(TANH[1](g, x)[0], (1, 2), 0.01),), 1),
    "a term missing": (GATE, lambda g, x, y: (g * y, g * x), 2),
    "the operands' gradients exchanged": (GATE, lambda g, x, y: (g * x, g * (y + 1)), 2),
    "second operand forgotten": (GATE, lambda g, x, y: (g * (y + 1), None), 2),
    "operand not transposed": (MATMUL, lambda g, x, y: (g @ y, x.T @ g), 2),
    "result transposed": (MATMUL, lambda g, x, y: (g @ y.T, (x.T @ g).T), 2),
}


@MODES
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_gradient_is_noticed_and_the_right_one_accepted(case, full):
    (value, right), wrong, n = WRONG[case]
    inputs = [draw(3, 3, seed=10 + i) for i in range(n)]
    assert check_gradients(op(value, right), *inputs, full=full) < 1e-7
    with pytest.raises(GradientError):
        check_gradients(op(value, wrong), *inputs, full=full)


@MODES
def test_the_error_names_the_input_the_entry_and_both_values(full):
    wrong = op(lambda x, y: x + y * y, lambda g, x, y: (g, bumped(2 * y * g, (1, 2), g[1, 2] / 2)))
    y = np.full((3, 4), 7.0)
    with pytest.raises(GradientError) as error:
        check_gradients(lambda x, y: wrong(x, y).sum(), draw(3, 4), te.Tensor(y), full=full)
    found = re.match(r"input 1 \(3, 4\), at \(1, 2\).*: backward gives (\S+), differences give (\S+); tolerance \d",
                     str(error.value))
    assert found
    backward, differences = map(float, found.groups())
    assert backward / differences == pytest.approx(14.5 / 14)
    if full:  # the other mode speaks of a random combination of the outputs
        assert (backward, differences) == (14.5, pytest.approx(14))


@MODES
def test_of_several_wrong_entries_the_worst_is_named(full):
    wrong = op(np.sum, lambda g, x: (bumped(bumped(np.ones(x.shape) * g, (0, 1), 0.01), (2, 0), 1.0),))
    with pytest.raises(GradientError, match=r"at \(2, 0\)"):
        check_gradients(wrong, draw(3, 2), full=full)


def test_the_random_combination_is_not_what_a_user_draws_from_seed_0():
    """With g equal to x, x^T g is symmetric, and a transposed gradient would pass."""
    x = np.random.default_rng(0).normal(size=(3, 3))
    with pytest.raises(GradientError):
        check_gradients(op(*MATMUL[:1], WRONG["result transposed"][1]), x, draw(3, 3, seed=1), full=False)


def test_the_output_entry_is_named_where_there_are_several():
    wrong = op(np.cumsum, lambda g, x: (bumped(np.cumsum(g[::-1])[::-1], 0, g[3]),))
    with pytest.raises(GradientError, match=r"input 0 \(5,\), at \(0,\), output entry 3"):
        check_gradients(wrong, draw(5), full=True)


@MODES
def test_a_wrong_parameter_gradient_names_the_parameter(full):
    wrong = op(lambda x, W: x @ W.T, lambda g, x, W: (g @ W, 1.01 * g.T @ x))

    class Odd(nn.Linear):
        def forward(self, x):
            return wrong(x, self.weight) + self.bias

    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.LayerNorm(4), Odd(4, 2)))
    with pytest.raises(GradientError, match=r"^1\.1\.weight \(2, 4\), at \(\d, \d\)"):
        check_gradients(model, draw(5, 3), full=full)


@MODES
@pytest.mark.parametrize("mistake", ["another row", "repeats dropped", "a row too large", "rows exchanged"])
def test_a_wrong_row_gradient_is_noticed(mistake, full):
    def wrong_rows(g, W, ids):
        ids, rows = ids.reshape(-1), g.reshape(-1, g.shape[-1])
        if mistake == "another row":
            ids = bumped(ids, -1, 1)
        elif mistake == "repeats dropped":
            ids, first = np.unique(ids, return_index=True)
            rows = rows[first]
        elif mistake == "a row too large":
            rows = rows * np.where(ids == 4, 1.01, 1)[:, None]
        else:
            rows = rows[::-1]
        return (te.RowGrad(W.shape, ids, rows),)

    lookup = op(lambda W, ids: W.take(ids, 0), wrong_rows, rows=True)
    module = Holder(lambda self, ids: lookup(self.table, ids).tanh(), table=te.Parameter(draw(6, 2).data))
    with pytest.raises(GradientError, match=r"^table \(6, 2\)"):
        check_gradients(module, np.array([[0, 4], [1, 4]]), full=full)


@MODES
def test_a_wrong_tied_parameter_is_noticed_under_its_first_name(full):
    """One table as embedding and as output layer; one of the two uses loses its gradient."""

    def logits(self, ids, detach):
        return ops.embedding(self.token, ids) @ (self.head.detach() if detach else self.head).T

    token = te.Parameter(draw(5, 3).data)
    ids = np.array([1, 1, 4])
    right = Holder(lambda self, ids: logits(self, ids, False), token=token, head=token)
    assert check_gradients(right, ids, full=full) < 1e-7
    wrong = Holder(lambda self, ids: logits(self, ids, True), token=token, head=token)
    with pytest.raises(GradientError, match=r"^token \(5, 3\)"):
        check_gradients(wrong, ids, full=full)


@MODES
def test_the_second_of_several_outputs_counts(full):
    wrong = op(TANH[0], WRONG["1 % too large"][1])
    with pytest.raises(GradientError):
        check_gradients(lambda x: (x.tanh(), wrong(x)), draw(3), full=full)


# ------------------------------------------------------------------------------------ it accepts right ones

SMOOTH = {
    "tanh": lambda x, w: x.tanh(),
    "sigmoid": lambda x, w: x.sigmoid(),
    "softplus": lambda x, w: x.softplus(),
    "gelu": lambda x, w: x.gelu(),
    "softmax": lambda x, w: x.softmax(),
    "square": lambda x, w: x * x,
    "scale": lambda x, w: x * w,
    "add": lambda x, w: x + w.sum(),
    "divide": lambda x, w: x / (1.5 + w * w),
    "exp": lambda x, w: (0.3 * x).tanh().exp(),
    "flip": lambda x, w: x.flip(-1),
    "detour": lambda x, w: x.T.reshape(x.shape),
    "rows": lambda x, w: x[[0, -1, 0]].sum(0) + x,
    "mean": lambda x, w: x - x.mean(-1, keepdims=True),
}


@given(steps=st.lists(st.sampled_from(sorted(SMOOTH)), min_size=1, max_size=5), n=st.integers(1, 3),
       m=st.integers(1, 3), seed=st.integers(0, 99), full=st.sampled_from([True, False, None]))
def test_compositions_of_right_ops_are_accepted(steps, n, m, seed, full):
    def f(x, w):
        for step in steps:
            x = SMOOTH[step](x, w)
        return x

    check_gradients(f, draw(n, m, seed=seed), draw(m, seed=seed + 100), full=full)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@MODES
def test_right_gradients_of_every_size_are_accepted(scale, full):
    check_gradients(lambda x: (x.tanh() * x).sum() * scale, draw(4), full=full)
    check_gradients(lambda x: x * scale + scale, draw(4), full=full)


@MODES
def test_several_outputs_nested_and_of_any_shape(full):
    def f(x, y):
        return x.sum(), [x * y, (x[0].softmax(), np.array([1]) * te.Tensor([2]))]  # an integer output is left out

    assert check_gradients(f, draw(2, 3), draw(3, seed=1), full=full) < 1e-7


@MODES
def test_a_function_may_use_an_input_twice_or_not_at_all(full):
    assert check_gradients(lambda x, y: x * x.tanh(), draw(3), draw(2), full=full) < 1e-7
    assert check_gradients(lambda x: te.Tensor([1.0, 2.0]), draw(3), full=full) == 0
    assert check_gradients(lambda x: x, draw(3), full=full) < 1e-7


@MODES
def test_one_tensor_as_two_inputs_counts_as_two(full):
    x = draw(3)
    assert check_gradients(lambda x, y: x * y + x, x, x, full=full) < 1e-7


@MODES
@pytest.mark.parametrize("f", [lambda x: x, lambda x: x.sum(), lambda x: (x.tanh(), x.sum(0)), lambda x: x * x])
def test_inputs_of_size_0(f, full):
    assert check_gradients(f, te.Tensor(np.zeros((0, 3))), full=full) == 0


@MODES
def test_outputs_of_size_0(full):
    assert check_gradients(lambda x: x[:0], draw(3), full=full) == 0


@MODES
def test_an_empty_batch_through_a_module(full):
    assert check_gradients(nn.Linear(3, 2), te.Tensor(np.zeros((0, 3))), full=full) == 0


# ------------------------------------------------------------------------------------------------ its modes


def evaluations(n, full):
    """How often f is called for n entries."""
    calls = itertools.count()

    def f(x):
        next(calls)
        return x.tanh()

    check_gradients(f, draw(n), full=full)
    return next(calls)


def test_the_directional_mode_takes_a_handful_of_evaluations_whatever_the_size():
    assert evaluations(10, False) == evaluations(1000, False) < 12


def test_the_default_is_the_full_jacobian_up_to_200_entries():
    assert evaluations(200, None) == evaluations(200, True) > 1000
    assert evaluations(201, None) == evaluations(201, False)


def test_many_outputs_make_the_default_directional():
    calls = itertools.count()

    def f(x):
        next(calls)
        return x * te.Tensor(np.ones((300, 1)))

    check_gradients(f, draw(1))
    assert next(calls) < 12


def test_the_directions_come_from_the_generator_given():
    f = lambda x: (x * x).tanh()
    worst = [check_gradients(f, draw(50), full=False, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert worst[0] == worst[1] != worst[2]
    assert check_gradients(f, draw(50), full=False) == check_gradients(f, draw(50), full=False)


def test_the_tolerances_are_the_callers():
    slightly = op(np.sin, lambda g, x: (g * np.cos(x) * 1.0001,))
    with pytest.raises(GradientError):
        check_gradients(slightly, draw(5))
    assert 1e-6 < check_gradients(slightly, draw(5), rtol=1e-3) < 2e-4
    assert check_gradients(slightly, draw(5), rtol=0, atol=1e-3) > 1e-6


def test_a_gradient_error_is_an_assertion_and_a_kink_is_not():
    assert issubclass(GradientError, AssertionError)
    assert issubclass(KinkError, ValueError) and not issubclass(KinkError, AssertionError)


def test_inside_no_grad_a_right_gradient_is_not_accused():
    with te.no_grad():
        try:
            assert check_gradients(lambda x: x * x, draw(3)) < 1e-7
        except RuntimeError as error:
            assert "no_grad" in str(error)


# ---------------------------------------------------------------------------------------------------- kinks

KINKS = {
    "relu": (ops.relu, [[1.0, 0.0, -1.0]]),
    "abs": (ops.abs, [[1.0, 0.0]]),
    "sign": (ops.sign, [[2.0, 0.0]]),
    "clip": (lambda x: ops.clip(x, -1, 1), [[0.5, 1.0]]),
    "max tie": (ops.max, [[3.0, 1.0, 3.0]]),
    "min tie": (lambda x: ops.min(x, axis=0), [[[1.0], [1.0]]]),
    "maximum tie": (ops.maximum, [[1.0, 2.0], [1.0, 3.0]]),
    "minimum tie": (ops.minimum, [[1.0, 2.0], [1.0, 3.0]]),
    "jump in where": (lambda x: ops.where(x.data > 0, x + 1, x), [[0.0, 1.0]]),
    "jump from one side": (lambda x: ops.where(x.data >= 0, x * 0 + 1, x * 0), [[0.0]]),
    "near a kink": (ops.relu, [[1e-7]]),
}


@MODES
@pytest.mark.parametrize("case", KINKS)
def test_a_point_without_a_derivative_is_refused(case, full):
    f, inputs = KINKS[case]
    with pytest.raises(KinkError, match=r"kink, a tie or a jump: input \d \(.*\) near \(.*\) has slope .* another"):
        check_gradients(f, *(te.Tensor(np.array(x)) for x in inputs), full=full)


def test_a_kink_in_a_parameter_is_named():
    module = Holder(lambda self, x: x * self.slope.relu(), slope=te.Parameter(np.zeros(2)))
    with pytest.raises(KinkError, match=r"slope \(2,\) near \(0,\) has slope 0 on one side"):
        check_gradients(module, te.Tensor([1.0, 2.0]))


@MODES
@pytest.mark.parametrize("x", [1e-5, 1e-4, 3e-4, 1e-3])
def test_a_smaller_step_gets_clear_of_a_kink_nearby(x, full):
    assert check_gradients(ops.relu, te.Tensor([x, -x, 1.0]), full=full) < 1e-6


def test_beside_a_kink_a_wrong_gradient_is_still_a_wrong_gradient():
    wrong = op(lambda x: np.maximum(x, 0), lambda g, x: (g,))
    with pytest.raises(GradientError, match="backward gives 1, differences give 0"):
        check_gradients(wrong, te.Tensor([-1e-3]))


# ------------------------------------------------------------------------------------------------- refusals


def test_a_function_with_two_values_for_one_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two values for the same input"):
        check_gradients(lambda x: ops.dropout(x, 0.5, rng=rng), draw(50))
    with pytest.raises(ValueError, match="two values"):
        check_gradients(nn.Dropout(0.5), draw(50))
    assert check_gradients(nn.Dropout(0.5).eval(), draw(5)) < 1e-7


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_function_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="not finite"):
        check_gradients(lambda x: x * value, te.Tensor([1.0, 2.0]))


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="nothing to check"):
        check_gradients(lambda n: te.Tensor([1.0]), 3)
    with pytest.raises(ValueError, match="nothing to check"):
        check_gradients(nn.Embedding(3, 2).freeze(), [0, 1])


def test_what_is_no_tensor_cannot_be_an_output():
    with pytest.raises(TypeError, match=r"must return a Tensor.*ndarray"):
        check_gradients(lambda x: x.data, draw(2))


# ---------------------------------------------------------------------------------------- it leaves no trace


def test_integers_booleans_and_options_are_passed_on_as_they_are():
    given = [np.array([0, 2]), te.Tensor([0, 1]), np.array([True, False]), "name", None, 3, 0.5]
    seen = []

    def f(x, *others):
        seen.append(others)
        return x * x

    assert check_gradients(f, draw(2), *given, [1, (2, True)]) < 1e-7
    assert all(a is b for others in seen for a, b in zip(others, given))
    assert all(repr(others[-1]) == "[1, (2, True)]" for others in seen)


@MODES
def test_arrays_in_lists_and_tuples_are_inputs_too(full):
    assert check_gradients(lambda xs: ops.concatenate(xs), [draw(2, 3), draw(1, 3)], full=full) < 1e-7
    wrong = op(*TANH[:1], WRONG["1 % too large"][1])
    with pytest.raises(GradientError, match=r"^input 1\[2\] \(4,\), at"):
        check_gradients(lambda x, ys: wrong(ys[2]) * x, draw(4), (3, "text", draw(4)), full=full)


def test_floating_inputs_are_checked_in_float64_whatever_they_were():
    x = draw(3)
    seen = set()

    def f(a, b, c):
        seen.update((a.dtype, b.dtype, c[0].dtype))
        return a.tanh() * b + c[0]

    check_gradients(f, te.Tensor(x.data.astype(np.float32)), x.data.astype(np.float16), [te.Tensor(0.5)])
    assert seen == {np.dtype(np.float64)}


def small_model():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.GPTEmbedding(7, 4, 5, rng=rng), nn.LayerNorm(4), nn.Linear(4, 3, rng=rng))


def remembered(model):
    return [(p.data.tobytes(), p.dtype, p.grad, p.requires_grad) for p in model.parameters()]


def same(before, after):
    return all(a[:2] == b[:2] and a[2] is b[2] and a[3] == b[3] for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("full", [True, False, None])
def test_values_dtypes_and_gradients_come_back(full):
    model = small_model()
    model([[1, 2, 2]]).sum().backward()  # a RowGrad for the tables, arrays for the others
    model.parameters()[-1].zero_grad()
    before = remembered(model)
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert check_gradients(model, [[1, 2, 2], [6, 0, 1]], full=full) < 1e-6
    assert same(before, remembered(model))


def test_values_dtypes_and_gradients_come_back_after_an_error():
    model = small_model()
    model([[1, 2]]).sum().backward()
    before = remembered(model)
    calls = itertools.count()

    def interrupted(self, ids):
        if next(calls) == 25:  # in the midst of the differences
            raise KeyboardInterrupt
        return model(ids)

    with pytest.raises(KeyboardInterrupt):
        check_gradients(Holder(interrupted, model=model), [[1, 2]])
    assert same(before, remembered(model))
    with pytest.raises(KinkError):
        check_gradients(Holder(lambda self, ids: (model(ids) * 0).abs() + model(ids).relu() * 0 + self.zero.abs(),
                               model=model, zero=te.Parameter(np.zeros(1, np.float32))), [[1, 2]])
    assert same(before, remembered(model))


def test_the_inputs_are_not_touched():
    x = te.Tensor([0.5, 2.0], requires_grad=True)
    (x * x).sum().backward()
    data, grad = x.data, x.grad
    check_gradients(lambda x: x.tanh(), x)
    assert x.data is data and x.data.dtype == np.float32 and x.grad is grad
    assert data.tolist() == [0.5, 2.0] and grad.tolist() == [1.0, 4.0]


def test_a_graph_made_before_the_check_can_still_go_backward():
    layer = nn.Linear(2, 1)
    y = layer(te.Tensor([[1.0, 2.0]]))
    check_gradients(layer, te.Tensor([[3.0, 4.0]]))
    y.backward()
    assert layer.weight.grad.tolist() == [[1.0, 2.0]]


def test_frozen_parameters_are_left_alone():
    model = small_model()
    table = model[0].token.weight
    table.requires_grad = False
    seen = set()

    def watched(self, ids):
        seen.add((table.data.tobytes(), table.dtype))
        return model(ids)

    assert check_gradients(Holder(watched, model=model), [[1, 2, 2]]) < 1e-6
    assert len(seen) == 1 and table.grad is None and not table.requires_grad


def test_a_wrong_gradient_of_a_frozen_parameter_is_nobodys_business():
    wrong = op(np.multiply, lambda g, x, w: (g * w, g * 99))
    module = Holder(lambda self, x: wrong(x, self.w), w=te.Parameter(draw(3).data))
    with pytest.raises(GradientError, match=r"^w "):
        check_gradients(module, draw(3))
    assert check_gradients(module.freeze(), draw(3)) < 1e-7


def test_the_public_name():
    assert te.check_gradients is check_gradients


def test_an_error_in_one_row_of_a_large_table_is_blamed_on_that_row():
    def lookup(W):
        return W.embedding(np.arange(3000)) * np.where(np.arange(3000)[:, None] == 2, 1.0, 1.0)

    @te.primitive
    def drops_row_2(y):
        return y, lambda g: (np.where(np.arange(3000)[:, None] == 2, 0, g),)

    te.OPS.pop("drops_row_2")
    with pytest.raises(te.GradientError, match=r"at \(2, \d\)"):
        te.check_gradients(lambda W: drops_row_2(lookup(W)), np.random.default_rng(3).normal(size=(3000, 4)))
