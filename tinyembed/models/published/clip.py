"""CLIP weights in safetensors: names of Hugging Face's CLIPModel, with tokeniser and temperature."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ...files import FormatError, short
from ...text import Tokenizer, load_tokenizer
from ..clip import CLIP, CLIPText, CLIPTextConfig
from ..vision import ViT, ViTConfig, both
from .preprocessing import read_preprocessing
from .vision import opened, with_weights
from .weights import (
    ACTIVATIONS,
    computed_in,
    each_of,
    is_size,
    known_settings,
    read_config,
    refuse_larger,
    renamed,
    without_prefix,
    wrong_sizes,
)

BLOCK = {"norm1": "layer_norm1", "attention.in_proj": "self_attn.{q_proj,k_proj,v_proj}",
         "attention.out_proj": "self_attn.out_proj", "norm2": "layer_norm2", "mlp.linear1": "mlp.fc1",
         "mlp.linear2": "mlp.fc2"}
TOWERS = {  # ours -> (theirs, names within)
    "image.encoder": ("vision_model", {"patches": "embeddings.patch_embedding", "pre_norm": "pre_layrnorm",
                                       "position.table": "embeddings.position_embedding", "norm": "post_layernorm"}),
    "text.encoder.body": ("text_model", {"token": "embeddings.token_embedding", "norm": "final_layer_norm",
                                         "position.table": "embeddings.position_embedding"})}
OTHERS = {"image.encoder.class_token": "vision_model.embeddings.class_embedding", "logit_scale": "logit_scale",
          "image.projection.weight": "visual_projection.weight", "text.projection.weight": "text_projection.weight"}
# Settings that older files have for every part, of text that is generated, of training, of other classes.
HARMLESS = {
    "attention_dropout", "bos_token_id", "decoder_start_token_id", "diversity_penalty", "do_sample", "dropout",
    "early_stopping", "encoder_no_repeat_ngram_size", "finetuning_task", "initializer_factor", "length_penalty",
    "logit_scale_init_value", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_scores", "pad_token_id", "projection_dim", "remove_invalid_values",
    "repetition_penalty", "return_dict_in_generate", "temperature", "tf_legacy_loss", "top_k", "top_p", "typical_p"}
LEGACY = 2  # an eos_token_id that files had by mistake: the vector stands at the largest id


def load_clip(folder: str | os.PathLike[str], *, dtype: Any = np.float32) -> CLIP:
    """A CLIP with published weights: a folder of CLIPModel with its tokeniser, such as openai/clip-vit-base-patch32.

    In eval mode. `encode_text` and `encode_image` give what get_text_features and get_image_features give, and called
    with pictures and texts it gives logits_per_image. `preprocessing` turns pictures (H, W, 3) of bytes into what it
    takes. Dropout in training is not read. Raises FormatError for a setting or a tensor that cannot be followed, by
    name; FileNotFoundError where there is no tokeniser.
    """
    from ..sentence import SentenceEncoder  # which loads this room
    dtype = computed_in(dtype)
    file, path, given = opened(folder)
    known = known_settings(path, given, {"projection_dim": 512, **dict.fromkeys(
        ("text_config", "text_config_dict", "vision_config", "vision_config_dict"))}, HARMLESS)
    if not is_size(known["projection_dim"]):
        raise FormatError(path, "projection_dim", f"a size is expected, not {short(known['projection_dim'])}")
    text, image = _text_config(path, known), _vision_config(path, known)
    (h, w), (p, q) = image.grid, both(image.patch_size)
    refuse_larger(file, (text.vocab_size + text.max_position_embeddings) * text.hidden_size + sum(
        c.num_hidden_layers * (4 * c.hidden_size + 2 * c.intermediate_size) * c.hidden_size for c in (text, image))
        + (h * w + image.num_channels * p * q) * image.hidden_size, text.num_hidden_layers + image.num_hidden_layers)
    tokenizer, longest = _tokenizer(Path(folder), text)
    body = CLIPText(text, dtype=dtype)
    model = CLIP(ViT(image, dtype=dtype), SentenceEncoder(tokenizer, body, max_length=longest),
                 known["projection_dim"], dtype=dtype)
    model.preprocessing = read_preprocessing(folder, given.get("model_type"))
    return with_weights(model, file, without_prefix(file, r"clip\."), _theirs,
                 {"image.encoder.patches.weight": (image.hidden_size, image.num_channels, p, q)}, r".*\.position_ids$")


def _theirs(ours: str) -> list[str]:
    """The tensors that one of our parameters is made of."""
    if ours in OTHERS:
        return [OTHERS[ours]]
    mine, (theirs, names) = next((mine, tower) for mine, tower in TOWERS.items() if ours.startswith(f"{mine}."))
    return each_of(f"{theirs}.{renamed(ours.removeprefix(f'{mine}.'), BLOCK | names, 'encoder.layers')}")


def _part(path: str, known: dict[str, Any], name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings of a tower, checked. Those in text_config_dict, of older files, count instead of text_config."""
    settings = defaults
    for key in (f"{name}_config", f"{name}_config_dict"):
        given = known[key]
        if not isinstance(given, (dict, type(None))):
            raise FormatError(path, key, f"an object with the settings is expected, not {short(given)}")
        if given is not None:
            settings = known_settings(path, given, defaults, HARMLESS)
    wrong = wrong_sizes({key: x for key, x in settings.items() if key not in (
        "hidden_act", "layer_norm_eps", "eos_token_id")}, "hidden_size", "num_attention_heads")
    if type(eps := settings["layer_norm_eps"]) not in (int, float) or not 0 <= eps < 1:
        wrong.append(f"layer_norm_eps {short(eps)}")
    if str(settings["hidden_act"]) not in ACTIVATIONS or wrong:
        raise FormatError(path, f"{name}_config", f"a tower with a hidden_act of {', '.join(ACTIVATIONS)} can be read" +
                          "; ".join(["", *wrong]))
    return settings | {"hidden_act": ACTIVATIONS[settings["hidden_act"]]}


