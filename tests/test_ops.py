"""Laws of the ops: each property is one test over all of them, on the cases of `cases.py`; then the numbers' traps."""

import inspect
import itertools
import math
import re
import sys

import numpy as np
import pytest
from cases import CASES, EXEMPT, PAIRS, UNARY, Draw, leaves, put
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyembed as te
from tinyembed.core.backward import FORWARDS
from tinyembed.ops.gelu import normal_cdf

ops = te.ops
every_op = pytest.mark.parametrize("name", sorted(CASES))
every_derivative = pytest.mark.parametrize("name", sorted(set(CASES) - set(EXEMPT["gradient is the derivative"])))
inf = math.inf


def op(name):
    """The op of a case."""
    return te.OPS[CASES[name].op]


def compute(name, args, options):
    """The value alone."""
    return op(name)(*args, **options).data


def dense(grad):
    return grad.to_dense() if isinstance(grad, te.RowGrad) else grad


def forward(name, args, options):
    """(the result, the leaves it was computed from)"""
    xs = [te.Tensor(x, requires_grad=True) for x in leaves(args)]
    return op(name)(*put(args, xs), **options), xs


def gradients(name, args, options, g):
    y, xs = forward(name, args, options)
    y.backward(g)
    return [dense(x.grad) for x in xs]


def derivative(f, xs, us, h=2e-3):
    """The derivative of f at xs along us: central differences of order six."""
    at = lambda t: np.asarray(f([np.asarray(x + t * h * u) for x, u in zip(xs, us)]), np.float64)
    return sum(c * (at(t) - at(-t)) for t, c in ((1, 45), (2, -9), (3, 1))) / (60 * h)


def directions(xs, seed):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(-1, 1, np.shape(x))) for x in xs]


def assert_close(actual, expected, scale=1.0):
    np.testing.assert_allclose(actual, expected, rtol=2e-8, atol=2e-9 * max(1.0, scale))


seeds = st.integers(0, 2**32 - 1)
fewer = settings(max_examples=settings.default.max_examples * 3 // 5)  # where shapes matter more than values


# -- one property, all ops ---------------------------------------------------------------------------------------------


def test_every_op_has_a_case_and_every_case_an_op():
    # Users may register their own ops; the cases are for those defined inside tinyembed.
    ours = {name for name, op in te.OPS.items() if op.__module__.startswith("tinyembed.")}
    assert ours == {case.op for case in CASES.values()} and ours <= set(CASES)


def test_exemptions_name_ops():
    assert all(set(exempt) <= set(CASES) and all(exempt.values()) for exempt in EXEMPT.values())


@every_op
@given(st.data())
def test_forward_equals_the_reference(name, data):
    args, options = data.draw(CASES[name].calls())
    y, expected = compute(name, args, options), np.asarray(CASES[name].reference(*args, **options))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("names", "module", "constant"), [
    ("gelu", "core.machine", "BLOCK"), ("layer_norm", "core.machine", "BLOCK"),
    ("embedding_bag", "core.machine", "BLOCK"), ("attention", "ops.attention", "SMALL"),
    ("conv2d", "ops.convolution", "PATCHES"), ("max_pool2d", "core.machine", "BLOCK"),
    ("avg_pool2d", "core.machine", "BLOCK"), ("batch_norm", "core.machine", "BLOCK")])
def test_pieces_and_products_of_real_sizes_give_the_same(monkeypatch, names, module, constant):
    """What is for large arrays, tried on small ones."""
    tried = 0
    for name in (name for name in CASES if CASES[name].op == names):
        for seed in range(30):
            args, options = CASES[name].sample(seed, sides=(2, 3, 5))
            found = []
            for patched in (False, True):
                with monkeypatch.context() as patch:
                    if patched:
                        patch.setattr(sys.modules[f"tinyembed.{module}"], constant, 5)
                    y = compute(name, args, options)
                    found.append([y, *gradients(name, args, options, directions([y], seed)[0])])
            for a, b in zip(*found):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
            tried += y.size > 8
    assert tried > 5


@every_derivative
@given(st.data(), seeds)
def test_vjp_is_the_transpose_of_finite_differences(name, data, seed):
    """<v, J u> = <vjp(v), u>"""
    args, options = data.draw(CASES[name].calls())
    xs = leaves(args)
    us = directions(xs, seed)
    Ju = derivative(lambda zs: compute(name, put(args, zs), options), xs, us)
    [v] = directions([Ju], seed + 1)
    back = gradients(name, args, options, v)
    assert_close(sum(np.sum(gx * u) for gx, u in zip(back, us)), np.sum(v * Ju), np.abs(v * Ju).sum())


@every_derivative
@fewer
@given(st.data())
def test_full_jacobian(name, data):
    args, options = data.draw(CASES[name].calls(sides=(1, 2)))
    xs = leaves(args)
    y = compute(name, args, options)
    rows = [gradients(name, args, options, np.reshape(e, y.shape)) for e in np.eye(y.size)]
    for k, x in enumerate(xs):
        for i, e in enumerate(np.eye(x.size)):
            us = [np.reshape(e, x.shape) if j == k else np.zeros(z.shape) for j, z in enumerate(xs)]
            column = derivative(lambda zs: compute(name, put(args, zs), options), xs, us)
            assert_close([row[k].reshape(-1)[i] for row in rows], column.reshape(-1), np.abs(column).sum())


@every_op
@fewer
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_shapes_and_dtypes(name, data, dtype):
    args, options = data.draw(CASES[name].calls())
    y, xs = forward(name, put(args, [x.astype(dtype) for x in leaves(args)]), options)
    if name not in EXEMPT["dtype in is dtype out"]:
        assert y.dtype == dtype
    assert type(y.data) is np.ndarray and y.requires_grad
    y.backward(np.ones(y.shape))
    for x in xs:
        assert isinstance(x.grad, (np.ndarray, te.RowGrad))
        assert x.grad.shape == x.shape and x.grad.dtype == dtype


@every_op
@fewer
@given(st.data(), seeds)
def test_nothing_given_is_written_to_and_nothing_is_shared(name, data, seed):
    args, options = data.draw(CASES[name].calls())
    y, xs = forward(name, args, options)
    [g] = directions([y.data], seed)
    for array in [y.data, g, *[x.data for x in xs]]:
        array.flags.writeable = False
    before = [g.tobytes(), *[x.data.tobytes() for x in xs]]
    y.backward(g)
    assert before == [g.tobytes(), *[x.data.tobytes() for x in xs]]
    arrays = [x.grad for x in xs if isinstance(x.grad, np.ndarray)]
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations([*arrays, g, *[x.data for x in xs]], 2))
    assert all(a.flags.writeable for a in arrays)


