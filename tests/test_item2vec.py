"""Laws of ItemToVec: a basket is one context without an order, of any size; items are the keys."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import BasketBatches, SentenceIds, baskets
from tinyembed.models import ItemToVec
from tinyembed.vectors import ItemMean, NodeVectors

V = 12
some_baskets = st.lists(st.lists(st.integers(0, V - 1), max_size=20), max_size=8)
SMALL = {"vector_size": 4, "epochs": 2}


def batches(lists, **options):
    text = SentenceIds(lists, {i: i for i in range(V)})
    options = {"negatives": 4, "group": 2, "blocks": 2, "rng": np.random.default_rng(0), **options}
    return BasketBatches(text, np.ones(V), np.ones(V), **options)


def pairs_of(found):
    return Counter((int(b.words[i, j]), int(b.around[i, k])) for b in found for i, j, k in np.argwhere(b.pairs))


@given(some_baskets, st.integers(1, 9))
def test_the_pairs_are_those_of_different_items_of_a_basket(lists, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baskets, "PIECE", piece)
        found = list(batches(lists))
    expected = Counter((a, b) for basket in lists for a in set(basket) for b in set(basket) if a != b)
    assert pairs_of(found) == expected and sum(map(len, found)) == expected.total()
    assert all(b.pairs.shape[1:] == (baskets.BLOCK, piece) and len(b.words) <= 2 == 2 * len(b.negatives)
               for b in found if len(b))


@given(some_baskets, st.randoms())
def test_order_and_repeats_in_a_basket_change_nothing(lists, random):
    others = [random.sample(basket * 2, 2 * len(basket)) for basket in lists]
    for one, two in zip(batches(lists), batches(others), strict=True):
        for name, array in vars(one).items():
            np.testing.assert_array_equal(array, getattr(two, name))


def test_a_model_does_not_see_the_order_either_nor_whether_baskets_are_a_list(tmp_path):
    lists = [["a", 3, "b"], ["b", "c"], [3, "c", "a", "d"]] * 5

    class Anew:
        def __iter__(self):
            return (iter(reversed(basket * 2)) for basket in lists)

    one, two = ItemToVec(lists, **SMALL), ItemToVec(Anew(), **SMALL)
    assert np.array_equal(one.wv.vectors, two.wv.vectors) and one.wv.index_to_key == two.wv.index_to_key
    assert dict(zip(one.wv.index_to_key, one.vocabulary.counts.tolist())) == {"a": 10, 3: 10, "b": 10, "c": 10, "d": 5}
    assert one.loss_on(lists) == two.loss_on(Anew())
    (tmp_path / "baskets").write_text("".join(" ".join(map(str, basket)) + "\n" for basket in lists))
    assert np.array_equal(ItemToVec(corpus_file=tmp_path / "baskets", **SMALL).wv["3"], one.wv[3])


def test_a_basket_of_any_size_takes_batches_of_one_size():
    n = 20_000
    text = [(np.arange(n), np.zeros(n, np.int64))]
    found = BasketBatches(text, np.ones(n), np.ones(n))
    tracemalloc.start()
    first = next(iter(found))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.pairs.shape == (128, 16, 32) and peak < 4 << 20  # a square of n would be 400 MB
    assert found.words == round(n / (-(-n // 16) * (n // 32) / 128))  # what the learning rate falls by
    with pytest.raises(TypeError, match="no window"):
        ItemToVec([["a", "b"]], window=5)


def test_the_loss_is_its_formula():
    model = ItemToVec([["a", "b", "c"], ["b", "d"], ["e"]], **SMALL)
    model.network.output.data = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    batch, = model._held_out([["a", "b", "c"], ["b", "d"]])
    u, v = model.network.vectors.data, model.network.output.data
    ids = {item: model.vocabulary.index[item] for item in "abcd"}
    pairs = [(a, b) for basket in ("abc", "bd") for a in basket for b in basket if a != b]
    near = [np.log1p(np.exp(-u[ids[a]] @ v[ids[b]])) for a, b in pairs]
    k = batch.negatives[0]
    far = [5 * np.log1p(np.exp(u[ids[a]] @ v[k].T)).mean() for a, _ in pairs]
    assert len(batch) == len(pairs) == 8
    assert model.network.loss(batch).item() == pytest.approx(np.mean(near) + np.mean(far), rel=1e-5)


def test_items_are_the_keys(tmp_path):
    lists = [[10, "x", (1, 2)], [10, -3, "04"], ["x", "04", -3], [True, np.int64(7), 10], ["alone"]]
    model = ItemToVec(lists, **SMALL)
    assert set(model.wv.index_to_key) == {10, "x", "(1, 2)", -3, "04", "True", 7, "alone"}
    assert isinstance(model.wv, NodeVectors) and 0 not in model.wv and model.untrained() == ["alone"]
    assert {key for key, _ in model.predict_output_word([10, "x"])} == set(model.wv.index_to_key)
    model.save(tmp_path / "model")
    again = ItemToVec.load(tmp_path / "model")
    for each in (model, again):
        each.build_vocab([[8, 10], [8, "x"]], update=True)
        each.train(lists, epochs=1)
    assert again.wv.index_to_key == model.wv.index_to_key and 8 in again.wv and again.untrained() == ["alone", 8]
    assert np.array_equal(again.wv.vectors, model.wv.vectors)


@pytest.mark.parametrize(("lists", "error", "words"), [
    ([[1, 2], ["1"]], ValueError, "two items are the same as text"), ([["a"], "bc"], TypeError, "basket 1 is 'bc'"),
    ("abc", TypeError, "each letter"), ([], ValueError, "min_count")])
def test_what_are_no_baskets_is_refused(lists, error, words):
    with pytest.raises(error, match=words):
        ItemToVec(lists, **SMALL)
    model = ItemToVec([["a", "b"], [1, 2]], **SMALL)
    before = model.wv.index_to_key, model.wv.vectors.copy(), model.integers
    if lists:
        for call in (lambda: model.build_vocab(lists, update=True),
                     *([lambda: model.train(lists)] if error is TypeError else [])):
            with pytest.raises(error, match=words):
                call()
    assert (model.wv.index_to_key, model.integers) == before[::2] and np.array_equal(model.wv.vectors, before[1])
    with pytest.raises(ValueError, match="the same as text"):
        model.build_vocab([["1"]], update=True)


def test_items_that_are_had_together_are_near_each_other():
    rng = np.random.default_rng(0)
    lists = [(rng.choice(10, 4, replace=False) * 3 + u % 3).tolist() for u in range(300)]
    model = ItemToVec(lists, vector_size=8, epochs=30)
    for item in range(30):
        assert {other % 3 for other, _ in model.wv.most_similar(item, topn=5)} == {item % 3}
    table, users = model.wv[list(range(30))], [[0, 4], [0, 7], [1, 5]]
    scores = ItemMean(table, users).scores([0, 1, 2])
    for owned, row in (([4, 7], scores[0]), ([5], scores[1])):
        for key, similarity in model.wv.most_similar(owned, topn=30):
            assert row[key] == pytest.approx(similarity, abs=1e-5)
    assert not scores[2].any()  # who has nothing
    assert not ItemMean([[1, 0], [0, 0]], [[0, 0]]).scores([0])[0, 1]  # an item without a vector
    with pytest.raises(IndexError, match=r"id 2 .* is outside the items: 2 rows"):
        ItemMean([[1, 0], [0, 0]], [[0, 2]])


def test_an_item_means_the_same_in_every_training():
    """What is an integer is one in each later text too, as for build_vocab(update=True); a refusal changes nothing."""
    model = ItemToVec([[7, "a"], ["a", 7]] * 10, vector_size=4)
    before = model.wv.vectors.tobytes()
    for call in (model.train, model.loss_on, lambda baskets: model.build_vocab(baskets, update=True)):
        with pytest.raises(ValueError, match="the same as text"):
            call([["7", "a"], ["a", "7"]])
    assert model.wv.vectors.tobytes() == before
    model.train([[7, "a", 8], ["a", 7]] * 10)
    assert model.wv.index_to_key == [7, "a"]
