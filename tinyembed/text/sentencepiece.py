"""SentencePiece BPE, with ▁ for a space: the tokeniser of Llama 2, Mistral and Gemma.

Unlike byte-level BPE it merges characters, and a character without a token falls back to the bytes of its UTF-8. No
pattern cuts the text: in principle all of it is one word. But where no merge makes a token with a ▁ behind another
character, none ever crosses that border, and the text may be cut there; which is how the ids of words can be kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .merges import merges_of
from .tokenizer import PLAIN, Frame, KeptIds, Tokenizer
from .tokenizer_json import BYTE, PREPEND, SPACE, SPACES, STRIP, UNMARK, bpe_model, sequence

_INSIDE = re.compile("[^▁]▁")
_WORDS = re.compile("▁*[^▁]+|▁+")
_STARTS = re.compile("▁?[^▁]+|▁")


class SentencePieceBPE(Tokenizer):
    """Character BPE with byte fallback. (Kudo and Richardson 2018; Touvron et al. 2023.)

    tokens          the token of each id; ▁ stands for a space, <0x00> … <0xFF> for bytes
    merges          pairs (left token, right token), the first to be merged first
    special_tokens  tokens that stand for no text
    unknown         the token of a character that has none, if the bytes have none either
    byte_fallback   a character without a token becomes the bytes of its UTF-8
    fuse_unk        unknown characters in a row are one unknown token
    prepend         where a ▁ is put before: "text", each piece of text between added tokens; "always", where there is
                    none yet; "first", so too, but only where the text begins; "never"
    split           cut before each ▁ first, so that no merge reaches over it
    strip           decoding takes one space off the beginning; None: unless prepend is "never"
    ignore_merges, added, frame, late, outside   see ByteLevelBPE and Tokenizer

    Raises ValueError as ByteLevelBPE, and from `encode` for a character that has no token where none is unknown.

    >>> tokenizer = SentencePieceBPE(["<unk>", "▁", "a", "b", "▁a", "▁ab"], [("▁", "a"), ("▁a", "b")], unknown="<unk>")
    >>> tokenizer.pieces("ab ba"), tokenizer.decode([5, 1, 3, 2])
    (['▁ab', '▁', 'b', 'a'], 'ab ba')
    """

    def __init__(self, tokens: Iterable[str], merges: Iterable[tuple[str, str]], special_tokens: Iterable[str] = (),
                 unknown: str | None = None, byte_fallback: bool = False, fuse_unk: bool = True, prepend: str = "text",
                 split: bool = False, ignore_merges: bool = False, added: Iterable[str] = (),
                 frame: tuple[Frame, Frame] = PLAIN, late: Iterable[str] = (), strip: bool | None = None,
                 outside: Iterable[str] = ()) -> None:
        if prepend not in ("text", "always", "first", "never"):
            raise ValueError(f"prepend {prepend!r}, where there are 'text', 'always', 'first' and 'never'")
        super().__init__(tokens, special_tokens, added, frame, late, outside, _marked if prepend == "text" else str)
        if unknown is not None and unknown not in self.vocab:
            raise ValueError(f"the unknown token {unknown!r} is not among the {len(self)} tokens: add it to them")
        self.merges = list(merges)
        self._merge = merges_of(self.merges, self.vocab)
        self.unknown, self.byte_fallback, self.fuse_unk, self.prepend = unknown, byte_fallback, fuse_unk, prepend
        self.split, self.ignore_merges = split, ignore_merges
        self.strip = prepend != "never" if strip is None else strip
        self._unknown = -1 if unknown is None else self.vocab[unknown]
        apart = SPACE in self.vocab and not ignore_merges and not any(
            _INSIDE.search(a + b) or unknown in (a, b) for a, b in self.merges)
        self._cut = _STARTS.findall if split else _WORDS.findall if apart else lambda text: [text]
        self._words = KeptIds(self._word_ids)
        self._characters = KeptIds(self._character_ids)

    def _json(self) -> dict[str, Any]:
        marked = sequence("normalizers", PREPEND, SPACES) if self.prepend == "text" else None
        return {"normalizer": marked,
                "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "split": self.split,
                                  "prepend_scheme": "never" if marked else self.prepend},
                "decoder": sequence("decoders", *UNMARK, *[STRIP] * self.strip),
                "model": bpe_model(self.vocab, self.merges, self.ignore_merges, self.unknown, self.fuse_unk,
                                   self.byte_fallback)}

    def _ids(self, text: str, first: bool) -> list[int]:
        text = text.replace(" ", SPACE)
        if (self.prepend == "always" or (self.prepend == "first" and first)) and not text.startswith(SPACE):
            text = SPACE + text
        return self._words.ids_of(self._cut(text))

    def _word_ids(self, word: str) -> list[int]:
        if self.ignore_merges and word in self.vocab:
            return [self.vocab[word]]
        ids: list[int] = []
        known = True
        for character in word:
            here = self._characters[character]
            if not here and (known or not self.fuse_unk):
                ids.append(self._unknown)
            known = bool(here)
            ids += here
        return self._merge(ids)

    def _character_ids(self, character: str) -> list[int]:
        """Of an unknown one: none."""
        if (id := self.vocab.get(character)) is not None:
            return [id]
        spelled = [self.vocab.get(f"<0x{byte:02X}>", -1) for byte in character.encode()]
        if self.byte_fallback and min(spelled) >= 0:
            return spelled
        if self.unknown is None:
            raise ValueError(f"{character!r} has no token, and there is no unknown token: take a tokeniser that has "
                             "one, or leave the character out")
        return []

    def _join(self, tokens: list[str]) -> str:
        text, run = [], bytearray()
        for token in [*tokens, ""]:
            if byte := BYTE.fullmatch(token):
                run.append(int(byte[1], 16))
                continue
            if run:
                text.append(_decoded(bytes(run)))
                run.clear()
            text.append(token.replace(SPACE, " "))
        return "".join(text).removeprefix(" " if self.strip else "")


def _marked(text: str) -> str:
    return SPACE + text.replace(" ", SPACE)


def _decoded(run: bytes) -> str:
    """The characters of a run of byte tokens; if it is not UTF-8, each of its bytes is a replacement character."""
    try:
        return run.decode()
    except UnicodeDecodeError:
        return "\ufffd" * len(run)