@every_op
@fewer
@given(st.data(), seeds)
def test_gradients_add_up_where_inputs_are_used_elsewhere(name, data, seed):
    """In ops born before, so that their gradients come after this op's: no two entries may share what is written to."""
    args, options = data.draw(CASES[name].calls())
    xs = [te.Tensor(x, requires_grad=True) for x in leaves(args)]
    cs = directions([x.data for x in xs], seed)
    computed = [x * 1.0 for x in xs]
    before = [(x * c).sum() for x, c in zip(computed, cs)]
    y = op(name)(*put(args, computed), **options)
    [g] = directions([y.data], seed + 1)
    total = (y * g).sum()
    for used in before:
        total = total + used
    total.backward()
    for x, c, gx in zip(xs, cs, gradients(name, args, options, g)):
        np.testing.assert_allclose(dense(x.grad), c + gx, rtol=1e-11, atol=1e-11)


@every_op
@fewer
@given(st.data(), seeds)
def test_indices_and_masks_may_be_filled_again_before_the_backward(name, data, seed):
    args, options = data.draw(CASES[name].calls())
    arrays_in = lambda x: [a for i in x for a in arrays_in(i)] if isinstance(x, (list, tuple)) else \
        [x] if isinstance(x, np.ndarray) else []
    constants = [x for x in arrays_in([*args, *options.values()]) if x.dtype.kind in "iub"]
    y, xs = forward(name, args, options)
    [g] = directions([y.data], seed)
    expected = gradients(name, args, options, g)
    for x in constants:
        x[...] = ~x if x.dtype == bool else 0
    y.backward(g)
    for x, gx in zip(xs, expected):
        np.testing.assert_array_equal(dense(x.grad), gx)


@every_op
@fewer
@given(st.data(), seeds)
def test_gradient_is_linear_in_the_cotangent(name, data, seed):
    args, options = data.draw(CASES[name].calls())
    y = compute(name, args, options)
    [g] = directions([y], seed)
    [h] = directions([y], seed + 1)
    back = lambda g: gradients(name, args, options, g)
    for zero in back(np.zeros(y.shape)):
        assert not zero.any()
    for both, one, other in zip(back(2 * g - 3 * h), back(g), back(h)):
        np.testing.assert_allclose(both, 2 * one - 3 * other, rtol=1e-11, atol=1e-11)


@every_op
@fewer
@given(st.data(), seeds)
def test_views_that_are_not_contiguous(name, data, seed):
    """Every second entry from the end, of an array with its axes reversed: the same value, the same gradient."""
    args, options = data.draw(CASES[name].calls())
    y = compute(name, args, options)
    [g] = directions([y], seed)
    every_second = lambda a: (slice(None, None, -2),) * a.ndim
    spread = []
    for x in leaves(args):
        wide = np.full([2 * n for n in x.shape], 5.0)
        wide[every_second(x)] = x
        spread.append(te.Tensor(wide.T, requires_grad=True))
    views = [x.T[every_second(x)] for x in spread]
    z = op(name)(*put(args, views), **options)
    np.testing.assert_allclose(z.data, y, rtol=1e-12, atol=1e-12)
    wide_g = np.zeros([2 * n for n in g.shape])
    wide_g[every_second(g)] = g
    z.backward(wide_g[every_second(g)])
    for x, expected in zip(spread, gradients(name, args, options, g)):
        np.testing.assert_allclose(x.grad.T[every_second(expected)], expected, rtol=1e-11, atol=1e-11)


@every_derivative
def test_a_gradient_wrong_by_one_percent_is_noticed(name):
    if name in EXEMPT["scaling is noticed"]:
        pytest.skip(EXEMPT["scaling is noticed"][name])

    @te.primitive
    def gradient_of_101_percent(x):
        return x, lambda g: (1.01 * g,)

    te.OPS.pop("gradient_of_101_percent")

    def noticed(seed):
        """For each input whose gradient is not all but zero: whether an error in that one alone is noticed."""
        args, options = CASES[name].sample(seed, sides=(2, 3))
        right = lambda *xs: op(name)(*put(args, xs), **options)
        te.check_gradients(right, *leaves(args), rng=np.random.default_rng(seed))
        [g] = directions([compute(name, args, options)], seed)
        for k, gx in enumerate(gradients(name, args, options, g)):
            if np.abs(gx).max(initial=0) > 0.01:
                wrong = lambda *xs, k=k: right(*xs[:k], gradient_of_101_percent(xs[k]), *xs[k + 1:])
                try:
                    te.check_gradients(wrong, *leaves(args), rng=np.random.default_rng(seed))
                except te.GradientError:
                    yield True
                else:
                    yield False

    results = list(itertools.islice((found for seed in range(8) for found in noticed(seed)), 9))
    assert False not in results and results.count(True) >= 3


UNSIGNED = {"subtract", "negative", "complex_multiply", "power", "abs", "cumsum", "matmul"}  # NumPy's wrap
# Refusals, by name: NumPy's own, and where a number could mean two things.
REFUSED = {"attention": "mask != 0", "cross_entropy": "probabilities of the classes, floats",
           "power": "negative integer powers"}
REFUSED_BOOLEANS = {"negative": "boolean negative", "subtract": "boolean subtract", "sign": "'sign'",
                    "complex_multiply": "boolean subtract", "embedding_bag": "weights are numbers"}


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint8, np.bool_])
@every_op
def test_integers_are_the_numbers_they_are_or_refused(name, dtype):
    """The value of the same floats; never constants cast to the integers' type."""
    for seed in range(6):
        args, options = CASES[name].sample(seed, sides=(2, 1, 3))
        low, high = 0 if np.dtype(dtype).kind in "ub" else -9, 1 if dtype is np.bool_ else 9
        whole = [np.asarray(np.rint(np.clip(2 * x, low, high))) for x in leaves(args)]
        with np.errstate(all="ignore"):
            floating = compute(name, put(args, whole), options)
            try:
                y = compute(name, put(args, [x.astype(dtype) for x in whole]), options)
            except (TypeError, ValueError) as error:
                words = {**REFUSED, **(REFUSED_BOOLEANS if dtype is np.bool_ else {})}
                assert words[CASES[name].op] in str(error)
                continue
            if dtype is np.bool_ or (dtype is np.uint8 and CASES[name].op in UNSIGNED):
                continue  # NumPy's own arithmetic
            low = np.finfo(y.dtype).eps if y.dtype.kind == "f" else 0
            np.testing.assert_allclose(y.astype(float), floating, rtol=1e-6 + 20 * low, atol=1e-6 + 20 * low)


