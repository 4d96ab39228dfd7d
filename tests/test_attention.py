"""Laws of attention: the op beside torch's, the layer beside torch's, masks, positions, the cache, dropout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.nn import KeysAndValues, MultiHeadAttention

POSITIONS = {
    "none": lambda D, H, dtype: None,
    "rotary": lambda D, H, dtype: nn.RotaryEmbedding(D // H),
    "rotary, halves": lambda D, H, dtype: nn.RotaryEmbedding(D // H, pairs="halves"),
    "ALiBi": lambda D, H, dtype: nn.ALiBi(H, dtype=dtype),
    "relative": lambda D, H, dtype: nn.RelativePositionBias(H, 3, std=0.5, rng=rng(7), dtype=dtype),
    "T5": lambda D, H, dtype: nn.RelativePositionBias(H, 6, "t5", num_buckets=8, std=0.5, rng=rng(7), dtype=dtype),
}
every_position = pytest.mark.parametrize("position", POSITIONS)
CLOSE = {np.float64: {"rtol": 1e-10, "atol": 1e-10}, np.float32: {"rtol": 1e-5, "atol": 1e-5}}
dtypes = st.sampled_from([np.float64, np.float32])


def rng(seed=0):
    return np.random.default_rng(seed)


def layer(D=8, H=2, position="none", causal=False, dtype=np.float64, **options):
    """A layer whose biases are not 0."""
    made = MultiHeadAttention(D, H, causal=causal, position=POSITIONS[position](D, H, dtype), rng=rng(1), dtype=dtype,
                              **options)
    for i, p in enumerate(made.parameters()):
        if p.ndim == 1:
            p.data = rng(i).normal(size=p.shape)
    return made


def drawn_mask(kind, shape, seed):
    """No mask, booleans, or numbers some of which are -inf; each query may look at key 0."""
    may = rng(seed).random(shape) < 0.6
    may[..., 0] = True
    return {"none": None, "boolean": may, "float": np.where(may, rng(seed + 1).normal(size=shape), -np.inf)}[kind]


def same(ours, theirs, dtype):
    np.testing.assert_allclose(ours.data if isinstance(ours, te.Tensor) else ours, theirs.detach().numpy(),
                               **CLOSE[dtype])


@given(score=st.sampled_from([-40.0, 0.0, 17.0, 40.0, 50.0, 900.0]), n=st.integers(-100, 100),
       m=st.integers(-100, 100), masked=st.booleans(), drop=st.sampled_from([0.0, 0.5]))
@pytest.mark.filterwarnings("error")
def test_values_and_gradients_of_any_size_come_out_as_large(score, n, m, masked, drop):
    """The op is linear in the values, and its gradient in g, to the ends of float32's range, whatever the scores."""
    if not -100 <= n + m <= 100:
        m = -m  # the gradient of the scores is as g times v

    def run(n, m):
        q, k, v = (rng(i).normal(size=(2, 5, 1, 4)).astype(np.float32) for i in range(3))
        v = v / np.float32(8)
        q[..., 0], k[..., 0] = 4, score / 2
        q, k, v = (te.Tensor(x, requires_grad=True) for x in (q, k, v * np.float32(2.0)**n))
        mask = np.tri(5, dtype=bool) if masked else None
        y = ops.attention(q, k, v, mask, dropout=drop, rng=rng(7))
        y.backward(rng(3).normal(size=y.shape).astype(np.float32) / np.float32(8) * np.float32(2.0)**m)
        return y.data, v.grad, q.grad, k.grad

    for wide, plain, power in zip(run(n, m), run(0, 0), (n, m, n + m, n + m)):
        plain = plain.astype(np.float64) * 2.0**power
        np.testing.assert_allclose(wide, plain, rtol=1e-4, atol=2e-6 * 2.0**power * max(1, abs(score)) + 1e-44)


