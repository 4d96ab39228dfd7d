"""Shared by all published models: configuration, names of tensors, conversion of dtypes.

Each of our parameters is told which tensors of the file it is made of. Names are those of Hugging Face Transformers.
And writing: a folder of files that belong together.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import Array
from ...files import (
    Data,
    FormatError,
    SafeTensors,
    check_whole,
    json_bytes,
    read_json,
    safetensors_data,
    short,
    write_together,
)
from ...nn import Embedding, Module
from ...text import Tokenizer

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu",
               "quick_gelu": "quick_gelu", "relu": "relu", "swish": "silu", "silu": "silu"}
# Settings of any config.json that say nothing of what is computed; and what others say where they are not in use.
HARMLESS = {"architectures", "model_type", "transformers_version", "dtype", "torch_dtype", "_name_or_path",
            "_commit_hash", "initializer_range", "id2label", "label2id", "num_labels", "problem_type", "use_cache",
            "output_attentions", "output_hidden_states", "return_dict", "_attn_implementation", "torchscript"}
UNUSED = {"is_encoder_decoder": False, "is_decoder": False, "add_cross_attention": False, "tie_word_embeddings": True,
          "tie_encoder_decoder": False, "chunk_size_feed_forward": 0, "use_bfloat16": False}

FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float32, "BF16": np.float32}  # stored -> read
SPARE = 1 << 21  # numbers that a model may have beyond those in its file, until all are looked for by name
SHARE = 6  # tensors of a layer at least: two norms, four matrices


def computed_in(dtype: Any) -> np.dtype[Any]:
    """The dtype that a loader was asked for. TypeError for others than float32 and float64, before a file is opened:
    float16 would halve the memory, and lose most digits in sums, and time, as NumPy computes it bit by bit.

    >>> computed_in("float32")
    dtype('float32')
    """
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise TypeError(f"parameters are np.float32 or np.float64, whatever is stored, not {dtype!r}")
    return found


def read_config(path: str, missing: FormatError) -> dict[str, Any]:
    """The settings in a config.json; `missing` is raised where there is none."""
    if not os.path.isfile(path):
        check_whole(os.path.dirname(path))
        raise missing
    config = read_json(path)
    if not isinstance(config, dict):
        raise FormatError(path, "the file", f"an object with the settings is expected, not {short(config)}")
    return config


def is_size(n: Any) -> bool:
    """Whether a setting can be the side of an array (True and False are int as well)."""
    return type(n) is int and 0 < n < 1 << 63


def wrong_sizes(sizes: dict[str, Any], width: str, heads: str) -> list[str]:
    """What is wrong with sizes: they are positive integers, and the heads share the width in equal parts."""
    return [f"{name} {short(n)}" for name, n in sizes.items() if not is_size(n)] or \
        [f"{width} is no multiple of {heads}"] * (sizes[width] % sizes[heads] > 0)


def wrong_shares(settings: dict[str, Any], *names: str) -> list[str]:
    """Those that are no numbers in 0 … 1 (exclusive)."""
    return [f"{name} {short(x)}" for name in names
            if type(x := settings[name]) not in (int, float) or not 0 <= x < 1]


def known_settings(path: str, given: dict[str, Any], defaults: dict[str, Any], harmless: Any = ()) -> dict[str, Any]:
    """The settings of a config.json that `defaults` names; FormatError for others that may change what is computed."""
    unknown = [f"{name} = {short(x)}" for name, x in given.items() if name not in defaults and name not in harmless
               and name not in HARMLESS and x not in (None, {}, [], "") and x != UNUSED.get(name)]
    if unknown:
        raise FormatError(path, "the settings", f"{', '.join(unknown)} cannot be followed; {', '.join(defaults)} can")
    return {**defaults, **{name: x for name, x in given.items() if name in defaults and x is not None}}


def renamed(ours: str, table: dict[str, str], blocks: str) -> str:
    """Our name in their words, of which `table` has those for parts and `blocks` is that for our blocks.

    >>> names = {"norm1": "ln_1", "token": "wte"}
    >>> renamed("blocks.0.norm1.weight", names, "h"), renamed("token.weight", names, "h")
    ('h.0.ln_1.weight', 'wte.weight')
    """
    prefix, parts = "", ours.replace("in_proj_", "in_proj.").split(".")
    if parts[0] == "blocks":
        prefix, parts = f"{blocks}.{parts[1]}.", parts[2:]
    return f"{prefix}{table['.'.join(parts[:-1])]}.{parts[-1]}"


def without_prefix(file: SafeTensors, prefix: str, modern: Callable[[str], str] = str) -> dict[str, str]:
    """Name without what some writers put before it, a regular expression, as those of today call it -> name in the
    file. FormatError for two tensors that are then of one name, of which nobody knows which one counts."""
    found: dict[str, str] = {}
    for name in file:
        other = found.setdefault(modern(re.sub(f"^(?:{prefix})", "", name)), name)
        if other != name:
            raise FormatError(file.path, f"tensor {short(name)}", f"it is there as {short(other)} as well: take out "
                              "what the model is not to have")
    return found


def numbers(file: SafeTensors, name: str | None) -> Array | None:
    """A tensor as floats, BF16 and F16 too; FormatError for integers, which mean nothing without scales."""
    if name is not None and file.dtype(name) not in FLOATS:
        raise FormatError(file.path, f"tensor {short(name)}", f"it is {file.dtype(name)}, where weights are floats, "
                          f"{', '.join(FLOATS)}: quantised files cannot be read")
    return None if name is None else file.rows(name, slice(None)) if file.shape(name) else file[name]


def each_of(name: str) -> list[str]:
    """The names that one with {…} stands for.

    >>> each_of("self.{query,key}.bias"), each_of("norm.bias")
    (['self.query.bias', 'self.key.bias'], ['norm.bias'])
    """
    begin, _, rest = name.partition("{")
    inside, _, end = rest.partition("}")
    return [begin + part + end for part in inside.split(",")]


def joined(file: SafeTensors, theirs: list[str | None], ours: str) -> Array | None:
    """The tensors of these names, one below the other; None where one is missing."""
    parts = [x for name in theirs if (x := numbers(file, name)) is not None]
    if len(theirs) > 1 and any(x.shape != parts[0].shape or not x.ndim for x in parts):
        raise FormatError(file.path, f"parameter {ours}", "it is " + ", ".join(str(x.shape) for x in parts) +
                          " in the file, of which nothing can be joined")
    return None if len(parts) < len(theirs) else np.concatenate(parts) if len(parts) > 1 else parts[0]


def refuse_larger(file: SafeTensors, wanted: int, layers: int = 0) -> None:
    """FormatError, before a model is made, where its matrices and tables have more numbers than are there as floats, or
    its layers more tensors. (Of a few, `filled` can say more: which of them is missing.)

    wanted   numbers of the model, or somewhat less
    layers   its layers, each of which has SHARE tensors at least
    """
    there = sum(math.prod(file.shape(name)) for name in file if file.dtype(name) in FLOATS)
    if wanted > there + SPARE or layers * SHARE > len(file) + SHARE * 100:
        raise FormatError(file.path, "the weights", f"they are {there:,} numbers in {len(file):,} tensors, and the "
                          f"settings speak of a model of {wanted:,} or more in {layers:,} layers; config.json and the "
                          "weights must be of one model")


def filled(model: Any, file: SafeTensors, found: Callable[[str], Array | None]) -> Any:
    """The model with its parameters set, in eval mode; or FormatError for what is missing or misshapen."""
    state: dict[str, Array] = {}
    for name, p in model.named_state():
        x = found(name)
        if x is None or x.shape != p.shape:
            problem = "the file has no weights for it" if x is None else f"it is {x.shape} in the file"
            raise FormatError(file.path, f"parameter {name} {p.shape}", f"{problem}; config.json and the weights must "
                              "be of one model")
        state[name] = x
    Module.load_state_dict(model, state)
    return model.eval()


def refuse_other_rows(config: Any, **tables: Embedding) -> None:
    """ValueError for a table that has grown without the model: its files would be refused when they are read."""
    for name, table in tables.items():
        if (rows := table.num_embeddings) != (said := getattr(config, name)):
            raise ValueError(f"config.{name} is {said}, and the table has {rows} rows: a vocabulary grows by "
                             "model.grow(k); other tables have the size that the model was made with")


def model_files(tensors: dict[str, Array], config: dict[str, Any]) -> dict[str, Data]:
    """Weights and settings, by the names of their files in a folder of Hugging Face's."""
    return {"model.safetensors": safetensors_data(tensors, {"format": "pt"}), "config.json": json_bytes(config)}


def write_folder(folder: str | os.PathLike[str], files: dict[str, Data], tokenizer: Tokenizer | None) -> None:
    """Files that belong together, and a tokeniser's with them, into a folder, which is made if there is none."""
    if tokenizer is not None:
        files = {"tokenizer.json": tokenizer.to_json(), **files}
    os.makedirs(folder, exist_ok=True)
    write_together(folder, files)
