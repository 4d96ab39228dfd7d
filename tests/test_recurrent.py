"""Laws of the recurrent layers: PyTorch's values and gradients, padding that counts for nothing, states that go on."""

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn
from tinyembed.optim import Adam

KINDS = ["LSTM", "GRU"]
every_kind = pytest.mark.parametrize("kind", KINDS)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def make(kind, *sizes, seed=0, dtype=np.float64, **options):
    return getattr(nn, kind)(*sizes, rng=rng(seed), dtype=dtype, **options)


def run(layer, x, state=None, lengths=None):
    """(y, the states as a tuple), whatever the kind"""
    y, last = layer(x, state, lengths)
    return y, last if isinstance(last, tuple) else (last,)


def total(y, states):
    """One number in which every result counts, each in its own way."""
    return sum((z * z * (k + 1.0)).sum() for k, z in enumerate(states)) + (y * y * y).sum()


# -- PyTorch -----------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 4, 2, 1], [3, 1, 5, 4]], ids=str)
@pytest.mark.parametrize(("dtype", "near"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_values_and_all_gradients_are_torchs(kind, layers, bidirectional, lengths, dtype, near):
    torch = pytest.importorskip("torch")
    options = {"bidirectional": bidirectional, "bias": not (layers == 2 and bidirectional and lengths is None)}
    ours = make(kind, 3, 4, layers, dtype=dtype, **options)
    theirs = getattr(torch.nn, kind)(3, 4, layers, batch_first=True, dtype=getattr(torch, dtype.__name__), **options)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    ours.load_state_dict({name: p.numpy() for name, p in theirs.state_dict().items()})
    X, first = rng(1).normal(size=(4, 5, 3)).astype(dtype), rng(2).normal(size=(2, layers * (1 + bidirectional), 4, 4))
    first = [z.astype(dtype) for z in first[:len(ours.states)]]

    leaves = [te.Tensor(z, requires_grad=True) for z in (X, *first)]
    y, last = run(ours, leaves[0], leaves[1] if kind == "GRU" else (leaves[1], leaves[2]), lengths)
    total(y, last).backward()

    x, *hc = [torch.tensor(z, requires_grad=True) for z in (X, *first)]
    rnn = torch.nn.utils.rnn
    packed = x if lengths is None else rnn.pack_padded_sequence(x, torch.tensor(lengths), True, False)
    ty, tlast = theirs(packed, hc[0] if kind == "GRU" else tuple(hc))
    ty = ty if lengths is None else rnn.pad_packed_sequence(ty, True)[0]
    tlast = tlast if isinstance(tlast, tuple) else (tlast,)
    total(ty, tlast).backward()

    pairs = [(y.data, ty), *zip([z.data for z in last], tlast), *[(a.grad, b.grad) for a, b in zip(leaves, (x, *hc))]]
    pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters())]
    for a, b in pairs:
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=near, atol=near * 10)


RECORDED = {  # torch 2.13.0 in float64, `counted` over x = 1, -2: y, the last states, the gradient of W_hh for sum(y)
    "LSTM": ([-0.051052942, 0.0288227076], [0.0288227076, 0.0473302539],
             [-0.0019080367, 0.0010226311, -0.0135949003, -0.0005747253]),
    "GRU": ([-0.2564752901, 0.0179780191], [0.0179780191], [-0.0031998928, 0.0382783026, -0.0496519691]),
}


def counted(kind):
    """A layer with one input and one state, and weights that anybody can write down."""
    layer = make(kind, 1, 1)
    w = np.round(np.linspace(0.1, -0.3, layer.gates), 3)
    layer.load_state_dict({"weight_ih_l0": w[:, None], "weight_hh_l0": w[::-1, None], "bias_ih_l0": w,
                           "bias_hh_l0": -w / 2})
    return layer


@every_kind
def test_recorded_results_of_torch(kind):
    layer, (y_, last_, grad_) = counted(kind), RECORDED[kind]
    y, last = run(layer, te.Tensor(np.array([[[1.0], [-2.0]]])))
    y.sum().backward()
    for ours, theirs in ((y.data, y_), ([z.item() for z in last], last_), (layer.weight_hh_l0.grad, grad_)):
        np.testing.assert_allclose(np.ravel(ours), theirs, atol=1e-9)


