"""Weights that others have trained: GPT-2 and BERT from safetensors, under the names their authors gave them.

Each of our parameters is told which tensors of the file it is made of. Names are those of Hugging Face Transformers'
GPT2LMHeadModel and BertModel, and of nanoGPT, which has GPT-2's.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ...core import Array
from ...files import FormatError, SafeTensors, atomic_write, read_json, short, write_safetensors
from ...nn import Module
from ..bert import BERT, BERTConfig
from ..gpt import GPT, GPTConfig

GPT_NAMES = {  # ours, in a block and outside -> GPT-2's
    "token": "wte", "position.table": "wpe", "norm": "ln_f", "head": "lm_head",
    "norm1": "ln_1", "attention.in_proj": "attn.c_attn", "attention.out_proj": "attn.c_proj",
    "norm2": "ln_2", "mlp.linear1": "mlp.c_fc", "mlp.linear2": "mlp.c_proj"}
BERT_NAMES = {
    "embed.token": "embeddings.word_embeddings", "embed.position.table": "embeddings.position_embeddings",
    "embed.segment": "embeddings.token_type_embeddings", "embed.norm": "embeddings.LayerNorm",
    "attention.in_proj": "attention.self.{query,key,value}", "attention.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm", "mlp.linear1": "intermediate.dense", "mlp.linear2": "output.dense",
    "norm2": "output.LayerNorm", "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm"}
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu",
               "silu": "silu"}


def load_gpt(path: str | os.PathLike[str], config: GPTConfig | None = None, *, dtype: Any = np.float32) -> GPT:
    """A GPT with the weights of a safetensors file: GPT-2's as published, or those of a model trained with nanoGPT.

    path     a folder with config.json and the weights, in one file or in shards; or, with `config`, the file alone
    config   where there is no config.json: nanoGPT's `model_args` are a GPTConfig's arguments; its activation is "gelu"
    dtype    of the parameters, whatever is stored

    Linear layers are stored the one way round or the other (GPT-2's Conv1D has (in, out)); the shape of c_attn tells.
    The model is in eval mode. Raises FormatError for weights that are missing or have another shape than the
    configuration says, and for settings that this GPT does not have.
    """
    file = SafeTensors(path)
    config = _gpt_config(os.path.join(path, "config.json")) if config is None else config
    names = _without_prefix(file, ("_orig_mod.", "transformer."))
    fused, D = names.get("h.0.attn.c_attn.weight"), config.n_embd
    turned = fused is not None and file.shape(fused) == (D, 3 * D)  # (in, out)
    head, table = (_numbers(file, names.get(f"{name}.weight")) for name in ("lm_head", "wte"))
    config = replace(config, tied=head is None or (table is not None and np.array_equal(head, table)))
    positions = config.block_size if config.position == "learned" else 0
    _refuse_larger(file, (config.vocab_size + positions) * D + config.n_layer * 12 * D * D)
    model = GPT(config, dtype=dtype)

    def found(ours: str) -> Array | None:
        theirs = _renamed(ours, GPT_NAMES, "h")
        if theirs not in names and ".ln_" in f".{theirs}" and theirs.endswith("bias"):
            return np.zeros(D)  # nanoGPT's norms without a bias
        x = _numbers(file, names.get(theirs))
        return x.T if turned and x is not None and x.ndim == 2 and ".c_" in theirs else x

    return _filled(model, file, found)


def save_gpt(folder: str | os.PathLike[str], model: GPT) -> None:
    """Write config.json and model.safetensors as Hugging Face's GPT-2 has them, for `load_gpt` and for others to read.

    >>> import tempfile
    >>> model = GPT(GPTConfig(vocab_size=20, block_size=8, n_layer=1, n_head=2, n_embd=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_gpt(folder, model)
    ...     bool((load_gpt(folder)([[1, 2]]).data == model.eval()([[1, 2]]).data).all())
    True
    """
    c = model.config
    if c.position != "learned" or c.gated or not c.bias:
        raise ValueError("GPT-2 has learned positions, biases and no gates: this model is for te.train.save_checkpoint")
    tensors = {}
    for name, p in model.named_parameters():
        theirs = _renamed(name, GPT_NAMES, "h")
        turned = p.ndim == 2 and theirs.startswith("h.")
        tensors[theirs if theirs.startswith("lm_head") else f"transformer.{theirs}"] = p.data.T if turned else p.data
    said = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": c.vocab_size,
            "n_positions": c.block_size, "n_embd": c.n_embd, "n_layer": c.n_layer, "n_head": c.n_head,
            "activation_function": {v: k for k, v in ACTIVATIONS.items() if k != "gelu_pytorch_tanh"}[c.activation],
            "layer_norm_epsilon": 1e-5, "tie_word_embeddings": c.tied, "resid_pdrop": c.dropout,
            "embd_pdrop": c.dropout, "attn_pdrop": c.dropout}
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors, {"format": "pt"})
    atomic_write(os.path.join(folder, "config.json"), lambda f: f.write(json.dumps(said, indent=2).encode()))


def load_bert(path: str | os.PathLike[str], *, dtype: Any = np.float32) -> BERT:
    """A BERT with published weights: a folder with config.json and safetensors, of BertModel or BertForMaskedLM, such
    as bert-base-uncased or all-MiniLM-L6-v2. In eval mode.

    Where the file has no head for masked tokens, `logits` is as random as it was made; `hidden_states` needs none. A
    pooler (a layer on top of [CLS]) is not read. Raises FormatError as `load_gpt` does.
    """
    file = SafeTensors(path)
    config = _bert_config(os.path.join(path, "config.json"))
    names, D = _without_prefix(file, ("bert.",)), config.hidden_size
    _refuse_larger(file, (config.vocab_size + config.max_position_embeddings + config.type_vocab_size) * D
                   + config.num_hidden_layers * (4 * D + 2 * config.intermediate_size) * D)
    model = BERT(config, dtype=dtype)
    headless = "cls.predictions.transform.dense.weight" not in names

    def found(ours: str) -> Array | None:
        if ours.startswith(("transform", "bias")) and headless:
            return vars(model)["bias"].data if ours == "bias" else dict(model.named_parameters())[ours].data
        if ours == "bias":
            return _numbers(file, names.get("cls.predictions.bias"))
        theirs = _renamed(ours, BERT_NAMES, "encoder.layer")
        if "{" in theirs:  # three tensors, one below the other
            begin, _, rest = theirs.partition("{")
            parts = [_numbers(file, names.get(begin + part + rest.partition("}")[2]))
                     for part in rest.partition("}")[0].split(",")]
            there = [x for x in parts if x is not None]
            if any(x.shape != there[0].shape or not x.ndim for x in there):
                raise FormatError(file.path, f"parameter {ours}", "it is " + ", ".join(str(x.shape) for x in there) +
                                  " in the file, of which nothing can be joined")
            return np.concatenate(there) if len(there) == len(parts) else None
        old = theirs.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return _numbers(file, names.get(theirs, names.get(old)))  # the first checkpoints had TensorFlow's names

    return _filled(model, file, found)


def _renamed(ours: str, table: dict[str, str], blocks: str) -> str:
    """Our name in their words: blocks.0.norm1.weight -> h.0.ln_1.weight

    >>> _renamed("blocks.0.attention.in_proj_weight", GPT_NAMES, "h"), _renamed("token.weight", GPT_NAMES, "h")
    ('h.0.attn.c_attn.weight', 'wte.weight')
    """
    prefix, parts = "", ours.replace("in_proj_", "in_proj.").split(".")
    if parts[0] == "blocks":
        prefix, parts = f"{blocks}.{parts[1]}.", parts[2:]
    return f"{prefix}{table['.'.join(parts[:-1])]}.{parts[-1]}"


def _without_prefix(file: SafeTensors, prefixes: tuple[str, ...]) -> dict[str, str]:
    """Name without what some writers put before it -> name in the file."""
    names = {}
    for name in file:
        bare = name
        for prefix in prefixes:
            bare = bare.removeprefix(prefix)
        names[bare] = name
    return names


def _numbers(file: SafeTensors, name: str | None) -> Array | None:
    """A tensor as floats, BF16 and F16 too."""
    return None if name is None else file.rows(name, slice(None)) if file.shape(name) else file[name]


def _refuse_larger(file: SafeTensors, wanted: int) -> None:
    """FormatError, before memory is asked for, where matrices and tables have many times the numbers that are there.
    (Of less, `_filled` can say more: which of them is missing.)"""
    there = sum(math.prod(file.shape(name)) for name in file)
    if wanted > 4 * there:
        raise FormatError(file.path, "the weights", f"they are {there:,} numbers, and the settings speak of a model of "
                          f"{wanted:,} or more; config.json and the weights must be of one model")


def _filled(model: Any, file: SafeTensors, found: Callable[[str], Array | None]) -> Any:
    """The model with its parameters set, in eval mode; or FormatError for what is missing or misshapen."""
    state: dict[str, Array] = {}
    for name, p in model.named_parameters():
        x = found(name)
        if x is None or x.shape != p.shape:
            problem = "the file has no weights for it" if x is None else f"it is {x.shape} in the file"
            raise FormatError(file.path, f"parameter {name} {p.shape}", f"{problem}; config.json and the weights must "
                              "be of one model")
        state[name] = x
    Module.load_state_dict(model, state)
    return model.eval()


def _object(path: str, otherwise: str) -> dict[str, Any]:
    """The settings in a config.json; `otherwise` says what to do where there is none."""
    if not os.path.isfile(path):
        raise FormatError(path, "the file", f"there is none: {otherwise}")
    said = read_json(path)
    if not isinstance(said, dict):
        raise FormatError(path, "the file", f"an object with the settings is expected, not {short(said)}")
    return said


def _wrong(sizes: dict[str, Any], width: str, heads: str) -> list[str]:
    """What is wrong with sizes: they are positive integers, and the heads share the width in equal parts."""
    return [f"{name} {short(n)}" for name, n in sizes.items() if type(n) is not int or n < 1] or \
        [f"{width} is no multiple of {heads}"] * (sizes[width] % sizes[heads] > 0)


def _gpt_config(path: str) -> GPTConfig:
    """The settings of Hugging Face's config.json."""
    said = _object(path, "give the settings, load_gpt(path, config=GPTConfig(…))")
    activation = ACTIVATIONS.get(str(said.get("activation_function", "gelu_new")))
    sizes = {ours: said.get(theirs, default) for ours, theirs, default in (
        ("vocab_size", "vocab_size", 50257), ("block_size", "n_positions", 1024), ("n_layer", "n_layer", 12),
        ("n_head", "n_head", 12), ("n_embd", "n_embd", 768))}
    wrong = _wrong(sizes, "n_embd", "n_head")
    if activation is None or wrong or said.get("layer_norm_epsilon", 1e-5) != 1e-5 or \
            said.get("n_inner") not in (None, 4 * sizes["n_embd"]) or \
            not said.get("scale_attn_weights", True) or said.get("scale_attn_by_inverse_layer_idx"):
        raise FormatError(path, "the settings", f"a GPT-2 with an activation_function of {', '.join(ACTIVATIONS)}, "
                          "layer_norm_epsilon 1e-5, n_inner of 4 n_embd and scores divided by the root of a head's "
                          "width can be read" + "; ".join(["", *wrong]))
    return GPTConfig(**sizes, activation=activation)


def _bert_config(path: str) -> BERTConfig:
    """The settings of Hugging Face's config.json."""
    said = _object(path, "it stands beside the weights, in the folder that load_bert takes")
    config = BERTConfig(**{f.name: said[f.name] for f in fields(BERTConfig) if f.name in said})
    activation = ACTIVATIONS.get(str(config.hidden_act))
    wrong = _wrong({f.name: getattr(config, f.name) for f in fields(BERTConfig) if f.type == "int"}, "hidden_size",
                   "num_attention_heads")
    wrong += [f"{name} {short(x)}" for name, x in vars(config).items() if name in (
        "layer_norm_eps", "hidden_dropout_prob") and (type(x) not in (int, float) or not 0 <= x < 1)]
    if activation is None or wrong or said.get("position_embedding_type", "absolute") != "absolute":
        raise FormatError(path, "the settings", f"a BERT with a hidden_act of {', '.join(ACTIVATIONS)} and absolute "
                          "positions can be read" + "; ".join(["", *wrong]))
    return replace(config, hidden_act=activation)
