"""The input embedding of a published model: found in its files, checked against its configuration, read by rows.

Names and keys are those of Hugging Face Transformers' models; https://github.com/ggml-org/llama.cpp (gguf-py,
tensor_mapping.py) lists what each architecture calls its token table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core import Array, blocks
from ...files import FormatError, SafeTensors, short
from ...nn import Embedding
from .weights import FLOATS, is_size, read_config

# What the module of the token table is called, `NAME.weight` at the end of a tensor's name; the first that is there.
NAMES = ("shared",  # T5, BART: of encoder and decoder
         "embed_tokens",  # Llama, Qwen, Gemma, Mistral, OPT, Whisper
         "wte",  # GPT-2, GPT-J, MPT, OLMo
         "word_embeddings",  # BERT and its kin, BLOOM, Falcon, ChatGLM
         "embed_in",  # GPT-NeoX, Pythia
         "tok_embeddings",  # ModernBERT, InternLM
         "token_embedding", "token_embeddings", "word_embedding",  # CLIP; OpenELM; XLNet
         "embeddings", "embedding")  # Mamba, RWKV; static tables such as WordLlama's
WIDTHS = ("word_embed_proj_dim", "embedding_size",  # OPT; ALBERT, ELECTRA: tables narrower than the model
          "hidden_size", "n_embd", "d_model", "n_embed", "dim", "emb_dim", "hidden_dim")


class PretrainedTable:
    """A table (V, D) that lies in a model's files; `load_table` finds it. Nothing is read until it is asked for.

    name     of the tensor
    shape    (V, D); V may be above the configuration's vocab_size, where the model's authors padded the table
    dtype    as stored: "F64", "F32", "F16" or "BF16"
    agrees   what the configuration says that was found to be so; empty for a bare file
    """

    def __init__(self, file: SafeTensors, name: str, agrees: tuple[str, ...] = ()) -> None:
        V, D = file.shape(name)
        self.file, self.name, self.shape, self.dtype, self.agrees = file, name, (V, D), file.dtype(name), agrees

    def rows(self, ids: Any) -> Array:
        """The rows of these ids, or of a slice: fresh float32 (float64 if that is stored); only their pages are read.

            ids (…) integers in 0 … V-1 -> (…, D)

        Raises IndexError for ids outside the table, TypeError for ids that are no integers.
        """
        return self.file.rows(self.name, ids).astype(FLOATS[self.dtype], copy=False)

    def to_embedding(self, freeze: bool = True, **options: Any) -> Embedding:
        """The table as a layer; the options are those of `Embedding.from_pretrained`.

        Frozen and stored as F32 or F64, it stays in the file and is mapped: rows are read from the disk as they are
        looked up. Otherwise it is copied into memory, F16 and BF16 as float32, a block at a time.
        """
        if freeze and self.dtype in ("F32", "F64"):
            return Embedding.from_pretrained(self.file[self.name], True, **options)
        V, D = self.shape
        layer = Embedding.from_pretrained(np.zeros(self.shape, FLOATS[self.dtype]), freeze, **options)
        for some in blocks(V, D):
            layer.weight.data[some] = self.rows(some)
        return layer

    def __repr__(self) -> str:
        V, D = self.shape
        checked = "as config.json says: " + ", ".join(self.agrees) if self.agrees else "checked by its header alone"
        return f"PretrainedTable({self.name!r}, {V} x {D} {self.dtype}, {checked})"


def load_table(model: str | os.PathLike[str], name: str | None = None) -> PretrainedTable:
    """The input embedding of a published transformer, without the transformer.

    model   a folder with config.json and safetensors, in one file or in shards; or a .safetensors file or index alone
    name    of the tensor, where it has none of the usual names: model.embed_tokens.weight, wte.weight,
            embeddings.word_embeddings.weight …, with whatever stands before them

    In a folder the table is held against config.json (text_config in it, of a model that sees images as well): it has
    the width of hidden_size, n_embd, d_model …, of embedding_size or word_embed_proj_dim where tables are narrower than
    the model; and at least vocab_size rows. More are padding: Qwen2.5 counts its padding in vocab_size, OLMo does not.

    Raises FormatError where the files are not as they should be, hold no such table, or another one than the
    configuration says; FileNotFoundError for what is not there.

    >>> import tempfile, tinyembed as te
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     te.files.write_safetensors(path, {"wte.weight": np.eye(4, 3)}, dtypes={"wte.weight": "BF16"})
    ...     with open(os.path.join(folder, "config.json"), "w") as config:
    ...         _ = config.write('{"n_embd": 3, "vocab_size": 4}')
    ...     table = te.load_table(folder)
    ...     table, table.rows([2, 3]).tolist(), table.to_embedding()
    (PretrainedTable('wte.weight', 4 x 3 BF16, as config.json says: n_embd 3, vocab_size 4),
     [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], Embedding(4 x 3))
    """
    file = SafeTensors(model)
    name = _found(file) if name is None else name
    if name not in file or len(file.shape(name)) != 2 or file.dtype(name) not in FLOATS or 0 in file.shape(name):
        problem = "there is none of this name" if name not in file else (
            f"{file.dtype(name)} of shape {file.shape(name)} is no table (V, D) of floats"
            + "; it may be quantised, look for the model as its authors trained it" * (len(file.shape(name)) == 2))
        raise FormatError(file.path, f"tensor {short(name)}", f"{problem}; {_tables(file)}")
    if not os.path.isdir(model):
        return PretrainedTable(file, name)
    path = os.path.join(model, "config.json")
    config = read_config(path, FormatError(
        model, "the folder", "no config.json to hold the table against; give the path of the safetensors file itself, "
        f"{short(os.path.basename(file.path))}, to trust its header alone"))
    return PretrainedTable(file, name, _agreed(file, name, path, config))


def _found(file: SafeTensors) -> str:
    """The name of the token table, or FormatError."""
    tables = [name for name in file if len(file.shape(name)) == 2]
    for module in NAMES:
        found = [name for name in tables if f".{name}".endswith(f".{module}.weight") or name == module]
        # DeepSeek-V3 keeps a copy in a layer: model.layers.61.embed_tokens.weight.
        found = [name for name in found if not any(part.isdigit() for part in name.split(".")[1:])] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise FormatError(file.path, "the tensors", "several may be the token table: "
                              + ", ".join(map(short, found[:20])) + "; choose one with name=")
    raise FormatError(file.path, "the tensors", f"none has a usual name of a token table; {_tables(file)}")


def _tables(file: SafeTensors) -> str:
    """What the file has instead, the tallest first, for an error."""
    tables = sorted((name for name in file if len(file.shape(name)) == 2 and file.dtype(name) in FLOATS),
                    key=lambda name: -file.shape(name)[0])
    if not tables:
        return "no tensor here is a matrix of floats"
    shown = ", ".join(f"{short(name)} {file.shape(name)}" for name in tables[:10])
    return f"choose with name= one of the matrices here: {shown}" + f" … {len(tables)} in all" * (len(tables) > 10)


def _agreed(file: SafeTensors, name: str, path: str, config: dict[str, Any]) -> tuple[str, ...]:
    """What config.json, at `path`, says of the table's shape, if the table has it; else FormatError."""
    V, D = file.shape(name)
    levels = [x for x in (config.get("text_config"), config) if isinstance(x, dict)]
    vocab = next(_sizes(path, levels, ("vocab_size",)), None)
    # OLMo's embedding_size counts the rows; no table is as wide as its vocabulary is large.
    width = next((size for size in _sizes(path, levels, WIDTHS)
                  if size[0] != "embedding_size" or vocab is None or size[1] < vocab[1]), None)
    found = [size for size in (width, vocab) if size]
    words = [f"{key} {number}" for key, number in found]
    if not found:
        raise FormatError(path, "the file", "neither a width (hidden_size, n_embd, d_model …) nor vocab_size; give "
                          f"the path of the safetensors file itself, {file.path}, to trust its header alone")
    if (width and width[1] != D) or (vocab and vocab[1] > V):
        raise FormatError(file.path, f"tensor {short(name)}", f"shape {V, D}, where {path} says {' and '.join(words)}: "
                          "the two are not of one model, or another tensor is the table (name= chooses)")
    return tuple(words)


def _sizes(path: str, levels: list[dict[str, Any]], keys: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """The keys that are there, with their numbers; those of the inner configuration first."""
    for level in levels:
        for key in keys:
            number = level.get(key)
            if number is None:
                continue
            if not is_size(number):
                raise FormatError(path, key, f"{short(number)} is no size")
            yield key, number
