"""Checkpoints: one file from which a run resumes exactly.

Rows are saved as stored, with the steps that lazy ones are stored as of, and not as a reader would see them: computing
those values would round, and a resumed run is to end with the same bytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import FileReference, Parameter, restore_seed, seed_state
from ..files import FormatError, read_tree, write_tree
from ..optim import OPTIMIZER, Optimizer, optimizer_tree, restore_optimizer
from ..rows import RowReport, RowTracker, saved_rows
from .history import COUNT, History, Mean
from .resume import Epochs, check_states, restore, states

KIND, LAYOUT = "tinyembed checkpoint", 2
WORD, BIG = range(2**32), range(2**1300)
RUN = {"steps": COUNT, "train": np.dtype(float), "held_out": np.dtype(float), "mean": Mean, "rows": {str: RowReport},
       "batches": (None, COUNT), "place": Epochs, "now": {str: {str: object}},
       "seed": (None, {"entropy": (BIG, [BIG]), "spawned": WORD})}
FORM = {"model": {str: {"stored": (np.ndarray, FileReference), "frozen_rows": (None, np.dtype(bool)), "trains": bool}},
        "optimizer": (None, {**OPTIMIZER, "names": [[str]]}),
        "run": (None, RUN), "about": object}


@dataclass
class Checkpoint:
    """What `load_checkpoint` found, besides what it put into the model and the optimiser.

    about      whatever was given to be kept: vocabulary, configuration
    steps      how many steps were taken; 0 if it was not `fit` that saved
    version    of the tinyembed that wrote it
    shapes     of the parameters, by name: what `about` says of a model's sizes can be held against them before the
               model is made
    """

    about: Any
    steps: int
    version: str
    shapes: dict[str, tuple[int, ...]]


def save_checkpoint(path: str | os.PathLike[str], model: Any, optimizer: Optimizer | None = None, *,
                    about: Any = None) -> None:
    """Write model and optimiser to one safetensors file; whatever happens meanwhile, `path` is the old file or the new.

    about   anything else that belongs to it, such as `{"config": vars(options), "tokens": vocabulary.tokens}`: dicts,
            lists, tuples, None, booleans, numbers, strings and arrays, at any depth

    The parameters are stored as tensors `model.NAME.stored`, in the state in which that optimiser left them: rows that
    lag are not brought up to date (`write_safetensors(path, model.state_dict())` gives other programs a file in
    which they are). Mapped tables stay in their own files, are flushed first, and are referred to.

    >>> import tempfile, tinyembed as te
    >>> model = te.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(folder + "/model", model, about={"epochs": 3})
    ...     load_checkpoint(folder + "/model", te.nn.Linear(2, 1)).about
    {'epochs': 3}
    """
    write(path, model, optimizer, None, about)


def load_checkpoint(path: str | os.PathLike[str], model: Any = None, optimizer: Optimizer | None = None) -> Checkpoint:
    """Read a checkpoint of `save_checkpoint` or of `fit`: put back the model's parameters and the optimiser, if given.

    With an optimiser, training goes on where it was; without, all rows are brought up to date. Parameters and rows that
    the model has frozen, or not, stay so. Raises FormatError if the file is damaged, no checkpoint, or of another
    layout; ValueError, with the reason, if model or optimiser are not those that it was made of. Then nothing has
    changed.
    """
    tree, version = read(path)
    if model is not None:
        put_back(path, tree, model, optimizer)
    elif optimizer is not None:
        raise ValueError("an optimiser is put back together with its model: give both")
    shapes = {name: tuple(p["stored"].shape) for name, p in tree["model"].items()}
    return Checkpoint(tree["about"], tree["run"]["steps"] if tree["run"] else 0, version, shapes)


def write(path: str | os.PathLike[str], model: Any, optimizer: Optimizer | None, run: Any, about: Any) -> None:
    """`save_checkpoint`, with the state of a run besides."""
    parameters = dict(model.named_state())
    names = {id(p): name for name, p in parameters.items()}
    state: Any = None
    if optimizer is not None:
        if any(id(p) not in names for p in optimizer.params):
            raise ValueError("the optimiser drives a parameter that is not the model's; a checkpoint is of one model")
        state = {**optimizer_tree(optimizer), "names": [[names[id(p)] for p in o.params] for o in optimizer.groups]}
    for p in parameters.values():
        p.storage.flush()
    # Rows that lag by another optimiser's doing are of no use without it: of those, what a reader sees.
    mine = [None, *(optimizer.state if optimizer is not None else [])]
    tensors = {name: {"stored": p.storage.all() if p.storage.keeps_state or p.lazy in mine else p.data,
                      "frozen_rows": p.frozen_rows, "trains": p.requires_grad} for name, p in parameters.items()}
    write_tree(path, {"model": tensors, "optimizer": state, "run": run, "about": about}, kind=KIND,
               layout=LAYOUT)


def read(path: str | os.PathLike[str]) -> tuple[Any, str]:
    """The tree of a checkpoint, in the form that `write` gives it, and the version that wrote it."""
    tree, version = read_tree(path, FORM, kind=KIND, layout=LAYOUT)
    for name, p in tree["model"].items():
        stored, frozen = p["stored"], p["frozen_rows"]
        if p["trains"] and getattr(stored.dtype, "str", stored.dtype)[1:2] != "f":
            raise FormatError(path, f"parameter {name}", f"trains, and holds {stored.dtype}")
        if frozen is not None and (frozen.shape != stored.shape[:1] or frozen.ndim == 0):
            raise FormatError(path, f"parameter {name}", "frozen_rows is not a boolean for each row")
    return tree, version


def check_model(path: Any, tree: Any, model: Any) -> None:
    """ValueError with all the ways in which the file's parameters are not the model's."""
    mine, theirs = dict(model.named_state()), tree["model"]
    wrong = [f"missing {name}" for name in mine if name not in theirs]
    wrong += [f"unexpected {name}" for name in theirs if name not in mine]
    wrong += [f"{name} is {_title(theirs[name]['stored'])}, should be "
              f"{_title(p.storage.reference() or p.storage.all())}" for name, p in mine.items()
              if name in theirs and not _fits(p, theirs[name]["stored"])]
    if wrong:
        raise ValueError(f"{os.fspath(path)} is not of this model: {'; '.join(wrong)}")


def put_back(path: Any, tree: Any, model: Any, optimizer: Optimizer | None, resume: bool = False) -> None:
    """Into the model and the optimiser, once all is found to fit. What is frozen is up to the program, as the model has
    it, but with `resume`."""
    check_model(path, tree, model)
    mine, theirs, state = dict(model.named_state()), tree["model"], tree["optimizer"]
    lazy: dict[str, Any] = {}
    if optimizer is not None:
        if state is None:
            raise ValueError(f"{os.fspath(path)} was saved without an optimiser")
        names = {id(p): name for name, p in mine.items()}
        driven = [[names.get(id(p)) for p in o.params] for o in optimizer.groups]
        if driven != state["names"]:
            raise ValueError(f"{os.fspath(path)} has the optimiser of {state['names']}; here it is of {driven}")
        with _named(path):
            restore_optimizer(optimizer, state)
        lazy = {names[id(s.p)]: s for s in optimizer.state}
    elif state is not None:
        flat = [name for group in state["names"] for name in group]
        if len(flat) != len(state["states"]) or not set(flat) <= set(mine) or len(set(flat)) < len(flat):
            raise FormatError(path, "tree.optimizer.names", "are not those of the parameters")
        for name, saved in zip(flat, state["states"]):
            if saved is not None:
                with _named(path):
                    lazy[name] = saved_rows(saved, mine[name])
    for name, p in mine.items():
        stored, mask, rows = theirs[name]["stored"], p.frozen_rows, lazy.get(name)
        p.restore(stored if isinstance(stored, np.ndarray) else None, theirs[name]["frozen_rows"],
                  rows if rows is not None and rows.law is not None else None)
        if not resume:
            p.frozen_rows = mask  # rows that lag come up to date first, but for those frozen then
        if resume:
            p.requires_grad = theirs[name]["trains"]
        if optimizer is None:
            p.hand_to(None)


@contextmanager
def _named(path: Any) -> Iterator[None]:
    """What does not fit the program may be no fault of the file: a ValueError, which says what file it was."""
    try:
        yield
    except FormatError:
        raise
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


class RunFile:
    """The checkpoint of a run of `fit`: the place in the data, the generators and what was measured so far, too."""

    def __init__(self, path: str | os.PathLike[str], model: Any, optimizer: Optimizer, data: Epochs, history: History,
                 mean: Mean, tracker: RowTracker, about: Any, writes: bool = True) -> None:
        if os.path.exists(path) and not os.path.isfile(path):  # better known now than when the training is done
            raise OSError(errno.EINVAL, "not a regular file, so no checkpoint can be written there", os.fspath(path))
        self.path, self.model, self.optimizer, self.about = path, model, optimizer, about
        self.data, self.history, self.mean, self.tracker = data, history, mean, tracker
        self.writes = writes  # of a group of processes one does
        self.saved = -1  # the step at which the file was written last
        self.length = len(data.batches) if isinstance(data.batches, Sized) else None

    def save(self) -> None:
        """Write the file, unless it is of this step already, or for another process to write."""
        history, data = self.history, self.data
        if self.saved == history.steps or not self.writes:
            return
        run = {"steps": history.steps, "train": np.array(history.train, np.float64),
               "held_out": np.array(history.held_out, np.float64), "mean": self.mean.to_tree(),
               "rows": self.tracker.to_tree(), "batches": self.length, "place": data.to_tree(),
               "now": states(data.generators), "seed": seed_state()}
        write(self.path, self.model, self.optimizer, run, self.about)
        self.saved = history.steps

    def resume(self) -> None:
        """Go on from the file, if there is one."""
        if not os.path.exists(self.path):
            return
        tree, _ = read(self.path)
        run, data, history = tree["run"], self.data, self.history
        if run is None:
            raise ValueError(f"{os.fspath(self.path)} was not saved by fit, so it says nothing of a place in the data")
        check_model(self.path, tree, self.model)
        if run["batches"] != self.length:
            raise ValueError(f"{os.fspath(self.path)} was made with {run['batches']} batches in a pass, and there are "
                             f"{self.length}: it must be the same data")
        with _named(self.path):
            place = Epochs.from_tree(run["place"], batches=data.batches, epochs=data.epochs, generators=data.generators,
                                     shared=data.shared)
            check_states(data.generators, run["now"])
            mean, reports = Mean.from_tree(run["mean"]), self.tracker.reports_of(run["rows"])
        if self.length is not None and place.done > self.length:
            raise FormatError(self.path, "tree.run.place.done", f"{place.done} batches done of {self.length}")
        measured = {name: _pairs(self.path, name, run[name]) for name in ("train", "held_out")}
        put_back(self.path, tree, self.model, self.optimizer, resume=True)
        restore(data.generators, run["now"])
        restore_seed(run["seed"])
        vars(data).update(vars(place))
        vars(self.mean).update(vars(mean))
        self.tracker.use(reports)
        history.steps = self.saved = run["steps"]
        vars(history).update(measured)


def _pairs(path: Any, name: str, array: Any) -> list[tuple[int, float]]:
    """The entries of a history, from an array (n, 2)."""
    pairs = array.reshape(-1, 2) if array.shape[1:] == (2,) or not array.size else np.full((1, 2), np.nan)
    steps = pairs[:, 0]
    if not ((steps >= 0) & (steps < 2**53) & (np.floor(steps) == steps)).all():
        raise FormatError(path, f"tree.run.{name}", "no pairs of step and loss")
    return [(int(step), loss) for step, loss in pairs.tolist()]


def _fits(p: Parameter, stored: Any) -> bool:
    if isinstance(stored, FileReference) or p.storage.keeps_state:
        reference = p.storage.reference()
        return reference is not None and reference.same(stored)
    return bool(stored.shape == p.shape and stored.dtype == p.dtype)


def _title(x: Any) -> str:
    return f"{x.shape} {x.dtype}" if isinstance(x, np.ndarray) else f"{x.shape} {x.dtype} in {os.path.basename(x.file)}"
