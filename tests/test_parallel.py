"""Laws of training in several processes: the step is that of one process, all replicas stay the same to the last bit,
and however it ends, nothing remains."""

import hashlib
import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.core import RowGrad, machine
from tinyembed.optim import SGD, AdamW
from tinyembed.train import Group, evaluate, fit, launch, parallel

pytestmark = pytest.mark.filterwarnings("ignore:.*never touched")
try:
    import resource
except ImportError:  # it is POSIX's
    pass

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
V, D = 11, 3
TESTS = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def nothing_remains(tmp_path, monkeypatch):
    """Neither processes nor files, after each test."""
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(parallel, "SHARED", str(tmp_path / "shared"))
    yield
    assert multiprocessing.active_children() == []
    assert list((tmp_path / "shared").iterdir()) == []


# ------------------------------------------------------------------------------ what the processes run, by its name


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
           {"patience": 1, "epochs": 20}]
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
        return (y * te.Tensor([1.0], requires_grad=True)).mean()

    fit(model, [(np.ones((8, 50), np.float32),)] * 2, SGD([te.Parameter(np.zeros(1))], lr=0.1), loss=note,
        progress=False, group=group)
    return [group.all_gather(x) for x in kept]


class Shuffled:
    """Batches of 5 in an order drawn anew for each pass."""

    def __init__(self, ids, rng):
        self.ids, self.rng = ids, rng

    def __iter__(self):
        order = self.rng.permutation(len(self.ids))
        return ((self.ids[order[i:i + 5]],) for i in range(0, len(self.ids), 5))


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

    history = fit(model, Shuffled(ids, one), AdamW(model.parameters()), loss=squares, epochs=4,
                  every=5, progress=False, checkpoint=path, resume=True, group=group, held_out=[(ids[:7],)])
    assert os.path.exists(path)
    return sha256(model), Path(path).read_bytes(), history.train, history.held_out, same_everywhere(group, model)


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


def environment(group):
    return [os.environ.get(name) for name in parallel.THREADS]


def second_thread(group):
    return machine.TWO


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


# ----------------------------------------------------------------------------------------------------------- the laws


@pytest.mark.parametrize("processes", [2, 3])
def test_a_step_of_several_processes_is_that_of_one(processes):
    """For gradients of rows, dense ones and both; parts that differ in length; batches with fewer examples than there
    are processes; accumulated and clipped."""
    for case, one, several in zip(CASES, train_all(Group()), launch(train_all, processes)):
        assert several[3], case
        for x, y in zip(one[:3], several[:3]):
            for a, b in zip(x, y):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=str(case))
        assert len(one[1]) == len(several[1]) and len(one[2]) == len(several[2])


def test_gradients_of_all_kinds_add_up():
    numbers, together, one_by_one = launch(sum_all, 3)
    assert numbers == (3.0, 0.1 + 0.1 + 0.1) and together.pop() == 0.1 + 0.1 + 0.1
    for kinds, *found in zip(GRADIENTS, together, one_by_one):
        terms = [gradient(kind, rank) for rank, kind in enumerate(kinds) if kind != "none"]
        for g in found:
            if not terms:
                assert g is None
                continue
            assert isinstance(g, np.ndarray if "dense" in kinds else RowGrad), kinds
            assert g.dtype == np.float32 and (isinstance(g, np.ndarray) or g.coalesced)
            dense, *rest = (x.to_dense() if isinstance(x, RowGrad) else x for x in [g, *terms])
            np.testing.assert_array_equal(dense, sum(rest), err_msg=str(kinds))


def test_gathered_parts_are_the_whole():
    for size in (1, 3):
        for whole, gathered in zip(*launch(gather_all, size)):
            np.testing.assert_array_equal(gathered, whole, strict=True)


def test_dtypes_may_differ_between_ranks():
    dense, rows, joined = launch(mix_dtypes, 2)
    assert dense.dtype == rows.dtype == np.float32 and joined.tolist() == [1, 2, 1.5]
    assert (dense == 3).all() and rows.tolist() == [[0, 0], [5, 5]]


def test_each_process_draws_masks_of_its_own_and_others_in_each_step():
    first, second = launch(masks, 2)
    parts = [first[:4], first[4:], second[:4], second[4:]]
    assert all(0.3 < x.mean() < 0.7 for x in parts)
    assert all((x != y).any() for x, y in itertools.combinations(parts, 2))


