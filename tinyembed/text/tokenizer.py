"""Base of all tokenisers: special tokens, the frame of a sequence ([CLS] … [SEP]), ids and tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..core import Tensor
from ..files import atomic_write, is_unicode, json_bytes, short
from .vocabulary import look_up

Frame = list[tuple[str, int]]  # (token, segment); the tokens "A" and "B" stand for the two texts
PLAIN: tuple[Frame, Frame] = ([("A", 0)], [("A", 0), ("B", 1)])
KEPT = 1 << 16  # words whose ids are kept
LONG = 256  # characters of a word; of longer ones the ids are not kept

Kind = TypeVar("Kind", bound="Tokenizer")


class Tokenizer:
    """Text to ids and back; what all kinds have in common. A kind adds `_ids`, `_join` and, to be saved, `_json`.

    tokens          the token of each id, in order; "" for an id that has none
    special_tokens  tokens that are no text: <|endoftext|>, [SEP]. They and `added` are cut out of a text first
    added           further tokens that are cut out of a text, the longest first, but are text
    frame           what stands around one text, and around two, as (token, segment); "A" and "B" are the texts
    late            those tokens that are looked for after the text was normalised, not before
    outside         those tokens, of the last ids, that are only cut out: a text's pieces are never made to them
    normalise       what is done to a text

    Attributes: `tokens`; `index`, a dict from token to id; `vocab` (without those outside), `special` and `added`
    (which holds both), likewise.
    `len(...)` is the number of ids. Raises ValueError for a token that stands twice, or is needed and not there.
    """

    def __init__(self, tokens: Iterable[str], special_tokens: Iterable[str], added: Iterable[str] = (),
                 frame: tuple[Frame, Frame] = PLAIN, late: Iterable[str] = (), outside: Iterable[str] = (),
                 normalise: Callable[[str], str] = str) -> None:
        self.tokens, special, late, outside = list(tokens), list(special_tokens), set(late), set(outside)
        self.index = {token: id for id, token in enumerate(self.tokens) if token}
        if len(self.index) < len(self.tokens) - self.tokens.count(""):
            twice, id = next((t, i) for i, t in enumerate(self.tokens) if t and self.index[t] != i)
            raise ValueError(f"token {twice!r} has two ids, {id} and {self.index[twice]}: tokens must be distinct")
        added = [*special, *added]
        for token in (*added, *(token for half in frame for token, _ in half if token not in ("A", "B"))):
            if token not in self.index or not token:
                raise ValueError(f"special token {token!r} is not among the {len(self)} tokens: add it to them")
        self.special = {token: self.index[token] for token in special}
        self.added = {token: self.index[token] for token in added}
        self.vocab = {token: id for token, id in self.index.items() if token not in outside}
        self.frame, self.late, self._normalise = frame, late, normalise
        self._early_ids = {token: id for token, id in self.added.items() if token not in late}
        self._late_ids = {normalise(token): id for token, id in self.added.items() if token in late}
        if "" in self._late_ids or len(self._early_ids) + len(self._late_ids) < len(self.added):
            raise ValueError("added tokens that are looked for after the text was normalised must differ then, too: "
                             f"{short([token for token in self.added if token in late])}")
        self._early, self._late = _either(self._early_ids), _either(self._late_ids)

    # What a kind must say:

    def _ids(self, text: str, first: bool) -> list[int]:
        """The ids of a text without added tokens; `first` if the text begins here."""
        raise NotImplementedError(f"{type(self).__name__} defines no _ids: the ids of a text")

    def _join(self, tokens: list[str]) -> str:
        """The text of a list of tokens."""
        raise NotImplementedError(f"{type(self).__name__} defines no _join: the text of tokens")

    def _json(self) -> dict[str, Any]:
        """How it is written: normaliser, pre-tokeniser, decoder and model of a tokenizer.json."""
        raise NotImplementedError(f"{type(self).__name__} defines no _json, so it cannot be saved")

    # What it then can do:

    def encode(self, text: str, pair: str | None = None, add_special_tokens: bool = True,
               max_length: int | None = None) -> list[int]:
        """The ids of a text, or of two that belong together, in their frame.

        add_special_tokens   False: only the texts, without what stands around them
        max_length           cut the texts at their ends so that there are at most so many ids; of two the longer first

        Raises TypeError for what is no string, ValueError for a lone surrogate (it is no character), and for a
        max_length that has no room for the frame.
        """
        return self.encode_segments(text, pair, add_special_tokens, max_length)[0]

    def encode_segments(self, text: str, pair: str | None = None, add_special_tokens: bool = True,
                        max_length: int | None = None) -> tuple[list[int], list[int]]:
        """(ids, segments): as `encode`, and for each id 0 where it belongs to the first text, 1 for the second."""
        texts = {"A": self._text_ids(text), "B": [] if pair is None else self._text_ids(pair)}
        frame = [part for part in self.frame[pair is not None] if add_special_tokens or part[0] in texts]
        if max_length is not None:
            room = max_length - sum(token not in texts for token, _ in frame)
            if room < 0:
                raise ValueError(f"max_length {max_length} has no room for what stands around a text: {frame}")
            _truncate(texts["A"], texts["B"], room)
        ids: list[int] = []
        segments: list[int] = []
        for token, segment in frame:
            part = texts[token] if token in texts else [self.index[token]]
            ids += part
            segments += [segment] * len(part)
        return ids, segments

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text, without what stands around it."""
        return [self.tokens[id] for id in self._text_ids(text)]

    def decode(self, ids: Iterable[int] | npt.NDArray[np.integer[Any]] | Tensor, skip_special_tokens: bool = False
               ) -> str:
        """The text of ids (N,). Raises TypeError for what is no integer, IndexError for an id that there is not.

        skip_special_tokens   leave out the tokens in `special`
        """
        tokens = [*filter(None, look_up(ids, self.tokens, "the tokeniser"))]
        return self._join([t for t in tokens if t not in self.special] if skip_special_tokens else tokens)

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens, {len(self.special)} of them special)"

    @classmethod
    def load(cls: type[Kind], path: str | os.PathLike[str], **options: Any) -> Kind:
        """Read what `save` or others have written: as `load_tokenizer`, but FormatError for a file of another kind."""
        from .load import load_as  # which knows all kinds, and they this file
        return load_as(cls, path, options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a tokenizer.json, which Hugging Face's `tokenizers` reads too: of that name, or into that folder."""
        path = Path(path)
        atomic_write(path / "tokenizer.json" if path.is_dir() else path, self.to_json())

    def to_json(self) -> bytes:
        """The tokenizer.json that `save` writes."""
        parts = self._json()
        added = [{"id": id, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                  "normalized": token in self.late, "special": token in self.special}
                 for token, id in sorted(self.added.items(), key=lambda item: item[1])]
        around = {token: {"id": token, "ids": [self.index[token]], "tokens": [token]}
                  for half in self.frame for token, _ in half if token not in ("A", "B")}
        single, pair = ([{"Sequence" if token in ("A", "B") else "SpecialToken": {"id": token, "type_id": segment}}
                         for token, segment in half] for half in self.frame)
        template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": around}
        return json_bytes({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts,
                           "post_processor": template if self.frame != PLAIN else None})

    def _text_ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for part, id in self._parts(text):
            if id is None:
                ids += self._ids(part, not ids)
            else:
                ids.append(id)
        return ids

    def _parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        """The text, normalised and cut at the added tokens, whose ids come with them."""
        check_text(text)
        for raw in self._early.split(text) if self._early else [text]:
            if raw in self._early_ids:
                yield raw, self._early_ids[raw]
            elif raw and (normal := self._normalise(raw)):
                for part in self._late.split(normal) if self._late else [normal]:
                    if part:
                        yield part, self._late_ids.get(part)


class KeptIds(dict[str, list[int]]):
    """The ids of words, worked out once, since most words of a text have been seen before. Emptied when it is full."""

    def __init__(self, work_out: Callable[[str], list[int]]) -> None:
        self.work_out = work_out

    def __missing__(self, word: str) -> list[int]:
        ids = self.work_out(word)
        if len(word) <= LONG:
            if len(self) >= KEPT:
                self.clear()
            self[word] = ids
        return ids

    def ids_of(self, words: Iterable[str]) -> list[int]:
        """The ids of all these words, one after the other."""
        return list(chain.from_iterable(map(self.__getitem__, words)))


def check_text(text: object) -> None:
    """TypeError for what is no string, ValueError for one that UTF-8 can not hold."""
    if not isinstance(text, str):
        raise TypeError(f"a tokeniser takes a string, got {type(text).__name__}: {short(text)}; of several texts, give "
                        "one after the other")
    if not is_unicode(text):
        position = next(i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff")
        raise ValueError(f"{text[position]!r} at position {position} is half of a surrogate pair, which is no "
                         'character: clean the text first with text.encode("utf-8", "replace").decode("utf-8")')


def pad(sequences: Sequence[Sequence[int]], pad_id: int, length: int | None = None
        ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """B lists of ids, made equally long: (ids (B, T) int64, mask (B, T) bool, True where an id was given).

    pad_id   the id that fills up on the right
    length   T; None for the longest list. Raises ValueError if one is longer.

    >>> pad([[5, 6, 7], [8]], pad_id=0)
    (array([[5, 6, 7],
           [8, 0, 0]]), array([[ True,  True,  True],
           [ True, False, False]]))
    """
    longest = max(map(len, sequences), default=0)
    if length is not None and longest > length:
        raise ValueError(f"a sequence of {longest} ids does not fit into length {length}: encode with max_length")
    T = longest if length is None else length
    ids = np.full((len(sequences), T), pad_id, np.int64)
    mask = np.zeros(ids.shape, np.bool_)
    for b, sequence in enumerate(sequences):
        ids[b, :len(sequence)], mask[b, :len(sequence)] = sequence, True
    return ids, mask


def _either(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern whose split cuts the tokens out, the longest first where several begin; None if there are none."""
    words = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, words))})") if words else None


def _truncate(a: list[int], b: list[int], room: int) -> None:
    """Cut the ends of both lists so that they are `room` long together: first of the longer, then of both alike."""
    shorter, longer = (a, b) if len(a) <= len(b) else (b, a)
    if len(a) + len(b) > room:
        keep = min(len(shorter), room // 2)
        del shorter[keep:], longer[room - keep:]
