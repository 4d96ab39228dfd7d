"""Find the function whose documentation a text is like: Doc2Vec (Le and Mikolov 2014) on Python's docstrings.

Each docstring of the standard library is a document with a vector of its own. A question gets a vector too, by training
it alone while all else stands still; the docstrings whose vectors are nearest are the answer. Beside it: tf-idf, which
counts the words that both have.

    python examples/doc2vec.py                                          some questions, and how often it is right
    python examples/doc2vec.py --query "write rows to a csv file"       your own question
    python examples/doc2vec.py --text my_book.txt --query "the whale"   your own text, by paragraphs
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from baselines import TfIdf
from shared import parser

from tinyembed.data import python_docstrings
from tinyembed.models import Doc2Vec, TaggedDocument
from tinyembed.text import words_of


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--text", help="a text file instead of the docstrings (UTF-8; blank lines separate documents)")
    cli.add_argument("--query", action="append", help="a question; may be given several times")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=30, help="passes over the documents (default %(default)s)")
    cli.add_argument("--dm", type=int, choices=(0, 1), default=0,
                     help="0: PV-DBOW, the document predicts words; 1: PV-DM, together with neighbours (default 0)")
    cli.add_argument("--min-words", type=int, default=20, help="leave out shorter documents (default %(default)s)")
    cli.add_argument("--test", type=int, default=200, help="documents that are searched for (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.min_words, o.test) < 1:
        cli.error("--min-words and --test must be at least 1")
    try:
        named = python_docstrings() if o.text is None else [
            (f"paragraph {i}", part) for i, part in enumerate(Path(o.text).read_text("utf-8").split("\n\n"), 1)]
        texts = dict(named)
        documents = [TaggedDocument(words, [name]) for name, text in texts.items()
                     if len(words := words_of(text)) >= o.min_words]
        if len(documents) < 2:
            cli.error(f"{len(documents)} documents have {o.min_words} words or more; it takes two")
        model = Doc2Vec(documents, vector_size=o.dim, epochs=o.epochs, dm=o.dm, dbow_words=1 - o.dm, min_count=2,
                        seed=o.seed)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{len(documents):,} documents, {sum(len(d.words) for d in documents):,} words, V = {len(model.wv):,}; "
          f"trained in {model.history.seconds:.0f} s\n")

    names, counted = [d.tags[0] for d in documents], TfIdf([list(d.words) for d in documents])
    rng = np.random.default_rng(o.seed)
    some = rng.permutation(len(documents))[:o.test]
    ranks: dict[str, list[list[bool]]] = {"Doc2Vec": [], "tf-idf": []}
    for i in some:
        half = [str(w) for w in rng.permutation(documents[i].words)[::2]]
        near = [tag for tag, _ in model.dv.most_similar([model.infer_vector(half)], topn=10)]
        for method, found in (("Doc2Vec", near), ("tf-idf", [names[j] for j in counted.nearest(half, 10)])):
            ranks[method].append([names[i] in found[:k] for k in (1, 10)])
    print(f"half the words of a document, shuffled: is it found again? ({len(some)} documents)")
    for method, hits in ranks.items():
        print(f"  {method:<8} first {np.mean(hits, 0)[0]:6.1%}   among ten {np.mean(hits, 0)[1]:6.1%}")
    print(f"  {'chance':<8} first {1 / len(documents):6.2%}   among ten {min(10 / len(documents), 1):6.2%}\n")

    for query in o.query or ["read a configuration file with sections", "wait until a thread has finished its work",
                             "parse a date from a string", "remove a directory and all files in it"]:
        words = words_of(query)
        print(f'"{query}"')
        for tag, score in model.dv.most_similar([model.infer_vector(words)], topn=4):
            print(f"  {score:.2f}  {tag:<50.50} {' '.join(texts[str(tag)].split())[:60]}")
        print(f"  tf-idf: {', '.join(str(names[j]) for j in counted.nearest(words, 3))}")


if __name__ == "__main__":
    main()
