"""GPT-2 weights in safetensors, read and written: names of Hugging Face's GPT2LMHeadModel, and nanoGPT's."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from ...core import Array
from ...files import FormatError, SafeTensors
from ...text import Tokenizer
from ..gpt import GPT, GPTConfig
from .weights import (
    ACTIVATIONS,
    computed_in,
    filled,
    model_files,
    numbers,
    read_config,
    refuse_larger,
    refuse_other_rows,
    renamed,
    without_prefix,
    write_folder,
    wrong_sizes,
)

GPT_NAMES = {  # ours, outside and in a block -> GPT-2's
    "token": "wte", "position.table": "wpe", "norm": "ln_f", "head": "lm_head",
    "norm1": "ln_1", "attention.in_proj": "attn.c_attn", "attention.out_proj": "attn.c_proj",
    "norm2": "ln_2", "mlp.linear1": "mlp.c_fc", "mlp.linear2": "mlp.c_proj"}


def load_gpt(path: str | os.PathLike[str], config: GPTConfig | None = None, *, dtype: Any = np.float32) -> GPT:
    """A GPT with the weights of a safetensors file: GPT-2's as published, or those of a model trained with nanoGPT.

    path     a folder with config.json and the weights, in one file or in shards; or, with `config`, the file alone
    config   where there is no config.json: nanoGPT's `model_args` are a GPTConfig's arguments; its activation is "gelu"
    dtype    of the parameters, whatever is stored

    Linear layers are stored the one way round or the other (GPT-2's Conv1D has (in, out)); the shape of c_attn tells.
    The model is in eval mode. Raises FormatError for weights that are missing or have another shape than the
    configuration says, and for settings that this GPT does not have.
    """
    dtype = computed_in(dtype)
    file = SafeTensors(path)
    config = _config(os.path.join(path, "config.json")) if config is None else config
    names = without_prefix(file, r"(_orig_mod\.)?(transformer\.)?")
    fused, D = names.get("h.0.attn.c_attn.weight"), config.n_embd
    turned = fused is not None and file.shape(fused) == (D, 3 * D)  # (in, out)
    head, table = (numbers(file, names.get(f"{name}.weight")) for name in ("lm_head", "wte"))
    config = replace(config, tied=head is None or (table is not None and np.array_equal(head, table)))
    positions = config.block_size if config.position == "learned" else 0
    refuse_larger(file, (config.vocab_size + positions) * D + config.n_layer * 12 * D * D, config.n_layer)
    model = GPT(config, dtype=dtype)

    def found(ours: str) -> Array | None:
        theirs = renamed(ours, GPT_NAMES, "h")
        if theirs not in names and ".ln_" in f".{theirs}" and theirs.endswith("bias"):
            return np.zeros(D)  # nanoGPT's norms without a bias
        x = numbers(file, names.get(theirs))
        return x.T if turned and x is not None and x.ndim == 2 and ".c_" in theirs else x

    return filled(model, file, found)


def save_gpt(folder: str | os.PathLike[str], model: GPT, tokenizer: Tokenizer | None = None) -> None:
    """Write config.json and model.safetensors as Hugging Face's GPT-2 has them, for `load_gpt` and for others to read;
    and the tokenizer.json of a tokeniser, if it is given. Killed in the middle, the folder is as before, or is refused
    until it is saved again or `te.files.finish_save(folder)` ends it: files of two models never stand together.

    >>> import tempfile
    >>> model = GPT(GPTConfig(vocab_size=20, block_size=8, n_layer=1, n_head=2, n_embd=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_gpt(folder, model)
    ...     bool((load_gpt(folder)([[1, 2]]).data == model.eval()([[1, 2]]).data).all())
    True
    """
    c = model.config
    if model.position is None or c.gated or not c.bias:
        raise ValueError("GPT-2 has learned positions, biases and no gates: this model is for te.train.save_checkpoint")
    if model.head is not None and model.head.out_features != c.vocab_size:
        raise ValueError(f"the token table has {c.vocab_size} rows and the head {model.head.out_features}: grow both "
                         "by model.grow(k)")
    refuse_other_rows(c, block_size=model.position.table)
    tensors = {}
    for name, p in model.named_parameters():
        theirs = renamed(name, GPT_NAMES, "h")
        turned = p.ndim == 2 and theirs.startswith("h.")
        tensors[theirs if theirs.startswith("lm_head") else f"transformer.{theirs}"] = p.data.T if turned else p.data
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": c.vocab_size,
              "n_positions": c.block_size, "n_embd": c.n_embd, "n_layer": c.n_layer, "n_head": c.n_head,
              "activation_function": {v: k for k, v in ACTIVATIONS.items() if k != "gelu_pytorch_tanh"}[c.activation],
              "layer_norm_epsilon": 1e-5, "tie_word_embeddings": c.tied, "resid_pdrop": c.dropout,
              "embd_pdrop": c.dropout, "attn_pdrop": c.dropout}
    write_folder(folder, model_files(tensors, config), tokenizer)


def _config(path: str) -> GPTConfig:
    """The settings of Hugging Face's config.json."""
    given = read_config(path, FormatError(path, "the file", "there is none: give the settings, "
                                          "load_gpt(path, config=GPTConfig(…))"))
    activation = ACTIVATIONS.get(str(given.get("activation_function", "gelu_new")))
    sizes = {ours: given.get(theirs, default) for ours, theirs, default in (
        ("vocab_size", "vocab_size", 50257), ("block_size", "n_positions", 1024), ("n_layer", "n_layer", 12),
        ("n_head", "n_head", 12), ("n_embd", "n_embd", 768))}
    wrong = wrong_sizes(sizes, "n_embd", "n_head")
    if activation is None or wrong or given.get("layer_norm_epsilon", 1e-5) != 1e-5 or \
            given.get("n_inner") not in (None, 4 * sizes["n_embd"]) or \
            not given.get("scale_attn_weights", True) or given.get("scale_attn_by_inverse_layer_idx"):
        raise FormatError(path, "the settings", f"a GPT-2 with an activation_function of {', '.join(ACTIVATIONS)}, "
                          "layer_norm_epsilon 1e-5, n_inner of 4 n_embd and scores divided by the root of a head's "
                          "width can be read" + "; ".join(["", *wrong]))
    return GPTConfig(**sizes, activation=activation)
