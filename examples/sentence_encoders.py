"""Four ways to make a vector of a sentence, and what each can know: does one sentence follow from another?

A grammar makes pairs of sentences of which the second follows from the first, is left open by it, or contradicts it. An
encoder sees each sentence alone; a classifier sees the two vectors. All learn from the same pairs, and are judged on
new ones: of the kinds of sentences they were trained on, and of kinds that are made of the same words in another way.

    static mean     the mean of a row for each word
    DAN             that mean through two layers; learns two more tasks in turn (Universal Sentence Encoder)
    InferSent       an LSTM in both directions, the largest of each number
    Sentence-BERT   a small BERT, the mean of its vectors

The first two do not see the order of words: to them "the dog bit the man" is "the man bit the dog", and of the pairs
that are left open nearly half are of that kind. Who cannot tell these, a sixth of all, is right in about five of six.

    python examples/sentence_encoders.py               all, some two minutes
    python examples/sentence_encoders.py --only mean   some of bag, mean, dan, infersent, bert
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import chain, cycle, islice, repeat
from typing import Any

import numpy as np
from shared import parser

import tinyembed as te
from tinyembed import nn
from tinyembed.data import Batches, entailment_pairs, similar_pairs
from tinyembed.models import BERT, BERTConfig, PairClassifier, SentenceEncoder, StaticEmbedding, TokenLSTM
from tinyembed.ops import cosine_loss, cross_entropy, pair_features
from tinyembed.text import Tokenizer, Vocabulary, WordTokenizer
from tinyembed.train import fit

Pairs = tuple[list[str], list[str], list[int]]
SBERT, INFERSENT = ("u", "v", "|u-v|"), ("u", "v", "|u-v|", "u*v")
KINDS = {  # name, what the classifier reads, whether it has a layer between, pairs in a batch, learning rate, passes
    "bag": ("bag of words", SBERT, False, 64, 1e-2, 3), "mean": ("static mean", SBERT, True, 64, 3e-3, 3),
    "dan": ("DAN, three tasks", SBERT, True, 64, 3e-3, 3), "infersent": ("InferSent", INFERSENT, True, 64, 3e-3, 5),
    "bert": ("Sentence-BERT", SBERT, False, 32, 1e-3, 3)}


class ManyTasks(nn.Module):
    """A classifier of pairs whose encoder learns two more tasks: to find what says the same among all sentences of a
    batch, and to say how alike two are.          (Cer et al. 2018, "Universal Sentence Encoder")"""

    def __init__(self, classifier: PairClassifier, rng: np.random.Generator) -> None:
        self.classifier, self.encoder = classifier, classifier.encoder
        self.alike = nn.Linear(self.encoder.dim, self.encoder.dim, rng=rng)

    def loss(self, task: str, a: list[str], b: list[str], targets: Any = None) -> te.Tensor:
        """Of a batch of one task, which its name says."""
        if task == "entailment":
            return self.classifier.loss(a, b, targets)
        if task == "paraphrase":
            return self.encoder.loss(a, b)
        y = self.alike(self.encoder.vectors([*a, *b]))
        return cosine_loss(y[:len(a)], y[len(a):], np.array(targets) / 5)


class Turns:
    """Batches of several tasks, one of each in turn, behind the name of its task. A pass ends with the longest task's;
    the others start anew."""

    def __init__(self, **tasks: Batches) -> None:
        self.tasks = tasks

    def __len__(self) -> int:
        return len(self.tasks) * max(map(len, self.tasks.values()))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        left = {task: chain.from_iterable(repeat(batches)) for task, batches in self.tasks.items()}
        for task in islice(cycle(self.tasks), len(self)):
            yield task, *next(left[task])


class BagOfWords(nn.Module):
    """A baseline: how often each word stands in the one sentence, in the other, and by how much that differs."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.output = tokenizer, nn.Linear(3 * len(tokenizer), 3)

    def counts(self, texts: list[str]) -> te.Tensor:
        x = np.zeros((len(texts), len(self.tokenizer)), np.float32)
        for row, text in zip(x, texts):
            np.add.at(row, self.tokenizer.encode(text), 1)
        return te.Tensor(x)

    def forward(self, a: list[str], b: list[str]) -> te.Tensor:
        return self.output(pair_features(self.counts(a), self.counts(b), SBERT))

    def loss(self, a: list[str], b: list[str], targets: list[int]) -> te.Tensor:
        return cross_entropy(self(a, b), targets)


