"""Byte-level BPE, the tokeniser of GPT-2 and most language models since: lossless, for any text.

A text is cut into words (`patterns`), each word is UTF-8, each byte is a token, and neighbours are merged (`merges`).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..files import json_bytes, write_together
from .merges import learn_merges, merges_of
from .patterns import PATTERNS, STRETCHES, WHITE_SPACE, compiled
from .tokenizer import PLAIN, Frame, KeptIds, Tokenizer
from .tokenizer_json import SMALL, bpe_model


def _byte_table() -> list[str]:
    """The character that stands for each byte in the files of GPT-2: its own Latin-1 one where that can be seen, and
    for the 68 others the characters from U+0100 on, in their order."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (b for b in range(256) if b not in seen)
    table = {b: chr(b) for b in seen} | {b: chr(0x100 + n) for n, b in enumerate(others)}
    return [table[b] for b in range(256)]


BYTE_CHARACTERS = _byte_table()
_BYTE = {ord(character): byte for byte, character in enumerate(BYTE_CHARACTERS)}
_SPACES = re.compile(f"[{WHITE_SPACE}]+")


def _small(text: str) -> str:
    """NFC, runs of white space as one space, small letters; Σ is always σ, where Python would end words with ς."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).replace("Σ", "σ").lower()


NORMALIZERS: dict[str | None, Callable[[str], str]] = {
    None: str, **{form: partial(unicodedata.normalize, form) for form in ("NFC", "NFD", "NFKC", "NFKD")},
    "clip": _small}


def _alphabet(suffix: str) -> list[str]:
    """The tokens of all bytes, with the suffix too if there is one."""
    return [c + end for end in dict.fromkeys(("", suffix)) for c in sorted(BYTE_CHARACTERS)]


class ByteLevelBPE(Tokenizer):
    """Byte-level byte-pair encoding. (Radford et al. 2019, Language Models are Unsupervised Multitask Learners.)

    tokens            the token of each id; each byte is written as a character of GPT-2's table (a space as Ġ)
    merges            pairs (left token, right token), the first to be merged first
    special_tokens    tokens that stand for no text; they must be among `tokens`
    pattern           how a text is cut into words: "gpt2", "qwen2", "llama3", "clip", or None for one word
    normalizer        None, or "NFC", "NFD", "NFKC", "NFKD": the text is brought into that form first. "clip": into
                      NFC, with one space for any white space, and small letters
    add_prefix_space  put a space before a text that begins with none
    ignore_merges     a word that is a token is that token, whatever its merges make of it
    added             more tokens that are cut out of the text, but are text
    frame, late, outside   see Tokenizer
    suffix            what the last byte of a word is marked with, "</w>" in CLIP: then the words bear no spaces

    `train` makes one of texts, `load` reads one, `save` writes one. decode(encode(text)) is the text, in the form of
    the normaliser; with a suffix, its words with a space between them. CLIP's is all three: pattern and normalizer
    "clip", suffix "</w>". Raises ValueError for tokens that lack a byte, and for merges of, or into, what is no token.

    >>> tokenizer = ByteLevelBPE.train(["low lower lowest slow slower"] * 2, vocab_size=262, special_tokens=["<end>"])
    >>> tokenizer.pieces("so low, 你<end>"), tokenizer.encode("low")
    (['s', 'o', 'Ġ', 'low', ',', 'Ġ', 'ä', '½', 'ł', '<end>'], [258])
    >>> tokenizer.decode(tokenizer.encode("so low, 你<end>"))
    'so low, 你<end>'
    """

    def __init__(self, tokens: Iterable[str], merges: Iterable[tuple[str, str]], special_tokens: Iterable[str] = (),
                 pattern: str | None = "gpt2", normalizer: str | None = None, add_prefix_space: bool = False,
                 ignore_merges: bool = False, added: Iterable[str] = (), frame: tuple[Frame, Frame] = PLAIN,
                 late: Iterable[str] = (), suffix: str = "", outside: Iterable[str] = ()) -> None:
        if normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer {normalizer!r}, where there are {', '.join(map(repr, NORMALIZERS))}")
        if suffix not in ("", "</w>"):
            raise ValueError(f"suffix {suffix!r}, where there are '' and '</w>', which alone files are read with")
        super().__init__(tokens, special_tokens, added, frame, late, outside, NORMALIZERS[normalizer])
        if missing := [c for c in _alphabet(suffix) if c not in self.vocab]:
            raise ValueError(f"{len(missing)} of the 256 bytes have no token, the first is {missing[0]!r}: tokens of a "
                             "byte-level BPE begin with all 256 (bpe.BYTE_CHARACTERS), so that any text has ids")
        self.pattern, self.normalizer, self.add_prefix_space = pattern, normalizer, add_prefix_space
        self.ignore_merges, self.suffix = ignore_merges, suffix
        self._find = compiled(pattern).findall if pattern is not None else lambda text: [text]
        self.merges = list(merges)
        self._merge = merges_of(self.merges, self.vocab)
        pieces = {*_alphabet(suffix), *(a + b for a, b in self.merges)}
        self._plain = set() if ignore_merges else set(self.added) - pieces
        self._byte_ids = [self.vocab[c] for c in BYTE_CHARACTERS]
        self._last_ids = [self.vocab[c + suffix] for c in BYTE_CHARACTERS]
        self._words = KeptIds(self._word_ids)
        self._stretches = KeptIds(self._stretch_ids)  # a word with its marks: fewer of them, and quicker to find
        self._bytes: dict[str, bytes] = {}

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, special_tokens: Iterable[str] = (),
              pattern: str | None = "gpt2", normalizer: str | None = None, min_frequency: int = 2, suffix: str = ""
              ) -> ByteLevelBPE:
        """Learn the merges of texts. Ids: the special tokens, the 256 bytes (and these with the suffix), then what is
        merged, in that order.

        texts           any number of them; read once, only their words and how often each was seen are kept
        vocab_size      how many tokens to have; there are fewer if the texts are too few
        special_tokens  tokens that stand for no text; where they stand in the texts, these are cut
        min_frequency   merge no pair that was seen less often

        Of pairs seen equally often, that of the smaller ids comes first: the result of Hugging Face's trainer. Raises
        TypeError for a plain string, ValueError for a vocab_size without room for the special tokens and the bytes.
        """
        special = list(special_tokens)
        if isinstance(texts, str):
            raise TypeError("train takes a list of texts, got a string: write [text]")
        tokens = [*special, *_alphabet(suffix)]
        if vocab_size < len(tokens):
            raise ValueError(f"vocab_size {vocab_size} is too small: the 256 bytes{' (twice)' if suffix else ''} and "
                             f"{len(special)} special tokens need {len(tokens)}, and each merge one more")
        empty = cls(tokens, [], special, pattern, normalizer, suffix=suffix)
        words: Counter[str] = Counter()
        for text in texts:
            for part, id in empty._parts(text):
                if id is None:
                    words.update(empty._find(part))
        spell = {word: empty._spelled(word.encode()) for word in words}
        pairs = learn_merges(words, spell, tokens, vocab_size, min_frequency)
        return cls(tokens, [(tokens[a], tokens[b]) for a, b in pairs], special, pattern, normalizer, suffix=suffix)

    def save_gpt2(self, folder: str | os.PathLike[str]) -> None:
        """Write GPT-2's vocab.json and merges.txt into a folder. They hold tokens and merges but no options: give
        those to `load` again. Raises ValueError for a merge that merges.txt can not hold."""
        lines = ["#version: 0.2"]
        for left, right in self.merges:
            if any(token.split() != [token] for token in (left, right)):
                raise ValueError(f"merge {left!r} and {right!r}: merges.txt can hold no white space in tokens: use "
                                 "save")
            lines.append(f"{left} {right}")
        write_together(folder, {"merges.txt": ("\n".join(lines) + "\n").encode(),
                                "vocab.json": json_bytes(self.index, indent=None)})

    def _json(self) -> dict[str, Any]:
        alone = self.pattern in ("gpt2", None)
        level = {"type": "ByteLevel", "add_prefix_space": self.add_prefix_space, "trim_offsets": False,
                 "use_regex": self.pattern == "gpt2"}
        clip = self.pattern == "clip"
        cut = {"type": "Split", "pattern": {"Regex": PATTERNS.get(self.pattern or "")},
               "behavior": "Removed" if clip else "Isolated", "invert": clip}
        form = SMALL if self.normalizer == "clip" else self.normalizer and {"type": self.normalizer}
        return {"normalizer": form,
                "pre_tokenizer": level if alone else {"type": "Sequence", "pretokenizers": [cut, level]},
                "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
                "model": bpe_model(self.vocab, self.merges, self.ignore_merges, suffix=self.suffix)}

    def _ids(self, text: str, first: bool) -> list[int]:
        if self.add_prefix_space and not text.startswith(" "):
            text = " " + text
        if self.pattern is None:
            return self._word_ids(text)
        return self._stretches.ids_of(STRETCHES.findall(text))

    def _stretch_ids(self, text: str) -> list[int]:
        return self._words.ids_of(self._find(text))

    def _word_ids(self, word: str) -> list[int]:
        data = word.encode()
        if self.ignore_merges and (id := self.vocab.get("".join(BYTE_CHARACTERS[b] for b in data))) is not None:
            return [id]
        return self._merge(self._spelled(data))

    def _spelled(self, data: bytes) -> list[int]:
        """The ids of a word's bytes."""
        return [*(self._byte_ids[b] for b in data[:-1]), *(self._last_ids[b] for b in data[-1:])]

    def _join(self, tokens: list[str]) -> str:
        data = b"".join(self._bytes.get(token) or self._token_bytes(token) for token in tokens)
        text = data.decode(errors="replace")
        return text.replace(self.suffix, " ").strip() if self.suffix else text

    def _token_bytes(self, token: str) -> bytes:
        """Its bytes by GPT-2's table; those of UTF-8 for a token with a character beyond it, and for an added one that
        no word has as a piece."""
        plain = token in self._plain or any(ord(c) not in _BYTE for c in token)
        self._bytes[token] = data = token.encode() if plain else bytes(map(_BYTE.__getitem__, map(ord, token)))
        return data
