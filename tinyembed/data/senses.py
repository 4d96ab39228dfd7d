"""Sentences in which one word has two senses: what static vectors cannot tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Language:
    """The word of two senses; frames, sentences with places to fill; what fills them, whatever the sense; and, for each
    sense, what tells it."""

    word: str
    frames: list[str]
    shared: dict[str, list[str]]
    senses: dict[str, dict[str, list[str]]]


LANGUAGES = {
    "english": Language("bank", [
        "{who} {went} to the {kind} bank {about} {time}", "{time} {who} {saw} the {kind} bank {about}",
        "the {kind} bank {about} was {state} {time}", "{who} {saw} a {kind} bank and {who} {went} there {about}"], {
        "who": ["she", "he", "my uncle", "the teacher", "our neighbour", "they"],
        "went": ["went", "walked", "came", "returned"], "saw": ["saw", "liked", "remembered", "looked for"],
        "state": ["quiet", "busy", "far away", "well known"], "time": ["today", "last week", "in the morning", "again"]
        }, {
        "river": {"kind": ["grassy", "muddy", "sandy", "steep", "green"], "about": [
            "of the river", "near the water", "under the trees", "of the stream", "where the boats lay",
            "to catch fish"]},
        "money": {"kind": ["central", "commercial", "national", "private", "investment"], "about": [
            "for a loan", "with the cash", "about the interest", "to open an account", "for the mortgage",
            "to change money"]}}),
    "chinese": Language("苹果", [
        "{who} {time} {saw} {kind} 苹果 {about}", "{time} {who} {saw} {kind} 苹果 {about}",
        "{who} 说 {kind} 苹果 {about} 很 {state}", "{time} {kind} 苹果 {about} 很 {state}"], {
        "who": ["我", "她", "弟弟", "老师", "邻居", "他们"], "saw": ["看到", "说起", "喜欢", "想要"],
        "state": ["好", "多", "贵", "少"], "time": ["今天", "昨天", "上周", "又"]}, {
        "fruit": {"kind": ["红", "甜", "新鲜", "成熟", "酸"], "about": [
            "在 果园 里", "和 香蕉", "和 梨", "在 树 上", "做 果汁", "在 厨房 里"]},
        "phone": {"kind": ["智能", "最新", "黑色", "上市", "美国"], "about": [
            "发布 手机", "和 电脑", "的 软件", "在 股市 上", "公司 里", "的 芯片"]}}),
}


@dataclass
class Senses:
    """Sentences as lists of words; in each the ambiguous `word` stands once, at `places`, in the sense of `senses`."""

    word: str
    sentences: list[list[str]]
    places: list[int]
    senses: list[str]


def two_senses(language: str = "english", n: int = 400, seed: int = 0) -> Senses:
    """n sentences with a word of two senses: "bank" of a river or for money; "苹果", the fruit or the maker of phones.

    Half of them of each sense, in random order. Both senses stand in the same frames; only the words around tell which
    is meant. Chinese is given as words, too. The same seed gives the same sentences.

    >>> corpus = two_senses("english", 2)
    >>> [(" ".join(words), sense) for words, sense in zip(corpus.sentences, corpus.senses)][0]
    ('the sandy bank near the water was busy today', 'river')
    """
    if language not in LANGUAGES:
        raise ValueError(f"there are patterns in {' and '.join(LANGUAGES)}, not in {language!r}")
    chosen, rng = LANGUAGES[language], np.random.default_rng(seed)
    found, names = Senses(chosen.word, [], [], []), list(chosen.senses)
    for i in rng.permutation(n).tolist():
        fill = {**chosen.shared, **chosen.senses[names[i % 2]]}
        words: list[str] = []
        for place in chosen.frames[rng.integers(len(chosen.frames))].split():
            options = fill[place[1:-1]] if place.startswith("{") else [place]
            words += options[rng.integers(len(options))].split()
        found.sentences.append(words)
        found.places.append(words.index(chosen.word))
        found.senses.append(names[i % 2])
    return found
