"""BERT weights in safetensors, read and written: names of Hugging Face's BertModel and BertForMaskedLM."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ...core import Array
from ...files import Data, FormatError, SafeTensors
from ...text import Tokenizer
from ..bert import BERT, BERTConfig
from .weights import (
    ACTIVATIONS,
    computed_in,
    each_of,
    filled,
    joined,
    model_files,
    read_config,
    refuse_larger,
    refuse_other_rows,
    renamed,
    without_prefix,
    write_folder,
    wrong_shares,
    wrong_sizes,
)

BERT_NAMES = {  # ours, outside and in a block -> BERT's; {…}: several tensors, one below the other
    "embed.token": "embeddings.word_embeddings", "embed.position.table": "embeddings.position_embeddings",
    "embed.segment": "embeddings.token_type_embeddings", "embed.norm": "embeddings.LayerNorm",
    "attention.in_proj": "attention.self.{query,key,value}", "attention.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm", "mlp.linear1": "intermediate.dense", "mlp.linear2": "output.dense",
    "norm2": "output.LayerNorm", "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm", "": "cls.predictions"}


def load_bert(path: str | os.PathLike[str], *, dtype: Any = np.float32) -> BERT:
    """A BERT with published weights: a folder with config.json and safetensors, of BertModel or BertForMaskedLM, such
    as bert-base-uncased or all-MiniLM-L6-v2. In eval mode.

    Where the file has no head for masked tokens, `logits` is as random as it was made; `hidden_states` needs none. A
    pooler (a layer on top of [CLS]) is not read. Raises FormatError as `load_gpt` does.
    """
    dtype = computed_in(dtype)
    file = SafeTensors(path)
    config = _config(os.path.join(path, "config.json"))
    names, D = without_prefix(file, r"bert\.", _modern), config.hidden_size
    layers = config.num_hidden_layers
    refuse_larger(file, (config.vocab_size + config.max_position_embeddings + config.type_vocab_size) * D
                  + layers * (4 * D + 2 * config.intermediate_size) * D, layers)
    model = BERT(config, dtype=dtype)
    made, headless = dict(model.named_parameters()), "cls.predictions.transform.dense.weight" not in names

    def found(ours: str) -> Array | None:
        if headless and ours.startswith(("transform", "bias")):
            return made[ours].data
        theirs = each_of(renamed(ours, BERT_NAMES, "encoder.layer"))
        return joined(file, [names.get(name) for name in theirs], ours)

    return filled(model, file, found)


def save_bert(folder: str | os.PathLike[str], model: BERT, tokenizer: Tokenizer | None = None, *, head: bool = True
              ) -> None:
    """Write config.json and model.safetensors for `load_bert` and for others to read: as BertForMaskedLM, or with
    head=False, without what names masked tokens, as BertModel. With a tokeniser its tokenizer.json, and all that as
    `save_gpt` does.

    >>> import tempfile
    >>> model = BERT(BERTConfig(20, 4, 1, 2, 8, 8)).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_bert(folder, model)
    ...     bool((load_bert(folder).logits([[1, 2]]).data == model.logits([[1, 2]]).data).all())
    True
    """
    write_folder(folder, bert_files(model, head), tokenizer)


def bert_files(model: BERT, head: bool) -> dict[str, Data]:
    """What `save_bert` writes, by the names of the files."""
    embed, tensors = model.embed, dict[str, Array]()
    refuse_other_rows(model.config, vocab_size=embed.token, max_position_embeddings=embed.position.table,
                      type_vocab_size=embed.segment)
    for ours, p in model.named_parameters():
        theirs = each_of(renamed(ours, BERT_NAMES, "encoder.layer"))
        if theirs[0].startswith("cls.") and not head:
            continue
        prefix = "bert." if head and not theirs[0].startswith("cls.") else ""
        tensors.update(zip((prefix + name for name in theirs), np.split(p.data, len(theirs))))
    config = {"model_type": "bert", "architectures": ["BertForMaskedLM" if head else "BertModel"],
              **vars(model.config), "position_embedding_type": "absolute",
              "hidden_act": {v: k for k, v in ACTIVATIONS.items() if k != "gelu_pytorch_tanh"}[model.config.hidden_act]}
    if model.config.attention_probs_dropout_prob is None:
        config["attention_probs_dropout_prob"] = model.config.hidden_dropout_prob
    return model_files(tensors, config)


def _modern(name: str) -> str:
    """The name of what the first checkpoints called as TensorFlow does."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _config(path: str) -> BERTConfig:
    """The settings of Hugging Face's config.json."""
    given = read_config(path, FormatError(path, "the file", "there is none: it stands beside the weights, in the "
                                          "folder that load_bert takes"))
    config = BERTConfig(**{f.name: given[f.name] for f in fields(BERTConfig) if f.name in given})
    activation = ACTIVATIONS.get(str(config.hidden_act))
    wrong = wrong_sizes({f.name: getattr(config, f.name) for f in fields(BERTConfig) if f.type == "int"},
                        "hidden_size", "num_attention_heads")
    if config.attention_probs_dropout_prob is None:
        config.attention_probs_dropout_prob = config.hidden_dropout_prob
    wrong += wrong_shares(vars(config), "layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob")
    if activation is None or wrong or given.get("position_embedding_type", "absolute") != "absolute":
        raise FormatError(path, "the settings", f"a BERT with a hidden_act of {', '.join(ACTIVATIONS)} and absolute "
                          "positions can be read" + "; ".join(["", *wrong]))
    return replace(config, hidden_act=activation)
