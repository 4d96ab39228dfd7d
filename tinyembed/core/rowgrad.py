"""RowGrad: a sparse gradient of few rows, and the scatter-add that sums it.

A lookup `W[ids]` reads N rows of a (V, D) table. Its gradient is zero everywhere else, so it is kept as what it is,
N (id, row) pairs, from the lookup to the optimiser. Nothing on that way allocates or walks (V, D).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .machine import take_rows

Array = np.ndarray[Any, Any]

SHORT = 8  # runs of up to this many equal ids are summed side by side, longer ones by a matrix product each
CHUNK = 4096  # so many float32 numbers are added up as they are, more through float64: a running float32 sum loses
# digits, and stalls at 2^24 = 16,777,216 ones


class RowGrad:
    """The (V, D) array that is the sum over n of e_ids[n] rows[n]^T, stored as ids and rows.

        shape (V, D)   ids (N,) int64, each in 0 … V-1, repeats allowed   rows (N, D)

    `a + b` concatenates two RowGrads; `a + array` is a dense array; `a * c` and `a / c` scale the rows, by a number or
    by an array that broadcasts to (V, D): each by its part; NumPy makes `a.to_dense()` of it. All return new objects:
    neither ids nor rows are ever written to. The ids are taken as checked (`ops.embedding` does that).

    >>> g = RowGrad((5, 2), np.array([3, 0, 3]), np.array([[1., 2.], [10., 20.], [4., 8.]]))
    >>> g.coalesce().ids, g.coalesce().rows
    (array([0, 3]), array([[10., 20.],
           [ 5., 10.]]))
    >>> g.to_dense()[3]
    array([ 5., 10.])
    """

    __slots__ = ("coalesced", "ids", "rows", "shape")
    def __init__(self, shape: tuple[int, int], ids: Array, rows: Array, coalesced: bool = False) -> None:
        if ids.ndim != 1 or rows.shape != (ids.size, shape[1]):
            raise ValueError(f"a RowGrad of shape {shape} needs ids (N,) and rows (N, {shape[1]}); "
                             f"got ids {ids.shape} and rows {rows.shape}")
        self.shape, self.ids, self.rows, self.coalesced = shape, ids, rows, coalesced

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the rows."""
        return self.rows.dtype

    @property
    def nbytes(self) -> int:
        """Bytes held: proportional to the rows looked up, whatever V is."""
        return self.ids.nbytes + self.rows.nbytes

    def __repr__(self) -> str:
        return f"RowGrad(shape={self.shape}, {self.ids.size} rows, {self.dtype})"

    def __add__(self, other: RowGrad | Array) -> Any:
        if isinstance(other, RowGrad):
            if other.shape != self.shape:
                raise ValueError(f"cannot add a RowGrad of shape {other.shape} to one of shape {self.shape}")
            return RowGrad(self.shape, np.concatenate([self.ids, other.ids]), np.concatenate([self.rows, other.rows]))
        if isinstance(other, int) and other == 0:
            return self * 1  # where `sum` begins
        if hasattr(other, "requires_grad"):
            return NotImplemented
        if not isinstance(other, np.ndarray) or other.shape != self.shape:
            raise ValueError(f"a RowGrad of shape {self.shape} adds to a RowGrad or an array of that shape, "
                             f"not to {getattr(other, 'shape', other)!r}")
        dense = other.astype(np.result_type(other, self.rows))  # astype copies
        own = self.coalesce()
        dense[own.ids] += own.rows
        return dense

    __radd__ = __add__

    def __sub__(self, other: RowGrad | Array) -> Any: return self + -other
    def __rsub__(self, other: RowGrad | Array) -> Any: return -self + other
    def __neg__(self) -> RowGrad: return self * -1
    def __mul__(self, c: Any) -> RowGrad: return self._by_rows(np.multiply, c)
    def __truediv__(self, c: Any) -> RowGrad: return self._by_rows(np.divide, c)

    __rmul__ = __mul__

    def _by_rows(self, op: Any, c: Any) -> RowGrad:
        """op(row, c) for each row, with what c, a number or of a shape that broadcasts to (V, D), has for it."""
        if hasattr(c, "requires_grad"):
            return NotImplemented  # what a Tensor makes of it is a Tensor
        c = np.asarray(c, self.dtype if self.dtype.kind == "f" else None)
        c = c if c.ndim == 0 else np.broadcast_to(c, self.shape)[self.ids]
        return RowGrad(self.shape, self.ids, op(self.rows, c), self.coalesced)

    def __array_ufunc__(self, function: Any, how: str, *args: Any, **options: Any) -> Any:
        """NumPy's arithmetic: `array * g` is `g * array`; all else is of the (V, D) array."""
        if function is np.multiply and how == "__call__" and not options and args[1] is self:
            return self * args[0]
        return getattr(function, how)(*(x.to_dense() if isinstance(x, RowGrad) else x for x in args), **options)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a RowGrad becomes an array by a copy; copy=False asks for none")
        return np.asarray(self.to_dense(), dtype)

    def coalesce(self) -> RowGrad:
        """The same gradient with ascending ids, each once; itself when it already is."""
        if self.coalesced:
            return self
        ids, rows = sum_rows_by_id(self.ids, self.rows)
        return RowGrad(self.shape, ids, rows, coalesced=True)

    def copy(self) -> RowGrad:
        """One that shares no memory with this."""
        return RowGrad(self.shape, self.ids.copy(), self.rows.copy(), self.coalesced)

    def astype(self, dtype: Any) -> RowGrad:
        """The same rows in another dtype."""
        return RowGrad(self.shape, self.ids, self.rows.astype(dtype), self.coalesced)

    def to_dense(self) -> Array:
        """The (V, D) array."""
        own = self.coalesce()
        dense = np.zeros(self.shape, self.dtype)
        dense[own.ids] = own.rows
        return dense

    def norm(self) -> float:
        """Euclidean norm of the (V, D) array, repeats summed first, in float64.

        >>> RowGrad((9, 1), np.array([2, 2]), np.array([[1.], [1.]])).norm()
        2.0
        """
        return norm(self.coalesce().rows)