def _text_config(path: str, known: dict[str, Any]) -> CLIPTextConfig:
    settings = _part(path, known, "text", {f.name: f.default for f in fields(CLIPTextConfig)})
    end = settings["eos_token_id"]
    if type(end) is not int or not 0 <= end < settings["vocab_size"]:
        raise FormatError(path, "text_config", f"eos_token_id is one id below {settings['vocab_size']}, not "
                          f"{short(end)}")
    return CLIPTextConfig(**settings | {"eos_token_id": None if end == LEGACY else end})


def _vision_config(path: str, known: dict[str, Any]) -> ViTConfig:
    settings = _part(path, known, "vision", {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "image_size": 224, "patch_size": 32, "num_channels": 3, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5})
    config = ViTConfig(**settings, patch_bias=False, pre_norm=True)
    try:
        _ = config.grid
    except ValueError as error:
        raise FormatError(path, "vision_config", str(error)) from None
    return config


def _tokenizer(folder: Path, config: CLIPTextConfig) -> tuple[Tokenizer, int]:
    """The tokeniser, and how long a text may be in it."""
    tokenizer, longest = load_tokenizer(folder), config.max_position_embeddings
    end, path = config.eos_token_id, folder / "config.json"
    if len(tokenizer) > config.vocab_size:
        raise FormatError(path, "vocab_size", f"{config.vocab_size}, and the tokeniser has {len(tokenizer)} tokens")
    if end is not None and tokenizer.encode("")[-1:] != [end]:
        raise FormatError(path, "eos_token_id", f"{end}, and the tokeniser does not put it behind a text: an empty one "
                          f"is {tokenizer.pieces('')} {tokenizer.encode('')}")
    path = folder / "tokenizer_config.json"
    given = read_config(str(path), FormatError(path, "", "")) if path.is_file() else {}
    longest = min(longest, given["model_max_length"]) if is_size(given.get("model_max_length")) else longest
    if longest <= len(tokenizer.encode("")):
        raise FormatError(folder / "config.json", "max_position_embeddings", "it, or the tokeniser's model_max_length, "
                          f"is {longest}, which leaves no room for a text between {tokenizer.pieces('')}")
    return tokenizer, longest
