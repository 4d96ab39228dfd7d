"""Laws of pooling: each mode by a loop over real tokens, whatever stands in the padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn

ALL = ["cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"]
THEIRS = {"mean_sqrt_len": "mean_sqrt_len_tokens", "weighted_mean": "weightedmean", "last": "lasttoken"}


def pooled(mode, tokens, places):
    if not len(tokens):
        return np.zeros(tokens.shape[1])
    if mode in ("cls", "last"):
        return tokens[0 if mode == "cls" else -1]
    if mode == "max":
        return tokens.max(0)
    w = np.array(places) + 1.0 if mode == "weighted_mean" else np.ones(len(tokens))
    return (w[:, None] * tokens).sum(0) / (len(tokens) ** 0.5 if mode == "mean_sqrt_len" else w.sum())


@given(B=st.integers(1, 4), T=st.integers(1, 5), seed=st.integers(0, 99),
       modes=st.lists(st.sampled_from(ALL), min_size=1, unique=True))
def test_each_mode_is_its_formula_and_has_its_gradient(B, T, seed, modes):
    rng = np.random.default_rng(seed)
    x, mask = rng.normal(size=(B, T, 3)), rng.random((B, T)) < 0.6
    layer = nn.Pooling(modes)
    expected = [np.concatenate([pooled(mode, x[b, mask[b]], np.flatnonzero(mask[b])) for mode in modes])
                for b in range(B)]
    np.testing.assert_allclose(layer(x, mask).data, expected, rtol=1e-12, atol=1e-12)
    te.check_gradients(lambda x: layer(x, mask), te.Tensor(x, requires_grad=True))
    noise = np.where(mask[:, :, None], x, rng.normal(size=x.shape) * 1e3)
    np.testing.assert_allclose(layer(noise, mask).data, expected, rtol=1e-12, atol=1e-12)


def test_without_a_mask_all_tokens_are_real():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    for mode in ALL:
        y = nn.Pooling(mode)(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.data, nn.Pooling(mode)(x, np.ones((2, 3), bool)).data)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.Pooling("median"), "pooling is one or more of cls, max, .*, not 'median'"),
    (lambda: nn.Pooling([]), "one or more"),
    (lambda: nn.Pooling()(np.ones((2, 3))), r"x \(B, T, D\)"),
    (lambda: nn.Pooling()(np.ones((2, 3, 4)), np.ones((2, 2))), r"not \(2, 3, 4\) and \(2, 2\)")])
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@given(T=st.integers(1, 5), seed=st.integers(0, 20), mode=st.sampled_from(ALL))
def test_pooling_equals_that_of_sentence_transformers(T, seed, mode):
    torch, models = pytest.importorskip("torch"), pytest.importorskip("sentence_transformers.models")
    rng = np.random.default_rng(seed)
    x, lengths = rng.normal(size=(3, T, 4)).astype(np.float32), rng.integers(1, T + 1, 3)
    mask = np.arange(T) < lengths[:, None]
    theirs = models.Pooling(4, THEIRS.get(mode, mode))(
        {"token_embeddings": torch.tensor(x), "attention_mask": torch.tensor(mask.astype(np.int64)),
         "cls_token_embeddings": torch.tensor(x[:, 0])})["sentence_embedding"]
    np.testing.assert_allclose(nn.Pooling(mode)(x, mask).data, theirs.numpy(), rtol=1e-5, atol=1e-6)