def test_a_group_of_one_changes_no_bit(tmp_path):
    assert run(Group(), tmp_path / "here") == launch(run, 1, tmp_path / "launched")
    model, gradient = te.Parameter(np.zeros(3)), np.ones(3)
    model.grad = gradient
    assert Group().sum_gradients([model], 1.5) == (1.5,) and model.grad is gradient
    assert Group().part(batch := (1, "a")) is batch
    by_hand, fitted = made("rows"), made("rows")
    adam = AdamW(by_hand.parameters())
    for x, y in data([5, 3]):
        adam.zero_grad()
        loss(by_hand, x, y).backward()
        adam.step()
    history = fit(fitted, data([5, 3]), AdamW(fitted.parameters()), loss=loss, progress=False, group=Group())
    assert sha256(by_hand) == sha256(fitted) and history.steps == 2
    assert evaluate(fitted, data([3]), loss=loss, group=Group()) == loss(fitted, *data([3])[0]).item()


@posix
def test_runs_end_with_the_same_bytes_killed_and_resumed_too(tmp_path):
    whole, again, killed = (str(tmp_path / name) for name in ("whole", "again", "killed"))
    expected = launch(run, 2, whole)
    assert expected[-1] and launch(run, 2, again) == expected
    with pytest.raises(RuntimeError, match="rank 1 died with exit code -9"):
        launch(run, 2, killed, 17)
    assert launch(run, 2, killed) == expected


def test_a_bad_loss_of_one_process_is_an_error_in_all():
    message, count, same = launch(bad_loss, 2)
    assert "at step 2: the loss is inf, and nothing was changed" in message and count == 2 and same


@pytest.mark.parametrize(("how", "words"), [
    ("raises", "(?s)rank 1 failed.*KeyError: 'what went wrong'"), ("exits", "rank 1 died with exit code 3"),
    ("returns", "rank 1 has returned, and rank 0 waits"), ("differs", "other gradients, numbers or batches"),
    ("answers", "rank 0 failed"), ("sleeps", "rank 0 failed")])
def test_a_process_that_fails_is_named_and_the_others_end(how, words):
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=words):
        launch(fail, 2, how)
    assert time.monotonic() - began < 10


def test_what_is_refused():
    seeds, lengths, scalar, mapped = launch(refused, 2)
    assert "same seed" in seeds and "(5,)" in lengths and "float" in scalar and "mapped table" in mapped
    with pytest.raises(ValueError, match="1 or more"):
        launch(refused, 0)
    with pytest.raises(RuntimeError, match="with data in the same order"):
        launch(other_batches, 2)


@posix
def test_where_there_is_no_room_for_sums_the_error_says_how_much_and_where():
    assert re.search(r"65,536 bytes of memory .* do not fit in \S*tinyembed-", launch(in_little_room, 2))


def test_blas_gets_its_share_of_the_cores_and_what_was_set_stays(monkeypatch):
    for name in parallel.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert launch(environment, 2) == [str(max(1, parallel.CORES // 2))] * 3
    assert launch(second_thread, 2) == (parallel.CORES > 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert launch(second_thread, 2) == (parallel.CORES > 1)
    assert launch(environment, 2) == environment(None) == [None, "5", None]


def started(folder, code):
    """A program that launches two endless trainings, once both are on their way."""
    (folder / "program.py").write_text(f"""
from test_parallel import endless, launch, parallel
if __name__ == "__main__":
    parallel.SHARED = {str(folder / "shared")!r}
    {code}
""")
    program = subprocess.Popen([sys.executable, "program.py"], cwd=folder, text=True, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *sys.path])})
    while not all((folder / name).exists() for name in ("on its way 0", "on its way 1")):
        time.sleep(0.01)
        assert program.poll() is None, program.communicate()[1]
    return program


@posix
@pytest.mark.parametrize("kill", [os.killpg, os.kill])
def test_ctrl_c_ends_all_after_the_same_step_and_nothing_is_said_at_exit(tmp_path, kill):
    """In a terminal, where all processes are told, and elsewhere, where it is the first alone."""
    program = started(tmp_path, f"print(launch(endless, 2, {str(tmp_path)!r}))")
    kill(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=20)
    ends = {(tmp_path / f"end {rank}").read_text() for rank in range(2)}
    assert len(ends) == 1 and " True " in ends.pop()
    assert (out, program.returncode) == ("True\n", 0)
    assert err.splitlines() == ["stopping after this step; press Ctrl-C again to stop at once"]


@posix
def test_a_second_ctrl_c_ends_all_at_once(tmp_path):
    program = started(tmp_path, f"launch(endless, 2, {str(tmp_path)!r}, 60)")
    os.killpg(program.pid, signal.SIGINT)
    assert "stopping" in program.stderr.readline()
    os.killpg(program.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in program.communicate(timeout=20)[1] and program.returncode
    assert not (tmp_path / "end 0").exists()


@posix
def test_the_processes_end_with_the_one_that_launched_them(tmp_path):
    program = started(tmp_path, f"launch(endless, 2, {str(tmp_path)!r})")
    program.kill()
    program.communicate(timeout=20)  # returns when nobody has its output any more
    assert not (tmp_path / "end 0").exists()
