"""How wide should a vector be? Quality, memory and time of Word2Vec for D = 8 … 512, in one table and one picture.

The text is in an invented language (`data.planted_corpus`) of which is known what there is to learn: analogies (king :
queen = duke : duchess) and classes (male, female, country, capital, present, past), and a third of which is noise. With
few dimensions there is no room for all of it; with many there is room for the noise too, and memory and time grow.

    python examples/dimensions.py                     about a minute
    python examples/dimensions.py --dims 4 16 64      other widths
    python examples/dimensions.py --text my_book.txt  your own text; quality is then how well word + "s" is found
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed.data import paragraphs, planted_corpus
from tinyembed.models import Word2Vec
from tinyembed.vectors import KeyedVectors

Row = dict[str, float]


def planted(o: argparse.Namespace) -> tuple[list[list[str]], dict[str, object]]:
    """Sentences, and how to judge vectors of their words: a function for each measure."""
    corpus = planted_corpus(o.seed, repeats=o.repeats, noise=0.3)
    words, classes = list(corpus.classes), list(corpus.classes.values())
    return corpus.sentences, {
        "analogies": lambda wv: wv.evaluate_word_analogies(corpus.analogies)[0],
        "classes": lambda wv: te.vectors.evaluate_classifier(wv[words], classes).vectors["accuracy"]}


def own(o: argparse.Namespace) -> tuple[list[list[str]], dict[str, object]]:
    def plurals(wv: KeyedVectors) -> float:
        words = [word for word in wv.index_to_key if f"{word}s" in wv]
        return float(np.mean([f"{word}s" in dict(wv.most_similar(word)) for word in words])) if words else 0.0

    return paragraphs(o.text), {"plurals": plurals}


def draw(figure: Any, rows: dict[int, Row], measures: list[str]) -> None:
    """Three panels over D: quality beside that of a random table of the same width, megabytes, seconds."""
    panels, dims = figure.subplots(1, 3), list(rows)
    for i, name in enumerate(measures):
        panels[0].plot(dims, [row[name] for row in rows.values()], "o-", color=f"C{i}", label=name)
        panels[0].plot(dims, [row[f"{name}, random"] for row in rows.values()], ".:", color=f"C{i}",
                       label=f"{name}, random table")
    panels[0].set(ylabel="share that is right", title="Quality", ylim=(-0.03, 1.03))
    panels[0].legend()
    for panel, name, unit in ((panels[1], "memory", "MB of both tables"), (panels[2], "seconds", "seconds")):
        panel.plot(dims, [row[name] for row in rows.values()], "o-", color="C2")
        panel.set(ylabel=unit, title=name.capitalize() if name == "memory" else "Training", ylim=(0, None))
    for panel in panels:
        panel.set_xscale("log", base=2)
        panel.set_xticks(dims, [str(D) for D in dims])
        panel.set_xlabel("D, dimensions")
        panel.grid(alpha=0.3)


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="dimensions.png")
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate paragraphs)")
    cli.add_argument("--dims", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256, 512],
                     help="the widths D (default 8 16 … 512)")
    cli.add_argument("--epochs", type=int, default=5, help="passes over the text (default %(default)s)")
    cli.add_argument("--repeats", type=int, default=100, help="sentences for each planted word (default %(default)s)")
    cli.add_argument("--min-count", type=int, default=5, help="leave out words seen less often (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(*o.dims, o.repeats, 1) < 1:
        cli.error("--dims and --repeats must be at least 1")
    try:
        sentences, judges = planted(o) if o.text is None else own(o)
        Word2Vec(min_count=o.min_count, epochs=o.epochs, seed=o.seed).build_vocab(sentences)
    except (OSError, ValueError) as error:
        cli.error(str(error))
    print(f"{len(sentences):,} sentences, {sum(map(len, sentences)):,} words, skip-gram, {o.epochs} epochs\n")
    print(f"{'D':>7} " + " ".join(f"{name:>10} {'random':>7}" for name in judges) + f"{'MB':>10} {'seconds':>10}")
    rows: dict[int, Row] = {}
    for D in sorted(set(o.dims)):
        start = time.perf_counter()
        model = Word2Vec(sentences, vector_size=D, sg=1, min_count=o.min_count, epochs=o.epochs, seed=o.seed)
        seconds = time.perf_counter() - start
        memory = sum(p.data.nbytes for p in model.network.parameters()) / 1e6
        table = np.random.default_rng(o.seed).standard_normal((len(model.wv), D), np.float32)
        random = KeyedVectors(keys=model.wv.index_to_key, vectors=table)
        rows[D] = {"memory": memory, "seconds": seconds}
        for name, judge in judges.items():
            rows[D] |= {name: judge(model.wv), f"{name}, random": judge(random)}
        print(f"{D:>7} " + " ".join(f"{rows[D][name]:>10.3f} {rows[D][f'{name}, random']:>7.3f}" for name in judges)
              + f"{memory:>10.3f} {seconds:>10.3f}", flush=True)
    print()
    picture(o.save, draw, rows, list(judges), figsize=(15, 4.5))


if __name__ == "__main__":
    main()
