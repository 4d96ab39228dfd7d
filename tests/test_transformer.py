"""Laws of the transformer block and its MLP: beside torch's layer, their formulas, what goes on to the attention."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn
from tinyembed.nn import MLP, KeysAndValues, TransformerBlock

THEIRS = {"attention": "self_attn", "mlp.linear1": "linear1", "mlp.linear2": "linear2"}  # our names -> torch's
CLOSE = {np.float64: {"rtol": 1e-9, "atol": 1e-10}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}


def rng(seed=0):
    return np.random.default_rng(seed)


def block(dtype=np.float64, D=8, H=2, hidden=12, **options):
    """A block whose biases and norms are not as they begin."""
    made = TransformerBlock(D, H, hidden, rng=rng(1), dtype=dtype, **options)
    for i, p in enumerate(made.parameters()):
        if p.ndim == 1:
            p.data = p.data + rng(i).normal(size=p.shape) / 4
    return made


def their_name(name):
    for ours, theirs in THEIRS.items():
        name = name.replace(ours + ".", theirs + ".", 1)
    return name


@given(norm_first=st.booleans(), activation=st.sampled_from(["relu", "gelu"]), T=st.integers(1, 5),
       padded=st.booleans(), dtype=st.sampled_from([np.float64, np.float32]), seed=st.integers(0, 99))
def test_a_block_and_its_gradients_equal_torchs_layer(norm_first, activation, T, padded, dtype, seed):
    torch = pytest.importorskip("torch")
    ours = block(dtype, norm_first=norm_first, activation=activation, eps=1e-4)
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 12, 0.0, activation, 1e-4, batch_first=True, norm_first=norm_first,
                                              dtype=torch.float64 if dtype is np.float64 else torch.float32)
    theirs.load_state_dict({their_name(name): torch.tensor(x) for name, x in ours.state_dict().items()})
    x = te.Tensor(rng(seed).normal(size=(2, T, 8)).astype(dtype), requires_grad=True)
    tx = torch.tensor(x.data, requires_grad=True)
    real = np.arange(T) < np.array([[T], [1 + seed % T]]) if padded else None
    y, ty = ours(x, padding=real), theirs(tx, src_key_padding_mask=torch.tensor(~real) if padded else None)
    np.testing.assert_allclose(y.data, ty.detach().numpy(), **CLOSE[dtype])
    g = rng(seed + 1).normal(size=y.shape).astype(dtype)
    y.backward(g)
    ty.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad, tx.grad.numpy(), **CLOSE[dtype])
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    assert sorted(gradients) == sorted(their_name(name) for name, _ in ours.named_parameters())
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad, gradients[their_name(name)], **CLOSE[dtype])


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "quick_gelu", "relu", "silu"])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_an_mlp_is_its_formula(activation, gated, bias):
    mlp, x = MLP(3, 5, activation, bias, gated, rng=rng(), dtype=np.float64), te.Tensor(rng(1).normal(size=(2, 4, 3)))
    tanh, root = np.sqrt(2 / np.pi), np.sqrt(2)
    erf = np.vectorize(math.erf)
    a = {"gelu": lambda z: z * (1 + erf(z / root)) / 2, "relu": lambda z: np.maximum(z, 0),
         "gelu_tanh": lambda z: z * (1 + np.tanh(tanh * (z + 0.044715 * z ** 3))) / 2,
         "silu": lambda z: z / (1 + np.exp(-z)), "quick_gelu": lambda z: z / (1 + np.exp(-1.702 * z))}[activation]

    def through(layer, z):
        return z @ layer.weight.data.T + (layer.bias.data if bias else 0)

    h = a(through(mlp.linear1, x.data)) * (through(mlp.gate, x.data) if gated else 1)
    np.testing.assert_allclose(mlp(x).data, through(mlp.linear2, h), rtol=1e-12)
    assert len(mlp.parameters()) == (2 + gated) * (1 + bias)


@pytest.mark.parametrize("options", [{}, {"norm_first": False}, {"gated": True, "activation": "silu"},
                                     {"causal": True, "position": nn.RotaryEmbedding(2)}, {"bias": False},
                                     {"position": nn.ALiBi(2, dtype=np.float64), "causal": True}])
def test_gradients(options):
    te.check_gradients(block(D=4, hidden=5, **options), rng().normal(size=(2, 3, 4)), full=False)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_block_hands_masks_padding_and_cache_to_its_attention(norm_first):
    x, real = rng().normal(size=(2, 4, 8)), np.array([[True] * 4, [True, True, False, False]])
    plain, causal = block(norm_first=norm_first), block(norm_first=norm_first, causal=True)
    np.testing.assert_allclose(plain(x, mask=np.tri(4, dtype=bool)).data, causal(x).data, atol=1e-12)
    np.testing.assert_allclose(plain(x, padding=real).data[1, :2], plain(x[1:, :2]).data[0], atol=1e-12)
    cache = KeysAndValues(4)
    with te.no_grad():
        parts = [causal(te.Tensor(x[:, t:t + 1]), cache=cache).data for t in range(4)]
    np.testing.assert_allclose(np.concatenate(parts, 1), causal(x).data, atol=1e-12)


def test_dropout_is_in_three_places_in_training_only():
    x = te.Tensor(rng().normal(size=(1, 4, 8)))
    dropping = block(dropout=0.5)
    assert dropping.attention.dropout == dropping.dropout.p == 0.5
    assert not np.allclose(dropping(x).data, dropping(x).data)
    np.testing.assert_allclose(dropping.eval()(x).data, block()(x).data, atol=1e-15)


def test_bad_input():
    with pytest.raises(ValueError, match="activation is one of gelu, gelu_tanh, quick_gelu, relu, silu, not 'swish'"):
        MLP(4, 4, "swish")
    with pytest.raises(ValueError, match=r"takes x .*8\), got \(2, 3, 7\)"):
        block()(te.Tensor(np.zeros((2, 3, 7))))
