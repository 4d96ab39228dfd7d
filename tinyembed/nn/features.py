"""Features: the output of any module inside a model as the item's vector; every model is an encoder."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core import Array, Tensor
from ..ops import concatenate
from .encoder import Encoder
from .module import Module
from .pooling import Pooling


class Features(Encoder):
    """The outputs of some modules inside a model; `model.features("blocks.2", "norm")` makes one.

        n items -> (n, d), d the sum of the widths of what the modules give

    model    any Module. Its own code is not touched, and training through `vectors` trains it
    layers   names in `model.named_modules()`; "" is what the model itself gives. Several are joined in this order.
             (torchvision's extractor gives a dict of them; here an item has one vector, as in every encoder)
    pool     None: all numbers of an output, flattened. Or a mode of `nn.Pooling`, or several, over the places of a map:
             of (B, C, H, W) C numbers are left, of (B, T, D) D; (B, D) stays as it is

    An item is what the model takes a batch of: for arrays, one of 1 or 3 axes is an item, a line of ids or a picture
    (C, H, W), and one more axis makes it several; a list is several, unless it holds numbers; a tuple is an item that
    is several arguments. An Encoder's features take what it takes. Items of one length go through the model together,
    so nothing is padded.

    Of a tuple (an LSTM's states, and the last of them) the first is taken. What was not called, or more than once, is
    refused, as is an output without a row for each item. `dim` is known once something has been encoded. Other threads
    are not to call the model meanwhile: its modules are watched by putting a `forward` of ours before theirs.

    >>> from tinyembed.nn import LSTM, Embedding, Sequential
    >>> model = Sequential(Embedding(10, 4), LSTM(4, 6))
    >>> encoder = model.features("0", "1", pool="mean")
    >>> encoder.encode([[7, 2, 2], [5]]).shape, encoder.dim
    ((2, 10), 10)
    """

    padding = 0.0

    def __init__(self, model: Module, layers: Sequence[str], pool: str | list[str] | None = None) -> None:
        names = [name for name, _ in model.named_modules()]
        for name in layers:
            if name not in names:
                near = [x for x in names if x.startswith(f"{name}.")] or difflib.get_close_matches(str(name), names, 5)
                raise ValueError(f"{type(model).__name__} has no module {name!r}; " + (
                    f"near it: {', '.join(map(repr, near[:5]))}" if near else "named_modules() lists them"))
        if not layers:
            raise ValueError(f"name one or more of the modules: {', '.join(map(repr, names))}")
        self.model, self.layers = model, tuple(layers)
        self.pooling = None if pool is None else Pooling(pool)
        self._dim: int | None = None

    @property
    def dim(self) -> int:  # type: ignore[override]
        """d; ValueError before anything has been encoded, since no module says how much it will give."""
        if self._dim is None:
            raise ValueError("the width of these features is known once an item has been encoded")
        return self._dim

    def _width(self) -> int | None:
        return self._dim

    def forward(self, *args: Any) -> Tensor:
        modules = dict(self.model.named_modules())
        with watched({name: modules[name] for name in self.layers}) as outputs:
            y = self.model(*args)
        B = len(y if isinstance(self.model, Encoder) else args[0])  # of an encoder the arguments may be bags end to end
        found = [self._rows(name, outputs[name], B) for name in self.layers]
        y = concatenate(found, -1) if len(found) > 1 else found[0]
        if self._dim not in (None, y.shape[1]):
            raise ValueError(f"{', '.join(map(repr, self.layers))}: {y.shape[1]} numbers, and {self._dim} for items "
                             'before; where items differ in length or size, pool="mean" makes vectors of one width')
        self._dim = y.shape[1]
        return y

    def _rows(self, name: str, calls: list[Any], B: int) -> Tensor:
        """What a module gave, as (B, width)."""
        if len(calls) != 1:
            raise ValueError(f"{name!r} was called {len(calls)} times in one forward, not once" + (
                ": the model goes around it, or takes its parameters alone" if not calls else
                ": take a module around it, or one that follows"))
        y = calls[0]
        if isinstance(y, (tuple, list)) and y:
            y = y[0]
        if not isinstance(y, Tensor):
            raise TypeError(f"{name!r} gives no Tensor but {type(y).__name__}")
        if y.ndim < 2 or len(y) != B:
            raise ValueError(f"{name!r} gives {y.shape}, which is not a row for each of {B} items")
        if self.pooling is None or y.ndim == 2:
            return y.reshape(B, -1)
        return self.pooling(y if y.ndim == 3 else y.reshape(B, y.shape[1], -1).transpose(0, 2, 1))

    def is_item(self, items: Any) -> bool:
        if isinstance(self.model, Encoder):
            return self.model.is_item(items)
        if isinstance(items, (np.ndarray, Tensor)):
            return items.ndim in (1, 3)
        return isinstance(items, tuple) or (isinstance(items, list) and bool(items) and np.isscalar(items[0]))

    def prepare(self, items: list[Any], prompt: str | None = None) -> list[Any]:
        if isinstance(self.model, Encoder):
            return self.model.prepare(items, prompt)
        if prompt is not None:
            raise TypeError(f"a prompt is put before texts, and {type(self.model).__name__} takes none")
        return [tuple(map(_array, item)) if isinstance(item, tuple) else _array(item) for item in items]

    def collate(self, prepared: list[Any]) -> tuple[Any, ...]:
        if isinstance(self.model, Encoder):
            return self.model.collate(prepared)
        columns = zip(*prepared) if isinstance(prepared[0], tuple) else [prepared]
        return tuple(_stacked(column) for column in columns)

    def extra_repr(self) -> str:
        return ", ".join(map(repr, self.layers)) + (f", pool={self.pooling.extra_repr()}" if self.pooling else "")


@contextmanager
def watched(modules: Mapping[str, Module]) -> Iterator[dict[str, list[Any]]]:
    """What each of these modules gives, call after call, while the context lasts.

    A `forward` among the attributes of the module itself stands before that of its class, so a model that calls
    `part(x)` or `part.forward(x)` is seen, and no Module has to know of it.
    """
    outputs: dict[str, list[Any]] = {name: [] for name in modules}
    own = {name: vars(module).get("forward") for name, module in modules.items()}

    def recorded(name: str, forward: Any) -> Any:
        def record(*args: Any, **options: Any) -> Any:
            y = forward(*args, **options)
            outputs[name].append(y)
            return y
        return record

    for name, module in modules.items():
        vars(module)["forward"] = recorded(name, module.forward)
    try:
        yield outputs
    finally:
        for name, module in modules.items():
            del vars(module)["forward"]
            if own[name] is not None:
                vars(module)["forward"] = own[name]


def _array(x: Any) -> Array:
    return x if isinstance(x, np.ndarray) else x.data if isinstance(x, Tensor) else Tensor(x).data


def _stacked(arrays: Sequence[Array]) -> Array:
    """Some items as a batch."""
    shapes = sorted({x.shape for x in arrays})
    if len(shapes) > 1:
        raise ValueError(f"items that are encoded together have one shape, not {shapes[0]} and {shapes[1]}")
    return np.stack(arrays)
