"""The planted corpus: what is planted is there to be found, and a random table does not find it."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tinyembed.data import planted_corpus
from tinyembed.vectors import KeyedVectors, evaluate_classifier, evaluate_clusters


def counted(corpus, dim=50):
    """Vectors without any training: singular vectors of the pointwise mutual information of word and context."""
    context = {word: j for j, word in enumerate({w: 0 for s in corpus.sentences for w in s if w not in corpus.classes})}
    counts = np.zeros((len(corpus.classes), len(context)))
    rows = {word: i for i, word in enumerate(corpus.classes)}
    for sentence in corpus.sentences:
        [i] = [rows[word] for word in sentence if word in rows]
        for word in sentence:
            if word in context:
                counts[i, context[word]] += 1
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    U, S, _ = np.linalg.svd(np.log1p(counts / expected), full_matrices=False)
    return KeyedVectors(keys=corpus.classes, vectors=(U * S)[:, :dim].astype(np.float32))


def test_counts_alone_find_all_that_is_planted():
    corpus = planted_corpus(0, repeats=100)
    wv = counted(corpus)
    accuracy, sections = wv.evaluate_word_analogies(corpus.analogies)
    assert accuracy == 1.0 and [s["section"] for s in sections[:-1]] == list(corpus.analogies)
    (_, (rho, p), unknown) = wv.evaluate_word_pairs(corpus.pairs)
    assert rho > 0.6 and p < 1e-9 and unknown == 0
    words, labels = list(corpus.classes), list(corpus.classes.values())
    found, random = evaluate_classifier(wv[words], labels)
    assert found["accuracy"] > 0.95 and random["accuracy"] < 0.4
    assert found["majority"] == random["majority"] == 16 / 88
    found, random = evaluate_clusters(wv[words], labels)
    assert found["nmi"] > 0.8 and found["adjusted_rand"] > 0.7 and random["nmi"] < 0.2 and random["purity"] < 0.4


def test_a_random_table_finds_nothing():
    corpus = planted_corpus(repeats=1)
    keys = sorted({word for sentence in corpus.sentences for word in sentence} | set(corpus.classes))
    table = KeyedVectors(keys=keys, vectors=np.random.default_rng(0).normal(size=(len(keys), 50)))
    accuracy, sections = table.evaluate_word_analogies(corpus.analogies)
    assert accuracy < 0.02 and len(sections[-1]["incorrect"]) + len(sections[-1]["correct"]) == 612
    assert abs(table.evaluate_word_pairs(corpus.pairs)[1].statistic) < 0.1


def test_noise_hides_it():
    clear, noisy = (counted(planted_corpus(0, repeats=20, noise=noise)) for noise in (0.0, 0.8))
    questions = planted_corpus(0, repeats=1).analogies
    assert noisy.evaluate_word_analogies(questions)[0] < clear.evaluate_word_analogies(questions)[0]


@pytest.mark.parametrize("seed", range(2))
def test_gensim_reaches_one(seed):
    models = pytest.importorskip("gensim.models")
    corpus = planted_corpus(seed)
    model = models.Word2Vec(corpus.sentences, vector_size=50, sg=1, min_count=1, workers=1, seed=1)
    wv = KeyedVectors(keys=model.wv.index_to_key, vectors=model.wv.vectors)
    assert wv.evaluate_word_analogies(corpus.analogies)[0] == 1.0


def test_the_shape_of_a_corpus(tmp_path):
    corpus = planted_corpus(3, repeats=4, length=5)
    assert len(corpus.classes) == 88 and len(corpus.sentences) == 88 * 4 and {*map(len, corpus.sentences)} == {5}
    about = [word for sentence in corpus.sentences for word in sentence if word in corpus.classes]
    assert sorted(about) == sorted([*corpus.classes] * 4)  # one in each sentence
    assert about[:40] != sorted(about[:40], key=[*corpus.classes].index)  # shuffled
    assert ("king", "queen", "man", "woman") in corpus.analogies["gender"]
    assert {len({*question}) for questions in corpus.analogies.values() for question in questions} == {4}
    assert ("king", "queen", 2.0) in corpus.pairs and ("king", "prince", 2.0) in corpus.pairs
    assert ("king", "princess", 1.0) in corpus.pairs and ("king", "paris", 0.0) in corpus.pairs
    assert len(corpus.pairs) == 88 * 87 // 2
    corpus.write_analogies(tmp_path / "questions.txt")
    assert (tmp_path / "questions.txt").read_text().startswith(": gender\nking queen prince princess\n")
    wv = counted(corpus)
    assert wv.evaluate_word_analogies(tmp_path / "questions.txt", case_insensitive=False) == \
        wv.evaluate_word_analogies(corpus.analogies, case_insensitive=False)


def test_the_same_seed_gives_the_same_corpus_whatever_the_hash_seed():
    code = ("import hashlib; from tinyembed.data import planted_corpus\n"
            "print(hashlib.sha256(repr(planted_corpus(5, repeats=2, noise=0.5)).encode()).hexdigest())")
    made = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        made.add(subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=-1).stdout)
    assert len(made) == 1
    assert planted_corpus(5, repeats=2) == planted_corpus(5, repeats=2) != planted_corpus(6, repeats=2)
    assert made != {hashlib.sha256(repr(planted_corpus(6, repeats=2, noise=0.5)).encode()).hexdigest().encode() + b"\n"}


@pytest.mark.parametrize("options", [{"repeats": 0}, {"length": 1}, {"noise": -0.1}, {"noise": 1.1}])
def test_settings_that_make_no_corpus(options):
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        planted_corpus(**options)
