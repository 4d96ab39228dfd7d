"""Pictures: convolution, pooling and batch norm against PyTorch; blocks and their memory; running means as state."""

import itertools
import os
import signal
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from several import running_means

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.core import blas, machine
from tinyembed.train import launch


def rng(seed=0):
    return np.random.default_rng(seed)


def both_ways(ours, theirs, arrays, **options):
    """The values and gradients of an op, ours and torch's, are the same to 1e-10."""
    torch = pytest.importorskip("torch")
    xs = [te.Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs, **options), theirs(*ts, **options)
    g = rng(9).normal(size=y.shape)
    y.backward(g)
    t.backward(torch.tensor(g))
    np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=1e-10, atol=1e-10)
    for x, z in zip(xs, ts):
        np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-10, atol=1e-10)


CONVOLUTIONS = [dict(zip(("stride", "padding", "dilation", "groups"), values)) for values in [
    *itertools.product((1, 2), (0, 1), (1, 2), (1, 2)), (3, 2, 1, 4), ((2, 1), (0, 3), (1, 2), 1), (1, 0, 1, 4)]]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_conv2d_is_pytorchs(options):
    functional = pytest.importorskip("torch.nn.functional")
    arrays = [rng(i).normal(size=shape) for i, shape in enumerate(
        [(3, 4, 9, 8), (8, 4 // options["groups"], 3, 2), (8,)])]
    both_ways(ops.conv2d, functional.conv2d, arrays, **options)
    both_ways(ops.conv2d, functional.conv2d, arrays[:2], **options)


@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2, "padding": (0, 2)}, {"dilation": (1, 2)}], ids=str)
def test_a_depthwise_convolution_is_one_whose_kernels_see_nothing_of_other_channels(options, monkeypatch):
    monkeypatch.setattr(sys.modules["tinyembed.ops.convolution"], "PATCHES", 256)  # several blocks, of some rows each
    found, arrays = [], [rng(i).normal(size=shape) for i, shape in enumerate([(3, 4, 9, 8), (4, 1, 3, 2), (4,)])]
    for groups in (4, 1):
        x, W, b = (te.Tensor(a, requires_grad=True) for a in arrays)
        y = ops.conv2d(x, W if groups == 4 else W * np.eye(4)[:, :, None, None], b, groups=groups, **options)
        y.backward(rng(5).normal(size=y.shape))
        found.append([y.data, x.grad, W.grad, b.grad])
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_conv1d_is_pytorchs():
    functional = pytest.importorskip("torch.nn.functional")
    arrays = [rng(i).normal(size=shape) for i, shape in enumerate([(3, 4, 20), (6, 2, 3), (6,)])]
    both_ways(ops.conv1d, functional.conv1d, arrays, stride=2, padding=1, dilation=3, groups=2)


@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
                                     {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}], ids=str)
def test_pooling_is_pytorchs(options):
    functional = pytest.importorskip("torch.nn.functional")
    x = rng().permutation(3 * 4 * 9 * 8).reshape(3, 4, 9, 8) / 100  # no ties, which are split otherwise
    both_ways(ops.max_pool2d, functional.max_pool2d, [x], **options)
    both_ways(ops.avg_pool2d, functional.avg_pool2d, [x], **options)


@pytest.mark.parametrize("output_size", [1, 3, (2, 8), (9, 5), (12, 1)], ids=str)
def test_adaptive_pooling_is_pytorchs(output_size):
    functional = pytest.importorskip("torch.nn.functional")
    both_ways(ops.adaptive_avg_pool2d, functional.adaptive_avg_pool2d, [rng().normal(size=(3, 4, 9, 8))],
              output_size=output_size)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (5, 4), (5, 4, 3)])
def test_batch_norm_is_pytorchs_in_training_and_after_it(momentum, shape):
    torch = pytest.importorskip("torch")
    name = "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"
    ours = getattr(nn, name)(4, momentum=momentum, dtype=np.float64)
    theirs = getattr(torch.nn, name)(4, momentum=momentum, dtype=torch.float64)
    state = {name: rng(i).uniform(0.5, 2, 4) for i, name in enumerate(ours.state_dict()) if name[0] != "n"}
    theirs.load_state_dict({**{name: torch.tensor(a) for name, a in state.items()},
                            "num_batches_tracked": torch.tensor(0)})
    assert ours.load_state_dict({name: a.numpy() for name, a in theirs.state_dict().items()}, strict=False) == (
        [], [] if momentum is None else ["num_batches_tracked"])
    for i in range(3):
        both_ways(ours, theirs, [rng(i).normal(3, 2, shape)])
    ours.eval(), theirs.eval()
    both_ways(ours, theirs, [rng(7).normal(3, 2, shape)])
    for name in ours.state_dict():
        np.testing.assert_allclose(ours.state_dict()[name], theirs.state_dict()[name].numpy(), rtol=1e-12)
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad, theirs.get_parameter(name).grad.numpy(), rtol=1e-10)


