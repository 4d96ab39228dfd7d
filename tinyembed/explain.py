"""What a lookup costs beside the matrix product that it equals, and how many numbers a model has: counted.

The product is plain NumPy, so that it is a judge of the engine's lookup and pays for nothing but itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .core import Array, Tensor, as_ids
from .nn import Module
from .ops import embedding


@dataclass(frozen=True)
class Way:
    """One way of reading rows: what it allocates and does, from shapes; and, if it was run, what was measured.

    `seconds` and `gradient_seconds` are the best of three runs, `held` the bytes of the arrays that the run really
    made (one-hot rows, values, gradient), to hold against `allocated`. All three are None where nothing was run.
    """

    one_hot_bytes: int
    value_bytes: int
    gradient_bytes: int
    moved: int  # bytes read and written for the values
    flops: int  # of the values
    gradient_flops: int
    seconds: float | None = None
    gradient_seconds: float | None = None
    held: int | None = None

    @property
    def allocated(self) -> int:
        return self.one_hot_bytes + self.value_bytes + self.gradient_bytes


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `explain_lookup` found; printing it gives the table."""

    table_shape: tuple[int, int]
    ids_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    gather: Way
    product: Way
    value_difference: float | None  # the largest, relative to the largest value; None: the product was not run
    gradient_difference: float | None
    refused: str = ""  # why the product was not run

    @property
    def equal(self) -> bool | None:
        """Whether values and gradients agree: within 1e-12 in float64, 1e-5 in float32. None: not run."""
        if self.value_difference is None or self.gradient_difference is None:
            return None
        return max(self.value_difference, self.gradient_difference) <= (1e-12 if self.dtype == np.float64 else 1e-5)

    def __repr__(self) -> str:
        a, b = self.gather, self.product
        rows = [("", "gather", "one-hot product"),
                *((name, f"{getattr(a, field):,}", f"{getattr(b, field):,}") for name, field in (
                    ("bytes: one-hot rows", "one_hot_bytes"), ("bytes: values", "value_bytes"),
                    ("bytes: gradient", "gradient_bytes"), ("bytes allocated", "allocated"), ("bytes moved", "moved"),
                    ("FLOPs", "flops"), ("FLOPs, gradient", "gradient_flops"))),
                ("seconds", _seconds(a.seconds), _seconds(b.seconds)),
                ("seconds, gradient", _seconds(a.gradient_seconds), _seconds(b.gradient_seconds))]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        V, D = self.table_shape
        lines = [f"ids {self.ids_shape} in a table of {V:,} x {D:,}, {self.dtype}"]
        lines += [f"  {x:<{widths[0]}}   {y:>{widths[1]}}   {z:>{widths[2]}}" for x, y, z in rows]
        lines += [f"  product not run: {self.refused}"] if self.refused else [
            f"  values differ by {self.value_difference:.1e}, gradients by {self.gradient_difference:.1e}: "
            + ("equal" if self.equal else "NOT EQUAL")]
        return "\n".join(lines)


def explain_lookup(table: Any, ids: Any, *, limit: int = 2**28, rng: np.random.Generator | None = None) -> Explanation:
    """A lookup and the one-hot product that it equals, side by side: values, gradients, bytes, FLOPs, seconds.

        W[ids] = one_hot(ids) @ W          dW = one_hot(ids)^T @ g: for the gather, rows of g added up by id

    `table` is an Embedding or a matrix (V, D), Tensor or array; `ids` integers of any shape, N in all. The gather runs
    through the engine, the product in plain NumPy, both forward and, for one random g, backward. Of an Embedding
    it reads the weight as it stands; weight and `.grad` stay as they are (an array is copied). Counted from the shapes,
    s bytes a number:

                    gather                          product
        allocated   2 N D s + 8 N                   N V s + N D s + V D s       one-hot rows, values, gradient
        moved       8 N + 2 N D s                   2 N V s + V D s + N D s     read and written for the values
        FLOPs       0, gradient at most N D         2 N V D, gradient the same

    Where the product would allocate more than `limit` bytes (256 MiB) it is not run but only counted, and the result
    says so. Raises IndexError and TypeError for bad ids, as every lookup does; ValueError for what is no matrix.

    >>> e = explain_lookup(np.eye(4), [[2, 0, 2]])
    >>> e.equal, e.gather.flops, e.product.flops, e.gather.allocated, e.product.allocated
    (True, 0, 96, 216, 320)
    >>> explain_lookup(np.zeros((50257, 8), np.float32), np.zeros(9999, int)).refused
    'it would allocate 2,012,007,164 bytes (1.9 GiB), more than limit=268,435,456'
    """
    W = table.weight if isinstance(getattr(table, "weight", None), Tensor) else table
    W = W.detach() if isinstance(W, Tensor) else Tensor(W)
    if W.ndim != 2 or W.dtype.kind != "f":
        raise ValueError(f"explain_lookup takes a table of floats (V, D), got {W.dtype} {W.shape}")
    W.requires_grad = True
    V, D = W.shape
    ids = as_ids(ids, V)
    N, s = ids.size, W.dtype.itemsize
    values, dense, one_hot = N * D * s, V * D * s, N * V * s
    gather = Way(0, values, values + 8 * N, 8 * N + 2 * values, 0, N * D)
    product = Way(one_hot, values, dense, 2 * one_hot + dense + values, 2 * N * V * D, 2 * N * V * D)
    g = (np.random.default_rng(0) if rng is None else rng).standard_normal((*ids.shape, D)).astype(W.dtype)

    def look_up() -> tuple[list[Any], Callable[[], Any]]:
        W.zero_grad()
        y = embedding(W, ids)

        def backward() -> Any:
            y.backward(g)
            return W.grad

        return [y.data], backward

    def multiply() -> tuple[list[Any], Callable[[], Any]]:
        X = np.zeros((N, V), W.dtype)
        X[np.arange(N), ids.reshape(-1)] = 1
        with np.errstate(invalid="ignore"):  # 0 * inf, in a table that holds one
            y = (X @ W.data).reshape(g.shape)
        return [y, X], lambda: X.T @ g.reshape(N, D)

    gather, y, dW = _run(gather, look_up)
    if product.allocated > limit:
        refused = (f"it would allocate {product.allocated:,} bytes ({product.allocated / 2**30:.1f} GiB), "
                   f"more than limit={limit:,}")
        return Explanation((V, D), ids.shape, W.dtype, gather, product, None, None, refused)
    product, y2, dW2 = _run(product, multiply)
    rows = dW.coalesce()
    dW2[rows.ids] -= rows.rows  # what is left of dW2 is the difference
    return Explanation((V, D), ids.shape, W.dtype, gather, product, _largest(y - y2) / (_largest(y) or 1),
                       _largest(dW2) / (_largest(rows.rows) or 1))


