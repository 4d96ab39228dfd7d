"""One case for every op of `te.OPS`: how to draw arguments for it, and what it should compute.

A case draws `(args, options)` by way of `Draw`, which takes its decisions from hypothesis or from a seed. Every
floating array among the arguments, in lists too, is differentiable; integers, booleans and options are constants.
An op whose options change what it computes has several cases, the option in brackets: "embedding(max_norm)". Values
keep away from kinks and ties (0.1 at least), so that finite differences hold. The references are plain NumPy and
`math`, written in another way than the ops are: loops, one-hot products, naive formulas.
"""

import itertools
import math
import operator
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

SIDES = (2, 1, 3, 2, 3, 0)  # each as often as it is listed: empty arrays are to be met, not to crowd out the rest

# Properties that an op cannot have, with the reason.
EXEMPT = {
    "gradient is the derivative": {
        "embedding(padding_idx)": "the padding row is read, and gets no gradient on purpose",
        "embedding(scale_grad_by_freq)": "it gives a mean over the occurrences of an id, where the derivative is a sum",
        "embedding(max_norm)": "the gradient passes as if the row had been stored scaled down, as in PyTorch",
        "embedding_bag(scale_grad_by_freq)": "as embedding's",
        "embedding_bag(max_norm)": "as embedding's; that of per_sample_weights is the derivative, and has a test",
    },
    "scaling is noticed": {"sign": "its gradient is zero, and 1.01 times zero is zero"},
    "dtype in is dtype out": {"astype": "changing the dtype is what it is for; it has a test of its own"},
}


