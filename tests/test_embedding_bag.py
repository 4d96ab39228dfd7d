"""Laws of bags: against one-hot products, against the rows looked up and reduced, against PyTorch; what is refused.

The op against a reference in loops, and its gradients against finite differences: test_ops.py.
"""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.core import machine
from tinyembed.ops import bag as bag_file

TRAP = [0, 0, 3, 3, 6]  # of nine ids: an empty bag, three, an empty one, three, the rest
MODES = ("sum", "mean", "max")


def rng(seed=0):
    return np.random.default_rng(seed)


def dense(grad):
    return grad.to_dense() if isinstance(grad, te.RowGrad) else grad


def gradients(y, *leaves, seed=5):
    """The gradients of leaves for a cotangent of which every entry differs."""
    for leaf in leaves:
        leaf.zero_grad()
    y.backward(rng(seed).normal(size=y.shape))
    return [dense(leaf.grad) for leaf in leaves]


def leaf(*shape, seed=0):
    return te.Tensor(rng(seed).normal(size=shape), requires_grad=True)


def ragged(seed, V=6, longest=6):
    """Ids, and the offsets of bags of 0 to 6 of them."""
    lengths = rng(seed).integers(0, longest + 1, rng(seed).integers(1, 8))
    return rng(seed).integers(V, size=lengths.sum()), np.cumsum(lengths) - lengths, lengths


seeds = st.integers(0, 2**32 - 1)
in_every_mode = pytest.mark.parametrize("mode", MODES)

# -- what a bag is -----------------------------------------------------------------------------------------------------


@given(seeds, st.sampled_from(["sum", "mean"]), st.booleans())
def test_a_bag_is_a_product_with_a_matrix_of_counts(seed, mode, weighted):
    ids, offsets, lengths = ragged(seed)
    W, w = leaf(6, 3), te.Tensor(rng(seed).uniform(0.5, 2, ids.size), requires_grad=True)
    y = ops.embedding_bag(W, ids, offsets, w if weighted else None, mode=mode)
    one_hot = np.eye(6)[ids] * (w.data[:, None] if weighted else 1)
    bag = np.repeat(np.arange(lengths.size), lengths)
    total = (np.eye(lengths.size)[:, bag] @ one_hot).sum(1, keepdims=True)
    counts = np.eye(lengths.size)[:, bag] @ one_hot / (np.where(total > 0, total, 1) if mode == "mean" else 1)
    np.testing.assert_allclose(y.data, counts @ W.data, rtol=1e-12, atol=1e-12)
    g = rng(5).normal(size=y.shape)
    np.testing.assert_allclose(gradients(y, W)[0], counts.T @ g, rtol=1e-12, atol=1e-12)


@in_every_mode
@given(seeds)
def test_a_bag_is_its_rows_looked_up_and_reduced(mode, seed):
    """Lines of ids: the same numbers, and the same gradients, as from Embedding and a reduction."""
    ids = rng(seed).integers(6, size=(4, 3))
    W = leaf(6, 3)
    reduced = getattr(ops, mode)(ops.embedding(W, ids), 1)
    bag = ops.embedding_bag(W, ids, mode=mode)
    np.testing.assert_allclose(bag.data, reduced.data, rtol=1e-14)
    np.testing.assert_allclose(*gradients(bag, W), *gradients(reduced, W), rtol=1e-12, atol=1e-14)


@in_every_mode
@given(seeds)
def test_lines_offsets_and_offsets_with_their_end_are_the_same_bags(mode, seed):
    ids, W = rng(seed).integers(6, size=(4, 3)), leaf(6, 2)
    ways = [ops.embedding_bag(W, ids, mode=mode), ops.embedding_bag(W, ids.reshape(-1), [0, 3, 6, 9], mode=mode),
            ops.embedding_bag(W, ids.reshape(-1), [0, 3, 6, 9, 12], mode=mode, include_last_offset=True),
            ops.embedding_bag(W, te.Tensor(ids.reshape(-1)), te.Tensor([0, 3, 6, 9]), mode=mode)]
    results = [(y.data.tobytes(), gradients(y, W)[0].tobytes()) for y in ways]
    assert len(set(results)) == 1


@in_every_mode
@given(seeds)
def test_ids_that_pad_might_as_well_not_be_there(mode, seed):
    ids, offsets, lengths = ragged(seed, longest=3)
    lines = np.full((lengths.size, 5), 4)
    for line, start, length in zip(lines, offsets, lengths):
        line[:length] = ids[start:start + length]
        rng(seed).shuffle(line[:max(length, 2)])  # padding may stand anywhere
    W = leaf(6, 2)
    y, z = (ops.embedding_bag(W, i, o, mode=mode, padding_idx=-2) for i, o in ((lines, None), (ids, offsets)))
    np.testing.assert_allclose(y.data, z.data, rtol=1e-14)
    (gy,), (gz,) = gradients(y, W), gradients(z, W)
    np.testing.assert_allclose(gy, gz, rtol=1e-13, atol=1e-14)
    assert not gy[4].any()