def test_large_values_under_large_scores():
    q, v = np.full((1, 4, 1, 1), 7.7, np.float32), np.full((1, 4, 1, 1), 1e14, np.float32)
    np.testing.assert_allclose(ops.attention(q, q, v).data, 1e14, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- beside torch


@given(B=st.integers(1, 3), H=st.integers(1, 3), Tq=st.integers(1, 4), later=st.integers(0, 3), d=st.integers(1, 4),
       kind=st.sampled_from(["none", "boolean", "float"]), causal=st.booleans(), dtype=dtypes, seed=st.integers(0, 99))
def test_the_op_and_its_gradients_equal_torchs(B, H, Tq, later, d, kind, causal, dtype, seed):
    torch = pytest.importorskip("torch")
    Tk = Tq + later
    ours = [te.Tensor(rng(seed + i).normal(size=(B, T, H, d + (i == 2))).astype(dtype), requires_grad=True)
            for i, T in enumerate((Tq, Tk, Tk))]
    mask = drawn_mask(kind, (B, H, Tq, Tk), seed)
    if kind == "float":
        mask = te.Tensor(mask.astype(dtype), requires_grad=True)
    y = ops.attention(*ours, mask, causal)
    theirs = [torch.tensor(x.data, requires_grad=True) for x in ours]
    tm = None if mask is None else torch.tensor(mask.data if kind == "float" else mask, requires_grad=kind == "float")
    full = tm
    if causal:  # torch's is_causal aligns the first query with the first key: ours is a mask there
        seen = torch.tensor(np.tri(Tq, Tk, later, dtype=bool))
        full = seen if tm is None else tm & seen if kind == "boolean" else tm.masked_fill(~seen, -np.inf)
    ty = torch.nn.functional.scaled_dot_product_attention(*[x.transpose(1, 2) for x in theirs], full).transpose(1, 2)
    same(y, ty, dtype)
    g = rng(seed + 9).normal(size=y.shape).astype(dtype)
    y.backward(g)
    ty.backward(torch.tensor(g))
    for x, tx in zip([*ours, mask] if kind == "float" else ours, [*theirs, tm]):
        same(x.grad, tx.grad, dtype)
        assert x.grad.dtype == dtype


def in_torch(torch, ours):
    """torch.nn.MultiheadAttention with the same parameters, which have the same names."""
    theirs = torch.nn.MultiheadAttention(ours.embed_dim, ours.num_heads, bias=ours.in_proj_bias is not None,
                                         batch_first=True, dtype=torch.tensor(ours.in_proj_weight.data).dtype)
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})
    return theirs


@given(H=st.integers(1, 3), d=st.integers(1, 3), T=st.integers(1, 5), bias=st.booleans(), cross=st.booleans(),
       padded=st.booleans(), kind=st.sampled_from(["none", "boolean", "float"]), dtype=dtypes, seed=st.integers(0, 99))
def test_the_layer_and_all_its_gradients_equal_torchs(H, d, T, bias, cross, padded, kind, dtype, seed):
    torch = pytest.importorskip("torch")
    ours = layer(H * d, H, dtype=dtype, bias=bias)
    theirs = in_torch(torch, ours)
    x, memory = (te.Tensor(rng(seed + i).normal(size=(2, n, H * d)).astype(dtype), requires_grad=True)
                 for i, n in enumerate((T, T + 2)))
    tx, tm = (torch.tensor(z.data, requires_grad=True) for z in (x, memory))
    Tk = T + 2 if cross else T
    mask = drawn_mask(kind, (T, Tk), seed)
    mask = mask.astype(dtype) if kind == "float" else mask
    real = np.arange(Tk) < np.array([[Tk], [1 + seed % Tk]]) if padded else None
    y = ours(x, memory if cross else None, mask, real)
    tmask = None if mask is None else torch.tensor(mask if kind == "float" else ~mask)
    keys = tm if cross else tx
    away = None if real is None else torch.tensor(~real)
    if kind == "float" and padded:  # torch wants both masks of one kind
        away = torch.zeros(real.shape, dtype=tx.dtype).masked_fill(away, -np.inf)
    ty, tw = theirs(tx, keys, keys, attn_mask=tmask, key_padding_mask=away, average_attn_weights=False)
    same(y, ty, dtype)
    same(ours.weights(x, memory if cross else None, mask, real), tw, dtype)
    g = rng(seed + 9).normal(size=y.shape).astype(dtype)
    y.backward(g)
    ty.backward(torch.tensor(g))
    same(x.grad, tx.grad, dtype)
    if cross:
        same(memory.grad, tm.grad, dtype)
    for (name, p), (tname, q) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert name == tname
        same(p.grad, q.grad, dtype)


