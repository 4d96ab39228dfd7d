"""Preprocessing of pictures for published models: resize, crop, rescale, normalise.

The settings are those of Hugging Face's preprocessor_config.json. Sizes are changed as Pillow changes them, to the
byte: each new pixel is a weighted mean of those that it covers, along rows and then along columns, in integers with
weights of 22 bits. So a picture comes out as the model's authors had it. (Since version 13 Pillow begins with the
columns where the height shrinks much more than the width; there it rounds, and clips, in another order.)
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core import Array, blocks
from ...files import FormatError, short
from .weights import is_size, read_config

BOUND = 1e6  # a factor, mean or deviation beyond it is none
BITS = 22  # of a weight; with 8 of a pixel and the signs they fill the 32 of Pillow's integers
FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
REACH = {"bilinear": 1.0, "bicubic": 2.0}  # how far a filter reaches, in pixels
HARMLESS = {"image_processor_type", "feature_extractor_type", "processor_class", "do_convert_rgb", "data_format",
            "input_data_format", "_valid_processor_keys", "return_tensors", "device", "disable_grouping",
            "_name_or_path"}
STANDARD = {"do_resize": True, "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255,
            "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "crop_size": None,
            "size": None, "default_to_square": True, "resample": 2, "do_pad": False}
KINDS: dict[str, dict[str, Any]] = {  # what each kind of processor does where the file does not say
    "ViT": {"size": {"height": 224, "width": 224}},
    "CLIP": {"size": {"shortest_edge": 224}, "default_to_square": False, "resample": 3, "do_center_crop": True,
             "crop_size": {"height": 224, "width": 224}, "image_mean": [0.48145466, 0.4578275, 0.40821073],
             "image_std": [0.26862954, 0.26130258, 0.27577711]},
    "ConvNext": {"size": {"shortest_edge": 384}, "default_to_square": False, "resample": 3, "crop_pct": 224 / 256},
    "EfficientNet": {"size": {"height": 346, "width": 346}, "resample": 3, "rescale_offset": False,
                     "include_top": True, "crop_size": {"height": 289, "width": 289}}}
OF_MODEL = {"vit": "ViT", "clip": "CLIP", "resnet": "ConvNext", "efficientnet": "EfficientNet"}


@dataclass
class Preprocessing:
    """From pictures (H, W, 3) to what a model takes: (B, 3, H', W') float32.

    short_side   resize so that the shorter side has so many pixels, or None
    size         or resize to (height, width), or None
    resample     by "nearest", "bilinear" or "bicubic", equal to Pillow's
    crop         then keep the middle (height, width), with zeros around a smaller picture; or None
    scale, shift, mean, std   then y = (scale x + shift - mean) / std, x in 0 … 255, mean and std for each channel

    Pictures are bytes, uint8 0 … 255, in arrays or Pillow's images. Floats in 0 … 1 are taken too, but not resized:
    Pillow has no such floats.

    >>> prepare = Preprocessing(None, (2, 2), None, "bilinear", 1 / 255, 0.0, (0.5,) * 3, (0.5,) * 3)
    >>> prepare(np.full((4, 6, 3), 255, np.uint8)).shape
    (1, 3, 2, 2)
    """

    short_side: int | None
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: str
    scale: float
    shift: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pictures: Any) -> Array:
        """One picture (H, W, 3) or several, which may be of several sizes -> (B, 3, H', W')"""
        if hasattr(pictures, "__array__") or hasattr(pictures, "__array_interface__"):  # an array, or a Pillow image
            x = np.asarray(pictures)
            pictures = x[None] if x.ndim in (2, 3) else x
        made = [self._of_one(i, np.asarray(x)) for i, x in enumerate(pictures)]
        if any(x.shape != made[0].shape for x in made):
            raise ValueError(f"the pictures end in several sizes, {sorted({x.shape[1:] for x in made})}: give those of "
                             "one size at a time")
        return np.stack(made) if made else np.zeros((0, 3, *(self.crop or self.size or (0, 0))), np.float32)

    def _of_one(self, i: int, x: Array) -> Array:
        if x.ndim != 3 or x.shape[2] != 3 or 0 in x.shape:
            raise ValueError(f"picture {i} is {x.shape}: pictures are (H, W, 3), red, green and blue; others become so "
                             'by np.dstack([grey] * 3), or Pillow\'s image.convert("RGB")')
        if x.dtype != np.uint8 and (x.dtype.kind != "f" or not (x.min() >= 0 and x.max() <= 1)):
            raise TypeError(f"picture {i} is {x.dtype}, {x.min()} … {x.max()}: pictures are uint8 in 0 … 255, or "
                            "floats in 0 … 1")
        for size in (self._shortened(x.shape[:2]), self.size):
            if size is not None and size != x.shape[:2]:
                if x.dtype != np.uint8:
                    raise TypeError(f"picture {i} is {x.shape[:2]} and is to be {size}: uint8 pictures are resized, "
                                    "floats are not")
                x = resized(x, size, self.resample)
        x = x if self.crop is None else cropped(x, self.crop)
        y = x.transpose(2, 0, 1).astype(np.float64) * (self.scale if x.dtype == np.uint8 else self.scale * 255)
        mean, std = (np.array(numbers)[:, None, None] for numbers in (self.mean, self.std))
        return ((y + self.shift - mean) / std).astype(np.float32)

    def _shortened(self, size: tuple[int, ...]) -> tuple[int, int] | None:
        if self.short_side is None:
            return None
        H, W = size
        return (self.short_side, self.short_side * W // H) if H <= W else (self.short_side * H // W, self.short_side)


def resized(x: Array, size: tuple[int, int], resample: str) -> Array:
    """A picture of bytes (H, W, C) with other numbers of pixels, byte for byte as Pillow's `Image.resize` has it.

    >>> resized(np.array([[[0], [100], [200]]], np.uint8), (1, 2), "bilinear").ravel()
    array([ 38, 163], dtype=uint8)
    """
    for m in (size[1], size[0]):  # along the rows; then, turned over, along the columns
        x = _along_rows(x, m, resample).swapaxes(0, 1)
    return x


def _along_rows(x: Array, m: int, resample: str) -> Array:
    """The rows of a picture (H, W, C) with m pixels each."""
    H, W, C = x.shape
    if resample == "nearest" or m == W:
        return x[:, _nearest(W, m)]
    y, K = np.empty((H, m, C), np.uint8), _weights(W, m, resample)
    for some in blocks(H, W * C):
        sums = np.tensordot(K, x[some].astype(np.float64), (1, 1))  # (m, h, C): integers below 2^53, so exact
        y[some] = np.floor((sums + (1 << BITS - 1)) / (1 << BITS)).clip(0, 255).swapaxes(0, 1)
    return y


def cropped(x: Array, size: tuple[int, int]) -> Array:
    """The middle of a picture (H, W, C), which is put among zeros where it is too small."""
    for axis, n in enumerate(size):
        have = x.shape[axis]
        before = (max(n - have, 0) + 1) // 2  # zeros
        x = np.pad(x, [(before, max(n - have, 0) - before) if i == axis else (0, 0) for i in range(3)])
        x = x.take(np.arange(n) + max(have - n, 0) // 2, axis)
    return x


def _nearest(n: int, m: int) -> Array:
    """For each of m pixels that of n which its middle lies in; places are added up, as Pillow does."""
    steps = np.full(m, n / m)
    steps[0] /= 2
    return np.minimum(np.cumsum(steps).astype(np.int64), n - 1)


@functools.lru_cache(maxsize=8)
def _weights(n: int, m: int, resample: str) -> Array:
    """How much each of n pixels has of each of m, as integers of BITS bits: (m, n)

    A filter is a function of the distance, wider where the picture gets smaller: else it would leave pixels out.
    """
    stretch = max(n / m, 1.0)
    middle = (np.arange(m)[:, None] + 0.5) * (n / m)
    reach = REACH[resample] * stretch
    first, end = np.trunc(middle - reach + 0.5).clip(0), np.trunc(middle + reach + 0.5).clip(None, n)
    pixel = np.arange(n)
    d = np.abs((pixel - middle + 0.5) * (1 / stretch))
    w = np.where((first <= pixel) & (pixel < end), _bicubic(d) if resample == "bicubic" else (1 - d).clip(0), 0)
    w = w / np.add.accumulate(w, 1)[:, -1:]  # summed from left to right, as Pillow does
    return np.trunc(w * (1 << BITS) + np.copysign(0.5, w))


def _bicubic(d: Array) -> Array:
    """The piecewise cubic of Keys (1981), with a = -1/2."""
    a = -0.5
    near = ((a + 2.0) * d - (a + 3)) * d * d + 1
    far = (((d - 5) * d + 8) * d - 4) * a
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


# -- preprocessor_config.json ------------------------------------------------------------------------------------------


def read_preprocessing(folder: str | os.PathLike[str], model_type: Any = None) -> Preprocessing | None:
    """What a folder's preprocessor_config.json says (or its processor_config.json, which newer folders have), or None
    where there is none. Raises FormatError for what cannot be followed."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = os.path.join(folder, name)
        given = read_config(path, FormatError(path, "", "")) if os.path.isfile(path) else {}
        given = given.get("image_processor", given if name == "preprocessor_config.json" else {})
        if given:
            return _preprocessing(path, given, str(model_type))
    return None


