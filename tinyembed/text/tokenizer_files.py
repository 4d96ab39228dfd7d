"""Where the parts of a tokeniser stand: a tokenizer.json, GPT-2's vocab.json and merges.txt, BERT's vocab.txt."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import FormatError, atomic_write, read_json, short
from .tokenizer_json import SPARE, numbered, read_tokenizer_json

_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def read_parts(path: str | os.PathLike[str]) -> tuple[Path, str, dict[str, Any]]:
    """(the file, the name of the class, its arguments) of a tokenizer.json, a vocab.json beside a merges.txt, a
    vocab.txt, or a folder that has one of these, which are looked for in this order."""
    path = Path(path)
    if path.is_dir():
        names = ["tokenizer.json", "vocab.json", "vocab.txt"]
        there = [path / name for name in names if (path / name).is_file()]
        if not there:
            raise FileNotFoundError(f"{path}: none of {', '.join(names)} is in this folder")
        path = there[0]
    if path.suffix == ".txt":
        return path, "WordPiece", _vocab_txt(path)
    if path.name.endswith("vocab.json"):
        return path, "ByteLevelBPE", _gpt2(path)
    return path, *read_tokenizer_json(path)


def write_json(path: str | os.PathLike[str], value: object, indent: int | None = 2) -> None:
    atomic_write(path, json.dumps(value, ensure_ascii=False, indent=indent).encode())


def write_merges(path: str | os.PathLike[str], merges: Iterable[tuple[str, str]]) -> None:
    """merges.txt: a line that names the format, then a merge on each line, its two tokens parted by a space."""
    lines = ["#version: 0.2"]
    for left, right in merges:
        if any(not token or token.split() != [token] for token in (left, right)):
            raise ValueError(f"merge {left!r} and {right!r}: merges.txt can hold no white space in tokens: use save")
        lines.append(f"{left} {right}")
    atomic_write(path, ("\n".join(lines) + "\n").encode())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(path, f"offset {error.start}", "this is not UTF-8: get the file again") from None


def _gpt2(path: Path) -> dict[str, Any]:
    vocab = read_json(path, SPARE)
    if not isinstance(vocab, dict) or not all(type(id) is int for id in vocab.values()):
        raise FormatError(path, "the file", "an object from token to id should stand there")
    merges_path = path.with_name(path.name.removesuffix("vocab.json") + "merges.txt")
    merges = []
    for number, line in enumerate(_lines(merges_path), 1):
        if number == 1 and line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or "" in parts:
            raise FormatError(merges_path, f"line {number}", f"{short(line)}, where two tokens and a space stand")
        merges.append((parts[0], parts[1]))
    end = "<|endoftext|>"
    return {"tokens": numbered(vocab), "merges": merges, "special_tokens": [end] if end in vocab else []}


def _vocab_txt(path: Path) -> dict[str, Any]:
    tokens = _lines(path)
    return {"tokens": tokens, "special_tokens": [token for token in _BERT if token in tokens]}