class Draw:
    """Random decisions, all made of one: `integer(low, high)`, bounds included."""

    def __init__(self, integer: Callable[[int, int], int], sides: tuple[int, ...] = SIDES) -> None:
        self.integer, self.sides = integer, sides

    def pick(self, *options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def side(self, low: int = 0) -> int:
        return self.pick(*[n for n in self.sides if n >= low])

    def shape(self, min_dims: int = 0, max_dims: int = 3, low: int = 0) -> tuple[int, ...]:
        return tuple(self.side(low) for _ in range(self.integer(min_dims, max_dims)))

    def narrower(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this one: sides of 1, leading axes left out."""
        kept = shape[self.integer(0, len(shape)):]
        return tuple(self.pick(n, 1) for n in kept)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.integer(0, 2**32 - 1))

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.rng().normal(size=shape))

    def positive(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.rng().uniform(0.5, 2, shape))

    def nonzero(self, shape: tuple[int, ...]) -> np.ndarray:
        """0.2 at least from zero."""
        rng = self.rng()
        return np.asarray(rng.uniform(0.2, 2, shape) * rng.choice([-1, 1], shape))

    def spaced(self, shape: tuple[int, ...]) -> np.ndarray:
        """No two entries nearer than 0.2."""
        n = math.prod(shape)
        return (0.2 * self.rng().permutation(n) - 0.1 * n + 0.05).reshape(shape)

    def ids(self, shape: tuple[int, ...], size: int, low: int = 0) -> np.ndarray:
        return self.rng().integers(low, size, shape)

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.rng().random(shape) < 0.6)

    def axis(self, ndim: int) -> int:
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int) -> Any:
        """None, one axis, or a tuple of axes."""
        axes = [i - ndim * self.pick(False, True) for i in range(ndim) if self.pick(False, True)]
        return self.pick(None, self.axis(ndim) if ndim else None, tuple(axes))


@dataclass(frozen=True)
class Case:
    name: str
    draw: Callable[[Draw], tuple[tuple[Any, ...], dict[str, Any]]]
    reference: Callable[..., Any]

    @property
    def op(self) -> str:
        return self.name.partition("(")[0]

    def calls(self, sides: tuple[int, ...] = SIDES) -> st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Arguments and options, drawn by hypothesis."""
        return _calls(self, sides)

    def sample(self, seed: int, sides: tuple[int, ...] = SIDES) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and options, drawn from a seed."""
        return self.draw(Draw(random.Random(seed).randint, sides))


@st.composite  # once: it reads the source of what it is given, which takes longer than a draw
def _calls(draw: Any, case: Case, sides: tuple[int, ...]) -> Any:
    return case.draw(Draw(lambda low, high: draw(st.integers(low, high)), sides))


CASES: dict[str, Case] = {}
UNARY: list[str] = []
PAIRS: dict[str, Callable[..., tuple[Any, ...]]] = {}  # of two-operand ops: arguments for two given shapes


def call(*args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, options


def case(name: str, draw: Callable[[Draw], Any], reference: Callable[..., Any]) -> None:
    CASES[name] = Case(name, draw, reference)


# -- one entry by itself -----------------------------------------------------------------------------------------------


def unary(name: str, f: Callable[[float], float], domain: Any = Draw.normal) -> None:
    UNARY.append(name)
    case(name, lambda d: call(domain(d, d.shape())), np.vectorize(f, otypes=[float]))


unary("abs", math.fabs, Draw.nonzero)
unary("negative", lambda x: 0 - x)
unary("exp", math.exp)
unary("expm1", lambda x: math.exp(x) - 1)
unary("log", math.log, Draw.positive)
unary("log1p", lambda x: math.log(1 + x), Draw.positive)
unary("cos", lambda x: math.sin(x + math.pi / 2))
unary("sin", lambda x: math.cos(x - math.pi / 2))
unary("sqrt", lambda x: x ** 0.5, Draw.positive)
unary("tanh", lambda x: 1 - 2 / (math.exp(2 * x) + 1))
unary("sigmoid", lambda x: 1 / (1 + math.exp(-x)))
unary("softplus", lambda x: math.log(1 + math.exp(x)))
unary("log_sigmoid", lambda x: -math.log(1 + math.exp(-x)))
unary("silu", lambda x: x / (1 + math.exp(-x)))
unary("relu", lambda x: x if x > 0 else 0.0, Draw.nonzero)
unary("sign", lambda x: math.copysign(1, x), Draw.nonzero)


def gelu(x, approximate="none"):
    exact = lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2
    gpt2 = lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
    return np.vectorize(exact if approximate == "none" else gpt2, otypes=[float])(x)


def clip(x, min=None, max=None):
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return np.vectorize(lambda v: low if v < low else high if v > high else v, otypes=[float])(x)


case("gelu", lambda d: call(d.normal(d.shape()), approximate=d.pick("none", "tanh")), gelu)
case("clip", lambda d: call(d.nonzero(d.shape()), *d.pick((-0.1,), (None, 0.1), (-3.0, 0.1), (-0.1, 3.0))), clip)
case("astype", lambda d: call(d.normal(d.shape()), d.pick("float64", np.float64)), lambda x, dtype: x + 0.0)


def binary(name: str, f: Callable[[float, float], float], domain: Any, *scalars: float) -> None:
    """Two operands that broadcast; or an array and a Python number."""
    PAIRS[name] = domain

    def draw(d: Draw) -> Any:
        whole = d.shape()
        x, y = domain(d, *d.pick((whole, d.narrower(whole)), (d.narrower(whole), whole), (whole, whole)))
        return call(x, d.pick(y, y, y, *scalars))

    case(name, draw, np.vectorize(f, otypes=[float]))


def anything(d: Draw, *shapes: Any) -> Any: return [d.normal(s) for s in shapes]
def without_zero(d: Draw, *shapes: Any) -> Any: return [d.nonzero(s) for s in shapes]
def untied(d: Draw, *shapes: Any) -> Any: return [np.asarray(0.4 * d.ids(s, 9) + 0.2 * i) for i, s in enumerate(shapes)]


binary("add", operator.add, anything, 2.0, 3)
binary("subtract", operator.sub, anything, 2.0, 3)
binary("multiply", operator.mul, anything, 2.0, 3)
binary("divide", operator.truediv, without_zero, 2.0, 3)
binary("power", math.pow, lambda d, sx, sy: (d.positive(sx), d.normal(sy)), 2, 3.0, -1, 0.5, 0)
binary("maximum", lambda x, y: x if x > y else y, untied, 1.5)
binary("minimum", lambda x, y: y if x > y else x, untied, 1.5)


def where(d: Draw) -> Any:
    whole = d.shape()
    return call(d.mask(d.narrower(whole)), *d.pick((d.normal(whole), d.normal(d.narrower(whole))),
                                                   (d.normal(d.narrower(whole)), 0.5)))


case("where", where, np.vectorize(lambda c, x, y: x if c else y, otypes=[float]))
case("dropout", lambda d: call(x := d.normal(d.shape()), d.pick(0.0, 0.25, 0.5), mask=d.mask(x.shape)),
     lambda x, p, mask: np.vectorize(lambda v, keep: v / (1 - p) if keep else 0.0, otypes=[float])(x, mask))

# -- reductions --------------------------------------------------------------------------------------------------------


def along(f: Callable[..., float]) -> Callable[..., np.ndarray]:
    """The reduction that calls f on a list of floats for every output entry."""
    def reference(x, axis=None, keepdims=False, **options):
        axes = range(x.ndim) if axis is None else [a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)]
        kept = [i for i in range(x.ndim) if i not in axes]
        lines = x.transpose(*kept, *axes).reshape([math.prod(x.shape[i] for i in side) for side in (kept, axes)])
        shape = [n if i in kept else 1 for i, n in enumerate(x.shape) if keepdims or i in kept]
        return np.array([f(line.tolist(), **options) for line in lines], float).reshape(shape)
    return reference


def reduction(name: str, f: Callable[..., float], domain: Any = Draw.normal, low: int = 0,
              axes: Any = Draw.axes) -> None:
    case(name, lambda d: call(x := domain(d, d.shape(low=low)), axes(d, x.ndim), keepdims=d.pick(False, True)),
         along(f))


def variance(line, ddof=0):
    return math.fsum(a * a for a in line) / (n := len(line) - ddof) - math.fsum(line) ** 2 / len(line) / n


reduction("sum", math.fsum)
reduction("mean", lambda line: math.fsum(line) / len(line), low=1)
reduction("max", max, Draw.spaced, low=1)
reduction("min", min, Draw.spaced, low=1)
reduction("logsumexp", lambda line: math.log(math.fsum(map(math.exp, line))), low=1)
reduction("prod", math.prod, axes=lambda d, ndim: d.pick(None, d.axis(ndim)) if ndim else None)
case("norm", lambda d: call(x := d.nonzero(d.shape(low=1)), axis=d.axes(x.ndim), keepdims=d.pick(False, True)),
     along(lambda line: math.hypot(*line)))
case("norm(ord)", lambda d: call(x := d.nonzero(d.shape(1, low=1)), 2, d.axis(x.ndim)),
     lambda x, ord, axis: np.sqrt((x * x).sum(axis)))
case("var", lambda d: call(x := d.normal(d.shape(1, low=2)), d.pick(None, d.axis(x.ndim), (0, -1)[:x.ndim]),
                           ddof=d.pick(0, 1), keepdims=d.pick(False, True)), along(variance))
case("std", lambda d: call(x := d.spaced(d.shape(1, low=2)), d.pick(None, d.axis(x.ndim), (0, -1)[:x.ndim]),
                           ddof=d.pick(0, 1), keepdims=d.pick(False, True)),
     along(lambda *args, **options: variance(*args, **options) ** 0.5))


def cumsum(x, axis=None):
    lines = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    y = np.array([sum(lines[:i + 1]) for i in range(len(lines))], float).reshape(lines.shape)
    return y if axis is None else np.moveaxis(y, 0, axis)


case("cumsum", lambda d: call(x := d.normal(d.shape()), d.pick(None, d.axis(x.ndim) if x.ndim else None)), cumsum)

# -- shape -------------------------------------------------------------------------------------------------------------


def transpose(x, axes=None):
    axes = range(x.ndim)[::-1] if axes is None else axes
    y = np.empty([x.shape[a] for a in axes])
    for i in np.ndindex(x.shape):
        y[tuple(i[a] for a in axes)] = x[i]
    return y


def concatenate(xs, axis=0):
    return np.moveaxis(np.array([row for x in xs for row in np.moveaxis(x, axis, 0)]).reshape(
        sum(x.shape[axis] for x in xs), *np.moveaxis(xs[0], axis, 0).shape[1:]), 0, axis)


def concatenated(d: Draw) -> Any:
    whole = list(d.shape(1))
    axis = d.axis(len(whole))
    lengths = [d.side() for _ in range(d.integer(1, 3))]
    xs = [d.normal((*whole[:axis % len(whole)], n, *whole[axis % len(whole) + 1:])) for n in lengths]
    return call(d.pick(list, tuple)(xs), axis)


def padded(d: Draw) -> Any:
    x = d.normal(d.shape(1))
    width = d.pick(1, (2, 1), ((0, 2),), tuple((i, 1) for i in range(x.ndim)))
    return call(x, width, constant_values=d.pick(0.0, 7.0))


def pad(x, width, constant_values):
    widths = [(width, width)] * x.ndim if isinstance(width, int) else [width] * x.ndim if isinstance(
        width[0], int) else list(width) * (x.ndim if len(width) == 1 else 1)
    y = np.full([n + a + b for n, (a, b) in zip(x.shape, widths)], constant_values)
    for i in np.ndindex(x.shape):
        y[tuple(j + a for j, (a, _) in zip(i, widths))] = x[i]
    return y


def taken(d: Draw) -> Any:
    x = d.normal(d.shape(1, low=1))
    axis = d.axis(x.ndim)
    shape = [d.side() if i == axis % x.ndim else d.pick(n, 1) for i, n in enumerate(x.shape)]
    return call(x, d.ids(tuple(shape), x.shape[axis], low=-x.shape[axis]), axis)


def take_along_axis(x, indices, axis):
    shape = [indices.shape[i] if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
    indices, y = indices + np.zeros(shape, int), np.empty(shape)
    for i in np.ndindex(*shape):
        y[i] = x[tuple(indices[i] if a == axis % x.ndim else j for a, j in enumerate(i))]
    return y


case("reshape", lambda d: call(x := d.normal(d.shape()), d.pick(-1, x.shape[::-1], (1, *x.shape), [x.size, 1], x.size)),
     lambda x, shape: np.array(list(x.flat)).reshape(shape))
case("transpose", lambda d: call(x := d.normal(d.shape()), d.pick(
    None, [int(a) - x.ndim * d.pick(0, 1) for a in d.rng().permutation(x.ndim)])), transpose)
case("broadcast_to", lambda d: call(d.normal(d.narrower(s := d.shape())), s), lambda x, shape: np.zeros(shape) + x)
case("concatenate", concatenated, concatenate)
case("pad", padded, pad)
case("take_along_axis", taken, take_along_axis)

# -- products ----------------------------------------------------------------------------------------------------------


def products(d: Draw) -> Any:
    b, n, k, m = (d.side() for _ in range(4))
    sx, sy = d.pick(((k,), (k,)), ((n, k), (k,)), ((k,), (k, m)), ((n, k), (k, m)), ((b, n, k), (k, m)),
                    ((b, n, k), (b, k, m)), ((b, n, k), (1, k, m)), ((n, k), (b, k, m)), ((k,), (b, k, m)),
                    ((b, n, k), (k,)), ((2, 1, n, k), (b, k, m)))
    return call(d.normal(sx), d.normal(sy))


def matmul(x, y):
    x2, y2 = (x[None] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    z = (x2[..., None] * y2[..., None, :, :]).sum(-2)
    z = z[..., 0] if y.ndim == 1 else z
    return z if x.ndim > 1 else z[0] if y.ndim == 1 else z[..., 0, :]


FORMULAS = ("ij,jk->ik", "bik,bjk->bij", "i,i->", "ij,i->", "i,j->ij", "ij,kl->jk", "i j, j i -> j",
            "bhqd,bhkd->bhqk", "ijk->ki", "ij->", "i,ij,j->", "ij,jk,kl->il")


def vectors_beside(d: Draw) -> Any:
    shape, n = d.shape(0, 2), d.side()
    return call(d.normal((*d.narrower(shape), n)), d.normal((*shape, n)))


case("vecdot", vectors_beside, lambda x, y: (x * y).sum(-1))


def einsummed(d: Draw) -> Any:
    formula = d.pick(*FORMULAS)
    side = {c: d.side() for c in formula if c.isalpha()}
    parts = formula.split("->")[0].split(",")
    return call(formula, *[d.normal(tuple(side[c] for c in part if c in side)) for part in parts])


def einsum(formula, *xs):
    left, out = formula.replace(" ", "").split("->")
    parts, letters = left.split(","), sorted(set(left) - {","})
    side = {c: n for part, x in zip(parts, xs) for c, n in zip(part, x.shape)}
    z = np.zeros([side[c] for c in out])
    for i in np.ndindex(*[side[c] for c in letters]):
        at = dict(zip(letters, i))
        z[tuple(at[c] for c in out)] += math.prod(x[tuple(at[c] for c in part)] for part, x in zip(parts, xs))
    return z


def linear(x, W, b=None):
    y = np.tensordot(x, W, (-1, 1))
    return y if b is None else y + b


case("matmul", products, matmul)
case("einsum", einsummed, einsum)
case("linear", lambda d: call(d.normal((*d.shape(0, 2), n := d.side())), d.normal((m := d.side(), n)),
                              *d.pick((), (d.normal((m,)),))), linear)

# -- lookups -----------------------------------------------------------------------------------------------------------


def looked_up(*names: str) -> Callable[[Draw], Any]:
    """A table and ids, with values for these options."""
    def draw(d: Draw) -> Any:
        V, D = d.side(low=1 if names else 0), d.side()
        ids = d.ids(d.shape(0, 2), V) if V else np.zeros((0,), int)
        ids = d.pick(ids, ids.astype(np.uint8), ids.T, ids.tolist() if ids.ndim else ids)
        return call(d.nonzero((V, D)), ids, sparse=d.pick(True, False), **row_options(d, V, *names))
    return draw


def row_options(d: Draw, V: int, *names: str) -> dict[str, Any]:
    options = {"padding_idx": d.integer(-V, V - 1) if V else None, "scale_grad_by_freq": True,
               "max_norm": d.pick(0.5, 3.0), "norm_type": d.pick(2.0, 1, 3.5, math.inf)}
    return {name: options[name] for name in names}


def one_hot_product(W, ids, max_norm=None, norm_type=2.0, **options):
    ids = np.array(ids, int)
    W = W if max_norm is None else shortened(W, max_norm, norm_type)
    return np.tensordot((ids[..., None] == np.arange(len(W))).astype(float), W, (-1, 0))


def shortened(W, max_norm, norm_type):
    norms = [np.linalg.norm(row, norm_type) if row.size else 0 for row in W]
    return np.array([row * max_norm / n if n > max_norm else row for row, n in zip(W, norms)]).reshape(W.shape)


def bagged(*names: str) -> Callable[[Draw], Any]:
    """A table, and bags of any lengths, by lines or by offsets; weights and padding or not."""
    def draw(d: Draw) -> Any:
        V, D, mode = d.side(1), d.side(), d.pick("sum", "mean", "max")
        options = {"mode": mode, "sparse": d.pick(True, False), **row_options(d, V, *names)}
        if d.pick(True, False):
            options |= row_options(d, V, "padding_idx")
        if d.pick(True, False):
            ids, offsets = d.ids((d.side(), d.side()), V), None
        else:
            ends = np.cumsum([d.side() for _ in range(d.side())], dtype=int)
            ids = d.ids((int(ends[-1]) if ends.size else 0,), V)
            offsets = np.array([0, *ends])
            if not d.pick(True, False):
                offsets = offsets[:-1].astype(d.pick(np.int64, np.uint8))
            options["include_last_offset"] = len(offsets) > len(ends)
        weights = d.pick(None, d.positive(ids.shape)) if mode != "max" else None
        return call(d.spaced((V, D)), ids, offsets, weights, **options)
    return draw


def embedding_bag(W, ids, offsets, weights, mode, include_last_offset=False, padding_idx=None, max_norm=None,
                  norm_type=2.0, **options):
    if offsets is None:
        offsets = np.arange(len(ids)) * ids.shape[1]
    elif include_last_offset:
        offsets = offsets[:-1]
    W = W if max_norm is None else shortened(W, max_norm, norm_type)
    weights = np.ones(ids.size) if weights is None else weights.reshape(-1)
    padding, ids = None if padding_idx is None else range(len(W))[padding_idx], ids.reshape(-1)
    y = np.zeros((len(offsets), W.shape[1]))
    for b, start in enumerate(offsets):
        end = offsets[b + 1] if b + 1 < len(offsets) else len(ids)
        kept = [n for n in range(start, end) if ids[n] != padding]
        if kept and mode == "max":
            y[b] = [max(W[ids[n], column] for n in kept) for column in range(W.shape[1])]
        elif kept:
            y[b] = sum(weights[n] * W[ids[n]] for n in kept) / (sum(weights[kept]) if mode == "mean" else 1)
    return y


def indexed(d: Draw) -> Any:
    x = d.normal(d.shape(2, 3, low=1))
    n, m = x.shape[:2]
    rows, wrapped = d.ids((2, 2), n), d.ids((3,), n, low=-n)
    return call(x, d.pick(0, -1, slice(None, None, -1), (Ellipsis, None, 0), None, wrapped, rows, wrapped.tolist(), [],
                          rows.astype(np.uint8), (slice(None), d.ids((3,), m)), (wrapped, d.ids((3,), m)), (),
                          (wrapped.tolist(), 0), d.mask(x.shape), d.mask((n,)), (slice(0, 1), [0, 0]),
                          (np.int64(0), slice(1, None))))


def getitem(x, index):
    places = np.arange(x.size).reshape(x.shape)[np.array(index, int) if isinstance(index, list) else index]
    return np.array([x.flat[i] for i in places.flat], float).reshape(places.shape)


def turned(d: Draw) -> Any:
    shape = d.shape(0, 2)
    positions = d.ids(d.narrower(shape), 50, low=-9)
    positions = d.pick(positions, positions.tolist()) if positions.size else positions
    return call(d.normal((*shape, 2 * d.side())), positions, d.pick(10000.0, 7.0),
                pairs=d.pick("interleaved", "halves"))


def rotate(x, positions, base, pairs):
    """Pairs as complex numbers: turning is a product with e^(ia)."""
    D, y = x.shape[-1], np.empty(x.shape)
    for i in range(D // 2):
        a, b = (2 * i, 2 * i + 1) if pairs == "interleaved" else (i, i + D // 2)
        z = (x[..., a] + 1j * x[..., b]) * np.exp(1j * np.asarray(positions) / base ** (2 * i / D))
        y[..., a], y[..., b] = z.real, z.imag
    return y


def in_halves(d: Draw) -> Any:
    whole, n = d.shape(0, 2), 2 * d.side()
    one, other = d.pick((whole, d.narrower(whole)), (d.narrower(whole), whole))
    return call(d.normal((*one, n)), d.normal((*other, n)), d.pick(False, True))


def complex_multiply(x, y, conjugate):
    """By Python's own complex numbers, one at a time."""
    n = x.shape[-1] // 2
    z = np.zeros((*np.broadcast_shapes(x.shape[:-1], y.shape[:-1]), 2 * n))
    xs, ys = (np.broadcast_to(v, z.shape) for v in (x, y))
    for *i, j in np.ndindex(*z.shape[:-1], n):
        a, b = (complex(v[(*i, j)], v[(*i, j + n)]) for v in (xs, ys))
        product = a * (b.conjugate() if conjugate else b)
        z[(*i, j)], z[(*i, j + n)] = product.real, product.imag
    return z


def far_apart(moduli: bool) -> Callable[[Draw], Any]:
    """No two coordinates of an x and a y nearer than 0.2."""
    def draw(d: Draw) -> Any:
        lead, D = d.shape(0, 2), d.side() * (1 + moduli)
        S, Q = d.pick((d.side(), d.side()), (1, 1))
        x, y = untied(d, (*lead, S, D), (*lead, Q, D))
        return call(x, y, d.pick(1, 2.0), **({"moduli": True} if moduli else {}))
    return draw


def cdist(x, y, p, moduli=False):
    d = np.zeros((*x.shape[:-1], y.shape[-2]))
    for *i, s, q in np.ndindex(d.shape):
        u = [float(a - b) for a, b in zip(x[(*i, s)], y[(*i, q)])]
        u = [abs(complex(*pair)) for pair in zip(u[:len(u) // 2], u[len(u) // 2:])] if moduli else map(abs, u)
        d[(*i, s, q)] = math.fsum(a ** p for a in u) ** (1 / p)
    return d


case("rotate", turned, rotate)
case("complex_multiply", in_halves, complex_multiply)
case("cdist", far_apart(False), cdist)
case("cdist(moduli)", far_apart(True), cdist)
for names in ((), ("padding_idx",), ("scale_grad_by_freq",), ("max_norm", "norm_type")):
    variant = f"({names[0]})" if names else ""
    case("embedding" + variant, looked_up(*names), one_hot_product)
    if names != ("padding_idx",):  # which bags have in every case
        case("embedding_bag" + variant, bagged(*names), embedding_bag)
case("getitem", indexed, getitem)


def contrasted(d):
    B, S, Q, D = (d.side() for _ in range(4))
    some = d.rng().integers(0, 2, (B, S, Q))
    return call(d.normal((B, S, D)), d.normal((B, Q, D)), weights=d.nonzero((B, S, Q)) * some)


def negative_sampling(x, z, weights):
    return np.asarray(math.fsum(abs(a) * math.log1p(math.exp(-math.copysign(1, a) * float(x[b, i] @ z[b, j])))
                                for (b, i, j), a in np.ndenumerate(weights)))


case("negative_sampling", contrasted, negative_sampling)


def mapped_points(d):
    N = d.side()
    P = np.abs(d.normal((N, N)))
    return call(d.normal((N, 2)), P=(P + P.T) * (1 - np.eye(N)))


def neighbourhood_kl(Y, P):
    n = np.array([[1 / (1 + float((a - b) @ (a - b))) for b in Y] for a in Y]).reshape(P.shape)
    q = n * (1 - np.eye(len(Y)))
    q = q / q.sum() if q.sum() else q
    return np.asarray(math.fsum(p * math.log(p / q[i, j]) for (i, j), p in np.ndenumerate(P) if p > 0))


case("neighbourhood_kl", mapped_points, neighbourhood_kl)

# -- recurrence --------------------------------------------------------------------------------------------------------


def stepped(n, states):
    """Sequences for an op whose weights have n H rows: of one length or of several, either way, with biases or not."""
    def draw(d):
        T, B, D, H = (d.side() for _ in range(4))
        biases = d.pick((None, None), (d.normal((n * H,)), None), (d.normal((n * H,)), d.normal((n * H,))))
        lengths = d.pick(None, d.rng().integers(0, T + 1, B), d.rng().integers(0, T + 1, B).astype(np.uint8))
        return call(d.normal((T, B, D)), *[d.normal((B, H)) for _ in range(states)], d.normal((n * H, D)),
                    d.normal((n * H, H)), *biases, lengths=lengths, reverse=d.pick(False, True))
    return draw


def logistic(x):
    return 1 / (1 + math.exp(-x))


def lstm_step(x, state, W, V, b, e):
    (h, c), H = state, V.shape[1]
    a = [sum(W[j] * x) + b[j] + sum(V[j] * h) + e[j] for j in range(4 * H)]
    c = np.array([logistic(a[H + j]) * c[j] + logistic(a[j]) * math.tanh(a[2 * H + j]) for j in range(H)])
    return np.array([logistic(a[3 * H + j]) * math.tanh(c[j]) for j in range(H)]), c


def gru_step(x, state, W, V, b, e):
    [h], H = state, V.shape[1]
    of_x, of_h = [sum(W[j] * x) + b[j] for j in range(3 * H)], [sum(V[j] * h) + e[j] for j in range(3 * H)]
    r, k = ([logistic(of_x[m * H + j] + of_h[m * H + j]) for j in range(H)] for m in (0, 1))
    return [np.array([(1 - k[j]) * math.tanh(of_x[2 * H + j] + r[j] * of_h[2 * H + j]) + k[j] * h[j]
                      for j in range(H)])]


def recurrent(step, states):
    """One sequence after the other, of its own length, step by step."""
    def reference(x, *args, lengths, reverse):
        (T, B, _), (W, V, b, e) = x.shape, args[states:]
        b, e = (np.zeros(len(W)) if z is None else z for z in (b, e))
        y = np.zeros((T + states, B, V.shape[1]))
        for n in range(B):
            state = [z[n] for z in args[:states]]
            times = range(T if lengths is None else lengths[n])
            for t in reversed(times) if reverse else times:
                state = step(x[t, n], state, W, V, b, e)
                y[t, n] = state[0]
            y[T:, n] = state
        return y
    return reference


case("lstm", stepped(4, 2), recurrent(lstm_step, 2))
case("gru", stepped(3, 1), recurrent(gru_step, 1))

# -- norms and losses --------------------------------------------------------------------------------------------------


def softmax(x, axis=-1):
    e = np.exp(x.astype(np.longdouble))
    return (e / e.sum(axis, keepdims=True)).astype(float)


def layer_norm(x, weight, bias, eps=1e-5):
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape[:-1]):
        y[i] = weight * (x[i] - np.mean(x[i])) / math.sqrt(np.var(x[i]) + eps) + bias
    return y


def rms_norm(x, weight, eps=1e-6):
    return weight * x / (eps + sum(x[..., i:i + 1] ** 2 for i in range(x.shape[-1])) / x.shape[-1]) ** 0.5


def over_axis(domain: Any, **options: Any) -> Callable[[Draw], Any]:
    return lambda d: call(x := domain(d, d.shape(1)), axis=d.axis(x.ndim), **{k: d.pick(*options[k]) for k in options})


case("softmax", over_axis(Draw.normal), softmax)
case("log_softmax", over_axis(Draw.normal), lambda x, axis: np.log(softmax(x, axis)))
case("l2_normalise", over_axis(Draw.nonzero, eps=(1e-12, 0.01)),
     lambda x, axis, eps: x / np.linalg.norm(x, axis=axis, keepdims=True))
case("layer_norm", lambda d: call(d.spaced((*d.shape(0, 2), D := d.side(1))), d.normal((D,)), d.normal((D,)),
                                  *d.pick((), (0.1,))), layer_norm)
case("rms_norm", lambda d: call(d.nonzero((*d.shape(0, 2), D := d.side(1))), d.normal((D,)), *d.pick((), (0.1,))),
     rms_norm)


def classified(d: Draw) -> Any:
    shape, V = d.shape(0, 2), d.side(1)
    targets = np.where(d.mask(shape), d.ids(shape, V), -7)
    return call(d.normal((*shape, V)), targets, ignore_index=-7, label_smoothing=d.pick(0.0, 0.1, 1.0),
                reduction=d.pick("mean", "sum", "none"))


def softly_classified(d: Draw) -> Any:
    shape, V = d.shape(0, 2), d.side(1)
    return call(d.normal((*shape, V)), np.asarray(d.rng().uniform(0, 1, (*shape, V))),
                label_smoothing=d.pick(0.0, 0.1), reduction=d.pick("mean", "sum", "none"))


def with_class_weights(draw: Any) -> Any:
    def weighted(d: Draw) -> Any:
        args, options = draw(d)
        return args, {**options, "weight": d.rng().uniform(0, 2, args[0].shape[-1])}
    return weighted


def reduced(losses, reduction, n):
    return losses if reduction == "none" else losses.sum() / ((n or 1) if reduction == "mean" else 1)


def cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0, reduction="mean", weight=None):
    soft, V = targets.dtype.kind == "f", logits.shape[-1]
    weight = np.ones(V) if weight is None else weight
    losses, n = np.zeros(logits.shape[:-1]), 0
    for i in np.ndindex(losses.shape):
        if soft or targets[i] != ignore_index:
            wanted = targets[i] if soft else np.arange(V) == targets[i]
            wanted = (1 - label_smoothing) * wanted + label_smoothing / V
            losses[i] = -(weight * wanted * np.log(softmax(logits[i]))).sum()
            n += 1 if soft else weight[targets[i]]
    return reduced(losses, reduction, n)


def bce_with_logits(logits, targets, reduction, pos_weight=1):
    p = 1 / (1 + np.exp(-logits))
    return reduced(-pos_weight * targets * np.log(p) - (1 - targets) * np.log(1 - p), reduction, logits.size)


def yes_or_no(d: Draw, **options: Any) -> Any:
    x = d.normal(d.shape())
    return call(x, np.asarray(d.rng().uniform(0, 1, x.shape)), reduction=d.pick("mean", "sum", "none"), **options)


def rarely_yes(d: Draw) -> Any:
    (x, t), options = yes_or_no(d)
    return call(x, t, options["reduction"], np.asarray(d.rng().uniform(0.1, 3, d.narrower(x.shape))))


case("cross_entropy", classified, cross_entropy)
case("cross_entropy(weight)", with_class_weights(classified), cross_entropy)
case("cross_entropy(soft)", softly_classified, cross_entropy)
case("cross_entropy(soft, weight)", with_class_weights(softly_classified), cross_entropy)
case("bce_with_logits", yes_or_no, bce_with_logits)
case("bce_with_logits(pos_weight)", rarely_yes, bce_with_logits)


# -- attention ---------------------------------------------------------------------------------------------------------


def attended(d):
    B, Tq, later, H, width, e = (d.side() for _ in range(6))
    Tk, causal = Tq + later, d.pick(False, True)
    packed = d.pick(False, True) and not later
    x = [d.normal((B, Tq, 3, H, width))] if packed else [
        d.normal((B, Tq, H, width)), d.normal((B, Tk, H, width)), d.normal((B, Tk, H, e))]
    shape = d.narrower((B, H, Tq, Tk))
    mask = d.pick(None, d.normal(shape), d.mask(shape))
    return call(*x, *((None, None) if packed else ()), mask, causal=causal)


def attention(q, k, v, mask, causal):
    if k is None:
        q, k, v = q[:, :, 0], q[:, :, 1], q[:, :, 2]
    mask = 0.0 if mask is None else mask
    (B, Tq, H, d), Tk, y = q.shape, k.shape[1], np.zeros((*q.shape[:3], v.shape[3]))
    mask = np.broadcast_to(np.where(mask, 0, -np.inf) if np.asarray(mask).dtype == bool else mask, (B, H, Tq, Tk))
    for b, i, h in np.ndindex(B, Tq, H):
        weights = [0.0 if causal and j > i + Tk - Tq else
                   math.exp(sum(q[b, i, h] * k[b, j, h]) / math.sqrt(max(d, 1)) + mask[b, h, i, j]) for j in range(Tk)]
        for weight, value in zip(weights, v[b, :, h]):
            y[b, i, h] += weight / (sum(weights) or 1) * value
    return y


case("attention", attended, attention)

# -- pictures ----------------------------------------------------------------------------------------------------------


def pictures(d: Draw, C: int, kernel: tuple[int, int], padding: Any, dilation: Any = 1) -> tuple[int, ...]:
    """(N, C, H, W) of a size into which the kernel fits."""
    p, e = (v if isinstance(v, tuple) else (v, v) for v in (padding, dilation))
    return (d.side(), C, *(max(1, b * (k - 1) + 1 - 2 * a) + d.pick(0, 1) for k, a, b in zip(kernel, p, e)))


def convolved(d: Draw) -> Any:
    G, kernel = d.pick(1, 1, 2), d.pick((2, 2), (1, 1), (1, 3), (2, 1))
    padding, dilation, C, D = d.pick(0, 1, (0, 2)), d.pick(1, 2, (1, 2)), G * d.pick(1, 0, 2), G * d.pick(1, 0, 2)
    x = d.normal(pictures(d, C, kernel, padding, dilation))
    return call(x, d.normal((D, C // G, *kernel)), *d.pick((), (d.normal((D,)),)), stride=d.pick(1, 2, (2, 1)),
                padding=padding, dilation=dilation, groups=G)


def both(v: Any) -> tuple[int, int]:
    return v if isinstance(v, tuple) else (v, v)


def windows(x, kernel, stride, padding, fill, dilation=1):
    """(n, u, v, the window (C, kh, kw)) of every place, cut out of a padded picture."""
    (k, m), (s, t), (p, q), (d, e) = map(both, (kernel, stride, padding, dilation))
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=fill)
    N, _, H, W = x.shape
    for n, u, v in itertools.product(range(N), range((H - d * (k - 1) - 1) // s + 1),
                                     range((W - e * (m - 1) - 1) // t + 1)):
        yield n, u, v, x[n, :, s * u:s * u + d * (k - 1) + 1:d, t * v:t * v + e * (m - 1) + 1:e]


def places(x, kernel, stride, padding, dilation=1):
    """(OH, OW), by counting where a kernel's first row and column may stand."""
    return [len(range(0, n + 2 * p - d * (k - 1), s)) for n, k, s, p, d in zip(
        x.shape[2:], *map(both, (kernel, stride, padding, dilation)))]


def conv2d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    D, c, *kernel = W.shape
    y = np.zeros((len(x), D, *places(x, tuple(kernel), stride, padding, dilation)))
    for n, u, v, window in windows(x, tuple(kernel), stride, padding, 0, dilation):
        for o in range(D):
            part = o // (D // groups) * c
            y[n, o, u, v] = (0 if b is None else b[o]) + np.sum(window[part:part + c] * W[o])
    return y


def pooled(d: Draw) -> Any:
    kernel = d.pick((2, 2), (3, 3), (1, 2))
    padding = d.pick(0, 0, (0, 1)) if kernel[1] > 1 else 0
    x = d.spaced(pictures(d, d.side(), kernel, padding))
    stride = d.pick(None, 1, 2, (1, 3))
    return call(x, kernel[0] if kernel[0] == kernel[1] else kernel, stride, padding)


def pool2d(fill, reduce):
    def reference(x, kernel, stride, padding):
        stride = kernel if stride is None else stride
        y = np.zeros((*x.shape[:2], *places(x, kernel, stride, padding)))
        for n, u, v, window in windows(x, kernel, stride, padding, fill):
            y[n, :, u, v] = [reduce(channel.ravel().tolist()) for channel in window]
        return y
    return reference


def batch_norm(x, weight, bias, mean=None, var=None, eps=1e-5):
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        m, v = (np.mean(x[:, c]), np.var(x[:, c])) if mean is None and x[:, c].size else (
            (0, 0) if mean is None else (mean[c], var[c]))
        y[:, c] = weight[c] * (x[:, c] - m) / math.sqrt(v + eps) + bias[c]
    return y


def batch_normed(d: Draw) -> Any:
    C = d.side()
    x = d.spaced((d.side(), C, d.side(1), d.pick(1, 2)))
    return call(x, d.normal((C,)), d.normal((C,)), eps=d.pick(1e-5, 0.1))


def normed_by_constants(d: Draw) -> Any:
    (x, weight, bias), options = batch_normed(d)
    return call(x, weight, bias, mean=d.normal(bias.shape), var=d.positive(bias.shape), **options)


case("conv2d", convolved, conv2d)
case("max_pool2d", pooled, pool2d(-math.inf, max))
case("avg_pool2d", pooled, pool2d(0, lambda numbers: math.fsum(numbers) / len(numbers)))
case("batch_norm", batch_normed, batch_norm)
case("batch_norm(mean)", normed_by_constants, batch_norm)

# -- what the properties do with a call --------------------------------------------------------------------------------


def leaves(args: Any) -> list[np.ndarray]:
    """The differentiable arrays among the arguments."""
    flat = itertools.chain.from_iterable(a if isinstance(a, (list, tuple)) else [a] for a in args)
    return [a for a in flat if isinstance(a, np.ndarray) and a.dtype.kind == "f"]


def put(args: Any, values: Any) -> tuple[Any, ...]:
    """The arguments with their differentiable arrays replaced, in order."""
    rest = iter(values)
    new = lambda a: next(rest) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
    return tuple(type(a)(map(new, a)) if isinstance(a, (list, tuple)) else new(a) for a in args)
