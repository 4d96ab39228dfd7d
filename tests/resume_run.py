"""Small runs of `fit` that are killed and resumed, for test_checkpoint.py; as a program, the table of their hashes.

    python tests/resume_run.py [--cuts 10] [run ...]      each killed with SIGKILL at so many steps, resumed in a new
                                                           process with another PYTHONHASHSEED, and compared
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from optimisers import EITHER_WAY, SLOW, Variant

import tinyembed as te
from tinyembed import nn, ops, optim
from tinyembed.core import fresh_rng, seed_state
from tinyembed.data import Batches, NextTokenBatches
from tinyembed.train import fit
from tinyembed.train.resume import generators_in, states

V, D, T, STEPS, EVERY = 50, 4, 5, 37, 7
# Calls of the loss (4 of them held-out after each 7 steps) at which a run dies: the first; before the first save;
# in the held-out loss before that; right after it; in the last step of a pass (of 14); right after the save at its end;
# in later ones; in the last step; in the held-out loss after the last save.
CUTS = (0, 3, 7, 11, 17, 22, 30, 44, 56, 58)


class Killed(BaseException):
    """Stands for the end of a process, in tests that do not start one."""


class Model(nn.Module):
    """Two tables, one of them with a padding row, frozen rows and maybe max_norm; positions; dropout; a linear head."""

    def __init__(self, max_norm: float | None = None) -> None:
        self.words = nn.GPTEmbedding(V, D, T, dropout=0.2)
        self.tags = nn.Embedding(V, D, padding_idx=0, max_norm=max_norm).freeze_rows([3, 4])
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(D, V)

    def forward(self, ids: np.ndarray) -> te.Tensor:
        return self.head(self.dropout(self.words(ids) + self.tags(ids)))


def parts(optimizer: Callable[[Model], optim.Optimizer], max_norm: float | None = None) -> SimpleNamespace:
    """All that a run is made of, fresh."""
    model, rng = Model(max_norm), np.random.default_rng(1)
    stream = rng.integers(0, V, 14 * 2 * T + T)
    return SimpleNamespace(model=model, optimizer=optimizer(model), batches=NextTokenBatches(stream, T, 2, rng),
                           held_out=NextTokenBatches(stream[:9 * T], T, 2, np.random.Generator(np.random.MT19937(2))))


def groups(model: Model) -> list[dict[str, Any]]:
    return [{"params": model.words.parameters(), "lr": 0.03, "weight_decay": 0.2},
            {"params": [*model.tags.parameters(), *model.head.parameters()]}]


def driven_by(variant: Variant) -> Callable[[], SimpleNamespace]:
    return lambda: parts(lambda m: variant(m.parameters()))


OPTIMISERS: dict[str, Callable[[], SimpleNamespace]] = {
    **{name: driven_by(variant) for name, variant in SLOW.items()},
    "Adam, touched": driven_by(EITHER_WAY["Adam, touched"]),
    "AdamW, groups": lambda: parts(lambda m: optim.AdamW(groups(m), lr=0.01, betas=(0.9, 0.95))),
    "Adam, max_norm": lambda: parts(lambda m: optim.Adam(m.parameters(), lr=0.02, eps=0), max_norm=0.5),
}


class Pairs:
    """Batches without a length that draw in mid-pass: a permutation first, noise at each batch, a number at the end."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in self.rng.permutation(9):
            x = (i + self.rng.integers(0, V, (2, T))) % V
            yield x, np.roll(x, 1, 1)
        self.rng.normal()


def with_batches(batches: Callable[[np.random.Generator], Any], all_of_them: bool = False) -> Callable[[], Any]:
    """A run on batches that are made of the model's generator; on held-out ones, too, if it is to be all of them."""
    def make() -> SimpleNamespace:
        run = OPTIMISERS["AdamW"]()
        run.batches = batches(run.model.dropout.rng)
        run.held_out = NextTokenBatches(STREAM, T, 6, run.model.dropout.rng) if all_of_them else run.held_out
        return run
    return make


def accumulating(make: Callable[[], SimpleNamespace]) -> Callable[[], SimpleNamespace]:
    """A run of which a step takes three batches, also from two passes."""
    return lambda: SimpleNamespace(**vars(make()), options={"accumulate": 3})


STREAM = np.random.default_rng(3).integers(0, V, 120)
BATCHES: dict[str, Callable[[], SimpleNamespace]] = {
    "a list": with_batches(lambda rng: [(STREAM[i:i + T][None], STREAM[i + 1:i + 6][None]) for i in range(0, 50, T)]),
    "drawn in mid-pass": with_batches(lambda rng: Pairs(np.random.default_rng(4))),
    "an array and a list": with_batches(lambda rng: Batches(
        (STREAM[:100].reshape(20, T), STREAM[20:].reshape(20, T).tolist()), 3, np.random.default_rng(4))),
    "one generator": with_batches(lambda rng: NextTokenBatches(STREAM, T, 2, rng), all_of_them=True),
    "one, in mid-pass": with_batches(Pairs, all_of_them=True),
    "MT19937": with_batches(lambda rng: Pairs(np.random.Generator(np.random.MT19937(4)))),
    "Philox": with_batches(lambda rng: Pairs(np.random.Generator(np.random.Philox(4)))),
    "SFC64": with_batches(lambda rng: Pairs(np.random.Generator(np.random.SFC64(4)))),
}
ACCUMULATED = {"accumulate": accumulating(OPTIMISERS["AdamW"]),
               "accumulate, drawn": accumulating(BATCHES["drawn in mid-pass"])}
