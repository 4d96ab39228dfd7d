"""What the processes of test_parallel.py run: they import it by its name, and so nothing that takes long to load."""

import hashlib
import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.core import RowGrad, machine
from tinyembed.data import Batches
from tinyembed.optim import SGD, AdamW
from tinyembed.train import fit, processes

try:
    import resource
except ImportError:  # it is POSIX's
    pass

V, D = 11, 3


def rng(seed=0):
    return np.random.default_rng(seed)


class Tied(nn.Module):
    """A table that is looked up and is the head too: a gradient of rows and a dense one together."""

    def __init__(self):
        self.table = nn.Embedding(V, D, rng=rng(1), dtype=np.float64)

    def forward(self, ids):
        return self.table(ids) @ self.table.weight.transpose()


def made(kind):
    if kind == "tied":
        return Tied()
    return nn.Sequential(nn.Embedding(V, D, rng=rng(1), dtype=np.float64, sparse=kind == "rows"),
                         nn.Linear(D, V, rng=rng(2), dtype=np.float64))


def loss(model, x, y):
    return ops.cross_entropy(model(x), y)


def data(sizes):
    ids = [rng(i).integers(V, size=n) for i, n in enumerate(sizes)]
    return [(x, (3 * x + 1) % V) for x in ids]


def sha256(model):
    return hashlib.sha256(b"".join(p.data.tobytes() for p in model.parameters())).hexdigest()


def same_everywhere(group, model):
    mine = int(sha256(model)[:12], 16)
    return len(set(group.all_reduce(*(mine * (rank == group.rank) for rank in range(group.size))))) == 1


KINDS = ["dense", "rows", "tied"]
SIZES = [[6, 6, 6, 6], [5, 1, 2, 7, 1], [1]]
OPTIONS = [{}, {"accumulate": 2}, {"clip_norm": 0.1}, {"accumulate": 3, "clip_norm": 0.2, "epochs": 2},
           {"patience": 1, "epochs": 8}]
CASES = list(itertools.product(KINDS, SIZES, OPTIONS))


def train_all(group):
    """Parameters, history, and whether all ranks have the same, for each case."""
    found = []
    for kind, sizes, options in CASES:
        model = made(kind)
        history = fit(model, data(sizes), AdamW(model.parameters(), lr=0.1), loss=loss, progress=False, group=group,
                      held_out=data([4, 1]), every=1, **options)
        found.append(([p.data for p in model.parameters()], history.train, history.held_out,
                      same_everywhere(group, model)))
    return found


GRADIENTS = list(itertools.product(["none", "dense", "rows", "no rows"], repeat=3))


def running_means(group):
    """A step on 6 pictures: (those of this rank alone, of all ranks after the step, whether these are alike)."""
    model = nn.Sequential(nn.BatchNorm2d(2, dtype=np.float64), nn.Flatten())
    batch = (rng(0).normal(2, 3, (6, 2, 2, 2)),)
    alone = nn.BatchNorm2d(2, dtype=np.float64)
    alone(*group.part(batch))
    fit(model, [batch], SGD(model.parameters(), lr=0.1), loss=lambda model, x: (model(x) ** 2).mean(), steps=1,
        progress=False, group=group)
    of_each, of_all = (np.stack([b.data for b in m.buffers()])[None] for m in (alone, model))
    after = group.all_gather(of_all)
    return group.all_gather(of_each), of_all[0], bool((after == after[0]).all())


def gradient(kind, rank):
    """A gradient (V, D) of small integers, which every order of addition sums alike."""
    ids, rows = rng(rank).integers(V, size=20), rng(rank).integers(-9, 9, (20, D)).astype(np.float32)
    return {"none": None, "dense": rows[:V].copy(), "rows": RowGrad((V, D), ids, rows),
            "no rows": RowGrad((V, D), ids[:0], rows[:0])}[kind]


