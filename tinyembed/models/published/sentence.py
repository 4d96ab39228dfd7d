"""Sentence encoders in the folder format of sentence-transformers: read, and written.

modules.json lists modules, each with a class and a folder for its settings and weights. What can be read: a Transformer
of the BERT kind and its Pooling, or a StaticEmbedding; then layers of Dense; then Normalize.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...files import (
    Data,
    FormatError,
    SafeTensors,
    check_whole,
    found_in,
    json_bytes,
    read_json,
    safetensors_data,
    short,
)
from ...nn import Dense, EmbeddingBag
from ...text import PLAIN, load_tokenizer
from ..bert import BERT
from ..bodies import StaticEmbedding
from .bert import bert_files, load_bert
from .weights import computed_in, is_size, numbers, read_config, refuse_larger, write_folder

POOLING = {  # ours -> the flag in its settings, in which order flags count; and its name there since version 6
    "cls": ("pooling_mode_cls_token", "cls"), "max": ("pooling_mode_max_tokens", "max"),
    "mean": ("pooling_mode_mean_tokens", "mean"),
    "mean_sqrt_len": ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    "weighted_mean": ("pooling_mode_weightedmean_tokens", "weightedmean"),
    "last": ("pooling_mode_lasttoken", "lasttoken")}
USUAL = {  # settings that may be there, if they say this
    "transformer_task": "feature-extraction", "module_input_name": "sentence_embedding", "include_prompt": True,
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}}
ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu", "SiLU": "silu",
               "Sigmoid": "sigmoid"}  # of torch.nn
ORDER = {"Transformer": 0, "StaticEmbedding": 0, "Pooling": 1, "Dense": 2, "Normalize": 3}


def read_sentence_encoder(folder: str | os.PathLike[str], dtype: Any = np.float32) -> dict[str, Any]:
    """The arguments of a SentenceEncoder, from a folder with modules.json; errors as in its `from_pretrained`."""
    dtype = computed_in(dtype)
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder. Only local folders are read and nothing is "
                                "fetched: give the folder in which a model's files are")
    check_whole(folder)
    listed = folder / "modules.json"
    if not listed.is_file():
        raise FormatError(folder, "the folder", "there is no modules.json in it, so this is no sentence encoder of "
                          "sentence-transformers; te.models.load_bert reads a BERT alone")
    modules = [_module(listed, entry) for entry in _list(listed)]
    kinds = [kind for kind, _ in modules]
    steps = [ORDER[kind] for kind in kinds]
    if kinds[:1] not in (["Transformer"], ["StaticEmbedding"]) or steps != sorted(steps) or steps.count(0) > 1 or \
            kinds.count("Pooling") != (kinds[0] == "Transformer") or kinds.count("Normalize") > 1:
        raise FormatError(listed, "the modules", f"{', '.join(kinds) or 'none'}; Transformer, Pooling or "
                          "StaticEmbedding can be read, then Dense and Normalize")
    parts: dict[str, Any] = {"head": [], "normalize": "Normalize" in kinds,
                             "prompt": _prompt(folder / "config_sentence_transformers.json")}
    width = 0  # how many numbers the modules so far give
    for kind, path in modules:
        if kind == "Transformer":
            parts |= _transformer(folder / path, dtype)
            width = parts["body"].config.hidden_size
        elif kind == "StaticEmbedding":
            parts |= _static(folder / path, dtype)
            width = parts["body"].bag.embedding_dim
        elif kind == "Pooling":
            parts["pooling"] = _pooling(folder / path / "config.json")
            width *= len(parts["pooling"])
        elif kind == "Dense":
            layer = _dense(folder / path, dtype)
            if layer.in_features != width:
                raise FormatError(folder / path / "config.json", "in_features", f"{layer.in_features}, and {width} "
                                  "numbers come from what is before it")
            width = layer.out_features
            parts["head"].append(layer)
    return parts


def _list(path: Path) -> list[Any]:
    modules = read_json(path)
    if not isinstance(modules, list):
        raise FormatError(path, "the file", f"a list of modules is expected, not {short(modules)}")
    return modules


def _module(path: Path, entry: Any) -> tuple[str, str]:
    """(class, folder) of an entry of modules.json."""
    kind, folder = (entry.get(key) if isinstance(entry, dict) else None for key in ("type", "path"))
    if not isinstance(kind, str) or not isinstance(folder, str) or os.path.isabs(folder) or ".." in Path(folder).parts:
        raise FormatError(path, "a module", f"it has a type, and a path below this folder, not {short(entry)}")
    name = kind.rsplit(".", 1)[-1]
    if name not in ORDER or not kind.startswith("sentence_transformers."):
        raise FormatError(path, "a module", f"{short(kind)} cannot be read; of sentence_transformers, "
                          f"{', '.join(ORDER)} can")
    return name, folder


def _settings(path: Path, known: dict[str, Any], output: str = "sentence_embedding") -> dict[str, Any]:
    """The settings in a file, with defaults for those that are not there; one that is not `known` must say what is
    usual, or nothing."""
    given = read_config(str(path), FormatError(path, "the file", "there is none"))
    usual = {**USUAL, "module_output_name": output}
    unknown = [f"{name} = {short(x)}" for name, x in given.items()
               if name not in known and x not in (None, {}, [], "", usual.get(name))]
    if unknown:
        raise FormatError(path, "the settings", f"{', '.join(unknown)} cannot be followed")
    return {**known, **given}


def _prompt(path: Path) -> str:
    """The text that is put before each text, "" for none."""
    given = read_config(str(path), FormatError(path, "", "")) if path.is_file() else {}
    name, prompts = given.get("default_prompt_name"), given.get("prompts") or {}
    prompt = "" if name is None else prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if not isinstance(prompt, str):
        raise FormatError(path, "the prompts", f"default_prompt_name {short(name)} is none of {short(prompts)}")
    return prompt


def _transformer(folder: Path, dtype: Any) -> dict[str, Any]:
    config = folder / "config.json"
    kind = read_config(str(config), FormatError(config, "the file", "there is none")).get("model_type")
    if kind != "bert":
        raise FormatError(config, "model_type", f"{short(kind)} cannot be read, bert can")
    path = folder / "sentence_bert_config.json"
    given = _settings(path, {"max_seq_length": None, "do_lower_case": False}, "token_embeddings")
    body, tokenizer, longest = load_bert(folder, dtype=dtype), load_tokenizer(folder), given["max_seq_length"]
    if longest is None and (tokens := folder / "tokenizer_config.json").is_file():
        longest = read_config(str(tokens), FormatError(tokens, "", "")).get("model_max_length")
    if longest is not None and not is_size(longest):
        raise FormatError(path, "max_seq_length", f"an integer, 1 or more, or null, not {short(longest)}")
    if given["do_lower_case"] and not getattr(tokenizer, "lowercase", False):
        raise FormatError(path, "do_lower_case", "true, where the tokenizer is not of small letters")
    return {"tokenizer": tokenizer, "body": body, "max_length": longest}


def _static(folder: Path, dtype: Any) -> dict[str, Any]:
    tokenizer = load_tokenizer(folder, frame=PLAIN)
    file = SafeTensors(folder / "model.safetensors")
    table = numbers(file, "embedding.weight" if "embedding.weight" in file else None)
    if table is None or table.ndim != 2 or len(table) < len(tokenizer):
        raise FormatError(file.path, "embedding.weight", f"a table with a row for each of {len(tokenizer)} tokens is "
                          f"expected, not {None if table is None else table.shape}")
    bag = EmbeddingBag.from_pretrained(table.astype(dtype, copy=False), freeze=False)
    return {"tokenizer": tokenizer, "body": StaticEmbedding(bag)}


def _pooling(path: Path) -> list[str]:
    given = _settings(path, {**{flag: False for flag, _ in POOLING.values()}, "pooling_mode": None,
                             "word_embedding_dimension": None, "embedding_dimension": None})
    named = given["pooling_mode"]
    if named is None:
        modes = [mode for mode, (flag, _) in POOLING.items() if given[flag]]
    else:
        ours = {name: mode for mode, (_, name) in POOLING.items()}
        modes = [ours.get(str(name), "") for name in (named if isinstance(named, list) else [named])]
    if not modes or "" in modes:
        raise FormatError(path, "the settings", f"a pooling mode of {', '.join(name for _, name in POOLING.values())} "
                          f"is expected, or several, not {short(given)}")
    return modes


def _dense(folder: Path, dtype: Any) -> Dense:
    path = folder / "config.json"
    given = _settings(path, {"in_features": 0, "out_features": 0, "bias": True, "activation_function": None})
    activation = ACTIVATIONS.get(str(given["activation_function"]).rsplit(".", 1)[-1])
    if activation is None or not all(is_size(given[f"{way}_features"]) for way in ("in", "out")):
        raise FormatError(path, "the settings", f"sizes, and an activation_function of {', '.join(ACTIVATIONS)} are "
                          f"expected, not {short(given)}")
    if not (folder / "model.safetensors").is_file():
        raise FormatError(folder, "the weights", "there is no model.safetensors; pickled weights are not read")
    file = SafeTensors(folder / "model.safetensors")
    refuse_larger(file, given["in_features"] * given["out_features"])
    layer = Dense(given["in_features"], given["out_features"], activation, bool(given["bias"]), dtype=dtype)
    state = {name.removeprefix("linear."): numbers(file, name) for name in file}
    with found_in(file.path, "the weights"):
        layer.load_state_dict(state)
    return layer


def write_sentence_encoder(folder: str | os.PathLike[str], encoder: Any) -> None:
    """See `SentenceEncoder.save_pretrained`."""
    folder, body = Path(folder), encoder.body
    if not isinstance(body, (BERT, StaticEmbedding)) or not all(
            isinstance(layer, Dense) and layer.activation in ACTIVATIONS.values() for layer in encoder.head):
        raise ValueError("sentence-transformers has a BERT or a StaticEmbedding, and heads of Dense; this encoder is "
                         "for te.train.save_checkpoint")
    if isinstance(body, StaticEmbedding) and (
            body.bag.mode != "mean" or body.bag.padding_idx is not None or encoder.tokenizer.frame != PLAIN
            or encoder.max_length is not None or body.bag.num_embeddings < len(encoder.tokenizer)):
        raise ValueError("a StaticEmbedding of sentence-transformers is the mean of the rows of all tokens: it has a "
                         "row for each, no padding_idx, no max_length, and puts nothing around a text")
    modules = [*(["Transformer", "Pooling"] if isinstance(body, BERT) else ["StaticEmbedding"]),
               *["Dense"] * len(encoder.head), *["Normalize"] * bool(encoder.normalize)]
    paths = [f"{i}_{kind}" if i else "" for i, kind in enumerate(modules)]
    for path in paths:
        os.makedirs(folder / path, exist_ok=True)
    files: dict[str, Data] = {}
    for layer, path in zip(encoder.head, (path for path in paths if path.endswith("Dense"))):
        files |= _dense_files(path, layer)
    files["config_sentence_transformers.json"] = json_bytes({
        "prompts": {"default": encoder.prompt} if encoder.prompt else {},
        "default_prompt_name": "default" if encoder.prompt else None, "similarity_fn_name": "cosine"})
    listed = json_bytes([
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(modules, paths))])
    if isinstance(body, BERT):  # config.json last: without it nobody reads the folder, nor without modules.json
        files |= {**_transformer_files(encoder), "modules.json": listed, **bert_files(body, head=False)}
    else:
        files |= {"model.safetensors": safetensors_data({"embedding.weight": body.bag.weight.data}),
                  "modules.json": listed}
    write_folder(folder, files, encoder.tokenizer)


def _transformer_files(encoder: Any) -> dict[str, Data]:
    longest = encoder.max_length and int(encoder.max_length)
    modes, index = encoder.pooling.modes, encoder.tokenizer.index
    flags = {flag: mode in modes for mode, (flag, _) in POOLING.items()}
    width = encoder.body.config.hidden_size
    return {
        "sentence_bert_config.json": json_bytes({"max_seq_length": longest, "do_lower_case": False}),
        "tokenizer_config.json": json_bytes({
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": longest,
            **{f"{name.lower()}_token": token for name in ("PAD", "UNK", "CLS", "SEP", "MASK")
               if (token := f"[{name}]") in index}}),
        "1_Pooling/config.json": json_bytes({"word_embedding_dimension": width, **flags} if modes == [
            mode for mode in POOLING if mode in modes] else {  # an order that flags cannot tell
                "embedding_dimension": width, "pooling_mode": [POOLING[mode][1] for mode in modes]})}


def _dense_files(path: str, layer: Dense) -> dict[str, Data]:
    name = {ours: theirs for theirs, ours in ACTIVATIONS.items()}[layer.activation]
    return {
        f"{path}/model.safetensors": safetensors_data({f"linear.{name}": p.data
                                                       for name, p in layer.named_parameters()}),
        f"{path}/config.json": json_bytes({
            "in_features": layer.in_features, "out_features": layer.out_features, "bias": layer.bias is not None,
            "activation_function": f"torch.nn.modules.{'linear' if name == 'Identity' else 'activation'}.{name}"})}
