"""A synthetic corpus with planted structure: word classes, pairs and analogies with known answers.

Each word has two features, those of its row and of its column in a grid: `queen` is royal and female, `paris` French
and a capital. A feature shows in the company that a word keeps: it has context words of its own, and a sentence about
a word is filled with those of its two features and of its grid. So the chance of a context word depends on one
feature at a time; its logarithm, which word vectors learn, is a sum over features, and the analogies of a grid hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product

import numpy as np

from ..files import atomic_write

GRIDS = {
    "gender": (("male", "female"), """king queen  prince princess  duke duchess  emperor empress  count countess
               baron baroness  man woman  boy girl  father mother  son daughter  uncle aunt  actor actress"""),
    "capitals": (("country", "capital"), """france paris  italy rome  spain madrid  austria vienna  poland warsaw
                 norway oslo  sweden stockholm  denmark copenhagen  greece athens  portugal lisbon  egypt cairo
                 japan tokyo  china beijing  india delhi  kenya nairobi  cuba havana"""),
    "tense": (("present", "past"), """walk walked  play played  work worked  look looked  call called  help helped
              open opened  cook cooked  jump jumped  paint painted  clean cleaned  laugh laughed  travel travelled
              dance danced  smile smiled  listen listened"""),
}


@dataclass(frozen=True)
class Planted:
    """What `planted_corpus` made.

    sentences   lists of words
    analogies   grid -> questions (a, b, c, d): a is to b as c is to d; for `evaluate_word_analogies`
    classes     word -> its column: "male", "capital", "past" …
    pairs       (word, word, likeness): 0 of two grids, 1 of one grid, 2 of one row or column; for `evaluate_word_pairs`
    """

    sentences: list[list[str]]
    analogies: dict[str, list[tuple[str, str, str, str]]]
    classes: dict[str, str]
    pairs: list[tuple[str, str, float]]

    def write_analogies(self, path: str | os.PathLike[str]) -> None:
        """Write the questions in the format of questions-words.txt."""
        lines = (f": {name}\n" + "".join(" ".join(q) + "\n" for q in qs) for name, qs in self.analogies.items())
        atomic_write(path, "".join(lines).encode())


def planted_corpus(seed: int = 0, *, repeats: int = 200, length: int = 8, noise: float = 0.0) -> Planted:
    """Make sentences about kings and queens, capitals and tenses; the same ones for the same seed.

    repeats   sentences about each of the 88 words, before they are shuffled
    length    words of a sentence: one of the 88, and context words around it
    noise     share of the context words that are any at all: with more of it, or fewer repeats, less can be learnt

    Word2Vec of 50 dimensions and 5 epochs, gensim's say, gets all the analogies of the default right, a random table
    none. Raises ValueError for settings that make no corpus.

    >>> corpus = planted_corpus(repeats=3)
    >>> corpus.sentences[0], corpus.classes["empress"]
    (['begu', 'bame', 'bami', 'bamu', 'empress', 'bale', 'bala', 'bamu'], 'female')
    """
    if repeats < 1 or length < 2 or not 0 <= noise <= 1:
        raise ValueError("repeats must be at least 1, length at least 2, noise between 0 and 1; got "
                         f"{repeats}, {length} and {noise}")
    rng = np.random.default_rng(seed)
    names, everything = _invented(), np.array([*_invented()])
    cells: dict[str, tuple[str, int, str]] = {}  # word -> grid, row, column
    analogies, sentences = {}, []
    for grid, (columns, text) in GRIDS.items():
        words = text.split()
        rows = [*zip(words[::2], words[1::2])]
        analogies[grid] = [(*a, *b) for a in rows for b in rows if a is not b]
        of_grid = [*islice(names, 10)]
        of_column = [[*islice(names, 10)] for _ in columns]
        for i, row in enumerate(rows):
            of_row = [*islice(names, 10)]
            for word, column, context in zip(row, columns, of_column):
                cells[word] = grid, i, column
                company = rng.choice(np.array(of_row * 2 + context * 2 + of_grid), (repeats, length - 1))
                company = np.where(rng.random(company.shape) < noise, rng.choice(everything, company.shape), company)
                places = rng.integers(0, length, repeats).tolist()
                sentences += [[*c[:at], word, *c[at:]] for c, at in zip(company.tolist(), places)]
    order = rng.permutation(len(sentences)).tolist()
    pairs = [(a, b, float((x[0] == y[0]) * (1 + (x[1] == y[1]) + (x[2] == y[2]))))
             for (a, x), (b, y) in combinations(cells.items(), 2)]
    return Planted([sentences[i] for i in order], analogies, {word: cell[2] for word, cell in cells.items()}, pairs)


def _invented() -> Iterator[str]:
    """3,023 words, 530 of which become context words, and all noise: "baba", "babe" …, without "rome" and "duke"."""
    known = {word for _, text in GRIDS.values() for word in text.split()}
    letters = product("bdgklmnprst", "aeiou", "bdgklmnprst", "aeiou")
    return (word for word in map("".join, letters) if word not in known)
