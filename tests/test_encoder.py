"""Laws of sentence encoders: a text has one vector, whatever it is encoded with; what the losses teach."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed.models import (
    BERT,
    BERTConfig,
    CharacterCNN,
    PairClassifier,
    SentenceEncoder,
    StaticEmbedding,
    TokenLSTM,
    sif,
)
from tinyembed.nn import Dense, EmbeddingBag
from tinyembed.text import CharacterTokenizer, Vocabulary, WordPiece, WordTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *("##" + c for c in "abcdefgh")]
TEXTS = ["a", "", "bad cab", "a b c d e f g h", "fed head", "zzz", "a cab", "h", "bag " * 9]


def bert(**options):
    config = BERTConfig(len(PIECES), 8, 2, 2, 12, 40)
    return SentenceEncoder(WordPiece(PIECES, PIECES[:5]), BERT(config, rng=np.random.default_rng(0)), **options)


def words():
    return WordTokenizer(Vocabulary.build([" ".join(TEXTS).split()]))


def static(**options):
    return SentenceEncoder(words(), StaticEmbedding(EmbeddingBag(len(words()), 6, rng=np.random.default_rng(0))),
                           **options)


def lstm(**options):
    return SentenceEncoder(words(), TokenLSTM(len(words()), 4, 3, rng=np.random.default_rng(0)), **options)


def characters(**options):
    letters = CharacterTokenizer.train(TEXTS[:3], unknown="<unk>")
    return SentenceEncoder(letters, CharacterCNN(len(letters), 4, 6, (1, 2, 4), 2, rng=np.random.default_rng(0)),
                           **options)


KINDS = [bert(), bert(pooling=["cls", "max"], head=[Dense(16, 5)], normalize=True), bert(pooling="last"), static(),
         static(normalize=True), lstm(pooling="max"), lstm(pooling="weighted_mean"), characters()]


@functools.cache
def each_alone(encoder):
    return np.array([encoder.encode(text) for text in TEXTS])


@pytest.mark.parametrize("encoder", KINDS)
@given(order=st.permutations(range(len(TEXTS))), batch_size=st.integers(1, 10))
def test_a_text_has_one_vector_whatever_the_batch_and_the_padding(encoder, order, batch_size):
    alone = each_alone(encoder)
    assert alone.shape == (len(TEXTS), encoder.dim) and alone.dtype == np.float32
    together = encoder.encode((TEXTS[i] for i in order), batch_size=batch_size)
    np.testing.assert_allclose(together, alone[list(order)], rtol=0, atol=1e-6)


def test_few_positions_are_padded():
    """Texts of like length are batched together: by tokens, not by characters."""
    encoder, seen = bert(), []
    inner = encoder.body.forward
    encoder.body.forward = lambda ids, mask: seen.append(mask.copy()) or inner(ids, mask=mask)
    encoder.encode(["a", "abcdefgh" * 3, "z" * 60, "bcdefgha", "b c d e f g h"], batch_size=3)
    assert [mask.sum(1).tolist() for mask in seen] == [[26], [10, 9], [3, 3]]  # 3: [CLS] [UNK] [SEP]
    assert min(mask.mean() for mask in seen) >= 0.8
    lengths = [len(ids) for ids in encoder.prepare(TEXTS)]
    encoder.padding, seen[:] = 1.0, []
    encoder.encode(TEXTS, batch_size=4)
    assert [mask.sum(1).tolist() for mask in seen] == [sorted(lengths)[::-1][i:i + 4] for i in (0, 4, 8)]


def test_options_of_encode():
    encoder = bert()
    y = encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS, normalize_embeddings=True), axis=1), 1, rtol=1e-6)
    cut = encoder.encode(TEXTS, truncate_dim=3, normalize_embeddings=True)
    np.testing.assert_allclose(cut, y[:, :3] / np.linalg.norm(y[:, :3], axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(encoder.encode("cab", prompt="a "), encoder.encode("a cab"))
    np.testing.assert_array_equal(bert(prompt="a ").encode("cab"), encoder.encode("a cab"))
    np.testing.assert_array_equal(bert(prompt="a ").encode("cab", prompt=""), encoder.encode("cab"))
    assert encoder.encode([]).shape == (0, 8) and encoder.encode([], truncate_dim=2).shape == (0, 2)
    for wrong in ({"truncate_dim": 9}, {"truncate_dim": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="truncate_dim in 1 … 8"):
            encoder.encode(TEXTS, **wrong)


def test_an_iterable_is_read_in_chunks(monkeypatch):
    monkeypatch.setattr("tinyembed.nn.encoder.CHUNK", 2)
    encoder, read = static(), []
    prepare = encoder.prepare
    encoder.prepare = lambda items, prompt: read.append(len(items)) or prepare(items, prompt)
    y = encoder.encode(iter(TEXTS), batch_size=2)
    assert read == [4, 4, 1]
    np.testing.assert_array_equal(y, static().encode(TEXTS))


def test_an_empty_text_is_the_frame_alone_or_zeros():
    encoder = bert().eval()
    np.testing.assert_allclose(encoder.encode(""), encoder([[2, 3]], [[True, True]]).data[0], atol=1e-6)
    assert not static().encode("").any() and not static(normalize=True).encode("").any()


def test_encoding_is_in_eval_mode_and_leaves_no_trace():
    encoder = bert().train()
    before = encoder.state_dict()
    np.testing.assert_array_equal(encoder.encode(TEXTS), encoder.encode(TEXTS))
    assert encoder.training and encoder.body.blocks[0].training
    assert all(p.grad is None and np.array_equal(p.data, before[name]) for name, p in encoder.named_parameters())


def test_a_bert_has_no_more_tokens_than_positions():
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 40 tokens"):
        y = bert().encode(["a " * 38, "a " * 39])
    np.testing.assert_allclose(y[0], y[1], atol=1e-6)
    assert bert(max_length=99).max_length == 40


def test_long_texts_are_cut_and_counted():
    encoder = bert(max_length=5)
    with pytest.warns(UserWarning, match="2 of 3 texts have more than 5 tokens"):
        y = encoder.encode(["a b c d", "a b c", "a b c d e f"])
    np.testing.assert_allclose(y, np.repeat(y[1:2], 3, 0), atol=1e-6)  # [CLS] a b c [SEP]


def tokens(n):
    """n texts that are too long for five tokens, in an encoder in eval mode; a line of this file."""
    return bert(max_length=5).eval(), ["a b c d"] * n


@pytest.mark.parametrize("call", [
    lambda: (lambda model, texts: model.encode(texts[0]))(*tokens(1)),
    lambda: (lambda model, texts: model.encode(texts))(*tokens(2)),
    lambda: (lambda model, texts: model.vectors(texts))(*tokens(2)),
    lambda: (lambda model, texts: model.encode_heads(texts))(*tokens(2)),
    lambda: (lambda model, texts: te.vectors.evaluate_retrieval(model, {"q": texts[0]}, {"q": {"d"}}, {"d": "a"}))(
        *tokens(1)),
    lambda: te.vectors.KeyedVectors(keys=["a"], vectors=[[1.0]]).get_mean_vector(["b"]),
    lambda: te.vectors.KeyedVectors(keys=["a"], vectors=[[1.0]]).n_similarity(["b"], ["a"]),
    lambda: te.train.fit(table := te.nn.Embedding(9, 2), [(np.array([0]),)], te.optim.SGD(table.parameters(), lr=0.1),
                         epochs=1, progress=False, loss=lambda model, ids: model(ids).sum())])
def test_a_warning_shows_the_line_that_led_to_it_however_deep(call):
    with pytest.warns(UserWarning) as seen:
        call()
    assert {warning.filename for warning in seen} == {__file__}


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: bert().encode(["a", 3]), TypeError, "item 1 is no text but int"),
    (lambda: bert().encode(3), TypeError, "not iterable"),
    (lambda: SentenceEncoder(words()), TypeError, "a tokenizer and a body, or a folder"),
    (lambda: SentenceEncoder("folder", words()), TypeError, "a tokenizer and a body, or a folder; not 'folder'"),
    (lambda: static().loss(["a"], ["b", "c"]), ValueError, "got 1 texts and 2 answers"),
    (lambda: static().vectors("a b"), TypeError, "takes several items, not one"),
    (lambda: SentenceEncoder("folder", normalize=True), TypeError, "assign what is to be other"),
    (lambda: static().encode_heads(["a"]), TypeError, "a StaticEmbedding has no attention")])
def test_what_is_no_text_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_heads_are_what_the_last_attention_gathers_before_it_is_mixed():
    encoder = bert().eval()
    heads = encoder.encode_heads(TEXTS, batch_size=3)
    assert heads.shape == (len(TEXTS), 2, 4)
    block = encoder.body.blocks[-1]
    for text, found in zip(TEXTS, heads):
        ids = [encoder.tokenizer.encode(text)]
        x = encoder.body.hidden_states(ids)[-2].data[0]
        W, b = block.attention.in_proj_weight.data, block.attention.in_proj_bias.data
        q, k, v = (x @ W[i * 8:i * 8 + 8].T + b[i * 8:i * 8 + 8] for i in range(3))
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            a = np.exp(q[:, part] @ k[:, part].T / 2)
            np.testing.assert_allclose(found[h], (a / a.sum(1, keepdims=True) @ v[:, part]).mean(0), atol=1e-5)


def test_heads_of_several_poolings_stand_side_by_side():
    one, other = (bert(pooling=mode).eval().encode_heads(TEXTS) for mode in ("cls", "mean"))
    both = bert(pooling=["cls", "mean"]).eval().encode_heads(TEXTS)
    np.testing.assert_allclose(both, np.concatenate([one, other], 2), atol=1e-6)
    assert bert().encode_heads([]).shape == (0, 2, 4)


def test_what_stands_twice_in_a_batch_is_no_negative_of_itself():
    encoder = static()
    a, b, more = ["a", "b", "a", "d"], ["e", "e", "f", "g"], ["h", "e", "c", "bad"]
    a, b, more = [*a, "g"], [*b, "f"], [*more, "a"]  # f answers the first text as well, from below another
    x, y = encoder.encode(a), encoder.encode(b + more)
    mask = np.array([[not any(a[k] == a[i] and b[k] == text for k in range(5)) for text in b + more] for i in range(5)])
    for dims in (None, [2, 6]):
        expected = sum(te.ops.in_batch_softmax(x[:, :d], y[:, :d], 20.0, mask).item() for d in dims or [6])
        assert encoder.loss(a, b, more, dims=dims).item() == pytest.approx(expected, rel=1e-5)


def test_pairs_find_each_other():
    """Ten questions and their answers, which share no word: after training each finds its own among all."""
    questions, answers = [f"q{i} x" for i in range(10)], [f"r{i} y z" for i in range(10)]
    tokenizer = WordTokenizer(Vocabulary.build([t.split() for t in questions + answers]))
    encoder = SentenceEncoder(tokenizer, StaticEmbedding(EmbeddingBag(len(tokenizer), 8, rng=np.random.default_rng(0))))
    te.train.fit(encoder, [(questions, answers)], te.optim.Adam(encoder.parameters(), lr=0.05), epochs=60,
                 progress=False)
    scores = encoder.encode(questions, normalize_embeddings=True) @ encoder.encode(answers, normalize_embeddings=True).T
    np.testing.assert_array_equal(scores.argmax(1), np.arange(10))


@pytest.mark.parametrize("hidden", [None, 5])
def test_a_pair_classifier_learns_which_pairs_are_equal(hidden):
    rng = np.random.default_rng(0)
    letters = [str(c) for c in rng.permutation(list("abcdefgh") * 12)]
    others = [c if i % 2 else str(rng.choice([o for o in "abcdefgh" if o != c])) for i, c in enumerate(letters)]
    model = PairClassifier(static(), 2, ("u", "v", "|u-v|", "u*v"), hidden, rng=rng)
    te.train.fit(model, [(letters, others, np.arange(96) % 2)], te.optim.Adam(model.parameters(), lr=0.05), epochs=80,
                 progress=False)
    assert (model(letters, others).data.argmax(1) == np.arange(96) % 2).mean() > 0.9
    assert model.encoder.encode("a").shape == (6,)


def test_sif_is_its_formula():
    tokenizer, rng = words(), np.random.default_rng(0)
    table, counts = rng.normal(size=(len(tokenizer), 5)), rng.integers(1, 90, len(tokenizer))
    encoder = sif(tokenizer, table, counts, TEXTS, a=1e-2)
    p = counts / counts.sum()
    means = np.zeros((len(TEXTS), 5))
    for i, text in enumerate(TEXTS):
        ids = tokenizer.encode(text)
        if ids:
            means[i] = sum(1e-2 / (1e-2 + p[t]) * table[t] for t in ids) / len(ids)
    u = np.linalg.svd(means)[2][0]
    np.testing.assert_allclose(encoder.encode(TEXTS), means - np.outer(means @ u, u), rtol=1e-9, atol=1e-12)
    for wrong in ((table[1:], counts, TEXTS), (table, counts * 0, TEXTS), (table, counts, TEXTS, 0.0)):
        with pytest.raises(ValueError, match="a row and a count for each"):
            sif(tokenizer, *wrong)
