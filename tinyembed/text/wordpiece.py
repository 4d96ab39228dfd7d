"""WordPiece, the tokeniser of BERT: words split greedily into the longest pieces in the vocabulary.

The rules for characters are those of the published BERTs as Hugging Face's `tokenizers` applies them. Its tables are of
Unicode 8, those here of the Python that runs: a character that is younger may count as a mark here, not there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from .tokenizer import PLAIN, Frame, KeptIds, Tokenizer

_CHINESE = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B81F),
            (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)]  # 2B920: so it is in `tokenizers`, though the block begins at 2B820
_TIDY = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
         (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")]  # decoding takes these spaces away


class WordPiece(Tokenizer):
    """WordPiece after BERT's cleaning of the text. (Schuster and Nakajima 2012; Devlin et al. 2019.)

    tokens          the token of each id; what continues a word begins with ##
    special_tokens  tokens that stand for no text: [PAD], [UNK], [CLS], [SEP], [MASK]
    lowercase       of small letters only, as in the "uncased" models
    strip_accents   take accents off (marks of category Mn); None: if lowercase
    handle_chinese_chars   each CJK ideograph is a word
    unknown         the token of a word that can not be pieced together, or has more than max_input_chars_per_word
    prefix          what continues a word begins with
    frame           by default [CLS] A [SEP] and [CLS] A [SEP] B [SEP], if there are such tokens
    added, late, outside   see Tokenizer

    Control characters go, white space and punctuation part words, punctuation marks are words. Of each word the longest
    beginning that is a token is taken, again and again. `load` reads a tokenizer.json, or a vocab.txt, which does not
    say whether the model is uncased: load(path, lowercase=False) for one that is not.

    >>> tokenizer = WordPiece(["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "!"], ["[UNK]", "[CLS]", "[SEP]"])
    >>> tokenizer.pieces("Unaffable, unable!"), tokenizer.encode("un", pair="!")
    (['un', '##aff', '##able', '[UNK]', 'un', '##able', '!'], [1, 3, 2, 6, 2])
    >>> tokenizer.encode_segments("un", pair="!")[1], tokenizer.decode([3, 5, 6])
    ([0, 0, 0, 1, 1], 'unable!')
    """

    def __init__(self, tokens: Iterable[str], special_tokens: Iterable[str] = (), lowercase: bool = True,
                 strip_accents: bool | None = None, handle_chinese_chars: bool = True, unknown: str = "[UNK]",
                 prefix: str = "##", max_input_chars_per_word: int = 100, frame: tuple[Frame, Frame] | None = None,
                 added: Iterable[str] = (), late: Iterable[str] = (), outside: Iterable[str] = ()) -> None:
        tokens = list(tokens)
        if unknown not in tokens:
            raise ValueError(f"the unknown token {unknown!r} is not among the {len(tokens)} tokens: add it to them")
        if frame is None:
            start, end = ("[CLS]", 0), ("[SEP]", 0)
            frame = ([start, ("A", 0), end], [start, ("A", 0), end, ("B", 1), ("[SEP]", 1)]) \
                if {"[CLS]", "[SEP]"} <= set(tokens) else PLAIN
        self.lowercase, self.handle_chinese_chars = lowercase, handle_chinese_chars
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.unknown, self.prefix, self.max_input_chars_per_word = unknown, prefix, max_input_chars_per_word
        self._clean = _Table(self._cleaned)
        self._apart = _Table(lambda c: f" {c} " if _is_punctuation(c) else c)
        super().__init__(tokens, special_tokens, added, frame, late, outside, self._normal)
        self._words = KeptIds(self._word_ids)

    def _normal(self, text: str) -> str:
        text = text.translate(self._clean)
        if self.strip_accents and not text.isascii():
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        return text.replace("Σ", "σ").lower() if self.lowercase else text  # Python would end words with ς

    def _cleaned(self, c: str) -> str:
        if c in "\t\n\r" or unicodedata.category(c) in ("Zs", "Zl", "Zp"):
            return " "
        if c == "\ufffd" or unicodedata.category(c) in ("Cc", "Cf", "Co"):
            return ""
        chinese = self.handle_chinese_chars and any(first <= ord(c) <= last for first, last in _CHINESE)
        return f" {c} " if chinese else c

    def _ids(self, text: str, first: bool) -> list[int]:
        return self._words.ids_of(text.translate(self._apart).split())

    def _word_ids(self, word: str) -> list[int]:
        ids: list[int] = []
        start = 0
        while start < len(word) <= self.max_input_chars_per_word:
            prefix = self.prefix if start else ""
            ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in self.vocab)
            if not (end := next(ends, 0)):
                break
            ids.append(self.vocab[prefix + word[start:end]])
            start = end
        return ids if start == len(word) else [self.vocab[self.unknown]]

    def _join(self, tokens: list[str]) -> str:
        text = []
        for i, token in enumerate(tokens):
            part = token if not i else token.removeprefix(self.prefix) if token.startswith(self.prefix) else " " + token
            for loose, tight in _TIDY:
                part = part.replace(loose, tight)
            text.append(part)
        return "".join(text)

    def _json(self) -> dict[str, Any]:
        return {"normalizer": {"type": "BertNormalizer", "clean_text": True, "strip_accents": self.strip_accents,
                               "handle_chinese_chars": self.handle_chinese_chars, "lowercase": self.lowercase},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "decoder": {"type": "WordPiece", "prefix": self.prefix, "cleanup": True},
                "model": {"type": "WordPiece", "unk_token": self.unknown, "continuing_subword_prefix": self.prefix,
                          "max_input_chars_per_word": self.max_input_chars_per_word, "vocab": self.vocab}}


class _Table(dict[int, str]):
    """What a character becomes, for str.translate; worked out when it is first seen."""

    def __init__(self, function: Callable[[str], str]) -> None:
        self.function = function

    def __missing__(self, code: int) -> str:
        self[code] = self.function(chr(code))
        return self[code]


def _is_punctuation(c: str) -> bool:
    """Unicode's punctuation, and all of ASCII that is neither a letter nor a digit ($, +, <, …)."""
    return "!" <= c <= "~" and not c.isalnum() if c.isascii() else unicodedata.category(c).startswith("P")
