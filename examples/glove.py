"""Vectors from counts alone: GloVe (Pennington, Socher and Manning 2014), beside Word2Vec and a table of random rows.

GloVe counts, once, how often each two words stand near each other, and fits dot products of vectors to the logarithms
of these counts. It never looks at the text again. What it finds is much what Word2Vec finds, window by window.

    python examples/glove.py                     the Python documentation on this computer, less than a minute
    python examples/glove.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from shared import parser

from tinyembed.data import SentenceIds, cooccurrences, paragraphs
from tinyembed.models import GloVe, Word2Vec
from tinyembed.vectors import KeyedVectors


def plurals(wv: KeyedVectors, words: list[str]) -> str:
    """How often word + "s" is among the 10 words nearest to a word. Nothing tells the models how words are spelt."""
    found = sum(f"{word}s" in dict(wv.most_similar(word, topn=10)) for word in words)
    return f"{found:>4} of {len(words)}"


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate paragraphs)")
    cli.add_argument("--dim", type=int, default=50, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=25, help="passes over the counts (default %(default)s)")
    cli.add_argument("--x-max", type=float, default=10.0, help="count from which a pair weighs 1 (default %(default)s)")
    cli.add_argument("--lr", type=float, default=0.05, help="learning rate of Adagrad (default %(default)s)")
    cli.add_argument("--window", type=int, default=8, help="largest distance of a neighbour (default %(default)s)")
    cli.add_argument("--min-count", type=int, default=10, help="leave out words seen less often (default %(default)s)")
    cli.add_argument("--words", nargs="*", default=["list", "returns", "file", "first", "error", "thread"],
                     help="words whose neighbours are shown")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        model = GloVe(vector_size=o.dim, window=o.window, min_count=o.min_count, x_max=o.x_max, lr=o.lr,
                      epochs=o.epochs, seed=o.seed)
        text = paragraphs(o.text)
        model.build_vocab(text)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    V = len(model.vocabulary)
    X = cooccurrences(SentenceIds(text, model.vocabulary.index), V, o.window)
    print(f"{len(text):,} paragraphs, {sum(map(len, text)):,} words, V = {V:,}; {len(X.counts):,} of the {V * V:,} "
          f"pairs stand together, {len(X.counts) / V**2:.1%}\n")
    for i in np.argsort(-X.counts, kind="stable")[:6:2]:
        one, other = (model.vocabulary.tokens[ids[i]] for ids in (X.rows, X.columns))
        print(f"  X[{one}, {other}] = {X.counts[i]:,.1f}")

    start = time.perf_counter()
    model.train(text, progress=True)
    seconds = time.perf_counter() - start
    losses = [loss for _, loss in model.history.train]
    print(f"\nloss {losses[0]:.4f} in the first epoch, {losses[-1]:.4f} in the last\n")
    start = time.perf_counter()
    other = Word2Vec(text, vector_size=o.dim, min_count=o.min_count, sg=1, epochs=10, seed=o.seed).wv
    tables = {"GloVe": (model.wv, seconds), "Word2Vec": (other, time.perf_counter() - start)}
    rows = np.random.default_rng(o.seed).standard_normal((V, o.dim), np.float32)
    tables["random"] = KeyedVectors(keys=model.vocabulary.tokens, vectors=rows), 0.0

    common = [word for word in model.vocabulary.tokens if f"{word}s" in model.vocabulary]
    if common:
        print('word + "s" among the 10 nearest words')
        for name, (wv, took) in tables.items():
            print(f"  {name:<10} {plurals(wv, common)}   {took:5.1f} s")
    print("\nnearest neighbours")
    for word in o.words:
        for name, (wv, _) in tables.items():
            near = " ".join(w for w, _ in wv.most_similar(word, topn=6)) if word in wv else "is not in the vocabulary"
            print(f"  {word if name == 'GloVe' else '':<10} {name:<10} {near}")


if __name__ == "__main__":
    main()
