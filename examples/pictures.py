"""Which pictures are alike? The ten nearest to a picture, by its pixels and by what a small network learned.

A convolutional network learns to tell classes of pictures apart. Its vectors then serve to search: a picture is near
those of its class. So they do for classes that it never saw, which are kept out of training. Every picture that is
judged is held out of training, and is searched for among all of these, trained and new classes together.

    raw pixels    one long vector of brightness
    PCA           the directions in which the pixels vary most; as many as the network has numbers
    layer n       what is inside the network after n layers, the mean over the picture: `model.features(…)`

A sheet shows some pictures and their nearest ones, hits in a green frame.

    python examples/pictures.py                  letters in twenty fonts, under two minutes on two cores
    python examples/pictures.py --data shapes    coloured shapes; a class is a colour and a shape
    python examples/pictures.py --data digits    handwritten digits, if scikit-learn is installed
    python examples/pictures.py --data folder    your own PNG files: the names of sub-folders are the classes
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from shared import parser, picture

from tinyembed.core import Array
from tinyembed.data import (
    SHAPE_ATTRIBUTES,
    Batches,
    Pictures,
    digits_or_letters,
    drawn_shapes,
    letters,
    picture_folder,
)
from tinyembed.models import CNN
from tinyembed.optim import AdamW, cosine
from tinyembed.train import fit
from tinyembed.vectors import pca, semantic_search

HIT, MISS, QUERY, PAPER = (0.1, 0.65, 0.2), (0.85, 0.15, 0.15), (0.15, 0.35, 0.85), (1.0, 1.0, 1.0)


def pictures_of(o: argparse.Namespace, rng: np.random.Generator) -> Pictures:
    """Those that --data names."""
    if o.data == "letters":
        return letters(o.pictures, rng, o.size)
    if o.data == "digits":
        return digits_or_letters(rng, o.pictures, o.size)
    if o.data != "shapes":
        return picture_folder(o.data, o.size)
    made, shapes = drawn_shapes(o.pictures, rng, o.size, held_out=None), SHAPE_ATTRIBUTES["shape"]
    names = [f"{colour} {shape}" for colour in SHAPE_ATTRIBUTES["colour"] for shape in shapes]
    return Pictures(made.pictures, made.ids[:, 0] * len(shapes) + made.ids[:, 1], names,
                    f"{o.pictures:,} drawn shapes, {len(names)} pairs of a colour and a shape")


def closest(vectors: Array, k: int) -> Array:
    """The k nearest of each vector among the others, by the cosine after the mean is taken away: (n, d) -> (n, k)"""
    v = vectors.reshape(len(vectors), -1)
    found = semantic_search(v - v.mean(0), v - v.mean(0), top_k=k + 1)
    ids = [[hit["corpus_id"] for hit in hits if hit["corpus_id"] != i][:k] for i, hits in enumerate(found)]
    return np.array(ids, int)


def sheet(figure: Any, x: Array, names: list[str], hits: dict[str, Array], same: dict[str, Array],
          queries: list[int]) -> None:
    """A row for each query: the picture, and its nearest by each of two ways."""
    axes = figure.subplots(1, len(hits), gridspec_kw={"wspace": 0.02})
    for ax, (way, ids) in zip(axes, hits.items()):
        rows = []
        for q in queries:
            frames = [QUERY, *(HIT if hit else MISS for hit in same[way][q])]
            tiles = [framed(x[i], frame) for i, frame in zip([q, *ids[q]], frames)]
            gap = np.ones((len(tiles[0]), 6, 3))
            rows.append(np.concatenate([tiles[0], gap, *tiles[1:]], axis=1))
        height = len(rows[0])
        ax.imshow(np.concatenate(rows), interpolation="nearest")
        ax.set_title(f"{way}: {np.mean([same[way][q].mean() for q in queries]):.0%} hits here, "
                     f"{same[way].mean():.0%} over all")
        ax.set_xticks([])
        ax.set_yticks([height * (i + 0.5) for i in range(len(rows))], [names[q] for q in queries])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    for ax in axes[1:]:
        ax.set_yticks([])


def framed(x: Array, colour: tuple[float, float, float], zoom: int = 2, width: int = 3) -> Array:
    """A picture (C, S, S) as (H, W, 3), enlarged, in a frame on white paper."""
    inside = np.broadcast_to(x, (3, *x.shape[1:])).transpose(1, 2, 0).repeat(zoom, 0).repeat(zoom, 1)
    for shade, n in ((colour, width), (PAPER, 2)):
        wide = np.full((inside.shape[0] + 2 * n, inside.shape[1] + 2 * n, 3), shade)
        wide[n:-n, n:-n] = inside
        inside = wide
    return inside


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, save="pictures.png")
    cli.add_argument("--data", default="letters",
                     help="letters, shapes, digits, or a folder of PNG files (default %(default)s)")
    cli.add_argument("--pictures", type=int, default=7000, help="how many are drawn (default %(default)s)")
    cli.add_argument("--size", type=int, default=24, help="S, the side of a picture (default %(default)s)")
    cli.add_argument("--new", type=float, default=0.25,
                     help="the share of the classes that are kept out of training (default %(default)s)")
    cli.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128],
                     help="of each layer of the network (default 16 32 64 128)")
    cli.add_argument("--steps", type=int, default=400, help="of training, 64 pictures each (default %(default)s)")
    cli.add_argument("--top", type=int, default=10, help="how many nearest ones count (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    if min(o.steps, o.top, *o.channels) < 1 or not 0 <= o.new < 1 or o.size < 2 ** len(o.channels):
        cli.error("--steps, --top and --channels are 1 or more, --new is 0 or more and below 1, and each layer halves "
                  f"the picture: --size is at least {2 ** len(o.channels)}")
    rng = np.random.default_rng(o.seed)
    try:
        data = pictures_of(o, rng)
    except (ImportError, OSError, ValueError) as error:
        cli.error(str(error))
    kinds = len(data.classes)
    every = round(1 / o.new) if o.new * kinds >= 1 else kinds + 1
    new_classes = np.arange(kinds)[every - 1::every]
    trained = np.setdiff1d(np.arange(kinds), new_classes)
    order = rng.permutation(len(data.y))
    judged, others = order[:len(order) // 4], order[len(order) // 4:]
    train, is_new = others[np.isin(data.y[others], trained)], np.isin(data.y[judged], new_classes)
    if len(trained) < 2 or len(judged) <= o.top or not len(train):
        cli.error(f"{len(data.y)} pictures of {kinds} classes: it takes two classes to train on, and more than "
                  f"{o.top} held-out pictures")
    print(f"{data.about}\n{len(train):,} pictures of {len(trained)} classes to train on; {len(judged):,} to judge, "
          f"{is_new.sum():,} of them of {len(new_classes)} new classes: "
          f"{', '.join(data.classes[i] for i in new_classes) or 'none'}\n")

    x, y = data.pictures[judged], data.y[judged]
    model = CNN(o.channels, num_channels=x.shape[1], num_labels=len(trained), rng=rng)
    vectors = {"raw pixels": x, "PCA": pca(x.reshape(len(x), -1), min(model.dim, len(x), x[0].size)),
               "untrained network": model.encode(x)}
    start = time.perf_counter()
    fit(model, Batches((data.pictures[train], np.searchsorted(trained, data.y[train])), 64, rng),
        AdamW(model.parameters(), lr=0.01), steps=o.steps, schedule=cosine(o.steps))
    seconds = time.perf_counter() - start
    for i in range(len(o.channels) - 1):
        vectors[f"layer {i + 1}"] = model.features(f"layers.{i}", pool="mean").encode(x)
    vectors["network"] = model.encode(x)

    print(f"\ntrained for {seconds:.0f} s; of the {o.top} nearest among {len(x):,}, so many are of the same class\n\n"
          f"{'':<20}{'numbers':>8}{'trained classes':>17}{'new classes':>13}")
    alike = (y[:, None] == y).mean(1) - 1 / len(y)
    hits, same = {}, {}
    for name, v in {"chance": None, **vectors}.items():
        if v is not None:
            hits[name] = closest(v, o.top)
            same[name] = y[hits[name]] == y[:, None]
        score = alike if v is None else same[name].mean(1)
        parts = [f"{score[part].mean():.1%}" if part.any() else "-" for part in (~is_new, is_new)]
        print(f"{name:<20}{'' if v is None else v[0].size:>8}{parts[0]:>17}{parts[1]:>13}")
    print()
    _, first = np.unique(y, return_index=True)  # a picture of each class
    shown = rng.permutation(first)
    queries = [*shown[~is_new[shown]][:6], *shown[is_new[shown]][:6]]
    names = [data.classes[i] + "\n(new)" * bool(n) for i, n in zip(y, is_new)]
    two = ["raw pixels", "network"]
    picture(o.save, sheet, x, names, {way: hits[way] for way in two}, {way: same[way] for way in two}, queries,
            figsize=(15, 0.6 * len(queries) + 0.6), dpi=100)


if __name__ == "__main__":
    main()
