"""Laws of Embedding, and of what EmbeddingBag shares with it: the padding row, what optimisers are told, what a lookup
must never do. Gradients of the ops are checked in test_ops.py, bags in test_embedding_bag.py."""

import copy
import math
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimisers import VARIANTS

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.core import machine


def rng(seed=0):
    return np.random.default_rng(seed)


def dense(grad):
    return grad.to_dense() if isinstance(grad, te.RowGrad) else grad


def backward(layer, *inputs, g=None):
    """The value, and the gradient of the weight for a cotangent of which every entry differs."""
    layer.zero_grad()
    y = layer(*inputs)
    y.backward(rng(5).normal(size=y.shape) if g is None else g)
    return y.data, dense(layer.weight.grad)


def layers(**options):
    return [nn.Embedding(7, 3, **options), nn.EmbeddingBag(7, 3, **options)]


seeds = st.integers(0, 2**32 - 1)

# -- the padding row ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding_idx", [0, 3, 6, -1, -7, np.int64(2)])
def test_the_padding_row_starts_as_zeros_gets_no_gradient_and_is_frozen(padding_idx):
    for layer in layers(padding_idx=padding_idx):
        row = int(padding_idx) % 7
        assert layer.padding_idx == row and not layer.weight.data[row].any()
        assert (layer.weight.data[np.arange(7) != row] != 0).all()
        ids = np.array([[row, 1, row], [4, row, row]])
        grad = backward(layer, ids)[1]
        assert not grad[row].any() and grad[4].any()
        assert layer.weight.frozen_rows.tolist() == [i == row for i in range(7)]
        assert row not in layer.weight.grad.ids.tolist()


@given(seeds)
def test_the_gradient_of_other_rows_is_as_without_padding(seed):
    ids = rng(seed).integers(5, size=(3, 4))
    padded, plain = nn.Embedding(5, 2, padding_idx=1, dtype=np.float64), nn.Embedding(5, 2, dtype=np.float64)
    expected = backward(plain, ids)[1]
    expected[1] = 0
    np.testing.assert_array_equal(backward(padded, ids)[1], expected)


@pytest.mark.filterwarnings("ignore:.* takes dense steps")
@pytest.mark.parametrize("name", VARIANTS)
def test_the_padding_row_never_moves(name):
    for layer in layers(padding_idx=2):
        steps, before = VARIANTS[name](layer.parameters()), layer.weight.data.copy()
        for step in range(20):
            backward(layer, rng(step).integers(7, size=(4, 5)))
            steps.step()
        assert layer.weight.data[2].tobytes() == before[2].tobytes() and (layer.weight.data[0] != before[0]).any()


def test_a_pretrained_padding_row_keeps_its_values():
    table = rng().normal(size=(4, 2))
    for kind in (nn.Embedding, nn.EmbeddingBag):
        layer = kind.from_pretrained(table, freeze=False, padding_idx=-4)
        assert layer.weight.data.tobytes() == table.tobytes() and layer.weight.frozen_rows[0]


@pytest.mark.parametrize("name", ["SGD, momentum, decay", "AdamW"])
@pytest.mark.parametrize("before, after", [({}, {"padding_idx": 0}), ({}, {"padding_idx": -1}), ({"padding_idx": 1}, {
    "padding_idx": 2}), ({"padding_idx": 1}, {"padding_idx": None}), ({}, {"max_norm": 0.5}), ({"max_norm": 0.5}, {
        "max_norm": None}), ({"max_norm": 0.5}, {"max_norm": 0.7}), ({"max_norm": 0.5}, {"norm_type": 1.0}),
    ({}, {"max_norm": 0.5, "padding_idx": 3, "sparse": False})])
def test_options_that_are_assigned_are_as_those_that_are_given(before, after, name):
    for kind in (nn.Embedding, nn.EmbeddingBag):
        table, tables = rng().normal(size=(7, 3)), []
        for made_with, assigned in (({**before, **after}, {}), (before, after)):
            layer = kind.from_pretrained(table, freeze=False, **made_with)
            for option, value in assigned.items():
                setattr(layer, option, value)
            optimiser = VARIANTS[name](layer.parameters())
            for ids in ([[0, 1, 2, 3, 6]], [[1, 1, 5]]):
                backward(layer, ids)
                optimiser.step()
            tables.append((repr(layer), layer.weight.data.tobytes()))
        assert tables[0] == tables[1]


