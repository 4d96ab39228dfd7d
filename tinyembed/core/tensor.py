"""Tensor: an array in a computation graph, its operators and methods.

A computation is a graph. `@primitive` (primitive.py) makes a node for every op it runs: the op's vjp (its gradient
rule) and where its inputs came from; `backward` visits the nodes (backward.py). A Tensor is a value, a Node is how
it was made. They are two objects so that an intermediate array lives only as long as somebody needs it: the nodes
hold what the vjps closed over, and nothing else.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from .arrays import new_array
from .backward import Node, backward_pass, tick
from .modes import mode
from .names import answering, no_such_name
from .rowgrad import Array, RowGrad

Op = Callable[..., "Tensor"]

OPS: dict[str, Op] = {}  # every op that can make a node, by name
METHODS: dict[str, Callable[..., Any]] = {}  # what `x.name(…)` finds: the ops, and plain functions marked @method


class Tensor:
    """An array that remembers how it was computed, so that `backward` can tell how a result changes with it.

    `Tensor(data, requires_grad=False)` copies `data` (a memory-mapped array is adopted). Floating arrays keep their
    dtype; Python floats and lists of them become float32, Python integers, and the empty list, int64. Only floats can
    require a gradient.

    `.data` is the array, `.grad` what `backward` accumulated (`ndarray`, `RowGrad` or None). Assigning `.data` makes a
    copy, and is noticed: a backward through an older graph is refused. So is `x[3] = 0` within `te.no_grad()`, which
    writes into a leaf. Writing into the bare array (`x.data[...] = …`) is for outside a graph; inside one it cannot be
    seen and gives gradients of neither value, and where rows lag (see Parameter) the array is read-only.

    Operators and methods follow NumPy; every op in `te.OPS` is a method too (`x.tanh()`, `x.sum(axis=0)`), and NumPy's
    functions of those names take tensors (`np.concatenate([x, y])`). Other functions of NumPy's, and arrays made of
    tensors, would lose a gradient, and are refused while one is wanted: `x.detach()` says that none is.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y
    Tensor(14., float32, op=sum)
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_changed", "_data", "_grad", "_live", "_node", "_reader")

    _data: Array

    @answering
    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data = new_array(bare(data, "te.Tensor"))
        self._node: Node | None = None
        self._reader: Any = None  # of a Parameter whose rows are not simply those of _data: who reads them
        self._grad: Any = None
        self._changed = 0
        self._live = False
        self.requires_grad = requires_grad

    # -- what it holds -------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array; of a Parameter whose rows lag, the values of now, fresh and read-only: `W[3] = 0` within no_grad
        writes into it. Assigning checks the shape, keeps the dtype and copies."""
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
        if g is not None and not (isinstance(g, (np.ndarray, RowGrad)) and g.shape == self.shape
                                  and np.can_cast(g.dtype, self.dtype, "same_kind")):
            raise ValueError(f"a gradient of a Tensor of shape {self.shape} is an ndarray or RowGrad of that shape, or "
                             f"None; got {type(g).__name__} {getattr(g, 'shape', '')} {getattr(g, 'dtype', '')}")
        self._grad = g if g is None or g.dtype == self.dtype else g.astype(self.dtype)

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
    def shape(self) -> tuple[int, ...]: return self._data.shape
    @property
    def ndim(self) -> int: return self._data.ndim
    @property
    def size(self) -> int: return self._data.size
    @property
    def dtype(self) -> np.dtype[Any]: return self._data.dtype

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
        bare(self, "an array of NumPy's", harmless=type(self) is not Tensor)  # many read a Parameter: maps, indexes
        return np.array(self.data, dtype) if copy else np.asarray(self.numpy(), dtype)

    # What NumPy's functions do with tensors is told in ops/numpy_calls.py.
    def __array_function__(self, *call: Any) -> Any: return METHODS["__array_function__"](self, *call)
    def __array_ufunc__(self, *call: Any, **o: Any) -> Any: return METHODS["__array_ufunc__"](self, *call, **o)

    def item(self) -> Any:
        """The one value of a tensor of size 1, as a Python number."""
        return self.data.item()

    def tolist(self) -> Any:
        """The values as Python numbers, in lists."""
        return self.data.tolist()

    def detach(self) -> Tensor:
        """A copy of the values, without their history; no view, since optimisers write into leaves."""
        return wrap(self.data.copy())

    def zero_grad(self) -> None: self._grad = None

    def rows(self) -> Any:
        """What a lookup reads from: an object with `.shape`, `.dtype` and `.take(ids, axis=0, mode=…)`."""
        return self._data if self._reader is None else self._reader

    @answering
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
        backward_pass(self if self._node is None else self._node, grad)

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

    def __iter__(self) -> Iterator[Tensor]: return (self[i] for i in range(len(self)))
    def __bool__(self) -> bool: return bool(self.data)
    def __float__(self) -> float: return float(self.item())
    def __int__(self) -> int: return int(self.item())
    def __index__(self) -> int: return operator.index(self.data)  # of no axes: NumPy asks, to see what an index is
    def __round__(self, digits: int | None = None) -> Any: return round(self.item(), digits)
    def __format__(self, spec: str) -> str: return format(self.item(), spec) if spec else str(self)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = METHODS.get(name)
        if method is None:
            return no_such_name(self, name, "Tensor")
        return functools.partial(method, self)

    def __dir__(self) -> list[str]: return [*super().__dir__(), *METHODS]

    def reshape(self, *shape: Any) -> Tensor:
        """`x.reshape(2, 3)` or `x.reshape((2, 3))`."""
        return OPS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """`x.transpose(1, 0)`, `x.transpose((1, 0))`, or all axes reversed; `x.swapaxes(0, 1)` exchanges two."""
        if len(axes) == 2 and (self.ndim != 2 or [a % 2 for a in axes] == [0, 1]):  # what PyTorch would exchange
            raise ValueError(f"x.transpose takes all {self.ndim} axes, in their new order; x.swapaxes{axes} swaps two")
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
    def __pos__(self) -> Tensor: return self
    def __abs__(self) -> Tensor: return OPS["abs"](self)
    def __getitem__(self, index: Any) -> Tensor: return OPS["getitem"](self, index)

    def __iadd__(self, other: Any) -> Tensor: return self._in_place(self + other)
    def __isub__(self, other: Any) -> Tensor: return self._in_place(self - other)
    def __imul__(self, other: Any) -> Tensor: return self._in_place(self * other)
    def __itruediv__(self, other: Any) -> Tensor: return self._in_place(self / other)

    def _in_place(self, result: Tensor) -> Tensor:
        """`w -= 0.1 * w.grad` under no_grad assigns to the leaf w; elsewhere it is w = w - 0.1 * w.grad, as always."""
        if self._is_writable():
            self.data = result
            return self
        return result

    def _is_writable(self) -> bool:
        return not mode.recording and self._node is None and (self._live or type(self) is not Tensor)

    def __setitem__(self, index: Any, value: Any) -> None:
        """`W[3] = 0` under no_grad writes into the leaf W, and is noticed as an assignment to `.data` is."""
        if not self._is_writable():
            raise TypeError("x[…] = … writes into a leaf, within `with te.no_grad():`; elsewhere te.ops.where(mask, y, "
                            "x) is x with other values in some places")
        data = self._data if self._reader is None else np.array(self.data)
        data[unwrapped(index)] = unwrapped(value)
        if self._reader is None:
            return self.mark_changed()
        self.data = data

    # Comparisons and logic give boolean tensors, which have no gradient and so no node.
    def __lt__(self, other: Any) -> Tensor: return wrap(np.less(self.data, unwrapped(other)))
    def __le__(self, other: Any) -> Tensor: return wrap(np.less_equal(self.data, unwrapped(other)))
    def __gt__(self, other: Any) -> Tensor: return wrap(np.greater(self.data, unwrapped(other)))
    def __ge__(self, other: Any) -> Tensor: return wrap(np.greater_equal(self.data, unwrapped(other)))
    def __eq__(self, other: Any) -> Tensor: return wrap(np.equal(self.data, unwrapped(other)))  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: return wrap(np.not_equal(self.data, unwrapped(other)))  # type: ignore[override]
    def __invert__(self) -> Tensor: return wrap(np.invert(self.data))
    def __and__(self, other: Any) -> Tensor: return wrap(np.bitwise_and(self.data, unwrapped(other)))
    def __or__(self, other: Any) -> Tensor: return wrap(np.bitwise_or(self.data, unwrapped(other)))
    def __xor__(self, other: Any) -> Tensor: return wrap(np.bitwise_xor(self.data, unwrapped(other)))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__
    __hash__ = object.__hash__


def wrap(y: Any, node: Node | None = None) -> Tensor:
    """A Tensor around an array that is nobody else's, without a copy; and the node that made it, if it has one."""
    out = Tensor.__new__(Tensor)
    out._data = y if type(y) is np.ndarray else np.asarray(y)
    out._node = node
    out._live = node is not None
    out._reader = out._grad = None
    out._changed = -1  # no leaf: nobody writes into it
    return out


def bare(x: Any, where: str, harmless: bool = False) -> Any:
    """x without its history, of a Tensor; of a list of them a list. TypeError where a gradient would be lost."""
    if type(x) in (list, tuple) and holds_tensor(x):
        return [bare(i, where) for i in x]
    if isinstance(x, Tensor) and x._live and mode.recording and not harmless:
        raise TypeError(f"{where} would keep the values of a {type(x).__name__} that wants a gradient, and lose the "
                        "gradient; use an op (te.OPS), or give it x.detach(), if none is to come back")
    return unwrapped(x)


def unwrapped(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def holds_tensor(x: Any) -> bool:
    if type(x) in (list, tuple):
        for i in x:
            if isinstance(i, Tensor):
                return True
    return isinstance(x, Tensor)