RUNS = {**OPTIMISERS, **BATCHES, **ACCUMULATED}


def trained(make: Callable[[], SimpleNamespace], path: str | os.PathLike[str], *, cut: int | None = None,
            die: Callable[[], object] | None = None, steps: int | None = STEPS,
            epochs: int | None = None) -> SimpleNamespace:
    """Start the run or go on with it, and call `die` in the cut-th call of its loss; its parts, and history."""
    te.seed(5)
    run, calls = make(), itertools.count()

    def loss(model: Model, x: np.ndarray, y: np.ndarray) -> te.Tensor:
        if next(calls) == cut:
            (die or _raise)()
        noise = np.float32(fresh_rng().normal())  # from the stream of te.seed
        return ops.cross_entropy(model(x), y) * (1 + noise / 8)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of dense steps; that is what is tried
        run.history = fit(run.model, run.batches, run.optimizer, loss=loss, steps=steps, epochs=epochs,
                          held_out=run.held_out, every=EVERY, clip_norm=1.0, schedule=optim.cosine(60, 4),
                          progress=False, checkpoint=path, resume=True, about={"words": ["a", "b"]},
                          **vars(run).get("options", {}))
    return run


def _raise() -> None:
    raise Killed


def everything(run: SimpleNamespace) -> dict[str, Any]:
    """All there is to compare: a tree."""
    generators = generators_in(model=run.model, batches=run.batches, held_out=run.held_out)
    found = {"parameters": {name: [p._data, p.data, p.frozen_rows] for name, p in run.model.named_parameters()},
             "optimizer": optim.optimizer_tree(run.optimizer), "generators": states(generators), "seed": seed_state()}
    if "history" in vars(run):
        found["history"] = [run.history.train, run.history.held_out, run.history.steps,
                            [[r.name, r.updates, r.drift, r.to_tree()] for r in run.history.rows]]
    return found


def sha256(x: Any) -> str:
    """Of a tree, to the last bit; of a file, if x is its path."""
    def add(x: Any) -> None:
        if isinstance(x, (dict, list, tuple)):
            digest.update(f"{type(x).__name__}{len(x)}".encode())
            for item in x.items() if isinstance(x, dict) else x:
                add(item)
        else:
            digest.update((f"{x.dtype}{x.shape}" if isinstance(x, np.ndarray) else repr(x)).encode())
            digest.update(x.tobytes() if isinstance(x, np.ndarray) else b"")

    digest = hashlib.sha256(x.read_bytes() if isinstance(x, Path) else b"")
    if not isinstance(x, Path):
        add(x)
    return digest.hexdigest()


def hashes(run: SimpleNamespace, path: str | os.PathLike[str]) -> dict[str, str]:
    return {"file": sha256(Path(path)), **{name: sha256(x) for name, x in everything(run).items()}}


def in_process(name: str, path: str, *cuts: int) -> dict[str, str]:
    """The hashes of a run that is killed at each of these calls, counted anew in each new process."""
    for i, cut in enumerate((*cuts, -1)):
        environment = {**os.environ, "PYTHONHASHSEED": str(i + 1), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, __file__, "--one", name, path, str(cut)], env=environment, check=False,
                              capture_output=True, text=True)
        expected = -signal.SIGKILL if cut >= 0 else 0
        assert done.returncode == expected, (name, cut, done.returncode, done.stderr)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main(cuts: int, names: list[str]) -> None:
    print(f"{'run':<19}{'killed at':<22}{'checkpoint':<18}all else")
    for name in names or RUNS:
        whole = {}
        for cut in [(), *((c,) for c in CUTS[:cuts]), (2, 9, 0, 25, 13)]:
            with tempfile.TemporaryDirectory() as folder:
                found = in_process(name, os.path.join(folder, "run"), *cut)
            whole = whole or found
            rest = sha256([found[part] for part in sorted(found) if part != "file"])
            print(f"{name:<19}{', '.join(map(str, cut)) or 'never':<22}{found['file'][:16]:<18}{rest[:16]}  "
                  + ("equal" if found == whole else f"DIFFERENT: {[x for x in whole if whole[x] != found[x]]}"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        name, path, cut = sys.argv[2:]
        run = trained(RUNS[name], path, cut=int(cut), die=lambda: os.kill(os.getpid(), signal.SIGKILL))
        print(json.dumps(hashes(run, path)))
    elif sys.argv[1:2] == ["--cuts"]:
        main(int(sys.argv[2]), sys.argv[3:])
    else:
        main(len(CUTS), sys.argv[1:])
