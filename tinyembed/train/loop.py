"""The one training loop: a true loss, clipping, bad steps named before they do harm, a Ctrl-C that breaks no step."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..core import RowGrad, Tensor, no_grad, norm
from ..optim import Optimizer, clip_grad_norm
from ..rows.report import RowReport, RowTracker
from .checkpoint import RunFile, save_checkpoint
from .group import Group
from .place import Epochs, alike_after, generators_in

Loss = Callable[..., Tensor]
STOPPING = "stopping after this step; press Ctrl-C again to stop at once"


@dataclass
class History:
    """What a run of `fit` has measured.

    train      (step, float64 mean loss over the examples since the entry before), one entry every `every` steps
    held_out   (step, float64 mean loss over the held-out batches), at the same steps and at the end
    rows       for each table that was looked up, which rows were touched, how often, and how far they moved
    """

    train: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    rows: list[RowReport] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def since_best(self) -> int:
        """How many entries of held_out come after the one with the lowest loss."""
        losses = [math.inf if math.isnan(loss) else loss for _, loss in self.held_out]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def fit(model: Any, batches: Iterable[Any], optimizer: Optimizer, *, loss: Loss | None = None,
        epochs: int | None = None, steps: int | None = None, held_out: Iterable[Any] | None = None, every: int = 100,
        clip_norm: float | None = None, schedule: Callable[[int], float] | None = None,
        accumulate: int = 1, patience: int | None = None, best: str | os.PathLike[str] | None = None,
        progress: bool = True, checkpoint: str | os.PathLike[str] | None = None, resume: bool = False,
        about: Any = None, group: Group | None = None) -> History:
    """Train: for each batch, loss, backward, clipping, step.

    batches     re-iterable; each batch a tuple of arrays whose first axis are the examples, such as `NextTokenBatches`
    loss        `loss(model, *batch)` -> the mean over the batch's examples; `model.loss(*batch)` if not given
    epochs      passes over the batches; one if neither this nor `steps` is given
    steps       how many steps, over as many epochs as that takes; with both, training ends at whichever comes first
    held_out    batches that are only evaluated, in eval mode, every `every` steps and at the end
    clip_norm   largest joint norm of the gradients (`optim.clip_grad_norm`)
    schedule    step (from 0) -> factor on the learning rates (`te.optim.cosine` and others)
    accumulate  how many batches make one step: the gradient is that of the mean over all their examples
    patience    stop when the held-out loss was measured so many times without a new lowest value
    best        a file for the model with the lowest held-out loss so far (`load_checkpoint(best, model)` reads it)
    progress    a bar (tqdm) if that is installed, else a line at every report
    checkpoint  a file to write every `every` steps and at the end: everything it takes to go on
    resume      go on from that file if it is there, else start: so one command line starts a run and continues it.
                A run that was killed and resumed ends with the same bytes as one that never stopped, checkpoint
                included, if all that is random draws from NumPy generators among the attributes of model, batches,
                held_out and loss, and all that the model learns is in its parameters. Batches of the running pass are
                drawn again and skipped, so those that depend on what was drawn on the way (a shuffle buffer) need a
                generator that nothing else draws from. Settings of the optimiser come from the file, the learning rate
                too. Mapped tables (`Embedding.mapped`) keep what they have learned in their own files, which are
                flushed at each save and at the end.
    about       what else the checkpoint is to hold (see `save_checkpoint`)
    group       the processes that divide each batch among them, each item of it along its first axis, as `launch` gives
                it to each. All call fit alike, with the same model and the same batches; rank 0 alone shows progress
                and writes files. A step is that of one process, up to rounding, if the loss is a mean over examples:
                one that compares the examples of a batch with each other sees a part of them, and one that leaves some
                out (targets of -100) is weighted by examples all the same. Parameters that the optimiser does not have
                keep the gradient of each process's own part. What is random within a step (dropout) each process draws
                for itself, from generators that are alike in all of them before and after.

    Loss and gradients are looked at before each step: if one is NaN or infinite, FloatingPointError says at which step
    and in which parameter, and nothing has been changed. Tables of which most rows were never touched are warned of
    (`history.rows` has the whole report). Ctrl-C ends training after the running step: fit returns, with
    `interrupted` set, and the model is whole; a second Ctrl-C stops at once. The model is left in eval mode.

    >>> import numpy as np, tinyembed as te
    >>> model = te.nn.Linear(1, 1)
    >>> data = [(np.float32([[0], [1], [2]]), np.float32([[1], [3], [5]]))]
    >>> history = fit(model, data, te.optim.Adam(model.parameters(), lr=0.1), epochs=500, progress=False,
    ...               loss=lambda model, x, y: te.ops.mse(model(x), y))
    >>> model.weight.data.round(2), history.steps
    (array([[2.]], dtype=float32), 500)
    """
    if every < 1 or any(n is not None and n < 0 for n in (steps, epochs)):
        raise ValueError(f"every must be at least 1, steps and epochs at least 0; got {every}, {steps}, {epochs}")
    if steps is None and epochs is None:
        epochs = 1
    if accumulate < 1 or (patience is not None and patience < 1):
        raise ValueError(f"accumulate and patience are 1 or more, not {accumulate} and {patience}")
    if held_out is None and (patience is not None or best is not None):
        raise ValueError("patience and best go by the loss on held_out batches, and there are none")
    totals = [steps, None]
    if epochs is not None and isinstance(batches, Sized):
        totals[1] = -(-epochs * len(batches) // accumulate)
    loss_of, group = _model_loss if loss is None else loss, Group() if group is None else group
    history, mean, began, tracker = History(), _Mean(), time.monotonic(), RowTracker(model.named_parameters())
    generators = generators_in(model=model, batches=batches, held_out=held_out, loss=loss)
    data = Epochs(batches, epochs, generators)
    file = None if checkpoint is None else RunFile(checkpoint, model, optimizer, data, history, mean, tracker, about,
                                                   writes=group.rank == 0)
    if resume:
        if file is None:
            raise ValueError("resume=True needs to know from what: checkpoint=path")
        file.resume()
    group.check(model.parameters())  # and nobody goes on before all have read the file
    if file is not None and not os.path.exists(file.path):
        file.save()  # what cannot be saved is better known now than in an hour
    model.train()

    def report() -> None:
        if mean.count:
            history.train.append((history.steps, mean.take()))
        if held_out is not None and (not history.held_out or history.held_out[-1][0] < history.steps):
            with alike_after(generators, group.size):
                history.held_out.append((history.steps, evaluate(model, held_out, loss=loss_of, group=group)))
            if best is not None and history.since_best() == 0 and group.rank == 0:
                save_checkpoint(best, model, about=about)
        history.seconds = time.monotonic() - began
        shown.report(history)

    total, stop = min((n for n in totals if n is not None), default=None), 0.0
    with _Progress(progress and group.rank == 0, total, history.steps) as shown, _interrupts() as interrupted:
        try:
            left = iter(data)
            while not (interrupted.is_set() or stop) and (steps is None or history.steps < steps) and (
                    patience is None or history.since_best() < patience) and (
                    batches_of_step := list(islice(left, accumulate))):
                if schedule is not None:
                    optimizer.scale = schedule(history.steps)
                model.zero_grad()
                optimizer.zero_grad()
                examples = sum(len(batch[0]) for batch in batches_of_step)
                losses = 0.0
                with alike_after(generators, group.size, group.rank):
                    for part in group.parts(batches_of_step):
                        value = _single(loss_of(model, *part))
                        losses += value.item() * len(part[0])
                        if not math.isfinite(losses):
                            break  # what the others learn from the sum
                        share = 1 if len(part[0]) == examples else len(part[0]) / examples
                        (value if share == 1 else value * share).backward()
                losses, stop = group.sum_gradients(optimizer.params, losses, group.interrupted)
                _check_loss(losses / max(examples, 1), history.steps)
                mean.add(losses, examples)
                _check_gradients(model, optimizer, clip_norm, history.steps)
                tracker.note()
                optimizer.step()
                history.steps += 1
                shown.step()
                if history.steps % every == 0:
                    report()
                    if file is not None:
                        file.save()
            if file is not None:
                file.save()
        except KeyboardInterrupt:  # raised by somebody else than the handler below: in another thread, in the data
            if group.size > 1:
                raise  # the others are in the middle of a step
            interrupted.set()
        finally:
            model.zero_grad()
            optimizer.zero_grad()
            model.eval()
            for p in model.parameters():
                if p.resting is not None:  # a mapped table
                    p.flush()
        history.interrupted = interrupted.is_set() or bool(stop)
        report()
    group.all_reduce()  # what rank 0 wrote is there for all
    history.rows = tracker.reports
    if group.rank == 0:
        tracker.warn()
    return history


def _model_loss(model: Any, *batch: Any) -> Tensor:
    value: Tensor = model.loss(*batch)
    return value


@no_grad()
def evaluate(model: Any, batches: Iterable[Any], *, loss: Loss | None = None, group: Group | None = None) -> float:
    """The mean loss over the examples of all batches, added up in float64, in eval mode and without a graph.

    The model's mode is put back. The processes of a group divide each batch, and all get the mean of all.
    Raises ValueError if there is no batch (a generator that is used up, say).

    >>> import numpy as np, tinyembed as te
    >>> x = np.float32([[1], [2]])
    >>> evaluate(te.nn.Dropout(0.5), [(x[:1],), (x,)], loss=lambda model, x: model(x).mean()).__round__(4)
    1.3333
    """
    group = Group() if group is None else group
    mean, modes = _Mean(), [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        for part in group.parts(batches):
            value = (_model_loss if loss is None else loss)(model, *part)
            mean.add(value.item() * len(part[0]), len(part[0]))
    finally:
        for module, training in modes:
            module.training = training
    total, count = group.all_reduce(mean.sum, mean.count)
    if not count:
        raise ValueError("there is no batch to evaluate on; of a generator nothing is left after one pass, give a list")
    return total / count


class _Mean:
    """A float64 mean over examples, from the sums over batches."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, total: float, count: int) -> None:
        self.sum, self.count = self.sum + total, self.count + count

    def take(self) -> float:
        """The mean so far; start again."""
        mean = self.sum / self.count if self.count else math.nan
        self.sum, self.count = 0.0, 0
        return mean


