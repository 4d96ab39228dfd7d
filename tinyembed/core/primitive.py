"""The @primitive decorator: it makes an op of a function on arrays, and a graph node of its vjp."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

import numpy as np

from .arrays import as_axes, beside_arrays, given, is_scalar, kept, plain_number, result_array, words_for
from .backward import FORWARDS, Node, Vjp
from .modes import check_finite, mode
from .names import answer, answering
from .rowgrad import Array
from .tensor import METHODS, OPS, Op, Tensor, holds_tensor, unwrapped, wrap

ValueAndVjp = tuple[Any, Vjp]
WIDE, _told = np.dtype(np.float64), list[str]()  # the op that a process was told of, because it made float64
PLAIN, KEPT = {type(None), bool, int, float, str}, {np.ndarray, list, tuple}
Method = TypeVar("Method", bound=Callable[..., Any])


@overload
def primitive(forward: Callable[..., ValueAndVjp]) -> Op: ...
@overload
def primitive(*, rows: bool) -> Callable[[Callable[..., ValueAndVjp]], Op]: ...
def primitive(forward: Callable[..., ValueAndVjp] | None = None, *, rows: bool = False) -> Any:
    """Make an op of a function that returns its value and its vjp, and register it under its name in `te.OPS`.

    `forward(*args, **options)` gets arrays for tensors. It returns `(y, vjp)`; `vjp(g)` returns one entry for each
    positional argument: dL/dx for g = dL/dy, or None for a constant (trailing ones may be left out; for a list of
    tensors, a list). An entry is a fresh array, `g` or a view of `g`; nothing is ever written into `g`. The entry may
    still have y's broadcast shape and y's dtype: the engine sums over broadcast axes and casts. One that costs much may
    be a lambda without arguments, which is called only if its input wants a gradient.

    `rows=True` (the lookups) gives the first argument as its row reader instead of its table.

    >>> import tinyembed as te
    >>> @te.primitive
    ... def cube(x):
    ...     return x ** 3, lambda g: (g * 3 * x ** 2,)
    >>> x = te.Tensor([2.0], requires_grad=True)
    >>> cube(x).backward(); x.grad
    array([12.], dtype=float32)
    >>> _ = te.OPS.pop("cube")
    """
    if forward is None:
        return functools.partial(primitive, rows=rows)
    run, name = forward, forward.__name__
    if name in OPS and OPS[name].__module__.startswith("tinyembed.") and run.__module__ != OPS[name].__module__:
        raise ValueError(f"te.OPS has an op {name!r} already, and Tensor's own operators use it; choose another name")

    names = run.__code__.co_varnames[:run.__code__.co_argcount]
    axis = names.index("axis") if "axis" in names else -1
    for key, note in [*run.__annotations__.items(), ("return", "Tensor")]:  # what help says that one gives, and gets
        run.__annotations__[key] = note.replace("Array", "Tensor") if type(note) is str else note

    @functools.wraps(run)
    def op(*args: Any, **options: Any) -> Tensor:
        if options:
            args, options = _named(run, args, options)
        values: list[Any] = []  # of each argument: an array for a tensor,
        parents: list[Any] = []  # and where its gradient goes
        scalars: list[int] = []
        live = constants = False
        for x in args:
            parent = None
            if isinstance(x, Tensor):
                values.append(x._data if x._reader is None else x.rows() if rows and not values else x.data)
                if x._live:
                    live, parent = True, x._node or x
                elif x._data.dtype.kind != "f":  # ids, a mask
                    constants = True
            elif type(x) in PLAIN:
                values.append(x)
            elif type(x) in (list, tuple):
                value, parent = _unwrap_list(as_axes(x) if len(values) == axis else x)
                values.append(value)
                live, constants = live or parent is not None, True
            else:
                if is_scalar(x):
                    scalars.append(len(values))
                values.append(given(x))
                constants = True
            parents.append(parent)
        live = live and mode.recording
        if live and constants:
            values = [kept(x) if type(x) in KEPT else x for x in values]
        if scalars:
            values = beside_arrays(values, scalars)
        try:
            y, vjp = run(*values, **options)
        except (AttributeError, TypeError, ValueError) as error:
            _explain(error, name, values)
            raise
        if type(y) is not np.ndarray or y.dtype.kind not in "fiub":
            y = result_array(y, name, values)
        if mode.checking:
            check_finite(y, name, "forward", values)
        if not live or y.dtype.kind != "f":
            return wrap(y.copy() if _sees_a_leaf(y, args) else y)
        if y.dtype is WIDE and not _told:
            _tell_of_wide(name, parents, values)
        return wrap(y, Node(name, vjp, parents, y))

    OPS[name] = METHODS[name] = op
    FORWARDS[name] = run
    return op


def method(function: Method) -> Method:
    """Let a plain function of tensors be called as a method of its first argument."""
    function = METHODS[function.__name__] = answering(function)
    return function


def _explain(error: Exception, name: str, values: list[Any]) -> None:
    """Have an error say which op was given what; and, where it can be known, what was meant."""
    if isinstance(error, ValueError):
        raise ValueError(f"{name}: {error} [given {words_for(values)}]") from error
    if isinstance(error, AttributeError) and any(type(x) in (list, tuple) for x in values):
        raise TypeError(f"{name} takes tensors or arrays where it was given a list: te.Tensor([…])") from error
    if isinstance(error, TypeError):
        answer(error)


def _tell_of_wide(name: str, parents: list[Any], values: list[Any]) -> None:
    """Once in a process: a leaf of float32, or its transpose, met what made float64 of it (as targets do of a loss)."""
    narrow = [x for p in parents for x in (p if type(p) is tuple else (p,)) if x is not None and x.dtype == np.float32]
    if name != "astype" and any(isinstance(x, Tensor) or x.op == "transpose" for x in narrow):
        _told.append(name)
        warnings.warn(f"{name} made float64 of {words_for(values)}: so will be all that follows, at half the speed; "
                      "give it .astype(np.float32), or make all of float64 (said once)", stacklevel=4)


def _sees_a_leaf(y: Array, args: Any) -> bool:
    """Whether y is, or is a view of, an array that somebody may write into: a leaf's, or one that was given."""
    base = y if y.base is None else y.base
    for x in args:
        if isinstance(x, Tensor):
            x = x._data if x._changed >= 0 or x._live else None
        if type(x) is np.ndarray and (x is base or x.base is base):
            return True
    return False


def _unwrap_list(xs: Any) -> tuple[Any, Any]:
    """(value, parents) of an argument that is a list or tuple: with tensors in it arrays, and a tuple of parents."""
    if not holds_tensor(xs):
        return given(xs), None
    parents = tuple((x._node or x) if isinstance(x, Tensor) and x._live else None for x in xs)
    return type(xs)(given(unwrapped(x)) for x in xs), parents if any(p is not None for p in parents) else None


def _named(run: Callable[..., Any], args: Any, options: Any) -> tuple[Any, Any]:
    """Arguments by name: tensors and arrays come to their position, where the vjp answers for them."""
    if any(isinstance(x, np.ndarray) or holds_tensor(x) for x in options.values()):
        try:
            bound = inspect.signature(run).bind(*args, **options)
        except TypeError as error:
            error.args = (f"{run.__name__}() {error}",)
            answer(error)
            raise
        bound.apply_defaults()
        args, options = bound.args, {k: unwrapped(v) for k, v in bound.kwargs.items()}
    return args, {key: plain_number(x) if isinstance(x, np.generic) else as_axes(x) if key == "axis" else x
                  for key, x in options.items()}
