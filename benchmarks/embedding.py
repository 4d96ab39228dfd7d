"""What looking rows up costs, and learning them: gather, scatter-add, whole training steps, and whether V matters.

1. Gather: rows of a table by their ids, without a graph, beside torch's F.embedding and index_select.
2. Scatter-add: the rows of N gradients summed by id. Ours is RowGrad.coalesce(); torch's are the coalesce of a sparse
   tensor, the dense backward of its embedding, and index_add_ into zeros (these two write a whole (V, D) array).
3. A whole step, lookup -> mean of squares -> backward -> optimiser, beside torch with dense gradients and with
   sparse=True. With SGD all of them give the same table; with Adam the row gradients of either library step only the
   rows touched (torch: SparseAdam), while torch's dense Adam steps every row.
4. The same step with 1,000 times as many rows in the table, as many of them touched: milliseconds and bytes allocated.

Ids are Zipf-distributed, p proportional to 1 / rank^1.1, the ranks scattered over the table. The figures are medians in
milliseconds, the minimum in brackets. torch is measured where it is installed.

    python benchmarks/embedding.py            a few minutes, 5 GB of memory
    python benchmarks/embedding.py --quick    seconds, small tables only
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import common
import numpy as np

import tinyembed as te

torch = common.optional("torch")
GATHER = [(50_257, 768, 8_192), (151_936, 1_536, 4_096), (1_000_000, 128, 65_536)]  # V, D, N
SCATTER = [(5_000, 64, 4_096), (50_257, 64, 8_192), (50_257, 256, 8_192), (50_257, 768, 8_192),
           (1_000_000, 128, 65_536)]
STEP = [(50_257, 64, 8_192), (1_000_000, 64, 8_192)]
BATCHES = 4  # of ids, taken in turn, so that no library finds its rows in the cache


def zipf_ids(V: int, N: int, seed: int) -> np.ndarray[Any, Any]:
    """(N,) ids; a few rows are met very often, most never. One V has one scattering of ranks, whatever the seed."""
    p = 1 / np.arange(1, V + 1) ** 1.1
    ranks = np.searchsorted(np.cumsum(p / p.sum()), np.random.default_rng(seed).random(N))
    return np.random.default_rng(V).permutation(V)[np.minimum(ranks, V - 1)]


def size(V: int, D: int, N: int) -> str:
    return f"{V:,} x {D}, {N:,} ids ({len(np.unique(zipf_ids(V, N, 0))):,} unique)"


def in_turn(f: Callable[[Any], Any], batches: list[Any]) -> common.Contender:
    """Contender: f of the round's batch."""
    return lambda i: lambda: f(batches[i % BATCHES])


def gather(V: int, D: int, N: int, repeats: int) -> dict[str, list[float]]:
    W = np.random.default_rng(0).standard_normal((V, D), np.float32)
    batches = [zipf_ids(V, N, seed) for seed in range(BATCHES)]
    p = te.Parameter(W)

    def ours(ids: Any) -> Any:
        with te.no_grad():
            return te.ops.embedding(p, ids)

    contenders = {common.OURS: in_turn(ours, batches), "numpy W[ids]": in_turn(W.__getitem__, batches)}
    if torch:
        Wt, tensors = torch.from_numpy(W), [torch.from_numpy(ids) for ids in batches]
        contenders["torch F.embedding"] = in_turn(lambda ids: torch.nn.functional.embedding(ids, Wt), tensors)
        contenders["torch index_select"] = in_turn(lambda ids: torch.index_select(Wt, 0, ids), tensors)
    return common.timed(contenders, repeats)


def scatter(V: int, D: int, N: int, repeats: int) -> dict[str, list[float]]:
    batches = [(zipf_ids(V, N, seed), np.random.default_rng(seed).standard_normal((N, D), np.float32))
               for seed in range(BATCHES)]
    contenders = {common.OURS: in_turn(te.RowGrad.coalesce, [te.RowGrad((V, D), *batch) for batch in batches])}
    if torch:
        pairs = [(torch.from_numpy(ids), torch.from_numpy(g)) for ids, g in batches]
        sparse = [torch.sparse_coo_tensor(ids[None], g, (V, D), check_invariants=False) for ids, g in pairs]
        contenders["torch coalesce"] = in_turn(torch.Tensor.coalesce, sparse)
        contenders["torch dense backward"] = in_turn(
            lambda pair: torch.ops.aten.embedding_dense_backward(pair[1], pair[0], V, -1, False), pairs)
        contenders["torch index_add_"] = in_turn(lambda pair: torch.zeros(V, D).index_add_(0, *pair), pairs)
    return common.timed(contenders, repeats)