@pytest.mark.parametrize("zeros", ["zeros", "ones"])
@every_op
def test_no_gradient_is_nan_where_entries_vanish_or_are_alike(name, zeros):
    """Zeros, ones and ties: kinks have a subgradient. Where the slope is infinite, an upstream 0 still gives 0."""
    for seed in range(4):
        args, options = CASES[name].sample(seed, sides=(2, 1, 3))
        args = put(args, [np.full(x.shape, float(zeros == "ones")) for x in leaves(args)])
        with np.errstate(all="ignore"):
            y = compute(name, args, options)
            for g in (np.zeros(y.shape), np.ones(y.shape)):
                for gx in gradients(name, args, options, g):
                    if CASES[name].op not in ("divide", "log", "power"):  # which have no limit at 0
                        assert not np.isnan(gx).any()
                        assert g.any() or not gx.any()


def norm(x, axis): return x.norm(axis=axis)
def dots(x, axis): return ops.vecdot(*[x.T if axis == 0 else x] * 2)


LONG = [ops.sum, ops.mean, ops.std, ops.var, ops.logsumexp, ops.softmax, ops.log_softmax, ops.cumsum, ops.l2_normalise,
        norm, dots]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("f", LONG, ids=lambda f: f.__name__)
def test_long_sums_keep_their_digits_in_float32_along_any_axis(f, axis, n=100_000):
    """Forward and gradient, against float64."""
    rng = np.random.default_rng(1)
    x = np.moveaxis((rng.random((n, 2)) + [0, 3]).astype(np.float32), 0, axis)
    found = []
    for dtype in (np.float32, np.float64):
        leaf = te.Tensor(np.ascontiguousarray(x, dtype), requires_grad=True)
        y = f(leaf, axis)
        y.backward(np.random.default_rng(2).random(y.shape).astype(np.float32))
        found.append((y.data, leaf.grad))
    for narrow, wide in zip(*found):
        np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=3e-6 * np.abs(wide).max())


@pytest.mark.parametrize("formula", ["ij->j", "j,ij->ij", "ij,ij->j", "i,ij->j", "ij,i,j->j", "bik,bik->k",
                                     "ki,ji->jk"])
def test_long_sums_of_einsum_keep_their_digits_in_float32(formula, n=300_000):
    """Forward and gradient of each operand, against float64: equal numbers, whose roundings add up."""
    parts = formula.partition("->")[0].split(",")
    xs = [np.full([n if c == "i" else 2 for c in part], 0.1, np.float32) for part in parts]
    found = []
    for dtype in (np.float32, np.float64):
        operands = [te.Tensor(x.astype(dtype), requires_grad=True) for x in xs]
        y = ops.einsum(formula, *operands)
        y.backward(np.full(y.shape, 0.1, np.float32))
        assert y.dtype == dtype
        found.append([y.data, *[x.grad for x in operands]])
    for narrow, wide in zip(*found):
        np.testing.assert_allclose(narrow, wide, rtol=1e-4 if formula == "ki,ji->jk" else 1e-6)  # of BLAS


# Products and sums of so many numbers that float32 would lose digits, of the shapes that BLAS treats in its own ways.
PRODUCTS = {"dot": (ops.matmul, (0,), (0,)), "(1, n) @ (n, 2)": (ops.matmul, (1, 0), (0, 2)),
            "stack": (ops.matmul, (2, 1, 0), (2, 0, 1)), "of rows": (ops.matmul, (0, 1), (1, 1)),
            "linear": (ops.linear, (0, 2), (1, 2)), "wide linear": (ops.linear, (2, 0), (1, 0)),
            "vecdot": (lambda x, y: ops.vecdot(x[:, 0], y[:, 0]), (0, 2), (0, 2)),
            "rms_norm": (lambda x, y: ops.rms_norm(x, y * (y - 0.2)), (1, 0), (0,)),
            "einsum": (lambda x, y: ops.einsum("ij,j->i", x, y), (0, 1), (1,)),
            "mean of tokens": (lambda x, y: te.nn.Pooling("mean")(x) * y, (1, 0, 2), (2,)),
            "pool": (lambda x, y: ops.avg_pool2d(x[..., :20_000], (1, 20_000)) * y, (1, 1, 1, 0), (1,))}


@pytest.mark.parametrize("name", PRODUCTS)
def test_long_products_keep_their_digits_in_float32(name, n=400_000):
    f, *shapes = PRODUCTS[name]
    found, values = [], [np.resize(np.float32([0.1, 0.3]), [n if side == 0 else side for side in s]) for s in shapes]
    for dtype in (np.float32, np.float64):
        xs = [te.Tensor(x.astype(dtype), requires_grad=True) for x in values]
        y = f(*xs)
        y.backward(np.full(y.shape, 0.7, np.float32))
        found.append([y.data, *(x.grad for x in xs)])
    for narrow, wide in zip(*found):
        np.testing.assert_allclose(narrow, wide, rtol=7e-5, atol=1e-6 * np.abs(wide).max())


@pytest.mark.filterwarnings("error")
def test_many_numbers_of_float16_have_a_mean_and_a_variance():
    x = te.Tensor(np.tile(np.float16([1, 3]), (100_000, 1)), requires_grad=True)
    for axis, mean, var in ((0, [1, 3], [0, 0]), (None, 2, 1)):
        y = x.mean(axis)
        assert y.dtype == np.float16 and y.data.tolist() == mean and ops.var(x, axis).data.tolist() == var
        x.zero_grad()
        y.backward(np.ones(y.shape))
        np.testing.assert_allclose(x.grad, 1e-5 if axis == 0 else 5e-6, rtol=0.01)