def accuracy(model: Any, pairs: Pairs) -> float:
    """The share of pairs whose class gets the largest logit."""
    with model.evaluating(), te.no_grad():
        return sum(int((model(a, b).data.argmax(1) == y).sum()) for a, b, y in Batches(pairs, 250)) / len(pairs[0])


def encoder(kind: str, tokenizer: Tokenizer, D: int, rng: np.random.Generator) -> SentenceEncoder:
    """An encoder of one of the four kinds, with random numbers in it."""
    V = len(tokenizer)
    if kind == "infersent":
        return SentenceEncoder(tokenizer, TokenLSTM(V, D, D, rng=rng), "max")
    if kind == "bert":
        sizes = BERTConfig(V, D, 2, 4, 2 * D, max_position_embeddings=32, hidden_dropout_prob=0.0)
        return SentenceEncoder(tokenizer, BERT(sizes, rng=rng), "mean")
    layers = [nn.Dense(D, D, "relu", rng=rng), nn.Dense(D, D, rng=rng)] if kind == "dan" else []
    return SentenceEncoder(tokenizer, StaticEmbedding(nn.EmbeddingBag(V, D, rng=rng)), head=layers)


def train(kind: str, pairs: Pairs, tokenizer: Tokenizer, o: argparse.Namespace) -> Any:
    """A model of that kind, trained: texts a, texts b -> logits."""
    rng, (_, features, deep, B, lr, passes) = np.random.default_rng(o.seed), KINDS[kind]
    epochs = passes if o.epochs is None else o.epochs
    batches: Any = Batches(pairs, B, rng)
    model: Any = BagOfWords(tokenizer) if kind == "bag" else PairClassifier(
        encoder(kind, tokenizer, o.dim, rng), 3, features, o.dim if deep else None, rng=rng)
    learner = model
    if kind == "dan":
        alike = similar_pairs(max(o.pairs, 100), rng, held_out=False)  # of few, none may say the same
        same = [(a, b) for a, b, score in zip(*alike) if score == 5]
        learner = ManyTasks(model, rng)
        batches = Turns(entailment=batches, paraphrase=Batches([*map(list, zip(*same))], B, rng),
                        similarity=Batches(alike, B, rng))
    steps = max(epochs * len(batches), 2)
    fit(learner, batches, te.optim.AdamW(learner.parameters(), lr=lr), epochs=epochs, clip_norm=1.0, every=10**9,
        schedule=te.optim.cosine(steps, warmup=min(100, steps // 2)))
    return model


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--pairs", type=int, default=16000, help="pairs to train on (default %(default)s)")
    cli.add_argument("--judged", type=int, default=2000, help="new pairs, twice, to judge by (default %(default)s)")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of the rows (default %(default)s)")
    cli.add_argument("--epochs", type=int, help="passes over the pairs (default: 3, InferSent 5)")
    cli.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), help="which to train (default: all)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.pairs, o.judged) < 1 or (o.epochs or 0) < 0 or o.dim < 4 or o.dim % 4:
        cli.error("--pairs and --judged are 1 or more, --epochs 0 or more, --dim a multiple of 4")
    rng = np.random.default_rng(o.seed)
    pairs, seen = (entailment_pairs(n, rng) for n in (o.pairs, o.judged))
    new = entailment_pairs(o.judged, rng, held_out=True)
    tokenizer = WordTokenizer(Vocabulary.build(text.split() for text in [*pairs[0], *pairs[1]]))
    print(f"{o.pairs:,} pairs, {len(tokenizer)} words\n")
    for label, name in enumerate(("follows", "left open", "contradicts")):
        if label in pairs[2]:
            i = pairs[2].index(label)
            print(f"  {name:<12} {pairs[0][i]}\n  {'':<12} {pairs[1][i]}")
    rows = [f"  {'majority':<16} {0:>10} " + " ".join(
        f"{np.bincount(y).max() / len(y):>10.1%}" for y in (seen[2], new[2]))]
    for kind in o.only:
        start = time.perf_counter()
        model = train(kind, pairs, tokenizer, o)
        seconds = time.perf_counter() - start
        count = sum(p.size for p in model.parameters())
        rows.append(f"  {KINDS[kind][0]:<16} {count:>10,} {accuracy(model, seen):>10.1%} {accuracy(model, new):>10.1%} "
                    f"{seconds:>8.0f}")
    print(f"\n  {'':<16} {'parameters':>10} {'seen':>10} {'held out':>10} {'seconds':>8}")
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
