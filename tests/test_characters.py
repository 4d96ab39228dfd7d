"""Laws of words made of characters. That batches and padding change nothing is held by test_encoder.py, as for all."""

import numpy as np
import pytest

import tinyembed as te
from tinyembed.models import CharacterCNN, SentenceEncoder
from tinyembed.text import CharacterTokenizer


def make(words, embedding_dim=8, dim=8, **named):
    letters = CharacterTokenizer.train(words, unknown="<unk>")
    return SentenceEncoder(letters, CharacterCNN(len(letters), embedding_dim, dim, rng=np.random.default_rng(0),
                                                 **named))


def test_a_vector_is_its_formula():
    encoder = make(["abcd"], widths=(1, 3), filters=2)
    body = encoder.body
    for word in ("a", "dab", "abcdab"):
        x = body.rows.weight.data[encoder.tokenizer.encode(word)]
        z = []
        for conv, w in zip(body.kernels, (1, 3)):
            wide = np.concatenate([np.zeros((w - 1, 8)), x, np.zeros((w - 1, 8))])
            for K, b in zip(conv.weight.data, conv.bias.data):
                z.append(max(np.sum(K.T * wide[t:t + w]) + b for t in range(len(word) + w - 1)))
        z = np.tanh(z)
        change, gate, out = body.highway.change, body.highway.gate, body.out
        g = 1 / (1 + np.exp(-(gate.weight.data @ z + gate.bias.data)))
        z = g * np.maximum(change.weight.data @ z + change.bias.data, 0) + (1 - g) * z
        np.testing.assert_allclose(encoder.encode(word), out.weight.data @ z + out.bias.data, rtol=1e-5, atol=1e-6)


def test_what_stands_at_padding_does_not_matter_and_learns_nothing():
    body = CharacterCNN(9, 4, 5, rng=np.random.default_rng(0))
    mask = np.array([[True, True, True, True], [True, False, False, False], [False] * 4])
    y = body([[1, 2, 3, 4], [5, 0, 0, 0], [0] * 4], mask)
    np.testing.assert_allclose(body([[1, 2, 3, 4], [5, 6, 7, 8], [8] * 4], mask).data, y.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(body([[5]]).data[0], y.data[1], rtol=1e-5, atol=1e-6)
    (y[1:] ** 2).sum().backward()
    moved = body.rows.weight.grad.coalesce()
    assert moved.ids[np.abs(moved.rows).sum(1) > 0].tolist() == [5]


def test_order_and_ends_count_and_characters_never_seen_are_alike():
    encoder = make(["abc"])
    abc, cba, bca, unseen, other, empty = encoder.encode(["abc", "cba", "bca", "ab!", "ab你", ""])
    assert all(np.abs(abc - x).max() > 1e-3 for x in (cba, bca, unseen))
    np.testing.assert_allclose(unseen, other, rtol=1e-5, atol=1e-7)
    assert np.isfinite(empty).all()
    np.testing.assert_allclose(empty, encoder.body.out(encoder.body.highway(np.zeros(375, np.float32))).data,
                               rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_finite_differences():
    body = CharacterCNN(4, 2, 1, (1, 2), 1, rng=np.random.default_rng(1))

    class Loss(te.nn.Module):
        def __init__(self):
            self.body = body

        def forward(self):
            return (self.body([[1, 2, 3], [3, 0, 0]], [[True, True, True], [True, False, False]]) ** 2).sum()

    te.check_gradients(Loss())


def test_trained_on_some_words_it_knows_others_of_the_same_stems_and_misspelt_ones():
    """A word is a stem and an ending, and its vector the sum of theirs; a fifth of the combinations is never shown."""
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("bcdfghklmnprst"), 5)) for _ in range(15)]
    endings = ["ing", "ed", "er", "able", "s", "ize", "ly", "ous"]
    vectors = rng.standard_normal((15, 1, 16)) + 0.7 * rng.standard_normal((1, 8, 16))
    words, vectors = [s + e for s in stems for e in endings], vectors.reshape(-1, 16).astype(np.float32)
    held = rng.permutation(120) < 24
    encoder = make(words, dim=16, widths=(1, 2, 3), filters=12)
    known = [word for word, out in zip(words, held) if not out]
    batches, adam = te.data.Batches((known, vectors[~held]), 32, rng), te.optim.Adam(encoder.parameters(), lr=0.01)
    te.train.fit(encoder, batches, adam, loss=lambda m, some, y: te.ops.in_batch_softmax(m.vectors(some), y),
                 epochs=40, progress=False)

    def right(asked):
        return encoder.similarity(encoder.encode(asked), vectors).argmax(1) == np.arange(120)

    assert right(words)[~held].mean() > 0.9 and right(words)[held].mean() > 0.5
    assert right([word[:2] + word[3:] for word in words]).mean() > 0.4  # chance: 0.01


@pytest.mark.parametrize("named", [{"widths": ()}, {"widths": (0, 1)}, {"filters": 0}, {"dim": 0}])
def test_sizes_that_make_no_sense_are_refused(named):
    with pytest.raises(ValueError, match="widths are one or more, and they, filters and dim are 1 or more"):
        CharacterCNN(5, 3, **{"dim": 4, **named})


def test_a_tokenizer_without_unknown_says_what_to_do():
    letters = CharacterTokenizer.train(["abc"])
    with pytest.raises(ValueError, match="unknown="):
        SentenceEncoder(letters, CharacterCNN(len(letters), 4, 4)).encode("abd")
