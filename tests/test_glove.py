"""Laws of GloVe: its counts are those of a plain loop, it finds what is planted, and a seed gives the same bytes."""

import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_word2vec import FIVE

import tinyembed as te
from tinyembed.data import CooccurrenceBatches, cooccurrence, cooccurrences, planted_corpus
from tinyembed.models import GloVe

sentences = st.lists(st.lists(st.integers(0, 4), max_size=7), min_size=1, max_size=6)


def as_text(sentences, pieces=1):
    """The text as ids and numbers of sentences, in so many parts."""
    for part in np.array_split(np.arange(len(sentences)), pieces):
        lengths = [len(sentences[i]) for i in part]
        yield np.array([w for i in part for w in sentences[i]], np.int32), np.repeat(part, lengths)


@given(sentences, st.integers(1, 9), st.integers(1, 3), st.sampled_from([1, 3, 1 << 17]))
def test_counts_are_those_of_a_plain_loop(sentences, window, pieces, piece):
    expected = Counter()
    for words in sentences:
        for a, i in enumerate(words):
            for b, j in enumerate(words):
                if a != b and abs(a - b) <= window:
                    expected[i, j] += 1 / abs(a - b)
    before, cooccurrence.PIECE = cooccurrence.PIECE, piece
    try:
        X = cooccurrences(as_text(sentences, pieces), 5, window)
    finally:
        cooccurrence.PIECE = before
    assert list(zip(X.rows.tolist(), X.columns.tolist())) == sorted(expected)
    np.testing.assert_allclose(X.counts, [expected[pair] for pair in sorted(expected)], rtol=1e-6)


def test_every_entry_comes_once_in_an_epoch_in_another_order_each_time():
    X = cooccurrences(as_text([[0, 1, 2, 3, 4, 0, 2]]), 5, 4)
    batches = CooccurrenceBatches(X, 3, np.random.default_rng(1))
    one, two = ([tuple(entry) for batch in batches for entry in zip(*batch)] for _ in range(2))
    assert sorted(one) == sorted(two) == sorted(zip(*X)) and one != two
    assert len(list(batches)) == len(batches)


def test_the_loss_is_the_formula_of_the_paper():
    model = GloVe(FIVE, vector_size=6, min_count=1, window=3, epochs=1)
    n, rng = model.network, np.random.default_rng(0)
    for p in n.parameters():
        p.data = rng.normal(size=p.shape)
    i, j, X = np.array([0, 3, 3]), np.array([1, 1, 3]), np.float32([1, 50, 1000])
    W, C, b, d = (p.data.astype(float) for p in (n.vectors, n.contexts, n.b, n.d))
    f = np.minimum(1, (X.astype(float) / 100) ** 0.75)
    expected = f * ((W[i] * C[j]).sum(1) + b[i, 0] + d[j, 0] - np.log(X)) ** 2
    assert n.loss(i, j, X).item() == pytest.approx(expected.mean(), rel=1e-5)
    assert f[2] == 1


def test_planted_analogies_are_all_found():
    corpus = planted_corpus(0)
    model = GloVe(corpus.sentences, vector_size=50, min_count=1)
    assert model.wv.evaluate_word_analogies(corpus.analogies)[0] == 1.0
    losses = [loss for _, loss in model.history.train]
    assert losses[-1] < 0.2 * losses[0] and len(losses) == model.epochs
    assert model.untrained() == [] and model.wv.get_vecattr("king", "count") == 200


def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(tmp_path):
    one = GloVe(FIVE, vector_size=5, min_count=1, epochs=2)
    one.save(tmp_path / "model")
    other = GloVe.load(tmp_path / "model")
    assert np.array_equal(one.wv.vectors, other.wv.vectors) and other.settings == one.settings
    for model in (one, other):
        model.train(FIVE, epochs=3)
    assert one.wv.vectors.tobytes() == other.wv.vectors.tobytes()


def test_words_that_stand_near_none_are_named():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GloVe([["a", "b"], ["alone"]], vector_size=3, min_count=1)
    assert model.untrained() == ["alone"]


@pytest.mark.parametrize(("options", "error", "reason"), [
    ({"sentences": "a text"}, TypeError, "each letter"),
    ({"sentences": [["a"], ["b"]]}, ValueError, "nothing to count"),
    ({"min_count": 9}, ValueError, "min_count=9"), ({"window": 0}, ValueError, "window"),
    ({"vector_size": 0}, ValueError, "vector_size"), ({"x_max": 0.0}, ValueError, "x_max"),
    ({"lr": float("nan")}, ValueError, "lr"), ({"alpha": -1.0}, ValueError, "alpha"),
])
def test_bad_input_is_refused_with_a_reason(options, error, reason):
    with pytest.raises(error, match=reason):
        GloVe(**{"sentences": FIVE, "vector_size": 3, "min_count": 1, **options})


def test_further_words_are_refused():
    with pytest.raises(ValueError, match="anew"):
        GloVe(FIVE, vector_size=3, min_count=1, epochs=0).build_vocab([["new", "words"]], update=True)
    with pytest.raises(ValueError, match="build_vocab first"):
        te.models.GloVe().train(FIVE)
