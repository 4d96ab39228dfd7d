"""Pictures of letters, rendered from matplotlib's fonts, labelled by letter and by style."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from ..core import Array
from .pictures import Pictures

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "DejaVuSansMono",
         "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique", "DejaVuSerif",
         "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "STIXGeneral", "STIXGeneralBol",
         "STIXGeneralItalic", "STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmtt10")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letters(n: int, rng: np.random.Generator, size: int = 32, alphabet: str = ALPHABET, noise: float = 0.06
            ) -> Pictures:
    """n grey pictures (1, S, S) of a letter each, dark on light or light on dark; `styles` are those of 20 fonts.

    rng        decides all: letter and font, turn, slant, size and place, brightness and noise
    size       S, the side of a picture in pixels
    alphabet   the letters, or other characters that the fonts have; each is a class
    noise      standard deviation of what is added to each pixel

    Raises ImportError, with what to do, where matplotlib is not installed.
    """
    if n < 0 or size < 8 or not 0 <= noise < np.inf or not alphabet or len(set(alphabet)) < len(alphabet):
        raise ValueError("n must be at least 0, size at least 8, noise at least 0, and no letter twice in the alphabet;"
                         f" got {n}, {size}, {noise} and {alphabet!r}")
    glyphs = _glyphs(alphabet, 2 * size)
    styles, y = rng.integers(len(FONTS), size=n), rng.integers(len(alphabet), size=n)
    ink = np.empty((n, size, size), np.float32)
    for i in range(0, n, 256):
        some = slice(i, i + 256)
        ink[some] = _placed(glyphs[styles[some], y[some]], rng, size)
    dark, light = rng.uniform(0.0, 0.35, (n, 1, 1)), rng.uniform(0.65, 1.0, (n, 1, 1))
    turned = rng.random((n, 1, 1)) < 0.5
    back, front = np.where(turned, dark, light), np.where(turned, light, dark)
    pictures = (back + (front - back) * ink + noise * rng.standard_normal(ink.shape)).astype(np.float32)
    return Pictures(np.clip(pictures, 0, 1)[:, None], y, list(alphabet),
                    f"{n:,} drawn letters, {len(alphabet)} of them in {len(FONTS)} fonts", styles, list(FONTS))


@functools.lru_cache(4)  # training and test sets are often drawn one after the other
def _glyphs(alphabet: str, side: int) -> Array:
    """Each letter in each font, in the middle of a square: (fonts, letters, side, side), 1 where there is ink."""
    try:
        from matplotlib import get_data_path
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties
    except ImportError:
        raise ImportError("letters are drawn from the fonts of matplotlib: pip install matplotlib") from None
    found = np.empty((len(FONTS), len(alphabet), side, side), np.float32)
    for glyphs, font in zip(found, FONTS):
        file = FontProperties(fname=os.path.join(get_data_path(), "fonts", "ttf", f"{font}.ttf"))
        figure = Figure(figsize=(len(alphabet), 1), dpi=side)  # an inch for each letter
        canvas: Any = FigureCanvasAgg(figure)
        for i, letter in enumerate(alphabet):
            figure.text((i + 0.5) / len(alphabet), 0.5, letter, fontproperties=file, size=50, parse_math=False,
                        ha="center", va="center_baseline")
        canvas.draw()
        row = 1 - np.asarray(canvas.buffer_rgba())[..., 0] / np.float32(255)
        for glyph, ink in zip(glyphs, np.split(row, len(alphabet), axis=1)):
            filled = np.argwhere(ink > 0.5)
            middle = (filled.min(0) + filled.max(0)) // 2 if len(filled) else np.array([side, side]) // 2
            ink = np.roll(ink, side // 2 - middle, axis=(0, 1))
            glyph[...] = (ink + np.roll(ink, 1, 0) + np.roll(ink, 1, 1) + np.roll(ink, (1, 1), (0, 1))) / 4
    found.setflags(write=False)
    return found


def _placed(glyphs: Array, rng: np.random.Generator, size: int) -> Array:
    """Glyphs (n, side, side), each turned, slanted, moved and made smaller or larger: (n, size, size)"""
    n, side = glyphs.shape[:2]
    turn, slant, scale = rng.uniform(-0.3, 0.3, n), rng.uniform(-0.15, 0.15, n), rng.uniform(0.8, 1.25, n)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    back = np.array([[cos, sin], [slant * cos - sin, slant * sin + cos]]).transpose(2, 0, 1)  # where a pixel comes from
    grid = (np.stack(np.meshgrid(*[np.arange(size)] * 2, indexing="ij")).reshape(2, -1) + 0.5) / size - 0.5
    at = back @ (grid - rng.uniform(-0.1, 0.1, (n, 2, 1)))  # (n, 2, size * size): row and column, 0 is the middle
    at = np.clip((at + 0.5) * side - 0.5, 0, side - 1.001)
    low = at.astype(int)
    (y, x), (v, u) = np.moveaxis(low, 1, 0), np.moveaxis(at - low, 1, 0)
    i = np.arange(n)[:, None]
    above = (1 - u) * glyphs[i, y, x] + u * glyphs[i, y, x + 1]
    below = (1 - u) * glyphs[i, y + 1, x] + u * glyphs[i, y + 1, x + 1]
    return ((1 - v) * above + v * below).reshape(n, size, size)
