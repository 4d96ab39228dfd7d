"""A picture for a sentence, a sentence for a picture: CLIP, trained on drawn shapes and captions that say their colour,
shape, size and place. Of each colour one shape is never shown: do pictures of a red circle and the words "red circle"
find each other, when only other red things were seen, and other circles?

CLIP is told nothing but which caption belongs to which picture. Beside it stand chance, and a bag of attributes: linear
classifiers that are told all four attributes of each picture, and match a caption by the product of what they say.

    python examples/clip.py                         two minutes; draws clip.png
    python examples/clip.py --ask "a large red star at the top" "a small blue ring"
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from shared import parser, picture

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.data import SHAPE_ATTRIBUTES, Batches, Drawings, drawn_shapes, shape_caption, shape_combinations
from tinyembed.models import CLIP, PictureModel, SentenceEncoder, StaticEmbedding
from tinyembed.text import Vocabulary, WordTokenizer

COLOURS = SHAPE_ATTRIBUTES["colour"]


class Eye(PictureModel):
    """Convolutions, each on a quarter of the pixels of the one before; of each channel its largest number.

    Two channels more say where a pixel is, row and column (Liu et al. 2018), or the largest number would not know.
    """

    num_channels, head = 3, None

    def __init__(self, channels: Sequence[int], rng: np.random.Generator) -> None:
        self.dim = channels[-1]
        self.layers = [nn.Conv2d(before, n, 3, stride=2, padding=1, bias=False, rng=rng)
                       for before, n in zip((self.num_channels + 2, *channels), channels)]
        self.norms = [nn.BatchNorm2d(n) for n in channels]

    def forward(self, x: Any) -> te.Tensor:
        B, _, H, W = x.shape
        rows, columns = np.mgrid[-1:1:H * 1j, -1:1:W * 1j].astype(np.float32)
        h = ops.concatenate([self._checked(x), *(np.broadcast_to(c, (B, 1, H, W)) for c in (rows, columns))], 1)
        for layer, norm in zip(self.layers, self.norms):
            h = ops.relu(norm(layer(h)))
        return h.max((2, 3))


def two_towers(dim: int, seed: int) -> CLIP:
    """The order of the words says nothing in these captions: a mean of rows reads them as well as a transformer."""
    captions = [shape_caption(ids).split() for ids in shape_combinations()]
    words, rng = WordTokenizer(Vocabulary.build(captions)), np.random.default_rng(seed)
    text = SentenceEncoder(words, StaticEmbedding(nn.EmbeddingBag(len(words), dim, rng=rng)))
    return CLIP(Eye((32, 64, 128), rng), text, dim, rng=rng)


# -- a bag of attributes -----------------------------------------------------------------------------------------------


def simple_features(pictures: np.ndarray) -> np.ndarray:
    """What one would measure first: (N, 3, 32, 32) -> how much of each hue there is, how colourful each cell of a grid
    is (the background is grey), how many pixels are colourful; with squares, so that lines can bend."""
    top, low = pictures.max(1), pictures.min(1)
    colourful = (top - low) * (top - low > 0.25)  # (N, 32, 32), nothing of the noise
    r, g, b = np.moveaxis(pictures, 1, 0)
    hue = np.rint(np.arctan2(3 ** 0.5 * (g - b), 2 * r - g - b) * (12 / np.pi)).astype(int) % 24  # of 24
    place = hue + 24 * np.arange(len(hue))[:, None, None]
    hues = np.bincount(place.ravel(), colourful.ravel(), 24 * len(hue)).reshape(-1, 24)
    cells = colourful.reshape(-1, 16, 2, 16, 2).mean((2, 4)).reshape(len(pictures), -1)
    x = np.concatenate([hues / hues.sum(1, keepdims=True).clip(1e-6), cells, (colourful > 0).mean((1, 2))[:, None]], 1)
    return np.concatenate([x, x * x], 1).astype(np.float32)


class Attributes(nn.Module):
    """A linear classifier of each attribute; a caption's score is the sum of the log-probabilities of what it says."""

    def __init__(self, x: np.ndarray, ids: np.ndarray, seed: int) -> None:
        self.mean, self.std = x.mean(0), x.std(0) + 1e-3
        self.sizes = [len(words) for words in SHAPE_ATTRIBUTES.values()]
        self.linear = nn.Linear(x.shape[1], sum(self.sizes), rng=np.random.default_rng(seed))
        batches = Batches((x, ids), 128, np.random.default_rng(seed))
        adam, steps = te.optim.AdamW(te.optim.decay_groups(self, 0.3), lr=0.002), 10 * len(batches)
        te.train.fit(self, batches, adam, steps=steps, schedule=lambda step: 1 - step / steps, progress=False)

    def forward(self, x: np.ndarray) -> list[te.Tensor]:
        parts = ops.split(self.linear(((x - self.mean) / self.std).astype(np.float32)), np.cumsum(self.sizes)[:-1], -1)
        return [ops.log_softmax(part) for part in parts]

    def loss(self, x: np.ndarray, ids: np.ndarray) -> te.Tensor:
        return -sum(part[np.arange(len(x)), ids[:, i]].mean() for i, part in enumerate(self(x)))

    def scores(self, x: np.ndarray, captions: np.ndarray) -> np.ndarray:
        """Features (N, d), attributes of captions (M, 4) -> (N, M)"""
        with te.no_grad():
            return sum(part.data[:, captions[:, i]] for i, part in enumerate(self(x)))


