"""Laws of the GPT, and of the sampled softmax that it can be trained with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import ops
from tinyembed.models import GPT, GPTConfig
from tinyembed.optim import Adam
from tinyembed.train import fit

POSITIONS = ["learned", "rotary", "alibi"]
every_position = pytest.mark.parametrize("position", POSITIONS)
tied_or_not = pytest.mark.parametrize("tied", [True, False])


def rng(seed=0):
    return np.random.default_rng(seed)


def gpt(position="learned", dtype=np.float64, **options):
    sizes = {"vocab_size": 11, "block_size": 6, "n_layer": 2, "n_head": 2, "n_embd": 8, **options}
    return GPT(GPTConfig(position=position, **sizes), rng=rng(1), dtype=dtype)


class WithLoss(te.nn.Module):
    """The loss as a module, whose parameters check_gradients finds; its generator is put back at each call."""

    def __init__(self, model):
        self.model = model

    def forward(self, ids, targets):
        self.model.drop.rng.bit_generator.state = rng(5).bit_generator.state
        return self.model.loss(ids, targets)


@every_position
@tied_or_not
@pytest.mark.parametrize("sampled", [0, 4])
def test_gradients(position, tied, sampled):
    model = gpt(position, tied=tied, sampled=sampled, n_layer=1, n_embd=4)
    for i, p in enumerate(model.parameters()):
        p.data = rng(i).normal(size=p.shape) / 2
    te.check_gradients(WithLoss(model), rng().integers(11, size=(2, 4)), rng(1).integers(11, size=(2, 4)))


@tied_or_not
def test_a_tied_head_counts_once(tied):
    model, D, V, T = gpt(tied=tied), 8, 11, 6
    block = 4 * D * D + 4 * D + 8 * D * D + 5 * D + 4 * D
    assert sum(p.size for p in model.parameters()) == V * D * (1 if tied else 2) + T * D + 2 * block + 2 * D
    assert len({id(p) for p in model.parameters()}) == len(model.parameters())


@every_position
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_last_hidden_state_gives_the_logits(position, layers):
    model, ids = gpt(position, n_layer=layers), rng().integers(11, size=(2, 5))
    states = model.hidden_states(ids)
    assert len(states) == layers + 1 and all(h.shape == (2, 5, 8) for h in states)
    np.testing.assert_allclose(states[-1].data @ model.token.weight.data.T, model(ids).data, atol=1e-13)


@every_position
@tied_or_not
def test_the_first_loss_is_near_log_v(position, tied):
    model = gpt(position, tied=tied, vocab_size=500, n_embd=32)
    ids = rng().integers(500, size=(8, 6))
    assert model.loss(ids, np.roll(ids, 1)).item() == pytest.approx(np.log(500), abs=0.05)


def test_it_starts_as_gpt_2_does():
    model = gpt(n_embd=64, n_layer=3, vocab_size=300, block_size=100, tied=False)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.data.any(), name
        elif "norm" in name:
            assert (p.data == 1).all(), name
        else:
            wanted = 0.02 / 6 ** 0.5 if name.endswith(("out_proj.weight", "linear2.weight")) else 0.02
            assert p.data.std() == pytest.approx(wanted, rel=0.06), name


@every_position
@pytest.mark.parametrize("block_size", [1, 4, 6])
def test_cropping_keeps_the_logits_of_short_inputs(position, block_size):
    ids = rng().integers(11, size=(2, block_size))
    model, config = gpt(position), gpt(position).config
    before = model(ids).data
    twin = GPT(model.config, rng=rng(2))
    assert model.crop(block_size) is model and np.array_equal(model(ids).data, before)
    assert model.config == GPTConfig(**{**vars(config), "block_size": block_size})
    assert len(model.generate([1] * 9, 3)) == 12
    with pytest.raises(ValueError, match=f"block_size = {block_size}, not"):
        model(np.zeros((1, block_size + 1), int))
    assert twin(np.zeros((1, 6), int)).shape == (1, 6, 11)  # another of the same settings is as it was


def test_sizes_and_inputs_that_cannot_be():
    for wrong in ({"vocab_size": 0}, {"block_size": 0}, {"n_layer": -1}, {"sampled": -1}, {"n_embd": 0}):
        with pytest.raises(ValueError, match="sizes of a GPT are positive"):
            gpt(**wrong)
    with pytest.raises(ValueError, match="learned, rotary, alibi, not 'none'"):
        gpt("none")
    with pytest.raises(ValueError, match="multiple"):
        gpt(n_head=3)
    for size in (0, 7):
        with pytest.raises(ValueError, match=f"cropped to 1 … 6, not {size}"):
            gpt().crop(size)
    for ids in (np.zeros((1, 7), int), np.zeros(3, int)):
        with pytest.raises(ValueError, match=r"ids \(B, T\) with T at most block_size = 6"):
            gpt()(ids)
    with pytest.raises(IndexError, match=r"id 11 at position \(0, 1\) is outside the vocabulary"):
        gpt()([[0, 11]])


# --------------------------------------------------------------------------------------------------- sampled softmax


def problem(V=12, N=6, D=4, dtype=np.float64):
    x = te.Tensor(rng().normal(size=(2, N // 2, D)).astype(dtype), requires_grad=True)
    W = te.Parameter(rng(1).normal(size=(V, D)).astype(dtype))
    return x, W, rng(2).integers(V, size=(2, N // 2))


def full_softmax(x, W, targets):
    return ops.cross_entropy(ops.linear(x, W), targets)


def test_with_many_samples_it_is_the_softmax_over_all():
    x, W, targets = problem()
    loss = ops.sampled_softmax(x, W, targets, 2000, rng())
    loss.backward()
    gradients = x.grad, W.grad.to_dense()
    x.zero_grad(), W.zero_grad()
    whole = full_softmax(x, W, targets)
    whole.backward()
    assert loss.item() == pytest.approx(whole.item(), abs=1e-9)
    np.testing.assert_allclose(gradients[0], x.grad, atol=1e-9)
    np.testing.assert_allclose(gradients[1], W.grad, atol=1e-9)


def test_the_more_samples_the_nearer_is_the_gradient_on_average():
    x, W, targets = problem()
    full_softmax(x, W, targets).backward()
    wanted, far = W.grad, []
    for samples in (2, 10, 100):
        total = np.zeros(W.shape)
        for seed in range(300):
            W.zero_grad()
            ops.sampled_softmax(x, W, targets, samples, rng(seed)).backward()
            total += W.grad.to_dense() / 300
        far.append(np.linalg.norm(total - wanted) / np.linalg.norm(wanted))
    assert far[2] < 0.01 and far[2] < far[1] / 10 and far[1] < 0.7 * far[0]


@pytest.mark.parametrize("samples", [3, 30])
def test_scores_that_it_was_minimised_for_are_those_of_the_frequencies(samples):
    """Of 8 tokens in one context, the rarest ids are not the rarest tokens."""
    p = np.array([0.02, 0.03, 0.25, 0.05, 0.1, 0.3, 0.05, 0.2])
    targets = np.repeat(np.arange(8), (p * 100).astype(int))
    W, one, draws = te.Parameter(np.zeros((8, 1))), np.ones((100, 1)), rng()
    mean, optimizer = np.zeros(8), te.optim.SGD([W], lr=1.0)
    for step in range(900):
        optimizer.lr = 1 - step / 900
        optimizer.zero_grad()
        ops.sampled_softmax(te.Tensor(one), W, targets, samples, draws).backward()
        optimizer.step()
        mean += W.data[:, 0] * (step >= 600) / 300
    found = np.exp(mean) / np.exp(mean).sum()
    assert (p * np.log(p / found)).sum() < (0.02 if samples == 3 else 1e-3)


@given(V=st.integers(1, 40), samples=st.integers(1, 60), dtype=st.sampled_from([np.float32, np.float64]),
       seed=st.integers(0, 99))
def test_every_row_is_one_that_was_asked_for_and_all_is_finite(V, samples, dtype, seed):
    x, W, _ = problem(V, dtype=dtype)
    targets = rng(seed).integers(V, size=(2, 3))
    with np.errstate(all="raise", under="ignore"):
        loss = ops.sampled_softmax(x, W, targets, samples, rng(seed))
        loss.backward()
    assert loss.dtype == x.grad.dtype == W.grad.rows.dtype == dtype and loss.item() >= 0
    assert isinstance(W.grad, te.RowGrad) and W.grad.ids.size <= targets.size + min(samples, V)
    assert set(targets.ravel()) <= set(W.grad.ids)


def test_what_a_step_reads_does_not_depend_on_the_vocabulary():
    for V in (1000, 100_000):
        model = gpt(vocab_size=V, sampled=20)
        ids = rng().integers(V, size=(2, 6))
        model.loss(ids, np.roll(ids, 1)).backward()
        assert isinstance(model.token.weight.grad, te.RowGrad) and model.token.weight.grad.ids.size <= 24 + 20


@tied_or_not
def test_a_sampled_loss_is_for_training_only_and_repeatable(tied):
    model, ids, targets = gpt(tied=tied, sampled=3), rng().integers(11, size=(2, 6)), rng(1).integers(11, size=(2, 6))
    whole = ops.cross_entropy(model(ids), targets).item()
    model.drop.rng = rng(4)
    drawn = [model.loss(ids, targets).item() for _ in range(5)]
    model.drop.rng = rng(4)
    assert [model.loss(ids, targets).item() for _ in range(5)] == drawn and len({*drawn, whole}) == 6
    assert model.eval().loss(ids, targets).item() == whole


def test_a_gpt_learns_by_a_sampled_loss():
    model, text = gpt(sampled=4), np.array([3, 1, 4, 0, 5, 9, 2, 6] * 4)
    x, y = np.stack([text[i:i + 6] for i in range(20)]), np.stack([text[i + 1:i + 7] for i in range(20)])
    fit(model, [(x, y)], Adam(model.parameters(), lr=0.02), epochs=200, progress=False)
    assert model.loss(x, y).item() < 0.1
    assert model.generate([3, 1], 6, temperature=0) == [3, 1, 4, 0, 5, 9, 2, 6]


def test_bad_samples_and_targets_are_named():
    x, W, targets = problem()
    with pytest.raises(ValueError, match="draws one token at least, not 0"):
        ops.sampled_softmax(x, W, targets, 0, rng())
    with pytest.raises(ValueError, match="a target each"):
        ops.sampled_softmax(x, W, targets[0], 3, rng())
    with pytest.raises(IndexError, match=r"id 12 .* outside the classes"):
        ops.sampled_softmax(x, W, targets * 0 + 12, 3, rng())