@in_every_mode
def test_empty_bags_are_zeros_and_empty_batches_are_empty(mode):
    W = te.Parameter(rng().normal(size=(6, 3)).astype(np.float32))
    bag = lambda *args, **options: ops.embedding_bag(W, *args, mode=mode, **options)
    y = bag(np.arange(9) % 6, TRAP)
    assert y.shape == (5, 3) and not y.data[[0, 2]].any() and y.data[[1, 3, 4]].all()
    empty = [(bag(np.zeros((0, 4), int)), 0), (bag(np.zeros((4, 0), int)), 4), (bag([[]]), 1), (bag([], []), 0),
             (bag([], [0, 0]), 2), (bag([], [0], include_last_offset=True), 0), (bag([[2, 2]], padding_idx=2), 1)]
    for y, B in empty:
        assert y.shape == (B, 3) and y.dtype == np.float32 and not y.data.any()
        assert not gradients(y, W)[0].any()


def test_equal_entries_share_the_gradient_of_their_maximum():
    W = te.Tensor([[1.0, 5.0], [1.0, 4.0], [0.0, 5.0]], requires_grad=True)
    ops.embedding_bag(W, [[0, 1, 2]], mode="max").sum().backward()
    assert W.grad.to_dense().tolist() == [[0.5, 0.5], [0.5, 0], [0, 0.5]]


def test_weights_of_a_mean_that_sum_to_nothing_give_zeros_and_no_gradient():
    W, w = leaf(4, 2), te.Tensor([0.0, 0.0, 1.0, -1.0, 2.0], requires_grad=True)
    y = ops.embedding_bag(W, [0, 1, 2, 3, 3], [0, 2, 4], w, mode="mean")
    assert y.data[:2].tolist() == [[0, 0], [0, 0]] and y.data[2].tolist() == W.data[3].tolist()
    gW, gw = gradients(y, W, w)
    assert not gW[:3].any() and not gw.any() and gW[3].any()  # a mean of one row does not depend on its weight


@pytest.mark.parametrize("weights", [[1, 2, 3], [1.0, 2.0, 3.0], np.array([1, 2, 3], np.float64),
                                     te.Tensor([1.0, 2.0, 3.0])])
def test_weights_of_any_numbers_take_the_dtype_of_the_table(weights):
    W = te.Tensor([[1.0, 10.0], [2.0, 20.0]], requires_grad=True)
    y = ops.embedding_bag(W, [0, 1, 1], [0, 1], weights, mode="sum")
    assert y.data.tolist() == [[1, 10], [10, 100]] and y.dtype == np.float32
    gW, = gradients(y, W)
    assert gW.dtype == np.float32


def test_weights_by_name_get_their_gradient():
    W, w = leaf(4, 2), leaf(3, seed=1)
    y = ops.embedding_bag(W, ids=[0, 1, 1], offsets=[0, 1], mode="sum", per_sample_weights=w)
    g = rng(5).normal(size=y.shape)
    np.testing.assert_allclose(gradients(y, w)[0], (W.data[[0, 1, 1]] * g[[0, 1, 1]]).sum(1), rtol=1e-14)


def test_the_weights_gradient_under_max_norm_is_the_derivative():
    bag = nn.EmbeddingBag(6, 3, max_norm=0.5, mode="mean", rng=rng(), dtype=np.float64).freeze()
    ids, w = rng().integers(6, size=(2, 3)), rng().uniform(0.5, 2, (2, 3))
    te.check_gradients(lambda w: bag(ids, None, w), w)


def test_large_and_long_bags_are_exact(monkeypatch):
    ids, offsets, _ = ragged(3, V=50, longest=300)
    W = leaf(50, 4)
    expected = [ops.embedding_bag(W, ids, offsets, mode=mode).data for mode in MODES]
    monkeypatch.setattr(machine, "BLOCK", 8)  # every bag by itself
    monkeypatch.setattr(bag_file, "CHUNK", 7)
    for mode, whole in zip(MODES, expected):
        np.testing.assert_allclose(ops.embedding_bag(W, ids, offsets, mode=mode).data, whole, rtol=1e-12)
    weights = rng().normal(size=ids.size)
    by_loop = [weights[a:b] @ W.data[ids[a:b]] for a, b in zip(offsets, [*offsets[1:], ids.size])]
    np.testing.assert_allclose(ops.embedding_bag(W, ids, offsets, weights, mode="sum").data, by_loop, atol=1e-12)


