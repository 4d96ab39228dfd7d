"""Freed memory stays with the process for the next step, unless the environment says otherwise; and memory grows with
the data, not with a setting."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mutants import memory_limit, time_limit

from tinyembed.data import Facts, Graph, random_walks, split_triples
from tinyembed.models import BPR, LINE, MatrixFactorisation, Node2Vec, TransE
from tinyembed.vectors import (
    FrequentLinks,
    ItemCosine,
    ItemMean,
    Popularity,
    evaluate_classifier,
    evaluate_links,
    evaluate_recommendations,
    retrieval_scores,
)

STEPS = """
import resource, numpy as np, tinyembed
from tinyembed.core.machine import keep_freed_memory
kept = keep_freed_memory()
def step():
    return [np.ones(1 << 18, np.float32) for _ in range(24)]  # 24 MiB, and freed
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
MANY = 10 * 24 * 256  # pages of 4 KiB in ten steps


def faults(**environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    env["PYTHONPATH"] = str(Path(__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, env={**env, **environment})
    assert done.returncode == 0, done.stderr
    kept, count = done.stdout.split()
    return kept == "True", int(count)


def test_steps_that_free_and_allocate_the_same_cause_few_page_faults():
    pytest.importorskip("resource")
    kept, few = faults()
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert few < MANY / 10


def test_the_environment_goes_first():
    pytest.importorskip("resource")
    kept, many = faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert not kept
    if sys.platform.startswith("linux") and faults()[0]:
        assert many > MANY / 2


PAIRS, TRIPLES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0, 0, 1], [1, 0, 2], [2, 0, 3]])
LARGE = {  # a setting, or one id, far beyond what there is
    "negatives of a recommender": lambda: BPR(4, 4, dim=2, negatives=10**9).loss(*PAIRS.T),
    "negatives of a model of triples": lambda: TransE(4, 1, dim=2, negatives=10**30).loss(TRIPLES),
    "negatives in eval mode": lambda: MatrixFactorisation(4, 4, dim=2, negatives=10**9).eval().loss(*PAIRS.T),
    "walks that end": lambda: list(random_walks(Graph([("a", "b")], directed=True), 10**9, 1)),
    "walks that are longer than their room": lambda: next(random_walks(Graph([("a", "b")]), 3000, 1))[2999],
    "folds": lambda: evaluate_classifier(np.eye(6), [0, 1] * 3, folds=10**9, steps=1),
    "places": lambda: retrieval_scores([["a"]], [{"a", "b"}], [1, 10**9]),
    "ids of triples that are split": lambda: split_triples([[10**12, 0, 1], [1, 0, 2], [2, 0, 1]])}
OUTSIDE = {
    "Popularity": lambda: Popularity([[0, 10**12]], 3), "ItemCosine": lambda: ItemCosine([[0, 5]], 3),
    "ItemMean": lambda: ItemMean(np.eye(3), [[0, 5]]), "FrequentLinks": lambda: FrequentLinks([[0, 0, 10**12]], 4),
    "what users have": lambda: evaluate_recommendations(Popularity(PAIRS, 4), [[0, 9]], [[0, 2]]),
    "what users want": lambda: evaluate_recommendations(Popularity(PAIRS, 4), PAIRS, [[0, 9]]),
    "known triples": lambda: evaluate_links(FrequentLinks(TRIPLES, 4), TRIPLES, [[9, 0, 1]])}


@pytest.mark.parametrize("name", LARGE)
def test_memory_and_time_grow_with_the_data_and_not_with_a_setting(name):
    with time_limit(4), memory_limit(64):
        LARGE[name]()


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_id_beyond_what_there_is_is_refused_at_no_cost(name):
    with time_limit(4), memory_limit(64), pytest.raises(IndexError, match="outside the"):
        OUTSIDE[name]()


def test_facts_of_ids_that_their_keys_have_no_room_for():
    """They were those of other relations."""
    for triple in ([2**40, 0, 1], [0, 0, 2**40], [0, 2**23, 1]):
        with pytest.raises(ValueError, match="number_triples"):
            Facts([triple])
    with pytest.raises(ValueError, match="number_triples"):
        Facts([[0, 1, 2]]).answers([2**40], [0])


def test_settings_that_are_assigned_later_are_checked_as_well():
    model = BPR(4, 4, dim=2)
    model.negatives = 0
    with pytest.raises(ValueError, match="negatives are 1 at least"):
        model.loss(*PAIRS.T)
    graph = Graph([("a", "b")])
    for x in (LINE(graph, dimensions=2), Node2Vec(graph, dimensions=2)):
        for name in ("q", "walk_length", "dimensions", "seed", "graph", "negative"):
            with pytest.raises(AttributeError, match=name):
                setattr(x, name, 5)
    with pytest.raises(ValueError, match="negative"):
        LINE(graph, negative=float("nan"))
