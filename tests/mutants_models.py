"""Damaged settings beside whole weights of published models, to be tried as mutants.py does it."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import recorded_vision
from mutants import FORMATS, Format

from tinyembed.files import write_safetensors
from tinyembed.models import BERT, GPT, BERTConfig, GPTConfig, load, load_bert, load_gpt, save_gpt
from tinyembed.models.published.bert import BERT_NAMES, each_of
from tinyembed.models.published.preprocessing import read_preprocessing
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


def make_efficientnet(path):
    _, config, shapes = recorded_vision.MODELS["efficientnet"]
    write_safetensors(path.with_name("model.safetensors"), recorded_vision.weights(shapes))
    path.write_text(json.dumps({"model_type": "efficientnet", **config}, indent=1))


def check_efficientnet(model, data):
    """What is not the width of a layer, and so must be as the file says."""
    said = json.loads(data)
    assert all(getattr(model.config, name) == said.get(name, default) for name, default in {
        "strides": [1, 2], "depthwise_padding": [], "pooling_type": "mean", "batch_norm_eps": 1e-3}.items())


def make_preprocessing(path):
    path.write_text(json.dumps({"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 200},
                                "image_mean": [0.5, 0.25, 0.5], "image_std": [0.5, 0.5, 0.25], "resample": 2,
                                "do_resize": True, "do_rescale": True, "rescale_factor": 0.00392}, indent=1))


def check_preprocessing(prepare, data):
    said, std = json.loads(data), [0.5, 0.5, 0.5]
    assert list(prepare.std) == said.get("image_std", std) and prepare.scale == said.get("rescale_factor", 1 / 255)


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
FORMATS["EfficientNet's config"] = Format("config.json", make_efficientnet, lambda path: load(path.parent),
                                          check_efficientnet)
FORMATS["preprocessor_config"] = Format("preprocessor_config.json", make_preprocessing,
                                        lambda path: read_preprocessing(path.parent), check_preprocessing)
