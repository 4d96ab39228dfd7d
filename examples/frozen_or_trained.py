"""Frozen features or end-to-end training? Three ways to a classifier, from 1 % of the labels to all of them.

    frozen        vectors that were learned without these labels are the features; only a linear classifier is trained
    fine-tuned    the same start, but what makes the vectors is trained too, at a lower learning rate
    from scratch  the same model from random numbers: all that it knows comes from the labels

Text: which module of Python's library does a docstring belong to? A text is the mean of its words' rows,
and the vectors are Word2Vec's, trained on the documentation of your Python, but for the texts that are held out. The
names of the modules are taken out of the texts, so no text holds its label.

Pictures: which letter is it, A to M, in one of twenty fonts? The vectors are those of a small convolutional network
that was trained to tell other letters, N to Z, and digits apart: what it knows of strokes serves for letters that it
never saw. Letters are drawn from the fonts of matplotlib.

All three get the same labels, the same number of steps on batches of the same size, AdamW with the same decay, and
learning rates that fall to zero by the same schedule. In a run nothing is stopped or chosen by what is held out.

    python examples/frozen_or_trained.py                      a table for each task, and a picture
    python examples/frozen_or_trained.py --task pictures      one task alone
    python examples/frozen_or_trained.py --text my_texts.tsv  your own texts, in any language: on each line a label, a
                                                              tab, a text. Lines without a label teach Word2Vec only.
                                                              Chinese, Japanese and Thai are read by characters.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed import nn
from tinyembed.data import Batches, letters, python_docs, python_docstrings
from tinyembed.models import CNN, Encoder, SentenceEncoder, StaticEmbedding, Word2Vec
from tinyembed.text import Vocabulary, WordTokenizer, simple_preprocess, spaced

WAYS = ("frozen", "fine-tuned", "from scratch")
RATE, BATCH = 0.03, 32  # the learning rate of the classifier
ASKED, KNOWN, SIDE = "ABCDEFGHIJKLM", "NOPQRSTUVWXYZ23456789", 24  # letters; without 0 and 1, which look like O and I
Labelled = list[tuple[str, str]]  # (label, text)


class Task(NamedTuple):
    """What the curves need to know: items with labels, others that are held out, and what makes vectors of them."""

    about: str  # one line on the data and on how the vectors were learned
    unit: str  # what an item is called, in the plural
    classes: list[str]
    items: list[Any]
    y: np.ndarray  # the class of each item
    test: list[Any]
    test_y: np.ndarray
    encoder: Callable[[bool, np.random.Generator], Encoder]  # a new one: pretrained, or drawn at random
    rates: dict[str, float]  # learning rates of the encoder, fine-tuned and from scratch
    title: str


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; where nothing parts words, its characters."""
    return simple_preprocess(spaced(text), min_len=1, max_len=40)


def docstrings(classes: int) -> tuple[Labelled, list[str]]:
    """Docstrings of the modules that have most of them, without these modules' names; and texts without labels."""
    found = {text: name.split(".")[0] for name, text in reversed(python_docstrings()) if len(words_of(text)) > 7}
    modules = [name for name, _ in Counter(found.values()).most_common(classes)]
    names = re.compile("|".join(map(re.escape, modules)), re.IGNORECASE)
    labelled = [(module, names.sub(" ", text)) for text, module in found.items() if module in modules]
    return labelled, [names.sub(" ", part) for document in python_docs() for part in document.split("\n\n")]


def own_texts(path: str, classes: int) -> tuple[Labelled, list[str]]:
    """The lines `label, tab, text` of a file whose labels are among the most frequent; and the texts of all lines."""
    lines = [line.partition("\t") for line in Path(path).read_text("utf-8-sig").split("\n") if line.strip()]
    for label, tab, _ in lines:
        if not tab:
            raise ValueError(f"{path}: there is no tab in {label!r:.60}; a line is a label, a tab and a text")
    counts = Counter(label for label, _, _ in lines if label.strip())
    kept = {label for label, _ in counts.most_common(classes)}
    return [(label, text) for label, _, text in lines if label in kept], [text for _, _, text in lines]