@every_kind
def test_a_state_of_torch_loads_and_starts_alike(kind):
    layer = make(kind, 30, 400, num_layers=2, bidirectional=True, dtype=np.float32)
    names = [name for name, _ in layer.named_parameters()]
    assert names[:8] == [f"{kind}_l0{way}" for way in ("", "_reverse")
                         for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")] and len(names) == 16
    assert layer.weight_ih_l1.shape == (layer.gates * 400, 800)
    for p in layer.parameters():
        assert p.dtype == np.float32 and np.abs(p.data).max() <= 0.05 + 1e-9
        assert p.data.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.1)


# -- gradients, dtypes -------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("lengths", [None, [2, 0, 3]], ids=str)
def test_gradients(kind, lengths):
    layer = make(kind, 2, 2, 2, bidirectional=True)
    te.check_gradients(lambda x, *state: total(*run(layer, x, state, lengths)), rng(1).normal(size=(3, 3, 2)),
                       *rng(2).normal(size=(len(layer.states), 4, 3, 2)))
    te.check_gradients(Outputs(kind), rng(1).normal(size=(2, 3, 2)), full=False)


class Outputs(nn.Module):
    """One number around a layer, in which the checker finds the parameters."""

    def __init__(self, kind):
        self.inner = make(kind, 2, 3, 2, bidirectional=True)

    def forward(self, x):
        return total(*run(self.inner, x, lengths=[1, 3]))


@every_kind
def test_dtypes_and_no_grad(kind):
    layer = make(kind, 3, 4, 2, bidirectional=True, dtype=np.float32)
    x = te.Tensor(rng(1).normal(size=(2, 6, 3)).astype(np.float32), requires_grad=True)
    y, last = run(layer, x, lengths=[6, 4])
    total(y, last).backward()
    assert {z.dtype for z in (y, *last)} == {p.grad.dtype for p in (x, *layer.parameters())} == {np.dtype(np.float32)}
    with te.no_grad():
        again, states = run(layer, x, lengths=[6, 4])
    assert not again.requires_grad
    for a, b in zip((y, *last), (again, *states)):
        assert a.data.tobytes() == b.data.tobytes()  # with what is kept and without: the same bytes


@every_kind
def test_no_steps_and_no_sequences(kind):
    layer, state = make(kind, 3, 4), rng(1).normal(size=(1, 2, 4))
    y, last = run(layer, np.zeros((2, 0, 3)), (state,) * len(layer.states))
    assert y.shape == (2, 0, 4) and all((z.data == state).all() for z in last)
    y, last = run(layer, np.zeros((0, 5, 3)))
    assert y.shape == (0, 5, 4) and all(z.shape == (1, 0, 4) for z in last)
    total(y, last).backward()
    assert not any(p.grad.any() for p in layer.parameters())


# -- padding -----------------------------------------------------------------------------------------------------------