def test_a_bag_of_twenty_million_does_not_stall_in_float32():
    n = 20_000_000  # a float32 that counts ones stops at 2^24 = 16,777,216
    W = te.Tensor(np.ones((3, 1), np.float32), requires_grad=True)
    y = ops.embedding_bag(W, np.ones((1, n), np.int32), mode="sum")
    y.backward()
    assert y.item() == n and W.grad.coalesce().rows.tolist() == [[n]]


def test_no_array_of_the_tables_size_arises():
    W = te.Parameter(np.zeros((1_000_000, 8), np.float32))
    ids = rng().integers(len(W), size=(50, 10))
    tracemalloc.start()
    for mode in MODES:
        ops.embedding_bag(W, ids, mode=mode).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(W.grad, te.RowGrad) and peak < 1_000_000


# -- against PyTorch ---------------------------------------------------------------------------------------------------


def in_torch(torch, W, ids, offsets, weights, g, **options):
    """Value and gradients of torch.nn.functional.embedding_bag in float64."""
    tW = torch.tensor(W, requires_grad=True)
    tw = None if weights is None else torch.tensor(weights, requires_grad=True)
    y = torch.nn.functional.embedding_bag(torch.tensor(ids), tW, None if offsets is None else torch.tensor(offsets),
                                          per_sample_weights=tw, **options)
    y.backward(torch.tensor(g))
    return [t.numpy() for t in (y.detach(), tW.grad, *([] if tw is None else [tw.grad]))]


@in_every_mode
@pytest.mark.parametrize("layout", ["lines", "trap", "trap with its end"])
@pytest.mark.parametrize("padding_idx", [None, 1, -1])
@pytest.mark.parametrize("weighted", [False, True])
def test_bags_equal_pytorchs(mode, layout, padding_idx, weighted):
    torch = pytest.importorskip("torch")
    if weighted and mode != "sum":
        pytest.skip("PyTorch does not have it")
    W, ids = rng(1).normal(size=(5, 3)), rng(2).integers(5, size=(3, 3) if layout == "lines" else 9)
    offsets = {"lines": None, "trap": TRAP, "trap with its end": [*TRAP, 9]}[layout]
    weights = rng(3).normal(size=ids.shape) if weighted else None
    options = {"mode": mode, "padding_idx": padding_idx, "include_last_offset": layout == "trap with its end"}
    bag = nn.EmbeddingBag.from_pretrained(W, freeze=False, **options)
    w = None if weights is None else te.Tensor(weights, requires_grad=True)
    y = bag(ids, offsets, w)
    g = rng(5).normal(size=y.shape)
    ours = [y.data, *gradients(y, bag.weight, *([] if w is None else [w]))]
    for mine, theirs in zip(ours, in_torch(torch, W, ids, offsets, weights, g, **options), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "mean"])
@given(seeds)
def test_scale_grad_by_freq_equals_that_of_pytorchs_embedding(mode, seed):
    """That of its embedding_bag divides by counts of other ids on the CPU (2.13.0; its issue 190063)."""
    torch = pytest.importorskip("torch")
    W, ids = rng(seed).normal(size=(5, 3)), rng(seed).integers(5, size=(3, 4))
    layer = nn.EmbeddingBag.from_pretrained(W, freeze=False, mode=mode, scale_grad_by_freq=True)
    y, tW = layer(ids), torch.tensor(W, requires_grad=True)
    rows = torch.nn.functional.embedding(torch.tensor(ids), tW, scale_grad_by_freq=True)
    getattr(rows, mode)(1).backward(torch.tensor(rng(5).normal(size=y.shape)))
    np.testing.assert_allclose(gradients(y, layer.weight)[0], tW.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True},
                                     {"padding_idx": 0, "scale_grad_by_freq": True}], ids=str)