def test_sums_that_would_stall():
    x = np.tile(np.float32([100, -100]), (1_000_000, 1))
    assert ops.std(x, 0).data.tolist() == [0, 0] and ops.mean(x, 0).data.tolist() == [100, -100]
    weight = te.Tensor(np.zeros(2, np.float32), requires_grad=True)
    z = np.tile(np.float32([3, 3]), (300_000, 1))
    ops.rms_norm(z, weight, eps=0.0).sum().backward()
    np.testing.assert_allclose(weight.grad, 300_000, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_no_nan_beside_what_does_not_count():
    inf = math.inf
    grad = lambda f, x, dtype=float: gradient_of(f, np.array(x, dtype))
    assert grad(lambda x: x ** 0, [inf, 0.0]) == grad(lambda x: x ** np.array([0.0, 0.0]), [inf, 0.0]) == [0, 0]
    assert grad(lambda x: (x ** 0.5) * np.array([0.0, 1.0]), [0.0, 4.0]) == [0, 0.25]
    assert grad(lambda x: ops.cross_entropy(x, [-100, 0]), [[inf, -inf], [0, 0]]) == [[0, 0], [-0.5, 0.5]]
    for f in (ops.l2_normalise, lambda x: ops.cosine_similarity(x, x + 0)):
        assert np.isfinite(grad(f, [[0, 0], [3, 4]], np.float16)).all()
    far = np.float32([[1e25, 0], [0, 1e25]])
    assert not np.isnan(ops.cdist(far, -far).data).any()
    assert np.isfinite(grad(lambda x: ops.cdist(x, -x.detach()), far, np.float32)).all()


def gradient_of(f, x):
    leaf = te.Tensor(x, requires_grad=True)
    f(leaf).sum().backward()
    return leaf.grad.tolist()


def test_integers_beside_floats_are_of_their_dtype():
    """A layer of float32 computes in float32; constants are not cut to integers; unsigned numbers do not wrap round."""
    x, rng = np.array([[[3, 4], [1, 1]]], np.int64), np.random.default_rng(0)
    for layer in (te.nn.Linear(2, 3, rng=rng), te.nn.Dense(2, 3, rng=rng), te.nn.LayerNorm(2), te.nn.RMSNorm(2),
                  te.nn.MultiHeadAttention(2, 1, rng=rng), te.nn.MLP(2, 3, rng=rng)):
        np.testing.assert_allclose(layer(x).data, layer(x.astype(np.float32)).data, rtol=1e-6)
        assert layer(x).dtype == np.float32
    for mode in ("cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"):
        for dtype in (np.int64, np.uint8, np.float32):
            np.testing.assert_allclose(te.nn.Pooling(mode)(x.astype(dtype)).data, te.nn.Pooling(mode)(x + 0.0).data)
            for shape in ((0, 3, 2), (1, 0, 2)):
                assert te.nn.Pooling(mode)(np.zeros(shape, dtype)).shape == (shape[0], 2)
    few, many = np.uint8([[1, 2]]), np.uint8([[3, 0]])
    assert ops.pair_features(few, many, ["|u-v|"]).data.tolist() == [[2, 2]]
    assert ops.triplet_margin_loss(few, many, many).item() == pytest.approx(1)
    assert ops.triplet_margin_loss(few, few, many).item() == 0
    for dtype in (np.int8, np.uint16, np.bool_):
        assert ops.gelu(np.ones(1, dtype)).data == pytest.approx([0.8413], abs=1e-4)
        assert ops.embedding(np.ones((2, 2), dtype), [0], max_norm=1.0).data == pytest.approx(0.7071, abs=1e-4)


def test_what_was_wrong_is_right():
    """Inputs that users reported."""
    np.testing.assert_allclose(te.nn.RMSNorm(2)(np.array([[3, 4]])).data, [[0.8485, 1.1314]], atol=1e-4)
    np.testing.assert_allclose(te.nn.LayerNorm(2)(np.array([[3, 5]])).data, [[-1, 1]], atol=1e-4)
    loss = ops.bce_with_logits(te.Tensor([0, 2]), np.array([0.5, 0.5])).item()
    assert loss == pytest.approx((math.log(2) + 1 + math.log1p(math.exp(-2))) / 2)
    assert ops.sigmoid(te.Tensor(np.uint8([1]))).data == pytest.approx([0.731], abs=1e-3)
    assert slope(lambda x: x.std(1), [[2.0, 2.0], [1.0, 3.0]]) == [[0, 0], [-0.5, 0.5]]
    assert ops.dropout(te.Tensor([1, 2]), 0.5, mask=[True, True]).data.tolist() == [2, 4]
    assert ops.mse(te.Tensor(np.uint8([0])), te.Tensor(np.uint8([1]))).item() == 1
    with pytest.raises(TypeError, match="argument min"):
        x = te.Tensor([0.0, 1.0], requires_grad=True)
        ops.clip(x, te.Tensor([0.5], requires_grad=True)).sum().backward()


# -- two operands ------------------------------------------------------------------------------------------------------


def pairs_of_shapes(n=3, ndim=2):
    shapes = [s for d in range(ndim + 1) for s in itertools.product((1, n), repeat=d)]
    return list(itertools.product(shapes, shapes))


@pytest.mark.parametrize("name", sorted(PAIRS))
@pytest.mark.parametrize("shapes", pairs_of_shapes(), ids=str)
def test_size_1_broadcasting(name, shapes):
    args = PAIRS[name](Draw(lambda low, high: high // 2), *shapes)
    ones = np.ones(np.broadcast_shapes(*shapes))
    back = gradients(name, args, {}, ones)
    spread = gradients(name, [np.broadcast_to(x, ones.shape) for x in args], {}, ones)
    for x, gx, each in zip(args, back, spread):
        assert gx.shape == x.shape
        # The gradient of a copied entry is the sum over its copies.
        lead = tuple(range(ones.ndim - x.ndim))
        kept = tuple(i + len(lead) for i, n in enumerate(x.shape) if n == 1)
        np.testing.assert_allclose(gx, each.sum(lead + kept).reshape(x.shape), rtol=1e-12)


@pytest.mark.parametrize("name", [*sorted(PAIRS), "where", "concatenate", "matmul", "einsum", "bce_with_logits",
                                  "linear"])
@given(st.integers(0, 3), seeds)
def test_one_operand_used_twice(name, n, seed):
    x = np.random.default_rng(seed).uniform(0.5, 2, (n, n))
    f = {"where": lambda x: ops.where(x.data > 1, x, x), "concatenate": lambda x: ops.concatenate([x, x], 1),
         "einsum": lambda x: ops.einsum("ij,jk->ki", x, x)}.get(name, lambda x: te.OPS[name](x, x))
    leaf = te.Tensor(x, requires_grad=True)
    [u] = directions([x], seed + 1)
    Ju = derivative(lambda zs: f(te.Tensor(zs[0])).data, [x], [u])
    [v] = directions([Ju], seed + 2)
    f(leaf).backward(v)
    assert_close(np.sum(leaf.grad * u), np.sum(v * Ju), np.abs(v * Ju).sum())


@pytest.mark.parametrize("name", [*UNARY, *sorted(PAIRS), "gelu", "clip", "sum", "mean", "max", "min", "prod",
                                  "logsumexp"])
def test_single_numbers(name):
    """0-d in, 0-d out, in the dtype that came in, Python numbers beside it or not."""
    options = {"min": 0.5} if name == "clip" else {}
    for others in ([0.75], [te.Tensor(np.float32(0.75))]) if name in PAIRS else ([],):
        x = te.Tensor(np.float32(0.5), requires_grad=True)
        y = te.OPS[name](x, *others, **options)
        y.backward()
        assert y.shape == x.grad.shape == () and y.dtype == x.grad.dtype == np.float32
        assert type(y.data) is type(x.grad) is np.ndarray


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "l2_normalise"])
def test_empty_lines_stay_empty(name):
    assert te.OPS[name](np.zeros((2, 0))).shape == (2, 0)
    assert te.OPS[name](np.zeros((0, 2))).shape == (0, 2)


# -- what is made of other ops -----------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(-2, 1))
def test_composites_equal_numpy(data, n, m, axis):
    rng = np.random.default_rng(data.draw(seeds))
    x, y = rng.normal(size=(n, m)), rng.normal(size=(n, m))
    tx, ty = te.Tensor(x, requires_grad=True), te.Tensor(y)
    cuts = data.draw(st.sampled_from([1, x.shape[axis], [1], [0, 2], [2, 1]]))
    same = [
        (ops.stack([tx, ty], axis), np.stack([x, y], axis)),
        (tx.flip(axis), np.flip(x, axis)), (tx.flip(), np.flip(x)),
        (tx.swapaxes(0, axis), np.swapaxes(x, 0, axis)),
        (tx.expand_dims(axis), np.expand_dims(x, axis)), (tx.expand_dims((0, -1)), x[None, ..., None]),
        (tx.squeeze(), np.squeeze(x)), (tx.flatten(), x.flatten()), (tx.T, x.T),
        (tx.std(axis), x.std(axis)), (ops.mse(tx, ty, "none"), (x - y) ** 2),
        (ops.mse(tx, ty), np.mean((x - y) ** 2)), (ops.mse(tx, ty, "sum"), np.sum((x - y) ** 2)),
        (tx.cosine_similarity(ty, axis),
         (x * y).sum(axis) / np.linalg.norm(x, axis=axis) / np.linalg.norm(y, axis=axis)),
        *zip(ops.split(tx, cuts, axis), np.split(x, cuts, axis), strict=True),
        *zip(tx, x, strict=True),
    ]
    for ours, theirs in same:
        assert ours.shape == theirs.shape and ours.requires_grad
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12, atol=1e-12)