def norm(x: Array) -> float:
    """Euclidean norm of all entries. Blocks are squared in x's dtype and added in float64, so that a long float32 array
    does not stall; where a square would overflow or vanish, all is divided by the largest entry first.

    >>> norm(np.array([[3., 0.], [0., 4.]], np.float32))
    5.0
    """
    flat = x.reshape(-1)
    blocks = [flat[i:i + 65536] for i in range(0, flat.size, 65536)]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = sum(float(block @ block) for block in blocks)
    if not 1e-30 < squares < np.inf and flat.size:
        top = float(np.abs(flat).max())
        if 0 < top < np.inf:
            return top * float(np.sqrt(sum(float(np.square(block / top, dtype=np.float64).sum()) for block in blocks)))
    return float(np.sqrt(squares))


def sum_rows_by_id(ids: Array, rows: Array) -> tuple[Array, Array]:
    """Scatter-add into the rows that occur: (unique ids ascending (U,), for each the sum of its rows (U, D)).

    `np.add.at` walks element by element and `np.add.reduceat` starts an inner loop for every output number. Instead:
    sort the ids, so that equal ids form runs; take the first row of every run; then add the second row of every run
    that has one, the third, … with one indexed addition each (no id repeats within one, so `+=` is right); a
    long run is the matrix product of ones with its rows.

    >>> sum_rows_by_id(np.array([7, 2, 7]), np.array([[1.], [5.], [2.]]))
    (array([2, 7]), array([[5.],
           [3.]]))
    """
    if ids.size == 0:
        return ids.astype(np.int64), rows.copy()
    order, ordered = _argsort(ids)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    unique = ordered[starts]
    if unique.size == ids.size:
        return unique, take_rows(rows, order)
    lengths = np.diff(starts, append=ids.size)
    out = take_rows(rows, order[starts])
    short = np.flatnonzero((lengths > 1) & (lengths <= SHORT))
    for r in range(1, SHORT):
        short = short[lengths[short] > r]
        if short.size == 0:
            break
        out[short] += rows.take(order[starts[short] + r], 0)
    long = np.flatnonzero(lengths > SHORT)
    ones = np.ones(CHUNK, rows.dtype)
    for run, start, length in zip(long.tolist(), starts[long].tolist(), lengths[long].tolist()):
        same = rows.take(order[start:start + length], 0)
        if length <= CHUNK:
            np.matmul(ones[:length], same, out=out[run])
        else:
            out[run] = sum_rows(same)
    return unique, out


def unique_inverse(ids: Array) -> tuple[Array, Array]:
    """(distinct ids ascending (U,), for each id where it stands among them): ids == unique[inverse].

    >>> unique_inverse(np.array([7, 2, 7]))
    (array([2, 7]), array([1, 0, 1]))
    """
    order, ordered = _argsort(ids) if ids.size else (ids, ids)
    first = np.ones(ids.size, bool)
    first[1:] = ordered[1:] != ordered[:-1]
    inverse = np.empty(ids.size, np.int64)
    inverse[order] = np.cumsum(first) - 1
    return ordered[first], inverse


def sum_dtype(dtype: Any, n: int) -> Any:
    """The dtype in which to add up n numbers of a dtype; None for their own."""
    return np.float32 if dtype == np.float16 else np.float64 if dtype == np.float32 and n > CHUNK else None


def sum_rows(rows: Array) -> Array:
    """Sum (N, D) -> (D,), where N is large in chunks, and these in float64."""
    if len(rows) <= CHUNK:
        return np.ones(len(rows), rows.dtype) @ rows
    whole = len(rows) - len(rows) % CHUNK
    partial = np.ones(CHUNK, rows.dtype) @ rows[:whole].reshape(-1, CHUNK, rows.shape[1])
    return partial.sum(0, dtype=np.float64) + rows[whole:].sum(0, dtype=np.float64)


def _argsort(ids: Array) -> tuple[Array, Array]:
    """(stable order, ids in that order). NumPy sorts plain int64 several times faster than it argsorts, so id and
    position are sorted together as one number, id * 2^bits + position, wherever that fits."""
    bits = int(ids.size).bit_length()
    if int(ids.max()) >> (62 - bits):
        order = np.argsort(ids, kind="stable")
        return order, ids[order]
    keys = np.sort((ids.astype(np.int64) << bits) | np.arange(ids.size))
    return keys & ((1 << bits) - 1), keys >> bits
