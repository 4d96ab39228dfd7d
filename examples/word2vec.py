"""Vectors for words from nothing but their neighbours: Word2Vec (Mikolov et al. 2013), skip-gram or CBOW.

Each word has two vectors, one that it is looked up as and one that it is predicted as. A word's first is pushed towards
the second of every word that stands near it in the text, and away from those of a few words drawn at random. Words
that keep the same company are pushed to the same place. That is all, and yet lists - list + module lies near modules.

    python examples/word2vec.py                     the Python documentation on this computer, less than a minute
    python examples/word2vec.py --cbow              neighbours predict the word, instead of the word its neighbours
    python examples/word2vec.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
from itertools import permutations
from typing import Any

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed.models import Word2Vec
from tinyembed.vectors import KeyedVectors

# Each line is a relation: pairs of words. Any two pairs are a question: list is to lists as module is to what?
# Opposites keep the same company, so there c's neighbour alone is about as good an answer as b - a + c.
RELATIONS = {
    "plural": """list lists  file files  string strings  argument arguments  object objects  line lines
        module modules  name names  class classes  function functions  method methods  value values
        attribute attributes  number numbers  exception exceptions  directory directories  thread threads
        message messages  element elements""",
    "verb": """return returns  raise raises  set sets  create creates  get gets  write writes  call calls  take takes
        make makes  use uses  contain contains  read reads  add adds  give gives""",
    "participle": """use used  call called  return returned  raise raised  create created  define defined  open opened
        close closed  add added  specify specified  remove removed  encode encoded""",
    "opposite": """first last  min max  read write  left right  start end  encode decode  encoder decoder  input output
        before after  client server  upper lower  minimum maximum  encoding decoding  true false  open close""",
    "error": "key keyerror  index indexerror  type typeerror  value valueerror  attribute attributeerror",
}
FREQUENT = 2000  # neighbours are looked for among so many of the most frequent words


def questions(known: KeyedVectors) -> dict[str, list[tuple[str, str, str, str]]]:
    """relation -> (a, b, c, d), of words that have a vector: a is to b as c is to d."""
    asked = {}
    for relation, text in RELATIONS.items():
        words = text.split()
        pairs = [pair for pair in zip(words[::2], words[1::2]) if pair[0] in known and pair[1] in known]
        asked[relation] = [(*one, *other) for one, other in permutations(pairs, 2)]
    return asked


def nearest_alone(wv: KeyedVectors, asked: list[tuple[str, str, str, str]]) -> int:
    """How many answers are right if one only looks for the word nearest to c: then a and b have told nothing."""
    near = {c: [word for word, _ in wv.most_similar(c, topn=3)] for c in {c for _, _, c, _ in asked}}
    return sum(d == next(word for word in [*near[c], ""] if word not in (a, b)) for a, b, c, d in asked)


def analogies(trained: KeyedVectors, random: KeyedVectors) -> None:
    """Print how many answers are right, and some of them."""
    asked = questions(trained)
    if not any(asked.values()):
        print("  this text does not have the words that the questions are made of")
        return
    (_, sections), (_, by_chance) = (wv.evaluate_word_analogies(asked) for wv in (trained, random))
    print(f"  {'':<14} {'asked':>6} {'b - a + c':>10} {'c alone':>8} {'random':>7}")
    for section, chance in zip(sections, by_chance):
        name, right = section["section"], section["correct"]
        own = asked.get(name, [question for some in asked.values() for question in some])  # the last section is the sum
        print(f"  {name:<14} {len(own):>6} {len(right):>10} {nearest_alone(trained, own):>8} "
              f"{len(chance['correct']):>7}")
    print("  for example")
    for section in sections[:-1]:
        for a, b, c, d in [[word.lower() for word in q] for q in section["correct"]][::31][:3]:
            print(f"    {a} : {b} = {c} : {d}")


def neighbourhoods(wv: KeyedVectors, asked: list[str], n: int) -> dict[str, str]:
    """About n words, and for each the asked one that it lies near to."""
    asked = [word for word in asked if word in wv] or wv.index_to_key[:7]
    near = {word: word for word in asked}
    for word in asked:
        for other, _ in wv.most_similar(word, topn=max(n // len(asked) - 1, 1), restrict_vocab=FREQUENT):
            near.setdefault(other, word)
    return near


def draw(figure: Any, before: KeyedVectors, after: KeyedVectors, near: dict[str, str]) -> None:
    """Two maps of the same words, before training and after, in which near vectors stay near (t-SNE). Each
    neighbourhood has a colour."""
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.93, wspace=0.02)
    for axes, wv, title in zip(figure.subplots(1, 2), (before, after), ("before training", "after")):
        axes.set(xticks=[], yticks=[])
        points = te.vectors.tsne(np.stack([wv.get_vector(word, norm=True) for word in near]),
                                 perplexity=min(20, (len(near) - 1) / 3))
        te.vectors.draw(points, near, axes=axes, groups=near.values(), title=title)
        axes.get_legend().remove()  # each colour has the name of a word that stands in it


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="word2vec.png")
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate paragraphs)")
    cli.add_argument("--cbow", action="store_true", help="CBOW: the mean of the neighbours predicts a word")
    cli.add_argument("--dim", type=int, default=100, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=20, help="passes over the text (default %(default)s)")
    cli.add_argument("--window", type=int, default=5, help="largest distance of a neighbour (default %(default)s)")
    cli.add_argument("--negative", type=int, default=5, help="random words for each pair (default %(default)s)")
    cli.add_argument("--min-count", type=int, default=10, help="leave out words seen less often (default %(default)s)")
    cli.add_argument("--words", nargs="*",
                     default=["month", "button", "server", "thread", "file", "exception", "encoding"],
                     help="words whose neighbours are shown")
    cli.add_argument("--points", type=int, default=84, help="words in the picture (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.dim, o.epochs, o.window, o.negative, o.min_count) < 1 or o.points < 10:
        cli.error("--dim, --epochs, --window, --negative and --min-count must be at least 1, --points 10")
    try:
        model = Word2Vec(vector_size=o.dim, sg=not o.cbow, epochs=o.epochs, window=o.window, negative=o.negative,
                         min_count=o.min_count, seed=o.seed)
        sentences = te.data.paragraphs(o.text)
        model.build_vocab(sentences)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{len(sentences):,} paragraphs, {sum(map(len, sentences)):,} words, V = {len(model.wv):,} that are seen "
          f"{o.min_count} times or more")

    before = KeyedVectors(keys=model.wv.index_to_key, vectors=model.wv.vectors.copy())
    model.train(sentences, progress=True)
    losses = [loss for _, loss in model.history.train]
    print(f"\n{'CBOW' if o.cbow else 'skip-gram'}, {o.epochs} epochs in {model.history.seconds:.0f} s; loss "
          f"{losses[0]:.3f} in the first, {losses[-1]:.3f} in the last\n")
    for report in model.history.rows:
        print(report)
    print("never trained, as random as at first:", " ".join(model.untrained()) or "no word")

    print("\nnearest neighbours")
    for word in o.words:
        if word in model.wv:
            old, new = (" ".join(other for other, _ in wv.most_similar(word, topn=6, restrict_vocab=FREQUENT))
                        for wv in (before, model.wv))
            print(f"  {word:<10} before: {old}\n  {'':<10} after:  {new}")
        else:
            print(f"  {word:<10} is not in the vocabulary")
    print("\nanalogies: the word nearest to b - a + c")
    analogies(model.wv, before)
    print()
    near = neighbourhoods(model.wv, o.words, o.points)
    if len(near) > 3:
        picture(o.save, draw, before, model.wv, near, figsize=(9, 4.6), dpi=145, layout=None)
    else:
        print(f"no {o.save}: {len(near)} words make no picture")


if __name__ == "__main__":
    main()