# -- what is printed ---------------------------------------------------------------------------------------------------


def recalls(scores: np.ndarray, pictures: np.ndarray, captions: np.ndarray, new: np.ndarray) -> list[float]:
    """Recall@1 of pictures, then of captions, of which a picture is there; a hit is an equal caption.

    scores (N, M), attributes of pictures (N, 4) and of captions (M, 4), new (N,): which pictures are asked for
    """
    same = (pictures[:, None] == captions).all(2)  # (N, M)
    asked = same[new].any(0)
    return [same[new, scores[new].argmax(1)].mean(), same[scores[:, asked].argmax(0), asked].mean()]


def table(name: str, scores: np.ndarray, test: Drawings, captions: np.ndarray, new: np.ndarray) -> None:
    """Recalls of what was never shown, among all pictures and captions, then among its own alone; of what was shown;
    then how often each attribute of the caption is right that a new picture finds."""
    never = shape_combinations(True)
    alone = [(captions == row).all(1).argmax() for row in never]
    numbers = [*recalls(scores, test.ids, captions, new),
               *recalls(scores[new][:, alone], test.ids[new], never, np.ones(new.sum(), bool)),
               *recalls(scores, test.ids, captions, ~new)]
    right = (captions[scores[new].argmax(1)] == test.ids[new]).mean(0)
    print(f"{name:<26}" + "".join(f"{x:>9.1%}" for x in numbers) + "   " + "".join(f"{x:>7.0%}" for x in right))


def classes_by_captions(model: CLIP, x: np.ndarray, ids: np.ndarray) -> None:
    """Which colour, shape, size, place: the caption of one word whose vector is nearest."""
    print("\ncaptions as classes, pictures of combinations never shown")
    for i, (attribute, words) in enumerate(SHAPE_ATTRIBUTES.items()):
        found = (x @ model.label_vectors(words, "{}").T).argmax(1)
        print(f"  {attribute:<8}{(found == ids[:, i]).mean():>6.1%}, by chance {1 / len(words):>3.0%}; such as "
              f'"{words[0]}"')


def recoloured(x: np.ndarray, ids: np.ndarray, words: np.ndarray, to: np.ndarray) -> np.ndarray:
    """"This picture - red + blue": unit vectors of pictures (N, d), of colours (8, d), new colours (N,) -> (N, d)"""
    return x - words[ids[:, 0]] + words[to]


# -- the picture -------------------------------------------------------------------------------------------------------


def show(axes: Any, pixels: np.ndarray, right: bool | None = None) -> None:
    """A picture, in a frame that says whether it is what was asked for."""
    axes.imshow(pixels.transpose(1, 2, 0))
    axes.set(xticks=[], yticks=[])
    colour, width = {None: ("0.6", 1), True: ("tab:green", 3), False: ("tab:red", 3)}[right]
    for side in axes.spines.values():
        side.set(color=colour, linewidth=width)


