"""One word, two senses: a static vector cannot tell them apart, a vector in context can.

A small BERT learns to fill in masked words of generated sentences, in which "bank" is the bank of a river or one for
money; or 苹果 the fruit, or the maker of phones. Nobody tells it that there are two senses. Then, on sentences it has
not seen: how alike are the vectors of the word in two sentences of the same sense, and of different senses?

    python examples/bert_senses.py                 less than a minute; draws bert_senses.png
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed.data import Batches, two_senses
from tinyembed.models import BERT, BERTConfig, mask_tokens
from tinyembed.text import Vocabulary, pad
from tinyembed.train import fit

PAD, CLS, SEP, MASK = SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]


class MaskedBatches(Batches):
    """Sentences of ids, shuffled and masked anew in each epoch: (ids, targets, segments, mask)."""

    def __init__(self, ids: np.ndarray, mask: np.ndarray, V: int, size: int, rng: np.random.Generator) -> None:
        super().__init__((ids, mask), size, rng)
        self.V = V

    def __iter__(self) -> Any:
        for ids, mask in super().__iter__():
            hidden, targets = mask_tokens(ids, self.V, 3, self.rng, 0.4, keep=(0, 1, 2))
            yield hidden, targets, np.zeros_like(hidden), mask


def cosines(x: np.ndarray, senses: list[str]) -> tuple[float, float]:
    """The mean cosine of two vectors of the same sense, and of two of different senses."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    same = np.equal.outer(np.array(senses), np.array(senses))
    pairs = ~np.eye(len(x), dtype=bool)
    return float((unit @ unit.T)[same & pairs].mean()), float((unit @ unit.T)[~same].mean())


def study(language: str, o: argparse.Namespace) -> tuple[str, list[str], np.ndarray, np.ndarray]:
    """Train on one language; (word, senses, static vectors, contextual vectors) of new sentences."""
    corpus, new = two_senses(language, o.sentences, o.seed), two_senses(language, 200, o.seed + 1)
    vocabulary = Vocabulary.build(corpus.sentences, specials=[*SPECIALS, "<unk>"])

    def encode(sentences: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        return pad([[1, *vocabulary.encode(words).tolist(), 2] for words in sentences], 0)

    rng, (ids, mask) = np.random.default_rng(o.seed), encode(corpus.sentences)
    config = BERTConfig(len(vocabulary), o.dim, 2, 4, 2 * o.dim, ids.shape[1], 1, hidden_dropout_prob=0.0)
    model, batches = BERT(config, rng=rng), MaskedBatches(ids, mask, len(vocabulary), 32, rng)
    history = fit(model, batches, te.optim.AdamW(te.optim.decay_groups(model, 0.01), lr=3e-3), epochs=o.epochs,
                  clip_norm=1.0, every=max(len(batches) * o.epochs // 3, 1),
                  schedule=te.optim.cosine(max(len(batches) * o.epochs, 30), warmup=20))
    print(f"{language}: {len(corpus.sentences)} sentences, V = {len(vocabulary)}; loss of masked words "
          f"{history.train[0][1]:.2f} at first, {history.train[-1][1]:.2f} at last")
    ids, mask = encode(new.sentences)
    at = np.array(new.places) + 1  # [CLS] stands first
    with te.no_grad():
        context = model.hidden_states(ids, mask=mask)[-1].data[np.arange(len(ids)), at]
        static = model.embed.token(ids[np.arange(len(ids)), at]).data
    for name, x in (("static", static), ("in context", context)):
        same, other = cosines(x, new.senses)
        equal = ", all bit-equal" if (x == x[0]).all() else ""
        print(f"  {new.word}, {name:<11} cosine of two of one sense {same:.3f}, of different senses {other:.3f}{equal}")
    centres = {sense: context[np.array(new.senses) == sense].mean(0) for sense in set(new.senses)}
    right = [min(centres, key=lambda s: float(np.linalg.norm(v - centres[s]))) == sense
             for v, sense in zip(context, new.senses)]
    print(f"  nearer to the middle of its own sense: {np.mean(right):.0%} of {len(right)} new sentences\n")
    return new.word, new.senses, static, context


def draw(figure: Any, studies: list[tuple[str, list[str], np.ndarray, np.ndarray]]) -> None:
    """For each word its vectors in 200 sentences on two principal components: above static, below in context."""
    for column, (word, senses, static, context) in zip(figure.subplots(2, len(studies)).T, studies):
        shown = word if word.isascii() else "píng guǒ (apple)"  # the fonts at hand may lack Chinese
        for panel, x, title in zip(column, (static, context), ("static: one point", "in context")):
            points = te.vectors.pca(x) if np.ptp(x) and (x != x[0]).any() else np.zeros((len(x), 2))
            for sense, marker in zip(sorted(set(senses)), "o^"):
                some = points[np.array(senses) == sense]
                panel.scatter(*some.T, s=36, marker=marker, alpha=0.6, label=sense)
            panel.set(title=f'"{shown}", {title}', xlabel="first principal component",
                      ylabel="second principal component")
            if not points.any():
                panel.set(xlim=(-1, 1), ylim=(-1, 1))
            panel.margins(y=0.25)  # room for the legend
            panel.legend(loc="upper right")


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="bert_senses.png")
    cli.add_argument("--sentences", type=int, default=2000, help="to train on (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=50, help="passes over them (default %(default)s)")
    cli.add_argument("--dim", type=int, default=48, help="D, the width (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.sentences, o.epochs) < 1 or o.dim < 4 or o.dim % 4:
        cli.error("--sentences and --epochs are 1 or more, --dim a multiple of 4, the number of heads")
    picture(o.save, draw, [study(language, o) for language in ("english", "chinese")], figsize=(12, 9))


if __name__ == "__main__":
    main()
