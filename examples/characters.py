"""Words from their characters (Kim et al. 2016): misspelt words, and words that were never seen, beside FastText.

A network that reads letters learns the vectors that FastText gave to known words (Pinter et al. 2017). Then it has one
for any word: a misspelt one should be near the right one's, an unknown one near those of its kin. One word in ten is
held out: the text that both learn from lacks it. Half of the words that the network is shown may be misspelt, which
FastText is never told about.

With the 3,460 words of one Python's documentation it stays behind FastText: of 100 misspelt words 56 have the right one
among the ten nearest, of FastText's 78. By edit distance it is all of them; that, however, knows nothing of meaning.

    python examples/characters.py                     the Python documentation on this computer, about a minute
    python examples/characters.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from fasttext import flags, misspelt

from tinyembed.data import Batches, paragraphs
from tinyembed.models import CharacterCNN, FastText, SentenceEncoder, Word2Vec
from tinyembed.ops import in_batch_softmax
from tinyembed.optim import Adam, cosine
from tinyembed.text import CharacterTokenizer
from tinyembed.train import fit

STEM = 5  # letters in which words of one stem begin alike
ROW = "  {:<40} {:>8.1%} {:>8.1%} {:>8.1%} {:>8.1%} {:>8.0f}"
Scores = Callable[[list[str]], np.ndarray]  # n words -> (n, V), larger where a known word is nearer


def edit_distances(word: str, words: list[str]) -> np.ndarray:
    """How many letters are to be put in, left out or replaced: of one word to each of V words -> (V,)

    The table of Wagner and Fischer 1974, line by line, for all words at once."""
    T = max(map(len, words))
    letters, places = np.array([list(w.ljust(T, "\0")) for w in words]), np.arange(T + 1)  # (V, T)
    line = np.tile(places, (len(words), 1))  # [i, j]: from the letters of word read so far to words[i][:j]
    for n, letter in enumerate(word, 1):
        best = np.minimum(line[:, 1:] + 1, line[:, :-1] + (letters != letter))  # left out, kept or replaced
        best = np.insert(best, 0, n, 1)
        line = np.minimum.accumulate(best - places, 1) + places  # put in, any number of times
    return line[np.arange(len(words)), list(map(len, words))]


def centred(vectors: np.ndarray) -> np.ndarray:
    """Vectors less their mean, of length 1: in a small text all point one way, which says nothing of a word."""
    vectors = vectors - vectors.mean(0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)


def train(known: list[str], vectors: np.ndarray, wrong: float, o: argparse.Namespace) -> SentenceEncoder:
    """A network that was shown known words, and is to find the vector of each among those of its batch.

    wrong   the share of words that are misspelt when they are shown, anew each time"""
    rng, taken = np.random.default_rng(o.seed), set(known)
    letters = CharacterTokenizer.train(known, unknown="<unk>")
    encoder = SentenceEncoder(letters, CharacterCNN(len(letters), 16, vectors.shape[1], o.widths, o.filters, rng=rng))

    def loss(model: Any, words: list[str], y: np.ndarray) -> Any:
        shown = [misspelt(w, taken, rng) if len(w) > 3 and rng.random() < wrong else w for w in words]
        return in_batch_softmax(model.vectors(shown), y, 10.0)

    # At first all words look alike to it, and cosines of vectors that point one way teach little: begin around 0.
    encoder.body.out.bias.data[...] -= encoder.encode(known).mean(0)
    encoder.padding = 0.4  # long words in a batch of their own
    batches = Batches((known, vectors), 64, rng)
    fit(encoder, batches, Adam(encoder.parameters(), lr=o.lr), loss=loss, epochs=o.rounds,
        schedule=cosine(len(batches) * o.rounds), progress=False)
    return encoder


def fasttext_vectors(model: FastText, words: list[str]) -> np.ndarray:
    """(n, D); zeros for a word of which no piece was ever met."""
    return np.array([model.wv.get_vector(w) if w in model.wv else np.zeros(model.vector_size) for w in words])


def judged(near: list[np.ndarray], right: list[int], truth: np.ndarray, known: list[str], new: list[str]
           ) -> tuple[float, ...]:
    """Of the ten words nearest to misspelt ones and to new ones (n, 10) each: how often the right word is the first,
    and among the ten; how many of the ten are among those that Word2Vec finds; how often the first has the stem."""
    hits = near[0] == np.array(right)[:, None]
    kin = [len(np.intersect1d(ours, theirs)) / len(theirs) for ours, theirs in zip(near[1], truth)]
    stems = {w[:STEM] for w in known if len(w) >= STEM}
    same = [known[i][:STEM] == w[:STEM] for w, i in zip(new, near[1][:, 0]) if w[:STEM] in stems]
    return float(hits[:, 0].mean()), float(hits.any(1).mean()), float(np.mean(kin)), float(np.mean(same or [0]))


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = flags(__doc__)
    cli.add_argument("--rounds", type=int, default=12, help="passes of the network over the words (default "
                                                            "%(default)s)")
    cli.add_argument("--lr", type=float, default=0.005, help="its learning rate (default %(default)s)")
    cli.add_argument("--widths", type=int, nargs="+", default=[2, 3, 4], help="letters that a kernel sees (default "
                                                                              "%(default)s)")
    cli.add_argument("--filters", type=int, default=20, help="kernels of a width, times the width (default "
                                                             "%(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.test, o.rounds) < 1:
        cli.error("--test and --rounds must be at least 1")
    named = {"vector_size": o.dim, "epochs": o.epochs, "min_count": o.min_count, "sg": 1, "seed": o.seed}
    try:
        CharacterCNN(1, 1, 1, o.widths, o.filters)
        teacher, subwords = Word2Vec(**named), FastText(min_n=3, max_n=5, **named)
        text = paragraphs(o.text)
        teacher.build_vocab(text)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    words = teacher.vocabulary.tokens  # the frequent ones first
    rng = np.random.default_rng(o.seed)
    held = rng.permutation(len(words)) < len(words) // 10
    known, new = ([w for w, out in zip(words, held) if out == which] for which in (False, True))
    right = [i for i, w in enumerate(known) if len(w) > 4][:o.test]
    if not right or not new:
        cli.error(f"it takes ten words or more, some of them of five letters or more: there are {words}")
    wrong = [misspelt(known[i], teacher.vocabulary, rng) for i in right]
    print(f"{len(text):,} paragraphs, {sum(map(len, text)):,} words, {len(known):,} words known and {len(new)} held "
          f"out, as {new[0]}, {new[-1]}\n")

    hidden = set(new)
    teacher.train(text, progress=False)
    y = centred(teacher.wv.vectors)
    truth = np.argsort(-y[held] @ y[~held].T, 1)[:, :10]  # what Word2Vec, trained on all, finds for held-out words
    start = time.perf_counter()
    subwords.build_vocab(rest := [[w for w in line if w not in hidden] for line in text])
    subwords.train(rest, progress=False)
    table = fasttext_vectors(subwords, known)
    seconds, vectors = time.perf_counter() - start, centred(table)

    def characters(wrong: float) -> Scores:
        encoder = train(known, vectors, wrong, o)
        return lambda some: encoder.similarity(encoder.encode(some), vectors)

    ways: dict[str, Callable[[], Scores]] = {
        "FastText": lambda: lambda some: SentenceEncoder.similarity(fasttext_vectors(subwords, some), table),
        "characters, shown known words": lambda: characters(0.0),
        "characters, shown half of them misspelt": lambda: characters(0.5),
        "edit distance": lambda: lambda some: -np.array([edit_distances(word, known) for word in some])}
    found: dict[str, Scores] = {}
    print(f"{'':<42} {'misspelt':>17} {'held out':>17}\n{'':<42} {'nearest':>8} {'in 10':>8} {'kin':>8} {'stem':>8} "
          f"{'seconds':>8}")
    for name, way in ways.items():
        start = time.perf_counter()
        found[name] = scores = way()
        near = [np.argsort(-scores(some), 1, kind="stable")[:, :10] for some in (wrong, new)]
        seconds += time.perf_counter() - start
        print(ROW.format(name, *judged(near, right, truth, known, new), seconds))
        seconds = 0.0
    print(f"  chance {'':<33} {1 / len(known):>8.1%} {10 / len(known):>8.1%} {10 / len(known):>8.1%}")
    print("\nnearest, in 10: the right word; kin: of the ten nearest, those among the ten that Word2Vec finds, which "
          f"was shown\nthe word; stem: the nearest has the first {STEM} letters, if any known word has")

    print("\nnearest neighbours")
    for word in o.words:
        print(f"  {word}" + " (never seen)" * (word not in known))
        for name, scores in found.items():
            print(f"    {name:<40} {' '.join(known[i] for i in np.argsort(-scores([word])[0], kind='stable')[:5])}")


if __name__ == "__main__":
    main()