def test_layers_start_as_pytorchs_do():
    torch = pytest.importorskip("torch")
    for ours, theirs in [(nn.Conv2d(8, 64, (5, 3), groups=2), torch.nn.Conv2d(8, 64, (5, 3), groups=2)),
                         (nn.Conv1d(8, 64, 7), torch.nn.Conv1d(8, 64, 7))]:
        for name, p in ours.named_parameters():
            other = theirs.get_parameter(name).detach().numpy()
            assert p.shape == other.shape
            assert abs(p.data).max() == pytest.approx(abs(other).max(), rel=0.1)
            assert p.data.std() == pytest.approx(other.std(), rel=0.25)


# -- what is said of kinks, and what is refused ------------------------------------------------------------------------


def test_ties_in_a_window_share_the_gradient_and_are_a_kink():
    x = te.Tensor(np.array([[[[2.0, 2.0, 1.0, 0.0], [2.0, 0.0, 1.0, 0.0]]]]), requires_grad=True)
    ops.max_pool2d(x, 2).sum().backward()
    np.testing.assert_allclose(x.grad[0, 0], [[1 / 3, 1 / 3, 0.5, 0], [1 / 3, 0, 0.5, 0]])
    with pytest.raises(te.KinkError):
        te.check_gradients(lambda x: ops.max_pool2d(x, 2), x)


def test_nan_is_seen_and_a_window_of_minus_infinity_shares_too():
    x = np.full((1, 1, 2, 4), -np.inf)
    x[0, 0, 0, 2] = np.nan
    t = te.Tensor(x, requires_grad=True)
    y = ops.max_pool2d(t, 2)
    assert y.data[0, 0, 0, 0] == -np.inf and np.isnan(y.data[0, 0, 0, 1])
    y.backward(np.ones(y.shape))
    assert t.grad[0, 0, :, :2].tolist() == [[0.25, 0.25], [0.25, 0.25]]


X = np.zeros((2, 4, 5, 5))


@pytest.mark.parametrize(("wrong", "words"), [
    (lambda: ops.conv2d(X, np.zeros((2, 4, 6, 3))), "a kernel that spans 6 x 3 does not fit into pictures of 5 x 5"),
    (lambda: ops.conv2d(X, np.zeros((2, 4, 3, 3)), dilation=3), "spans 7 x 7"),
    (lambda: ops.conv2d(X, np.zeros((2, 3, 3, 3))), "kernels of 3 channels do not go with pictures of 4"),
    (lambda: ops.conv2d(X, np.zeros((3, 2, 3, 3)), groups=2), "groups divides C and D"),
    (lambda: ops.conv2d(X[0], np.zeros((2, 4, 3, 3))), r"x \(N, C, H, W\)"),
    (lambda: ops.conv2d(X, np.zeros((2, 4, 3, 3)), np.zeros(3)), r"b \(D\)"),
    (lambda: ops.conv2d(X, np.zeros((2, 4, 3, 3)), padding="same"), "padding is an integer of at least 0"),
    (lambda: ops.conv2d(X, np.zeros((2, 4, 3, 3)), stride=0), "stride is an integer of at least 1"),
    (lambda: ops.max_pool2d(X, (2, 2, 2)), r"kernel_size is an integer .*, not \(2, 2, 2\)"),
    (lambda: ops.max_pool2d(X, 2, padding=2), "more than half"),
    (lambda: ops.avg_pool2d(X, 6), "does not fit"),
    (lambda: ops.adaptive_avg_pool2d(te.Tensor(X), 0), "output_size is an integer of at least 1"),
    (lambda: ops.adaptive_avg_pool2d(te.Tensor(X[0]), 1), r"\(N, C, H, W\)"),
    (lambda: ops.batch_norm(X, np.ones(4), np.ones(3)), r"weight and bias \(C\)"),
    (lambda: ops.batch_norm(X, np.ones(4), np.ones(4), mean=np.ones(4)), "either both of mean and var"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "do not go into 4 groups"),
    (lambda: nn.Conv2d(4, -6, 3), "4 channels in and -6 out do not go into 1 groups"),
    (lambda: nn.Conv1d(4, 6, (3,)), r"kernel_size of Conv1d is an integer of at least 1, not \(3,\)"),
    (lambda: nn.Conv1d(4, 6, 3, stride=0), "stride of Conv1d is an integer of at least 1, not 0"),
    (lambda: nn.Conv2d(4, 6, 0), "kernel_size"), (lambda: nn.MaxPool2d(2, stride=0.5), "stride"),
    (lambda: nn.Conv2d(3, 6, 3)(X), r"Conv2d\(3 -> 6, 3 x 3\) takes x \(N, 3, H, W\), got \(2, 4, 5, 5\)"),
    (lambda: nn.Conv1d(4, 6, 3)(X), r"takes x \(N, 4, L\)"), (lambda: nn.BatchNorm2d(3)(X), r"takes x \(N, 3, H, W\)"),
    (lambda: nn.BatchNorm1d(4)(X), r"takes x \(N, 4\) or \(N, 4, L\)"),
    (lambda: nn.BatchNorm1d(4)(X[:1, :, 0, 0]), "more than one number a channel"),
    (lambda: nn.BatchNorm2d(4)(X[:1, :, :1, :1]), "more than one number a channel"),
    (lambda: nn.BatchNorm2d(4, momentum=1.5), "momentum"), (lambda: nn.GELU("fast"), "approximate"),
    (lambda: nn.Flatten(4)(X), "no such axis")])