def train_step(layer: Any, optimiser: Any, batches: list[Any]) -> common.Contender:
    """Contender: one step on the round's batch. The libraries' names are the same here, so is the code."""
    def work(ids: Any) -> None:
        optimiser.zero_grad()
        y = layer(ids)
        (y * y).mean().backward()
        optimiser.step()
    return in_turn(work, batches)


def our_step(V: int, D: int, name: str, batches: list[Any]) -> common.Contender:
    layer = te.nn.Embedding(V, D, rng=np.random.default_rng(0))
    return train_step(layer, getattr(te.optim, name)(layer.parameters(), lr=0.01), batches)


def torch_step(V: int, D: int, name: str, batches: list[Any], sparse: bool = False) -> common.Contender:
    layer = torch.nn.Embedding(V, D, sparse=sparse)
    optimiser = getattr(torch.optim, name)(layer.parameters(), lr=0.01)
    return train_step(layer, optimiser, [torch.from_numpy(ids) for ids in batches])


def step(V: int, D: int, N: int, name: str, repeats: int) -> dict[str, list[float]]:
    batches = [zipf_ids(V, N, seed) for seed in range(BATCHES)]
    contenders = {common.OURS: our_step(V, D, name, batches)}
    if torch:
        contenders["torch dense"] = torch_step(V, D, name, batches)
        contenders["torch sparse"] = torch_step(V, D, {"Adam": "SparseAdam"}.get(name, name), batches, sparse=True)
    return common.timed(contenders, repeats)


def growth(small: int, large: int, D: int, N: int, repeats: int) -> None:
    """A step on a small table and on a large one, the same number of rows touched in both."""
    batches = [zipf_ids(small, N, seed) for seed in range(BATCHES)]
    spread = large // small
    lines = [[f"step, D = {D}, {N:,} ids", f"V = {small:,}", f"V = {large:,}", "ratio"]]
    for name in ("SGD", "Adam"):
        contenders = {"small": our_step(small, D, name, batches),
                      "large": our_step(large, D, name, [ids * spread for ids in batches])}
        seconds = common.timed(contenders, repeats)
        median = {key: float(np.median(values)) for key, values in seconds.items()}
        lines.append([f"{name}, ms", *(f"{1e3 * median[k]:.2f} ({1e3 * min(seconds[k]):.2f})" for k in seconds),
                      f"{median['large'] / median['small']:.2f}"])
        peaks = [allocated(contenders[key](0)) for key in ("small", "large")]  # the states were made before
        lines.append([f"{name}, bytes allocated", *(f"{peak:,}" for peak in peaks), f"{peaks[1] / peaks[0]:.3f}"])
    common.markdown(lines)


def allocated(work: Any) -> int:
    """Bytes at the peak of `work`, above those before it."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    args = common.parser(__doc__, threads=os.cpu_count() or 1).parse_args()
    common.describe(args.threads, ("torch",))
    repeats = args.repeats or (3 if args.quick else 15)
    small = [(5_000, 64, 4_096)]
    common.table("gather, ms", {
        size(*sides): gather(*sides, repeats) for sides in (small if args.quick else GATHER)})
    common.table("scatter-add, ms", {
        size(*sides): scatter(*sides, repeats) for sides in (small if args.quick else SCATTER)})
    common.table("whole step, ms", {
        f"{name}, {size(*sides)}": step(*sides, name, repeats)
        for sides in (small if args.quick else STEP) for name in ("SGD", "Adam")})
    if not args.quick:
        growth(10_000, 10_000_000, 16, 8_192, repeats)


if __name__ == "__main__":
    main()