def text_task(o: argparse.Namespace) -> Task:
    """Classes of texts, and the rows of Word2Vec."""
    labelled, unlabelled = docstrings(o.classes) if o.text is None else own_texts(o.text, o.classes)
    known = {words: (label, text) for label, text in labelled if (words := " ".join(words_of(text)))}  # each text once
    classes = sorted({label for label, _ in known.values()})
    if len(classes) < 2 or len(known) < 8:
        raise ValueError(f"{len(known)} different texts with {len(classes)} labels: it takes 8 texts and 2 labels")
    texts = [list(known)[i] for i in np.random.default_rng(o.seed).permutation(len(known))]
    y = np.array([classes.index(known[text][0]) for text in texts])
    n = len(texts) // 4
    held_out = {" ".join(words_of(part)) for text in texts[:n] for part in known[text][1].split("\n\n")}
    sentences = [words for text in unlabelled if " ".join(words := words_of(text)) not in held_out]
    model = Word2Vec(sentences, vector_size=o.dim, sg=1, sample=1e-4, min_count=2, epochs=o.epochs, seed=o.seed)
    rows = model.wv.vectors - model.wv.vectors.mean(0)
    table = np.concatenate([np.zeros((1, o.dim)), rows / rows.std()]).astype(np.float32)
    tokenizer = WordTokenizer(Vocabulary(["<unk>", *model.wv.index_to_key], np.zeros(len(table), int)))

    def encoder(pretrained: bool, rng: np.random.Generator) -> Encoder:
        bag = (nn.EmbeddingBag.from_pretrained(table, freeze=False) if pretrained else
               nn.EmbeddingBag(*table.shape, std=0.1, rng=rng))
        return SentenceEncoder(tokenizer, StaticEmbedding(bag))

    about = (f"Word2Vec on {sum(map(len, sentences)):,} words without labels: V = {len(model.wv):,}, D = {o.dim}, "
             f"{model.history.seconds:.0f} s")
    return Task(about, "texts", classes, texts[n:], y[n:], texts[:n], y[:n], encoder,
                {"fine-tuned": 0.01, "from scratch": RATE}, "Text: rows of Word2Vec")


def picture_task(o: argparse.Namespace) -> Task:
    """Letters, and a network that has learned others."""
    rng, n = np.random.default_rng(o.seed), o.pictures // 2
    others, made = letters(2 * o.pictures, rng, SIDE, KNOWN), letters(o.pictures + n, rng, SIDE, ASKED)
    teacher = CNN(o.channels, 1, len(KNOWN), rng=rng)
    history = te.train.fit(teacher, Batches((others.pictures, others.y), 2 * BATCH, rng),
                           te.optim.AdamW(teacher.parameters(), lr=0.01), steps=o.steps,
                           schedule=te.optim.cosine(o.steps), progress=False)
    state = {name: x for name, x in teacher.state_dict().items() if not name.startswith("head.")}

    def encoder(pretrained: bool, rng: np.random.Generator) -> Encoder:
        model = CNN(o.channels, 1, rng=rng)
        if pretrained:
            model.load_state_dict(state)
        return model

    numbers = sum(p.size for p in teacher.parameters())
    about = (f"a network of {numbers:,} numbers, trained on {len(others.y):,} pictures of {KNOWN}: "
             f"{history.seconds:.0f} s")
    return Task(about, "pictures", made.classes, list(made.pictures[n:]), made.y[n:], list(made.pictures[:n]),
                made.y[:n], encoder, {"fine-tuned": 0.003, "from scratch": 0.01}, "Pictures: a convolutional network")


TASKS = {"text": text_task, "pictures": picture_task}


def accuracy(task: Task, way: str, n: int, repeat: int, o: argparse.Namespace) -> float:
    """The share of the held-out items that are put into their class, after training on n labels drawn at random."""
    rng = np.random.default_rng((o.seed, repeat))
    some = rng.permutation(len(task.items))[:n]  # the same for all ways; fewer labels are a part of more
    items, encoder = [task.items[i] for i in some], task.encoder(way != "from scratch", rng)
    output = nn.Linear(encoder.dim, len(task.classes), rng=rng)
    groups = [{"params": list(output.parameters())}]
    if way == "frozen":
        x, features = encoder.encode(items), lambda x: x  # computed once: nothing changes them
    else:
        x, features = encoder.prepare(items), lambda x: encoder(*encoder.collate(x))
        groups.append({"params": list(encoder.parameters()), "lr": task.rates[way]})
    te.train.fit(nn.ModuleList([output, encoder]), Batches((x, task.y[some]), BATCH, rng),
                 te.optim.AdamW(groups, lr=RATE), steps=o.steps, schedule=te.optim.cosine(o.steps), progress=False,
                 loss=lambda _, x, y: te.ops.cross_entropy(output(features(x)), y))
    return float((output(encoder.encode(task.test)).data.argmax(1) == task.test_y).mean())


def verdict(sizes: list[int], found: dict[str, np.ndarray]) -> str:
    """What the numbers say: frozen against from scratch at both ends, and which way is best over all."""
    gaps = 100 * (found["frozen"] - found["from scratch"]).mean(1)
    ends = [f"{abs(gaps[i]):.1f} points {'better' if gaps[i] > 0 else 'worse'} with {sizes[i]:,} labels"
            for i in sorted({0, len(sizes) - 1})]
    best = max(found, key=lambda way: found[way].mean())
    return (f"Against training from scratch, frozen vectors are {' and '.join(ends)}; averaged over the amounts of "
            f"labels, {best} is best ({found[best].mean():.1%}).")


