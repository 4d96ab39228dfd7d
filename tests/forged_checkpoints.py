"""Checkpoints that are whole, and say what no run would: refused, with all as it was, or taken, and trained on.

    python tests/forged_checkpoints.py [every how manyth] [run ...]
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from resume_run import RUNS, STREAM, everything, sha256, trained

import tinyembed as te
from tinyembed import ops
from tinyembed.core import fresh_rng, seed_state
from tinyembed.files import FileReference, write_tree
from tinyembed.train import checkpoint, fit, load_checkpoint, save_checkpoint
from tinyembed.train.resume import generators_in

FORGED = ("AdamW", "SGD, momentum, decay", "Adam, touched", "MT19937", "Philox")
WAYS = ("model", "model and optimiser", "fit")
JUNK = [None, True, False, -1, 0, 1, 2**31, 2**62, 10**389, -0.5, 0.5, 1e300, np.nan, np.inf, "", "x", "AdamCatchUp",
        [], (), {}, [1], ["x"], (None, None), {"x": 1}, {1: None}, np.zeros(()), np.zeros(3), np.full((2, 2), np.nan),
        np.zeros((0, 2)), np.array([True]), np.int64([5]), FileReference("words", "<f4", (50, 4), 0),
        FileReference("", "?", (), -1)]


def cut(x: Any) -> Any:
    return x[1:]


def negative(x: Any) -> Any:
    return -1 - x


def more(x: Any) -> Any:
    return x + 100


# Of a run, places, and what must be refused there (a function is given what stands there): for each of them there was a
# time when it was taken, or raised another error, or that would be so if a check were forgotten.
STATE, NOW, BEFORE = "optimizer.states.0.", "run.now.", "run.place.before.batches.rng."
LAST, LAW, SETTINGS = STATE + "last", STATE + "law.", STATE + "settings."
MUST_BE_REFUSED: dict[str, dict[str, list[Any]]] = {
    "AdamW": {
        LAST: [more, negative, cut, np.int64], STATE + "steps": [more, negative], STATE + "by_rows": [None, False],
        STATE + "arrays": [[], None], STATE + "arrays.0": [cut, np.float64], STATE + "law": [None],
        LAW + "class": ["LinearCatchUp", "x"], LAW + "t": [more], LAW + "eps": [0.5], LAW + "gaps": [np.float64],
        LAW + "betas": [("a", "b"), (0.9,), (0.9, 2), (0.8, 0.999)], LAW + "C": [cut], LAW + "Q": [np.float32],
        LAW + "pattern": [np.ravel], LAW + "scale": [lambda x: x[:3], np.array(1.0)],
        SETTINGS + "betas": [(np.zeros(2), 0.5)], SETTINGS + "eps": [np.ones(2), "x"],
        "optimizer.groups.0.lr": [10**389, negative], "optimizer.groups.0.betas": [0.9, (0.9, None)],
        "optimizer.groups.0.scale": [np.nan], "optimizer.names": [lambda x: [*x, []], lambda x: [x[0] + x[0]]],
        "model.head.bias.stored": [np.int32, cut], "model.tags.weight.frozen_rows": [cut, np.array(True)],
        "run.steps": [negative, 10**389], "run.place.done": [99], "run.mean.sum": [10**389],
        "run.mean.count": [negative],
        "run.seed.entropy": [negative], "run.seed.spawned": [2**32], "run.place.before": [{}], "run.now": [{}],
        "run.train": [np.array(1.0), np.ones(4), np.array([[np.nan, 1.0]])], "run.held_out": [np.array([[0.5, 1.0]])],
        "run.rows.tags.weight.ids": [lambda x: 0 * x, more], "run.rows.tags.weight.times": [np.float64, negative],
        "run.rows.tags.weight.first": [np.float64, cut], NOW + "model.dropout.rng.has_uint32": [None, 0.5],
        NOW + "model.dropout.rng.state": [{"state": 0, "inc": 0}, []], BEFORE + "state.inc": [1.5, 2**128, -1]},
    "SGD, momentum, decay": {LAW + "tails": [np.float32, np.array(0.0)], LAW + "blocks": [lambda x: x[:0]],
                             LAW + "eye": [more]},
    "Adam, touched": {STATE + "row_steps": [more, negative, cut, np.int32, None]},
    "MT19937": {BEFORE + "state.pos": [10**6, -1], BEFORE + "state.key": [cut, lambda x: 0 * x, np.float32]},
    "Philox": {BEFORE + "buffer_pos": [10**6, -1], BEFORE + "buffer": [cut]},
}


def false_entries() -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """The run, place and value of each."""
    for name, entries in MUST_BE_REFUSED.items():
        there = {".".join(map(str, path)): (path, x) for path, x in places(forgeries(name)[0])}
        for place, values in entries.items():
            path, x = there[place]
            for value in values:
                make = x.astype if isinstance(value, type) else value
                yield name, path, make(value) if isinstance(value, type) else make(x) if callable(value) else value


def near(x: Any) -> list[Any]:
    """What is nearly right where x was."""
    if isinstance(x, np.ndarray):
        found = [x[..., None], x.reshape(-1), np.zeros_like(x), *map(x.astype, ("f4", "f8", "i4", "i8", "u1", "?"))]
        found += [x[:-1], np.concatenate([x, x])] if x.ndim else []
        return [*found, -1 - x, x + 1, x * (2**30 if x.itemsize > 2 else 2)] if x.dtype.kind in "fi" else found
    if isinstance(x, dict):
        return [{**x, "x": 1}, *({k: v for k, v in x.items() if k != key} for key in x)]
    if isinstance(x, (list, tuple)):
        return [type(x)(x[:-1]), x + x[:1], type(x)(x[::-1]), tuple(x) if isinstance(x, list) else list(x)]
    return [x + 1, -1 - x, 2 * x, float(x)] if isinstance(x, (int, float)) else [x + "x"] if isinstance(x, str) else []


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Everything in a tree, the containers too, and where it stands."""
    yield path, tree
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, x in inside:
        yield from places(x, (*path, key))


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The tree with something else in one place."""
    if not path:
        return value
    key, *rest = path
    new = put(tree[key], tuple(rest), value)
    return {**tree, key: new} if isinstance(tree, dict) else type(tree)([*tree[:key], new, *tree[key + 1:]])


@functools.cache
def forgeries(name: str) -> tuple[Any, list[tuple[tuple[Any, ...], Any]]]:
    """The tree of a run's checkpoint, and all (place, value) to be tried."""
    with tempfile.TemporaryDirectory() as folder:
        trained(RUNS[name], folder + "/run", steps=9)
        tree, _ = checkpoint.read(folder + "/run")
    return tree, [(path, value) for path, x in places(tree) for value in [*JUNK, *near(x)]]