# -- constants by name, options out of their range ---------------------------------------------------------------------


def test_constants_may_come_by_name_or_by_position():
    x, ids = te.Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True), [2, 0]
    assert (ops.sum(x, 1, True).data == ops.sum(x=x, axis=1, keepdims=True).data).all()
    assert (ops.embedding(ids=ids, W=x).data == ops.embedding(x, ids).data).all()
    y = ops.cross_entropy(targets=np.array([0, 1, -1]), logits=x, ignore_index=-1)
    y.backward()
    assert x.grad.shape == (3, 2) and y.item() == ops.cross_entropy(x, [0, 1, -1], -1).item()


@every_op
def test_any_number_of_arguments_may_come_by_name(name):
    """The vjp answers for those that came by position, and for arrays; it may say None for the others."""
    parameters = inspect.signature(FORWARDS[CASES[name].op]).parameters
    names = [key for key, p in parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD]
    for seed in range(2):
        args, options = CASES[name].sample(seed, sides=(2, 1, 3))
        y, xs = forward(name, args, options)
        [g] = directions([y.data], seed)
        expected = gradients(name, args, options, g)
        for k in range(1, len(args) if len(args) <= len(names) else 1):
            xs = [te.Tensor(x, requires_grad=True) for x in leaves(args)]
            given = put(args, xs)
            z = op(name)(*given[:k], **dict(zip(names[k:], given[k:])), **options)
            z.backward(g)
            for x, gx in zip(xs, expected):
                np.testing.assert_array_equal(dense(x.grad), gx)


def test_a_number_by_name_beside_a_tensor_by_position():
    x = te.Tensor([2.0], requires_grad=True)
    (ops.multiply(x, y=3.0) + ops.power(x, y=2) + ops.subtract(x, y=1) + ops.where(True, x, y=0.0)).backward()
    assert x.grad.tolist() == [3 + 4 + 1 + 1]
    h = te.Tensor(np.ones((1, 1)), requires_grad=True)
    ops.gru(np.ones((2, 1, 1)), h, np.ones((3, 1)), np.ones((3, 1))).sum().backward()  # biases and lengths left out
    assert h.grad.shape == (1, 1)


def test_an_array_by_name_is_a_constant_although_the_op_has_a_gradient_for_it():
    W = te.Tensor(np.ones((3, 2)), requires_grad=True)
    ops.embedding_bag(W, [[0, 1]], mode="sum", per_sample_weights=np.array([[2.0, 3.0]])).sum().backward()
    assert W.grad.to_dense().tolist() == [[2, 2], [3, 3], [0, 0]]


def test_a_list_of_tensors_by_name_keeps_its_gradient():
    x = te.Tensor([1.0, 2.0], requires_grad=True)
    y = ops.concatenate(xs=[x, x], axis=0)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("wrong", [
    lambda x: ops.dropout(x, 1.0, mask=np.ones((2, 3))), lambda x: ops.dropout(x, 0.5), lambda x: ops.gelu(x, "fast"),
    lambda x: ops.cross_entropy(x, [0]), lambda x: ops.cross_entropy(x, [0, 1], reduction="max"),
    lambda x: ops.cross_entropy(x, [0, 1], label_smoothing=2), lambda x: ops.bce_with_logits(x, [0, 1]),
    lambda x: ops.einsum("ii,ij->j", x, x), lambda x: ops.einsum("ij,ij", x, x), lambda x: ops.einsum("ij,jk->k", x),
    lambda x: ops.einsum("...j->j", x), lambda x: x.norm(1), lambda x: x.norm(2), lambda x: ops.matmul(x, x),
    lambda x: ops.matmul(x, 2.0), lambda x: ops.mean(x[:0]), lambda x: ops.max(x[:0]),
    lambda x: ops.var(x[:1], 0, ddof=1),
    lambda x: ops.linear(x, np.ones((2, 2))), lambda x: ops.layer_norm(x, np.ones(2), np.ones(2)),
    lambda x: ops.reshape(x, (4,)), lambda x: ops.mse(x, x[:1]), lambda x: ops.embedding(x[0], [0])])