def compare(task: Task, o: argparse.Namespace) -> tuple[Task, list[int], dict[str, np.ndarray], float]:
    """Print the table of a task; what `draw` needs for its curves."""
    sizes = sorted({max(1, round(len(task.items) * share / 100)) for share in o.shares})
    majority = float((task.test_y == np.bincount(task.y).argmax()).mean())
    print(f"{len(task.items):,} {task.unit} with labels, {len(task.test):,} held out; {len(task.classes)} classes: "
          f"{', '.join(task.classes)}\n{task.about}\n\naccuracy on the held-out {task.unit} in per cent, mean and "
          f"standard deviation over {o.repeats} draws of the labels\n")
    print(f"{'labels':>7} {'share':>6}" + "".join(f"{way:>15}" for way in WAYS))
    found = {way: np.empty((len(sizes), o.repeats)) for way in WAYS}
    for i, n in enumerate(sizes):
        for way in WAYS:
            found[way][i] = [accuracy(task, way, n, repeat, o) for repeat in range(o.repeats)]
        print(f"{n:>7,} {n / len(task.items):>6.1%}" + "".join(
            f"{100 * found[way][i].mean():>9.1f} ± {100 * found[way][i].std():>3.1f}" for way in WAYS), flush=True)
    print(f"\nalways the most frequent class: {majority:.1%}\n\n{verdict(sizes, found)}\n")
    return task, sizes, found, majority


def draw(figure: Any, results: list[tuple[Task, list[int], dict[str, np.ndarray], float]]) -> None:
    """A panel for each task."""
    figure.suptitle("Frozen features or end-to-end training?")
    for axes, result in zip(figure.subplots(1, len(results), squeeze=False)[0], results):
        curves(axes, *result)


def curves(axes: Any, task: Task, sizes: list[int], found: dict[str, np.ndarray], majority: float) -> None:
    """Accuracy over the number of labels: a curve for each way, with the spread over the draws of the labels."""
    for (way, a), marker in zip(found.items(), "osD"):
        mean, spread = a.mean(1), a.std(1)
        line, = axes.plot(sizes, mean, f"{marker}-", label=way)
        axes.fill_between(sizes, mean - spread, mean + spread, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(majority, color="grey", linestyle=":", label="always the most frequent class")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}\n{round(100 * n / len(task.items), 1):g}%" for n in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set(title=task.title, ylim=(0, 1), xlabel=f"labelled {task.unit}, and their share of all",
             ylabel=f"accuracy on {len(task.test):,} held-out {task.unit}, {len(task.classes)} classes")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="frozen_or_trained.png")
    cli.add_argument("--task", choices=list(TASKS),
                     help="what is classified (default: one after the other; with --text, text)")
    cli.add_argument("--text", help="a file of labels, tabs and texts instead of the docstrings (UTF-8)")
    cli.add_argument("--classes", type=int, default=10,
                     help="of texts, only the most frequent labels (default %(default)s)")
    cli.add_argument("--shares", type=float, nargs="+", default=[1, 10, 100],
                     help="how many of the labels are used, in per cent (default 1 10 100)")
    cli.add_argument("--repeats", type=int, default=3, help="how often labels are drawn (default %(default)s)")
    cli.add_argument("--steps", type=int, default=300, help="steps of each training (default %(default)s)")
    cli.add_argument("--dim", type=int, default=100, help="D, the width of a text's vector (default %(default)s)")
    cli.add_argument("--epochs", type=int, default=20, help="passes of Word2Vec over the text (default %(default)s)")
    cli.add_argument("--pictures", type=int, default=2000, help="pictures with labels (default %(default)s)")
    cli.add_argument("--channels", type=int, nargs="+", default=[8, 16, 32, 64],
                     help="of each layer of the network for pictures (default 8 16 32 64)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.classes - 1, o.repeats, o.steps) < 1 or not all(0 < share <= 100 for share in o.shares):
        cli.error("--classes must be at least 2, --repeats and --steps at least 1, --shares above 0 and at most 100")
    if o.pictures < 8 or min(o.channels) < 1 or len(o.channels) > 4:
        cli.error("--pictures must be at least 8, --channels one to four numbers above 0")
    warnings.filterwarnings("ignore", message=".*never touched")  # few labels touch few rows: that is the question
    results = []
    for name in [o.task] if o.task else ["text"] if o.text else TASKS:
        try:
            task = TASKS[name](o)
        except ImportError as error:  # of what draws the letters
            if o.task:
                cli.error(str(error))
            print(f"no task on {name}: {error}")
        except (OSError, ValueError) as error:
            cli.error(str(error))
        else:
            results.append(compare(task, o))
    picture(o.save, draw, results, figsize=(7 * len(results), 5), dpi=100)


if __name__ == "__main__":
    main()