@given(seeds)
def test_embeddings_equal_pytorchs(options, seed):
    torch = pytest.importorskip("torch")
    W, ids = rng(seed).normal(size=(5, 3)), rng(seed).integers(5, size=(3, 4))
    layer = nn.Embedding.from_pretrained(W, freeze=False, **options)
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(W), freeze=False, **options)
    y, ty = layer(ids), theirs(torch.tensor(ids))
    assert y.data.tobytes() == ty.detach().numpy().tobytes() and layer.padding_idx == theirs.padding_idx
    ty.backward(torch.tensor(rng(5).normal(size=y.shape)))
    np.testing.assert_allclose(gradients(y, layer.weight)[0], theirs.weight.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_pytorch_has_what_is_said_to_differ():
    """The differences that the docstrings name are there, in the version that was compared."""
    torch = pytest.importorskip("torch")
    F, W, ids = torch.nn.functional, torch.ones(3, 2, requires_grad=True), torch.tensor([[0, 1]])
    with pytest.raises(NotImplementedError):
        F.embedding_bag(ids, W, mode="mean", per_sample_weights=torch.ones(1, 2))
    with pytest.raises(ValueError, match="max mode does not support sparse"):
        F.embedding_bag(ids, W, mode="max", sparse=True)
    with pytest.raises(RuntimeError, match="scale_grad_by_freq not supported with sparse"):
        F.embedding(ids, W, sparse=True, scale_grad_by_freq=True).sum().backward()


# -- what is refused ---------------------------------------------------------------------------------------------------

NINE = np.arange(9) % 6


@pytest.mark.parametrize("ids, offsets, options, error, words", [
    (NINE, [0, 4, 3], {}, ValueError, "offsets never decrease; 4 at position 1 is followed by 3"),
    (NINE, np.array([0, 4, 3], np.uint8), {}, ValueError, "offsets never decrease; 4 at position 1"),
    (NINE, [0, -1], {}, ValueError, "offsets never decrease; 0 at position 0 is followed by -1"),
    (NINE, [1, 4], {}, ValueError, "offsets begin with 0, not 1: the ids before would be in no bag"),
    (NINE, [0, 5, 10, 11], {}, ValueError, "offset 10 at position 2 is past the end: there are 9 ids"),
    (NINE, np.array([0, 2**64 - 1], np.uint64), {}, ValueError, "offset 18446744073709551615 at position 1 is past"),
    (NINE, [0.0, 4.0], {}, TypeError, r"ids are integers, not float32: .* at position \(0,\) \(as offsets\)"),
    (NINE, [False, True], {}, TypeError, "not bool"),
    (NINE, [[0, 4]], {}, ValueError, r"offsets are one line of numbers \(B,\), not \(1, 2\)"),
    (NINE, [], {}, ValueError, "offsets begin with 0; there are none, for 9 ids"),
    (NINE, None, {}, ValueError, r"ids \(9,\) need offsets"),
    (np.int64(1), None, {}, ValueError, r"ids \(\) need offsets"),
    (NINE.reshape(3, 3), [0, 3], {}, ValueError, r"ids \(3, 3\) have a bag for each line: leave the offsets out"),
    (NINE.reshape(3, 3, 1), None, {}, ValueError, r"ids \(3, 3, 1\) need offsets"),
    (NINE, [0, 4], {"include_last_offset": True}, ValueError, "the last offset is the number of ids, 9, not 4"),
    ([], [], {"include_last_offset": True}, ValueError, "offsets begin with 0; there are none"),
    (NINE + 1, [0], {}, IndexError, r"id 6 at position \(5,\) is outside the table: 6 rows \(0 … 5\)"),
    (NINE - 1, [0], {}, IndexError, r"id -1 at position \(0,\)"),
    (NINE / 1, [0], {}, TypeError, "ids are integers, not float64"),
    (NINE, [0], {"weights": np.ones(8)}, ValueError, r"the shape of ids, \(9,\), not \(8,\)"),
    (NINE, [0], {"weights": np.ones((9, 1))}, ValueError, r"not \(9, 1\)"),
    (NINE, [0], {"weights": 1.0}, ValueError, r"not \(\)"),
    (NINE, [0], {"weights": np.ones(9, bool)}, TypeError, "per_sample_weights are numbers, not bool"),
    (NINE, [0], {"weights": np.ones(9), "mode": "max"}, ValueError, "with the modes 'sum' and 'mean', not with 'max'"),
    (NINE, [0], {"mode": "median"}, ValueError, "mode is 'sum', 'mean' or 'max', not 'median'")], ids=str)
def test_bags_that_are_none_are_refused(ids, offsets, options, error, words):
    options = dict(options)
    weights = options.pop("weights", None)
    layer = nn.EmbeddingBag(6, 2, padding_idx=0, max_norm=1.0)
    before = layer.weight.data.tobytes()
    with pytest.raises(error, match=words):
        ops.embedding_bag(layer.weight, ids, offsets, weights, **options)
    if options.get("mode") == "median":
        with pytest.raises(error, match=words):
            nn.EmbeddingBag(6, 2, mode="median")
    else:
        vars(layer).update(options)
        with pytest.raises(error, match=words):
            layer(ids, offsets, weights)
    assert layer.weight.grad is None and layer.weight.data.tobytes() == before


def test_a_table_that_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match="a table is a matrix"):
        ops.embedding_bag(np.ones(3), [[0]])


@pytest.mark.filterwarnings("error")
def test_infinite_rows_and_no_warnings():
    W = np.array([[1.0, -math.inf], [2.0, 3.0]])
    assert ops.embedding_bag(W, [[0, 1], [0, 0]], mode="max").data.tolist() == [[2, 3], [1, -math.inf]]
    assert ops.embedding_bag(W, [[0, 1]], mode="sum").data.tolist() == [[3, -math.inf]]