def test_errors_teach(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


@pytest.mark.parametrize("op", [nn.BatchNorm2d(4), nn.BatchNorm2d(4).eval(), nn.AvgPool2d(2), nn.MaxPool2d(2),
                                nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 2, 3)], ids=repr)
def test_integers_are_the_floats_they_are(op):
    whole = np.rint(8 * np.abs(X))
    np.testing.assert_allclose(op(whole.astype(np.uint8)).data, op(whole.astype(np.float32)).data, rtol=1e-5, atol=1e-5)


# -- blocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "batch_norm"])
def test_memory_is_bounded_by_a_block(name):
    """Patches hold each number of the picture nine times; never are all of them there."""
    x, layer = te.Tensor(np.ones((16, 8, 32, 32), np.float32), requires_grad=True), nn.Conv2d(8, 8, 3, padding=1)
    run = {"conv2d": layer, "max_pool2d": nn.MaxPool2d(3, 1, 1), "batch_norm": nn.BatchNorm2d(8)}[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["tinyembed.ops.convolution"], "PATCHES", 1 << 13)
        patch.setattr(sys.modules["tinyembed.core.machine"], "BLOCK", 1 << 13)
        tracemalloc.start()
        y = run(x)
        y.backward(np.ones(y.shape, np.float32))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    size = x.data.nbytes  # y, g, its gradient, x in the other order: a few of it each
    assert peak < 6 * size, peak / size


def test_two_threads_compute_what_one_does():
    x, W, b = (rng(i).normal(size=shape) for i, shape in enumerate([(3, 4, 6, 5), (6, 2, 3, 2), (6,)]))
    found = []
    for two in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(machine, "TWO", two)
            patch.setattr(machine, "LARGE", 0)
            leaves = [te.Tensor(a, requires_grad=True) for a in (x, W, b)]
            y = ops.max_pool2d(ops.conv2d(*leaves, padding=1, groups=2), 3, 2, 1)
            y.backward(rng(5).normal(size=y.shape))
            found.append([y.data, *[leaf.grad for leaf in leaves]])
    for one, two in zip(*found):
        np.testing.assert_allclose(one, two, rtol=1e-13, atol=1e-13)


