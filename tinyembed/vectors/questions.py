"""Word analogies and word similarity: evaluation of word vectors against people's judgements."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..core import blocks, warn
from ..files import Source, short
from .correlation import Correlation, pearson, spearman
from .search import nearest

Words = tuple[str, str, str, str]
Questions = str | os.PathLike[str] | Mapping[str, Iterable[Words]]
Pairs = str | os.PathLike[str] | Iterable[tuple[str, str, float]]


def evaluate_word_analogies(wv: Any, analogies: Questions, restrict_vocab: int | None = 300000,
                            case_insensitive: bool = True, dummy4unknown: bool = False
                            ) -> tuple[float, list[dict[str, Any]]]:
    """Accuracy on questions "a is to b as c is to what": right if the word nearest to b - a + c is the one expected.

        nearest by cosine to  b/|b| - a/|a| + c/|c|,  without a, b, c          (Mikolov et al. 2013, 3CosAdd)

    wv                KeyedVectors
    analogies         a file of lines "a b c d", in sections that a line ": NAME" begins (questions-words.txt); or a
                      dict from names to lists of (a, b, c, d)
    restrict_vocab    ask and answer with the first keys only, the most frequent ones where they stand by frequency
    case_insensitive  compare words in upper case; of words that are then the same, the first one counts
    dummy4unknown     questions with unknown words count as wrong, and are not left out

    Returns (accuracy, sections), gensim's: each section is {"section": name, "correct": [(a, b, c, d), …],
    "incorrect": […]}, the last one is the sum, "Total accuracy". Accuracy is 0 where no question could be asked.
    Raises ValueError for a question before the first section, for one in a dict that is no four words, and where there
    are none at all.

    >>> from tinyembed.vectors import KeyedVectors
    >>> wv = KeyedVectors(keys=["king", "queen", "man", "woman"],
    ...                   vectors=[[1, 1, 0], [1, -1, 0], [0, 1, 1], [0, -1, 1]])
    >>> evaluate_word_analogies(wv, {"royal": [("man", "king", "woman", "queen")]})[0]
    1.0
    """
    fold, known = _first_keys(wv, restrict_vocab, case_insensitive)
    sections: list[dict[str, Any]] = []
    asked = []  # (section, question, rows), of all known words
    for name, words in _questions(analogies):
        if words is None:
            sections.append({"section": name, "correct": [], "incorrect": []})
            continue
        question = tuple(map(fold, words))
        rows = [known.get(word, -1) for word in question]
        if -1 not in rows or dummy4unknown:
            asked.append((sections[-1], question, rows))
    if not sections:
        raise ValueError(f"no questions in {analogies}")
    answers = _answers(wv, [rows[:3] for _, _, rows in asked if -1 not in rows], restrict_vocab)
    for section, question, rows in asked:
        right = -1 not in rows and question[3] == next(
            (word for word in map(fold, next(answers)) if word not in question[:3]), None)
        section["correct" if right else "incorrect"].append(question)
    total = {"section": "Total accuracy", "correct": [q for s in sections for q in s["correct"]],
             "incorrect": [q for s in sections for q in s["incorrect"]]}
    return len(total["correct"]) / (len(total["correct"]) + len(total["incorrect"]) or 1), [*sections, total]


def _answers(wv: Any, questions: list[list[int]], stop: int | None) -> Iterator[list[str]]:
    """For each question, rows of (a, b, c): the keys nearest to b - a + c, three for a, b, c themselves, five more."""
    for some in blocks(len(questions), entries=256):
        rows = np.array(questions[some])
        units = wv.vectors[rows].astype(np.float64)
        units /= np.maximum(wv.norms[rows], np.finfo(np.float32).tiny)[:, :, None]
        queries = units[:, 1] - units[:, 0] + units[:, 2]
        queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        with wv.naming():
            found = nearest(wv.vectors, wv.norms, queries, 8, 0, stop)
        for ids, _ in found:
            yield [str(wv.index_to_key[i]) for i in ids]


def evaluate_word_pairs(wv: Any, pairs: Pairs, delimiter: str = "\t", encoding: str = "utf8",
                        restrict_vocab: int | None = 300000, case_insensitive: bool = True,
                        dummy4unknown: bool = False) -> tuple[Correlation, Correlation, float]:
    """Correlation of the vectors' similarities with those that people gave to pairs of words.

    wv      KeyedVectors
    pairs   a file of lines "word, delimiter, word, delimiter, number", "#" before comments (wordsim353.tsv); or a list
            of (word, word, number)
    The other arguments are those of `evaluate_word_analogies`; with dummy4unknown unknown pairs have similarity 0.

    Returns gensim's (Pearson's correlation, Spearman's, per cent of pairs with unknown words); a correlation is
    (statistic, pvalue). Raises ValueError if no pair is known, and for one in a list that is no pair and number.

    >>> from tinyembed.vectors import KeyedVectors
    >>> wv = KeyedVectors(keys=["cat", "lion", "car"], vectors=[[2, 1], [1, 1], [-1, 2]])
    >>> people = [("cat", "lion", 8.0), ("cat", "car", 1.0), ("lion", "car", 1.5), ("cat", "dog", 7.0)]
    >>> _, (rho, _), unknown = evaluate_word_pairs(wv, people)
    >>> rho, unknown
    (1.0, 25.0)
    """
    fold, known = _first_keys(wv, restrict_vocab, case_insensitive)
    given, found, unknown = [], [], 0
    for a, b, score in _pairs(pairs, delimiter, encoding):
        rows = [known.get(fold(word), -1) for word in (a, b)]
        unknown += -1 in rows
        if -1 not in rows or dummy4unknown:
            given.append(score)
            found.append(0.0 if -1 in rows else float(wv.similarity(*(wv.index_to_key[row] for row in rows))))
    if len(given) < 2:
        raise ValueError(f"{len(given)} of {len(given) + unknown} pairs are known, and a correlation takes two")
    share = 100 * unknown / (len(given) + (0 if dummy4unknown else unknown))
    return pearson(given, found), spearman(given, found), share


def _first_keys(wv: Any, restrict_vocab: int | None, case_insensitive: bool) -> tuple[Any, dict[str, int]]:
    """How words are compared, and the rows of the first keys."""
    if restrict_vocab is not None and restrict_vocab < 0:
        raise ValueError(f"restrict_vocab is a number of keys, or None for all, not {restrict_vocab}")
    fold = str.upper if case_insensitive else str
    keys = wv.index_to_key[:restrict_vocab]
    return fold, {fold(str(key)): i for i, key in reversed(list(enumerate(keys)))}


def _questions(analogies: Questions) -> Iterator[tuple[str, Words | None]]:
    """(section, question), and at the beginning of each section (section, None)."""
    if isinstance(analogies, Mapping):
        for section, questions in analogies.items():
            yield section, None
            for a, b, c, d in _rows(questions, f"analogies[{section!r}]", "four words", 4):
                yield section, (str(a), str(b), str(c), str(d))
        return
    if not isinstance(analogies, (str, os.PathLike)):
        raise TypeError(f"analogies are a file, or a dict from names to lists of questions, not {short(analogies)}")
    name: str | None = None
    strange = PassedOver(analogies)
    with Source(analogies) as source:
        for number, line in enumerate(source.lines(), 1):
            words = line.decode("utf-8", "replace").split()
            if line.startswith(b": "):
                name = " ".join(words[1:])
                yield name, None
            elif name is None:
                raise ValueError(f"{analogies}, line {number}: stands before the first section, which ': NAME' begins")
            elif len(words) == 4:
                yield name, (words[0], words[1], words[2], words[3])
            elif words:
                strange.add(number, line)
    strange.warn()


def _pairs(pairs: Pairs, delimiter: str, encoding: str) -> Iterator[tuple[str, str, float]]:
    if not isinstance(pairs, (str, os.PathLike)):
        for a, b, score in _rows(pairs, "pairs", "two words and a number", 2):
            yield str(a), str(b), float(score)
        return
    strange = PassedOver(pairs)
    with Source(pairs) as source:
        for number, line in enumerate(source.lines(), 1):
            if line.startswith(b"#") or not line.strip():
                continue
            try:
                a, b, score = line.decode(encoding).split(delimiter)
                if not math.isfinite(value := float(score)):
                    raise ValueError
            except ValueError:
                strange.add(number, line)
            else:
                yield a, b, value
    strange.warn()


def _rows(rows: Any, what: str, form: str, words: int) -> Iterator[Any]:
    """Each of some rows of words, and behind two a number; ValueError, with its place, for what is none."""
    if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping)):
        raise TypeError(f"{what} is {short(rows)}, where a list of rows stands, each of {form}")
    for i, row in enumerate(rows):
        try:
            *names, score = row if words == 2 else (*row, 0.0)
            fits = len(names) == words and all(isinstance(name, (str, int, np.integer)) for name in names)
            fits = fits and not isinstance(row, (str, bytes)) and math.isfinite(score)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ValueError(f"{what}[{i}] is {short(row)}, where {form} stand")
        yield row


class PassedOver:
    """Lines of a file that are no questions: said once, in the end, as there may be millions."""

    def __init__(self, path: Any) -> None:
        self.path, self.first, self.count = path, "", 0

    def add(self, number: int, line: bytes) -> None:
        self.first = self.first or f"line {number}: passed over {line[:60]!r}, which is no question"
        self.count += 1

    def warn(self) -> None:
        if self.count:
            more = f"; and so were {self.count - 1:,} lines more" if self.count > 1 else ""
            warn(f"{self.path}, {self.first}{more}")
