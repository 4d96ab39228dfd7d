"""Correlations are SciPy's, agreement of partitions scikit-learn's; k-means and the classifier do what they say."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.vectors import (
    KeyedVectors,
    agreement,
    evaluate_classifier,
    evaluate_clusters,
    evaluate_word_analogies,
    evaluate_word_pairs,
    kmeans,
    pearson,
    spearman,
)
from tinyembed.vectors.correlation import ranks

numbers = st.integers(-3, 3) | st.floats(-1e6, 1e6)
X = [1, 2, 2, 3, 5, 5, 5, 8, 9, 10]
Y = [2.5, 1, 4, 3, 3, 6, 5, 7.5, 7, 12]


# -- correlation -----------------------------------------------------------------------------------------------------

def test_recorded_from_scipy():
    """scipy 1.17.1: stats.pearsonr(X, Y), stats.spearmanr(X, Y), stats.pearsonr of 400 and of 3 pairs."""
    np.testing.assert_allclose(pearson(X, Y), (0.8864468370003523, 0.0006328977880115582), rtol=1e-10)
    np.testing.assert_allclose(spearman(X, Y), (0.8827833270055707, 0.000715321148034312), rtol=1e-10)
    long = np.arange(400.0) % 7, (np.arange(400.0) + np.arange(400) % 11) % 7
    np.testing.assert_allclose(pearson(*long), (0.059255381432899455, 0.23703193022708974), rtol=1e-9)
    np.testing.assert_allclose(pearson([1, 2, 3], [1, 3, 2]), (0.5, 2 / 3), rtol=1e-12)


def test_scipys_numbers():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for n in (3, 4, 5, 6, 10, 31, 353, 5000):
        for r in (0, 0.02, 0.3, 0.9, 0.9999):
            x = np.round(rng.standard_normal(n), 1)
            y = r * x + math.sqrt(1 - r * r) * rng.standard_normal(n)
            for ours, theirs in ((pearson, stats.pearsonr), (spearman, stats.spearmanr)):
                np.testing.assert_allclose(ours(x, y), tuple(theirs(x, y)), rtol=1e-6, atol=1e-20)


@given(st.lists(numbers, min_size=1, max_size=20))
def test_equal_values_share_the_mean_of_their_ranks(x):
    smaller = [sum(b < a for b in x) for a in x]
    equal = [sum(b == a for b in x) for a in x]
    np.testing.assert_array_equal(ranks(x), [s + (e + 1) / 2 for s, e in zip(smaller, equal)])


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=20))
def test_laws_of_correlation(pairs):
    x, y = map(np.array, zip(*pairs))
    for correlation in (pearson, spearman):
        r, p = correlation(x, y)
        if len({*x.tolist()}) == 1 or len({*y.tolist()}) == 1:
            assert math.isnan(r) and math.isnan(p)
            continue
        assert -1 <= r <= 1 and 0 <= p <= 1 + 1e-12
        np.testing.assert_allclose(correlation(y, x), (r, p), atol=1e-9)
        np.testing.assert_allclose(correlation(x, -y), (-r, p), atol=1e-9)
        assert correlation(x, x).statistic == pytest.approx(1)
    r, _ = spearman(x, y)
    if not math.isnan(r):
        assert spearman(np.argsort(np.argsort(x)) * 0 + ranks(x) ** 3, y).statistic == pytest.approx(r)


@pytest.mark.parametrize("correlation", [pearson, spearman])
@pytest.mark.parametrize(("x", "y"), [([1], [1]), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]]), ([1, math.nan], [1, 2]),
                                      ([1, 2], [math.inf, 2])])
def test_what_has_no_correlation(correlation, x, y):
    with pytest.raises(ValueError, match="two sequences"):
        correlation(x, y)


def test_huge_and_tiny_numbers():
    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(pearson(np.array(X) * scale, Y), pearson(X, Y), rtol=1e-9)


# -- questions -------------------------------------------------------------------------------------------------------

WV = KeyedVectors(keys=["king", "queen", "man", "woman", "MAN"],
                  vectors=[[1, 1, 0], [1, -1, 0], [0, 1, 1], [0, -1, 1], [9, 9, 9]])
QUESTION = ("man", "king", "woman", "queen")


def test_words_that_are_the_same_in_upper_case_the_first_counts():
    assert evaluate_word_analogies(WV, {"x": [("Man", "KING", "woman", "queen")]})[0] == 1.0
    assert evaluate_word_analogies(WV, {"x": [("Man", "KING", "woman", "queen")]}, case_insensitive=False)[0] == 0.0


def test_answers_come_from_the_first_keys():
    wv = KeyedVectors(keys=["king", "queen", "man", "woman", "empress"],
                      vectors=[[1, 1, 0], [1, -0.5, 0], [0, 1, 1], [0, -1, 1], [1, -1, 0]])
    assert evaluate_word_analogies(wv, {"x": [QUESTION]})[0] == 0.0
    assert evaluate_word_analogies(wv, {"x": [QUESTION]}, restrict_vocab=4)[0] == 1.0


def test_unknown_words_count_only_when_asked():
    questions = {"x": [QUESTION, ("man", "king", "girl", "princess")], "y": []}
    score, sections = evaluate_word_analogies(WV, questions)
    assert score == 1.0 and [len(s["correct"]) + len(s["incorrect"]) for s in sections] == [1, 0, 1]
    score, sections = evaluate_word_analogies(WV, questions, dummy4unknown=True)
    assert score == 0.5 and sections[-1] == {"section": "Total accuracy", "correct": [tuple(map(str.upper, QUESTION))],
                                             "incorrect": [("MAN", "KING", "GIRL", "PRINCESS")]}
    assert evaluate_word_analogies(WV, questions, restrict_vocab=2)[0] == 0.0


def test_files_of_questions(tmp_path):
    path = tmp_path / "questions"
    path.write_text("man king woman queen\n")
    with pytest.raises(ValueError, match="line 1: stands before the first section"):
        evaluate_word_analogies(WV, path)
    path.write_text("")
    with pytest.raises(ValueError, match="no questions"):
        evaluate_word_analogies(WV, path)
    path.write_text(": a\nman king woman queen\nman king\n\n")
    with pytest.warns(UserWarning, match="line 3: passed over b'man king"):
        assert evaluate_word_analogies(WV, path)[0] == 1.0
    path.write_text("king\tqueen\t1\nking\tman\n#\nman\tking\t2\n")
    with pytest.warns(UserWarning, match="line 2: passed over"):
        (r, p), _, unknown = evaluate_word_pairs(WV, path)
    assert abs(r) == pytest.approx(1) and p == 1 and unknown == 0
    with pytest.raises(ValueError, match="0 of 1 pairs are known"):
        evaluate_word_pairs(WV, [("a", "b", 1.0)])


FOUR, PAIR = ("man", "king", "woman", "queen"), ("man", "king", 1.0)


@pytest.mark.parametrize("bad", ["man king woman queen", FOUR[:3], (*FOUR, "man"), (b"man", *FOUR[1:]), None, 5, [FOUR],
                                 (None, *FOUR[1:]), {}])
def test_a_question_in_memory_is_checked_as_one_in_a_file(bad):
    """A line as one string, say, was asked letter by letter, and nothing was known of it."""
    with pytest.raises(ValueError, match=r"analogies\['x'\]\[1\] is .*, where four words stand"):
        evaluate_word_analogies(WV, {"x": [FOUR, bad]})
    assert evaluate_word_analogies(WV, {"x": [FOUR, np.array(FOUR)]})[0] == 1.0
    for questions in ({"x": "man king woman queen"}, {"x": None}, [FOUR], None):
        with pytest.raises(TypeError, match="analogies"):
            evaluate_word_analogies(WV, questions)


@pytest.mark.parametrize("bad", ["man king 1", PAIR[:2], (*PAIR, 1), (b"man", *PAIR[1:]), ("man", "king", "x"), None,
                                 ("man", "king", np.nan), ("man", "king", None), [PAIR], ("man", None, 1.0)])
def test_a_pair_in_memory_is_checked_as_one_in_a_file(bad):
    with pytest.raises(ValueError, match=r"pairs\[1\] is .*, where two words and a number stand"):
        evaluate_word_pairs(WV, [PAIR, bad])
    for pairs in (None, {"man": "king"}, 5):
        with pytest.raises(TypeError, match="pairs is"):
            evaluate_word_pairs(WV, pairs)


def test_many_questions_at_once_and_one_at_a_time():
    rng = np.random.default_rng(0)
    wv = KeyedVectors(keys=[f"w{i}" for i in range(40)], vectors=rng.normal(size=(40, 3)))
    questions = [tuple(f"w{i}" for i in rng.permutation(40)[:4]) for _ in range(700)]
    _, [section, _] = evaluate_word_analogies(wv, {"x": questions}, case_insensitive=False)
    right = [(a, b, c, d) for a, b, c, d in questions
             if wv.most_similar(positive=[b, c], negative=[a], topn=1)[0][0] == d]
    assert right and section["correct"] == right


# -- clusters and classifiers ----------------------------------------------------------------------------------------

def test_recorded_from_scikit_learn():
    """scikit-learn 1.9.1: normalized_mutual_info_score, adjusted_rand_score; purity counted by hand."""
    found = agreement(np.array([0, 0, 1, 1, 2, 2, 2, 0]), np.array([1, 1, 0, 0, 0, 2, 2, 2]))
    assert found == pytest.approx({"purity": 6 / 8, "nmi": 0.5588730382170324, "adjusted_rand": 0.23809523809523808})


partitions = st.integers(2, 20).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 3), min_size=n, max_size=n)] * 2))


@given(partitions)
def test_laws_of_agreement(pair):
    a, b = map(np.array, pair)
    found = agreement(a, b)
    assert 0 < found["purity"] <= 1 and -1e-9 <= found["nmi"] <= 1 + 1e-9 and found["adjusted_rand"] <= 1 + 1e-9
    for name in ("nmi", "adjusted_rand"):
        assert agreement(b, a)[name] == pytest.approx(found[name], abs=1e-9)
    assert agreement(3 - a, b) == pytest.approx(found, abs=1e-9)  # names of groups do not matter
    assert agreement(a, a) == pytest.approx({"purity": 1, "nmi": 1, "adjusted_rand": 1})
    try:
        from sklearn import metrics
    except ImportError:
        return
    assert found["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(a, b), abs=1e-9)
    assert found["adjusted_rand"] == pytest.approx(metrics.adjusted_rand_score(a, b), abs=1e-9)


@given(st.integers(1, 25), st.integers(1, 5), st.integers(0, 99))
def test_kmeans_stops_where_nothing_improves(n, k, seed):
    vectors = np.random.default_rng(seed).integers(0, 4, (n, 2)).astype(float)  # with vectors that are equal
    k = min(k, n)
    groups, means = kmeans(vectors, k, seed=seed, restarts=2)
    distances = ((vectors[:, None] - means) ** 2).sum(-1)
    np.testing.assert_allclose(distances[np.arange(n), groups], distances.min(1), atol=1e-9)
    for j in {*groups.tolist()}:
        np.testing.assert_allclose(means[j], vectors[groups == j].mean(0), atol=1e-9)
    again = kmeans(vectors, k, seed=seed, restarts=2)
    assert groups.tolist() == again[0].tolist() and means.tobytes() == again[1].tobytes()


def test_kmeans_finds_groups_that_are_apart():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 300)
    groups, _ = kmeans(rng.normal(size=(8, 5))[truth] * 20 + rng.normal(size=(300, 5)), 8)
    assert agreement(groups, truth)["adjusted_rand"] == pytest.approx(1)


def test_the_classifier_judges_by_what_it_has_not_seen():
    """Labels that have nothing to do with the vectors can be learnt by heart here, but not guessed."""
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(60, 100)), rng.integers(0, 2, 60)
    before = vectors.copy()
    assert evaluate_classifier(vectors, labels).vectors["accuracy"] < 0.75
    np.testing.assert_array_equal(vectors, before)
    first, again = (evaluate_classifier(vectors, labels, seed=3) for _ in range(2))
    assert first == again


def test_scale_does_not_matter_and_zero_vectors_do_no_harm():
    rng = np.random.default_rng(0)
    vectors = np.concatenate((rng.normal(2, 1, (10, 3)), rng.normal(-2, 1, (10, 3))))
    labels = ["x"] * 10 + ["y"] * 10
    for evaluate in (evaluate_clusters, evaluate_classifier):
        assert evaluate(vectors, labels) == evaluate(vectors * 1e6, labels)
        vectors[0] = 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            evaluate(vectors, labels)


@pytest.mark.parametrize("evaluate", [evaluate_clusters, evaluate_classifier])
@pytest.mark.parametrize(("vectors", "labels"), [
    (np.eye(3), ["a", "b"]), (np.eye(3), ["a", "a", "a"]), (np.ones(3), ["a", "b", "a"]),
    (np.eye(2) * np.nan, ["a", "b"]),
])
def test_what_can_not_be_judged(evaluate, vectors, labels):
    with pytest.raises(ValueError, match=r"finite vectors \(N, D\) and N labels of two classes or more"):
        evaluate(vectors, labels)


def test_folds_and_groups_that_are_none():
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        evaluate_classifier(np.eye(2), [0, 1], folds=1)
    for k in (0, 3):
        with pytest.raises(ValueError, match="groups"):
            kmeans(np.eye(2), k)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_groups_of_what_is_no_number_are_refused(bad):
    with pytest.raises(ValueError, match="line 2 is none"):
        kmeans(np.array([[0.0], [1.0], [bad]]), 2)
