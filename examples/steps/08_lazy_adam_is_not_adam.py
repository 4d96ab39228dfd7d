"""Step 8: lazy Adam is not Adam.

Step 3 touched only the rows of a batch. Under plain SGD no other row would have moved; under Adam they would,
for Adam has momentum. Leave them out, and you have another optimiser. Here is one row, looked up in bursts:
under Adam with dense gradients, under sparse="exact", and under sparse="touched", the lazy one.
"""

import sys

import numpy as np

import tinyembed as te

LR = 1e-3
CASES = {  # at which steps row 0 is looked up; where the picture begins, and after which steps to print
    "seen at steps 1-5 and 36-40": ([*range(1, 6), *range(36, 41)], [0, 5, 35, 40, 70]),
    "first seen at step 1001": ([1001], [990, 1001, 1051])}
paths = {}

for title, (seen, stops) in CASES.items():
    print(f"a row {title}; how far it has moved, in units of lr")
    tables, same = {}, True
    for kind in "dense", "exact", "touched":
        table = te.nn.Embedding(3, 2, rng=np.random.default_rng(0), dtype=np.float64)
        W = table.weight
        adam = te.optim.Adam([W], lr=LR, sparse="touched" if kind == "touched" else "exact")
        tables[kind] = [W.data.copy()]
        for step in range(1, stops[-1] + 1):
            W.zero_grad()
            (-table([0, 1] if step in seen else [1, 2]).sum()).backward()  # each row looked up is asked to rise
            if kind == "dense":
                W.grad = W.grad.to_dense()
            adam.step()
            stored = [a.tobytes() for a in (W._data, *adam.state[0].arrays)]  # the rows, m and v as they lie in memory
            tables[kind].append(W.data.copy())  # reading: where a row is by now is worked out, not stored
            same &= stored == [a.tobytes() for a in (W._data, *adam.state[0].arrays)]
        paths[title, kind] = path = (np.array(tables[kind])[:, 0, 0] - tables[kind][0][0, 0]) / LR
        print(f"  {kind:<7}", *(f"  step {i}: {path[i]:5.2f}" for i in stops[1:]))
    exact, touched = (np.abs(np.subtract(tables[kind], tables["dense"])).max() for kind in ("exact", "touched"))
    print(f"  largest difference from dense: exact below 1e-12: {exact < 1e-12}; touched {touched / LR:.2f} lr")
    print(f"  reading the whole table after every step changed no stored byte: {same}")
print("Momentum goes on moving a row that is absent; touched leaves it where it was last seen.")
print("touched also counts each row's own steps: at step 1001 it corrects m and v as Adam does at step 1.")

if sys.argv[1:2] == ["--picture"]:
    try:
        from matplotlib.figure import Figure
        figure = Figure((11, 4), layout="constrained")
        for ax, (title, (seen, stops)) in zip(figure.subplots(1, 2), CASES.items()):
            for kind, style, width in ("dense", "c-", 7), ("exact", "k--", 2), ("touched", "r-", 2):
                ax.plot(range(stops[0], stops[-1] + 1), paths[title, kind][stops[0]:], style, lw=width, label=kind)
            ax.plot(seen, [-1] * len(seen), "k^", ms=5, label="row looked up")
            ax.set(title=title, xlabel="step", ylabel="coordinate 0: moved, in units of lr")
            ax.legend()
        figure.savefig((*sys.argv, "lazy_adam.png")[2])
    except ImportError:
        print("no picture: pip install matplotlib")

# Next: how an absent row catches up without walking: tinyembed/rows/lazy.py, catch_up.py.
