"""Vectors for words that were never seen: FastText (Bojanowski et al. 2017) on misspelt and new words.

A word is the mean of its own row and of the rows of its pieces, <li lis ist st> for list. A word that is not in the
vocabulary has pieces that are, so it gets a vector too, near those of words that are spelt alike and mean alike.

    python examples/fasttext.py                     the Python documentation on this computer, about a minute
    python examples/fasttext.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
import difflib
import time

import numpy as np
from shared import parser

from tinyembed.data import paragraphs
from tinyembed.models import FastText
from tinyembed.text import Vocabulary


def misspelt(word: str, known: Vocabulary, rng: np.random.Generator) -> str:
    """The word with a letter left out, doubled, or two swapped; never one that is a word itself."""
    for _ in range(20):
        i = int(rng.integers(1, len(word) - 1))
        wrong = (word[:i] + word[i + 1:], word[:i] + word[i] + word[i:],
                 word[:i] + word[i + 1] + word[i] + word[i + 2:])[rng.integers(3)]
        if wrong not in known:
            return wrong
    return word[:-1] + "qx"


def found(right: list[str], near: list[list[str]]) -> str:
    """How often the right word is the nearest, and among the nearest five."""
    one, five = (np.mean([word in some[:k] for word, some in zip(right, near)]) for k in (1, 5))
    return f"{one:>7.1%} {five:>7.1%}"


def flags(about: str | None) -> argparse.ArgumentParser:
    """The flags of the examples of misspelt words, this one and characters.py."""
    cli = parser(about)
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate paragraphs)")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=5, help="passes over the text (default %(default)s)")
    cli.add_argument("--min-count", type=int, default=5, help="leave out words seen less often (default %(default)s)")
    cli.add_argument("--test", type=int, default=300, help="frequent words that are misspelt (default %(default)s)")
    cli.add_argument("--words", nargs="*", default=["dictionaery", "retruns", "multithreaded", "unpicklable", "sockets",
                                                    "reiterate"], help="words whose neighbours are shown")
    return cli


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = flags(__doc__)
    cli.add_argument("--min-n", type=int, default=3, help="shortest pieces (default %(default)s)")
    cli.add_argument("--max-n", type=int, default=5, help="longest pieces (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if o.test < 1:
        cli.error("--test must be at least 1")
    try:
        model = FastText(vector_size=o.dim, epochs=o.epochs, min_count=o.min_count, min_n=o.min_n, max_n=o.max_n,
                         sg=1, seed=o.seed)
        text = paragraphs(o.text)
        model.build_vocab(text)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    V = len(model.vocabulary)
    print(f"{len(text):,} paragraphs, {sum(map(len, text)):,} words, V = {V:,}; {len(model.buckets):,} buckets of "
          f"pieces have a row\n")
    start = time.perf_counter()
    model.train(text, progress=True)
    print(f"\ntrained in {time.perf_counter() - start:.0f} s\n")

    rng = np.random.default_rng(o.seed)
    right = [word for word in model.vocabulary.tokens if len(word) > 4][:o.test]
    wrong = [misspelt(word, model.vocabulary, rng) for word in right]
    if right:
        print(f"{len(right)} frequent words misspelt, {wrong[0]}, {wrong[-1]} …: the right one is nearest, among five")
        near = [[w for w, _ in model.wv.most_similar(word, topn=5)] if word in model.wv else [] for word in wrong]
        print(f"  FastText, by the vector of the misspelt word        {found(right, near)}")
        print(f"  Word2Vec, which has no vector for it                {found(right, [[] for _ in right])}")
        spelt = [difflib.get_close_matches(word, model.vocabulary.tokens, 5, 0.5) for word in wrong]
        print(f"  difflib, by spelling alone, word by word            {found(right, spelt)}")

    print("\nnearest neighbours, by vector and by spelling")
    for word in o.words:
        note = "" if word in model.vocabulary else " (never seen)"
        near = [w for w, _ in model.wv.most_similar(word, topn=5)] if word in model.wv else ["no piece was ever met"]
        print(f"  {word + note:<28} {' '.join(near)}")
        print(f"  {'':<28} {' '.join(difflib.get_close_matches(word, model.vocabulary.tokens, 5, 0.5))}")


if __name__ == "__main__":
    main()
