"""Scatter plot of vectors in two dimensions, with as many labels as fit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array


def draw(points: Any, labels: Iterable[Any], path: str | os.PathLike[str] | None = None, *,
         groups: Iterable[Any] | None = None, title: str = "", xlabel: str = "", ylabel: str = "", axes: Any = None
         ) -> None:
    """Draw points with labels, to a PNG or into axes that are there.

        points (N, 2), as of `pca` or `tsne`; labels, N of them, the important ones first

    path     the file; or None if `axes` (of matplotlib) are given
    groups   a name for each point: its colour, with a legend

    Each point is a dot. A label that would lie over one before it is left out. Characters that matplotlib's own font
    lacks (Chinese ones, say) are drawn with an installed font that has them; a UserWarning says where none has. Raises
    ImportError, with what to do, where matplotlib is not installed; ValueError for points and labels that do not go
    together.

    >>> draw(np.zeros((3, 2)), ["one", "two"], "never.png")
    Traceback (most recent call last):
    ValueError: points (N, 2) need a label each, got (3, 2) and 2 labels
    """
    Y, words = np.asarray(points, np.float64), [str(label) for label in labels]
    names = None if groups is None else [str(group) for group in groups]
    if Y.shape != (len(words), 2) or not len(words) or not np.isfinite(Y).all():
        raise ValueError(f"points (N, 2) need a label each, got {Y.shape} and {len(words)} labels")
    if names is not None and len(names) != len(words):
        raise ValueError(f"{len(words)} points need as many groups, got {len(names)}")
    if (path is None) == (axes is None):
        raise ValueError("give a path for the picture, or axes to draw into")
    if path is None:
        _fill(axes, Y, words, names, title, xlabel, ylabel)
        return
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(f"drawing {os.fspath(path)} takes matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(12, 9), layout="constrained")
    FigureCanvasAgg(figure)
    _fill(figure.add_subplot(), Y, words, names, title, xlabel, ylabel)
    figure.savefig(path, dpi=100)


def _fill(axes: Any, Y: Array, words: list[str], groups: list[str] | None, title: str, xlabel: str, ylabel: str
          ) -> None:
    families = fonts_for("".join([title, xlabel, ylabel, *words, *(groups or ())]))
    colour = dict(zip(dict.fromkeys(groups or [""]), (f"C{i % 10}" for i in range(len(words) + 1))))
    dots = []
    for k, (name, shade) in enumerate(colour.items()):  # ten colours, then the same ones with another shape
        mine = Y if groups is None else Y[[group == name for group in groups]]
        dots.append(axes.scatter(*mine.T, s=6, color="0.75" if groups is None else shade, marker="o^sDv"[k // 10 % 5]))
    margin = np.maximum(np.ptp(Y, axis=0), 1e-12) * 0.06
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xlim=(Y[:, 0].min() - margin[0], Y[:, 0].max() + margin[0]),
             ylim=(Y[:, 1].min() - margin[1], Y[:, 1].max() + margin[1]))
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_fontfamily(families)
    if groups is not None:
        axes.legend(dots, list(colour), markerscale=3, prop={"family": families})
    axes.figure.canvas.draw()  # lays the axes out: from here on a label's extent is known
    pixels, frame = axes.transData.transform(Y), axes.get_window_extent()
    legend = axes.get_legend()
    taken = np.zeros((0, 4)) if legend is None else np.array([legend.get_window_extent().extents])
    for i, word in enumerate(words):
        text = axes.annotate(word.replace("$", r"\$"), pixels[i], xycoords="figure pixels", fontsize=8, ha="center",
                             va="bottom", family=families, color="black" if groups is None else colour[groups[i]])
        box = np.array(text.get_window_extent().extents)
        text.xy, text.xycoords = tuple(Y[i]), "data"
        over = (box[0] < taken[:, 2]) & (taken[:, 0] < box[2]) & (box[1] < taken[:, 3]) & (taken[:, 1] < box[3])
        if over.any() or box[0] < frame.x0 or box[2] > frame.x1 or box[1] < frame.y0 or box[3] > frame.y1:
            text.remove()
        else:
            taken = np.concatenate((taken, [box]))


def fonts_for(text: str) -> list[str]:
    """The families of fonts that together have the characters of a text: matplotlib's own first, then installed ones.

    Where no font has a character, it is drawn as a box, and a UserWarning says so.
    """
    from matplotlib import font_manager, rcParams
    from matplotlib.ft2font import FT2Font

    families = list(rcParams["font.family"])
    usual = FT2Font(font_manager.findfont(font_manager.FontProperties(family=families)))
    missing = {ord(c) for c in text if c.isprintable()} - set(usual.get_charmap())
    fonts: dict[str, set[int]] = {}
    for path in sorted(font_manager.findSystemFonts()) if missing else ():
        try:
            fonts[path] = missing & set(FT2Font(path).get_charmap())
        except (OSError, RuntimeError):  # no font, or one that FreeType cannot read
            continue
    while missing and (best := max(fonts, key=lambda path: len(fonts[path] & missing), default="")):
        if not fonts[best] & missing:
            break
        font_manager.fontManager.addfont(best)
        families.append(FT2Font(best).family_name)
        missing -= fonts.pop(best)
    if missing:
        warnings.warn(f"no installed font has {''.join(map(chr, sorted(missing)[:9]))}, characters of the labels: "
                      "install one, such as Noto Sans CJK for Chinese and Japanese", stacklevel=4)
    return families
