"""What the engine itself costs, where the arrays are too small to hide it.

1. Memory: 10,000 training steps (lookup, linear, cross-entropy, backward, Adam) with the cyclic collector off. If the
   graph held reference cycles, the bytes would grow.
2. Microseconds an op: tanh(z * y + x) on ten float32 numbers, forward and backward, beside NumPy alone (forward only),
   torch and MyGrad where they are installed. What a call of backward costs by itself is shared by the three ops.
3. A chain of 100,000 additions on ten numbers: seconds forward and backward, beside torch; with the cyclic collector
   off, and forward with it on, as a user would meet it.

    python benchmarks/engine.py            about a minute
    python benchmarks/engine.py --quick    a few seconds
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from typing import Any

import common
import numpy as np

import tinyembed as te

OPS = 3  # multiply, add, tanh
N = 10  # numbers in an array


def small_ops(passes: int, repeats: int) -> None:
    """Microseconds an op, forward and backward. Each forward is followed by its backward, as in training; gradients
    are forgotten between passes, outside the clock."""
    torch, mygrad = common.optional("torch"), common.optional("mygrad")
    arrays = list(np.random.default_rng(0).normal(size=(3, N)).astype(np.float32))
    ones = np.ones(N, np.float32)

    libraries: dict[str, Any] = {  # name: (leaves, tanh, the gradient to start from, forget a leaf's gradient)
        common.OURS: ([te.Tensor(a, requires_grad=True) for a in arrays], te.ops.tanh, ones, te.Tensor.zero_grad)}
    if torch:
        def forget(leaf: Any) -> None:
            leaf.grad = None
        libraries["torch"] = [torch.tensor(a, requires_grad=True) for a in arrays], torch.tanh, torch.ones(N), forget
    if mygrad:
        libraries["mygrad"] = [mygrad.tensor(a) for a in arrays], mygrad.tanh, ones, mygrad.Tensor.null_grad
    libraries["numpy"] = arrays, np.tanh, None, None

    rows: dict[str, dict[str, list[float]]] = {"forward": {}, "backward": {}}
    clock = time.perf_counter
    for i, name in common.turns(list(libraries), repeats):
        (x, y, z), tanh, g, forget = libraries[name]
        forward = backward = 0.0
        for _ in range(passes):
            start = clock()
            out = tanh(z * y + x)
            middle = clock()
            forward += middle - start
            if g is not None:
                out.backward(g)
                backward += clock() - middle
                for leaf in (x, y, z):
                    forget(leaf)
        if i >= 0:
            rows["forward"].setdefault(name, []).append(forward / passes / OPS)
            if g is not None:
                rows["backward"].setdefault(name, []).append(backward / passes / OPS)
    common.table("µs an op, median (min)", rows, unit=1e-6)


def chain(length: int, repeats: int) -> None:
    """Seconds for a graph as deep as it is long."""
    torch = common.optional("torch")
    x = np.zeros(N, np.float32)
    step = np.full(N, 1e-3, np.float32)

    def run(leaf: Any, constant: Any) -> Any:
        out = leaf
        for _ in range(length):
            out = out + constant
        return out

    makers: dict[str, Any] = {common.OURS: lambda: (te.Tensor(x, requires_grad=True), te.Tensor(step))}
    if torch:
        makers["torch"] = lambda: (torch.tensor(x, requires_grad=True), torch.tensor(step))

    def forward(make: Any, collector: bool) -> common.Contender:
        def prepare(_: int) -> Any:
            leaves = make()

            def work() -> Any:
                if collector:
                    gc.enable()
                out = run(*leaves)
                gc.disable()
                return out
            return work
        return prepare

    def backward(make: Any) -> common.Contender:
        def prepare(_: int) -> Any:
            total = run(*make()).sum()
            return lambda: (total.backward(), total)
        return prepare

    common.table(f"chain of {length:,} nodes, seconds", {
        "forward": common.timed({name: forward(make, False) for name, make in makers.items()}, repeats),
        "forward, collector on": common.timed({name: forward(make, True) for name, make in makers.items()}, repeats),
        "backward": common.timed({name: backward(make) for name, make in makers.items()}, repeats)}, unit=1)


def memory(steps: int) -> None:
    """Bytes in use after a tenth of the steps and after all."""
    rng = np.random.default_rng(0)
    V, D, classes, batch = 1000, 16, 50, 32
    model = te.nn.Sequential(te.nn.Embedding(V, D, rng=rng), te.nn.Linear(D, classes, rng=rng))
    optimiser = te.optim.Adam(model.parameters(), lr=1e-3, sparse="touched")  # "exact" keeps a few numbers a step
    lines = [["memory, cyclic collector off", "bytes in use", "largest resident set"]]
    in_use = []
    resident()  # imports its module before bytes are counted
    gc.collect()
    gc.disable()
    tracemalloc.start()
    start = time.perf_counter()
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        loss = te.ops.cross_entropy(model(rng.integers(V, size=batch)), rng.integers(classes, size=batch))
        loss.backward()
        optimiser.step()
        if step in (steps // 10, steps):
            in_use.append(tracemalloc.get_traced_memory()[0])
            lines.append([f"after {step:,} steps", f"{in_use[-1]:,}", resident()])
    seconds = time.perf_counter() - start
    tracemalloc.stop()
    left = gc.collect()
    gc.enable()
    lines.append(["growth", f"{in_use[1] - in_use[0]:+,}", ""])
    common.markdown(lines)
    print(f"\n{steps:,} steps in {seconds:.1f} s (slowed by the tracing); objects in cycles, found afterwards: {left}")


def resident() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "–"
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{size / (1 << 20 if sys.platform == 'darwin' else 1 << 10):.1f} MiB"


def main() -> None:
    args = common.parser(__doc__, threads=1).parse_args()
    common.describe(args.threads, ("torch", "mygrad"))
    memory(steps=1_000 if args.quick else 10_000)
    small_ops(passes=50 if args.quick else 300, repeats=args.repeats or (10 if args.quick else 100))
    chain(length=10_000 if args.quick else 100_000, repeats=args.repeats or (3 if args.quick else 7))


if __name__ == "__main__":
    main()
