"""A group of processes that train together: what they have to say to each other.

Each has a replica of the model and takes its part of every batch. After each backward they add up their gradients, in
the order of the ranks. So all take the same steps, bit for bit, and the parameters are never exchanged. That is the
style of PyTorch's DistributedDataParallel (Li et al. 2020, "PyTorch Distributed", VLDB 13).

What a rank has to say it writes to a file that all have mapped into memory (in /dev/shm, where there is one, a file is
memory). That is what `multiprocessing.shared_memory` does, but for a tracker that must be told of every end.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..core import Array, Parameter, RowGrad
from .place import as_tuple

SPIN, NAP = 1e-3, 50e-6  # seconds of looking again and again; of sleep between two looks after that
TURN, ENDED, SIZES = 0, 1, 2  # of a rank's line in the table: sums so far, whether it is done, the sizes of its files
NONE, DENSE = -2.0, -1.0  # kinds of gradients; that of a RowGrad is its number of rows
let_others_run = getattr(os, "sched_yield", lambda: time.sleep(0))


class Group:
    """The processes that train together, seen from one of them: `rank` of 0 … size-1.

    `launch` makes them. Group() is a process by itself, for which all this does nothing.

    >>> Group().size, Group(rank=1, size=2).part((np.arange(5), np.arange(5)))
    (1, (array([2, 3, 4]), array([2, 3, 4])))
    """

    def __init__(self, rank: int = 0, size: int = 1, folder: str = "") -> None:
        self.rank, self.size, self._folder, self._turn = rank, size, folder, 0
        self._maps: dict[tuple[int, int], Any] = {}  # (rank, side) -> the bytes of a file
        self._lock = threading.Lock()  # for _fence
        self._lock.acquire()
        if folder:
            self._table = np.asarray(np.memmap(os.path.join(folder, "table"), np.int64, "r+", shape=(size, 8)))

    def part(self, batch: Any) -> tuple[Any, ...]:
        """This rank's share of a batch: of each array some entries in a row, of a number that differs by one at most
        between ranks. ValueError for what cannot be divided so."""
        batch = as_tuple(batch)
        if self.size == 1:
            return batch
        n = len(batch[0])
        if any(not hasattr(x, "__getitem__") or len(x) != n for x in batch):
            raise ValueError(f"to divide a batch among {self.size} processes, each array must have an entry for each "
                             f"of its {n} examples; got {[getattr(x, 'shape', type(x).__name__) for x in batch]}")
        return tuple(x[self.rank * n // self.size:(self.rank + 1) * n // self.size] for x in batch)

    def parts(self, batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """`part` of each batch, but for those of which this rank gets no example."""
        return (part for part in map(self.part, batches) if self.size == 1 or len(part[0]))

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """The sum over all ranks of each number, the same in all. All must call it; nobody returns before all have."""
        return self.sum_gradients((), *numbers)

    def sum_gradients(self, params: Iterable[Parameter], *numbers: float) -> tuple[float, ...]:
        """Make the gradient of each parameter the sum over all ranks, and return that of each number besides.

        None counts as zero. RowGrads give a RowGrad, coalesced; RowGrads and arrays an array.
        """
        if self.size == 1:
            return numbers
        params, n = list(params), len(numbers)
        mine = [g.coalesce() if isinstance(g, RowGrad) else g for g in (p.grad for p in params)]
        kinds = [NONE if g is None else g.ids.size if isinstance(g, RowGrad) else DENSE for g in mine]
        dtype = np.result_type(np.float32, *(p.dtype for p in params))
        flat = np.concatenate([np.zeros(0, dtype), *(g.reshape(-1) for g in mine if isinstance(g, np.ndarray))])
        sparse = [x for g in mine if isinstance(g, RowGrad) for x in (g.ids, g.rows)]
        blocks = self._exchange([np.array([n, len(params)], float), np.array([*numbers, *kinds], float), flat, *sparse])
        counts = [block.next((2,), float).tolist() for block in blocks]
        if any(count != counts[0] for count in counts):
            raise RuntimeError(f"the ranks add up {counts} (numbers, gradients): all must take the same steps")
        heads = [block.next((n + len(params),), float).tolist() for block in blocks]
        dense = [DENSE in of_ranks for of_ranks in zip(*(head[n:] for head in heads))]
        if any(is_dense and head[n + i] != DENSE for head in heads for i, is_dense in enumerate(dense)):
            for p, is_dense in zip(params, dense):  # for once, all make dense what one has dense, and start over
                if is_dense and not isinstance(p.grad, np.ndarray):
                    p.grad = np.zeros(p.shape, p.dtype) if p.grad is None else p.grad.to_dense()
            return self.sum_gradients(params, *numbers)
        total, at = reduce(add, [block.next(flat.shape, dtype) for block in blocks]), 0
        for i, p in enumerate(params):
            if dense[i]:
                p.grad, at = total[at:at + p.size].reshape(p.shape).astype(p.dtype, copy=False), at + p.size
            elif found := [block.rows(p, int(head[n + i])) for head, block in zip(heads, blocks) if head[n + i] >= 0]:
                ids, rows = (np.concatenate(x) for x in zip(*found))
                p.grad = RowGrad((p.shape[0], p.shape[1]), ids, rows).coalesce()
        return tuple(sum(head[i] for head in heads) for i in range(n))

    def gather(self, x: Any) -> Array:
        """The arrays of all ranks, one behind the other along their first axis: the same in all, who all must call it.

        So each can work on its part of many examples: `group.gather(model(*group.part(ids)).data)`.
        """
        x = np.asarray(x)
        if self.size == 1:
            return x
        blocks = self._exchange([np.array(x.shape), x])
        return np.concatenate([block.next(tuple(block.next((x.ndim,), np.int64)), x.dtype) for block in blocks])

    def check(self, params: Iterable[Parameter]) -> None:
        """ValueError, in all ranks, if their parameters are not the same, or one of them is kept in a file."""
        if self.size == 1:
            return
        crc = 0
        for p in params:
            if p.resting is not None:
                raise ValueError("a mapped table belongs to one process; several would write to its file")
            crc = zlib.crc32(np.ascontiguousarray(p._data).data, crc)
        if len(set(self.sum(*(crc * (rank == self.rank) for rank in range(self.size))))) > 1:
            raise ValueError("the processes start with different parameters: make the model with the same seed in each")

    def _exchange(self, arrays: list[Array]) -> list[_Block]:
        """Write arrays, wait until all ranks have, and return what each wrote, to be read before the next turn.

        A rank has two files, and writes to them in turn: before it is at the first again, all others have written to
        their second, so they have read the first.
        """
        self._turn += 1
        side = self._turn % 2
        need, line = sum(_padded(x) for x in arrays), self._table[self.rank]
        if need > line[SIZES + side]:
            line[SIZES + side] = 1 << need.bit_length()
            with open(self._path(self.rank, side), "wb") as file:
                file.write(bytes(int(line[SIZES + side])))  # where memory is short, an error here and no crash later
        block = self._block(self.rank, side)
        for x in arrays:
            block.next(x.shape, x.dtype)[...] = x
        self._fence()
        line[TURN] = self._turn
        self._wait()
        return [self._block(rank, side) for rank in range(self.size)]

    def _wait(self) -> None:
        until = time.perf_counter() + SPIN
        while True:
            ended = self._table[:, ENDED] > 0
            self._fence()
            late = self._table[:, TURN] < self._turn
            if not late.any():
                return self._fence()
            if (late & ended).any():
                raise RuntimeError(f"rank {(late & ended).argmax()} has returned, and rank {self.rank} waits for its "
                                   "part of a sum: all must take the same steps")
            if time.perf_counter() < until:
                let_others_run()
            else:
                time.sleep(NAP)

    def _fence(self) -> None:
        """What was read or written before stays before, also on processors that would change the order."""
        self._lock.release()
        self._lock.acquire()

    def _path(self, rank: int, side: int) -> str:
        return os.path.join(self._folder, f"{rank}-{side}-{self._table[rank, SIZES + side]}")

    def _block(self, rank: int, side: int) -> _Block:
        known = self._maps.get((rank, side))
        if known is None or known.size != self._table[rank, SIZES + side]:
            known = self._maps[rank, side] = np.asarray(np.memmap(self._path(rank, side), np.uint8, "r+"))
        return _Block(known)


class _Block:
    """The bytes of a file, as one array after the other."""

    def __init__(self, memory: Any) -> None:
        self.memory, self.at = memory, 0

    def next(self, shape: tuple[int, ...], dtype: Any) -> Array:
        x: Array = np.ndarray(shape, dtype, self.memory, self.at)
        self.at += _padded(x)
        return x

    def rows(self, p: Parameter, n: int) -> tuple[Array, Array]:
        """The ids and rows of a RowGrad."""
        return self.next((n,), np.int64), self.next((n, *p.shape[1:]), p.dtype)


def _padded(x: Array) -> int:
    return -(-x.nbytes // 64) * 64
