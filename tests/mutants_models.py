"""Damaged config.json files beside whole weights of a GPT-2 and of a BERT, to be tried as mutants.py does it."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
from mutants import FORMATS, Format

from tinyembed.files import write_safetensors
from tinyembed.models import BERT, GPT, BERTConfig, GPTConfig, load_bert, load_gpt, save_gpt
from tinyembed.models.published.bert import BERT_NAMES, each_of
from tinyembed.models.published.weights import renamed


@functools.cache
def _gpt() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        save_gpt(folder, GPT(GPTConfig(11, 5, 2, 2, 4), rng=np.random.default_rng(0)))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def make_gpt(path):
    for name, data in _gpt().items():
        path.with_name(name).write_bytes(data)


def make_bert(path):
    config = BERTConfig(11, 4, 2, 2, 8, 6)
    tensors = {}
    for name, p in BERT(config, rng=np.random.default_rng(0)).named_parameters():
        theirs = each_of(renamed(name, BERT_NAMES, "encoder.layer"))
        tensors |= zip(theirs, np.split(p.data, len(theirs)) if len(theirs) > 1 else [p.data])
    write_safetensors(path.with_name("model.safetensors"), tensors)
    path.write_text(json.dumps(vars(config), indent=1))


def check(names):
    """The sizes are those that the file says, by their names there."""
    def compare(model, data):
        said = json.loads(data)
        assert all(getattr(model.config, ours) == said.get(theirs, getattr(model.config, ours))
                   for ours, theirs in names.items())
    return compare


GPT_SIZES = {"vocab_size": "vocab_size", "block_size": "n_positions", "n_layer": "n_layer", "n_head": "n_head",
             "n_embd": "n_embd"}
BERT_SIZES = {name: name for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                                      "intermediate_size", "max_position_embeddings", "type_vocab_size")}
FORMATS["GPT-2's config"] = Format("config.json", make_gpt, lambda path: load_gpt(path.parent), check(GPT_SIZES))
FORMATS["BERT's config"] = Format("config.json", make_bert, lambda path: load_bert(path.parent), check(BERT_SIZES))
