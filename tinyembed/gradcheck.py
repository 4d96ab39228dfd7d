"""Gradient checks: the engine's gradients against finite differences.

A derivative along a direction u is measured from five values of the function,

    f'(x) u  =  (4 d(h) - d(2h)) / 3 + O(h^4),     d(h) = (f(x + h u) - f(x - h u)) / 2 h,

in float64. The same five values give the slope from the right and the slope from the left. Where those differ however
small h becomes, the point is at a kink, a tie or a jump, and there is no derivative to compare with: a KinkError,
which speaks of the point, not of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .core import Array, RowGrad, Tensor, enable_grad, no_grad

STEPS = (2e-4, 2e-5, 2e-6)  # tried in turn: a smaller one gets clear of a kink nearby
FULL_LIMIT = 200  # up to this many input and output entries, the default is the full Jacobian
EPS = float(np.finfo(np.float64).eps)


class GradientError(AssertionError):
    """A gradient is not the derivative of the forward."""


class KinkError(ValueError):
    """The function has no derivative at the point where its gradient was to be checked."""


def check_gradients(f: Any, *inputs: Any, full: bool | None = None, rtol: float = 1e-6, atol: float = 1e-8,
                    rng: np.random.Generator | None = None) -> float:
    """Compare the gradients of `f(*inputs)` with finite differences; return the largest difference found.

    `f` is a function of tensors, or a module, whose parameters are then checked as well (a tied one once). Floating
    arrays and tensors are checked, in float64; integers, booleans and whatever is no array are passed on as they are.
    The output is a tensor of any shape, or a tuple of them. What f reaches in other ways, a Parameter it closes over
    say, is not checked: pass it as an input.

    full=True    every entry of the Jacobian: entries of all outputs times entries of all inputs.
    full=False   for each input and parameter, the derivative of a random combination of the outputs along a random
                 direction: a handful of evaluations, whatever the size.
    full=None    the first for up to 200 entries in and 200 out, else the second.

    A difference beyond `atol + rtol * size`, plus what rounding explains, raises GradientError with the name of the
    input or parameter, its worst entry, both values and the tolerance. A point at a kink raises KinkError. A function
    that gives two values for one input (dropout with a generator, say) raises ValueError. Values, dtypes and `.grad` of
    the parameters are left as they were.

    >>> import tinyembed as te
    >>> check_gradients(lambda x: x.tanh() * x, te.Tensor([0.5, -2.0])) < 1e-9
    True
    >>> check_gradients(te.ops.relu, te.Tensor([0.0]))
    Traceback (most recent call last):
    tinyembed.gradcheck.KinkError: at a kink, a tie or a jump: ...
    """
    rng = np.random.default_rng(20150321) if rng is None else rng  # not a seed that the values of f come from, too
    leaves: dict[str, Tensor] = {}

    def given(x: Any, name: str) -> Any:
        """x as f gets it: floating arrays and tensors as leaves, in lists and tuples too."""
        if type(x) in (list, tuple):
            return type(x)(given(item, f"{name}[{i}]") for i, item in enumerate(x))
        array = x.data if isinstance(x, Tensor) else x
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            return x
        leaves[name] = Tensor(array.astype(np.float64), requires_grad=True)
        return leaves[name]

    arguments = [given(x, f"input {i}") for i, x in enumerate(inputs)]
    if hasattr(f, "named_parameters"):
        leaves.update((name, p) for name, p in f.named_parameters() if p.requires_grad)
    if not leaves:
        raise ValueError("nothing to check: no floating input, no parameter that requires a gradient")

    def run() -> list[Tensor]:
        return list(_tensors(f(*arguments)))

    def values() -> Array:
        with no_grad():
            return np.concatenate([np.zeros(0), *(np.ravel(y.data) for y in run())])

    with enable_grad(), _in_float64(list(leaves.values())):
        here = values()
        if not np.array_equal(here, values(), equal_nan=True):
            raise ValueError("f gives two values for the same input; fix its mask or generator, or call .eval()")
        if not np.isfinite(here).all():
            raise ValueError("f is not finite here, so its differences are not either; te.debug_nan() names the op")
        if full is None:
            full = max(here.size, sum(x.size for x in leaves.values())) <= FULL_LIMIT
        # Rows of `weights` are the combinations of outputs that are compared: all single ones, or one at random.
        weights = np.eye(here.size) if full else rng.normal(size=(1, here.size))
        gradients = [_gradients(run, w, leaves) for w in weights]
        worst = 0.0
        for name, leaf in leaves.items():
            g = np.array([gradient[name] for gradient in gradients]).reshape(len(weights), leaf.size)
            worst = max(worst, _compare(name, leaf, g, lambda: weights @ values(), full, rtol, atol, rng))
    return worst


def _gradients(run: Callable[[], list[Tensor]], w: Array, leaves: dict[str, Tensor]) -> dict[str, Array]:
    """What backward gives each leaf for the number sum(w * outputs)."""
    for leaf in leaves.values():
        leaf.zero_grad()
    outputs = run()
    pieces = np.split(w, np.cumsum([y.size for y in outputs])[:-1])
    total = sum(((y * piece.reshape(y.shape)).sum() for y, piece in zip(outputs, pieces)), Tensor(0.0))
    if total.requires_grad:
        try:
            total.backward()
        except TypeError as error:  # no entry for an input that wants one
            raise GradientError(str(error)) from error
    grads = {name: leaf.grad for name, leaf in leaves.items()}
    return {name: np.zeros(leaves[name].shape) if g is None else g.to_dense() if isinstance(g, RowGrad) else g
            for name, g in grads.items()}


def _compare(name: str, leaf: Tensor, g: Array, f: Callable[[], Array], full: bool, rtol: float, atol: float,
             rng: np.random.Generator) -> float:
    """The largest difference along every coordinate (full) or along one random direction; GradientError if too large.

    A random direction that fails is halved, keeping the half that differs more, until one entry is left to blame.
    """
    n = leaf.size
    if full or n == 0:
        found = [_along(name, leaf, g, _unit(n, j), j, f, rtol, atol) for j in range(n)]
    else:
        u = rng.normal(size=n)
        u /= np.linalg.norm(u)
        found = [_along(name, leaf, g, u, None, f, rtol, atol)]
        entries = np.arange(n)
        while found[0][1] > 1 and len(entries) > 1:
            halves = np.array_split(entries, 2)
            off = [float(np.abs(g @ v - _slope(leaf, v, f, name)[0])[0]) for v in (_only(u, half) for half in halves)]
            entries = halves[int(np.argmax(off))]
        if found[0][1] > 1:
            blamed = _along(name, leaf, g, _unit(n, int(entries[0])), int(entries[0]), f, rtol, atol)
            found = [blamed if blamed[1] > 1 else found[0]]
    worst = max(found, key=lambda entry: entry[1], default=(0.0, 0.0, ""))
    if worst[1] > 1:
        raise GradientError(worst[2])
    return max((difference for difference, _, _ in found), default=0.0)


def _along(name: str, leaf: Tensor, g: Array, u: Array, entry: int | None, f: Callable[[], Array], rtol: float,
           atol: float) -> tuple[float, float, str]:
    """Along u: the largest difference, the largest in units of its tolerance, and what to say if that is above 1."""
    measured, noise = _slope(leaf, u, f, name)
    computed = g @ u
    if not computed.size:
        return 0.0, 0.0, ""
    difference = np.abs(computed - measured)
    tolerance = atol + rtol * np.maximum(np.abs(computed), np.abs(measured)) + noise
    ratio = np.where(np.isfinite(difference), difference / tolerance, np.inf)
    k = int(np.argmax(ratio))
    where = "along a random direction" if entry is None else f"at {_position(entry, leaf.shape)}"
    output = f", output entry {k}" if len(g) > 1 else ""
    return float(difference.max()), float(ratio[k]), (
        f"{name} {leaf.shape}, {where}{output}: backward gives {computed[k]:.10g}, "
        f"differences give {measured[k]:.10g}; tolerance {tolerance[k]:.2g}")


def _slope(leaf: Tensor, u: Array, f: Callable[[], Array], name: str) -> tuple[Array, Array]:
    """(derivative of f along u, how much of it may be rounding), each of f's shape."""
    base, direction = leaf._data, u.reshape(leaf.shape)
    try:
        for h in STEPS:
            at = {}
            for i in (-2, -1, 0, 1, 2):
                leaf._data = np.asarray(base + (i * h) * direction)
                at[i] = f()
            right = (4 * at[1] - 3 * at[0] - at[2]) / (2 * h)
            left = (3 * at[0] - 4 * at[-1] + at[-2]) / (2 * h)
            near, far = (at[1] - at[-1]) / (2 * h), (at[2] - at[-2]) / (4 * h)
            noise = 30 * EPS * (np.abs(at[0]) + np.abs(at[0]).max(initial=0.0)) / h
            # At a kink left and right differ, at a jump near and far do; both agree to O(h^2) where f is smooth.
            gap = np.maximum(np.abs(right - left), np.abs(near - far)) - 1e-4 * (np.abs(right) + np.abs(left)) - noise
            if not (gap > 1e-6).any():
                return (4 * near - far) / 3, noise
    finally:
        leaf._data = base
    k = int(np.argmax(gap))
    where = _position(int(np.argmax(np.abs(u))), leaf.shape)
    raise KinkError(f"at a kink, a tie or a jump: {name} {leaf.shape} near {where} has slope {left[k]:.6g} "
                    f"on one side and {right[k]:.6g} on the other; check at another point")


def _unit(n: int, j: int) -> Array:
    u = np.zeros(n)
    u[j] = 1
    return u


def _only(u: Array, entries: Array) -> Array:
    """u with all other entries set to zero."""
    v = np.zeros_like(u)
    v[entries] = u[entries]
    return v


def _position(j: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(j, shape))


def _tensors(result: Any) -> Iterator[Tensor]:
    """The floating tensors in nested tuples and lists."""
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from _tensors(part)
    elif isinstance(result, Tensor):
        if result.dtype.kind == "f":
            yield result
    else:
        raise TypeError(f"f must return a Tensor or a tuple of them, not {type(result).__name__}")


@contextmanager
def _in_float64(leaves: list[Tensor]) -> Iterator[None]:
    """The stored arrays in float64 for a while. Past the checks of `.data` on purpose: everything is put back."""
    before = [(x, x._data, x._reader, x.grad) for x in leaves]
    try:
        for x in leaves:
            x._data, x._reader = x.data.astype(np.float64), None
        yield
    finally:
        for x, data, reader, grad in before:
            x._data, x._reader = data, reader
            x.grad = grad