def test_an_option_that_is_refused_changes_nothing():
    layer = nn.EmbeddingBag(3, 2, padding_idx=0)
    for name, value in (("padding_idx", 7), ("padding_idx", True), ("max_norm", -1.0), ("norm_type", 0),
                        ("mode", "prod")):
        before = dict(vars(layer))
        with pytest.raises((ValueError, TypeError), match=name if name != "mode" else "mode is"):
            setattr(layer, name, value)
        assert vars(layer) == before and layer.weight.frozen_rows.tolist() == [True, False, False]


@pytest.mark.parametrize("padding_idx, error, words", [
    (7, ValueError, r"padding_idx 7 is outside the table: 7 rows \(-7 … 6\)"), (-8, ValueError, "padding_idx -8"),
    (1.0, TypeError, "padding_idx is an integer or None, not 1.0"), (True, TypeError, "not True"),
    ("0", TypeError, "not '0'")])
def test_a_padding_row_that_is_none_is_refused(padding_idx, error, words):
    for make in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(error, match=words):
            make(7, 3, padding_idx=padding_idx)
        with pytest.raises(error, match=words):
            make.from_pretrained(np.ones((7, 3)), padding_idx=padding_idx)
    for op in (ops.embedding, ops.embedding_bag):
        with pytest.raises(error, match=words):
            op(np.ones((7, 3)), [[1]], padding_idx=padding_idx)


# -- rows that the optimiser leaves alone ------------------------------------------------------------------------------


def test_rows_frozen_and_thawed():
    for layer in layers():
        assert layer.weight.frozen_rows is None
        assert layer.freeze_rows([1, 5]) is layer
        assert np.flatnonzero(layer.weight.frozen_rows).tolist() == [1, 5]
        assert np.flatnonzero(layer.freeze_rows(np.array([[2]])).weight.frozen_rows).tolist() == [1, 2, 5]
        assert np.flatnonzero(layer.train_only_rows(te.Tensor([0, 6])).weight.frozen_rows).tolist() == [1, 2, 3, 4, 5]
        assert layer.unfreeze_rows().weight.frozen_rows is None
        assert layer.train_only_rows([]).weight.frozen_rows.all()
    for layer in layers(padding_idx=-1):
        assert np.flatnonzero(layer.train_only_rows(np.arange(7)).weight.frozen_rows).tolist() == [6]
        assert np.flatnonzero(layer.freeze_rows([0]).weight.frozen_rows).tolist() == [0, 6]
        assert np.flatnonzero(layer.unfreeze_rows().weight.frozen_rows).tolist() == [6]


@pytest.mark.parametrize("change", ["freeze_rows", "train_only_rows"])
def test_ids_of_frozen_rows_are_checked_before_anything_changes(change):
    layer = nn.Embedding(7, 3).freeze_rows([3])
    before = layer.weight.frozen_rows
    with pytest.raises(IndexError, match=r"id 7 at position \(1,\) is outside the table: 7 rows"):
        getattr(layer, change)([0, 7])
    with pytest.raises(TypeError, match="ids are integers"):
        getattr(layer, change)([0.0])
    assert layer.weight.frozen_rows is before and np.flatnonzero(before).tolist() == [3]


def test_a_copied_module_has_its_own_rows_and_the_same_rules():
    for layer in layers(padding_idx=0, max_norm=1.0):
        twin = copy.deepcopy(layer.freeze_rows([2]))
        twin.unfreeze_rows().weight.data = np.ones((7, 3))
        assert np.flatnonzero(layer.weight.frozen_rows).tolist() == [0, 2] and not np.shares_memory(
            layer.weight.data, twin.weight.data)
        np.testing.assert_allclose(np.linalg.norm(twin.weight.project(twin.weight.data), axis=1), 1, rtol=1e-6)
        assert repr(twin) == repr(layer)


# -- rows no longer than max_norm --------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([np.float32, np.float64]), st.sampled_from([1, 2.0, 3.5, math.inf]),
       st.floats(1e-3, 1e3), st.integers(1, 50))
