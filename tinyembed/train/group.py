"""Group: processes that train together, and how they add up their gradients.

Each has a replica of the model and takes its part of every batch. After each backward they add up their gradients, in
the order of the ranks. So all take the same steps, bit for bit, and the parameters are never exchanged. That is the
style of PyTorch's DistributedDataParallel (Li et al. 2020, "PyTorch Distributed", VLDB 13).

What a rank has to say it writes to a file that all have mapped into memory; in /dev/shm, where there is one, a file is
memory. (`multiprocessing.shared_memory` does the same, with a tracker that must be told of every end.)
"""

from __future__ import annotations

import contextlib
import json
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
from ..optim import each
from .loop import Alone, examples_in
from .resume import as_tuple, restore, states

SPIN, NAP = 1e-3, 50e-6  # seconds of looking again and again; of sleep between two looks after that
# In a rank's line of the table: how often it has spoken, whether it has returned, whether it is to stop, and, in two
# columns, the sizes of its files. A line is as long as one of the processor's cache.
TURN, ENDED, STOP, SIZES, COLUMNS = 0, 1, 2, 3, 8
NONE, DENSE, ROWS = 0, 1, 2  # kinds of gradients
let_others_run = getattr(os, "sched_yield", lambda: time.sleep(0))


class Group(Alone):
    """The processes that train together, seen from one of them: `rank` of 0 … size-1.

    `launch` makes them. Group() is a process by itself, for which all this does nothing. `interrupted` says whether
    somebody has pressed Ctrl-C where `launch` waits: the same in all ranks, as of their last sum, and from then on.

    >>> Group().size, Group(rank=1, size=2).part((np.arange(5), np.arange(5)))
    (1, (array([2, 3, 4]), array([2, 3, 4])))
    """

    def __init__(self, rank: int = 0, size: int = 1, folder: str = "") -> None:
        self.rank, self.size, self._folder, self._turn, self._seen = rank, size, folder, 0, 0
        self.interrupted = False
        self._generators: dict[str, np.random.Generator] = {}
        self._maps: dict[tuple[int, int], Any] = {}  # (rank, side) -> the bytes of a file
        self._lock = threading.Lock()  # for _fence
        self._lock.acquire()
        if folder:
            self._table = np.asarray(np.memmap(os.path.join(folder, "table"), np.int64, "r+", shape=(size, COLUMNS)))

    def interrupt(self) -> bool:
        """Ask all ranks to stop; `fit` does after the same step in each. Whether they had not been asked before."""
        new = not self._table[self.rank, STOP]
        self._table[:, STOP] = 1
        return bool(new)

    def leave(self) -> None:
        """Say that this rank has returned, so that nobody waits for it."""
        self._table[self.rank, ENDED] = 1

    def part(self, batch: Any) -> tuple[Any, ...]:
        """This rank's share of a batch: of each array or list some entries in a row, of a number that differs by one at
        most between ranks; a string (the name of a task) whole. ValueError for what cannot be divided so. That all
        ranks have divided the same arrays is looked at when they next add up."""
        batch = as_tuple(batch)
        if self.size == 1:
            return batch
        lengths = {len(x) if isinstance(x, list) or np.shape(x) else -1 for x in batch if not isinstance(x, str)}
        if len(lengths) != 1 or -1 in lengths:
            raise ValueError(f"to divide a batch among {self.size} processes, each item must have an entry for each "
                             f"example; got {[getattr(x, 'shape', type(x).__name__) for x in batch]}")
        for x in batch:
            if isinstance(x, str):
                self._seen = zlib.crc32(x.encode(), self._seen)
            elif isinstance(x, np.ndarray) and not x.dtype.hasobject:
                self._seen = zlib.crc32(np.ascontiguousarray(x).data, self._seen)
        n, = lengths
        first, end = (rank * n // self.size for rank in (self.rank, self.rank + 1))
        return tuple(x if isinstance(x, str) else x[first:end] for x in batch)

    def parts(self, batches: Iterable[Any], alike: bool = False) -> Iterator[tuple[Any, ...]]:
        """`part` of each batch, but for those of which this rank gets no example. Until the last one is done the
        generators that are to be kept alike draw for this rank alone, or with alike=True for all."""
        if self.size == 1:
            yield from map(as_tuple, batches)
            return
        with alike_after(self._generators, None if alike else self.rank):
            yield from (part for part in map(self.part, batches) if examples_in(part))

    @contextlib.contextmanager
    def alike(self, generators: dict[str, np.random.Generator]) -> Iterator[None]:
        """Within, generators that are alike in all ranks draw for each by itself in a step, and are alike after it."""
        self._generators = generators
        try:
            yield
        finally:
            self._generators = {}

    def all_reduce(self, *numbers: float) -> tuple[float, ...]:
        """The sum over all ranks of each number, the same in all. All must call it; nobody returns before all have."""
        return self.sum_gradients((), *numbers)

    def sum_gradients(self, params: Iterable[Parameter], *numbers: float) -> tuple[float, ...]:
        """Make the gradient of each parameter the sum over all ranks, and return that of each number besides.

        None counts as zero. RowGrads give a RowGrad, coalesced; RowGrads and arrays an array. RuntimeError if the ranks
        do not add up the same things, or have divided other batches.
        """
        if self.size == 1:
            return numbers
        params = each(params)
        mine = [g.coalesce() if isinstance(g, RowGrad) else g for g in (p.grad for p in params)]
        kinds = [NONE if g is None else ROWS if isinstance(g, RowGrad) else DENSE for g in mine]
        flat = np.concatenate([np.zeros(0, np.float32), *(g.reshape(-1) for g in mine if isinstance(g, np.ndarray))])
        rows = [x for g in mine if isinstance(g, RowGrad) for x in (g.ids, g.rows)]
        terms = np.array([*numbers, self._table[self.rank, STOP]], float)
        said = self._exchange(np.array([len(params), len(numbers), self._seen], np.int64), terms, np.array(kinds, int),
                              flat, *rows)
        if any((of_rank[0] != said[0][0]).any() for of_rank in said):
            raise RuntimeError("the ranks have other gradients, numbers or batches (their checksum), "
                               f"{[of_rank[0].tolist() for of_rank in said]}: all must take the same steps, with data "
                               "in the same order")
        of_ranks = np.stack([of_rank[2] for of_rank in said])  # (size, parameters)
        dense = (of_ranks == DENSE).any(0)
        if (dense & (of_ranks != DENSE)).any():  # for once, all make dense what one has dense, and start over
            for p, is_dense in zip(params, dense):
                if is_dense and not isinstance(p.grad, np.ndarray):
                    p.grad = np.zeros(p.shape, p.dtype) if p.grad is None else p.grad.to_dense()
            return self.sum_gradients(params, *numbers)
        total, at = reduce(add, [of_rank[3] for of_rank in said]), 0
        left = [iter(of_rank[4:]) for of_rank in said]
        for p, is_dense, kinds in zip(params, dense, of_ranks.T):
            if is_dense:
                p.grad, at = total[at:at + p.size].reshape(p.shape).astype(p.dtype, copy=False), at + p.size
            elif ROWS in kinds:
                pairs = [(next(arrays), next(arrays)) for arrays, kind in zip(left, kinds) if kind == ROWS]
                ids, summands = (np.concatenate(x) for x in zip(*pairs))
                p.grad = RowGrad((p.shape[0], p.shape[1]), ids, summands.astype(p.dtype, copy=False)).coalesce()
        *sums, stop = reduce(add, [of_rank[1] for of_rank in said]).tolist()
        self.interrupted = stop > 0
        return tuple(sums)

    def average(self, arrays: Iterable[Parameter]) -> None:
        """Make each of these tensors the mean over all ranks: buffers, which each rank computes from its own part of a
        batch, so that they are alike in all."""
        arrays = list(arrays)
        if self.size == 1 or not arrays:
            return
        flat = np.concatenate([p.data.reshape(-1) for p in arrays], dtype=np.float64)
        mean, at = reduce(add, [of_rank for of_rank, in self._exchange(flat)]) / self.size, 0
        for p in arrays:
            p.data, at = mean[at:at + p.size].reshape(p.shape), at + p.size

    def all_gather(self, x: Any) -> Array:
        """The arrays of all ranks, one behind the other along their first axis: the same in all, who all must call it.

        So each can work on its part of many examples: `group.all_gather(model(*group.part(ids)).data)`.
        """
        return np.asarray(x) if self.size == 1 else np.concatenate([x for x, in self._exchange(np.asarray(x))])

    def check(self, params: Iterable[Parameter]) -> None:
        """ValueError, in all ranks, if their parameters are not the same, or one of them is kept in a file."""
        if self.size == 1:
            return
        crc = 0
        for p in params:
            if p.storage.keeps_state:
                raise ValueError("a mapped table belongs to one process; several would write to its file")
            crc = zlib.crc32(np.ascontiguousarray(p.storage.all()).data, crc)
        if len(set(self.all_gather([crc]).tolist())) > 1:
            raise ValueError("the processes start with different parameters: make the model with the same seed in each")

    # -- how it is said ------------------------------------------------------------------------------------------------

    def _exchange(self, *arrays: Array) -> list[list[Array]]:
        """Write arrays, wait until all ranks have, and return what each wrote, to be read before the next turn.

        A rank has two files, and writes to them in turn: before it is at the first again, all others have written to
        their second, so they have read the first.
        """
        self._turn += 1
        side = self._turn % 2
        forms = json.dumps([(x.dtype.str, x.shape) for x in arrays]).encode()
        memory, at = self._room(side, _padded(8 + len(forms)) + sum(_padded(x.nbytes) for x in arrays)), 0
        parts: list[Array] = [np.array([len(forms)], np.int64), np.frombuffer(forms, np.uint8), *arrays]
        for x in parts:
            np.ndarray(x.shape, x.dtype, memory, at)[...] = x
            at = at + 8 if not at else _padded(at + x.nbytes)
        self._fence()
        self._table[self.rank, TURN] = self._turn
        self._wait()
        return [_arrays_in(self._map(rank, side)) for rank in range(self.size)]

    def _room(self, side: int, need: int) -> Any:
        """The bytes of a file of this rank; of a new one, if the old one is too small."""
        line, before = self._table[self.rank], self._path(self.rank, side)
        if need > line[SIZES + side]:
            line[SIZES + side] = 1 << need.bit_length()
            with contextlib.suppress(OSError):
                os.unlink(before)
            try:
                with open(self._path(self.rank, side), "wb") as file:
                    file.write(bytes(int(line[SIZES + side])))  # an error here, where memory is short, no crash later
            except OSError as error:
                raise OSError(error.errno, f"{line[SIZES + side]:,} bytes of memory to add up gradients in do not fit "
                              f"in {self._folder}, which is to be larger (in a container: --shm-size)") from error
        return self._map(self.rank, side)

    def _wait(self) -> None:
        """Until all ranks have spoken as often as this one."""
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

    def _map(self, rank: int, side: int) -> Any:
        known = self._maps.get((rank, side))
        if known is None or known.size != self._table[rank, SIZES + side]:
            known = self._maps[rank, side] = np.asarray(np.memmap(self._path(rank, side), np.uint8, "r+"))
        return known


@contextlib.contextmanager
def alike_after(generators: dict[str, np.random.Generator], rank: int | None = None) -> Iterator[None]:
    """For generators that are alike in several processes: within, they draw for this rank alone (None: alike in all),
    and after it they are alike again, however much each has drawn.

    >>> here, there = (np.random.default_rng(5) for _ in range(2))
    >>> with alike_after({"rng": here}, 0), alike_after({"rng": there}, 1):
    ...     apart = bool(here.random() != there.random()), there.random(9)
    >>> apart[0], bool(here.random() == there.random())
    (True, True)
    """
    seeds = {name: int(generator.integers(2**63)) for name, generator in generators.items()}
    after = states(generators)
    if rank is not None:
        for name, generator in generators.items():
            bits: Any = type(generator.bit_generator)
            generator.bit_generator.state = bits([seeds[name], rank]).state
    try:
        yield
    finally:
        restore(generators, after)


def new_table(folder: str, size: int) -> None:
    """What a group of that size needs in its folder before the first process opens it."""
    np.zeros((size, COLUMNS), np.int64).tofile(os.path.join(folder, "table"))


def _arrays_in(memory: Any) -> list[Array]:
    """What `_exchange` has written: the forms (dtype, shape) and how long they are, then the arrays."""
    n, at, found = int(memory[:8].view(np.int64)[0]), 0, []
    at = _padded(8 + n)
    for dtype, shape in json.loads(memory[8:8 + n].tobytes()):
        x: Array = np.ndarray(shape, dtype, memory, at)
        found.append(x)
        at += _padded(x.nbytes)
    return found


def _padded(nbytes: int) -> int:
    return -(-nbytes // 64) * 64