def _preprocessing(path: str, given: Any, model_type: str) -> Preprocessing:
    if not isinstance(given, dict):
        raise FormatError(path, "image_processor", f"an object with the settings is expected, not {short(given)}")
    named = str(given.get("image_processor_type") or given.get("feature_extractor_type") or "")
    kind = OF_MODEL.get(model_type, "") if not named else next(
        (kind for kind in KINDS if named.startswith((f"{kind}ImageProcessor", f"{kind}FeatureExtractor"))), "")
    if not kind:
        raise FormatError(path, "image_processor_type", f"{short(named)} cannot be read; that of "
                          f"{', '.join(KINDS)} can")
    known = STANDARD | KINDS[kind]
    unknown = {name: x for name, x in given.items()
               if name not in known and name not in HARMLESS and x not in (None, False, {}, [])}
    s = known | {name: x for name, x in given.items() if name in known and x is not None}
    refused = {*unknown, *(name for name, x in s.items() if not _can_be(name, x, kind))}
    if refused:
        raise FormatError(path, "the settings", ", ".join(f"{name} = {short((given | s)[name])}" for name in refused)
                          + " cannot be followed" + f"; resample is one of {FILTERS}" * ("resample" in refused))
    short_side, size = _size(path, "size", s["size"], s["default_to_square"]) if s["do_resize"] else (None, None)
    crop = _size(path, "crop_size", s["crop_size"], True)[1] if s["do_center_crop"] else None
    if kind == "ConvNext" and s["do_resize"]:  # below 384 pixels a margin is cut off; above, the picture is squeezed
        if short_side is None:
            raise FormatError(path, "size", f"a shortest_edge is expected, not {short(s['size'])}")
        square = (short_side, short_side)
        short_side, size, crop = (int(short_side / s["crop_pct"]), None, square) if short_side < 384 else (
            None, square, None)
    mean, std = ((0.0,) * 3, (1.0,) * 3) if not s["do_normalize"] else (s["image_mean"], s["image_std"])
    if s.get("include_top"):  # EfficientNet's are divided once more
        std = [x * y for x, y in zip(std, s["image_std"])]
    return Preprocessing(short_side, size, crop, FILTERS[s["resample"]],
                         s["rescale_factor"] if s["do_rescale"] else 1.0, -1.0 if s.get("rescale_offset") else 0.0,
                         tuple(mean), tuple(std))


