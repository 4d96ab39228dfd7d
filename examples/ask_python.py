"""Ask Python's documentation: train a sentence encoder on it, judge it, and print what a model would be asked.

An encoder makes a vector of a text: the mean of its tokens' rows, which begin as Word2Vec's. It is trained to tell, of
128 docstrings, which one goes on where a name and a first sentence left off. Then it is asked for functions that it
never saw, beside the counting of words (TF-IDF, BM25); and once more with the words struck out of each question that
stand in its answer, so that there is nothing to count.

    python examples/ask_python.py                                         how often it is right, and some questions
    python examples/ask_python.py --query "copy a folder"                 your own question
    python examples/ask_python.py --text my_book.txt --query "the whale"  your own text, by paragraphs, in any language
    python examples/ask_python.py --model all-MiniLM-L6-v2                beside a published model, in a folder
"""

from __future__ import annotations

import argparse
import copy
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from baselines import BM25, TfIdf, plain, strike, words
from shared import parser

import tinyembed as te
from tinyembed.data import Batches, python_docstrings
from tinyembed.models import SentenceEncoder, Word2Vec, sif
from tinyembed.text import ByteLevelBPE
from tinyembed.vectors import fuse_ranks, retrieval_scores, semantic_search

QUESTIONS = ["join two paths", "parse json from a string", "run a command and get its output"]
SENTENCE, PARAGRAPH = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n"), re.compile(r"\n\s*\n")


class Entry(NamedTuple):
    """A function and its docstring, or a paragraph, cut after the first sentence."""

    name: str
    title: str  # the words of the name; none for a paragraph
    first: str
    rest: str

    @property
    def question(self) -> str:
        return plain(f"{self.title} {self.first}")

    @property
    def text(self) -> str:
        return f"{self.title} {self.first}\n{self.rest}"


class Pairs:
    """Batches of questions and answers: how an entry begins, and the rest; and its sentences, dealt out at random.

    All anew in each epoch. Half of the questions lose the words that the answer has, so that these are not all that is
    learned; and a word in ten is dropped.
    """

    def __init__(self, entries: list[Entry], size: int, rng: np.random.Generator) -> None:
        self.entries, self.size, self.rng = entries, size, rng
        self.parts = [[part for text in (e.title, e.first, *SENTENCE.split(e.rest)) if (part := plain(text))]
                      for e in entries]

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        pairs = [(e.question, plain(e.rest)) for e in self.entries]
        for parts in self.parts:
            if len(parts) > 1:
                dealt = self.rng.permutation(len(parts)) < self.rng.integers(1, len(parts))
                pairs.append((" ".join(p for p, mine in zip(parts, dealt) if mine),
                              " ".join(p for p, mine in zip(parts, dealt) if not mine)))
        pairs = [(self.thin(strike(x, y) if self.rng.random() < 0.5 else x), self.thin(y)) for x, y in pairs]
        kept = [(x, y) for x, y in pairs if x and y]
        yield from Batches(([x for x, _ in kept], [y for _, y in kept]), min(self.size, len(kept)), self.rng, True)

    def thin(self, text: str) -> str:
        found = text.split()
        return " ".join(word for word, chance in zip(found, self.rng.random(len(found))) if chance >= 0.1)


