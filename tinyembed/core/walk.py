"""Nodes, and the walk backward over them.

`backward` visits the nodes from the last made to the first, so that a node is reached only when all that used it have
sent their gradients. Birth numbers give that order, without recursion and without sorting the graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, cast

import numpy as np

from .modes import check_finite, mode
from .rowgrad import Array, RowGrad

Vjp = Callable[[Array], tuple[Any, ...]]

tick = itertools.count(1).__next__  # one clock for births of nodes and changes of leaves


class Node:
    """How a Tensor was made: the op's name, its vjp, and for each positional argument where its gradient goes."""

    __slots__ = ("birth", "dtype", "op", "parents", "shape", "vjp")

    def __init__(self, op: str, vjp: Vjp, parents: list[Any], y: Array) -> None:
        self.op, self.vjp, self.parents = op, cast("Vjp | None", vjp), parents
        self.shape, self.dtype, self.birth = y.shape, y.dtype, tick()


def walk(root: Any, g: Any) -> None:
    """From the last node to the first: call each vjp once, send its entries to the parents, free the node.

    Leaves are collected on the side and get their `.grad` at the end, so that an error on the way changes none.
    """
    grads: dict[Any, Any] = {root: g}  # of nodes and leaves by identity
    owned: set[int] = set()  # births of nodes whose gradient is a sum the engine made itself, and may add to in place
    heap: list[tuple[int, Node]] = []
    if type(root) is Node:
        heap.append((-root.birth, root))
    while heap:
        node = heappop(heap)[1]
        g = grads.pop(node)
        owned.discard(node.birth)
        if isinstance(g, RowGrad):
            g = g.to_dense()  # only a leaf keeps a RowGrad
        vjp, parents = node.vjp, node.parents
        if vjp is None:
            raise RuntimeError(f"backward has already walked over this {node.op}, and freed it; compute the value "
                               "again, or add the losses and go backward once")
        node.vjp, node.parents = None, []
        entries = vjp(g)
        if type(entries) is not tuple or len(entries) > len(parents):
            raise TypeError(f"the vjp of {node.op} must return a tuple of at most {len(parents)} entries")
        for parent, entry in zip(parents, entries):
            if parent is None or entry is None:
                continue
            for x, gx in zip(parent, entry) if type(parent) is tuple else ((parent, entry),):
                if x is None:
                    continue
                if type(gx) is not RowGrad:
                    gx = _fit(gx, x, node)
                elif gx.shape != x.shape:
                    raise ValueError(f"the vjp of {node.op} gave a RowGrad of shape {gx.shape} for {x.shape}")
                if mode.checking:
                    check_finite(gx, node.op, "backward", [g])
                if type(x) is Node:
                    if x not in grads:
                        grads[x] = gx
                        heappush(heap, (-x.birth, x))
                    elif x.birth in owned and type(gx) is not RowGrad:
                        grads[x] += gx
                    else:
                        grads[x] = grads[x] + gx
                        if isinstance(grads[x], np.ndarray):
                            owned.add(x.birth)
                else:
                    if x._changed > node.birth:
                        raise RuntimeError(
                            f"a {type(x).__name__} of shape {x.shape} was changed after {node.op} had read it; "
                            "go backward before the optimiser steps or data is assigned")
                    # A leaf must not share its array with another leaf, nor with g.
                    if x in grads:
                        grads[x] = grads[x] + gx
                    else:
                        grads[x] = gx.copy() if type(gx) is np.ndarray and (gx is g or gx.base is not None) else gx
    if type(root) is not Node:
        grads[root] = g.copy()
    for x, gx in grads.items():
        total: Any = gx if x._grad is None else x._grad + gx
        x._grad = total if isinstance(total, RowGrad) else np.asarray(total)


def _fit(gx: Any, x: Any, node: Node) -> Array:
    """The gradient in x's shape and dtype: broadcasting copied x, so its gradient is the sum over the copies."""
    if type(gx) is not np.ndarray:
        gx = np.asarray(gx)
    shape = x.shape
    if gx.shape != shape:
        extra = gx.ndim - len(shape)
        axes = tuple(i for i in range(gx.ndim) if i < extra or (shape[i - extra] == 1 and gx.shape[i] != 1))
        fitted = gx.sum(axes, keepdims=True) if axes else gx
        if extra < 0 or fitted.shape[extra:] != shape:
            raise ValueError(f"the vjp of {node.op} gave a gradient of shape {gx.shape} for an input of shape {shape}")
        gx = fitted.reshape(shape)
    return cast(Array, gx if gx.dtype == x.dtype else gx.astype(x.dtype))