def test_blas_has_one_thread_while_two_threads_multiply_and_its_own_again_after_an_error(monkeypatch):
    if blas._openblas() is None:
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    get, put = blas._openblas()
    monkeypatch.setattr(machine, "TWO", True)
    before, seen = get(), []

    def work(start, stop):
        seen.append(get())
        if start:
            raise ZeroDivisionError

    put(2)
    try:
        with pytest.raises(ZeroDivisionError):
            blas.products_in_halves(work, 2, machine.LARGE)
        assert seen == [1, 1] and get() == 2
        blas.products_in_halves(work, 2, 0)  # too little for two: one call, with all of BLAS's threads
        assert seen == [1, 1, 2]
    finally:
        put(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes as POSIX has them")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("own", [False, True])
def test_a_process_that_is_forked_while_two_threads_multiply_has_all_threads_of_blas(own):
    """Another thread's, which there is not in it, or its own, which it leaves there too."""
    if blas._openblas() is None:
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    get, put = blas._openblas()
    before, inside, done = get(), threading.Event(), threading.Event()

    def multiply():
        with blas.one_blas_thread(), blas._lock:
            inside.set()
            done.wait(20)

    put(2)
    thread = threading.Thread(target=multiply)
    try:
        if own:
            with blas.one_blas_thread():
                child = os.fork()
        else:
            thread.start()
            inside.wait(20)
            child = os.fork()
        if not child:
            signal.alarm(20)  # rather than waiting for a thread that is not there
            try:
                with blas.one_blas_thread():
                    alone = get() == 1
                os._exit(not (alone and get() == 2 and (np.ones((400, 400)) @ np.ones((400, 400)) == 400).all()))
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        if not own:
            thread.join()
        assert get() == 2
        put(before)


def test_where_no_thread_can_be_had_one_does_all_the_work(monkeypatch):
    def none_left(thread):
        raise RuntimeError("can't start new thread")

    seen = []
    monkeypatch.setattr(machine, "TWO", True)
    monkeypatch.setattr(machine, "_pool", None)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    machine.in_halves(lambda start, stop: seen.append((start, stop)), 10, machine.LARGE)
    blas.products_in_halves(lambda start, stop: seen.append((start, stop)), 10, machine.LARGE)
    assert seen == [(0, 10)] * 2


def test_files_that_are_called_openblas_do_no_harm(tmp_path, monkeypatch):
    paths = [tmp_path / "openblas-of-words.txt", tmp_path / "libopenblas.so (deleted)"]
    paths[0].write_text("no library")
    lines = [f"7f00-7f01 r--s 00000000 08:01 42                         {path}\n" for path in paths]
    monkeypatch.setattr(blas.Path, "read_text", lambda path: "".join(lines))
    assert blas._openblas.__wrapped__() is None


def test_what_numpy_is_to_do_about_an_overflow_holds_in_both_threads(monkeypatch):
    monkeypatch.setattr(machine, "TWO", True)
    x, seen = np.full(2, 1e300), []

    def work(start, stop):
        with pytest.raises(FloatingPointError):
            x[start:stop] * x[start:stop]
        seen.append(start)

    with np.errstate(over="raise"):
        machine.in_halves(work, 2, machine.LARGE)
    assert sorted(seen) == [0, 1]


# -- buffers -----------------------------------------------------------------------------------------------------------


def small(seed=0):
    return nn.Sequential(nn.Conv2d(1, 2, 3, rng=rng(seed)), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(),
                         nn.Linear(8, 3, rng=rng(seed)))


def data(n=12):
    return [(rng(i).normal(i, 2, (n, 1, 4, 4)).astype(np.float32), np.arange(n) % 3) for i in range(4)]


def loss(model, x, targets):
    return ops.cross_entropy(model(x), targets)


def bytes_of(model):
    return {name: a.tobytes() for name, a in model.state_dict().items()}


def test_buffers_are_state_and_no_parameters():
    model = small()
    assert [name for name in model.state_dict() if name not in dict(model.named_parameters())] == [
        "1.running_mean", "1.running_var"]
    assert model.buffers() == [model[1].running_mean, model[1].running_var]
    assert "running" not in model.summary()
    model.freeze().freeze(False)
    assert not any(buffer.requires_grad for buffer in model.buffers())
    with pytest.raises(ValueError, match=r"missing 1\.running_var"):
        model.load_state_dict({name: a for name, a in model.state_dict().items() if name != "1.running_var"})


def test_running_means_are_float64_sums_in_the_layers_dtype():
    norm = nn.BatchNorm2d(2, momentum=1.0)
    x = (rng().normal(1000, 1, (64, 2, 32, 32))).astype(np.float32)
    y = norm(x)
    assert norm.running_mean.dtype == norm.running_var.dtype == np.float32
    np.testing.assert_allclose(norm.running_mean.data, x.mean((0, 2, 3), dtype=np.float64), rtol=4e-7)
    np.testing.assert_allclose(norm.running_var.data, x.var((0, 2, 3), ddof=1, dtype=np.float64), rtol=1e-5)
    assert abs(y.data.mean((0, 2, 3), dtype=np.float64)).max() < 1e-3  # 6e-5 is a bit of a mean near 1000


def test_in_eval_each_picture_is_treated_by_itself_and_nothing_is_remembered():
    model = small()
    for x, _ in data():
        model(x)
    before, x = bytes_of(model.eval()), data()[0][0]
    singly = np.concatenate([model(x[i:i + 1]).data for i in range(len(x))])
    np.testing.assert_allclose(singly, model(x).data, rtol=1e-5, atol=1e-6)
    assert bytes_of(model) == before


def test_each_batch_of_a_step_is_remembered_in_turn():
    one, two = small(), small()
    sgd = te.optim.SGD(one.parameters(), lr=0.1)
    te.train.train_step(one, data()[:2], sgd, loss)
    for x, _ in data()[:2]:
        two(x)
    assert [a.data.tobytes() for a in one.buffers()] == [a.data.tobytes() for a in two.buffers()]


def test_a_refused_step_is_not_remembered():
    model = small()
    before, bad = bytes_of(model), data()[0]
    bad[0][0, 0, 0, 0] = np.inf
    with pytest.raises(FloatingPointError), np.errstate(invalid="ignore"):
        te.train.train_step(model, [data()[1], bad], te.optim.SGD(model.parameters(), lr=0.1), loss)
    assert bytes_of(model) == before


class Counting(nn.Module):
    """Buffers that are no floats, and one that is written to in its place."""

    def __init__(self):
        self.count, self.mask = nn.Buffer(np.int64(0)), nn.Buffer(np.array([True, False]))
        self.seen, self.weight = nn.Buffer(np.zeros(2)), te.Parameter(np.ones(1))

    def forward(self, x):
        self.count.data = self.count.data + 1
        self.seen.data[0] += 1
        return (self.weight * x).mean()


def test_buffers_may_be_written_in_place_and_be_integers_or_booleans(tmp_path):
    model, other = Counting(), Counting()
    sgd = te.optim.SGD(model.parameters(), lr=0.1)
    te.train.train_step(model, [np.ones(3)], sgd, Counting.__call__)
    model.mask.data = ~model.mask.data
    before = bytes_of(model)
    with pytest.raises(FloatingPointError):
        te.train.train_step(model, [np.full(3, np.nan)], sgd, Counting.__call__)
    assert bytes_of(model) == before
    other.load_state_dict(model.state_dict())
    assert bytes_of(other) == before
    te.train.save_checkpoint(tmp_path / "model", model)
    te.train.load_checkpoint(tmp_path / "model", third := Counting())
    assert bytes_of(third) == before
    with pytest.raises(ValueError, match=r"count holds float64, should hold int64; mask holds int64"):
        other.load_state_dict({**model.state_dict(), "count": np.array(0.5), "mask": np.array([1, 0])})
    assert bytes_of(other) == before


def test_checkpoints_carry_buffers_and_a_resumed_run_ends_with_the_same_bytes(tmp_path):
    def run(path, steps, resume=False):
        model = small()
        te.train.fit(model, data(), te.optim.AdamW(model.parameters(), lr=0.1), loss=loss, epochs=3, steps=steps,
                     progress=False, checkpoint=path, resume=resume)
        return bytes_of(model)

    whole = run(tmp_path / "whole", 9)
    assert run(tmp_path / "halves", 5) != whole == run(tmp_path / "halves", 9, resume=True)
    other = small(1)
    te.train.load_checkpoint(tmp_path / "whole", other)
    assert bytes_of(other) == whole
    with pytest.raises(ValueError, match=r"missing 1\.running_mean"):
        te.train.save_checkpoint(tmp_path / "bare", nn.Sequential(other[0]))
        te.train.load_checkpoint(tmp_path / "bare", nn.Sequential(other[0], other[1]))


def test_several_processes_average_what_each_remembers():
    of_each, of_all, alike = launch(running_means, 2)
    assert alike and of_each.shape == (2, 2, 2) and not np.allclose(of_each[0], of_each[1])
    np.testing.assert_allclose(of_all, of_each.mean(0), rtol=1e-14)
