"""Laws of all language models: what they may see, text drawn from them, and how it is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Loss

import tinyembed as te
from tinyembed.models import GPT, Bigram, GPTConfig, LSTMModel, NeuralNGram
from tinyembed.models.language import LanguageModel, draw_next
from tinyembed.optim import Adam
from tinyembed.train import fit

V = 11


def rng(seed=0):
    return np.random.default_rng(seed)


def gpt(position="learned", layers=2, **options):
    return GPT(GPTConfig(vocab_size=V, block_size=6, n_layer=layers, n_head=2, n_embd=8, position=position, **options),
               rng=rng(1), dtype=np.float64)


MODELS = {
    "Bigram": lambda: Bigram(V, rng=rng(1)),
    "NeuralNGram": lambda: NeuralNGram(V, 4, context=3, hidden=6, rng=rng(1)),
    "NeuralNGram, direct": lambda: NeuralNGram(V, 4, context=2, hidden=6, direct=True, rng=rng(1)),
    "LSTMModel": lambda: LSTMModel(V, 8, num_layers=2, dropout=0.1, rng=rng(1)),
    "LSTMModel, untied": lambda: LSTMModel(V, 4, hidden=6, tied=False, rng=rng(1)),
    "GPT": lambda: gpt(dropout=0.1),
    "GPT, rotary": lambda: gpt("rotary", dropout=0.1),
    "GPT, ALiBi": lambda: gpt("alibi", tied=False),
    "GPT, no blocks": lambda: gpt(layers=0),
}
every_model = pytest.mark.parametrize("name", MODELS)


def made(name):
    """The model with parameters far from each other, so that its text is not dull."""
    model = MODELS[name]()
    for i, p in enumerate(model.parameters()):
        p.data = rng(i).normal(size=p.shape) * (1 if p.ndim == 2 else 0.3)
    return model


def from_scratch(model, ids, n):
    """The likeliest text, by the whole forward over what may be seen, for each token anew."""
    model, text = model.eval(), np.array(ids)
    for _ in range(n):
        seen = text[:, -(model.block_size or 0):]
        text = np.concatenate([text, model(seen).data[:, -1:].argmax(-1)], 1)
    return text


# ----------------------------------------------------------------------------------------------------- what is seen


@every_model
def test_no_position_sees_later_tokens(name):
    model, ids = made(name).eval(), rng().integers(V, size=(2, 6))
    for t in range(1, 6):
        later = ids.copy()
        later[:, t:] = (later[:, t:] + 1 + rng(t).integers(V - 1, size=later[:, t:].shape)) % V
        np.testing.assert_allclose(model(later).data[:, :t], model(ids).data[:, :t], rtol=1e-5, atol=1e-6)


@every_model
def test_the_loss_is_the_mean_of_minus_log_p_and_its_gradient_is_right(name):
    model, ids, targets = made(name).eval(), rng().integers(V, size=(2, 5)), rng(1).integers(V, size=(2, 5))
    logits = model(ids).data.astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(p, targets[..., None], -1)).mean()
    assert model.loss(ids, targets).item() == pytest.approx(wanted, rel=1e-5)
    te.check_gradients(Loss(model), ids, targets)


@every_model
def test_hidden_states_are_of_each_token(name):
    model, ids = made(name).eval(), rng().integers(V, size=(2, 5))
    if name == "Bigram":
        with pytest.raises(NotImplementedError, match="Bigram has no hidden states"):
            model.hidden_states(ids)
    else:
        assert all(h.shape[:2] == (2, 5) for h in model.hidden_states(ids))


def test_an_n_gram_model_sees_its_context_and_zeros_before_the_first():
    model, ids = made("NeuralNGram"), rng().integers(V, size=(1, 7))
    x = np.concatenate([np.zeros((2, 4), np.float32), model.token.weight.data[ids[0]]])
    h = np.tanh(np.stack([x[t:t + 3].reshape(-1) for t in range(7)]) @ model.mix.weight.data.T + model.mix.bias.data)
    np.testing.assert_allclose(model(ids).data[0], h @ model.head.weight.data.T + model.head.bias.data, atol=1e-4)


def test_a_bigrams_gradient_is_the_rows_that_were_read():
    model = Bigram(V, rng=rng())
    model.loss([[1, 2, 1]], [[2, 1, 3]]).backward()
    assert isinstance(model.table.weight.grad, te.RowGrad) and model.table.weight.grad.ids.tolist() == [1, 2, 1]


def test_a_bigram_learns_the_frequencies_of_its_text():
    text = rng().choice(3, p=[0.5, 0.3, 0.2], size=600)
    model = Bigram(3, rng=rng())
    fit(model, [(text[None, :-1], text[None, 1:])], Adam(model.parameters(), lr=0.1), epochs=200, progress=False)
    counts = np.zeros((3, 3))
    np.add.at(counts, (text[:-1], text[1:]), 1)
    p = te.ops.softmax(model(np.arange(3)[None])).data[0]
    np.testing.assert_allclose(p, counts / counts.sum(1, keepdims=True), atol=1e-3)


# ------------------------------------------------------------------------------------------------------- generation


@every_model
@given(B=st.integers(1, 3), T=st.integers(1, 9), n=st.integers(0, 9), seed=st.integers(0, 99))
def test_generating_step_by_step_is_reading_all_anew_for_each_token(name, B, T, n, seed):
    """Also past block_size, also from prompts longer than it."""
    model, ids = made(name), rng(seed).integers(V, size=(B, T))
    wanted = from_scratch(model, ids, n)
    text = model.generate(ids, n, temperature=0)
    assert text.shape == (B, T + n) and np.array_equal(text, wanted)
    assert model.generate(ids[0].tolist(), n, temperature=0) == wanted[0].tolist()
    assert np.array_equal(model.generate(ids, n, top_k=1), wanted)
    assert np.array_equal(model.generate(ids, n, top_p=1e-9), wanted)


@every_model
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), n=st.integers(0, 5), seed=st.integers(0, 99))
def test_prompts_of_several_lengths_are_gone_on_with_as_each_alone(name, lengths, n, seed):
    """As lists, and padded on either side with a mask; also longer than block_size, and up to a stop."""
    model, prompts = made(name), [rng(seed + i).integers(V, size=T) for i, T in enumerate(lengths)]
    alone = [model.generate(prompt, n, temperature=0) for prompt in prompts]
    if len(set(lengths)) > 1:
        assert model.generate(prompts, n, temperature=0) == alone
        assert model.generate([prompt.tolist() for prompt in prompts], n, temperature=0, stop=3) == [
            model.generate(prompt, n, temperature=0, stop=3) for prompt in prompts]
    ids, mask = np.full((len(prompts), 10), 7), np.zeros((len(prompts), 10), int)
    for i, prompt in enumerate(prompts):
        where = slice(len(prompt)) if i % 2 else slice(10 - len(prompt), None)
        ids[i, where], mask[i, where] = prompt, 1
    text = model.generate(ids, n, temperature=0, mask=mask)
    assert np.array_equal(text[:, :10], ids) and text.shape == (len(prompts), 10 + n)
    assert text[:, 10:].tolist() == [line[T:] for line, T in zip(alone, lengths)]


@pytest.mark.parametrize("name", [name for name in MODELS if "GPT" in name])
def test_padding_under_a_mask_changes_nothing_for_the_tokens(name):
    model = made(name).eval()
    ids = rng(3).integers(V, size=(3, 6))
    mask = np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1] * 6], bool)
    alone = [model(row[m][None]).data[0] for row, m in zip(ids, mask)]
    for other in (ids, np.where(mask, ids, 0)):
        for logits, m, wanted in zip(model(other, mask=mask).data, mask, alone):
            np.testing.assert_allclose(logits[m], wanted, atol=1e-12)
            assert np.isfinite(logits).all()
    targets = np.where(mask, ids, -100)
    losses = [te.ops.cross_entropy(z, row[m]).item() * m.sum() for z, row, m in zip(alone, ids, mask)]
    loss = model.loss(ids, targets, mask)
    assert loss.item() == pytest.approx(sum(losses) / mask.sum())
    loss.backward()
    assert all(np.isfinite(p.grad.to_dense() if isinstance(p.grad, te.RowGrad) else p.grad).all()
               for p in model.parameters() if p.grad is not None)


@every_model
def test_one_seed_is_one_text_and_the_cuts_that_cut_nothing_change_none(name):
    model = made(name)
    text = model.generate([1, 2], 30, 2.0, seed=5)
    assert text == model.generate([1, 2], 30, 2.0, seed=5) != model.generate([1, 2], 30, 2.0, seed=6)
    assert text == model.generate([1, 2], 30, 2.0, top_k=V, seed=5) == model.generate([1, 2], 30, 2.0, V + 9, seed=5)
    assert len(text) == 32 and all(type(token) is int for token in text)
    assert model.generate([1, 2], 30, 2.0) != model.generate([1, 2], 30, 2.0)


@every_model
def test_the_mode_of_each_part_is_put_back_and_no_gradient_is_left(name):
    model = made(name)
    parts = [module for _, module in model.named_modules()]
    parts[-1].training = False
    before = [module.training for module in parts]
    model.generate([1], 3)
    assert [module.training for module in parts] == before
    model.advance = None
    with pytest.raises(TypeError):
        model.generate([1], 3)
    assert [module.training for module in parts] == before and all(p.grad is None for p in model.parameters())


def test_a_stop_ends_a_list_at_its_first_and_a_batch_goes_on():
    model = made("Bigram")
    text = model.generate([1], 200, 3.0, seed=0)
    for stop in set(text[1:]):
        assert model.generate([1], 200, 3.0, seed=0, stop=stop) == text[:text.index(stop, 1) + 1]
    assert model.generate(np.array([[1]]), 200, 3.0, seed=0, stop=stop)[0].tolist() == text


def test_a_prompt_may_be_a_tensor_and_is_not_changed():
    model, ids = made("GPT"), np.array([[1, 2, 3]])
    assert np.array_equal(model.generate(te.Tensor(ids), 4, seed=1), model.generate(ids, 4, seed=1))
    assert ids.tolist() == [[1, 2, 3]] and np.array_equal(model.generate(ids, 0), ids)
    assert model.generate(ids[:0], 4).shape == (0, 7)


@pytest.mark.parametrize(("ids", "options", "error", "problem"), [
    ([], {}, ValueError, "one token at least"), (np.zeros((2, 0), int), {}, ValueError, "one token at least"),
    ([[[1]]], {}, ValueError, r"not \(1, 1, 1\)"), ([1, V], {}, IndexError, r"id 11 at position \(1,\) is outside"),
    ([[1], []], {}, ValueError, r"one token at least.*\(1,\) and \(0,\)"), ([[1], [2, V]], {}, IndexError, "id 11"),
    ([1, [2]], {}, ValueError, r"not \(\) and \(1,\)"), ([[1, 2]], {"mask": [[0, 0]]}, ValueError, r"not \(0,\)"),
    ([1, 2], {"mask": [1, 0]}, ValueError, r"mask .* \(2,\)"), ([[1, 2]], {"mask": [[1, 2]]}, ValueError, "1 or 0"),
    ([-1], {}, IndexError, "id -1"), ([0.5], {}, TypeError, "float"),
    ([1], {"max_new_tokens": -1}, ValueError, "max_new_tokens is 0 or more, not -1"),
    ([1], {"temperature": -0.5}, ValueError, "temperature is 0 .*, not -0.5"),
    ([1], {"temperature": np.nan}, ValueError, "temperature is 0 .*, not nan"),
    ([1], {"temperature": np.inf}, ValueError, "not inf"), ([1], {"top_k": 0}, ValueError, "top_k leaves 1 .*, not 0"),
    ([1], {"top_p": 0.0}, ValueError, "top_p is a probability above 0"), ([1], {"top_p": 1.1}, ValueError, "not 1.1"),
    ([1], {"top_p": np.nan}, ValueError, "not nan")])
def test_prompts_and_settings_that_cannot_be_are_named(ids, options, error, problem):
    with pytest.raises(error, match=problem):
        made("GPT").generate(ids, **{"max_new_tokens": 2, **options})


# ----------------------------------------------------------------------------------------------------- single draws


def kept(p, top_k, top_p):
    """The probabilities that are to be drawn from, one by one."""
    order, chosen, total = np.argsort(-p, kind="stable")[:top_k], [], 0.0
    for i in order:
        if top_p is not None and chosen and total >= top_p * p[order].sum():
            break
        chosen.append(i)
        total += p[i]
    q = np.zeros_like(p)
    q[chosen] = p[chosen]
    return q / q.sum()


@given(n=st.integers(2, 9), temperature=st.sampled_from([0.5, 1.0, 2.0]), top_k=st.sampled_from([None, 1, 2, 4, 20]),
       top_p=st.sampled_from([None, 0.3, 0.75, 1.0]), seed=st.integers(0, 99))
def test_tokens_are_drawn_as_often_as_their_probabilities_say(n, temperature, top_k, top_p, seed):
    logits, N = rng(seed).normal(size=n) * 2, 4000
    p = np.exp(logits / temperature)
    q = kept(p / p.sum(), top_k, top_p)
    drawn = draw_next(np.tile(logits, (N, 1)), temperature, top_k, top_p, rng(seed + 1))
    counts = np.bincount(drawn, minlength=n)
    assert not counts[q == 0].any()
    chi2 = ((counts - N * q)[q > 0] ** 2 / (N * q[q > 0])).sum()
    assert chi2 < 2 * n + 30  # mean n - 1 at most, deviation sqrt(2n)


@given(st.integers(1, 6), st.sampled_from([1e-320, 1e-30, 1e-4]), st.sampled_from([np.float32, np.float64]))
def test_a_temperature_near_zero_is_greedy(B, temperature, dtype):
    logits = rng(B).normal(size=(B, 7)).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        assert np.array_equal(draw_next(logits, temperature, None, None, rng()), logits.argmax(-1))


def test_scores_of_any_size_can_be_drawn_from():
    logits = np.float32([[1e30, -1e30, -np.inf, 1e30]])
    assert {int(draw_next(logits, 1.0, None, top_p, rng(i))[0]) for i in range(30) for top_p in (None, 0.9)} == {0, 3}


@given(bad=st.sampled_from(["nan", "inf", "all -inf"]), line=st.integers(0, 2), temperature=st.sampled_from([0, 1.0]),
       cut=st.sampled_from([{}, {"top_k": 2}, {"top_p": 0.5}]))
def test_nothing_is_drawn_from_what_is_no_number(bad, line, temperature, cut):
    logits = rng().normal(size=(3, 5))
    logits[line, slice(None) if bad == "all -inf" else 3] = -np.inf if bad == "all -inf" else float(bad)
    with pytest.raises(FloatingPointError, match=f"line {line} of the batch"):
        draw_next(logits, temperature, cut.get("top_k"), cut.get("top_p"), rng())


@every_model
def test_a_model_of_nans_says_nothing(name):
    model = MODELS[name]()
    for p in model.parameters():
        p.data = np.full(p.shape, np.nan)
    with pytest.raises(FloatingPointError):
        model.generate([1, 2], 3)


# ------------------------------------------------------------------------------------------------- more tokens to say


@pytest.mark.parametrize("name", [name for name in MODELS if name != "Bigram"])
def test_a_model_that_grows_says_the_same_of_the_old_tokens_and_learns_the_new(name):
    model, ids = made(name), rng().integers(V, size=(2, 5))
    with pytest.raises(ValueError, match="at least one row"):
        model.grow(0)
    optimizer = Adam(model.parameters(), lr=0.01)
    model.train().loss(ids, ids).backward()
    optimizer.step()
    optimizer.zero_grad()
    stepped = model.eval()(ids).data
    assert model.grow(2, rng=rng(5)) is model and model.vocab_size == V + 2
    np.testing.assert_allclose(model(ids).data[..., :V], stepped, rtol=1e-5, atol=1e-5)
    new = np.array([[V, V + 1, 0]])
    losses = []
    for _ in range(3):
        loss = model.loss(new, new)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with te.no_grad():
        assert model.advance(new, None)[0].shape == (1, V + 2)
    again = MODELS[name]().grow(2)
    again.load_state_dict(model.state_dict())
    assert np.array_equal(again.eval()(new).data, model.eval()(new).data)


@pytest.mark.parametrize("tied", [True, False])
def test_a_gpt_that_has_grown_is_saved_and_loaded(tied, tmp_path):
    model, ids = gpt(tied=tied), [[V + 1, 3]]
    if tied:
        model.token.grow(2)  # the head is the table
    else:
        model.grow(2)
    te.models.save_gpt(tmp_path, model)
    assert model.config.vocab_size == V + 2
    np.testing.assert_allclose(te.models.load_gpt(tmp_path)(ids).data, model.eval()(ids).data, rtol=1e-5, atol=1e-6)
    if not tied:
        model.token.grow(1)
        with pytest.raises(ValueError, match=r"rows and the head 13: grow both by model.grow"):
            te.models.save_gpt(tmp_path, model)


# ---------------------------------------------------------------------------------------------------------- the rest


@every_model
def test_it_learns_a_short_text(name):
    text = np.array([3, 1, 4, 1, 5, 9, 2, 6] * 4)
    x, y = np.stack([text[i:i + 6] for i in range(20)]), np.stack([text[i + 1:i + 7] for i in range(20)])
    model = MODELS[name]()
    before = model.eval().loss(x, y).item()
    epochs = 400 if name == "LSTMModel" else 150
    fit(model, [(x, y)], Adam(model.parameters(), lr=0.03), epochs=epochs, progress=False)
    floor = np.log(2) / 4 if name in ("Bigram", "GPT, no blocks") else 0.25  # after 1 there are two ways on
    assert abs(before - np.log(V)) < 0.3 and model.loss(x, y).item() < floor + 0.15


def test_bits_per_byte_is_the_loss_in_bits_for_each_byte():
    model, x, y = made("LSTMModel"), rng().integers(V, size=(3, 4)), rng(1).integers(V, size=(3, 4))
    nats = model.eval().loss(x, y).item()
    assert model.bits_per_byte([(x[:1], y[:1]), (x[1:], y[1:])], 2.5) == pytest.approx(nats / np.log(2) / 2.5, rel=1e-6)


def test_a_model_of_ones_own_needs_a_forward_only():
    class Next(LanguageModel):
        vocab_size, block_size = V, None

        def forward(self, ids):
            return te.Tensor(np.eye(V)[(np.asarray(ids) + 1) % V])

    assert Next().generate([8], 5, temperature=0) == [8, 9, 10, 0, 1, 2]


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="one token at least, not 0"):
        NeuralNGram(V, 4, context=0, hidden=3)
    with pytest.raises(ValueError, match="as wide as the rows, 4, not 6: tied=False"):
        LSTMModel(V, 4, hidden=6)