def sum_all(group):
    params = [te.Parameter(np.zeros((V, D), np.float32)) for _ in GRADIENTS] + [te.Parameter(np.zeros(()))]
    for p, kinds in zip(params, GRADIENTS):
        p.grad = gradient(kinds[group.rank], group.rank)
    params[-1].grad = np.array(0.1)
    together = group.sum_gradients(params, group.rank, 0.1)
    one_by_one = []
    for kinds in GRADIENTS:
        p = te.Parameter(np.zeros((V, D), np.float32))
        p.grad = gradient(kinds[group.rank], group.rank)
        group.sum_gradients([p])
        one_by_one.append(p.grad)
    return together, [p.grad for p in params], one_by_one


def gather_all(group):
    """Of arrays of several lengths, what all have together after each has taken its part."""
    arrays = [rng(n).normal(size=(n, 2)).astype(dtype) for n in (0, 1, 2, 7, 9999) for dtype in (np.float32, np.int64)]
    return arrays, [group.all_gather(group.part(x)[0]) for x in arrays]


def mix_dtypes(group):
    """Sums and joins of what has one dtype here and another there."""
    dense, rows = (te.Parameter(np.zeros((2, 2), np.float32)) for _ in range(2))
    dense.grad = np.full((2, 2), 1.5, np.float64 if group.rank else np.float32)
    rows.grad = RowGrad((2, 2), np.array([1], np.int32), np.full((1, 2), 2.5, np.float32 if group.rank else np.float64))
    group.sum_gradients([dense, rows, te.Parameter(np.zeros(3))])
    return dense.grad, rows.grad.to_dense(), group.all_gather(np.array([1.5]) if group.rank else np.array([1, 2]))


def other_batches(group):
    fit(made("rows"), data([4 + group.rank]), SGD(made("rows").parameters(), lr=0.1), loss=loss, progress=False,
        group=group)


def masks(group):
    """Which entries a dropout of each process has left, joined."""
    model = nn.Dropout(0.5, rng=rng(5))
    kept = []

    def note(model, x):
        y = model(te.Tensor(x))
        kept.append(y.data != 0)
        return (y * weight).mean()

    weight = te.Parameter(np.ones(1))
    fit(model, [(np.ones((8, 50), np.float32),)] * 2, SGD([weight], lr=0.1), loss=note, progress=False, group=group)
    return [group.all_gather(x) for x in kept]


def run(group, path, die_at=None):
    """Training that saves its state, and may be killed on the way. Model and data draw from one generator, and the
    parts differ in length."""
    one = rng(7)
    model, calls = nn.GPTEmbedding(V, 4, 5, dropout=0.3, rng=one), itertools.count()
    ids = rng(3).integers(V, size=(40, 5))

    def squares(model, x):
        if next(calls) == die_at and group.rank == group.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return (model(x) ** 2).mean() * (1 + one.random(len(x)).mean())  # when it is evaluated, too

    history = fit(model, Batches(ids, 5, one), AdamW(model.parameters()), loss=squares, epochs=4,
                  every=5, progress=False, checkpoint=path, resume=True, group=group, held_out=[(ids[:7],)])
    assert os.path.exists(path)
    return sha256(model), Path(path).read_bytes(), history.train, history.held_out, same_everywhere(group, model)


class Buffered:
    """A shuffle buffer: what comes out of it is drawn on the way. It notes the order."""

    def __init__(self, generator, ids):
        self.rng, self.ids, self.order = generator, ids, []

    def __iter__(self):
        buffer = []
        for x in itertools.chain(self.ids, [None] * 8):
            if x is not None:
                buffer.append(x)
            if buffer and (x is None or len(buffer) > 8):
                out = np.stack([buffer.pop(self.rng.integers(len(buffer)))])
                self.order.append(out[0, 0])
                yield (np.concatenate([out, out + 1]),)


class Noise(nn.Module):
    """A loss with dropout, and a draw of its own whose length differs between the ranks."""

    def __init__(self, generator):
        self.table, self.drop, self.rng = nn.Embedding(40, 4, rng=rng(1)), nn.Dropout(0.5, rng=generator), generator

    def loss(self, ids):
        return (self.drop(self.table(ids)) ** 2).mean() * (1 + self.rng.random(len(ids)).mean())


