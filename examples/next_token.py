"""Train a table of random rows until its neighbours make sense: the next-token model of Bengio et al. (2003).

The model reads a window of tokens, looks up a row for each and a row for each position, and predicts the next
token from the last few rows. Nothing tells it what a word means. Words that are followed and preceded by the same words
come to have similar rows all the same, since that is the cheapest way to predict.

    python examples/next_token.py                     the Python documentation on this computer, about a minute
    python examples/next_token.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from shared import new_file, parser, picture, prompt_of

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.data import NextTokenBatches, python_docs, split_documents
from tinyembed.text import Vocabulary, detokenise, is_unspaced, words_and_punctuation
from tinyembed.train import evaluate, fit


class NextToken(nn.Module):
    """Token + position rows, the last `context` of them side by side, an MLP, and a score for every token.

        ids (B, T) -> logits (B, T, V); position t sees ids t-context+1 … t and nothing later

    tied: the output layer is the token table itself, so that a row is both what a word looks like and what predicts it.
    """

    def __init__(self, V: int, D: int, T: int, context: int, hidden: int, dropout: float, tied: bool) -> None:
        self.V, self.T, self.context = V, T, context
        self.embed = nn.GPTEmbedding(V, D, T, dropout, std=0.05)
        self.mix = nn.Linear(context * D, hidden)
        self.back = nn.Linear(hidden, D)
        self.norm = nn.LayerNorm(D)
        self.drop = nn.Dropout(dropout)
        self.head = None if tied else nn.Linear(D, V)
        self.bias = nn.Parameter(np.zeros(V, np.float32))

    def forward(self, ids: np.ndarray) -> te.Tensor:
        x = self.embed(ids)  # (B, T, D)
        T = x.shape[1]
        past = x.pad(((0, 0), (self.context - 1, 0), (0, 0)))  # zeros before the first token
        window = ops.concatenate([past[:, k:k + T] for k in range(self.context)], axis=-1)  # (B, T, context * D)
        h = x + self.back(self.drop(ops.gelu(self.mix(window), "tanh")))
        h = self.norm(h)
        return ops.linear(h, self.embed.token.weight, self.bias) if self.head is None else self.head(h)

    def loss(self, ids: np.ndarray, targets: np.ndarray) -> te.Tensor:
        return ops.cross_entropy(self(ids), targets)


def bigram_perplexity(train: np.ndarray, test: np.ndarray, V: int) -> float:
    """Of a bigram model interpolated with the unigram and the uniform distribution (Jelinek and Mercer 1980).

    P(b | a) = l2 n(a, b) / n(a) + l1 n(b) / N + l0 / V; the weights are fitted by expectation maximisation on a tenth
    of the training stream that the counts then leave out.
    """
    cut = len(train) * 9 // 10
    counted, tune = train[:cut], train[cut:]
    singles = np.bincount(counted, minlength=V)
    pairs = Counter(zip(counted[:-1].tolist(), counted[1:].tolist()))

    def parts(stream: np.ndarray) -> np.ndarray:  # (3, N - 1): what each of the three gives each next token
        a, b = stream[:-1], stream[1:]
        both = np.array([pairs[pair] for pair in zip(a.tolist(), b.tolist())])
        return np.stack([both / np.maximum(singles[a], 1), singles[b] / cut, np.full(len(b), 1 / V)])

    weights, p = np.full((3, 1), 1 / 3), parts(tune)
    for _ in range(30):
        share = weights * p / (weights * p).sum(0)
        weights = share.mean(1, keepdims=True)
    return math.exp(-np.log((weights * parts(test)).sum(0)).mean())


def neighbours(table: np.ndarray, vocabulary: Vocabulary, word: str, n: int = 6) -> str:
    """The n words whose rows have the largest cosine with the word's."""
    rows = table / np.linalg.norm(table, axis=1, keepdims=True)
    nearest = [vocabulary.tokens[i] for i in np.argsort(-rows @ rows[vocabulary.index[word]])]
    return " ".join([other for other in nearest if other.isalpha() and other != word][:n])


@te.no_grad()
def generate(model: NextToken, vocabulary: Vocabulary, prompt: str, n: int, temperature: float,
             rng: np.random.Generator) -> str:
    """Draw n tokens, each from softmax(logits / temperature)."""
    ids = vocabulary.encode(words_and_punctuation(prompt)).tolist()
    for _ in range(n):
        logits = model(np.array([ids[-model.T:]])).data[0, -1] / temperature
        logits[[vocabulary.index["<unk>"], vocabulary.index["<end>"]]] = -np.inf
        p = ops.softmax(logits).data.astype(np.float64)
        ids.append(int(rng.choice(len(p), p=p / p.sum())))
    return detokenise(vocabulary.decode(ids))


