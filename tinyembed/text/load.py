"""load_tokenizer: tokenizer.json, GPT-2's and CLIP's vocab.json + merges.txt, BERT's vocab.txt."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from ..files import FormatError, Repeats, check_whole, found_in, open_file, read_file, read_json, short
from .bpe import BYTE_CHARACTERS, ByteLevelBPE
from .sentencepiece import SentencePieceBPE
from .tokenizer import Tokenizer
from .tokenizer_json import SPARE, checked_vocab, numbered, read_tokenizer_json
from .vocabulary import FORMAT
from .wordpiece import WordPiece
from .words_and_characters import CharacterTokenizer, WordTokenizer

KINDS: dict[str, type[Tokenizer]] = {
    "byte-level BPE": ByteLevelBPE, "SentencePiece's BPE": SentencePieceBPE, "WordPiece": WordPiece,
    "words": WordTokenizer, "characters": CharacterTokenizer}

_NAMES = ["tokenizer.json", "vocab.json", "vocab.txt"]
_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_START, _END = "<|startoftext|>", "<|endoftext|>"

Kind = TypeVar("Kind", bound=Tokenizer)


def load_tokenizer(path: str | os.PathLike[str], **options: Any) -> Tokenizer:
    """Read a tokeniser that was published, or saved here, whichever kind it is.

    path      a tokenizer.json; a vocab.json, with merges.txt beside it (GPT-2, CLIP); a vocab.txt (BERT); or a folder
              that has one of these, which are looked for in this order
    options   arguments of the class (ByteLevelBPE, SentencePieceBPE, WordPiece, WordTokenizer, CharacterTokenizer)
              that the files do not say, or that shall be others: pattern="gpt2", lowercase=False

    Raises OSError; FormatError for what is none of these, or asks for what is not done here, by the name of its field.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ByteLevelBPE.train(["low lower"] * 2, vocab_size=270).save(folder)
    ...     load_tokenizer(folder).pieces("low lower")
    ['low', 'Ġlower']
    """
    return load_as(Tokenizer, path, options)


def load_as(asked: type[Kind], path: str | os.PathLike[str], options: dict[str, Any]) -> Kind:
    """As load_tokenizer; FormatError for a file of another kind than the one that is asked for."""
    path = Path(path)
    if path.is_dir():
        check_whole(path)
        there = [path / name for name in _NAMES if (path / name).is_file()]
        if not there:
            raise FileNotFoundError(f"{path}: none of {', '.join(_NAMES)} is in this folder")
        path = there[0]
    where = "the file"
    if path.suffix == ".txt":
        kind, arguments = "WordPiece", _vocab_txt(path)
    elif path.name.endswith("vocab.json"):
        kind, arguments = "byte-level BPE", _gpt2(path)
    else:
        _refuse_vocabulary(path)
        where, (kind, arguments) = "model", read_tokenizer_json(path)
    found = KINDS[kind]
    if not issubclass(found, asked):
        raise FormatError(path, "the file", f"a {found.__name__}, not a {asked.__name__}: read it with load_tokenizer")
    signature(found).bind_partial(**options)  # TypeError for one that is no argument: that is not the file's fault
    with found_in(path, where):
        return found(**arguments | options)


def _refuse_vocabulary(path: Path) -> None:
    start = f'{{"format": "{FORMAT}"'.encode()
    with open_file(path) as file:
        if file.read(len(start)) == start:
            raise FormatError(path, "line 1", "a vocabulary, which does not say how a text is cut: give "
                              "Vocabulary.load(path) to WordTokenizer or CharacterTokenizer")


def _lines(path: Path) -> Callable[[], Iterator[str]]:
    """What goes through the lines of a text, once more with each call: none is kept."""
    data = read_file(path)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(path, f"offset {error.start}", "this is not UTF-8: get the file again") from None
    return lambda: (line.decode().removesuffix("\n").removesuffix("\r") for line in io.BytesIO(data))


def _gpt2(path: Path) -> dict[str, Any]:
    tokens = numbered(path, "the file", checked_vocab(path, "the file", read_json(path, SPARE)))
    merges_path = path.with_name(path.name.removesuffix("vocab.json") + "merges.txt")
    lines, most = _lines(merges_path), sum(len(token) - 1 for token in tokens if token)
    if (number := sum(1 for _ in lines())) > most + 1:
        raise FormatError(merges_path, "the file", f"{number:,} lines, and there are {most:,} ways to make tokens of "
                          "vocab.json of two others")
    if not number:
        raise FormatError(merges_path, "the file", "it is empty: get it again")
    merges = []
    for number, line in enumerate(lines(), 1):
        if number == 1 and line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or "" in parts:
            raise FormatError(merges_path, f"line {number}", f"{short(line)}, where two tokens and a space stand")
        merges.append((parts[0], parts[1]))
    special = [token for token in (_START, _END) if token in tokens]
    found = {"tokens": tokens, "merges": merges, "special_tokens": special}
    if f"{BYTE_CHARACTERS[0]}</w>" not in tokens:
        return found
    if len(special) < 2:
        raise FormatError(path, "the file", f"its words end in </w>, as CLIP's, but it has no {_START} or {_END}")
    start, end = (_START, 0), (_END, 0)  # the two files do not say it, but it is always so
    frame = [start, ("A", 0), end], [start, ("A", 0), end, end, ("B", 0), end]
    return found | {"pattern": "clip", "normalizer": "clip", "suffix": "</w>", "frame": frame}


def _vocab_txt(path: Path) -> dict[str, Any]:
    lines = _lines(path)
    repeats = Repeats(path, lambda: ((token, f"line {i}") for i, token in enumerate(lines(), 1)))
    for token in lines():
        repeats.add((token,))
    repeats.refuse()
    tokens = list(lines())
    return {"tokens": tokens, "special_tokens": [token for token in _BERT if token in tokens]}