def draw(figure: Any, pictures: np.ndarray, sentences: list[tuple[str, list[tuple[int, bool]]]],
         captions: list[tuple[int, list[tuple[str, float, bool]]]], moved: list[tuple[int, str, list[tuple[int, bool]]]]
         ) -> None:
    left, middle, right = figure.subfigures(1, 3, width_ratios=(5, 4.6, 4))
    left.suptitle("A sentence finds pictures (green: of that caption)", fontsize=13)
    for row, (sentence, found) in zip(np.ravel(left.subfigures(len(sentences), 1)), sentences):
        row.suptitle(f"“{sentence}”", fontsize=10)
        for axes, (i, hit) in zip(row.subplots(1, len(found)), found):
            show(axes, pictures[i], hit)
    middle.suptitle("A picture finds a sentence", fontsize=13)
    for row, (i, found) in zip(middle.subfigures(len(captions), 1), captions):
        axes, text = row.subplots(1, 2, width_ratios=(1, 2.4))
        show(axes, pictures[i])
        text.axis("off")
        for y, (caption, p, hit) in zip((0.75, 0.5, 0.25), found):
            text.text(0, y, f"{p:4.0%}  {caption}", color="tab:green" if hit else "0.3", va="center", fontsize=10,
                      weight="bold" if hit else "normal").set_in_layout(False)  # or long captions shrink pictures
    right.suptitle("This picture, with other words", fontsize=13)
    for row, (i, words, found) in zip(right.subfigures(len(moved), 1), moved):
        row.suptitle(words, fontsize=10)
        axes, *others = row.subplots(1, 1 + len(found), width_ratios=(1.0, *(1.0 for _ in found)))
        show(axes, pictures[i])
        for panel, (j, hit) in zip(others, found):
            show(panel, pictures[j], hit)