def draw(figure: Any, history: te.train.History, table: np.ndarray, vocabulary: Vocabulary, seen: int, bigram: float
         ) -> None:
    """The loss curve beside the table: its most frequent words on two principal components.

    Both the curve and the line of held-out text are over the first `seen` tokens of it. The curve of training is of
    other text, with dropout; each point of it is the mean of the steps since the one before.
    """
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    left.plot(*zip(*history.train), label="text to train on, with dropout, mean of the steps before")
    left.plot(*zip(*history.held_out), color="C1", label=f"{seen:,} tokens held out")
    left.axhline(math.log(bigram), color="C1", linestyle=":", label="the same tokens, bigram")
    left.set(xlabel="step", ylabel="loss (nats a token)", title="Next-token loss")
    left.legend()
    words = [i for i, token in enumerate(vocabulary.tokens)
             if token.isalpha() and (len(token) > 2 or is_unspaced(token))][:700]
    rows = table[words] / np.linalg.norm(table[words], axis=1, keepdims=True)
    te.vectors.draw(te.vectors.pca(rows), [vocabulary.tokens[i] for i in words], axes=right,
                    title="Rows of frequent words, by direction", xlabel="first principal component",
                    ylabel="second principal component")


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="next_token.png")
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate documents)")
    cli.add_argument("--steps", type=int, default=1800, help="training steps (default %(default)s)")
    cli.add_argument("--vocab", type=int, default=6000, help="size of the vocabulary (default %(default)s)")
    cli.add_argument("--dim", type=int, default=64, help="D, the width of a row (default %(default)s)")
    cli.add_argument("--window", type=int, default=32, help="T, ids in a training window (default %(default)s)")
    cli.add_argument("--context", type=int, default=6, help="last tokens that predict the next (default %(default)s)")
    cli.add_argument("--hidden", type=int, default=256, help="width of the MLP (default %(default)s)")
    cli.add_argument("--batch", type=int, default=16, help="B, windows in a batch (default %(default)s)")
    cli.add_argument("--lr", type=float, default=6e-3, help="highest learning rate of Adam (default %(default)s)")
    cli.add_argument("--dropout", type=float, default=0.1, help="dropout probability (default %(default)s)")
    cli.add_argument("--untied", action="store_true", help="an output layer of its own instead of the token table")
    cli.add_argument("--prompt", help="beginning of a sample (default: the function returns, or that of --text)")
    cli.add_argument("--words", nargs="*", default=["list", "returns", "file", "first", "integer", "error"],
                     help="words whose neighbours are shown")
    cli.add_argument("--checkpoint", type=new_file,
                     help="file to keep the run in, every 100 steps; if it is there, go on from it")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if o.vocab < 3 or min(o.steps, o.dim, o.context, o.hidden) < 1:
        cli.error("--vocab must be at least 3; --steps, --dim, --context and --hidden at least 1")

    te.seed(o.seed)
    rng = np.random.default_rng(o.seed)
    try:
        documents = python_docs() if o.text is None else Path(o.text).read_text("utf-8").split("\n\n")
    except (OSError, UnicodeDecodeError) as error:
        cli.error(str(error))
    prompt = prompt_of(o, documents, "the function returns")
    if not words_and_punctuation(prompt):
        cli.error("--prompt needs a word to begin with")
    train, test = ([[*words_and_punctuation(text), "<end>"] for text in part] for part in split_documents(documents))
    vocabulary = Vocabulary.build(train, max_size=o.vocab)
    V = len(vocabulary)
    train_ids, test_ids = (np.concatenate([vocabulary.encode(tokens) for tokens in part]) for part in (train, test))
    batches = NextTokenBatches(train_ids, o.window, o.batch, rng=rng)
    held_out = list(NextTokenBatches(test_ids, o.window, 64))
    some = held_out[:8]
    seen = sum(targets.size for _, targets in some)  # the curve's tokens: the first ones
    print(f"{len(documents)} documents, {len(train_ids):,} tokens to train on, {len(test_ids):,} held out, V = {V}, "
          f"{np.mean(test_ids == 0):.1%} <unk>\n")

    model = NextToken(V, o.dim, o.window, o.context, o.hidden, o.dropout, tied=not o.untied)
    print(model.summary(), "\n")
    table = model.embed.token.weight
    asked = [word for word in o.words if word in vocabulary] or [*filter(str.isalpha, vocabulary.tokens)][:6]
    before = {word: neighbours(table.data, vocabulary, word) for word in asked}
    bigram = bigram_perplexity(train_ids, test_ids, V)
    untrained = math.exp(evaluate(model, held_out))

    adam = te.optim.Adam(model.parameters(), lr=o.lr)
    history = fit(model, batches, adam, steps=o.steps, held_out=some, every=100, clip_norm=1.0,
                  schedule=lambda step: min((step + 1) / 50, 1) * (1 - 0.95 * step / o.steps),
                  checkpoint=o.checkpoint, resume=o.checkpoint is not None,
                  about={"options": vars(o), "tokens": vocabulary.tokens})
    trained = math.exp(evaluate(model, held_out))
    print(f"\n{history.steps} steps in {history.seconds:.0f} s\n\nperplexity on the held-out documents")
    for name, value in (("untrained", untrained), ("interpolated bigram", bigram), ("trained", trained)):
        print(f"  {name:<20} {value:8.1f}")

    print("\nnearest neighbours")
    for word, old in before.items():
        print(f"  {word:<10} before: {old}\n  {'':<10} after:  {neighbours(table.data, vocabulary, word)}")
    print(f"\ngenerated: {generate(model, vocabulary, prompt, 60, 0.8, rng)}\n")
    picture(o.save, draw, history, table.data, vocabulary, seen, bigram_perplexity(train_ids, test_ids[:seen + 1], V),
            figsize=(16, 8))


if __name__ == "__main__":
    main()
