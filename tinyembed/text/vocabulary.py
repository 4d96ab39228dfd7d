"""Vocabulary: tokens, their ids and counts; and splitting a text into words and punctuation."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ..core import Tensor, as_ids
from ..files import FormatError, Repeats, atomic_write, is_unicode, open_file, short

UNKNOWN = "<unk>"
SPECIALS = (UNKNOWN, "<end>")
FORMAT = "tinyembed vocabulary 2"
LONGEST = 1 << 18  # bytes of a line in its file

# Scripts without spaces between words: Thai and Lao, Burmese, Khmer, kana, Chinese characters.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
UNSPACED += "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ALONE = re.compile(f"[{UNSPACED}]")
TOKEN = re.compile(
    r"\d+(?:[.,]\d+)+"  # 3.14 and 1,000,000
    rf"|[{UNSPACED}]"  # 数
    rf"|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*"  # word, don't, __init__, 42
    r"|\S"  # any other character that is no space
)
_CLOSING = frozenset(",.;:!?%)]}’”…")  # no space before
_OPENING = frozenset("([{$‘“")  # no space after
_JOINING = frozenset("-/")  # neither
_QUOTES = frozenset("'\"`")  # opening and closing by turns


def words_and_punctuation(text: str, lower: bool = True) -> list[str]:
    """Cut a text into words, numbers and punctuation marks; nothing but white space is lost.

    text: any string.
    lower: make the text lower case first.

    A word is a run of letters, digits and underscores, with the apostrophes inside it; a number keeps the points and
    commas inside it; every other character is a token of its own. So is each character of a script that has no spaces
    (Chinese, kana, Thai, Lao, Burmese, Khmer): a word segmenter's words, with spaces between them, go to
    `str.split`. A combining accent counts as a character too: if your text has them, compose it first with
    `unicodedata.normalize("NFC", text)`.

    >>> words_and_punctuation("Don't pay $3.50: call __init__()!")
    ["don't", 'pay', '$', '3.50', ':', 'call', '__init__', '(', ')', '!']
    >>> words_and_punctuation("用 NumPy 写成。")
    ['用', 'numpy', '写', '成', '。']
    """
    return TOKEN.findall(text.lower() if lower else text)


def spaced(text: str) -> str:
    """The text with spaces around each character of a script that has none, so that such characters are words for all
    that cuts at spaces: `simple_preprocess`, `str.split`, LineSentences.

    >>> spaced("用NumPy写成。").split()
    ['用', 'NumPy', '写', '成', '。']
    """
    return _ALONE.sub(r" \g<0> ", text)


def is_unspaced(token: str) -> bool:
    """Whether a token is a character of a script without spaces.

    >>> is_unspaced("数"), is_unspaced("数学"), is_unspaced("a")
    (True, False, False)
    """
    return _ALONE.fullmatch(token) is not None


def detokenise(tokens: Iterable[str]) -> str:
    """Join words and punctuation into a line that reads well.

    tokens: words and marks as `words_and_punctuation` makes them.

    Where the spaces stood is not known any more and is guessed from the marks: none before a comma, none after an
    opening bracket, none around a hyphen, straight quotes open and close by turns; none around the wide marks of
    Chinese and Japanese, nor between characters of a script without spaces. The guess never changes a token: cutting
    the line again gives `tokens` back.

    >>> detokenise(["he", "said", ":", '"', "well", "-", "known", "(", "to", "me", ")", '"', "."])
    'he said: "well-known (to me)".'
    >>> detokenise(["用", "numpy", "写", "成", "，", "可", "读", "。"])
    '用 numpy 写成，可读。'
    """
    pieces: list[str] = []
    open_quotes: set[str] = set()
    glued, beside = True, False  # no space at the start of the line
    for token in tokens:
        opens_quote, wide = token in _QUOTES and token not in open_quotes, _is_wide_mark(token)
        unspaced = wide or is_unspaced(token)
        if not (glued or wide or (beside and unspaced) or token in _CLOSING or token in _JOINING
                or token in open_quotes):
            pieces.append(" ")
        pieces.append(token)
        glued, beside = wide or token in _OPENING or token in _JOINING or opens_quote, unspaced
        if token in _QUOTES:
            open_quotes ^= {token}
    return "".join(pieces)


def _is_wide_mark(token: str) -> bool:
    """Whether a token is a punctuation mark as wide as a Chinese character, which brings its own space."""
    return len(token) == 1 and unicodedata.category(token)[0] == "P" and unicodedata.east_asian_width(token) in "WF"


class Vocabulary:
    """A numbered list of distinct tokens, and how often each was seen.

    tokens: the token of each id, in order; distinct strings that UTF-8 can hold (no lone surrogates).
    counts (V,): how often each was seen; integers, none negative.

    Attributes: `tokens`, a list of V strings; `counts` (V,) int64; `index`, a dict from token to id. They describe
    one another: build a new vocabulary rather than change one. `len(vocabulary)` is V, `token in vocabulary` asks
    whether a token has an id of its own. Raises TypeError or ValueError for tokens or counts that are not as said.

    >>> vocabulary = Vocabulary(["<unk>", "cat", "dog"], [0, 5, 3])
    >>> len(vocabulary), "cat" in vocabulary, vocabulary.index["dog"]
    (3, True, 2)
    """

    def __init__(self, tokens: Iterable[str], counts: npt.ArrayLike) -> None:
        self.tokens = _checked_tokens(tokens)
        self.index = {token: id for id, token in enumerate(self.tokens)}
        if len(self.index) < len(self.tokens):
            twice = next(token for id, token in enumerate(self.tokens) if self.index[token] != id)
            raise ValueError(f"token {twice!r} stands twice in the vocabulary: tokens must be distinct")
        given = np.asarray(counts)
        if given.shape != (len(self.tokens),):
            raise ValueError(f"{len(self.tokens)} tokens need as many counts, got counts of shape {given.shape}")
        if given.size and given.dtype.kind not in "iu":
            raise TypeError(f"counts must be 64-bit integers, got {given.dtype}")
        self.counts = given.astype(np.int64)
        if (self.counts < 0).any():  # a uint64 beyond int64 has become negative, and is caught too
            position = int(np.argmax(self.counts < 0))
            raise ValueError(f"count {given[position]} at position {position} is not between 0 and 2^63 - 1")

    @classmethod
    def build(cls, documents_of_tokens: Iterable[Iterable[str]], max_size: int | None = None, min_count: int = 1,
              specials: Iterable[str] = SPECIALS) -> Vocabulary:
        """Count the tokens of a corpus and number them: the specials first, then the most frequent.

        documents_of_tokens: one iterable of tokens for each document.
        max_size: how many tokens to keep at most, the specials included; None for all.
        min_count: tokens seen less often than this are dropped.
        specials: tokens that get the first ids whether or not they are seen.

        Equal counts stand in alphabetical order (by code point), so a corpus has one vocabulary, whatever the hash
        seed. The count of `<unk>`, if it is among the specials, includes all that was dropped. Raises TypeError for
        a document that is a plain string, ValueError for a `max_size` below the number of specials or a `min_count`
        below 1.

        >>> vocabulary = Vocabulary.build([["a", "b", "a"], ["c", "b", "d"]], max_size=4)
        >>> vocabulary.tokens, vocabulary.counts
        (['<unk>', '<end>', 'a', 'b'], array([2, 0, 2, 2]))
        """
        specials = _checked_tokens(specials)
        if max_size is not None and max_size < len(specials):
            raise ValueError(f"max_size {max_size} leaves no room for the {len(specials)} specials {specials}")
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        seen: Counter[str] = Counter()
        for position, document in enumerate(documents_of_tokens):
            if isinstance(document, str):
                raise TypeError(f"document {position} is a string, so its characters would be the tokens: give a list "
                                "of tokens for each document, for instance words_and_punctuation(text)")
            seen.update(iter(document))  # of a dict its keys; None is none
        _checked_tokens(seen)
        counts = {token: seen.pop(token, 0) for token in specials}
        frequent = [(token, count) for token, count in seen.items() if count >= min_count]
        frequent.sort(key=lambda entry: (-entry[1], entry[0]))
        counts.update(frequent[: None if max_size is None else max_size - len(specials)])
        if UNKNOWN in specials:
            counts[UNKNOWN] += sum(count for token, count in seen.items() if token not in counts)
        return cls(specials + list(counts)[len(specials) :], list(counts.values()))

    def encode(self, tokens: Iterable[str]) -> npt.NDArray[np.int64]:
        """Look up the id of each token.

        tokens (N of them) -> ids (N,) int64. A token without an id of its own gets that of `<unk>`; no tokens give an
        empty array. Raises TypeError for a plain string, ValueError for an unknown token where the vocabulary has no
        `<unk>`.

        >>> Vocabulary(["<unk>", "cat", "dog"], [0, 5, 3]).encode(["dog", "cow", "cat"])
        array([2, 0, 1])
        """
        if isinstance(tokens, str):
            raise TypeError("encode takes a list of tokens, got a string: use words_and_punctuation(text)")
        tokens = list(tokens)
        unknown = self.index.get(UNKNOWN, -1)
        ids = np.array([self.index.get(token, unknown) for token in tokens], dtype=np.int64)
        if unknown < 0 and (ids < 0).any():
            position = int(np.argmax(ids < 0))
            raise ValueError(f"token {tokens[position]!r} at position {position} is not in the vocabulary, which has "
                             f"no {UNKNOWN}")
        return ids

    def decode(self, ids: Iterable[int] | npt.NDArray[np.integer] | Tensor) -> list[str]:
        """Look up the token of each id.

        ids (N,), integers from 0 to V - 1 -> N tokens. Raises TypeError for an id that is no integer, IndexError for
        one that is outside the vocabulary (nothing wraps round), ValueError for ids of another shape.

        >>> Vocabulary(["<unk>", "cat", "dog"], [0, 5, 3]).decode([2, 0, 1])
        ['dog', '<unk>', 'cat']
        """
        return look_up(ids, self.tokens, "the vocabulary")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary to a file of JSON lines in UTF-8: how many tokens there are, then each with its count.

        path: the file to write; it holds the old bytes or the new ones, never a part. Raises OSError; ValueError or
        TypeError for tokens and counts that were changed and do not go together any more, and for a token of
        2^18 bytes.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "words.jsonl")
        ...     Vocabulary(["<unk>", "naïve"], [0, 5]).save(path)
        ...     print(path.read_text("utf-8")); Vocabulary.load(path).tokens
        {"format": "tinyembed vocabulary 2", "tokens": 2}
        ["<unk>", 0]
        ["naïve", 5]
        <BLANKLINE>
        ['<unk>', 'naïve']
        """
        new = Vocabulary(self.tokens, self.counts)

        def lines() -> Iterator[bytes]:
            for entry in ({"format": FORMAT, "tokens": len(new)}, *zip(new.tokens, new.counts.tolist())):
                line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
                if len(line) > LONGEST:
                    raise ValueError(f"{short(entry)} takes a line of {len(line):,} bytes, and {LONGEST:,} are read")
                yield line

        atomic_write(path, lambda file: file.writelines(lines()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read a vocabulary that `save` wrote.

        path: the file. Raises OSError; FormatError, with the line, if it is not the file of a vocabulary. The lines
        are all checked before any is kept, so that a file that is refused took little memory.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = folder + "/words.jsonl"
        ...     atomic_write(path, b'{"format": "tinyembed vocabulary 2", "tokens": 1}\\n["a", -1]\\n')
        ...     Vocabulary.load(path)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        tinyembed.files.errors.FormatError: ...words.jsonl, line 2: b'["a", -1]\\n', where a token and a count stand
        """
        repeats = Repeats(path, lambda: ((token, where) for token, _, where in _entries(path)))
        counts = array("q")
        for token, count, _ in _entries(path):
            repeats.add((token,))
            counts.append(count)
        repeats.refuse()
        return cls((token for token, _, _ in _entries(path)), np.array(counts, np.int64))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self.index

    def __repr__(self) -> str:
        first = ", ".join(map(repr, self.tokens[:5])) + (", …" if len(self) > 5 else "")
        return f"Vocabulary({len(self)} tokens: {first})"


def look_up(ids: Iterable[int] | npt.NDArray[np.integer] | Tensor, tokens: list[str], what: str) -> list[str]:
    """The token of each id (N,); errors as in Vocabulary.decode, of "the vocabulary" or what else has the tokens."""
    checked = as_ids(ids if isinstance(ids, (np.ndarray, Tensor)) else list(ids), len(tokens), what)
    if checked.ndim != 1:
        raise ValueError(f"decode takes one sequence of ids (N,), got {checked.shape}")
    return [tokens[i] for i in checked.tolist()]


def _checked_tokens(tokens: Iterable[str]) -> list[str]:
    """A list of the tokens, each a string that a UTF-8 file can hold; noticed here rather than at the first save."""
    if isinstance(tokens, str):
        raise TypeError(f"expected a list of tokens, got the string {tokens!r}")
    tokens = list(tokens)
    for position, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"token {token!r} at position {position} is not a string but {type(token).__name__}")
        if not is_unicode(token):
            raise ValueError(f"token {token!r} at position {position} has a lone surrogate, which UTF-8 can not hold: "
                             'clean the text first with text.encode("utf-8", "replace").decode("utf-8")')
    return tokens


def _entries(path: str | os.PathLike[str]) -> Iterator[tuple[str, int, str]]:
    """(token, count, where it stands) for each line of a vocabulary's file; FormatError for what is none."""
    with open_file(path) as file:
        declared, number = _parsed(file.readline(LONGEST)), 1
        if type(declared) is not dict or declared.keys() != {"format", "tokens"} or declared["format"] != FORMAT:
            raise FormatError(path, "line 1", f"it does not say that this is a {FORMAT!r}, of so many tokens")
        while line := file.readline(LONGEST):
            number += 1
            entry = _parsed(line) if line.endswith(b"\n") else None
            if type(entry) is not list or [type(x) for x in entry] != [str, int] or not 0 <= entry[1] < 2**63 \
                    or not is_unicode(entry[0]):
                raise FormatError(path, f"line {number}", f"{short(line)}, where a token and a count stand")
            yield *entry, f"line {number}"
        if declared["tokens"] != number - 1 or type(declared["tokens"]) is not int:
            raise FormatError(path, f"line {number}", f"the file ends after {number - 1} tokens, where line 1 says "
                              f"{short(declared['tokens'])}")


def _parsed(line: bytes) -> object:
    """The JSON of a line; None if it is none."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