def try_forged(name: str, path: tuple[Any, ...], value: Any, way: str, folder: Path) -> str:
    """Write the run's checkpoint with `value` in one place, and go on from it. "taken", and then the run goes on; or
    "refused", and then nothing has changed. AssertionError, or what else was raised, if it is neither."""
    file, te_seed = folder / "run", 1
    write_tree(file, put(forgeries(name)[0], path, value), kind=checkpoint.KIND, layout=checkpoint.LAYOUT)
    te.seed(te_seed)
    run = RUNS[name]()
    run.model.eval()
    _train(run)  # so that there is something to lose
    before, seed = sha256(everything(run)), seed_state()
    try:
        if way == "fit":
            fit(run.model, run.batches, run.optimizer, loss=_loss, held_out=run.held_out, steps=0, checkpoint=file,
                resume=True, progress=False)
        else:
            load_checkpoint(file, run.model, None if way == "model" else run.optimizer)
    except ValueError as error:
        assert len(str(error)) > 20 and str(file) in str(error)
        assert sha256(everything(run)) == before and seed_state() == seed, f"refused half-way: {error}"
        return "refused"
    try:
        with np.errstate(all="ignore"):
            _train(run)
            for generator in generators_in(run=run).values():
                generator.random(700)  # more than any generator has in a buffer
            fresh_rng()
            save_checkpoint(file, run.model, run.optimizer)
            load_checkpoint(file, run.model, run.optimizer)
    except FloatingPointError:
        pass  # infinite weights are weights
    return "taken"


def _loss(model: Any, x: Any, y: Any) -> te.Tensor:
    return ops.cross_entropy(model(x), y)


def _train(run: SimpleNamespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows never touched
        batch = STREAM[None, :5], STREAM[None, 1:6]
        fit(run.model, [batch, batch[::-1]], run.optimizer, loss=_loss, progress=False)


def main(stride: int, names: list[str]) -> None:
    for name in names or FORGED:
        start, outcome = time.monotonic(), Counter[str]()
        with tempfile.TemporaryDirectory() as folder:
            for path, value in forgeries(name)[1][::stride]:
                for way in WAYS:
                    try:
                        found = try_forged(name, path, value, way, Path(folder))
                    except Exception as error:
                        found = "NEITHER"
                        print(f"{way}: {value!r:.60} at {'.'.join(map(str, path))}: {type(error).__name__}: {error}")
                    outcome[found] += 1
        print(f"{name:<16}{sum(outcome.values())} forgeries: {dict(outcome)} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1, sys.argv[2:])
