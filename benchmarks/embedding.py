"""What looking rows up costs, and learning them: gather, scatter-add, whole training steps, and whether V matters.

1. Gather: rows of a table by their ids, without a graph, beside torch's F.embedding and index_select; all of them
   allocate their result, but for "torch, out=", which shows what that costs.
2. Coalesce: the rows of N gradients summed by id. Ours is RowGrad.coalesce(); torch's are the coalesce of a sparse
   tensor, the dense backward of its embedding, and index_add_ into zeros (these two write a whole (V, D) array).
3. A whole step, zero_grad -> lookup -> mean of squares -> backward -> optimiser, in the steady state: the ids change
   from batch to batch, and every batch has been met before the clock starts. SGD gives the same table in all
   libraries. AdamW, exact, gives the table of torch's dense AdamW, as it comes or with fused=True; SparseAdam is
   another algorithm, the one that we call "touched".
4. The step of a sentence model: the same with EmbeddingBag, the mean of each text's rows, 256 texts of 2 to 40 ids.
5. The optimiser alone: AdamW on a given dense gradient.
6. The step on a large table over the same step on a small one, with the same ids or with these spread over the large
   table, a row to a page; and the bytes that a step allocates at its peak, the largest of many steps after the first.
7. The same as users take it, under te.train.fit, which does more in each step (it keeps a report of the rows): the mean
   over the steps of one call, without what the call does once, before its third step and after its last.

Ids are Zipf-distributed, p proportional to 1 / rank^1.1, the ranks scattered over the table. A timed call follows one
of the same contender that is not timed, so that it finds caches and heap as a loop of its own would leave them. The
figures are medians in milliseconds, the minimum in brackets. The last table collects what has a goal: "reach" is to be
kept under, "aim" is hoped for. torch is measured where it is installed.

    python benchmarks/embedding.py            a few minutes, 6 GB of memory
    python benchmarks/embedding.py --quick    seconds, tables of a fiftieth of the rows
"""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import common
import numpy as np

import tinyembed as te

torch = common.optional("torch")
Seconds = dict[str, list[float]]  # of each contender
Size = tuple[int, int, int]  # V, D, N
STEPS = 25  # batches of a training loop; a row that is not in each of them is behind by up to so many steps
LOOKUPS = 5  # batches of what leaves no trace. Both are odd: every second call is timed, so all batches are
SHORTEST, LONGEST = 2, 40  # ids in a text
BARE, FIT = 1000, 800  # times as many rows in the large table as in the small one: bare steps, steps under fit


class Section(NamedTuple):
    """One table of timings. `measure` gets a size and the repeats; a goal of one value holds for all sizes."""

    title: str
    measure: Callable[..., Seconds]
    sizes: list[Size]
    goals: dict[str, tuple[Any, Any, Any]]  # peer: (what the last table calls it, reach, aim)
    unit: float = 1e-3
    times: int = 1  # as large as the small table is the large one, where two are compared


# -- the inputs --------------------------------------------------------------------------------------------------------

@functools.cache
def ranks(V: int) -> tuple[Any, Any]:
    """Cumulated probabilities by rank, and the row of each rank; a few rows are met very often, most never."""
    p = 1 / np.arange(1, V + 1) ** 1.1
    return np.cumsum(p / p.sum()), np.random.default_rng(V).permutation(V)


def zipf_batches(V: int, N: int, number: int) -> list[Any]:
    """`number` arrays of ids (N,)."""
    cumulated, row = ranks(V)
    draws = (np.random.default_rng(seed).random(N) for seed in range(number))
    return [row[np.minimum(np.searchsorted(cumulated, draw), V - 1)] for draw in draws]


def text_batches(V: int, N: int, number: int) -> list[tuple[Any, ...]]:
    """`number` pairs (ids, offsets): texts of mixed lengths, about N ids in all."""
    texts = 2 * N // (SHORTEST + LONGEST)
    batches = []
    for seed, ids in enumerate(zipf_batches(V, texts * LONGEST, number)):
        ends = np.cumsum(np.random.default_rng(seed).integers(SHORTEST, LONGEST + 1, texts))
        batches.append((ids[:ends[-1]], np.concatenate(([0], ends[:-1]))))
    return batches


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def in_turn(f: Callable[[Any], Any], batches: list[Any], warm_up: int = 0) -> common.Contender:
    """Contender: f of the next batch, after f of the one before, untimed."""
    turn = itertools.cycle(batches)
    for _ in range(warm_up):
        f(next(turn))

    def prepare(_: int) -> Callable[[], Any]:
        f(next(turn))
        return lambda: f(next(turn))
    return prepare