def _single(value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(f"the loss must be a Tensor with one entry, got {value!r}; reduce it with .mean()")
    return value


def _check_loss(value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value} at step {step}, and nothing was changed; "
                                 "te.debug_nan() names the op that made it; a smaller learning rate may help")


def _check_gradients(model: Any, optimizer: Optimizer, clip_norm: float | None, step: int) -> None:
    """Clip, and refuse gradients that are not finite."""
    if clip_norm is not None:
        finite = math.isfinite(clip_grad_norm(optimizer.params, clip_norm))
    else:
        finite = all(_finite(p.grad) for p in optimizer.params)
    if not finite:
        bad = [name for name, p in model.named_parameters() if not _finite(p.grad)]
        optimizer.zero_grad()
        raise FloatingPointError(f"the gradient of {', '.join(bad) or 'a parameter'} is not finite at step {step}, and "
                                 "nothing was changed; te.debug_nan() names the op that made it")


def _finite(g: Any) -> bool:
    return g is None or math.isfinite(norm(g.rows if isinstance(g, RowGrad) else g))


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that a step is never cut in two; the second one raises as usual."""
    event, before = threading.Event(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield event  # only the main thread may handle signals, and what is ignored stays so
        return

    def handler(number: int, frame: Any) -> None:
        print(STOPPING, file=sys.stderr)
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)

    signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


class _Progress:
    """A tqdm bar where that is installed, else a line at every report."""

    def __init__(self, on: bool, total: int | None, done: int) -> None:
        self.on, self.total, self.done, self.bar = on, total, done, None

    def __enter__(self) -> _Progress:
        if self.on:
            try:
                from tqdm import tqdm
                self.bar = tqdm(total=self.total, initial=self.done, unit="step")
            except ImportError:
                pass
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def step(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def report(self, history: History) -> None:
        losses = "  ".join(f"{name} {entries[-1][1]:.3f}" for name, entries in
                           (("loss", history.train), ("held out", history.held_out)) if entries)
        if self.bar is not None:
            self.bar.set_postfix_str(losses)
        elif self.on:
            of = "" if self.total is None else f" of {self.total}"
            print(f"step {history.steps}{of}  {losses}  {history.seconds:.0f} s", flush=True)
