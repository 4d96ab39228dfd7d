"""The training loop: train_step, evaluate, fit; clipping, non-finite losses reported, safe interruption by Ctrl-C.

`train_step` is what training is: `gradients`, then the optimiser's step. `fit` says when, how long, and what is kept.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import nullcontext
from itertools import islice
from typing import Any

from ..core import RowGrad, Tensor, no_grad, norm
from ..optim import Optimizer, clip_grad_norm
from .history import History, Mean
from .progress import Progress, interrupts
from .resume import Epochs, as_tuple, common, generators_in

Loss = Callable[..., Tensor]


def train_step(model: Any, batches: Iterable[Any], optimizer: Optimizer, loss: Loss | None = None,
               clip_norm: float | None = None, group: Any = None) -> tuple[float, int]:
    """One step of the optimiser for a list of batches: (the sum of their losses over the examples, how many these are).

    The gradient is that of the mean over the examples of all batches. The arguments are those of `fit`.
    FloatingPointError if the loss or a gradient is not finite; then nothing has been changed.

    >>> import numpy as np, tinyembed as te
    >>> model = te.nn.Linear(1, 1)
    >>> adam, batch = te.optim.Adam(model.parameters(), lr=0.1), (np.float32([[0], [1]]), np.float32([[1], [3]]))
    >>> losses = [train_step(model, [batch], adam, loss=lambda m, x, y: te.ops.mse(m(x), y))[0] for _ in range(300)]
    >>> losses[-1] < 1e-3 < losses[0], model.weight.data.round(1)
    (True, array([[2.]], dtype=float32))
    """
    found = gradients(model, batches, optimizer, loss, clip_norm, Alone() if group is None else group)
    optimizer.step()
    return found


def gradients(model: Any, batches: Iterable[Any], optimizer: Optimizer, loss: Loss | None, clip_norm: float | None,
              group: Any) -> tuple[float, int]:
    """`train_step` but for the step: loss and gradient of each batch, each batch weighted by its examples, and all of
    it refused if something is not finite."""
    batches = [as_tuple(batch) for batch in batches]
    model.zero_grad()
    optimizer.zero_grad()
    count = sum(map(examples_in, batches))
    total, before = 0.0, [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    for part in group.parts(batches):
        value, n = _loss(model, loss, part), examples_in(part)
        total += value.item() * n
        if not math.isfinite(total):
            break  # the other ranks see it in the sum below
        (value if n == count else value * (n / count)).backward()
    total, = group.sum_gradients(optimizer.params, total)
    try:
        _refuse_unless_finite(model, optimizer, total / max(count, 1), clip_norm)  # before a parameter has changed
        if count:
            _refuse_others(model, optimizer)
    except (FloatingPointError, ValueError):
        for buffer, data in before:
            buffer.data = data
        raise
    group.average([buffer for buffer, _ in before])
    return total, count


def examples_in(batch: tuple[Any, ...]) -> int:
    """How many examples a batch has: the length that most of its items have, and of two such lengths that of the later
    item, since targets stand last. So of (ids, offsets, y), bags of ids end to end, an example is a bag. The items of a
    dict are its values; a string, such as the name of a task, has no examples; a batch of single values is one.

    >>> examples_in(([7, 3, 5, 5], [0, 3], [1.0, 0.0]))
    2
    """
    items = [x for item in batch for x in (item.values() if isinstance(item, Mapping) else (item,))]
    lengths = [len(x) for x in reversed(items) if hasattr(x, "__len__") and not isinstance(x, (str, bytes))
               and getattr(x, "shape", True) != ()]
    return max(lengths, key=lengths.count, default=1)


class Alone:
    """The processes that train together, where there is one. `Group` (group.py) is the same for several."""

    rank, size, interrupted = 0, 1, False

    def parts(self, batches: Iterable[Any], alike: bool = False) -> Iterator[tuple[Any, ...]]:
        """What this process takes of each batch."""
        return map(as_tuple, batches)

    def sum_gradients(self, params: Iterable[Any], *numbers: float) -> tuple[float, ...]:
        """Make the gradient of each parameter the sum over all processes, and return that of each number."""
        return numbers

    def average(self, arrays: Iterable[Any]) -> None:
        """Make each of these tensors, buffers of the model, the mean over all processes."""

    def all_reduce(self, *numbers: float) -> tuple[float, ...]:
        """The sum of each number over all processes, which wait for each other here."""
        return numbers

    def check(self, params: Iterable[Any]) -> None:
        """ValueError if the processes start with different parameters."""

    def alike(self, generators: dict[str, Any]) -> Any:
        """A context for a run: within each step these generators draw for one process, and after it all are alike."""
        return nullcontext()


def fit(model: Any, batches: Iterable[Any], optimizer: Optimizer, *, loss: Loss | None = None,
        epochs: int | None = None, steps: int | None = None, held_out: Iterable[Any] | None = None,
        every: int | None = 100, clip_norm: float | None = None, schedule: Callable[[int], float] | None = None,
        accumulate: int = 1, patience: int | None = None, best: str | os.PathLike[str] | None = None,
        progress: bool = True, checkpoint: str | os.PathLike[str] | None = None, resume: bool = False,
        about: Any = None, group: Any = None) -> History:
    """Train: for each batch, loss, backward, clipping, step.

    batches     re-iterable; each batch a tuple of arrays whose first axis are the examples, such as `data.Batches`
                (where lengths differ, as with bags, `examples_in` has the rule)
    loss        `loss(model, *batch)` -> the mean over the batch's examples; `model.loss(*batch)` if not given
    epochs      passes over the batches; one if neither this nor `steps` is given
    steps       how many steps, over as many epochs as that takes; with both, training ends at whichever comes first
    held_out    batches that are only evaluated, in eval mode, every `every` steps and at the end
    every       None: after each pass over the batches, which have a length, or say of themselves `ends_pass`
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
                drawn again and skipped; what the model, the loss or held_out draw on the way does not move them, from
                one generator or several (see `Epochs`). Settings of the optimiser come from the file, the learning rate
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
    from ..rows import RowTracker  # the report, and the files below, are no part of the loop
    if (every is not None and every < 1) or any(n is not None and n < 0 for n in (steps, epochs)):
        raise ValueError(f"every must be at least 1, steps and epochs at least 0; got {every}, {steps}, {epochs}")
    if accumulate < 1 or (patience is not None and patience < 1):
        raise ValueError(f"accumulate and patience are 1 or more, not {accumulate} and {patience}")
    if isinstance(held_out, (list, tuple)) and not sum(examples_in(as_tuple(batch)) for batch in held_out):
        raise ValueError("there is no example in held_out to evaluate on")
    if held_out is None and (patience is not None or best is not None):
        raise ValueError("patience and best go by the loss on held_out batches, and there are none")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs to know from what: checkpoint=path")
    epochs = 1 if steps is None and epochs is None else epochs
    group = Alone() if group is None else group
    history, mean, began, tracker = History(), Mean(), time.monotonic(), RowTracker(model.named_parameters())
    generators = generators_in(model=model, batches=batches, held_out=held_out, loss=loss)
    others = generators_in(model=model, held_out=held_out, loss=loss)  # of those that draw within a step
    shared = common(common(generators, generators_in(batches=batches)), others)
    data, file = Epochs(batches, epochs, generators, shared), None
    if checkpoint is not None:
        from .checkpoint import RunFile
        file = RunFile(checkpoint, model, optimizer, data, history, mean, tracker, about, writes=group.rank == 0)
        if resume:
            file.resume()
    group.check([p for _, p in model.named_state()])  # and nobody goes on before all have read the file
    if file is not None and not os.path.exists(file.path):
        file.save()  # what cannot be saved is better known now than in an hour

    def report() -> None:
        if mean.count:
            history.train.append((history.steps, mean.take()))
        if held_out is not None and (not history.held_out or history.held_out[-1][0] < history.steps):
            history.held_out.append((history.steps, evaluate(model, held_out, loss=loss, group=group)))
            if best is not None and history.since_best() == 0 and group.rank == 0:
                from .checkpoint import save_checkpoint
                save_checkpoint(best, model, about=about)
        history.seconds = time.monotonic() - began
        shown.report(history)

    left, total = iter(data), _steps_in_all(steps, epochs, batches, accumulate)
    with Progress(progress and group.rank == 0, total, history.steps) as shown, interrupts() as interrupted, \
            group.alike(others):
        model.train()
        try:
            while not (interrupted.is_set() or group.interrupted) and (steps is None or history.steps < steps) and (
                    patience is None or history.since_best() < patience) and (
                    batches_of_step := list(islice(left, accumulate))):
                if schedule is not None:
                    optimizer.scale = schedule(history.steps)
                try:
                    mean.add(*gradients(model, batches_of_step, optimizer, loss, clip_norm, group))
                except FloatingPointError as error:
                    raise FloatingPointError(f"at step {history.steps}: {error}") from error
                tracker.note()
                optimizer.step()
                history.steps += 1
                shown.step()
                if data.ends_pass if every is None else history.steps % every == 0:
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
                p.storage.flush()
        history.interrupted = interrupted.is_set() or group.interrupted
        report()
    group.all_reduce()  # what rank 0 wrote is there for all
    history.rows = tracker.reports
    if group.rank == 0:
        tracker.warn()
    return history