def test_projected_rows_are_short_enough_point_the_same_way_and_stay(seed, dtype, p, max_norm, D):
    rows = (rng(seed).normal(size=(6, D)) * 10.0 ** rng(seed).integers(-4, 5, (6, 1))).astype(dtype)
    rows[0] = 0
    short = ops.project_rows(rows, max_norm, p)
    norms = np.linalg.norm(short.astype(np.longdouble), p, axis=1)
    before = np.linalg.norm(rows.astype(np.longdouble), p, axis=1)
    assert short.dtype == dtype and not np.shares_memory(short, rows) and (norms <= max_norm).all()
    np.testing.assert_allclose(norms, np.minimum(before, max_norm), rtol=10 * np.finfo(dtype).eps)
    np.testing.assert_allclose(short * before[:, None], rows * norms[:, None], rtol=1e-5)
    assert short[before < 0.999 * max_norm].tobytes() == rows[before < 0.999 * max_norm].tobytes()
    assert ops.project_rows(short, max_norm, p).tobytes() == short.tobytes()


@pytest.mark.filterwarnings("error")
def test_huge_tiny_and_absent_rows_are_projected():
    rows = np.array([[3e300, 4e300], [0, 0], [3e-300, 4e-300]])
    np.testing.assert_allclose(ops.project_rows(rows, 5.0), [[3, 4], [0, 0], [3e-300, 4e-300]], rtol=1e-14)
    assert ops.project_rows(np.zeros((0, 3)), 1.0).shape == (0, 3)
    assert ops.project_rows(np.zeros((3, 0)), 1.0).shape == (3, 0)


def test_lookups_never_write_and_are_bit_equal_to_indexing():
    ids = rng().integers(7, size=(4, 5))
    for layer in layers(max_norm=0.5, padding_idx=1) + layers():
        stored = layer.weight.data
        stored.flags.writeable = False  # a write would raise
        before = stored.tobytes()
        for mode in (layer.train(), layer.eval()):
            backward(mode, ids)
            with te.no_grad():
                y = mode(ids)
        assert layer.weight.data is stored and stored.tobytes() == before
        y.data[...] = 7  # a copy
        assert stored.tobytes() == before
    plain = nn.Embedding(7, 3)
    assert plain(ids).data.tobytes() == plain.weight.data[ids].tobytes()
    short = nn.Embedding(7, 3, max_norm=0.5)
    assert short(ids).data.tobytes() == short.weight.project(short.weight.data)[ids].tobytes()
    bag = nn.EmbeddingBag(7, 3, max_norm=0.5, mode="sum")
    np.testing.assert_allclose(bag(ids).data, bag.weight.project(bag.weight.data)[ids].sum(1), rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_training_with_max_norm_equals_pytorch_where_rows_are_looked_up_to_be_trained(p):
    """PyTorch shortens the row in the table at each lookup; here the step does, just before it updates the row."""
    torch = pytest.importorskip("torch")
    ours = nn.Embedding(9, 4, max_norm=1.0, norm_type=p, std=2.0, rng=rng(), dtype=np.float64)
    theirs = torch.nn.Embedding(9, 4, max_norm=1.0, norm_type=p, _weight=torch.tensor(ours.weight.data))
    steps = torch.optim.SGD(theirs.parameters(), 0.3)
    for step in range(5):
        ids, g = rng(step).integers(9, size=5), rng(step).normal(size=(5, 4))
        y, _ = backward(ours, ids, g=g)
        ty = theirs(torch.tensor(ids))
        np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-6, atol=1e-7)  # PyTorch adds 1e-7 to the norm
        steps.zero_grad()
        ty.backward(torch.tensor(g))
        steps.step()
        grad, w = ours.weight.grad.coalesce(), ours.weight.data.copy()
        w[grad.ids] = ours.weight.project(w[grad.ids]) - 0.3 * grad.rows  # the step of any optimiser, in one line
        ours.weight.data = w
    np.testing.assert_allclose(ours.weight.data, theirs.weight.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_unlike_pytorch_an_evaluation_leaves_the_table_as_it_is():
    torch = pytest.importorskip("torch")
    table = np.full((2, 2), 3.0)
    theirs = torch.nn.Embedding(2, 2, max_norm=1.0, _weight=torch.tensor(table)).eval()
    theirs(torch.tensor([0]))
    assert theirs.weight[0].norm().item() < 1.1
    ours = nn.Embedding.from_pretrained(table, max_norm=1.0).eval()
    ours([0])
    assert ours.weight.data.tobytes() == table.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.float16])
