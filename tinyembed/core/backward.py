"""The backward pass: the nodes of the graph, and one visit to each, from the last made to the first.

`backward` visits the nodes from the last made to the first, so that a node is reached only when all that used it have
sent their gradients. Birth numbers give that order, without recursion and without sorting the graph.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush
from types import FunctionType
from typing import Any

import numpy as np

from .modes import check_finite, mode
from .rowgrad import Array, RowGrad, sum_dtype

Vjp = Callable[[Array], tuple[Any, ...]]

FORWARDS: dict[str, Callable[..., Any]] = {}  # the function of each op, for the names of its arguments
tick = itertools.count(1).__next__  # one clock for births of nodes and changes of leaves


class Node:
    """How a Tensor was made: the op's name, its vjp, and for each positional argument where its gradient goes."""

    __slots__ = ("birth", "dtype", "op", "parents", "shape", "vjp")

    def __init__(self, op: str, vjp: Vjp, parents: list[Any], y: Array) -> None:
        self.op, self.parents = op, parents
        self.vjp: Vjp | None = vjp
        self.shape, self.dtype, self.birth = y.shape, y.dtype, tick()


def backward_pass(root: Any, g: Any) -> None:
    """From the last node to the first: call each vjp once, send its entries to the parents, free the node.

    Leaves are collected on the side and get their `.grad` at the end, so that an error on the way changes none.
    `owned` holds those whose gradient nobody else refers to: sums are added up in it, and a leaf may keep it. An
    entry that is g, or a view of g, passes the ownership of g on, unless several entries share g.
    """
    grads: dict[Any, Any] = {root: g}  # of nodes and leaves
    owned: set[Any] = set()
    heap: list[tuple[int, Node]] = []
    if type(root) is Node:
        heap.append((-root.birth, root))
    while heap:
        node = heappop(heap)[1]
        g = grads.pop(node)
        if isinstance(g, RowGrad):
            g = g.to_dense()  # only a leaf keeps a RowGrad
        vjp, parents = node.vjp, node.parents
        if vjp is None:
            raise RuntimeError(f"backward has already walked over this {node.op}, and freed it; compute the value "
                               "again, or add the losses and go backward once")
        node.vjp, node.parents = None, []
        sent = _pair(node, parents, vjp(g), g)
        g_owned = node in owned and sum([view for _, _, view in sent]) == 1
        owned.discard(node)
        for x, gx, view in sent:
            if mode.checking:
                check_finite(gx, node.op, "backward", [g])
            if type(x) is not Node and x._changed > node.birth:
                raise RuntimeError(f"a {type(x).__name__} of shape {x.shape} was changed after {node.op} had read it; "
                                   "go backward before the optimiser steps or data is assigned")
            if x not in grads:
                grads[x] = gx
                if g_owned or not view:
                    owned.add(x)
                if type(x) is Node:
                    heappush(heap, (-x.birth, x))
            elif x in owned and type(grads[x]) is np.ndarray and type(gx) is np.ndarray and grads[x].flags.writeable:
                grads[x] += gx
            else:
                grads[x] = grads[x] + gx
                owned.add(x)
    for x, gx in grads.items():
        if x._grad is not None:
            gx = x._grad + gx
        elif x not in owned or (type(gx) is np.ndarray and not gx.flags.writeable):
            gx = gx.copy()
        x._grad = gx if isinstance(gx, RowGrad) else np.asarray(gx)


def _pair(node: Node, parents: list[Any], entries: Any, g: Array) -> list[tuple[Any, Any, bool]]:
    """(parent, its gradient in its shape and dtype, whether that may share memory with g) for each entry of a vjp that
    has somewhere to go."""
    if type(entries) is not tuple or (len(entries) > len(parents) and _too_many(node, parents, entries)):
        raise TypeError(f"the vjp of {node.op} must return a tuple of at most {len(parents)} entries")
    pairs: list[tuple[Any, Any, bool]] = []
    for i, parent in enumerate(parents):
        if parent is None:
            continue
        entry = entries[i] if i < len(entries) else None
        if type(entry) is FunctionType:
            entry = entry()
        if entry is None:
            name = [*inspect.signature(FORWARDS[node.op]).parameters, *map(str, range(i + 1))][i]
            raise TypeError(f"{node.op} has no gradient for its argument {name}, a constant, and {name} is a Tensor "
                            f"that wants one; give it {name}.detach(), if none is to come back")
        for x, gx in zip(parent, entry) if type(parent) is tuple else ((parent, entry),):
            if x is None or gx is None:
                continue
            if type(gx) is not np.ndarray or gx.shape != x.shape or gx.dtype != x.dtype:
                gx = _fit(gx, x, node)
            array = gx.rows if type(gx) is RowGrad else gx
            if pairs and any(gx is other for _, other, _ in pairs):
                array = gx = gx.copy()  # one array for two entries
            view = array is g or array.base is not None
            for k, (y, other, other_view) in enumerate(pairs):
                if (view or other_view) and _owner(array) is _owner(other):
                    view, pairs[k] = True, (y, other, True)  # two views of one memory: neither may be added up in place
            pairs.append((x, gx, view))
    return pairs


def _too_many(node: Node, parents: list[Any], entries: tuple[Any, ...]) -> bool:
    """Whether a vjp has entries beyond its op's arguments, those that came by name or were left out included."""
    kinds = [p.kind for p in inspect.signature(FORWARDS[node.op]).parameters.values()]
    most = max(len(parents), kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD))
    return any(entry is not None for entry in entries[most:])


def _owner(x: Any) -> Any:
    """Who has the memory that an array, or the rows of a RowGrad, is a view of."""
    x = x.rows if type(x) is RowGrad else x
    while (base := getattr(x, "base", None)) is not None:
        x = base
    return x


def _fit(gx: Any, x: Any, node: Node) -> Any:
    """The gradient in x's shape and dtype: broadcasting copied x, so its gradient is the sum over the copies."""
    shape = x.shape
    if type(gx) is RowGrad:
        if gx.shape != shape:
            raise ValueError(f"the vjp of {node.op} gave a RowGrad of shape {gx.shape} for an input of shape {shape}")
        return gx
    if type(gx) is not np.ndarray:
        gx = np.asarray(gx)
    if gx.shape != shape:
        extra = gx.ndim - len(shape)
        axes = tuple(i for i in range(gx.ndim) if i < extra or (shape[i - extra] == 1 and gx.shape[i] != 1))
        copies = gx.size // max(math.prod(shape), 1)
        fitted = gx.sum(axes, keepdims=True, dtype=sum_dtype(gx.dtype, copies)) if axes else gx
        if extra < 0 or fitted.shape[extra:] != shape:
            raise ValueError(f"the vjp of {node.op} gave a gradient of shape {gx.shape} for an input of shape {shape}")
        gx = fitted.reshape(shape)
    return gx if gx.dtype == x.dtype else gx.astype(x.dtype)