# -- the measures ------------------------------------------------------------------------------------------------------

def gather(V: int, D: int, N: int, repeats: int) -> Seconds:
    def without_graph(no_grad: Any, f: Callable[[Any], Any], batches: list[Any]) -> common.Contender:
        def work(ids: Any) -> Any:
            with no_grad():
                return f(ids)
        return in_turn(work, batches)

    W, batches = normal(V, D), zipf_batches(V, N, LOOKUPS)
    p = te.Parameter(W)
    contenders = {common.OURS: without_graph(te.no_grad, lambda ids: te.ops.embedding(p, ids), batches),
                  "numpy W[ids]": in_turn(W.__getitem__, batches)}
    if torch:
        pt, tensors = torch.nn.Parameter(torch.from_numpy(W)), [torch.from_numpy(ids) for ids in batches]
        contenders["torch F.embedding"] = without_graph(
            torch.no_grad, lambda ids: torch.nn.functional.embedding(ids, pt), tensors)
        contenders["torch index_select"] = without_graph(
            torch.no_grad, lambda ids: torch.index_select(pt, 0, ids), tensors)
        out = torch.empty(N, D)  # without the cost of fresh memory, which is most of it where the system maps it anew
        contenders["torch, out="] = without_graph(
            torch.no_grad, lambda ids: torch.index_select(pt, 0, ids, out=out), tensors)
    return common.timed(contenders, repeats)


def coalesce(V: int, D: int, N: int, repeats: int) -> Seconds:
    pairs = [(ids, normal(N, D, seed=i)) for i, ids in enumerate(zipf_batches(V, N, LOOKUPS))]
    contenders = {common.OURS: in_turn(te.RowGrad.coalesce, [te.RowGrad((V, D), *pair) for pair in pairs])}
    if torch:
        pairs = [(torch.from_numpy(ids), torch.from_numpy(g)) for ids, g in pairs]
        sparse = [torch.sparse_coo_tensor(ids[None], g, (V, D), check_invariants=False) for ids, g in pairs]
        contenders["torch coalesce"] = in_turn(torch.Tensor.coalesce, sparse)
        contenders["torch dense backward"] = in_turn(
            lambda pair: torch.ops.aten.embedding_dense_backward(pair[1], pair[0], V, -1, False), pairs)
        contenders["torch index_add_"] = in_turn(lambda pair: torch.zeros(V, D).index_add_(0, *pair), pairs)
    return common.timed(contenders, repeats)


def train_step(layer: Any, optimiser: Any) -> Callable[[Any], None]:
    """One step on a batch. The libraries' names are the same here, so is the code."""
    def work(batch: tuple[Any, ...]) -> None:
        optimiser.zero_grad()
        y = layer(*batch)
        (y * y).mean().backward()
        optimiser.step()
    return work


def our_layer(V: int, D: int, name: str, kind: str = "Embedding", **settings: Any) -> tuple[Any, Any]:
    layer = getattr(te.nn, kind)(V, D, rng=np.random.default_rng(0))
    return layer, getattr(te.optim, name)(layer.parameters(), lr=1e-3, **settings)


def step(kind: str, name: str, V: int, D: int, N: int, repeats: int) -> Seconds:
    batches = text_batches(V, N, STEPS) if kind == "EmbeddingBag" else [(ids,) for ids in zipf_batches(V, N, STEPS)]
    contenders = {common.OURS: in_turn(train_step(*our_layer(V, D, name, kind)), batches, STEPS)}
    peers: list[tuple[str, str, bool, dict[str, bool]]] = [  # name, optimiser, sparse gradient, settings
        ("torch SGD", "SGD", False, {}), ("torch sparse SGD", "SGD", True, {})]
    if name == "AdamW":
        contenders["touched"] = in_turn(train_step(*our_layer(V, D, name, kind, sparse="touched")), batches, STEPS)
        peers = [("torch AdamW", "AdamW", False, {}), ("torch fused", "AdamW", False, {"fused": True}),
                 ("torch SparseAdam", "SparseAdam", True, {})]
    if torch:
        tensors = [tuple(map(torch.from_numpy, batch)) for batch in batches]
        for peer, optimiser, sparse, settings in peers:
            layer = getattr(torch.nn, kind)(V, D, sparse=sparse)
            work = train_step(layer, getattr(torch.optim, optimiser)(layer.parameters(), lr=1e-3, **settings))
            contenders[peer] = in_turn(work, tensors, STEPS)
    return common.timed(contenders, repeats)


