"""Two modes in which ops run: no_grad (no graph is recorded) and debug_nan (every result is checked)."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, TypeVar, cast

import numpy as np

from .rowgrad import RowGrad

Function = TypeVar("Function", bound=Callable[..., Any])


class _Mode(threading.local):
    def __init__(self) -> None:
        self.recording = True  # False inside no_grad
        self.checking = False  # True inside debug_nan
        self.before: dict[str, list[bool]] = {"recording": [], "checking": []}  # what switches will restore


mode = _Mode()


class _Switch:
    """Sets one field of the mode for a while; nests, and restores on the way out whatever happens.

    As a decorator, for as long as the function runs; of a generator that it returns, for each of its steps.
    """

    field: str
    value: bool

    def __call__(self, function: Function) -> Function:
        waits = TypeError(f"{type(self).__name__} holds for a thread, in which other tasks run while "
                          f"{getattr(function, '__name__', function)} waits; use `with` around what does not wait")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise waits

        @functools.wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            with self:
                result = function(*args, **options)
            if inspect.iscoroutine(result) or inspect.isasyncgen(result):
                raise waits
            result = (y for y in result) if isinstance(result, (map, filter, zip)) else result  # not run yet either
            return self._steps(result) if isinstance(result, GeneratorType) else result

        return cast(Function, within)

    def _steps(self, inner: Any) -> Generator[Any, Any, Any]:
        """What a generator gives, each of its steps taken within; what is sent or thrown in reaches it."""
        step: Callable[[], Any] = functools.partial(next, inner)
        try:
            while True:
                try:
                    with self:
                        value = step()
                except StopIteration as end:
                    return end.value
                try:
                    step = functools.partial(inner.send, (yield value))
                except Exception as error:
                    step = functools.partial(inner.throw, error)
        finally:
            with self:
                inner.close()

    def __enter__(self) -> None:
        mode.before[self.field].append(getattr(mode, self.field))
        setattr(mode, self.field, self.value)

    def __exit__(self, *error: object) -> None:
        setattr(mode, self.field, mode.before[self.field].pop())


class no_grad(_Switch):
    """Context or decorator in which ops record nothing: no graph, no gradient, less memory. Holds for this thread.

    >>> import tinyembed as te
    >>> x = te.Tensor([1.0], requires_grad=True)
    >>> with te.no_grad():
    ...     y = x * 2.0
    >>> y.requires_grad
    False
    """

    field, value = "recording", False


class enable_grad(_Switch):
    """Undoes no_grad within it."""

    field, value = "recording", True


class debug_nan(_Switch):
    """Context or decorator in which the first op that makes a NaN or an infinity, forward or backward, is named.

    >>> import numpy as np, tinyembed as te
    >>> with te.debug_nan(), np.errstate(divide="ignore"):
    ...     te.ops.log(te.Tensor([1.0, 0.0]))
    Traceback (most recent call last):
    FloatingPointError: log made -inf at position (1,), forward; its inputs: float32 (2,) in [0, 1]
    """

    field, value = "checking", True


def check_finite(y: Any, op: str, when: str, values: list[Any]) -> None:
    """For debug_nan: raise, naming the op, if y has a NaN or infinity."""
    y = y.rows if isinstance(y, RowGrad) else y
    if y.dtype.kind != "f" or np.isfinite(y).all():
        return
    at = np.unravel_index(int(np.argmin(np.isfinite(y))), y.shape)
    ranges = [f"{x.dtype} {x.shape} in [{np.min(x):.4g}, {np.max(x):.4g}]" if x.size else f"{x.dtype} {x.shape}"
              for x in values if isinstance(x, np.ndarray)]
    given = "its inputs" if when == "forward" else "the gradient it was given"
    raise FloatingPointError(f"{op} made {y[at]} at position {tuple(map(int, at))}, {when}; "
                             f"{given}: {', '.join(ranges)}")