@st.composite
def batches(draw):
    """(kind, layer, x (B, T, 3), lengths (B))"""
    kind, B, T = draw(st.sampled_from(KINDS)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    layer = make(kind, 3, draw(st.integers(1, 4)), draw(st.integers(1, 2)), bidirectional=draw(st.booleans()),
                 seed=draw(seeds))
    lengths = draw(st.lists(st.integers(0, T), min_size=B, max_size=B))
    return layer, rng(draw(seeds)).normal(size=(B, T, 3)), lengths


def results(layer, X, lengths=None):
    """y, the last states, dx and the gradients of all parameters, as arrays"""
    layer.zero_grad()
    x = te.Tensor(X, requires_grad=True)
    y, last = run(layer, x, lengths=lengths)
    total(y, last).backward()
    return y.data, [z.data for z in last], x.grad, [p.grad for p in layer.parameters()]


@given(batches(), st.sampled_from([0.0, 1e6, np.nan, np.inf]))
def test_what_stands_in_the_padding_changes_nothing(batch, value):
    layer, x, lengths = batch
    other = x.copy()
    for b, n in enumerate(lengths):
        other[b, n:] = value
    one, two = results(layer, x, lengths), results(layer, other, lengths)
    for a, b in zip([*one[:1], *one[1], one[2], *one[3]], [*two[:1], *two[1], two[2], *two[3]]):
        assert a.tobytes() == b.tobytes()
    for b, n in enumerate(lengths):
        assert not one[0][b, n:].any() and not one[2][b, n:].any()


@given(batches())
def test_a_padded_batch_is_each_sequence_alone(batch):
    layer, x, lengths = batch
    y, last, dx, grads = results(layer, x, lengths)
    summed = [np.zeros_like(g) for g in grads]
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for b, n in enumerate(lengths):
        y1, last1, dx1, grads1 = results(layer, x[b:b + 1, :n])
        near(y[b, :n], y1[0])
        near(dx[b, :n], dx1[0])
        for z, z1 in zip(last, last1):
            near(z[:, b], z1[:, 0])
        summed = [s + g for s, g in zip(summed, grads1)]
    for g, s in zip(grads, summed):
        near(g, s)


@given(batches())
def test_the_other_direction_reads_each_sequence_from_its_end(batch):
    layer, x, lengths = batch
    one = make(type(layer).__name__, 3, 4, bidirectional=True)
    turned = x.copy()
    for b, m in enumerate(lengths):
        turned[b, :m] = x[b, :m][::-1]
    plain = make(type(layer).__name__, 3, 4)
    plain.load_state_dict({name.removesuffix("_reverse"): p for name, p in one.named_parameters() if "_rev" in name})
    y, last = run(one, x, lengths=lengths)
    z, ends = run(plain, turned, lengths=lengths)
    for b, m in enumerate(lengths):
        np.testing.assert_allclose(y.data[b, :m, 4:], z.data[b, :m][::-1], rtol=1e-12)
    for a, b in zip(last, ends):
        np.testing.assert_allclose(a.data[1], b.data[0], rtol=1e-12)


def test_a_sequence_without_steps_keeps_its_state():
    for kind in KINDS:
        layer, state = make(kind, 3, 4, bidirectional=True), rng(1).normal(size=(2, 2, 4))
        y, last = run(layer, rng(2).normal(size=(2, 5, 3)), (state,) * len(layer.states), lengths=[0, 5])
        assert not y.data[0].any() and all((z.data[:, 0] == state[:, 0]).all() for z in last)


# -- states ------------------------------------------------------------------------------------------------------------


@every_kind
@given(st.integers(0, 6), seeds)
def test_running_on_with_the_state_is_running_at_once(kind, cut, seed):
    layer, X = make(kind, 3, 4, 2, seed=seed), rng(seed + 1).normal(size=(2, 6, 3))
    y, last, dx, grads = results(layer, X)
    layer.zero_grad()
    x = te.Tensor(X, requires_grad=True)
    y1, state = layer(x[:, :cut])
    y2, end = run(layer, x[:, cut:], state)
    whole = te.ops.concatenate([y1, y2], 1)
    total(whole, end).backward()
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    near(whole.data, y)
    near(x.grad, dx)
    for a, b in zip([*[z.data for z in end], *[p.grad for p in layer.parameters()]], [*last, *grads]):
        near(a, b)


def test_a_detached_state_cuts_the_gradient():
    layer = make("LSTM", 3, 4)
    x = te.Tensor(rng(1).normal(size=(1, 4, 3)), requires_grad=True)
    _, (h, c) = layer(x[:, :2])
    y, _ = layer(x[:, 2:], (h.detach(), c.detach()))
    y.sum().backward()
    assert not x.grad[:, :2].any() and x.grad[:, 2:].all()


@every_kind
def test_dropout_is_between_layers_and_in_training_alone(kind):
    layer, x = make(kind, 3, 4, 2, dropout=0.5), rng(1).normal(size=(2, 5, 3))
    same = lambda: layer(x)[0].data.tobytes()
    assert same() != same()
    layer.eval()
    plain = make(kind, 3, 4, 2)
    plain.load_state_dict(layer.state_dict())
    assert same() == same() == plain(x)[0].data.tobytes()
    one = make(kind, 3, 4, dropout=0.5)
    assert one(x)[0].data.tobytes() == one(x)[0].data.tobytes() and (one(x)[0].data != 0).all()


# -- use ---------------------------------------------------------------------------------------------------------------


@every_kind
def test_it_learns_to_remember(kind):
    """The first of five ids, told at the end: nothing but the state carries it there."""
    table, head = nn.Embedding(4, 8, rng=rng(0)), nn.Linear(16, 4, rng=rng(1))
    layer = make(kind, 8, 16, dtype=np.float32)
    model = nn.Sequential(table, layer, head)
    optimiser = Adam(model.parameters(), lr=0.02)
    for step in range(120):
        ids = rng(step).integers(4, size=(32, 5))
        y, _ = layer(table(ids))
        loss = te.ops.cross_entropy(head(y[:, -1]), ids[:, 0])
        model.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1 and isinstance(table.weight.grad, te.RowGrad)


@every_kind
def test_memory_does_not_grow(kind):
    """Nothing waits for the collector. (NumPy keeps some small blocks of its own, hence arrays of 100 kB here.)"""
    layer, x = make(kind, 32, 32, 2, bidirectional=True), te.Tensor(rng(1).normal(size=(20, 20, 32)))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(5):
            layer.zero_grad()
            total(*run(layer, x, lengths=rng(2).integers(0, 21, 20))).backward()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert sizes[-1] - sizes[1] < 50_000


# -- what is refused ---------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda f: f(np.zeros((2, 5), int)), TypeError, r"takes vectors of floats, not int64; .* Embedding first"),
    (lambda f: f(np.zeros((2, 5, 2))), ValueError, r"takes x \(B, T, 3\), got \(2, 5, 2\)"),
    (lambda f: f(np.zeros((5, 3))), ValueError, r"takes x \(B, T, 3\), got \(5, 3\)"),
    (lambda f: f(np.zeros((2, 5, 3)), np.zeros((2, 2, 4))), ValueError, r"of shape \(1, 2, 4\), got \(2, 2, 4\)"),
    (lambda f: f(np.zeros((2, 5, 3)), (np.zeros((1, 2, 4)),) * 3), ValueError, r"takes the state as h.* \(1, 2, 4\)"),
    (lambda f: f(np.zeros((2, 5, 3)), lengths=[5, 6]), ValueError, r"length 6 at position 1 is outside 0 … 5"),
    (lambda f: f(np.zeros((2, 5, 3)), lengths=[-1, 5]), ValueError, r"length -1 at position 0 is outside 0 … 5"),
    (lambda f: f(np.zeros((2, 5, 3)), lengths=[5]), ValueError, r"each of the 2 sequences, not of shape \(1,\)"),
    (lambda f: f(np.zeros((2, 5, 3)), lengths=[5.0, 1.0]), TypeError, "integers, not float.* as lengths")])