def test_nonsense_is_refused_with_a_value_error(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        wrong(te.Tensor(np.ones((2, 3)), requires_grad=True))


def test_errors_of_numpy_name_the_op_and_its_inputs():
    with pytest.raises(ValueError, match=r"matmul: .*given float64 \(2, 3\), float64 \(2, 3\)"):
        te.Tensor(np.ones((2, 3))) @ te.Tensor(np.ones((2, 3)))


def test_dropout_keeps_the_expectation_and_repeats_with_its_generator():
    x = np.ones((400, 250), np.float32)
    y = ops.dropout(x, 0.3, rng=np.random.default_rng(1)).data
    assert np.array_equal(y, ops.dropout(x, 0.3, rng=np.random.default_rng(1)).data)
    assert set(np.unique(y)) == {0, np.float32(1 / (1 - 0.3))} and abs(y.mean() - 1) < 0.01


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-7), (np.float64, 1e-14)])
def test_the_normal_distribution_is_that_of_math_erfc_near_and_far(dtype, tolerance):
    x = np.concatenate([np.linspace(-9, 9, 2001), [-1e30, -1e3, 1e3, 1e30]]).astype(dtype)
    expected = [math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    np.testing.assert_allclose(normal_cdf(x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("source", [np.float32, np.float64])
@pytest.mark.parametrize("target", [np.float32, np.float64])
def test_astype_there_and_the_gradient_back(source, target):
    x = te.Tensor(np.array([1.5, 2.5], source), requires_grad=True)
    y = x.astype(target)
    assert y.dtype == target and not np.shares_memory(x.data, y.data)
    y.backward(np.array([1.0, 2.0]))
    assert x.grad.dtype == source and x.grad.tolist() == [1.0, 2.0]
    assert not x.astype(np.int64).requires_grad


# -- kinks, ties and zeros ---------------------------------------------------------------------------------------------


def slope(f, x):
    x = te.Tensor(np.array(x, float), requires_grad=True)
    f(x).sum().backward()
    return x.grad.tolist()


def test_what_only_pytorch_means_is_refused():
    """Names of PyTorch's that mean another thing here, where the call shows which is meant."""
    x, logits = te.Tensor(np.arange(6.0).reshape(2, 3)), te.Tensor(np.ones((3, 3)))
    for mask in (True, False, np.bool_(True), 1):
        with pytest.raises(TypeError, match="dropout's mask"):
            ops.dropout(x, 0.5, mask)
    for weight in (np.ones(3), [1.0, 1.0, 1.0], 0.5):
        with pytest.raises(TypeError, match="ignore_index is one class"):
            ops.cross_entropy(logits, np.array([0, 1, 2]), weight)
    for y, axes in ((x, (0, 1)), (x, (-2, -1)), (x.expand_dims(0), (0, 1)), (x.expand_dims(0), (1, 2)), (x[0], (0, 1))):
        with pytest.raises(ValueError, match=re.escape(f"x.swapaxes{axes} swaps two")):
            y.transpose(*axes)
    assert (x.transpose(1, 0).data == x.data.T).all() and (x.transpose((0, 1)).data == x.data).all()
    for places, words in ((2, r"range\(2, 2, 2\), 0"), (np.int64(1), "1 parts"), ([1, 1], r"sizes .*cumsum\(\[1, 1\]")):
        with pytest.raises(TypeError, match=words):
            x.split(places)
    assert [y.shape for y in x.split([1])] == [y.shape for y in ops.split(x, 2)] == [(1, 3)] * 2
    assert [y.shape for y in ops.split(x, range(2, 3, 2), 1)] == [(2, 2), (2, 1)]
    assert x.std(correction=1).item() == x.std(ddof=1).item() == np.std(x, ddof=1).item() != x.std().item()
    for loss in (ops.bce_with_logits, ops.mse):
        for third in (np.ones(3), te.Tensor(np.ones(3)), 0.5, None):
            with pytest.raises(ValueError, match=r'"mean", "sum" or "none", not a .*; weights go by name'):
                loss(x, x.data, third)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_classes_and_soft_targets_equal_torchs(smoothing, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, w, q, ids = rng.normal(size=(6, 4)), rng.random(4), rng.random((6, 4)), np.array([0, 3, -100, 1, 1, 2])
    w[2], options = 0, {"label_smoothing": smoothing, "reduction": reduction}
    for targets, weight in ((ids, w), (ids, None), (q, w), (q, None)):
        ours = [te.Tensor(z, requires_grad=True)]
        theirs = [torch.tensor(z, requires_grad=True), torch.tensor(targets)]
        ours.append(te.Tensor(targets, requires_grad=True) if targets is q else targets)
        theirs[1].requires_grad = targets is q
        y = ops.cross_entropy(*ours, **options, weight=weight)
        wanted = torch.nn.functional.cross_entropy(*theirs, torch.tensor(w) if weight is not None else None, **options)
        np.testing.assert_allclose(y.data, wanted.detach(), rtol=1e-12)
        (y ** 2).sum().backward()
        (wanted ** 2).sum().backward()
        for a, b in zip(ours[:1 + (targets is q)], theirs):
            np.testing.assert_allclose(a.grad, b.grad, rtol=1e-9, atol=1e-14)
    x, t = te.Tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
    y = ops.bce_with_logits(x, q, reduction, w)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(t, torch.tensor(q), reduction=reduction,
                                                                  pos_weight=torch.tensor(w))
    np.testing.assert_allclose(y.data, wanted.detach(), rtol=1e-12)
    (y ** 2).sum().backward()
    (wanted ** 2).sum().backward()
    np.testing.assert_allclose(x.grad, t.grad, rtol=1e-9)


def test_weights_and_soft_targets_at_their_limits():
    z = te.Tensor(np.float32([[1, -np.inf, 2], [0, 0, 0]]), requires_grad=True)
    soft = ops.cross_entropy(z, np.float32([[0.5, 0, 0.5], [1, 0, 0]]))
    soft.backward()
    assert np.isfinite(soft.item()) and np.isfinite(z.grad).all() and soft.dtype == z.grad.dtype == np.float32
    assert ops.cross_entropy(z, [-100, -100], weight=[1, 2, 3]).item() == 0
    assert ops.cross_entropy(z, [0, 2], weight=[0, 1, 0]).item() == 0  # nothing counts
    one = np.ones((1, 3), np.float32)
    assert ops.bce_with_logits(1e4 * one, one, pos_weight=9.0).dtype == np.float32
    assert np.isfinite(ops.bce_with_logits(-1e4 * one, one, pos_weight=9.0).item())
    with pytest.raises(TypeError, match="argument weight, a constant"):
        ops.cross_entropy(z, [0, 0], weight=te.Tensor(np.ones(3), requires_grad=True)).backward()
    for weight in (np.ones(2), -np.ones(3), [1, np.nan, 1], 1.0):
        with pytest.raises(ValueError, match="for each of 3 classes"):
            ops.cross_entropy(z, [0, 0], weight=weight)
    with pytest.raises(ValueError, match="pos_weight broadcasts"):
        ops.bce_with_logits(z, np.zeros((2, 3)), pos_weight=np.ones(2))


def test_ties_split_evenly():
    assert slope(lambda x: x.max(), [3, 1, 3, 3, 0]) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0])
    assert slope(lambda x: x.min(0), [[1, 1], [1, 2]]) == [[0.5, 1], [0.5, 0]]
    assert slope(lambda x: ops.maximum(x, np.array([1.0, 2, 3])), [2, 2, 2]) == [1, 0.5, 0]
    assert slope(lambda x: ops.minimum(x, np.array([1.0, 2, 3])), [2, 2, 2]) == [0, 0.5, 1]
    assert slope(lambda x: ops.maximum(np.array([1.0, 2, 3]), x), [2, 2, 2]) == [1, 0.5, 0]


def test_kinks_as_documented():
    assert slope(ops.relu, [-1, 0, 1]) == [0, 0, 1]
    assert slope(ops.abs, [-1, 0, 1]) == [-1, 0, 1]
    assert slope(ops.sign, [-1, 0, 1]) == [0, 0, 0]
    assert slope(lambda x: ops.clip(x, -1, 1), [-2, -1, 0, 1, 2]) == [0, 1, 1, 1, 0]


def test_powers_at_zero_and_of_negative_numbers():
    assert slope(lambda x: x ** 2, [-3, 0, 2]) == [-6, 0, 4]
    assert slope(lambda x: x ** 0, [-3, 0, 2]) == [0, 0, 0]
    assert slope(lambda x: x ** 1, [-3, 0, 2]) == [1, 1, 1]
    assert slope(lambda x: 2 ** x, [0, 1]) == pytest.approx([math.log(2), 2 * math.log(2)])
    assert slope(lambda y: ops.power(np.zeros(2), y), [1, 2]) == [0, 0]
    with np.errstate(invalid="ignore"):
        assert np.isnan(slope(lambda y: ops.power(-np.ones(1), y), [2])).all()


@pytest.mark.parametrize(("x", "expected"), [([2, 3, 4], [12, 8, 6]), ([0, 3, 4], [12, 0, 0]), ([2, 0, 0], [0, 0, 0]),
                                             ([0, 0, 0], [0, 0, 0]), ([5], [1]), ([], [])])
def test_product_with_zeros(x, expected):
    assert slope(ops.prod, x) == expected
    assert slope(lambda x: ops.prod(x.reshape(1, -1), 1), x) == expected


def test_zero_vector_has_no_direction_but_finite_numbers():
    x = te.Tensor(np.array([[0.0, 0], [3, 4]], np.float32), requires_grad=True)
    y = x.l2_normalise()
    np.testing.assert_allclose(y.data, [[0, 0], [0.6, 0.8]], rtol=1e-6)
    y.backward(np.ones((2, 2)))
    np.testing.assert_allclose(x.grad, [[1e12, 1e12], [0.032, -0.024]], rtol=1e-5)
    assert x.cosine_similarity(te.Tensor(np.ones((2, 2), np.float32))).data[0] == 0


# -- large numbers and infinities --------------------------------------------------------------------------------------

ROWS = [[1e4, 0, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [0, -inf, 1], [-inf, -inf, 5], [-inf, -inf, -inf]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_softmax_family_with_huge_and_infinite_entries(row, dtype):
    masked = not np.isfinite(row).any()
    total = np.logaddexp.reduce(np.array(row, np.longdouble))
    p = np.zeros(3) if masked else np.exp(np.array(row, np.longdouble) - total).astype(float)
    g = np.array([1.0, -2.0, 3.0])
    near = lambda actual, expected, rtol=1e-5: np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-6)

    x = te.Tensor(np.array(row, dtype), requires_grad=True)
    y = ops.softmax(x)
    near(y.data, p)
    y.backward(g)
    near(x.grad, p * (g - (p * g).sum()))

    x.zero_grad()
    y = ops.logsumexp(x)
    near(y.data, float(total))
    y.backward()
    near(x.grad, p, rtol=1e-3)  # it comes from the rounded result, in which log(3) beside 1e4 has few digits left

    x.zero_grad()
    y = ops.log_softmax(x)
    near(y.data, row if masked else (np.array(row, np.longdouble) - total).astype(float))
    y.backward(g)
    near(x.grad, g - p * g.sum())

    x.zero_grad()
    possible = int(np.argmax(row))
    y = ops.cross_entropy(x, possible)
    near(y.item(), inf if masked else -float(np.array(row, np.longdouble)[possible] - total))
    y.backward()
    near(x.grad, p - np.eye(3)[possible])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "log_sigmoid", "silu", "gelu", "relu",
                                  "bce_with_logits"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_entries_do_not_overflow(name, dtype):
    x = te.Tensor(np.array([-1e4, -100, 0, 100, 1e4], dtype), requires_grad=True)
    y = te.OPS[name](x, *([np.array([0, 0, 1, 1, 1], dtype)] if name == "bce_with_logits" else []))
    y.sum().backward()
    assert np.isfinite(y.data).all() and np.isfinite(x.grad).all()
    expected = {"sigmoid": [0, 0, 0.5, 1, 1], "tanh": [-1, -1, 0, 1, 1], "softplus": [0, 0, math.log(2), 100, 1e4],
                "log_sigmoid": [-1e4, -100, -math.log(2), 0, 0], "bce_with_logits": math.log(2) / 5}
    np.testing.assert_allclose(y.data, expected.get(name, [0, 0, 0, 100, 1e4]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_all_targets_ignored_gives_zero_and_zero_gradient(smoothing):
    logits = te.Tensor(np.array([[1.0, 2], [3, -inf]], np.float32), requires_grad=True)
    loss = ops.cross_entropy(logits, [-100, -100], label_smoothing=smoothing)
    loss.backward()
    assert loss.item() == 0 and logits.grad.tolist() == [[0, 0], [0, 0]]


def test_ignored_targets_count_neither_in_the_loss_nor_in_the_mean():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    kept, every = te.Tensor(logits[:2], requires_grad=True), te.Tensor(logits, requires_grad=True)
    losses = [ops.cross_entropy(kept, [0, 2]), ops.cross_entropy(every, [0, 2, -100, -100])]
    assert losses[0].item() == pytest.approx(losses[1].item())
    for loss in losses:
        loss.backward()
    np.testing.assert_allclose(every.grad, [*kept.grad, [0] * 3, [0] * 3])
    assert ops.cross_entropy(every, [0, 2, -100, -100], reduction="none").data[2:].tolist() == [0, 0]


def test_no_examples_at_all():
    logits = te.Tensor(np.zeros((0, 5), np.float32), requires_grad=True)
    for targets in (np.zeros(0, np.int64), te.Tensor([]), []):
        loss = ops.cross_entropy(logits, targets)
        loss.backward()
        assert loss.item() == 0 and logits.grad.shape == (0, 5)


def test_a_mean_over_many_examples_does_not_stall_in_float32():
    n = 3_000_000
    loss = ops.cross_entropy(np.zeros((n, 2), np.float32), np.zeros(n, np.int64), reduction="sum")
    assert loss.item() == pytest.approx(n * math.log(2), rel=1e-6)


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ids", "error", "words"), [
    ([[0, 1], [4, 2]], IndexError, r"id 4 at position \(1, 0\) .*4 rows \(0 … 3\)"),
    ([0, 1, -1], IndexError, r"id -1 at position \(2,\) .*4 rows"),
    (-1, IndexError, r"id -1 at position \(\) .*4 rows"),
    (np.array([3, 2**63], np.uint64), IndexError, r"id 9223372036854775808 at position \(1,\) .*4 rows"),
    (np.array([2**64 - 1], np.uint64), IndexError, r"id 18446744073709551615 at position \(0,\) .*4 rows"),
    (np.array([-2**63]), IndexError, r"id -9223372036854775808 at position \(0,\) .*4 rows"),
    (np.array([0, -128], np.int8), IndexError, r"id -128 at position \(1,\) .*4 rows"),
    ([1, 2**64], TypeError, r"18446744073709551616.* 4 rows"),
    ([0.0, 1.0], TypeError, r"float32.*0\.0.* at position \(0,\).* 4 rows"),
    (np.array([[1.0]]), TypeError, r"float64.* at position \(0, 0\).* 4 rows"),
    ([True, False], TypeError, r"bool.*True.* at position \(0,\).* 4 rows"),
    (np.array([1, None, 2], object), TypeError, r"object.*None at position \(1,\).* 4 rows"),
    (["a"], TypeError, r"'a'.* at position \(0,\).* 4 rows"),
    (np.zeros(0), TypeError, r"float64.* 4 rows")])
def test_wrong_ids_are_named(ids, error, words):
    with pytest.raises(error, match=words):
        ops.embedding(te.Tensor(np.ones((4, 2)), requires_grad=True), ids)


def test_wrong_targets_are_named():
    logits = te.Tensor(np.zeros((2, 2, 3)), requires_grad=True)
    with pytest.raises(IndexError, match=r"id 3 at position \(1, 0\) is outside the classes: 3 rows"):
        ops.cross_entropy(logits, [[0, 1], [3, 2]])
    with pytest.raises(IndexError, match=r"id -1 at position \(0, 1\)"):
        ops.cross_entropy(logits, [[0, -1], [1, 2]])
    for targets in (np.zeros((2, 2)), np.zeros((2, 2), bool), np.zeros((2, 2), object)):
        with pytest.raises(TypeError, match="ids are integers"):
            ops.cross_entropy(logits, targets)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint64, np.int64])
def test_ids_of_every_integer_dtype_are_exact(dtype):
    W = te.Tensor(np.arange(600.0).reshape(300, 2), requires_grad=True)
    ids = np.array([100, 5, 100], dtype)
    assert (ops.embedding(W, ids).data == W.data[[100, 5, 100]]).all()
    ops.embedding(W, ids * dtype(1))[0].sum().backward()
    assert W.grad.to_dense()[100].tolist() == [1, 1] and W.grad.ids.dtype == np.int64


@pytest.mark.parametrize("ids", [[], [[], []], np.zeros(0, np.int32), np.zeros((3, 0), np.int64), te.Tensor([])],
                         ids=str)
@pytest.mark.parametrize("V", [0, 4])
def test_no_ids_give_no_rows(ids, V):
    W = te.Tensor(np.ones((V, 2), np.float32), requires_grad=True)
    y = ops.embedding(W, ids)
    assert y.shape == (*np.shape(ids), 2) and y.dtype == np.float32
    y.sum().backward()
    assert dense(W.grad).tolist() == np.zeros((V, 2)).tolist()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 5000])