def _run(way: Way, forward: Callable[[], tuple[list[Any], Callable[[], Any]]]) -> tuple[Way, Array, Any]:
    """(the way with its measured fields, values, gradient), the best of three runs."""
    seconds, gradient_seconds = [], []
    for _ in range(3):
        start = time.perf_counter()
        arrays, backward = forward()
        middle = time.perf_counter()
        gradient = backward()
        seconds.append(middle - start)
        gradient_seconds.append(time.perf_counter() - middle)
    held = sum(x.nbytes for x in [*arrays, gradient])
    return replace(way, seconds=min(seconds), gradient_seconds=min(gradient_seconds), held=held), arrays[0], gradient


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))


def _seconds(t: float | None) -> str:
    return "-" if t is None else f"{t:.2g}"


class ParamCount(dict[str, int]):
    """Part -> number of parameters; `.total` is their sum, `.share(n)` the total over n. Printing gives the table."""

    @property
    def total(self) -> int:
        return sum(self.values())

    def share(self, of: float) -> float:
        return self.total / of

    def __repr__(self) -> str:
        rows = [(name, f"{n:,}") for name, n in [*self.items(), ("total", self.total)]]
        a, b = (max(len(row[i]) for row in rows) for i in (0, 1))
        return "\n".join(f"{name:<{a}}   {n:>{b}}" for name, n in rows)


def param_count(module: Module | None = None, /, *, vocab_size: int | None = None, embed_dim: int | None = None,
                max_seq_len: int = 0, num_layers: int = 0, num_heads: int = 1, mlp_ratio: float = 4,
                tied: bool = True) -> ParamCount:
    """How many numbers a module learns, or a GPT of this configuration would, without allocating anything.

    Of a module: each parameter by its name, a tied one once. Of a configuration, V = vocab_size, D = embed_dim,
    M = mlp_ratio * D:

        token V D · position max_seq_len D · blocks num_layers * (4 D^2 + 4 D of attention + 2 D M + M + D of the MLP
        + 4 D of two LayerNorms) · norm 2 D if there are blocks · head V D unless tied to the token table

    num_heads changes no count (the heads share D) but must divide D. Raises ValueError for sizes that make no model.

    >>> count = param_count(vocab_size=50257, embed_dim=12288, max_seq_len=2048)      # the tables of GPT-3
    >>> count
    token      617,558,016
    position    25,165,824
    total      642,723,840
    >>> f"{count.share(175e9):.3%}"
    '0.367%'
    >>> param_count(vocab_size=50257, embed_dim=768, max_seq_len=1024, num_layers=12, num_heads=12).total     # GPT-2
    124439808
    """
    if module is not None:
        if not isinstance(module, Module) or vocab_size is not None or embed_dim is not None:
            raise TypeError("param_count takes a Module, or a configuration by name (vocab_size=…, embed_dim=…, …), "
                            f"not {type(module).__name__}" + " and both" * isinstance(module, Module))
        return ParamCount((name, p.size) for name, p in module.named_parameters())
    if vocab_size is None or embed_dim is None:
        raise TypeError("param_count needs vocab_size=… and embed_dim=…, or a Module")
    V, D, M = vocab_size, embed_dim, round(mlp_ratio * embed_dim)
    if min(V, D, num_heads) < 1 or min(max_seq_len, num_layers, M) < 0 or D % num_heads:
        raise ValueError(f"no model has vocab_size={V}, embed_dim={D}, max_seq_len={max_seq_len}, "
                         f"num_layers={num_layers}, num_heads={num_heads} (divides embed_dim), mlp_ratio={mlp_ratio}")
    block = 4 * D * D + 4 * D + 2 * D * M + M + D + 4 * D
    parts = {"token": V * D, "position": max_seq_len * D, "blocks": num_layers * block,
             "norm": 2 * D * (num_layers > 0), "head": 0 if tied else V * D}
    return ParamCount((name, n) for name, n in parts.items() if n)