def test_what_does_not_fit_is_named(kind, call, error, words):
    with pytest.raises(error, match=words):
        call(make(kind, 3, 4))


@every_kind
def test_sizes_and_layouts_that_cannot_be(kind):
    for sizes in ((0, 4), (3, 0), (3, 4, 0)):
        with pytest.raises(ValueError, match=f"{kind} needs an input_size"):
            make(kind, *sizes)
    with pytest.raises(ValueError, match="the batch first"):
        make(kind, 3, 4, batch_first=False)
    with pytest.raises(ValueError, match="dropout probability"):
        make(kind, 3, 4, dropout=1.0)
    assert repr(make(kind, 3, 4, 2, bias=False, bidirectional=True)).startswith(
        f"{kind}(3 -> 4, 2 layers, both directions, no bias)")


@every_kind
def test_the_ops_name_what_does_not_fit(kind):
    op, n = te.OPS[kind.lower()], 4 if kind == "LSTM" else 3
    states = [np.zeros((2, 4))] * (n - 2)
    with pytest.raises(ValueError, match=rf"{kind.lower()}: it needs x \(T, B, D\).*W_ih \({n}H, D\)"):
        op(np.zeros((5, 2, 3)), *states, np.zeros((n * 4, 2)), np.zeros((n * 4, 4)))