@no_grad()
def evaluate(model: Any, batches: Iterable[Any], *, loss: Loss | None = None, group: Any = None) -> float:
    """The mean loss over the examples of all batches, added up in float64, in eval mode and without a graph.

    The model's mode is put back. The processes of a group divide each batch, and all get the mean of all.
    Raises ValueError if there is no batch (a generator that is used up, say).

    >>> import numpy as np, tinyembed as te
    >>> x = np.float32([[1], [2]])
    >>> evaluate(te.nn.Dropout(0.5), [(x[:1],), (x,)], loss=lambda model, x: model(x).mean()).__round__(4)
    1.3333
    """
    group, mean = Alone() if group is None else group, Mean()
    with model.evaluating():
        for part in group.parts(batches, alike=True):
            n = examples_in(part)
            mean.add(_loss(model, loss, part).item() * n, n)
    total, count = group.all_reduce(mean.sum, mean.count)
    if not count:
        raise ValueError("there is no batch to evaluate on; of a generator nothing is left after one pass, give a list")
    return float(total / count)


def _steps_in_all(steps: int | None, epochs: int | None, batches: Any, accumulate: int) -> int | None:
    """How many steps a run will take; None if only the data tell."""
    passes = -(-epochs * len(batches) // accumulate) if epochs is not None and isinstance(batches, Sized) else None
    return min((n for n in (steps, passes) if n is not None), default=None)


def _loss(model: Any, loss: Loss | None, batch: tuple[Any, ...]) -> Tensor:
    """The loss of a batch, checked to be one number."""
    value: Tensor = model.loss(*batch) if loss is None else loss(model, *batch)
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(f"the loss must be a Tensor with one entry, got {value!r}; reduce it with .mean()")
    return value


def _refuse_unless_finite(model: Any, optimizer: Optimizer, loss: float, clip_norm: float | None) -> None:
    """FloatingPointError for a loss or gradients that are not finite; clips on the way."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}, and nothing was changed; te.debug_nan() names the op that made "
                                 "it; a smaller learning rate may help")
    if clip_norm is not None:
        finite = math.isfinite(clip_grad_norm(optimizer.params, clip_norm))
    else:
        finite = all(_finite(p.grad) for p in optimizer.params)
    if not finite:
        bad = [name for name, p in model.named_parameters() if not _finite(p.grad)]
        optimizer.zero_grad()
        raise FloatingPointError(f"the gradient of {', '.join(bad) or 'a parameter'} is not finite, and nothing was "
                                 "changed; te.debug_nan() names the op that made it")


def _refuse_others(model: Any, optimizer: Optimizer) -> None:
    """ValueError for an optimiser that would train nothing, or has a parameter that was since replaced in the model."""
    idle = [p for p in optimizer.params if p.grad is None]
    if not idle:
        return
    hint = "make the optimiser of the parameters that the loss is computed from, of model.parameters() say"
    if len(idle) == len(optimizer.params):
        raise ValueError(f"no parameter of the optimiser has a gradient, so nothing would be trained: {hint}")
    mine, own = {id(p) for p in optimizer.params}, dict(model.named_parameters())
    left = [name for name, p in own.items() if p.grad is not None and id(p) not in mine]
    if left and {id(p) for p in idle} - {id(p) for p in own.values()}:
        raise ValueError(f"the optimiser has parameters that the model has no more, and has not {', '.join(left)}, "
                         f"which would not be trained: {hint}")


def _finite(g: Any) -> bool:
    return g is None or math.isfinite(norm(g.rows if isinstance(g, RowGrad) else g))
