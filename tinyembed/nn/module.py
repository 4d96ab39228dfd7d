"""Module: the base of layers and models; parameters are found by walking its attributes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Answering, FileReference, Parameter, Tensor, answer, answering

if TYPE_CHECKING:
    from .features import Features


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a Tensor, or of what NumPy makes an array of."""
    return x.shape if isinstance(x, Tensor) else np.shape(x)


class Buffer(Parameter):
    """An array that a module computes and keeps, such as a running mean: it is saved and loaded with the parameters,
    and is none of them. No gradient reaches it, no optimiser gets it."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=False)


class Module(Answering, place="Module"):
    """Base of layers and models. Subclasses set attributes in `__init__` and define `forward`.

    Parameters and modules are found among the attributes, and in lists, tuples and dicts held by them, in the order
    they were set; an object that appears twice (a tied table) counts once, under its first name.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(np.float32(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(Tensor([1.0, 3.0])).data, [name for name, p in scale.named_parameters()]
    (array([2., 6.], dtype=float32), ['factor'])
    """

    training = True

    def forward(self, *args: Any, **options: Any) -> Any:
        """What calling the module computes; each subclass defines its own."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return self.forward(*args, **options)
        except TypeError as error:
            answer(error)
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        """A parameter's place is for parameters, or None: anything else would be out of training without a word."""
        before = vars(self).get(name)
        place: Any = object if before is None else Buffer if isinstance(before, Buffer) else (Parameter, Module) if \
            isinstance(before, Parameter) else (Parameter, Callable) if isinstance(before, Module) else object
        mine, kind = f"{name} of {type(self).__name__}", type(value).__name__
        if not (value is None or isinstance(value, place)) or (place == (Parameter, Module) and kind == "Buffer"):
            raise TypeError(f"{mine} is a {type(before).__name__}, and a {kind} in its place would not be trained: "
                            f"assign what it has, {name}.data = … say, or a new one")
        _refuse_leaf(mine, value)
        if isinstance(value, Parameter) and value is not before:
            self._promise(name, value)
        super().__setattr__(name, value)

    def _promise(self, name: str, parameter: Parameter) -> None:
        """Told of a parameter before it becomes the attribute `name`: a layer that keeps promises on one makes them."""

    # -- what is inside ------------------------------------------------------------------------------------------------

    def _walk(self, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
        """(dotted name, object) of this module, and of every parameter and module inside, each once."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, value in _entries(vars(self), prefix):
            if isinstance(value, Module):
                yield from value._walk(name, seen)
            elif id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def named_state(self) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter or buffer), each once: what `state_dict` and checkpoints hold."""
        names = set()
        for name, x in self._walk():
            if isinstance(x, Parameter):
                if name in names:
                    raise ValueError(f"two parameters would be called {name!r}: keys of one dict differ only in type")
                names.add(name)
                yield name, x

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once."""
        return ((name, p) for name, p in self.named_state() if not isinstance(p, Buffer))

    def buffers(self) -> list[Buffer]:
        """The buffers: arrays that are state, and no parameters."""
        return [p for _, p in self.named_state() if isinstance(p, Buffer)]

    def parameters(self) -> list[Parameter]:
        """The parameters, each once, in the order of their names' first appearance."""
        return [p for _, p in self.named_parameters()]

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(dotted name, module), this one first under the empty name."""
        return ((name, x) for name, x in self._walk() if isinstance(x, Module))

    def features(self, *layers: str, pool: str | list[str] | None = None) -> Features:
        """An encoder: what the modules of these names, as `named_modules` gives them, make of an item is its vector.

        See `nn.Features`. Nothing in the model changes.

        >>> from tinyembed.nn import Dense, Linear, Sequential
        >>> model = Sequential(Dense(3, 8, "tanh"), Linear(8, 2))
        >>> model.features("0").encode(np.ones((5, 3), np.float32)).shape
        (5, 8)
        """
        from .features import Features
        return Features(self, layers, pool)

    # -- modes ---------------------------------------------------------------------------------------------------------

    def train(self, on: bool = True) -> Any:
        """Training mode for this module and all inside (dropout drops); returns the module."""
        for _, module in self.named_modules():
            module.training = on
        return self

    def eval(self) -> Any:
        """Evaluation mode: `train(False)`."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode within, and each module's own mode again after it."""
        modes = [(module, module.training) for _, module in self.named_modules()]
        self.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training

    def freeze(self, on: bool = True) -> Any:
        """Take all parameters inside out of training (`requires_grad = False`), or with on=False back in."""
        for p in self.parameters():
            p.requires_grad = not on
            p.zero_grad()
        return self

    @answering
    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.zero_grad()

    # -- state ---------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Name -> a copy of the array of each parameter and buffer; of a mapped table a `FileReference`, which says
        where it is."""
        return {name: p.storage.reference() or p.data.copy() for name, p in self.named_state()}

    @answering
    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Set every parameter and buffer from arrays or tensors of the same names and shapes (a `FileReference`: it is
        mapped from that file already), with strict=False of the names that both have. Returns (missing, unexpected).

        Raises ValueError naming all that is missing, unexpected or misshapen, and then has changed nothing.

        >>> from tinyembed.nn import Linear
        >>> Linear(3, 2).load_state_dict({"weight": np.zeros((3, 2)), "bais": np.zeros(2)})
        Traceback (most recent call last):
        ValueError: state does not fit Linear(3 -> 2): missing bias; unexpected bais; weight is (3, 2), should be (2, 3)
        """
        mine = dict(self.named_state())
        arrays = {name: x.data if isinstance(x, Tensor) else x if isinstance(x, FileReference) else np.asarray(x)
                  for name, x in state.items()}
        passed = [name for name in mine if name not in arrays], [name for name in arrays if name not in mine]
        wrong = [f"{what} {name}" for what, names in zip(("missing", "unexpected"), passed) for name in names if strict]
        wrong += [f"{name} {problem}" for name, p in mine.items() if name in arrays and (
            problem := p.refuses(arrays[name]))]
        if wrong:
            raise ValueError(f"state does not fit {self._title()}: {'; '.join(wrong)}")
        for name, p in mine.items():
            array = arrays.get(name)
            if array is not None and not isinstance(array, FileReference):
                p.data = array.astype(p.dtype)
        return passed

    # -- looks ---------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr; subclasses give their sizes."""
        return ""

    def _title(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        """The module and what is inside it, as an indented outline."""
        return "\n".join(self._outline(set()))

    def _outline(self, seen: set[int]) -> list[str]:
        """The lines of the repr; what stands above already is not opened again."""
        lines = [self._title()]
        seen.add(id(self))
        for name, x in _entries(vars(self)):
            if isinstance(x, Module):
                first, *others = [f"{x._title()} (as above)"] if id(x) in seen else x._outline(seen)
                lines += [f"  {name}: {first}", *(f"  {line}" for line in others)]
        return lines

    def summary(self) -> str:
        """A table of all parameters: name, shape, count; tied ones once, frozen ones marked.

        >>> from tinyembed.nn import Linear
        >>> print(Linear(3, 2).summary())
        parameter   shape    count
        weight      (2, 3)       6
        bias        (2,)         2
        total                    8
        """
        rows = [(name + " (frozen)" * (not p.requires_grad), str(p.shape), f"{p.size:,}")
                for name, p in self.named_parameters()]
        rows = [("parameter", "shape", "count"), *rows, ("total", "", f"{sum(p.size for p in self.parameters()):,}")]
        a, b, c = (max(len(row[i]) for row in rows) for i in range(3))
        return "\n".join(f"{name:<{a}}   {shape:<{b}}   {count:>{c}}" for name, shape, count in rows)


def _entries(values: Any, prefix: str = "", listed: bool = False) -> Iterator[tuple[str, Any]]:
    """(dotted name, parameter or module) in a dict, list or tuple, nested ones included, in insertion order."""
    parameter = tensor = ""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, (Module, Parameter)):
            if "." in str(key):
                raise ValueError(f"{key!r} cannot name a parameter or module: dots separate the parts of a name")
            parameter = name if isinstance(value, Parameter) else parameter
            yield name, value
        elif isinstance(value, (dict, list, tuple)):
            yield from _entries(value, name, True)
        elif listed and isinstance(value, (Tensor, set, deque)):  # a module's own were looked at when they were set
            tensor = name if isinstance(value, Tensor) else tensor
            _refuse_leaf(name, value)
    if listed and parameter and tensor:
        raise TypeError(f"{tensor} is a Tensor, which is not trained, beside the Parameter {parameter}: assign its "
                        "values instead, p.data = …")


def _refuse_leaf(name: str, x: Any) -> None:
    """TypeError for what wants a gradient where no parameter is found, and would be out of training without a word."""
    lost = any(isinstance(i, (Parameter, Module)) for i in x) if isinstance(x, (set, deque)) else (
        type(x) is Tensor and x.requires_grad and x._node is None)
    if lost:
        raise TypeError(f"{name} is a {type(x).__name__}, which is not searched for parameters: use a Parameter, in a "
                        "list or dict if there are several")


class ModuleList(Module):
    """A list of modules; a plain list as an attribute serves as well. This one has a name and can be indexed.

    >>> blocks = ModuleList([Module(), Module()])
    >>> len(blocks), [name for name, _ in blocks.named_modules()]
    (2, ['', '0', '1'])
    """

    def __init__(self, modules: Any = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"a {type(self).__name__} holds modules, not {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(name.isdecimal() for name in vars(self))

    def __iter__(self) -> Iterator[Any]:
        return (vars(self)[str(i)] for i in range(len(self)))

    def __getitem__(self, i: int) -> Any:
        if not -len(self) <= i < len(self):
            raise IndexError(f"module {i} of a list of {len(self)}")
        return vars(self)[str(i % len(self))]


class Sequential(ModuleList):
    """Modules one after the other: the output of each is the input of the next.

    >>> from tinyembed.nn import Dropout, Linear
    >>> Sequential(Linear(3, 8), Dropout(0.1), Linear(8, 2))
    Sequential()
      0: Linear(3 -> 8)
      1: Dropout(p=0.1)
      2: Linear(8 -> 2)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x
