"""How alike are two sentences in meaning? People (here: a grammar) say it by a number, encoders by a cosine.

What is printed is Spearman's correlation of the two, over pairs that no encoder was trained on: 1 if both put all pairs
in the same order, 0 if they have nothing to do with each other. Then: a vector that is cut to its first numbers is
cheaper to keep and to compare. What does it still know, if the encoder was trained to be cut (Matryoshka), or was not?

Beside the trained rows stand some that know nothing of the scores. Word2Vec's are of no use here: what can stand in the
same place has like vectors, so "watched" is like "ignored" and "farmer" like "nurse", and just that is what differs.
Rows drawn at random keep all words apart. SIF (rare words weigh more, what all texts share is left out) helps both.

    python examples/semantic_textual_similarity.py                     generated pairs, about a minute
    python examples/semantic_textual_similarity.py --model folder      beside a published model (sentence-transformers)
    python examples/semantic_textual_similarity.py --pairs my.tsv      your own: score, text, text, with tabs between

Your own pairs may be in any language: texts without spaces are cut into characters. Half of them are trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from shared import parser

import tinyembed as te
from tinyembed.data import Batches, similar_pairs
from tinyembed.models import SentenceEncoder, StaticEmbedding, Word2Vec, sif
from tinyembed.nn import EmbeddingBag
from tinyembed.ops import cosent_loss, matryoshka
from tinyembed.text import CharacterTokenizer, Tokenizer, Vocabulary, WordTokenizer, words_and_punctuation
from tinyembed.train import fit
from tinyembed.vectors import spearman

Pairs = tuple[list[str], list[str], list[float]]


def own_pairs(path: str, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Two halves of a file with a score and two texts in a line."""
    pairs = []
    for number, line in enumerate(Path(path).read_text("utf-8-sig").splitlines(), 1):
        if line.strip():
            try:
                score, a, b = line.split("\t")
                pairs.append((a, b, float(score)))
            except ValueError:
                raise ValueError(f"{path}, line {number}: a score and two texts, with tabs between, were expected; "
                                 f"got {line!r:.60}") from None
    if len(pairs) < 4:
        raise ValueError(f"{path}: {len(pairs)} pairs; it takes two to train on and two to judge by")
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    train, judged = (tuple(map(list, zip(*half))) for half in (pairs[::2], pairs[1::2]))
    return train, judged  # type: ignore[return-value]


def tokenizer_for(texts: list[str]) -> Tokenizer:
    """Words as tokens, or characters where texts have hardly a space."""
    if sum(text.count(" ") for text in texts) * 20 < sum(map(len, texts)):
        return CharacterTokenizer.train(texts, unknown="<unk>")
    return WordTokenizer(Vocabulary.build(map(words_and_punctuation, texts)))


def correlation(x: np.ndarray, y: np.ndarray, scores: list[float]) -> float:
    """Spearman's correlation of the cosines of x (N, d) and y with the scores (N)."""
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return spearman((x * y).sum(1) / np.maximum(lengths, 1e-12), scores).statistic


