"""The baselines that examples share, by their formulas, written out for one document at a time."""

import math
from collections import Counter

import baselines
import numpy as np
import pytest

rng = np.random.default_rng(0)
DOCUMENTS = [list(rng.choice(list("abcdefgh"), n)) for n in rng.integers(1, 20, 30)]


def idf(word, smooth=False):
    df = sum(word in words for words in DOCUMENTS)
    return math.log(1 + (len(DOCUMENTS) - df + 0.5) / (df + 0.5)) if smooth else math.log(len(DOCUMENTS) / df)


def tf_idf(query, words):
    q, d = ({w: n * idf(w) for w, n in Counter(some).items() if w < "x"} for some in (query, words))
    return sum(q[w] * d.get(w, 0) for w in q) / math.hypot(*d.values())


def bm25(query, words):
    room = 1.5 * (0.25 + 0.75 * len(words) / np.mean([len(words) for words in DOCUMENTS]))
    return sum(idf(w, True) * words.count(w) * 2.5 / (words.count(w) + room) for w in query if w < "x")


@pytest.mark.parametrize(("kind", "score"), [("TfIdf", tf_idf), ("BM25", bm25)])
def test_documents_come_by_their_scores_and_without_a_word_in_common_not_at_all(kind, score):
    search = getattr(baselines, kind)(DOCUMENTS)
    for query in (["a"], ["a", "b", "b"], ["h", "x"], [], ["x"]):
        scores = [score(query, words) for words in DOCUMENTS]
        found = search.nearest(query, 30)
        assert set(found) == {i for i, words in enumerate(DOCUMENTS) if set(words) & set(query)}
        assert np.all(np.diff([scores[i] for i in found]) < 1e-12) and search.nearest(query, 3) == found[:3]


def test_words_are_cut_from_names_and_chinese_into_characters():
    assert baselines.words("check_output(ArgumentParser) 你好, md5") == ["check", "output", "argument", "parser", "你",
                                                                       "好", "md5"]
    assert baselines.strike("join two paths", "two pathnames") == "join paths"
    assert baselines.strike(*map(baselines.plain, ("我们喜欢猫。", "猫和狗喜"))) == "我 们 欢"
