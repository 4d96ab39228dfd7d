"""Tensor, and the decorator that makes an op of a function.

A computation is a graph. `@primitive` makes a node for every op it runs: the op's vjp (its gradient rule) and where
its inputs came from; `backward` walks over the nodes (walk.py). A Tensor is a value, a Node is how it was made. They
are two objects so that an intermediate array lives only as long as somebody needs it: the nodes hold what the vjps
closed over, and nothing else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast, overload

import numpy as np

from .arrays import first_leaf, new_array, scalar_array
from .modes import check_finite, mode
from .rowgrad import Array, RowGrad
from .walk import Node, Vjp, tick, walk

ValueAndVjp = tuple[Any, Vjp]
Op = Callable[..., "Tensor"]
Method = TypeVar("Method", bound=Callable[..., Any])

OPS: dict[str, Op] = {}  # every op that can make a node, by name
METHODS: dict[str, Callable[..., Any]] = {}  # what `x.name(…)` finds: the ops, and plain functions marked @method


class Tensor:
    """An array that remembers how it was computed, so that `backward` can tell how a result changes with it.

    `Tensor(data, requires_grad=False)` copies `data` (a memory-mapped array is adopted). Floating arrays keep their
    dtype; Python floats and lists of them become float32, Python integers, and the empty list, int64. Only floats can
    require a gradient.

    `.data` is the array, `.grad` what `backward` accumulated (`ndarray`, `RowGrad` or None). Assigning `.data` makes a
    copy, and is noticed: a backward through an older graph is refused. Writing into the bare array (`x.data[...] = …`)
    is for outside a graph; inside one it cannot be seen and gives gradients of neither value.

    Operators and methods follow NumPy; every op in `te.OPS` is a method too (`x.tanh()`, `x.sum(axis=0)`).

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y
    Tensor(14., float32, op=sum)
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_changed", "_data", "_grad", "_live", "_node", "_reader")
    __array_ufunc__ = None  # so that `ndarray + Tensor` comes to Tensor.__radd__

    _data: Array

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data = new_array(data.data if isinstance(data, Tensor) else data)
        self._node: Node | None = None
        self._reader: Any = None  # of a Parameter whose rows are not simply those of _data: who reads them
        self._grad: Any = None
        self._changed = 0
        self._live = False
        self.requires_grad = requires_grad

    # -- what it holds -------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array; of a Parameter whose rows lag, the values of now, fresh and read-only. Assigning checks the shape,
        keeps the dtype and copies."""
        return self._data if self._reader is None else cast(Array, self._reader.current())

    @data.setter
    def data(self, value: Any) -> None:
        value = np.asarray(value.data if isinstance(value, Tensor) else value)
        if value.shape != self.shape:
            raise ValueError(f"cannot assign data of shape {value.shape} to a {type(self).__name__} of shape "
                             f"{self.shape}; make a new one")
        if not np.can_cast(value.dtype, self.dtype, "same_kind"):
            raise TypeError(f"cannot assign {value.dtype} data to a {type(self).__name__} of {self.dtype}")
        if self._reader is not None:
            self._reader.commit()  # the states of all rows, too, belong to now
        self._data = np.array(value, self.dtype, order="C")
        self.mark_changed()

    def mark_changed(self) -> None:
        """Say that the stored values changed, as every optimiser does: older graphs can no longer go backward here."""
        self._changed = tick()

    @property
    def grad(self) -> Any:
        """None, or the gradient accumulated since `zero_grad`: an ndarray, or a RowGrad if only rows were looked up."""
        return self._grad

    @grad.setter
    def grad(self, g: Any) -> None:
        g = np.asarray(g) if isinstance(g, np.generic) else g
        if g is not None and not (isinstance(g, (np.ndarray, RowGrad)) and g.shape == self.shape):
            raise ValueError(f"a gradient of a Tensor of shape {self.shape} is an ndarray or RowGrad of that shape, or "
                             f"None; got {type(g).__name__} {getattr(g, 'shape', '')}")
        self._grad = g

    @property
    def requires_grad(self) -> bool:
        """Whether backward reaches this tensor."""
        return self._live

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        if on and self._data.dtype.kind != "f":
            raise TypeError(f"only floating tensors can require a gradient, not {self.dtype}")
        if self._node is not None and not on:
            raise ValueError("a computed tensor carries its graph; use .detach() for a copy without it")
        self._live = bool(on)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def T(self) -> Tensor:
        """All axes reversed, as in NumPy."""
        return OPS["transpose"](self)

    def numpy(self) -> Array:
        """The array, read-only."""
        view = self.data.view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype) if copy else np.asarray(self.numpy(), dtype)

    def item(self) -> Any:
        """The one value of a tensor of size 1, as a Python number."""
        return self.data.item()

    def detach(self) -> Tensor:
        """The same values without their history; of a leaf a copy, since optimisers write into leaves."""
        return _wrap(self.data if self._node is not None else self.data.copy())

    def zero_grad(self) -> None:
        self._grad = None

    def rows(self) -> Any:
        """What a lookup reads from: an object with `.shape`, `.dtype` and `.take(ids, axis=0, mode=…)`."""
        return self._data if self._reader is None else self._reader

    def backward(self, grad: Any = None) -> None:
        """Accumulate dL/dx into `.grad` of every leaf x this tensor was computed from, and free the graph.

        L is this tensor, if it has one entry, or sum(grad * self) for a given `grad` of this shape. All checks come
        before any `.grad` changes: a leaf changed since, a second walk over a freed graph, a misshapen gradient.
        """
        if not self._live:
            raise RuntimeError("backward needs a tensor computed from one with requires_grad=True, outside no_grad; "
                               f"this is {self!r}")
        if grad is None:
            if self.size != 1:
                raise ValueError(f"backward without a gradient needs a single number, not shape {self.shape}; "
                                 "reduce it first (.sum(), .mean()) or give grad=")
            grad = np.ones(self.shape, self.dtype)
        grad = np.asarray(grad.data if isinstance(grad, Tensor) else grad, self.dtype)
        if grad.shape != self.shape:
            raise ValueError(f"grad has shape {grad.shape}, the tensor {self.shape}")
        walk(self if self._node is None else self._node, grad)

    # -- looks ---------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        name = type(self).__name__
        values = np.array2string(self.data, separator=", ", prefix=name + "(", threshold=60, edgeitems=3, precision=4)
        made = f", op={self._node.op}" if self._node else ", requires_grad" * self._live
        shape = f"shape {self.shape}, " if self.ndim > 1 or self.size > 60 else ""
        return f"{name}({values}, {shape}{self.dtype}{made})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = METHODS.get(name)
        if method is None:
            raise AttributeError(f"a {type(self).__name__} has no attribute and no op {name!r}")
        return functools.partial(method, self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *METHODS]

    def reshape(self, *shape: Any) -> Tensor:
        """`x.reshape(2, 3)` or `x.reshape((2, 3))`."""
        return OPS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """`x.transpose(1, 0)`, `x.transpose((1, 0))`, or all axes reversed."""
        return OPS["transpose"](self, axes[0] if len(axes) == 1 else axes or None)

    def __add__(self, other: Any) -> Tensor: return OPS["add"](self, other)
    def __radd__(self, other: Any) -> Tensor: return OPS["add"](other, self)
    def __sub__(self, other: Any) -> Tensor: return OPS["subtract"](self, other)
    def __rsub__(self, other: Any) -> Tensor: return OPS["subtract"](other, self)
    def __mul__(self, other: Any) -> Tensor: return OPS["multiply"](self, other)
    def __rmul__(self, other: Any) -> Tensor: return OPS["multiply"](other, self)
    def __truediv__(self, other: Any) -> Tensor: return OPS["divide"](self, other)
    def __rtruediv__(self, other: Any) -> Tensor: return OPS["divide"](other, self)
    def __pow__(self, other: Any) -> Tensor: return OPS["power"](self, other)
    def __rpow__(self, other: Any) -> Tensor: return OPS["power"](other, self)
    def __matmul__(self, other: Any) -> Tensor: return OPS["matmul"](self, other)
    def __rmatmul__(self, other: Any) -> Tensor: return OPS["matmul"](other, self)
    def __neg__(self) -> Tensor: return OPS["negative"](self)
    def __abs__(self) -> Tensor: return OPS["abs"](self)
    def __getitem__(self, index: Any) -> Tensor: return OPS["getitem"](self, index)

    # Comparisons give boolean tensors, which have no gradient and so no node.
    def __lt__(self, other: Any) -> Tensor: return _wrap(np.less(self.data, _unwrapped(other)))
    def __le__(self, other: Any) -> Tensor: return _wrap(np.less_equal(self.data, _unwrapped(other)))
    def __gt__(self, other: Any) -> Tensor: return _wrap(np.greater(self.data, _unwrapped(other)))
    def __ge__(self, other: Any) -> Tensor: return _wrap(np.greater_equal(self.data, _unwrapped(other)))
    def __eq__(self, other: Any) -> Tensor: return _wrap(np.equal(self.data, _unwrapped(other)))  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: return _wrap(np.not_equal(self.data, _unwrapped(other)))  # type: ignore[override]

    __hash__ = object.__hash__


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

    @functools.wraps(run)
    def op(*args: Any, **options: Any) -> Tensor:
        if options and any(isinstance(x, np.ndarray) or _holds_tensor(x) for x in options.values()):
            args, options = _by_position(run, args, options)
        values: list[Any] = []
        parents: list[Any] = []
        live = numpy_scalar = False
        for x in args:
            if isinstance(x, Tensor):
                values.append(x._data if x._reader is None else x.rows() if rows and not values else x.data)
                if x._live:
                    live = True
                    parents.append(x._node or x)
                else:
                    parents.append(None)
            elif type(x) in (list, tuple):
                value, parent = _unwrap_list(x)
                values.append(value)
                parents.append(parent)
                live = live or parent is not None
            else:
                values.append(x)
                parents.append(None)
                numpy_scalar = numpy_scalar or type(x) is np.float64
        if numpy_scalar and any(isinstance(x, np.ndarray) for x in values):  # x / np.sqrt(8) does not promote either
            values = [float(x) if type(x) is np.float64 else x for x in values]
        try:
            y, vjp = run(*values, **options)
        except ValueError as error:
            raise ValueError(f"{name}: {error} [given {_inputs(values)}]") from error
        except AttributeError as error:
            if any(type(x) in (list, tuple) for x in values):
                raise TypeError(f"{name} takes tensors or arrays where it was given a list: te.Tensor([…])") from error
            raise
        if type(y) is not np.ndarray:
            y = scalar_array(y, values)
        if mode.checking:
            check_finite(y, name, "forward", values)
        out = _wrap(y)
        if live and mode.recording and y.dtype.kind == "f":
            out._live = True
            out._node = Node(name, vjp, parents, y)
        elif live and y.base is not None and _holds_memory_of(y.base, values):
            out._data = y.copy()  # no view of a leaf that an optimiser may write into
        return out

    OPS[name] = METHODS[name] = op
    return op


def method(function: Method) -> Method:
    """Let a plain function of tensors be called as a method of its first argument."""
    METHODS[function.__name__] = function
    return function


# -- making arrays -----------------------------------------------------------------------------------------------------


def _wrap(y: Any) -> Tensor:
    """A Tensor around an array that is nobody else's, without a copy."""
    out = Tensor.__new__(Tensor)
    out._data = y if type(y) is np.ndarray else np.asarray(y)
    out._node = None
    out._reader = None
    out._grad = None
    out._changed = 0
    out._live = False
    return out


