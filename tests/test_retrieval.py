"""Measures of retrieval equal their definitions, slowly; encoders are judged by what their vectors find."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.vectors import evaluate_retrieval, fuse_ranks, retrieval_scores, semantic_search

rankings = st.lists(st.permutations(range(8)).flatmap(lambda ids: st.integers(0, 8).map(lambda n: ids[:n])), min_size=1,
                    max_size=5)


class Table:
    """An encoder of texts that are the numbers of its rows."""

    def __init__(self, vectors):
        self.vectors, self.seen = np.asarray(vectors), []

    def encode(self, texts):
        assert isinstance(texts, list)
        self.seen.append(texts)
        return self.vectors[[int(text) for text in texts]]


def slow_scores(ranked, relevant, ks):
    """Query by query, place by place."""
    ks, K, asked = set(ks), max(ks), [(ids, answer) for ids, answer in zip(ranked, relevant) if answer]
    total = dict.fromkeys([*(f"recall@{k}" for k in sorted(ks)), f"mrr@{K}", f"ndcg@{K}"], 0.0)
    for ids, answer in asked:
        for k in ks:
            total[f"recall@{k}"] += len(set(ids[:k]) & set(answer)) / len(answer) / len(asked)
        gain = ideal = 0.0
        reciprocal = 0.0
        for place in range(1, K + 1):
            if place <= len(answer):
                ideal += 1 / math.log2(1 + place)
            if place <= len(ids) and ids[place - 1] in answer:
                gain += 1 / math.log2(1 + place)
                reciprocal = reciprocal or 1 / place
        total[f"mrr@{K}"] += reciprocal / len(asked)
        total[f"ndcg@{K}"] += gain / ideal / len(asked)
    return total


@given(rankings, st.data())
def test_scores_are_their_definitions(ranked, data):
    relevant = [data.draw(st.sets(st.integers(0, 9), min_size=i == 0)) for i in range(len(ranked))]
    ks = data.draw(st.lists(st.integers(1, 10), min_size=1, max_size=3))
    found, expected = retrieval_scores(ranked, relevant, ks), slow_scores(ranked, relevant, ks)
    assert list(found) == list(expected) and all(type(value) is float for value in found.values())
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-12, atol=1e-15)


def test_scores_by_hand():
    """Places of what is right: 1 and 3 of two; 2 of one; none of one."""
    ranked, relevant = [["a", "b", "c"], ["d", "e", "f"], ["g"]], [{"a", "c"}, ["e"], ("z",)]
    found = retrieval_scores(ranked, relevant, (1, 3))
    assert found["recall@1"] == pytest.approx((1 / 2 + 0 + 0) / 3) and found["recall@3"] == pytest.approx((1 + 1) / 3)
    assert found["mrr@3"] == pytest.approx((1 + 1 / 2) / 3)
    assert found["ndcg@3"] == pytest.approx(((1 + 1 / 2) / (1 + 1 / math.log2(3)) + 1 / math.log2(3)) / 3)
    assert set(retrieval_scores([["a", "b"]], [{"a", "b"}], [2]).values()) == {1.0}


def test_queries_that_nothing_answers_are_left_out():
    some = retrieval_scores([[1, 2], [2, 1]], [{2}, set()], [1, 2])
    assert some == retrieval_scores([[1, 2]], [{2}], [1, 2])
    encoder = Table(np.eye(3))
    found = evaluate_retrieval(encoder, ["0", "1", "2"], [{0}, set(), {0}], ["0", "1", "2"], [1])
    assert found == {"recall@1": 0.5, "mrr@1": 0.5, "ndcg@1": 0.5} and encoder.seen[0] == ["0", "2"]


@pytest.mark.parametrize("score", ["cos_sim", "dot", "euclidean"])
def test_an_encoder_is_judged_by_what_its_vectors_find(score):
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    texts, queries = [str(i) for i in range(40)], [str(i) for i in range(40, 60)]
    relevant = [set(np.random.default_rng(i).choice(40, 3).tolist()) for i in range(20)]
    found = evaluate_retrieval(Table(vectors), queries, relevant, texts, (1, 3, 50), score)
    ranked = [[hit["corpus_id"] for hit in hits] for hits in semantic_search(vectors[40:], vectors[:40], 50, score)]
    assert found == retrieval_scores(ranked, relevant, (1, 3, 50)) and found["recall@50"] == 1
    names = {f"text {i}": text for i, text in enumerate(texts)}, {f"query {i}": text for i, text in enumerate(queries)}
    named = {f"query {i}": {f"text {j}" for j in answer} for i, answer in enumerate(relevant)}
    assert evaluate_retrieval(Table(vectors), names[1], named, names[0], (1, 3, 50), score) == found
    assert evaluate_retrieval(Table(vectors), queries, dict(enumerate(relevant)), texts, (1, 3, 50), score) == found


def test_the_vectors_of_a_text_may_be_several():
    vectors = np.random.default_rng(0).normal(size=(9, 2, 4))
    found = evaluate_retrieval(Table(vectors), ["1", "4"], [{1}, {4}], [str(i) for i in range(9)], [1])
    assert found["recall@1"] == 1


def test_fused_ranks():
    assert fuse_ranks([[1, 2, 3]]) == [1, 2, 3] and fuse_ranks([]) == []
    assert fuse_ranks([["a", "b"], ["c", "b"]]) == ["b", "a", "c"]  # 1/62 twice beats 1/61 once
    assert fuse_ranks([["a", "b"], ["c", "b"]], k=0) == ["a", "b", "c"]  # 1, 1/2 + 1/2, 1: as they came
    assert fuse_ranks([[3, 1], [1, 3]]) == [3, 1]


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"queries": "0"}, TypeError, "queries must be a list of texts.*string '0'"),
    ({"corpus": ["0", 1]}, TypeError, "corpus: 1 is a int, where a text was expected"),
    ({"relevant": [{0}]}, ValueError, "1 sets of ids, for 2 queries"),
    ({"relevant": [{0}, {5}]}, ValueError, "query 1 is answered by 5, which is no id of the corpus"),
    ({"relevant": [{0}, {"1"}]}, ValueError, "'1', which is no id"),
    ({"relevant": {7: {0}}}, ValueError, "relevant has 7, which is no query"),
    ({"relevant": [{0}, "12"]}, TypeError, "query 1 has '12', where a set of ids was expected"),
    ({"relevant": [0, 1]}, TypeError, "query 0 has 0, where a set"),
    ({"relevant": [set(), []]}, ValueError, "no query has a text"),
    ({"top_ks": [3, 0]}, ValueError, "at least 1, got 0"),
    ({"top_ks": []}, ValueError, "top_ks is empty"),
    ({"score": "cos"}, ValueError, "score is 'cos'"),
])
def test_what_can_not_be_judged(kwargs, error, message):
    with pytest.raises(error, match=message):
        evaluate_retrieval(Table(np.eye(3)), **{"queries": ["0", "1"], "relevant": [{0}, {1}],
                                                "corpus": ["0", "1", "2"], **kwargs})


@pytest.mark.parametrize(("ranked", "relevant", "message"), [
    ([[1]], [{1}, {2}], "1 lists of ids, and 2 queries"), ([[1, 1]], [{1}], "an id stands twice"),
    ([[1]], [set()], "no query has a text"), ([], [], "no query has a text"),
])
def test_what_is_no_ranking(ranked, relevant, message):
    with pytest.raises(ValueError, match=message):
        retrieval_scores(ranked, relevant)


def test_sentence_transformers_measures_the_same():
    peer = pytest.importorskip("sentence_transformers.evaluation").InformationRetrievalEvaluator
    rng = np.random.default_rng(0)
    ranked = [rng.permutation(30)[:10].tolist() for _ in range(20)]
    relevant = [set(rng.choice(30, rng.integers(0, 6)).tolist()) for _ in range(20)]
    evaluator = peer(dict.fromkeys(range(20), ""), dict.fromkeys(range(30), ""), dict(enumerate(relevant)),
                     mrr_at_k=[10], ndcg_at_k=[10], precision_recall_at_k=[1, 5, 10])
    hits = [[{"corpus_id": i, "score": -place} for place, i in enumerate(ids)]
            for ids, answer in zip(ranked, relevant) if answer]
    theirs = evaluator.compute_metrics(hits)
    expected = {f"{name}@{k}": theirs[f"{name}@k"][k] for name, k in
                [("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 10), ("ndcg", 10)]}
    assert retrieval_scores(ranked, relevant) == pytest.approx(expected, rel=1e-12)


def test_answers_are_a_set_whatever_holds_them():
    assert retrieval_scores([["a", "b"]], [["a", "a"]], [2]) == {"recall@2": 1.0, "mrr@2": 1.0, "ndcg@2": 1.0}
    with pytest.raises(TypeError, match="a set of ids that answer a query, got the string 'ab'"):
        retrieval_scores([["a", "b"]], ["ab"], [2])
