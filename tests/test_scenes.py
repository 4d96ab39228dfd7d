"""Pairs of sentences whose relation is known: held against small worlds in which each sentence is true or not."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from tinyembed.data import entailment_pairs, similar_pairs
from tinyembed.data.scenes import ACTS, COUNTS, KINDS, OPTIONS, kinds
from tinyembed.vectors import spearman

ACT = {form: act for pairs in ACTS.values() for pair in pairs for act in pair for verb in act.split()
       for form in (verb, verb + ("d" if verb.endswith("e") else "ed"))}
ONE = {"people": "person", "children": "child"}
PHRASE = rf"(the|an?|no|some|two|three) (?:({'|'.join(OPTIONS['who_is'])}) )?(\w+)"
CLAUSE = re.compile(rf"{PHRASE} (was )?(?:did )?(not )?(\w+) (?:by )?{PHRASE}")


def read(text):
    """(its template, what it says), from the words alone."""
    said = {}
    template = [text.startswith("we know that ")]
    text = text.removeprefix("we know that ")
    for part in ("where", "when"):
        said[part] = next((words for words in OPTIONS[part] if words in text), None)
        text = text.replace(said[part] or "nowhere", "").replace("  ", " ").strip()
    cleft = re.fullmatch("(?:it was|there was|there were) (.+) that (.+)", text)
    clause = CLAUSE.fullmatch(" ".join(cleft.groups()) if cleft else text)
    count, adjective, noun, passive, not_, verb, *other = clause.groups()
    template += [bool(cleft), bool(passive)]
    sides = [(count, adjective, noun), tuple(other)]
    for part, (count, adjective, noun) in zip(("who", "whom"), sides[::-1] if passive else sides):
        said[part] = ONE.get(noun, noun.removesuffix("s") if count in COUNTS[1:] else noun)
        said[part + "_is"], said[part + "_count"] = adjective, count
    counts = {said.pop("who_count"), said.pop("whom_count")}
    said["negated"] = bool(not_) or "no" in counts
    [said["count"]] = {"some"} if "no" in counts else counts - {"a", "an"}
    return tuple(template), {**said, "did": ACT[verb]}


def top(noun):
    return kinds(noun)[-1]


def subsets(x):
    return [some for n in range(len(x) + 1) for some in itertools.combinations(sorted(x), n)]


def relation(p, h):
    """The label by trying worlds: 0 if the second is true in all in which the first is, 2 if in none."""
    nouns, adjectives = {}, {}
    for said, part in itertools.product((p, h), ("who", "whom")):
        nouns.setdefault(top(said[part]), set()).add(said[part])
        adjectives.setdefault(top(said[part]), set()).update({said[part + "_is"]} - {None})
    somebody = {kind: list(itertools.product(sorted(nouns[kind]), subsets(adjectives[kind]))) for kind in nouns}
    happenings = list(itertools.product(*({p[part], h[part], "another"} for part in ("did", "where", "when"))))
    pairs = sorted({(top(said["who"]), top(said["whom"])) for said in (p, h)})

    def is_a(said, part, one):
        return said[part] in kinds(one[0]) and said[part + "_is"] in (None, *one[1])

    def happened(said, happening):
        return all(said[part] in (None, x) for part, x in zip(("did", "where", "when"), happening))

    def true_of_known(said, world):
        """The two are what is said of them, and of what the one does to the other (at most one thing) it is true."""
        who, whom = (world[top(said[part])] for part in ("who", "whom"))
        happening = world[top(said["who"]), top(said["whom"])]
        done = happening is not None and happened(said, happening)
        return is_a(said, "who", who) and is_a(said, "whom", whom) and done != said["negated"]

    def true_of_any(said, world):
        """There is a group of enough who are it and did it; or there is none."""
        return said["negated"] != any(
            n >= COUNTS.index(said["count"]) and (top(who[0]), top(whom[0])) == (top(said["who"]), top(said["whom"]))
            and is_a(said, "who", who) and is_a(said, "whom", whom) and happened(said, happening)
            for n, who, whom, happening in world)

    if p["count"] == "the":
        keys, true = [*somebody, *pairs], true_of_known
        worlds = (dict(zip(keys, values)) for values in itertools.product(
            *somebody.values(), *[[None, *happenings]] * len(pairs)))
    else:
        true = true_of_any
        least = [(COUNTS.index(said["count"]), (said["who"], (said["who_is"],)), (said["whom"], (said["whom_is"],)),
                  tuple(said[part] or "another" for part in ("did", "where", "when"))) for said in (p, h)]
        worlds = itertools.chain([[], least], ([group] for who, whom in pairs for group in itertools.product(
            (1, 2, 3), somebody[who], somebody[whom], happenings)))
    truths = {(true(p, world), true(h, world)) for world in worlds}
    assert (True, True) in truths or (True, False) in truths
    return 0 if (True, False) not in truths else 2 if (True, True) not in truths else 1


@pytest.mark.parametrize("held_out", [False, True])
def test_the_label_is_that_of_all_worlds(held_out):
    for p, h, label in zip(*entailment_pairs(90, np.random.default_rng(1), held_out)):
        (_, first), (_, second) = read(p), read(h)
        assert relation(first, second) == label, (p, h)
        if label == 2:
            assert relation(second, first) == 2, (h, p)


def test_of_the_neutral_pairs_many_are_so_by_the_order_of_words_alone():
    """Exchange nouns or adjectives of the premise, and the same words imply the hypothesis, or rule it out."""
    by_order = []
    for p, h, label in zip(*entailment_pairs(240, np.random.default_rng(3))):
        (_, p), (_, h) = read(p), read(h)
        q = {**p, "who_is": p["whom_is"], "whom_is": p["who_is"]}
        others = [q] + [{**x, "who": x["whom"], "whom": x["who"]} for x in (p, q) if top(p["whom"]) != "object"]
        by_order += [any(relation(other, h) != 1 for other in others)] * (label == 1)
    print(f"of {len(by_order)} neutral pairs {np.mean(by_order):.0%}")
    assert np.mean(by_order) > 0.25


def test_labels_are_as_frequent_and_all_comes_from_the_generator():
    for n in (0, 1, 30, 100):
        premises, hypotheses, labels = entailment_pairs(n, np.random.default_rng(4))
        assert len(premises) == len(hypotheses) == len(labels) == n
        assert n < 3 or set(Counter(labels).values()) <= {n // 3, n // 3 + 1}
        assert n < 30 or labels != sorted(labels)
    one, same, other = (entailment_pairs(100, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert one == same != other


def test_templates_of_held_out_pairs_are_in_no_other_and_their_words_are():
    parts = [entailment_pairs(1500, np.random.default_rng(0), held_out) for held_out in (False, True)]
    templates, words = ([{x for texts in part[:2] for text in texts for x in of(text)} for part in parts]
                        for of in (lambda text: [read(text)[0]], str.split))
    assert len(templates[0]) == 5 and len(templates[1]) == 3 and not templates[0] & templates[1]
    assert words[0] == words[1]
    assert not any(" by no " in text for part in parts for texts in part[:2] for text in texts)


def accuracy(features, labels, train=2000):
    """Of least squares on one-hot labels: right among the pairs after the first."""
    X, y = np.column_stack([features, np.ones(len(features))]), np.array(labels)
    W = np.linalg.lstsq(X[:train].T @ X[:train] + np.eye(X.shape[1]), X[:train].T @ np.eye(3)[y[:train]], rcond=None)[0]
    return ((X[train:] @ W).argmax(1) == y[train:]).mean()


def test_neither_a_hypothesis_alone_nor_words_without_order_give_the_label():
    premises, hypotheses, labels = entailment_pairs(4000, np.random.default_rng(2))
    place = {word: i for i, word in enumerate(sorted({word for text in hypotheses for word in text.split()}))}
    p, h = (np.zeros((4000, len(place))) for _ in range(2))
    for bags, texts in ((p, premises), (h, hypotheses)):
        for row, text in zip(bags, texts):
            np.add.at(row, [place[word] for word in text.split()], 1)
    alone, both = accuracy(h, labels), accuracy(np.column_stack([p, h, abs(p - h), p * h]), labels)
    print(f"hypothesis alone {alone:.3f}, two bags of words {both:.3f}")
    assert abs(alone - 1 / 3) < 0.035 and 0.4 < both < 0.8


# -------------------------------------------------------------------------------------------------- similar_pairs


def agreement(a, b):
    return 1 if a == b else 0.5 if a in KINDS and KINDS[a] == KINDS.get(b) else 0


def test_the_score_counts_the_parts_of_the_meaning_that_agree():
    texts, others, scores = similar_pairs(300, np.random.default_rng(0))
    assert (texts, others, scores) == similar_pairs(300, np.random.default_rng(0))
    for a, b, score in zip(texts, others, scores):
        (_, a), (_, b) = read(a), read(b)
        parts = [agreement(a[part], b[part]) for part in ("who", "did", "whom", "where", "when", "negated")]
        assert score == pytest.approx(5 * np.mean(parts))
    assert min(scores) < 1 and max(scores) == 5 and np.std(scores) > 1
    exchanged = [score for a, b, score in zip(texts, others, scores) if read(a)[1]["who"] == read(b)[1]["whom"]]
    assert exchanged and max(exchanged) < 4


def test_templates_can_be_kept_for_judging():
    of_entailment = {read(text)[0] for text in entailment_pairs(300, np.random.default_rng(0))[0]}
    for held_out, more in ((False, 0), (True, 3)):
        texts, others, _ = similar_pairs(300, np.random.default_rng(0), held_out=held_out)
        templates = {read(text)[0] for text in texts + others}
        assert of_entailment <= templates and len(templates) == len(of_entailment) + more


def test_a_mean_of_words_is_near_the_score_and_weights_bring_it_nearer():
    texts, others, scores = similar_pairs(1500, np.random.default_rng(0))
    counts = Counter(word for text in texts + others for word in text.split())
    rng, total = np.random.default_rng(1), counts.total()
    meaning = {word: ACT.get(word, word) for word in counts}  # synonyms have one vector
    vectors = {act: rng.normal(size=64) for act in dict.fromkeys(meaning.values())}

    def found(weight):
        rows = {word: weight(n / total) * vectors[meaning[word]] for word, n in counts.items()}
        a, b = (np.array([sum(rows[word] for word in text.split()) for text in side]) for side in (texts, others))
        return spearman((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1), scores).statistic

    mean, weighted = found(lambda p: 1), found(lambda p: 0.01 / (0.01 + p))
    print(f"Spearman: mean of words {mean:.2f}, weighted by a / (a + p) {weighted:.2f}")
    assert 0.5 < mean < weighted - 0.05 < 0.9