def dense_step(V: int, D: int, N: int, repeats: int) -> Seconds:
    def given(optimiser: Any, p: Any, g: Any) -> common.Contender:
        p.grad = g
        return in_turn(lambda _: optimiser.step(), [None], STEPS)

    W, g = normal(V, D), normal(V, D, seed=1)
    p = te.Parameter(W)
    contenders = {common.OURS: given(te.optim.AdamW([p], lr=1e-3), p, g)}
    if torch:
        for name, settings in (("torch AdamW", {}), ("torch fused", {"fused": True})):
            pt = torch.nn.Parameter(torch.tensor(W))
            contenders[name] = given(torch.optim.AdamW([pt], lr=1e-3, **settings), pt, torch.from_numpy(g))
    return common.timed(contenders, repeats)


def small_and_large(name: str, spread: bool, V: int, D: int, N: int) -> dict[str, tuple[Any, list[Any]]]:
    """The step on a table of V rows and on one of fewer, and the batches for each."""
    batches = [(ids,) for ids in zipf_batches(V // BARE, N, STEPS)]
    spread_out = [(ids * BARE,) for ids, in batches]
    return {common.OURS: (train_step(*our_layer(V, D, name)), spread_out if spread else batches),
            f"V / {BARE}": (train_step(*our_layer(V // BARE, D, name)), batches)}


def growth(name: str, spread: bool, V: int, D: int, N: int, repeats: int) -> Seconds:
    pair = small_and_large(name, spread, V, D, N)
    return common.timed({key: in_turn(*value, STEPS) for key, value in pair.items()}, 3 * repeats)


def growth_bytes(name: str, V: int, D: int, N: int, repeats: int) -> Seconds:
    peaks = {}
    for key, (work, batches) in small_and_large(name, True, V, D, N).items():
        work(batches[-1])  # the first step makes the states
        peaks[key] = [float(max(allocated(work, batch) for batch in batches))]
    return peaks


def allocated(work: Callable[[Any], Any], batch: Any) -> int:
    """Bytes at the peak of `work`, above those before it."""
    tracemalloc.start()
    work(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def under_fit(name: str, V: int, D: int, N: int, repeats: int) -> Seconds:
    """Seconds a step within te.train.fit, the large table and the small one in turns, a call of fit each."""
    def batches() -> Iterator[tuple[Any]]:
        for ids in all_ids:
            asked.append(time.perf_counter())  # fit asks for a batch, takes the step, and asks again
            yield (ids,)

    def loss(layer: Any, ids: Any) -> Any:
        y = layer(ids)
        return (y * y).mean()

    all_ids = zipf_batches(V // FIT, N, 2 * STEPS)
    tables = {common.OURS: our_layer(V, D, name), f"V / {FIT}": our_layer(V // FIT, D, name)}
    seconds: Seconds = {key: [] for key in tables}
    for i, key in common.turns(list(tables), repeats):
        asked: list[float] = []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*never touched")
            te.train.fit(tables[key][0], batches(), tables[key][1], loss=loss, progress=False)
        if i >= 0:
            seconds[key].append((asked[-1] - asked[2]) / (len(asked) - 3))
    return seconds


# -- the tables --------------------------------------------------------------------------------------------------------

STEP = [(50_257, 64, 8_192), (1_000_000, 64, 8_192)]
LARGE = [(10_000_000, 16, 8_192)]
SECTIONS = [
    Section("gather, ms", gather, [(50_257, 768, 8_192), (151_936, 1_536, 4_096), (1_000_000, 128, 65_536)], {
        "torch F.embedding": ("gather against torch: {V}x{D}/{N}", (1.2, 1.1, 1.8), 1.0)}),
    Section("coalesce, ms", coalesce, [(5_000, 64, 4_096), (50_257, 64, 8_192), (50_257, 256, 8_192),
                                       (50_257, 768, 8_192), (1_000_000, 128, 65_536)], {
        "torch coalesce": ("coalesce against torch's sparse coalesce: {V}x{D}/{N}", 2.0, 1.0)}),
    Section("step with AdamW (exact), ms", functools.partial(step, "Embedding", "AdamW"), STEP, {
        "torch AdamW": (("step with AdamW (exact), V = {V:,}, D = {D}, {N} Zipf ids, against torch AdamW as it comes",
                         "the same at V = {V:,}"), (0.6, 0.04), (0.3, 0.015)),
        "torch fused": ("both against torch AdamW fused=True: V = {V:,}", (2.0, 0.15), (1.0, 0.06)),
        "torch SparseAdam": ("both against torch sparse=True + SparseAdam: V = {V:,}", 2.2, 1.0)}),
    Section("a bag's step with AdamW (exact), ms", functools.partial(step, "EmbeddingBag", "AdamW"),
            [(50_000, 64, 5_376)], {}),
    Section("AdamW on a dense gradient, ms", dense_step, [(50_257, 64, 0)], {
        "torch AdamW": ("dense AdamW on a dense gradient, {V:,} x {D}, against torch AdamW as it comes", 1.0, 0.6)}),
    Section("step with SGD, ms", functools.partial(step, "Embedding", "SGD"), STEP, {
        "torch sparse SGD": ("step with plain SGD on row gradients, against torch sparse=True + SGD: V = {V:,}",
                             2.0, 1.0)}),
    *(Section(f"step with {name}, ids {ids}, ms", functools.partial(growth, name, ids == "spread"), LARGE, {
        f"V / {BARE}": (f"step time at V = {{V:,}} over V = {{small:,}}, the same rows touched, D = {{D}}: {name}"
                        + ", spread" * (ids == "spread"), 2.0, 1.2)}, times=BARE)
      for name in ("AdamW", "SGD") for ids in ("the same", "spread")),
    *(Section(f"step with {name}, kB allocated", functools.partial(growth_bytes, name), LARGE, {
        f"V / {BARE}": (f"bytes allocated by a step (after the first) at V = {{V:,}} over V = {{small:,}}: {name}, kB",
                        1.01, 1.0)}, unit=1e3, times=BARE) for name in ("AdamW", "SGD")),
    *(Section(f"step under fit with {name}, the same ids, ms", functools.partial(under_fit, name),
              [(8_000_000, 16, 8_192)], {
        f"V / {FIT}": (f"step under fit at V = {{V:,}} over V = {{small:,}}, the same ids, D = {{D}}: {name}",
                       1.3, 1.1)}, times=FIT) for name in ("AdamW", "SGD"))]


def main() -> None:
    args = common.parser(__doc__, threads=os.cpu_count() or 1).parse_args()
    common.describe(args.threads, ("torch",))
    repeats = args.repeats or (3 if args.quick else 15)
    goals = [["against the reaches", "ours, ms", "peer, ms", "ratio", "reach", "aim"]]
    for section in SECTIONS:
        sizes = [(V // 50, D // 4, N // 8) if args.quick else (V, D, N) for V, D, N in section.sizes]
        results = [section.measure(*size, repeats) for size in sizes]
        common.table(section.title, {f"{V:,} x {D}" + f", {N:,} ids" * (N > 0): result
                                     for (V, D, N), result in zip(sizes, results)}, section.unit)
        for peer, goal in section.goals.items():
            for i, ((V, D, N), result) in enumerate(zip(sizes, results)):
                measure, reach, aim = (value[i] if isinstance(value, tuple) else value for value in goal)
                ours, theirs = (statistics.median(result.get(name, [np.nan])) for name in (common.OURS, peer))
                goals.append([measure.format(V=V, D=D, N=N, small=V // section.times),
                              *("–" if np.isnan(x) else f"{x:.{digits}g}" for x, digits in
                                ((ours / section.unit, 4), (theirs / section.unit, 4), (ours / theirs, 4))),
                              f"{reach:g}", f"{aim:g}"])
    common.markdown(goals)
    if args.quick:
        print("\nThe goals are for the full sizes.")


if __name__ == "__main__":
    main()