def vectors_of(encoder: Any, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of both texts of each pair."""
    x = encoder.encode([*pairs[0], *pairs[1]])
    return x[:len(pairs[0])], x[len(pairs[0]):]


def rows_of(tokenizer: Tokenizer, table: np.ndarray) -> SentenceEncoder:
    """The mean of a row for each token."""
    return SentenceEncoder(tokenizer, StaticEmbedding(EmbeddingBag.from_pretrained(table, freeze=False)))


def trained(encoder: SentenceEncoder, pairs: Pairs, loss: Callable[..., te.Tensor], o: argparse.Namespace
            ) -> SentenceEncoder:
    """The encoder, trained by a loss of pairs: (vectors, vectors, targets) -> one number."""
    def loss_of_batch(model: SentenceEncoder, a: list[str], b: list[str], scores: list[float]) -> te.Tensor:
        x = model.vectors([*a, *b])
        return loss(x[:len(a)], x[len(a):], targets=scores)

    batches = Batches(pairs, 64, np.random.default_rng(o.seed))
    fit(encoder, batches, te.optim.Adam(encoder.parameters(), lr=o.lr), loss=loss_of_batch, epochs=o.epochs,
        every=10**9, schedule=te.optim.cosine(max(o.epochs * len(batches), 1)))
    return encoder


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--pairs", help="a file of your own pairs, UTF-8: score, text and text in a line, tabs between")
    cli.add_argument("--model", help="the folder of a published sentence model, to be judged as well")
    cli.add_argument("--train", type=int, default=8000, help="generated pairs to train on (default %(default)s)")
    cli.add_argument("--judged", type=int, default=2000, help="generated pairs to judge by (default %(default)s)")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=10, help="passes over the pairs to train on (default %(default)s)")
    cli.add_argument("--lr", type=float, default=1e-2, help="learning rate at first (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.train, o.judged) < 2 or o.dim < 1 or o.epochs < 0:
        cli.error("--train and --judged are 2 or more, --dim 1 or more, --epochs 0 or more")
    rng = np.random.default_rng(o.seed)
    try:
        published = SentenceEncoder(o.model) if o.model else None
        train, judged = own_pairs(o.pairs, rng) if o.pairs else (similar_pairs(o.train, rng),
                                                                 similar_pairs(o.judged, rng))
        texts = [*train[0], *train[1]]
        tokenizer = tokenizer_for(texts)
        cut = [tokenizer.pieces(text) for text in texts]
        words = Word2Vec(cut, vector_size=o.dim, sg=1, min_count=1, sample=0, seed=o.seed).wv
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{len(train[0]):,} pairs to train on, {len(judged[0]):,} to judge by, V = {len(tokenizer):,}; one of them:")
    print(f"  {judged[2][0]:.1f}  {judged[0][0]}\n       {judged[1][0]}")
    V = len(tokenizer)
    table = np.stack([words[t] if t in words else np.zeros(o.dim, np.float32) for t in tokenizer.tokens])
    drawn = rng.standard_normal((V, o.dim), np.float32) / 10
    counts = np.bincount([i for text in texts for i in tokenizer.encode(text)], minlength=V)
    dims = [d for d in (4, 8, 16, 32, 64, 128, 256, 384, 512) if d < o.dim] + [o.dim]
    loss = partial(cosent_loss, scale=5.0)

    def weighted(rows: np.ndarray) -> SentenceEncoder:
        """SIF, with the `a` that is best on the pairs to train on."""
        return max((sif(tokenizer, rows, counts, texts, a) for a in (1e-1, 1e-2, 1e-3, 1e-4)),
                   key=lambda encoder: correlation(*vectors_of(encoder, train), train[2]))

    start = time.perf_counter()
    plain, nested = (trained(rows_of(tokenizer, drawn), train, kind, o) for kind in (loss, matryoshka(loss, dims)))
    seconds = time.perf_counter() - start
    encoders = {
        "counts of words": rows_of(tokenizer, np.eye(V, dtype=np.float32)),
        "random rows, mean": rows_of(tokenizer, drawn), "random rows, SIF": weighted(drawn),
        "Word2Vec, mean": rows_of(tokenizer, table), "Word2Vec, SIF": weighted(table),
        "trained rows, mean": plain, "trained to be cut": nested}
    if published:
        encoders["published model"] = published
    print(f"\n  two encoders trained in {seconds:.0f} s\n\n  {'':<20} {'numbers':>8} {'Spearman':>9}")
    found = {name: vectors_of(encoder, judged) for name, encoder in encoders.items()}
    for name, (x, y) in found.items():
        print(f"  {name:<20} {x.shape[1]:>8} {correlation(x, y, judged[2]):>9.3f}")
    print("\n  cut to the first       " + "".join(f"{d:>7}" for d in dims))
    for name in list(found)[5:]:
        x, y = found[name]
        print(f"  {name:<22} " + "".join(f"{correlation(x[:, :d], y[:, :d], judged[2]):>7.3f}" for d in dims))


if __name__ == "__main__":
    main()
