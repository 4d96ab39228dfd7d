"""Laws of BERT and of hiding tokens for it to find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn
from tinyembed.models import BERT, BERTConfig
from tinyembed.models.bert import IGNORED, mask_tokens
from tinyembed.optim import Adam
from tinyembed.train import fit

V, MASK = 13, 3


def rng(seed=0):
    return np.random.default_rng(seed)


def bert(dtype=np.float64, **sizes):
    sizes = {"vocab_size": V, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 12, "max_position_embeddings": 10, **sizes}
    model = BERT(BERTConfig(**sizes), rng=rng(1), dtype=dtype)
    for i, p in enumerate(model.parameters()):
        p.data = p.data + rng(i).normal(size=p.shape) / 3
    return model


class WithLoss(nn.Module):
    """The loss as a module, whose parameters check_gradients finds."""

    def __init__(self, model):
        self.model = model

    def forward(self, *batch):
        return self.model.loss(*batch)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_gradients(activation):
    model = bert(hidden_size=4, intermediate_size=5, num_hidden_layers=1, hidden_act=activation).eval()
    ids, targets = rng().integers(V, size=(2, 4)), np.array([[1, IGNORED, IGNORED, 5], [IGNORED, 2, 7, IGNORED]])
    segments, real = np.array([[0, 0, 1, 1], [0, 1, 1, 1]]), np.array([[True] * 4, [True] * 3 + [False]])
    te.check_gradients(WithLoss(model), ids, targets, segments, real)


@given(T=st.integers(1, 6), pad=st.integers(1, 4), with_segments=st.booleans(), seed=st.integers(0, 99))
def test_padding_does_not_change_the_vectors_of_tokens(T, pad, with_segments, seed):
    model, ids = bert().eval(), rng(seed).integers(V, size=(2, T))
    segments = rng(seed + 1).integers(2, size=(2, T)) if with_segments else None
    more = np.concatenate([ids, rng(seed + 2).integers(V, size=(2, pad))], 1)
    real = np.broadcast_to(np.arange(T + pad) < T, more.shape)
    longer = None if segments is None else np.pad(segments, ((0, 0), (0, pad)))
    for mask in (real, real.astype(int)):  # as tokenisers give it: 1 for tokens
        padded, plain = model.hidden_states(more, longer, mask), model.hidden_states(ids, segments)
        assert len(padded) == 3
        for a, b in zip(padded, plain):
            np.testing.assert_allclose(a.data[:, :T], b.data, atol=1e-12)
    np.testing.assert_allclose(model.logits(more, longer, real).data[:, :T], model.logits(ids, segments).data,
                               atol=1e-11)


def test_every_token_sees_all_others_and_its_segment():
    model, ids = bert().eval(), rng().integers(V, size=(1, 5))
    other = ids.copy()
    other[0, 4] = (ids[0, 4] + 1) % V
    assert (abs(model(ids).data - model(other).data).max(-1) > 1e-6).all()
    assert (abs(model(ids).data - model(ids, [[0, 0, 0, 0, 1]]).data).max(-1) > 1e-6).all()
    np.testing.assert_array_equal(model(ids).data, model(ids, np.zeros((1, 5), int)).data)


def test_the_head_is_its_formula_and_the_loss_is_over_what_was_asked():
    model, ids, targets = bert(hidden_act="relu").eval(), rng().integers(V, size=(2, 4)), np.full((2, 4), IGNORED)
    h = np.maximum(model(ids).data @ model.transform.weight.data.T + model.transform.bias.data, 0)
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-12)
    h = h * model.transform_norm.weight.data + model.transform_norm.bias.data
    logits = h @ model.embed.token.weight.data.T + model.bias.data
    np.testing.assert_allclose(model.logits(ids).data, logits, rtol=1e-9)
    targets[0, 1], targets[1, 3] = 4, 0
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -(np.log(p[0, 1, 4]) + np.log(p[1, 3, 0])) / 2
    assert model.loss(ids, targets).item() == pytest.approx(wanted, rel=1e-9)


def test_it_starts_small_and_its_table_counts_once():
    model = BERT(BERTConfig(500, 64, 2, 2, 128, 20), rng=rng())
    assert len({id(p) for p in model.parameters()}) == len(model.parameters()) == 5 + 2 * 12 + 5
    for name, p in model.blocks[0].named_parameters():
        if p.ndim == 2:
            assert p.data.std() == pytest.approx(0.02, rel=0.05), name
    ids = rng().integers(500, size=(4, 9))
    assert model.eval().loss(ids, ids).item() == pytest.approx(np.log(500), abs=0.1)


@pytest.mark.parametrize(("ids", "options", "error", "problem"), [
    ([[0, V]], {}, IndexError, r"id 13 at position \(0, 1\)"), ([[0] * 11], {}, ValueError, "do not fit"),
    ([[0, 1]], {"segments": [[0, 2]]}, IndexError, "segment table"),
    ([[0, 1]], {"mask": [[True]]}, ValueError, r"boolean for each key.*\(1, 2\)")])
def test_bad_input_is_named(ids, options, error, problem):
    with pytest.raises(error, match=problem):
        bert()(ids, **options)


# --------------------------------------------------------------------------------------------------- hiding tokens


@given(B=st.integers(1, 4), T=st.integers(1, 9), share=st.sampled_from([0.05, 0.15, 1.0]),
       keep=st.sets(st.integers(0, 12)), seed=st.integers(0, 99))
def test_what_is_hidden_is_asked_for_and_nothing_else(B, T, share, keep, seed):
    ids = rng(seed).integers(V, size=(B, T))
    given_ids = ids.copy()
    hidden, targets = mask_tokens(ids, V, MASK, rng(seed), share, keep)
    asked, can = targets != IGNORED, ~np.isin(ids, list(keep))
    assert np.array_equal(ids, given_ids) and hidden.shape == targets.shape == ids.shape
    assert np.array_equal(targets[asked], ids[asked]) and np.array_equal(hidden[~asked], ids[~asked])
    assert not (asked & ~can).any()
    assert np.array_equal(asked.any(1), can.any(1))  # one at least, where there is one to choose
    assert share < 1 or np.array_equal(asked, can)
    assert hidden.min() >= 0 and hidden.max() < V
    again = mask_tokens(ids, V, MASK, rng(seed), share, keep)
    assert np.array_equal(again[0], hidden) and np.array_equal(again[1], targets)


def test_shares_are_15_percent_and_of_them_80_10_and_10():
    ids = rng().integers(100, 1000, size=(200, 500))
    hidden, targets = mask_tokens(ids, 1000, MASK, rng(1))
    asked = targets != IGNORED
    assert asked.mean() == pytest.approx(0.15, abs=0.005)
    assert (hidden == MASK)[asked].mean() == pytest.approx(0.8, abs=0.01)
    assert (hidden == ids)[asked].mean() == pytest.approx(0.1, abs=0.01)
    random = hidden[asked & (hidden != MASK) & (hidden != ids)]
    assert random.size / asked.sum() == pytest.approx(0.1, abs=0.01)
    assert np.histogram(random, 10, (0, 1000))[0].min() > 0.07 * random.size


def test_lines_of_any_number_of_axes_can_be_hidden():
    for shape in ((5,), (2, 3, 4), (0, 5), (2, 0)):
        hidden, targets = mask_tokens(np.full(shape, 7), V, MASK, rng())
        assert hidden.shape == targets.shape == shape and (targets != IGNORED).any(-1).all() == (shape != (2, 0))


@pytest.mark.parametrize("share", [0, -0.1, 1.1, np.nan])
def test_bad_shares_and_ids_are_named(share):
    with pytest.raises(ValueError, match="share is a probability"):
        mask_tokens([[1]], V, MASK, rng(), share)
    with pytest.raises(IndexError, match="id 13"):
        mask_tokens([[13]], V, MASK, rng())
    with pytest.raises(IndexError, match=r"id 13 .*outside the vocabulary"):
        mask_tokens([[1]], V, 13, rng())


class Hidden:
    """The same lines, hidden anew in each pass."""

    def __init__(self, lines):
        self.lines, self.rng = lines, rng(3)

    def __iter__(self):
        yield mask_tokens(self.lines, V, MASK, self.rng, 0.3, keep=[1, 2])


def test_it_learns_to_fill_in():
    lines = np.array([[1, 4, 5, 6, 7, 2], [1, 8, 9, 10, 11, 2], [1, 12, 6, 5, 8, 2]])
    model = BERT(BERTConfig(V, 16, 2, 2, 32, 8, hidden_dropout_prob=0.0), rng=rng())
    held = [mask_tokens(lines, V, MASK, rng(seed), keep=[1, 2]) for seed in range(5)]
    before = te.train.evaluate(model, held)
    fit(model, Hidden(lines), Adam(model.parameters(), lr=0.003), epochs=400, progress=False)
    assert te.train.evaluate(model, held) < before / 5
    found = []
    for i in range(1, 5):
        asked = lines.copy()
        asked[:, i] = MASK
        found += (model.logits(asked).data[:, i].argmax(-1) == lines[:, i]).tolist()
    assert sum(found) >= 11