def test_queries_in_one_array_with_keys_and_values_or_apart_are_the_same():
    qkv = te.Tensor(rng().normal(size=(2, 4, 3, 2, 3)), requires_grad=True)
    apart = [te.Tensor(qkv.data[:, :, i], requires_grad=True) for i in range(3)]
    y, z = ops.attention(qkv, causal=True), ops.attention(*apart, causal=True)
    np.testing.assert_allclose(y.data, z.data, rtol=1e-13)
    g = rng(1).normal(size=y.shape)
    y.backward(g)
    z.backward(g)
    np.testing.assert_allclose(qkv.grad, np.stack([x.grad for x in apart], 2), rtol=1e-12, atol=1e-13)


# ----------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("kind", ["boolean", "float"])
def test_a_query_that_may_look_at_nothing_gets_zeros_and_gradient_zero(kind):
    x = [te.Tensor(rng(i).normal(size=(1, 3, 2, 4)), requires_grad=True) for i in range(3)]
    may = np.ones((3, 3), bool)
    may[1] = False
    mask = may if kind == "boolean" else te.Tensor(np.where(may, 0.0, -np.inf), requires_grad=True)
    y = ops.attention(*x, mask)
    assert not y.data[:, 1].any() and y.data[:, [0, 2]].all()
    y.backward(rng(5).normal(size=y.shape))
    assert not x[0].grad[:, 1].any()
    assert all(np.isfinite(z.grad).all() for z in [*x, mask] if isinstance(z, te.Tensor))
    assert kind == "boolean" or not mask.grad[1].any()


def test_without_a_key_every_query_gets_zeros():
    y = ops.attention(*(te.Tensor(np.ones((2, T, 1, 3))) for T in (4, 0, 0)))
    assert y.shape == (2, 4, 1, 3) and not y.data.any()


@pytest.mark.parametrize("kind", ["boolean", "float", "padding"])
def test_weights_sum_to_one_and_to_zero_where_all_is_masked(kind):
    may = np.tri(4, dtype=bool)
    may[0] = kind == "padding"
    padding = np.array([[True, True, False, True], [False] * 4]) if kind == "padding" else None
    mask = {"boolean": may, "float": np.where(may, 0.3, -np.inf), "padding": None}[kind]
    weights = layer().weights(rng().normal(size=(2, 4, 8)), None, mask, padding).data
    there = np.broadcast_to(may if padding is None else padding[:, None], (2, 4, 4))[:, None]
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(there.any(-1), (2, 2, 4)), atol=1e-12)
    assert not weights[np.broadcast_to(~there, weights.shape)].any()


@every_position
@given(causal=st.booleans(), kind=st.sampled_from(["none", "boolean", "float"]), padded=st.booleans(),
       seed=st.integers(0, 99))
def test_heads_are_the_weights_times_the_values(position, causal, kind, padded, seed):
    attention, x = layer(position=position, causal=causal), rng(seed).normal(size=(2, 5, 8))
    mask, real = drawn_mask(kind, (5, 5), seed), np.array([[True] * 5, [True] * 3 + [False] * 2]) if padded else None
    values = ops.linear(te.Tensor(x), attention.in_proj_weight, attention.in_proj_bias).data[..., 16:]
    values = values.reshape(2, 5, 2, 4).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(attention.heads(x, None, mask, real).data,
                               (attention.weights(x, None, mask, real).data @ values).transpose(0, 2, 1, 3), atol=1e-12)


def test_a_mask_of_a_boolean_tensor_is_a_boolean_mask():
    x, may = rng().normal(size=(2, 4, 8)), np.tri(4, dtype=bool)
    real = np.array([[True] * 4, [True] * 3 + [False]])
    for padding in (None, real):
        for look in (layer().heads, layer().weights):
            assert np.array_equal(look(x, None, te.Tensor(may), padding).data, look(x, None, may, padding).data)


@every_position
def test_padding_is_as_if_it_were_not_there(position):
    attention, x = layer(position=position), rng().normal(size=(2, 6, 8))
    real = np.arange(6) < np.array([[6], [4]])
    np.testing.assert_allclose(attention(x, padding=real).data[1, :4], attention(x[1:, :4]).data[0], atol=1e-12)


@every_position
def test_a_causal_layer_does_not_see_what_comes_later(position):
    attention, x = layer(position=position, causal=True), rng().normal(size=(2, 6, 8))
    later = x.copy()
    later[:, 4:] = rng(1).normal(size=(2, 2, 8))
    np.testing.assert_allclose(attention(x).data[:, :4], attention(later).data[:, :4], atol=1e-12)
    assert abs(attention(x).data[:, 4:] - attention(later).data[:, 4:]).min() > 0


