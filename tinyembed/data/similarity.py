"""Synthetic sentence pairs with a similarity score from 0 to 5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .scenes import ACTS, HELD_OUT, KINDS, NOUNS, OPTIONS, TEMPLATES, Scene, draw_scene, kinds, one_of, say

PARTS = ("who", "did", "whom", "where", "when", "negated")
PLACES, TIMES = ([*[None] * 4, *OPTIONS[part]] for part in ("where", "when"))  # often there is none


def similar_pairs(n: int, rng: np.random.Generator, held_out: bool = True
                  ) -> tuple[list[str], list[str], list[float]]:
    """n pairs of sentences for semantic textual similarity: (texts, other texts, scores from 0 to 5).

    A scene has six parts: who did what to whom, where, when, and whether at all. The second is the first with some
    parts drawn anew, from none to all, or now and then with the two nouns exchanged. The score counts what agrees,

        5 / 6 * (who + what + to whom + where + when + whether), each 1 if it agrees, else 0;

    nouns of a kind (farmer, nurse; sparrow, parrot) agree by 1/2, a place or a time that neither names by 1. Templates
    and synonyms are drawn for each sentence, and no part of the score. So a mean of word vectors is near it, and misses
    who did it to whom; rare words carry the meaning, and words like "that" and "was", of the templates, blur it.

    held_out   False: without the templates that `entailment_pairs` holds out

    >>> texts, others, scores = similar_pairs(2, np.random.default_rng(3))
    >>> texts[0], others[0], scores[0]
    ('the farmer cleaned the truck on Sunday', 'the truck was washed by the farmer on Sunday', 5.0)
    """
    texts, others, scores, templates = [], [], [], TEMPLATES + held_out * HELD_OUT
    for _ in range(n):
        a = replace(draw_scene(rng), who_is=None, whom_is=None, negated=rng.random() < 0.25,
                    where=one_of(rng, PLACES), when=one_of(rng, TIMES))
        b = _changed(a, rng)
        texts.append(say(a, one_of(rng, templates), rng))
        others.append(say(b, one_of(rng, templates), rng))
        scores.append(5 * sum(_agreement(getattr(a, part), getattr(b, part)) for part in PARTS) / len(PARTS))
    return texts, others, scores


def _agreement(x: Any, y: Any) -> float:
    return 1.0 if x == y else 0.5 if x in KINDS and KINDS[x] == KINDS.get(y) else 0.0


def _changed(scene: Scene, rng: np.random.Generator) -> Scene:
    """With some of its parts drawn anew, or with the nouns exchanged."""
    kind = "object" if kinds(scene.whom)[-1] == "object" else "animal"
    if kind == "animal" and rng.random() < 0.25:
        scene = replace(scene, who=scene.whom, whom=scene.who)
    choices: dict[str, list[Any]] = {
        "who": NOUNS[kinds(scene.who)[-1]], "whom": NOUNS[kinds(scene.whom)[-1]],
        "did": [act for pair in ACTS[kind] for act in pair], "where": PLACES, "when": TIMES, "negated": [False, True]}
    for part in rng.permutation(PARTS)[:rng.integers(len(PARTS) + 1)].tolist():
        scene = replace(scene, **{part: one_of(rng, choices[part])})
    return scene