def test_equal_ids_add_up_as_in_the_one_hot_product(n):
    g = np.random.default_rng(n).normal(size=(n, 3))
    ids = np.full(n, 2)
    for lookup in (ops.embedding, ops.getitem):
        W = te.Tensor(np.ones((4, 3)), requires_grad=True)
        lookup(W, ids).backward(g)
        assert isinstance(W.grad, te.RowGrad)
        np.testing.assert_allclose(W.grad.to_dense(), np.eye(4)[ids].T @ g, rtol=1e-12, atol=1e-12)


def test_twenty_million_equal_ids_do_not_stall_in_float32():
    n = 20_000_000  # a float32 that counts ones stops at 2^24 = 16,777,216
    W = te.Tensor(np.ones((3, 2), np.float32), requires_grad=True)
    ops.embedding(W, np.ones(n, np.int32)).backward(np.broadcast_to(np.float32(1), (n, 2)))
    own = W.grad.coalesce()
    assert own.ids.tolist() == [1] and own.rows.tolist() == [[n, n]] and own.rows.dtype == np.float32


def test_negative_rows_wrap_round_in_an_index_only():
    W = te.Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    y = W[[-1, 0, -1]]
    assert y.data.tolist() == [[4, 5], [0, 1], [4, 5]]
    y.sum().backward()
    assert W.grad.to_dense().tolist() == [[1, 1], [0, 0], [2, 2]]
    with pytest.raises(IndexError):
        W[[0, -4]]


def test_every_op_says_what_it_computes():
    assert all(inspect.getdoc(op(name)) for name in CASES)
