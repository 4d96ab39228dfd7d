"""Synthetic sentence pairs for natural language inference: entailment, neutral, contradiction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .scenes import COUNTS, HELD_OUT, OPPOSITE, OPTIONS, TEMPLATES, Scene, draw_scene, kinds, one_of, say

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
THEY, HAPPENING = ("who", "who_is", "whom", "whom_is"), ("did", "where", "when")
# "nouns" and "adjectives" are exchanged, which no bag of words can see.
CHANGES = ("who", "whom", "did", "negated", "count", *OPTIONS, *["nouns", "adjectives"] * 4)


def entailment_pairs(n: int, rng: np.random.Generator, held_out: bool = False
                     ) -> tuple[list[str], list[str], list[int]]:
    """n pairs of sentences, (premises, hypotheses, labels): 0 entailment, 1 neutral, 2 contradiction, as often each.

    rng       decides all: the same state gives the same pairs
    held_out  pairs of three templates that are in no pair without it; their words are in both

    Both sentences speak of one happening: who did what to whom, where and when. The hypothesis is drawn before the
    label, so alone it says nothing about it. The premise is the hypothesis with up to three changes; what they come to
    is worked out by `relation`. One alone, where the premise is affirmed:

        from premise to hypothesis                                label
        another template: passive, cleft, reported                entailment
        a verb and its synonym: watched, observed                 entailment
        a noun and what it is a kind of: poodle, dog, animal      entailment (the other way: neutral)
        an adjective, a place or a time left out                  entailment (the other way: neutral)
        three, two, some                                          entailment (the other way: neutral)
        "did" and "did not", "some" and "no"                      contradiction
        a verb and its opposite: loved, hated                     contradiction, of "the" farmer; of "some": neutral
        the two nouns exchanged, or their adjectives              neutral

    Denials turn this round: "no farmer loved a dog" implies that no farmer loved a dog at night, and "the farmer hated
    the dog" implies that he did not love it. What "the" farmer and dog are is not denied: "the old farmer did not love
    the dog" implies that the farmer did not. Half of all hypotheses are denials.

    >>> premises, hypotheses, labels = entailment_pairs(30, np.random.default_rng(2))
    >>> premises[0], hypotheses[0], labels[0]
    ('there was no person that damaged an instrument',
     'no instrument was damaged by a person during the festival', 0)
    """
    templates, labels = HELD_OUT if held_out else TEMPLATES, rng.permutation(np.arange(n) % 3).tolist()
    premises, hypotheses = [], []
    for label in labels:
        whole, negated = draw_scene(rng), rng.random() < 0.5
        count = "the" if rng.random() < 0.5 else "some" if negated else one_of(rng, COUNTS[1:])
        left_out: dict[str, Any] = {part: None for part in OPTIONS if rng.random() < 0.5}
        h = replace(whole, who=one_of(rng, kinds(whole.who)), whom=one_of(rng, kinds(whole.whom)), count=count,
                    negated=negated, **left_out)
        p = _changed(h, whole, rng)
        while relation(p, h) != label or (p == h and rng.random() < 0.7):  # the same in other words comes too easily
            p = _changed(h, whole, rng)
        premise = hypothesis = say(h, one_of(rng, templates), rng)
        while premise == hypothesis:
            premise = say(p, one_of(rng, templates), rng)
        premises.append(premise)
        hypotheses.append(hypothesis)
    return premises, hypotheses, labels


def relation(p: Scene, h: Scene) -> int:
    """The label of two scenes, both with "the" or both without: whether p implies h, or rules it out, or neither.

    A scene says what its nouns are, and that something happened (or that it did not). With "the", what the nouns are is
    not denied with it, and opposite acts exclude each other. Without, all of it is denied, and nothing is excluded.
    """
    known = p.count == "the"
    if known and not all(a in kinds(b) or b in kinds(a) for a, b in ((p.who, h.who), (p.whom, h.whom))):
        return NEUTRAL  # exchanged: another happening
    outside, inside = (THEY, HAPPENING) if known else ((), ("count", *THEY, *HAPPENING))  # the negation
    described, excluded = _says(p, h, outside), known and p.did == OPPOSITE[h.did]
    if p.negated:
        implied, excluded = h.negated and _says(h, p, inside), not h.negated and _says(h, p, inside)
    elif h.negated:
        implied, excluded = excluded, _says(p, h, inside)
    else:
        implied = _says(p, h, inside)
    return ENTAILMENT if implied and described else CONTRADICTION if excluded else NEUTRAL


def _says(p: Scene, h: Scene, parts: tuple[str, ...]) -> bool:
    """Whether of these parts p says all that h says."""
    for part in parts:
        a, b = getattr(p, part), getattr(h, part)
        if part in ("who", "whom"):
            implied = b in kinds(a)
        elif part == "count":
            implied = COUNTS.index(a) >= COUNTS.index(b)
        else:
            implied = b is None or a == b
        if not implied:
            return False
    return True


def _changed(scene: Scene, whole: Scene, rng: np.random.Generator) -> Scene:
    """With one to three changes drawn at random: what they add is of the whole; one that it does not allow is none."""
    for _ in range(rng.integers(1, 4)):
        scene = _change(scene, whole, one_of(rng, CHANGES), rng)
    return scene


def _change(s: Scene, whole: Scene, what: str, rng: np.random.Generator) -> Scene:
    if what == "adjectives":
        return replace(s, who_is=s.whom_is, whom_is=s.who_is)
    if what == "nouns":  # (no van loves a farmer)
        return s if kinds(s.whom)[-1] == "object" else replace(s, who=s.whom, whom=s.who, who_is=s.whom_is,
                                                               whom_is=s.who_is)
    if what == "negated":
        return replace(s, negated=not s.negated, count="the" if s.count == "the" else "some")
    value: Any = getattr(s, what)
    if what == "did":
        value = OPPOSITE[value]
    elif what == "count":
        value = value if value == "the" or s.negated else one_of(rng, COUNTS[1:])
    elif what in OPTIONS:
        value = None if value else getattr(whole, what)
    else:
        value = one_of(rng, next(kinds(noun) for noun in (whole.who, whole.whom) if value in kinds(noun)))
    return replace(s, **{what: value})