SHARED = {"nobody": range(3, 23), "model": (10,), "held out": (15,)}  # who draws from the batches' generator: cuts


def cut_all(group, folder):
    return {shared: cut(group, folder, shared, cuts) for shared, cuts in SHARED.items()}


def cut(group, folder, shared, cuts, steps=27):
    """The order of the batches and the bytes of the model and the checkpoint, of a run of 1.4 epochs as a whole, and of
    one that was stopped and resumed in new objects, for each place."""
    found = []
    for at in (steps, *cuts):
        path, orders = os.path.join(folder, f"{shared}{group.size}{at}"), []
        for end in sorted({at, steps}):
            one = rng(7)
            model = Noise(one if shared == "model" else rng(8))
            ids = np.arange(19)[:, None] + np.zeros((1, 3), int)
            batches, held_out = Buffered(one, ids), Buffered(one if shared == "held out" else rng(9), ids[:3])
            fit(model, batches, AdamW(model.parameters()), steps=end, every=7, progress=False, checkpoint=path,
                resume=True, group=group, held_out=held_out)
            orders.append(batches.order)
        order = orders[0] + (orders[1][at - steps:] if at < steps else [])  # without those that were only skipped
        found.append((order, sha256(model), Path(path).read_bytes()))
    return found


def bad_loss(group):
    """A loss that is infinite in rank 1 alone, at step 2; what each rank has made of it."""
    model, calls = made("rows"), itertools.count()
    try:
        fit(model, data([4] * 5), SGD(model.parameters(), lr=0.1), progress=False, group=group,
            loss=lambda *args: loss(*args) * (np.inf if next(calls) == 2 and group.rank == 1 else 1.0))
    except FloatingPointError as error:
        count, = group.all_reduce(1.0)
        return str(error), count, same_everywhere(group, model)


def fail(group, how):
    if group.rank == 1:
        if how == "raises":
            raise KeyError("what went wrong")
        if how == "exits":
            os._exit(3)
        if how == "returns":
            return
        if how == "sleeps":
            time.sleep(60)
    if how in ("answers", "sleeps"):
        return (i for i in ())  # which cannot be sent
    group.all_reduce(*[1.0] * group.rank if how == "differs" else [1.0])


def in_little_room(group):
    """The error of a rank that finds no room to write in."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    try:
        group.all_gather(np.zeros(5_000))
    except OSError as error:
        return str(error)


def clear_beside(group, where):
    """Whether this launch, and a sum of it, outlast what another launch clears."""
    processes._clear_killed(where)
    return group.all_reduce(1.0) == (group.size,) and sorted(os.listdir(where))


def refused(group):
    """The errors of what a group does not take."""
    found = []
    for attempt in (lambda: fit(nn.Linear(2, 2, rng=rng(group.rank)), [], None, group=group),
                    lambda: group.part((np.zeros(4), np.zeros(5))), lambda: group.part((np.zeros(4), 5.0)),
                    lambda: fit(nn.Embedding.mapped(os.path.join(group._folder, f"m{group.rank}"), 9, 2), [], None,
                                group=group)):
        try:
            attempt()
        except ValueError as error:
            found.append(str(error))
    return found


def cores(group):
    """How many threads BLAS is told to take, and whether there is a second one here."""
    return [os.environ.get(name) for name in processes.THREADS], machine.TWO


def each(group, *works):
    return [work(group) for work in works]


def endless(group, folder, pause=0.01):
    """Trains until it is told to stop, and says what it is up to in a file for each rank."""
    model, calls = made("rows"), itertools.count()

    def slow(*args):
        if next(calls) == 3:
            Path(folder, f"on its way {group.rank}").touch()
            time.sleep(pause)
        time.sleep(0.01)
        return loss(*args)

    history = fit(model, data([4] * 10), SGD(model.parameters(), lr=0.1), loss=slow, epochs=10**6, progress=False,
                  group=group)
    Path(folder, f"end {group.rank}").write_text(f"{history.steps} {history.interrupted} {sha256(model)}")
    return history.interrupted
