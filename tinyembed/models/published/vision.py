"""Shared by the published vision models: weights, class labels, preprocessing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from ...core import Array
from ...files import FormatError, SafeTensors, short
from .preprocessing import read_preprocessing
from .weights import filled, is_size, joined, read_config


def opened(folder: str | os.PathLike[str]) -> tuple[SafeTensors, str, dict[str, Any]]:
    """The weights of a folder, where its config.json is, and the settings in that."""
    path = os.path.join(folder, "config.json")
    return SafeTensors(folder), path, read_config(path, FormatError(
        path, "the file", "there is none: it stands beside the weights, in the folder that is loaded"))


def rows_of(file: SafeTensors, name: str | None) -> int:
    """How many numbers the linear layer of this weight gives; 0 where there is none."""
    shape = file.shape(name) if name is not None and name in file else ()
    return shape[0] if shape else 0


def classes(file: SafeTensors, name: str | None, path: str, given: dict[str, Any]) -> int:
    """How many classes the layer of this weight tells apart, 0 where there is none; as config.json says, if it does."""
    n, words = rows_of(file, name), given.get("id2label")
    if n == 0 and words != {} and any("ForImageClassification" in str(x) for x in given.get("architectures") or ()):
        raise FormatError(file.path, "the weights", f"there is no classifier, which {path} speaks of")
    if n and words is not None and (not isinstance(words, dict) or set(words) != {str(i) for i in range(n)}):
        raise FormatError(path, "id2label", f"{short(words)} names no {n} classes, which the classifier in {file.path} "
                          "tells apart")
    return n


def is_pair(size: Any) -> bool:
    """Whether it is a size in pixels, or one for height and width each."""
    return is_size(size) or (isinstance(size, list) and len(size) == 2 and all(map(is_size, size)))


def are_sizes(sizes: Any) -> bool:
    """Whether it is a list of sizes."""
    return isinstance(sizes, list) and len(sizes) > 0 and all(map(is_size, sizes))


def with_weights(model: Any, file: SafeTensors, names: dict[str, str], theirs: Callable[[str], list[str]],
                 shapes: dict[str, tuple[int, ...]] | None = None, left_over: str = r".*num_batches_tracked$") -> Any:
    """The model with the weights of a file, in eval mode; FormatError for those that are missing, misshapen, or for
    which it has no place.

    names      name without prefix -> name in the file
    theirs     our name -> those of the tensors that it is made of, without prefix
    shapes     our name -> the shape in the file, where it is another
    left_over  a regular expression for the tensors that nobody asks for
    """
    used, made = set(), {name: p.shape for name, p in model.named_state()}

    def found(ours: str) -> Array | None:
        parts = theirs(ours)
        used.update(parts)
        x = joined(file, [names.get(name) for name in parts], ours)
        return x.reshape(made[ours]) if x is not None and x.shape == (shapes or {}).get(ours) else x

    filled(model, file, found)
    if unknown := [name for name in names if name not in used and not re.match(left_over, name)]:
        raise FormatError(file.path, f"tensor {short(unknown[0])}", f"the model that is to be read has no place for it "
                          f"({len(unknown)} in all): config.json and the weights must be of one model")
    return model


def described(model: Any, path: str, given: dict[str, Any]) -> Any:
    """The model with the names of its classes, and with what is to be done to a picture, as its folder says."""
    words = given.get("id2label")
    model.labels = [str(words[str(i)]) for i in range(len(words))] if words and model.head is not None else None
    model.preprocessing = read_preprocessing(os.path.dirname(path), given.get("model_type"))
    return model