# ------------------------------------------------------------------------------------------------------- positions


@given(order=st.permutations(range(6)))
def test_without_positions_the_order_of_the_keys_is_nothing(order):
    attention, x, memory = layer(), rng().normal(size=(2, 3, 8)), rng(1).normal(size=(2, 6, 8))
    np.testing.assert_allclose(attention(x, memory[:, order]).data, attention(x, memory).data, atol=1e-12)


@pytest.mark.parametrize("position", [name for name in POSITIONS if name != "none"])
def test_with_positions_the_order_of_the_keys_counts(position):
    attention, x, memory = layer(position=position), rng().normal(size=(2, 3, 8)), rng(1).normal(size=(2, 6, 8))
    assert abs(attention(x, memory[:, ::-1].copy()).data - attention(x, memory).data).max() > 1e-3


@every_position
@pytest.mark.parametrize("shift", [1, 3])
def test_shifting_all_positions_changes_nothing(position, shift):
    """Padding in front moves the tokens on; relative positions do not see where they stand."""
    attention, x = layer(position=position, causal=True), rng().normal(size=(2, 5, 8))
    moved = np.concatenate([rng(1).normal(size=(2, shift, 8)), x], 1)
    real = np.broadcast_to(np.arange(5 + shift) >= shift, (2, 5 + shift))
    np.testing.assert_allclose(attention(moved, padding=real).data[:, shift:], attention(x).data, atol=1e-12)


@every_position
@pytest.mark.parametrize("causal", [False, True])
def test_gradients(position, causal):
    attention, real = layer(4, 2, position, causal), np.array([[True, True, True], [True, True, False]])
    te.check_gradients(attention, rng().normal(size=(2, 3, 4)), full=False)
    te.check_gradients(lambda x: attention(x, None, np.tri(3, dtype=bool), real), rng().normal(size=(2, 3, 4)))
    te.check_gradients(lambda x, memory, mask: attention(x, memory, mask), rng(1).normal(size=(1, 3, 4)),
                       rng(2).normal(size=(1, 3, 4)), rng(3).normal(size=(2, 1, 3)))
    te.check_gradients(attention.weights, rng().normal(size=(1, 3, 4)))


@every_position
def test_a_layer_of_float32_stays_one_whatever_the_mask_is_made_of(position):
    attention = layer(position=position, dtype=np.float32)
    for mask in (np.zeros((3, 3)), np.zeros((3, 3), np.float16), te.Tensor(np.zeros((3, 3)), requires_grad=True)):
        y = attention(rng().normal(size=(2, 3, 8)).astype(np.float32), None, mask)
        y.sum().backward()
        assert y.dtype == np.float32 and all(p.grad.dtype == np.float32 for p in attention.parameters())


# ------------------------------------------------------------------------------------------------------- the cache


@every_position
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=5), spare=st.integers(0, 3), seed=st.integers(0, 99))
def test_piece_by_piece_with_a_cache_is_all_at_once(position, pieces, spare, seed):
    attention, T = layer(position=position, causal=True), sum(pieces)
    x, cache = rng(seed).normal(size=(2, T, 8)), KeysAndValues(T + spare)
    with te.no_grad():
        parts = [attention(part, cache=cache).data for part in np.split(x, np.cumsum(pieces)[:-1], 1)]
    assert cache.length == T
    np.testing.assert_allclose(np.concatenate(parts, 1), attention(x).data, atol=1e-12)


@te.no_grad()
def test_padding_and_cache_go_together():
    attention, x, cache = layer(causal=True), rng().normal(size=(2, 5, 8)), KeysAndValues(5)
    real = np.array([[True] * 5, [False, False, True, True, True]])
    parts = [attention(x[:, t:t + 1], padding=real[:, :t + 1], cache=cache).data for t in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, 1), attention(x, padding=real).data, atol=1e-12)


def test_what_a_cache_refuses_leaves_it_as_it_was():
    attention, x = layer(causal=True), rng().normal(size=(2, 3, 8))
    cache = KeysAndValues(4)
    with pytest.raises(RuntimeError, match=r"no gradient goes: use te\.no_grad"):
        attention(x, cache=cache)
    with te.no_grad():
        attention(x, cache=cache)
        with pytest.raises(ValueError, match="3 positions and 2 more do not fit in 4"):
            attention(x[:, :2], cache=cache)
        with pytest.raises(ValueError, match="of 2 sequences, these of 1"):
            attention(x[:1, :1], cache=cache)
        with pytest.raises(ValueError, match="memory stay the same"):
            attention(x[:, :1], x, cache=cache)
    assert cache.length == 3


