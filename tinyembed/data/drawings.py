"""Synthetic pictures of shapes with captions that name colour, shape, size and place.

What a picture shows is known, since its attributes were there first; its caption tells them, and nothing else. Exact
place and size, hue, brightness, the turn of the shape, background and noise are drawn for each picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

HUES = {"red": 0, "orange": 30, "yellow": 56, "green": 115, "cyan": 178, "blue": 223, "purple": 278, "pink": 322}
SHAPES = ("circle", "ring", "square", "triangle", "star", "cross")
RADII = {"small": (0.11, 0.13), "large": (0.19, 0.23)}  # from, to; as shares of the picture's side
PLACES = {"at the top left": (0, 0), "at the top": (0, 1), "at the top right": (0, 2),  # row, column
          "on the left": (1, 0), "in the middle": (1, 1), "on the right": (1, 2),
          "at the bottom left": (2, 0), "at the bottom": (2, 1), "at the bottom right": (2, 2)}
SHAPE_ATTRIBUTES = {"colour": tuple(HUES), "shape": SHAPES, "size": tuple(RADII), "place": tuple(PLACES)}


@dataclass(frozen=True)
class Drawings:
    """What `drawn_shapes` made.

    pictures   (N, 3, S, S) float32, in 0 … 1: red, green, blue
    captions   N strings: "a small red circle at the top left"
    ids        (N, 4) int64: of colour, shape, size, place in `SHAPE_ATTRIBUTES`, which names them
    """

    pictures: np.ndarray
    captions: list[str]
    ids: np.ndarray


def drawn_shapes(n: int, rng: np.random.Generator, size: int = 32, held_out: bool | None = False,
                 noise: float = 0.04) -> Drawings:
    """n pictures of one shape each, every combination of attributes that is allowed equally often in the mean.

    rng        decides all: the same state gives the same pictures
    size       S, the side of a picture in pixels
    held_out   False: without the combinations of colour and shape that are held out, one shape of each colour (a sixth
               of all); True: only these; None: all. Each colour and each shape is seen on both sides
    noise      standard deviation of what is added to each pixel

    Raises ValueError for settings that make no pictures.

    >>> made = drawn_shapes(3, np.random.default_rng(0))
    >>> made.pictures.shape, made.captions[0], made.ids[0].tolist()
    ((3, 3, 32, 32), 'a small purple cross at the top left', [6, 5, 0, 0])
    """
    if n < 0 or size < 8 or not 0 <= noise < np.inf:
        raise ValueError(f"n must be at least 0, size at least 8, noise at least 0; got {n}, {size} and {noise}")
    allowed = shape_combinations(held_out)
    ids = allowed[rng.integers(len(allowed), size=n)]
    return Drawings(draw(ids, rng, size, noise), [shape_caption(row) for row in ids.tolist()], ids)


def shape_combinations(held_out: bool | None = None) -> np.ndarray:
    """The ids of all combinations of attributes, (864, 4); of those held out (True: 144), or of the others (False)."""
    ids = np.array([*product(*map(range, map(len, SHAPE_ATTRIBUTES.values())))])
    return ids if held_out is None else ids[((ids[:, 0] - ids[:, 1]) % len(SHAPES) == 0) == held_out]


def shape_caption(ids: Iterable[int]) -> str:
    """What is to be seen in a picture with these four attributes.

    >>> shape_caption([0, 0, 0, 0])
    'a small red circle at the top left'
    """
    colour, shape, size, place = (words[i] for words, i in zip(SHAPE_ATTRIBUTES.values(), ids))
    return f"a {size} {colour} {shape} {place}"


def draw(ids: np.ndarray, rng: np.random.Generator, size: int = 32, noise: float = 0.04) -> np.ndarray:
    """Pictures with these attributes, each another one          ids (N, 4) -> (N, 3, S, S)"""
    n, uniform = len(ids), rng.uniform
    hue = np.array([*HUES.values()])[ids[:, 0]] + uniform(-9, 9, n)
    colour = _rgb(hue, saturation=uniform(0.8, 1.0, n), value=uniform(0.75, 1.0, n))
    radius = uniform(*np.array([*RADII.values()])[ids[:, 2]].T)
    centre = 0.25 + 0.25 * np.array([*PLACES.values()])[ids[:, 3]] + uniform(-0.05, 0.05, (n, 2))
    turn = uniform(0, 2 * np.pi, n)
    # a grey, lighter towards one side
    grey, slope = uniform(0.1, 0.55, n), uniform(-0.25, 0.25, (n, 2))
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size  # middles of the pixels
    pictures = np.empty((n, 3, size, size), np.float32)
    for i in range(n):
        y, x = (pixels - centre[i, 0])[:, None], (pixels - centre[i, 1])[None, :]
        c, s = np.cos(turn[i]), np.sin(turn[i])
        inside = -_distance(SHAPES[ids[i, 1]], c * x + s * y, c * y - s * x, radius[i])
        cover = np.clip(inside * size + 0.5, 0, 1)  # the share of the pixel that the shape covers, nearly
        back = grey[i] + slope[i, 0] * (pixels - 0.5)[:, None] + slope[i, 1] * (pixels - 0.5)
        pictures[i] = back + cover * (colour[i, :, None, None] - back)
    pictures += noise * rng.standard_normal(pictures.shape, np.float32)
    return np.clip(pictures, 0, 1, out=pictures)


def _distance(shape: str, x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    """How far each point (x, y) is outside of the shape around (0, 0), which the radius r measures; inside: below 0."""
    if shape == "circle":
        return np.hypot(x, y) - 0.85 * r
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75 * r) - 0.2 * r
    if shape == "cross":
        x, y = np.abs(x), np.abs(y)
        return np.minimum(np.maximum(x - r, y - 0.3 * r), np.maximum(y - r, x - 0.3 * r))
    if shape == "square":
        return _points(x, y, r, 4, np.cos(np.pi / 4))
    return _points(x, y, 1.15 * r, 3, 0.5) if shape == "triangle" else _points(x, y, 1.15 * r, 5, 0.4)


def _points(x: np.ndarray, y: np.ndarray, r: float, k: int, inner: float) -> np.ndarray:
    """Distance from a star of k points at the radius r, whose edges meet between them at the radius inner * r.

    A polygon is one, with edges that meet in a straight line. Half a point is looked at, the others are like it.
    """
    rho, half = np.hypot(x, y), np.pi / k
    angle = np.abs((np.arctan2(y, x) % (2 * half)) - half)  # from the middle of a gap, 0 … half
    bx, by = inner * np.cos(half) - 1, inner * np.sin(half)  # along the edge, from its point at (1, 0)
    px, py = rho * np.cos(half - angle) - r, rho * np.sin(half - angle)
    return (px * by - py * bx) / np.hypot(bx, by)


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Red, green and blue of hues in degrees          (N,), (N,), (N,) -> (N, 3)"""
    k = (np.array([5, 3, 1]) + hue[:, None] / 60) % 6
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))