def untrained(texts: list[str], vocab: int, dim: int, seed: int) -> SentenceEncoder:
    """The mean of Word2Vec's rows, the rare ones weighing more (SIF). Tokens are bytes, merged: of any language."""
    found = ByteLevelBPE.train([f" {text}" for text in texts], vocab)
    tokenizer = ByteLevelBPE(found.tokens, found.merges, add_prefix_space=True)
    pieces = [tokenizer.pieces(text) for text in texts]
    wv = Word2Vec(pieces, vector_size=dim, window=8, sg=1, min_count=1, epochs=10, seed=seed).wv
    counts = np.array([wv.get_vecattr(token, "count") if token in wv else 0 for token in tokenizer.tokens])
    rows = np.array([wv[token] if token in wv else np.zeros(dim, np.float32) for token in tokenizer.tokens])
    return sif(tokenizer, rows / np.linalg.norm(rows, axis=1).mean(), counts, texts)


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--text", help="a text file instead of the docstrings (UTF-8; blank lines separate paragraphs)")
    cli.add_argument("--query", action="append", help="a question; may be given several times")
    cli.add_argument("--model", help="a folder of sentence-transformers, to be judged too (takes a minute or more)")
    cli.add_argument("--dim", type=int, default=256, help="D, the width of a vector (default %(default)s)")
    cli.add_argument("--vocab", type=int, default=4000, help="V, the number of tokens (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=12, help="passes over the documents (default %(default)s)")
    cli.add_argument("--test", type=int, default=500, help="held out; a quarter at most (default %(default)s)")
    return cli


def entries_of(path: str | None) -> list[Entry]:
    """Each text once, though it may stand under several names."""
    named = python_docstrings() if path is None else [
        (f"paragraph {i}", text) for i, text in enumerate(PARAGRAPH.split(Path(path).read_text("utf-8")), 1)]
    found: dict[str, Entry] = {}
    for name, text in named:
        first, *rest = SENTENCE.split(text.strip(), maxsplit=1)
        if plain(first):
            title = name if path is None else ""
            found.setdefault(plain(text), Entry(name, title, " ".join(first.split()), *rest or [""]))
    return list(found.values())


def nearest(questions: np.ndarray, documents: np.ndarray, k: int) -> list[list[int]]:
    return [[int(hit["corpus_id"]) for hit in hits] for hits in semantic_search(questions, documents, k)]


def judge(encoders: dict[str, SentenceEncoder], answers: list[Entry], asked: list[int]) -> None:
    """A table: how often the answer is among the first ten, and the mean of 1 / its place."""
    documents, began = [plain(e.rest) for e in answers], time.monotonic()
    counted = [words(text) for text in documents]
    counts = {"TF-IDF": TfIdf(counted), "BM25": BM25(counted)}
    vectors = {name: encoder.encode(documents) for name, encoder in encoders.items()}
    rows: dict[str, list[float]] = {}
    for struck in (False, True):
        pairs = [(strike(answers[i].question, documents[i]) if struck else answers[i].question, i) for i in asked]
        questions, right = [q for q, _ in pairs if q], [{i} for q, i in pairs if q]
        found = {name: [index.nearest(words(q), 100) for q in questions] for name, index in counts.items()}
        found |= {name: nearest(encoder.encode(questions), vectors[name], 100) for name, encoder in encoders.items()}
        found["trained + BM25"] = [fuse_ranks(two) for two in zip(found["trained"], found["BM25"])]
        for name, ranked in found.items():
            scores = retrieval_scores([ids[:10] for ids in ranked], right, [10])
            rows[name] = [*rows.get(name, []), scores["recall@10"], scores["mrr@10"]]
    print(f"{len(asked)} held-out questions, {len(answers):,} documents; {time.monotonic() - began:.0f} s\n\n"
          f"{'':24}as asked            without the answer's words\n{'':24}recall@10    MRR    recall@10    MRR")
    for name, (a, b, c, d) in rows.items():
        print(f"  {name:<22}{a:9.1%}  {b:.3f}    {c:9.1%}  {d:.3f}")
    print(f"  {'chance':<22}{min(10 / len(answers), 1):9.1%}\n")


def ask(encoder: SentenceEncoder, entries: list[Entry], questions: list[str]) -> None:
    """The entries that answer each question; then, for the last, the prompt that a language model would get.

    How an entry begins counts as much as the whole, for a question is like a beginning.
    """
    entries = [e for e in entries if "._" not in f".{e.name}"]  # what has a leading underscore is not for users
    begins, wholes = (encoder.encode(texts, normalize_embeddings=True)
                      for texts in ([e.question for e in entries], [plain(e.text) for e in entries]))
    counted, asked = BM25([words(e.text) for e in entries]), encoder.encode([plain(q) for q in questions])
    for question, hits in zip(questions, semantic_search(asked, begins + wholes, 100)):
        print(f'"{question}"')
        for hit in hits[:4]:
            e = entries[int(hit["corpus_id"])]
            print(f"  {hit['score']:.2f}  {e.name:<44.44} {e.first[:66]}")
        fused = fuse_ranks([[int(hit["corpus_id"]) for hit in hits], counted.nearest(words(question), 100)])
        print(f"  and with BM25: {', '.join(entries[i].name for i in fused[:4])}\n")

    best = [entries[int(hit["corpus_id"])] for hit in hits[:20]]
    passages = [(e, part) for e in best for part in PARAGRAPH.split(f"{e.first}\n{e.rest}") if plain(part)]
    found, = nearest(asked[-1:], encoder.encode([plain(f"{e.title} {part}") for e, part in passages]), 3)
    print("a language model would be asked:\n\n  Answer from these passages alone, and name those you used.\n")
    for e, part in (passages[i] for i in found):
        print(f"  [{e.name}] {' '.join(part.split())[:400]}")
    print(f"\n  Question: {questions[-1]}\n  Answer:")


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.dim, o.epochs, o.test) < 1:
        cli.error("--dim, --epochs and --test are 1 or more")
    try:
        entries = entries_of(o.text)
        answers = list({plain(e.rest): e for e in entries if len(words(e.rest)) >= 8}.values())
        if len(answers) < 8:
            cli.error(f"{len(answers)} texts have a sentence, and eight words or more after it; it takes eight")
        published = {"published": SentenceEncoder(o.model)} if o.model else {}
        rng, began = np.random.default_rng(o.seed), time.monotonic()
        asked = rng.permutation(len(answers))[:min(o.test, len(answers) // 4)].tolist()
        held_out = {plain(answers[i].rest) for i in asked}  # whatever goes on like this is not trained on
        seen = [e for e in entries if plain(e.rest) not in held_out]
        start = untrained([plain(e.text) for e in seen], o.vocab, o.dim, o.seed)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    encoder = copy.deepcopy(start)
    optimizer = te.optim.Adagrad(encoder.parameters(), lr=0.01)
    history = te.train.fit(encoder, Pairs(seen, 128, rng), optimizer, epochs=o.epochs)
    print(f"{len(seen):,} texts to learn from, V = {len(encoder.tokenizer):,}; {history.steps} steps; "
          f"{time.monotonic() - began:.0f} s")
    judge({"untrained": start, "trained": encoder} | published, answers, asked)
    ask(encoder, entries, o.query or (QUESTIONS if o.text is None else [answers[i].first for i in asked[:2]]))


if __name__ == "__main__":
    main()
