"""Scenes (who did what to whom, where and when) and the English sentences that describe them.

`entailment_pairs` and `similar_pairs` are made of these: what a sentence means is known, since it was there first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
KINDS = {word: kind for kind, words in {  # a farmer is a worker, a worker is a person
    "person": "worker child", "worker": "farmer nurse pilot baker", "child": "boy girl",
    "animal": "dog bird horse", "dog": "poodle terrier", "bird": "sparrow parrot",
    "object": "vehicle instrument", "vehicle": "van truck tractor", "instrument": "guitar violin piano",
}.items() for word in words.split()}
# What persons and animals do to each other, and persons to objects: synonyms, and those of the opposite.
ACTS = {
    "animal": [("watch observe", "ignore disregard"), ("help assist", "hinder hamper"), ("love adore", "hate detest"),
               ("attack assail", "protect defend"), ("release free", "seize capture"), ("calm soothe", "annoy vex")],
    "object": [("push shove", "pull haul"), ("repair mend", "damage wreck"), ("clean wash", "soil stain"),
               ("conceal cover", "reveal display")]}
OPPOSITE = {a: b for pairs in ACTS.values() for pair in pairs for a, b in (pair, pair[::-1])}
ADJECTIVES = ["old", "small", "dirty", "strong", "famous", "lonely"]
OPTIONS = {  # what a sentence may also say
    "who_is": ADJECTIVES, "whom_is": ADJECTIVES,
    "where": ["in the garden", "near the river", "behind the barn", "at the market", "on the bridge", "under a tree"],
    "when": ["at night", "in the morning", "on Sunday", "after lunch", "before the storm", "during the festival"]}
COUNTS = ["the", "some", "two", "three"]  # a later one says more
PLURALS = {"person": "people", "child": "children"}


@dataclass(frozen=True)
class Scene:
    """What a sentence says: that `who` did to `whom` what the synonyms `did` name; or, negated, that they did not.

    With the count "the" it is of two that are known, "the farmer" and "the dog". With another it is of any, "some (two)
    farmers" and "a dog", or if negated "no farmer" and "a dog". Of an adjective, place or time None nothing is said.
    """

    who: str
    did: str
    whom: str
    count: str = "the"
    negated: bool = False
    who_is: str | None = None
    whom_is: str | None = None
    where: str | None = None
    when: str | None = None


@dataclass(frozen=True)
class Template:
    """How it is said: reported ("we know that …"), cleft ("it was … that …", "there was … that …"), in the passive."""

    reported: bool = False
    cleft: bool = False
    passive: bool = False


# What held-out templates are made of is in the others, too: no word is new, but the way words are put together.
TEMPLATES = [Template(), Template(reported=True), Template(cleft=True), Template(passive=True),
             Template(reported=True, cleft=True, passive=True)]
HELD_OUT = [Template(cleft=True, passive=True), Template(reported=True, passive=True),
            Template(reported=True, cleft=True)]


@functools.cache
def kinds(noun: str) -> tuple[str, ...]:
    """A noun and what it is a kind of: poodle, dog, animal."""
    return noun, *(kinds(KINDS[noun]) if noun in KINDS else ())


NOUNS = {top: [noun for noun in KINDS if noun not in KINDS.values() and kinds(noun)[-1] == top]
         for top in ("person", "animal", "object")}  # farmer and nurse, not worker


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def draw_scene(rng: np.random.Generator) -> Scene:
    """A scene between a person and an animal, or a person and an object, of which all is said; "the", not negated."""
    kind = one_of(rng, ["animal", "object"])
    who, whom = one_of(rng, NOUNS["person"]), one_of(rng, NOUNS[kind])
    if kind == "animal" and rng.random() < 0.5:
        who, whom = whom, who
    more: dict[str, Any] = {part: one_of(rng, options) for part, options in OPTIONS.items()}
    return replace(Scene(who, one_of(rng, one_of(rng, ACTS[kind])), whom), **more)


def say(scene: Scene, template: Template, rng: np.random.Generator) -> str:
    """A sentence that says it; which of the synonyms, and where place and time stand, is drawn.

    >>> scene, rng = Scene("farmer", "watch observe", "dog", who_is="old", when="at night"), np.random.default_rng(1)
    >>> print(say(scene, Template(), rng), say(scene, Template(cleft=True, passive=True), rng), sep="; ")
    at night the old farmer watched the dog; it was the dog that was observed by the old farmer at night
    """
    verb, known = one_of(rng, scene.did.split()), scene.count == "the"
    past = verb + ("d" if verb.endswith("e") else "ed")
    if known:
        counts = "the", "the"
    elif scene.negated:
        counts = ("a", "no") if template.passive else ("no", "a")  # no dog was watched by a farmer
    else:
        counts = scene.count, "a"
    who, whom = _phrase(counts[0], scene.who_is, scene.who), _phrase(counts[1], scene.whom_is, scene.whom)
    not_ = "not " if known and scene.negated else ""
    if template.passive:
        first, rest = whom, f"was {not_}{past} by {who}"
    else:
        first, rest = who, f"did not {verb} {whom}" if not_ else f"{past} {whom}"
    if template.cleft:
        there = "it was" if known else "there were" if first.startswith(tuple(COUNTS[1:])) else "there was"
        first = f"{there} {first} that"
    around = [words for words in (scene.where, scene.when) if words]
    if rng.random() < 0.5:
        around.reverse()
    before = [around.pop()] if around and rng.random() < 0.3 else []
    return " ".join([*["we know that"] * template.reported, *before, first, rest, *around])


def _phrase(count: str, adjective: str | None, noun: str) -> str:
    """An old farmer, two old farmers, three people."""
    words = [adjective, noun] if adjective else [noun]
    if count in COUNTS[1:]:
        words[-1] = PLURALS.get(noun, noun + "s")
    return " ".join(["an" if count == "a" and words[0][0] in "aeiou" else count, *words])