def _holds_memory_of(base: Any, values: list[Any]) -> bool:
    """Whether one of the values is `base`, or a view of it."""
    for x in values:
        if type(x) is np.ndarray and (x is base or x.base is base):
            return True
    return False


def _unwrapped(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _holds_tensor(x: Any) -> bool:
    if type(x) in (list, tuple):
        for i in x:
            if isinstance(i, Tensor):
                return True
    return isinstance(x, Tensor)


def _unwrap_list(xs: Any) -> tuple[Any, Any]:
    """(value, parents) of an argument that is a list or tuple. With tensors in it: arrays, and a tuple of parents.
    Python floats: a float32 array, as in Tensor. All else (shapes, axes, an index): as it is."""
    if _holds_tensor(xs):
        parents = tuple((x._node or x) if isinstance(x, Tensor) and x._live else None for x in xs)
        return type(xs)(map(_unwrapped, xs)), parents if any(p is not None for p in parents) else None
    return (new_array(xs) if type(first_leaf(xs)) is float else xs), None


def _by_position(run: Callable[..., Any], args: Any, options: Any) -> tuple[Any, Any]:
    """Tensors and arrays given by name, put where the vjp answers for them: at their position."""
    bound = inspect.signature(run).bind(*args, **options)
    bound.apply_defaults()
    return bound.args, {k: _unwrapped(v) for k, v in bound.kwargs.items()}


def _inputs(values: list[Any]) -> str:
    """The inputs of an op in words, for its errors."""
    words = [f"{x.dtype} {x.shape}" for x in values if hasattr(x, "shape")]
    words += [_inputs(list(x)) for x in values if type(x) in (list, tuple) and any(hasattr(i, "shape") for i in x)]
    return ", ".join(words) or "no array"