# --------------------------------------------------------------------------------------------------------- dropout


def test_dropout_is_right_on_average_off_in_eval_and_repeatable():
    q, k, v = (te.Tensor(rng(i).normal(size=(1, 3, 1, 2))) for i in range(3))
    draws = np.stack([ops.attention(q, k, v, dropout=0.3, rng=rng(seed)).data for seed in range(4000)])
    np.testing.assert_allclose(draws.mean(0), ops.attention(q, k, v).data, atol=5 * draws.std(0).max() / 4000 ** 0.5)
    attention, x = layer(dropout=0.5), rng().normal(size=(2, 4, 8))
    attention.rng = rng(3)
    once, twice = attention(x).data, attention(x).data
    attention.rng = rng(3)
    assert np.array_equal(attention(x).data, once) and not np.array_equal(once, twice)
    np.testing.assert_allclose(attention.eval()(x).data, layer()(x).data, atol=1e-15)


def test_gradients_with_dropout():
    te.check_gradients(lambda q, k, v, m: ops.attention(q, k, v, m, dropout=0.4, rng=rng(2)),
                       *(rng(i).normal(size=(2, 3, 1, 2)) for i in range(3)), rng(3).normal(size=(3, 3)), full=True)


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(("sizes", "options", "problem"), [
    ((8, 3), {}, "8 is no multiple of 3"), ((8, 0), {}, "multiple"), ((0, 1), {}, "multiple"),
    ((8, 2), {"dropout": 1.0}, "dropout probability is in 0 … 1"), ((8, 2), {"dropout": -0.1}, "dropout probability")])
def test_layers_that_cannot_be(sizes, options, problem):
    with pytest.raises(ValueError, match=problem):
        MultiHeadAttention(*sizes, **options)


@pytest.mark.parametrize(("options", "problem"), [
    ({"mask": np.ones((4, 5), bool)}, r"mask broadcasts to .* \(2, 2, 4, 4\), and \(4, 5\) does not"),
    ({"mask": np.ones((3, 1, 1, 4, 4))}, r"\(3, 1, 1, 4, 4\) does not"),
    ({"mask": np.ones((4, 4), int)}, "booleans or floats, not int64"),
    ({"padding": np.ones((2, 4))}, r"boolean for each key.*\(2, 4\), not float64 \(2, 4\)"),
    ({"padding": np.ones((2, 3), bool)}, r"\(2, 4\), not bool \(2, 3\)")])
@pytest.mark.parametrize("position", ["none", "ALiBi"])
def test_masks_that_do_not_fit_are_named(options, problem, position):
    with pytest.raises(ValueError, match=problem):
        layer(position=position)(np.ones((2, 4, 8)), **options)


def test_arrays_that_do_not_fit_are_named():
    q, x = np.ones((2, 3, 2, 4)), np.ones((2, 3, 8))
    for bad in ((q,), (q, q), (q, q[:1], q), (q, q, q[:, :2]), (q, q[..., :3], q), (q[0], q[0], q[0])):
        with pytest.raises(ValueError, match=r"q \(B, Tq, H, d\)"):
            ops.attention(*map(te.Tensor, bad))
    for dropout, generator in ((1.0, rng()), (-0.1, rng()), (0.5, None)):
        with pytest.raises(ValueError, match="dropout is in 0 … 1"):
            ops.attention(*map(te.Tensor, (q, q, q)), dropout=dropout, rng=generator)
    for bad in (x[0], x[..., :7], x[None]):
        with pytest.raises(ValueError, match=r"MultiHeadAttention.* takes x .*8"):
            layer()(bad)


@pytest.mark.parametrize("wrong", [{"mask": np.ones((5, 7), bool)}, {"padding": np.ones((2, 2), bool)}])
def test_what_is_refused_does_not_extend_the_cache(wrong):
    layer, cache = nn.MultiHeadAttention(4, 2, causal=True), nn.KeysAndValues(8)
    with te.no_grad():
        layer(np.ones((2, 3, 4), np.float32), cache=cache)
        with pytest.raises(ValueError, match=r"mask|padding"):
            layer(np.ones((2, 1, 4), np.float32), cache=cache, **wrong)
    assert cache.length == 3
