"""Laws of the windows that Word2Vec trains on, held against a plain loop over the words."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import SentenceIds, WindowBatches, windows

V = 12
texts = st.lists(st.lists(st.integers(0, V - 1), max_size=40), max_size=8)


def chunk(sentences):
    """All sentences as one chunk: ids, and the number of the sentence of each."""
    ids = np.array([i for sentence in sentences for i in sentence], np.int64)
    return [(ids, np.repeat(np.arange(len(sentences)), [len(s) for s in sentences]))]


def batches(sentences, window=3, **options):
    options = {"negatives": 4, "group": 2, "blocks": 2, "rng": np.random.default_rng(0), **options}
    return list(WindowBatches(chunk(sentences), window, np.ones(V), np.ones(V), **options))


def pairs_of(batches):
    """(word, neighbour) of every pair marked."""
    return Counter((int(b.words[i, j]), int(b.around[i, k])) for b in batches for i, j, k in np.argwhere(b.pairs))


def all_pairs(sentences, window):
    return Counter((a, sentence[j]) for sentence in sentences for i, a in enumerate(sentence)
                   for j in range(max(i - window, 0), min(i + window + 1, len(sentence))) if j != i)


@given(texts, st.integers(1, 6))
def test_without_shrinking_the_pairs_are_all_within_the_window_and_the_sentence(sentences, window):
    found = batches(sentences, window, shrink=False)
    # Where a batch ends the words after it belong to the next, so that pairs across are made from one side each.
    assert pairs_of(found) == all_pairs(sentences, window)
    assert sum(map(len, found)) == all_pairs(sentences, window).total()


@given(texts, st.integers(1, 6))
def test_shrinking_takes_away_far_pairs_and_never_the_next_word(sentences, window):
    found = pairs_of(batches(sentences, window))
    assert not found - all_pairs(sentences, window) and not all_pairs(sentences, 1) - found


@given(texts)
def test_words_come_in_order_and_those_without_a_neighbour_not_at_all(sentences):
    found = batches(sentences, per_word=True)
    words = [int(i) for b in found for i, s in zip(b.words.ravel(), b.sentences.ravel()) if s >= 0]
    assert words == [i for sentence in sentences if len(sentence) > 1 for i in sentence]
    assert sum(map(len, found)) == len(words)
    w = max(1, min(3, max(map(len, sentences), default=0) - 1))
    assert all(b.pairs.shape == (len(b.words), windows.BLOCK, windows.BLOCK + 2 * w) for b in found)


def test_frequent_words_are_thinned_out_and_negatives_follow_the_noise():
    sentences = np.random.default_rng(0).integers(0, V, (2000, 20)).tolist()
    keep, noise = np.linspace(0.1, 1, V), np.arange(V) ** 1.5
    found = list(WindowBatches(chunk(sentences), 2, keep, noise, 64, rng=np.random.default_rng(1)))
    words = np.concatenate([b.words[b.sentences >= 0] for b in found])
    np.testing.assert_allclose(np.bincount(words, minlength=V) / (40_000 / V), keep, atol=0.06)
    drawn = np.bincount(np.concatenate([b.negatives.ravel() for b in found]), minlength=V)
    np.testing.assert_allclose(drawn / drawn.sum(), noise / noise.sum(), atol=0.01)
    assert drawn[0] == 0


def test_an_epoch_differs_from_the_next_and_a_seed_gives_the_same_epochs():
    sentences = np.random.default_rng(0).integers(0, V, (30, 20)).tolist()
    one, again = (WindowBatches(chunk(sentences), 3, np.full(V, 0.8), np.ones(V), rng=np.random.default_rng(5))
                  for _ in range(2))
    first, second = ([b.around.tolist() for b in one] for _ in range(2))
    assert first != second and [[b.around.tolist() for b in again] for _ in range(2)] == [first, second]


@given(texts=st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=9), size=st.integers(1, 7))
def test_sentences_are_encoded_in_chunks_and_unknown_words_close_up(texts, size):
    index = {"a": 0, "b": 1, "c": 2}
    expected = [(index[w], n) for n, sentence in enumerate(texts) for w in sentence if w in index]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "CHUNK", size)
        for text in (SentenceIds(texts, index), SentenceIds(dict(enumerate(texts)).values(), index)):
            for _ in range(2):
                assert [(int(i), int(n)) for ids, numbers in text for i, n in zip(ids, numbers)] == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_nothing_is_drawn_by_weights_that_are_no_numbers(bad):
    text, ones = [(np.array([0, 1]), np.array([0, 0]))], np.ones(2)
    for keep, noise, name in ((np.array([bad, 1]), ones, "keep"), (ones, np.array([1, bad]), "noise"),
                              (ones, 0 * ones, "noise")):
        with pytest.raises(ValueError, match=f"{name} is a"):
            WindowBatches(text, 2, keep, noise)