def sheet(model: CLIP, test: Drawings, new: np.ndarray, x: np.ndarray, captions: list[str], asked: list[str]
          ) -> tuple[Any, ...]:
    """What `draw` shows: nearest pictures of sentences, likeliest sentences of pictures, pictures moved by words."""
    def hits(y: np.ndarray, want: str, but: int = -1) -> list[tuple[int, bool]]:
        order = [int(i) for i in np.argsort(-(x @ y)) if i != but][:4]
        return [(i, test.captions[i] == want) for i in order]

    never = [test.captions[i] for i in new]
    sentences = asked or list(dict.fromkeys(never))[:5]
    y = model.encode_text(sentences, normalize_embeddings=True)
    of_sentences = [(sentence, hits(vector, sentence)) for sentence, vector in zip(sentences, y)]
    of_pictures = []
    for i in new[-5:]:
        p = model.classify(test.pictures[i] - 0.5, captions, "{}")
        of_pictures.append((int(i), [(captions[j], float(p[j]), captions[j] == test.captions[i])
                                     for j in np.argsort(-p)[:3]]))
    words = model.label_vectors(COLOURS, "{}")
    moved = []
    for i, (old, to) in zip([np.flatnonzero(test.ids[:, 0] == old)[-1] for old in (0, 5, 3, 7, 2)],
                            [(0, 5), (5, 2), (3, 6), (7, 3), (2, 0)]):
        y = recoloured(x[[i]], test.ids[[i]], words, np.array([to]))[0]
        want = shape_caption([to, *test.ids[i, 1:]])
        moved.append((int(i), f"this picture - {COLOURS[old]} + {COLOURS[to]}", hits(y, want, i)[:3]))
    return of_sentences, of_pictures, moved


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="clip.png")
    cli.add_argument("--ask", nargs="+", default=[], metavar="SENTENCE",
                     help="what to look for, in the words of captions")
    cli.add_argument("--pictures", type=int, default=12000, help="to train on (default %(default)s)")
    cli.add_argument("--test", type=int, default=3000, help="pictures to judge by (default %(default)s)")
    cli.add_argument("--steps", type=int, default=1000, help="of the optimiser (default %(default)s)")
    cli.add_argument("--batch", type=int, default=64, help="pairs in a step (default %(default)s)")
    cli.add_argument("--dim", type=int, default=64, help="d, the width of the common space (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.pictures, o.steps, o.batch, o.dim) < 1 or o.test < 100 or o.batch > o.pictures:
        cli.error("--pictures, --steps, --batch and --dim are 1 or more, a batch has no more than --pictures; --test "
                  "is 100 or more")
    model = two_towers(o.dim, o.seed)
    known = set(model.text.encoder.tokenizer.tokens)
    if unknown := [word for sentence in o.ask for word in sentence.lower().split() if word not in known]:
        cli.error(f"no caption says {unknown[0]!r}; they are like {shape_caption([0, 0, 0, 0])!r}")

    start, rng = time.perf_counter(), np.random.default_rng(o.seed)
    train, test = drawn_shapes(o.pictures, rng), drawn_shapes(o.test, rng, held_out=None)
    every, never = shape_combinations(), shape_combinations(True)
    captions = [shape_caption(ids) for ids in every]
    new = (test.ids[:, None] == never).all(2).any(1)
    first = np.flatnonzero(new)
    print(f"{o.pictures:,} pictures of {len(every) - len(never)} combinations to train on; {o.test:,} to judge by, "
          f"{len(first)} of them of {len(never)} combinations never shown;\ndrawn in "
          f"{time.perf_counter() - start:.0f} s; such as {test.captions[first[0]]!r}")

    start = time.perf_counter()
    batches = Batches((train.pictures - 0.5, train.captions), o.batch, rng, drop_last=True)
    adam = te.optim.AdamW(te.optim.decay_groups(model, 0.1), lr=0.002)
    te.train.fit(model, batches, adam, steps=o.steps, clip_norm=1.0,
                 schedule=te.optim.cosine(o.steps, warmup=o.steps // 10))
    model.eval()
    print(f"{o.steps} steps in {time.perf_counter() - start:.0f} s; the temperature was 0.07, and is now "
          f"{np.exp(-model.logit_scale.item()):.3f}")

    x = model.encode_image(test.pictures - 0.5, batch_size=250, normalize_embeddings=True)
    y = model.encode_text(captions, batch_size=250, normalize_embeddings=True)
    print(f"\nrecall@1, %   {'never shown,':>30}{'never shown,':>18}{'':>18}   attributes of the caption found\n"
          f"{'':<26}{'among all':>18}{'alone':>18}{'shown':>18}   for combinations never shown\n{'':<26}" +
          f"{'picture':>9}{'caption':>9}" * 3 + "   " + "".join(f"{name:>7}" for name in SHAPE_ATTRIBUTES))
    chances = np.random.default_rng(o.seed).random((o.test, len(captions)))
    table("chance", chances, test, every, new)
    for name, features in (("attributes, pixels", lambda p: p.reshape(len(p), -1)),
                           ("attributes, features", simple_features),
                           ("attributes, CLIP's vectors", lambda p: model.encode_image(p - 0.5, batch_size=250))):
        classifier = Attributes(features(train.pictures), train.ids, o.seed)
        table(name, classifier.scores(features(test.pictures), every), test, every, new)
    table("CLIP", x @ y.T, test, every, new)
    classes_by_captions(model, x[new], test.ids[new])

    words = model.label_vectors(COLOURS, "{}")
    to = (test.ids[:, 0] + rng.integers(1, len(COLOURS), o.test)) % len(COLOURS)
    nearest = recoloured(x, test.ids, words, to) @ x.T
    np.fill_diagonal(nearest, -np.inf)
    found = test.ids[nearest.argmax(1)]
    print(f"\nthis picture - its colour + another: the nearest other picture has that colour in "
          f"{(found[:, 0] == to).mean():.0%} of cases, that\nand the same shape, size and place in "
          f"{((found[:, 0] == to) & (found[:, 1:] == test.ids[:, 1:]).all(1)).mean():.0%}")

    of_sentences, of_pictures, moved = sheet(model, test, first, x, captions, [s.lower() for s in o.ask])
    for sentence, found in of_sentences if o.ask else []:
        print(f'\n"{sentence}": ' + "; ".join(test.captions[i] for i, _ in found))
    print()
    picture(o.save, draw, test.pictures, of_sentences, of_pictures, moved, figsize=(16, 9))


if __name__ == "__main__":
    main()