def _can_be(name: str, x: Any, kind: str) -> bool:
    """Whether a setting can be followed. Sizes are looked at when they are used."""
    if name in ("image_mean", "image_std"):
        return isinstance(x, list) and len(x) == 3 and all(
            type(number) in (int, float) and abs(number) < BOUND and (number > 0 or name == "image_mean")
            for number in x)
    if name in ("rescale_factor", "crop_pct"):
        return type(x) in (int, float) and 1 / BOUND < x < BOUND
    if name == "resample":
        return type(x) is int and x in FILTERS
    if name in ("size", "crop_size"):
        return True
    return x is False if name == "do_pad" or (name, kind) == ("do_center_crop", "ConvNext") else type(x) is bool


def _size(path: str, key: str, given: Any, square: bool) -> tuple[int | None, tuple[int, int] | None]:
    """(pixels of the shorter side, None) or (None, (height, width)) of a size."""
    if is_size(given):
        return (None, (given, given)) if square else (given, None)
    sides = {name: n for name, n in given.items() if n is not None} if isinstance(given, dict) else {}
    if sides.keys() == {"height", "width"} and all(map(is_size, sides.values())):
        return None, (sides["height"], sides["width"])
    if sides.keys() == {"shortest_edge"} and is_size(sides["shortest_edge"]) and key == "size":
        return sides["shortest_edge"], None
    raise FormatError(path, key, "height and width" + ", or a shortest_edge" * (key == "size") +
                      f", in pixels, are expected, not {short(given)}")
