"""Labelled pictures without a download: scikit-learn's digits, rendered letters, your own folder."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core import Array
from ..files import FormatError

MOST_PIXELS = 1 << 26  # of one file: a small file may declare more than there is memory for


@dataclass(frozen=True)
class Pictures:
    """Pictures and what each shows.

    pictures   (N, C, S, S) float32, in 0 … 1; C is 1 for grey ones, 3 for red, green and blue
    y          (N,) int64: the class of each, an index into `classes`
    classes    their names
    about      where they come from, in one line
    styles     (N,) int64 or None: of letters, the font of each, an index into `fonts`
    fonts      their names
    """

    pictures: Array
    y: Array
    classes: list[str]
    about: str
    styles: Array | None = None
    fonts: list[str] = field(default_factory=list)


def digits_or_letters(rng: np.random.Generator, n: int = 1797, size: int = 32) -> Pictures:
    """scikit-learn's handwritten digits, 1,797 of (1, 8, 8), where it is installed, and n drawn `letters` otherwise.

    `about` says which these are. The digits are shuffled, and enlarged to the size asked for.
    """
    if n < 0:
        raise ValueError(f"n must be at least 0, not {n}")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        from .letters import letters
        return letters(n, rng, size)
    images, y = load_digits(return_X_y=True)
    some = rng.permutation(len(y))[:n]
    x = area_average(images.reshape(-1, 1, 8, 8)[some].astype(np.float32) / 16, size)
    return Pictures(x, y[some].astype(np.int64), list("0123456789"), f"{len(x):,} handwritten digits of scikit-learn")


def picture_folder(path: str | os.PathLike[str], size: int = 32, suffixes: tuple[str, ...] = (".png",)) -> Pictures:
    """The pictures in a folder, in colour and of one size; those of a sub-folder are of the class that it names.

        folder/cats/1.png, folder/cats/old/2.png, folder/dogs/1.png -> classes "cats" and "dogs"

    size       of the pictures: the middle square of each, averaged over areas
    suffixes   the files that are read, in lower or upper case; (".png", ".jpg") for both

    A grey picture has three equal channels, what is transparent lies on white. Pictures beside the sub-folders are of
    the class that the folder itself names. Raises FormatError with the name of a file that is no picture, or has more
    than 67 million pixels; ImportError, with what to do, where Pillow is not installed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    wanted = {suffix.lower() for suffix in suffixes}
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in wanted and f.is_file())
    if not files:
        raise FileNotFoundError(f"{folder}: there are no {', '.join(suffixes)} files in it, or in its folders")
    parts = [file.relative_to(folder).parts for file in files]
    names = [part[0] if len(part) > 1 else folder.resolve().name for part in parts]
    classes = sorted(set(names))
    pictures = np.stack([_read(file, size) for file in files])
    counts = ", ".join(f"{name} ({n:,})" for name, n in sorted(Counter(names).items()))
    return Pictures(pictures, np.array([classes.index(name) for name in names]), classes,
                    f"{len(files):,} pictures of {folder}: {counts}")


def _read(file: Path, size: int) -> Array:
    """The middle square of a picture, (3, size, size) float32."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading pictures takes Pillow, which comes with matplotlib: pip install pillow") from None
    try:
        with Image.open(file) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise FormatError(file, "header", f"{width} x {height} pixels; at most {MOST_PIXELS:,} are read")
            if image.mode.startswith(("I", "F")):  # 16 bits for each pixel, which convert would cut off at 255
                grey = np.asarray(image, np.float32) / 65535
                x = np.repeat(np.clip(grey, 0, 1)[None], 3, axis=0)
            else:
                x = np.asarray(image.convert("RGBA"), np.float32).transpose(2, 0, 1) / 255
                x = x[:3] * x[3] + (1 - x[3])
    except FormatError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        raise FormatError(file, "picture", f"cannot be read: {error}") from error
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return area_average(x[:, top:top + side, left:left + side], size)


def area_average(x: Array, size: int) -> Array:
    """Pictures at another size: each new pixel is the mean of the area that it covers, parts of pixels by their share.

        x (..., H, W) -> (..., size, size)

    >>> area_average(np.arange(4.0).reshape(2, 2), 1).tolist()
    [[1.5]]
    """
    if size < 1:
        raise ValueError(f"a picture has a size of at least 1, not {size}")
    down, across = (_shares(n, size).astype(x.dtype) for n in x.shape[-2:])
    return down @ x @ across.T


def _shares(n: int, size: int) -> Array:
    """How much of each of `size` equal parts of a line is of each of its n pixels: (size, n), rows that add up to 1."""
    ends = np.arange(size + 1) * n / size
    pixels = np.arange(n)
    overlap = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return np.maximum(overlap, 0) * size / n