@pytest.mark.parametrize("view", [np.s_[:], np.s_[::2], np.s_[:, ::3], np.s_[:, :0]])
def test_rows_gathered_in_two_threads_are_those_of_indexing(view, dtype, monkeypatch):
    monkeypatch.setattr(machine, "TWO", True)
    monkeypatch.setattr(machine, "LARGE", 0)
    table = rng(0).normal(size=(40, 30)).astype(dtype)[view]
    for shape in ((0,), (1,), (7,), (3, 5), (2, 0)):
        ids = rng(1).integers(len(table), size=shape)
        rows = machine.take_rows(table, ids)
        assert rows.tobytes() == table[ids].tobytes() and rows.shape == table[ids].shape and rows.flags.owndata
    with pytest.raises(IndexError):
        nn.Embedding.from_pretrained(np.eye(5))(np.arange(6))


def test_halves_of_halves_errors_and_forked_processes_find_a_thread(monkeypatch):
    monkeypatch.setattr(machine, "TWO", True)

    def quarters():
        seen = []
        machine.in_halves(lambda a, b: machine.in_halves(lambda c, d: seen.append(range(a + c, a + d)), b - a,
                                                         machine.LARGE), 8, machine.LARGE)
        return sorted(i for part in seen for i in part)

    def fails(start, stop):
        if start:
            raise KeyError(start)

    assert quarters() == list(range(8))
    with pytest.raises(KeyError, match="4"):
        machine.in_halves(fails, 8, machine.LARGE)
    if hasattr(os, "fork"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for processes with threads
            child = os.fork()
        if not child:
            signal.alarm(20)  # rather than waiting for a thread that is not there
            os._exit(quarters() != list(range(8)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_done_while_python_ends_is_done_in_one_thread():
    code = ("import atexit, sys; from tinyembed.core import machine; machine.TWO = True\n"
            "run = lambda: machine.in_halves(lambda *part: sys.stdout.write(f'{part}\\n'), 8, machine.LARGE)\n"
            "run(); atexit.register(run)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.splitlines()[2:], done.stderr) == (["(0, 8)"], "")


def test_the_gradient_passes_a_shortened_row_unchanged():
    for layer in layers(max_norm=1e-3, dtype=np.float64):
        plain = type(layer).from_pretrained(layer.weight.data, freeze=False)
        ids = [[1, 2, 2], [0, 4, 6]]
        np.testing.assert_array_equal(backward(layer, ids)[1], backward(plain, ids)[1])


@pytest.mark.parametrize("options, words", [
    ({"max_norm": 0}, "max_norm is a finite number above 0, or None, not 0"), ({"max_norm": -1.0}, "not -1.0"),
    ({"max_norm": math.nan}, "not nan"), ({"max_norm": math.inf}, "not inf"), ({"max_norm": "1"}, "not '1'"),
    ({"norm_type": 0}, "norm_type is a number above 0"), ({"norm_type": math.nan}, "not nan")])
def test_norms_that_are_none_are_refused_before_a_number_is_drawn(options, words):
    stream = rng(3)
    for make in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(ValueError, match=words):
            make(7, 3, **options, rng=stream)
        with pytest.raises(ValueError, match=words):
            make.from_pretrained(np.ones((7, 3)), **options)
    assert stream.random() == rng(3).random()


# -- gradients divided by frequency, and dense ones --------------------------------------------------------------------


@given(seeds)
def test_scale_grad_by_freq_divides_by_the_count_in_the_batch(seed):
    ids = rng(seed).integers(5, size=(3, 4))
    counts = np.maximum(np.bincount(ids.reshape(-1), minlength=5), 1)[:, None]
    for kind in (nn.Embedding, nn.EmbeddingBag):
        plain, scaled = (kind(5, 2, scale_grad_by_freq=s, dtype=np.float64) for s in (False, True))
        np.testing.assert_allclose(backward(scaled, ids)[1], backward(plain, ids)[1] / counts, rtol=1e-14)
        layer = kind(5, 2, scale_grad_by_freq=True, padding_idx=3)
        assert backward(layer, ids)[1].dtype == np.float32 and not backward(layer, ids)[1][3].any()


def test_dense_gradients_are_arrays_and_equal_the_sparse_ones():
    ids = rng().integers(7, size=(4, 5))
    for options in ({}, {"padding_idx": 1}, {"scale_grad_by_freq": True}):
        for sparse, full in zip(layers(**options), layers(**options, sparse=False)):
            expected = backward(sparse, ids)[1]
            assert backward(full, ids)[1].tobytes() == expected.tobytes()
            assert isinstance(full.weight.grad, np.ndarray) and isinstance(sparse.weight.grad, te.RowGrad)
            assert full.weight.grad.flags.writeable


# -- tables that exist -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_pretrained_table_is_copied_and_frozen(make):
    table = rng().normal(size=(5, 2))
    for given_table in (table, te.Tensor(table), te.Parameter(table), table.tolist(), np.asfortranarray(table)):
        layer = make.from_pretrained(given_table)
        np.testing.assert_allclose(layer.weight.data, table, rtol=1e-6)
        assert not np.shares_memory(layer.weight.data, np.asarray(given_table))
        assert not layer.weight.requires_grad and not layer([[0, 1]]).requires_grad
        assert (layer.num_embeddings, layer.embedding_dim) == (5, 2)
    layer = make.from_pretrained(table, freeze=False)
    assert layer.weight.requires_grad and layer.weight.dtype == np.float64
    assert isinstance(layer.weight, te.Parameter) and [n for n, _ in layer.named_parameters()] == ["weight"]


def test_a_mapped_table_is_adopted(tmp_path):
    table = rng().normal(size=(5, 2)).astype(np.float32)
    table.tofile(tmp_path / "table")
    mapped = np.memmap(tmp_path / "table", np.float32, "r", shape=(5, 2))
    layer = nn.Embedding.from_pretrained(mapped)
    assert np.shares_memory(layer.weight.data, mapped)
    assert layer([4, 0]).data.tobytes() == table[[4, 0]].tobytes()
    with pytest.raises(ValueError, match="read-only, so it cannot be trained"):
        nn.Embedding.from_pretrained(mapped, freeze=False)
    private = np.memmap(tmp_path / "table", np.float32, "c", shape=(5, 2))
    assert nn.Embedding.from_pretrained(private, freeze=False).weight.requires_grad


@pytest.mark.parametrize("table", [np.ones(3), np.ones((2, 2), int), np.ones((2, 2, 2)), np.ones((0, 2)),
                                   np.ones((2, 0)), [[1, 2]]])
def test_what_is_no_table_is_refused(table):
    for make in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(ValueError, match=r"a table (is a matrix|needs at least)"):
            make.from_pretrained(table)


def test_what_stands_in_the_brackets():
    assert repr(nn.Embedding(6, 4)) == "Embedding(6 x 4)"
    assert repr(nn.Embedding(6, 4, -1, sparse=False)) == "Embedding(6 x 4, padding_idx=5, sparse=False)"
    assert repr(nn.EmbeddingBag(6, 4, 1.5, mode="sum")) == "EmbeddingBag(6 x 4, mode='sum', max_norm=1.5)"


# -- modules as a whole ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [True, False])
def test_gradients_of_the_modules(full):
    ids, w = np.array([[1, 2, 2], [0, 4, 6]]), rng().uniform(0.5, 1, (2, 3))
    for options in ({}, {"sparse": False}, {"max_norm": 50.0}):
        te.check_gradients(nn.Embedding(7, 3, rng=rng(), **options), ids, full=full)
        for mode in ("sum", "mean", "max"):
            bag = nn.EmbeddingBag(7, 3, mode=mode, rng=rng(), **options)
            te.check_gradients(bag, ids, full=full)
            te.check_gradients(bag, ids.reshape(-1), np.array([0, 0, 2]), full=full)
            if mode != "max":
                te.check_gradients(bag, ids, None, w, full=full)
    te.check_gradients(nn.EmbeddingBag(7, 3, padding_idx=2, rng=rng()), ids, None, w, full=full)
    te.check_gradients(nn.Embedding(7, 3, padding_idx=5, rng=rng()), ids, full=full)  # not among the ids


def test_a_gradient_check_finds_what_is_by_design_no_derivative():
    for options in ({"padding_idx": 1}, {"scale_grad_by_freq": True}, {"max_norm": 0.1}):
        with pytest.raises(te.GradientError):
            te.check_gradients(nn.Embedding(7, 3, rng=rng(), **options), np.array([1, 2, 2]))


def test_an_embedding_with_its_options_computes_the_same_rows_in_any_shape():
    table = nn.Embedding(7, 3, padding_idx=0, max_norm=1.0)
    rows = table(np.arange(7)).data
    for ids in ([[0, 6], [3, 3]], 4, np.zeros((2, 0), int), [], te.Tensor([[[1]]])):
        at = np.array(ids.data if isinstance(ids, te.Tensor) else ids, int)
        assert table(ids).data.tobytes() == rows[at].tobytes() and table(ids).shape == (*at.shape, 3)
