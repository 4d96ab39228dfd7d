"""Preprocessing with gensim's names, and corpora that are read line by line, not kept in memory."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator

from ..files import FormatError, Source
from .vocabulary import is_unspaced, spaced

_LETTERS = re.compile(r"[^\W\d]+")
_PIECE = 1 << 20  # bytes of a line that are looked at together
LONGEST = 1 << 24  # bytes of a word


def simple_preprocess(doc: str | bytes, deacc: bool = False, min_len: int = 2, max_len: int = 15) -> list[str]:
    """The words of a text in lower case: runs of letters and underscores, of min_len to max_len characters.

    deacc: take the accents off (marks that Unicode composes or lets stand after a letter).

    Gensim's results on any text: digits and punctuation part words, what begins with an underscore is left out, and
    bytes are UTF-8, of which the rest is passed over.

    >>> simple_preprocess("Is Žižek's naïve __init__ 3-fold?"), simple_preprocess("naïve", deacc=True)
    (['is', 'žižek', 'naïve', 'fold'], ['naive'])
    """
    text = (doc if isinstance(doc, str) else str(doc, "utf-8", "ignore")).lower()
    if deacc:
        bare = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        text = unicodedata.normalize("NFC", bare)
    return [word for word in _LETTERS.findall(text) if min_len <= len(word) <= max_len and word[0] != "_"]


def words_of(text: str) -> list[str]:
    """`simple_preprocess`; but where no spaces part the words, each character is one.

    >>> words_of("I like 数学 a lot.")
    ['like', '数', '学', 'lot']
    """
    return [word for word in simple_preprocess(spaced(text), min_len=1) if len(word) > 1 or is_unspaced(word)]


class LineSentences:
    """The lines of a file as lists of words, read anew in each pass: for a corpus that memory does not hold.
    A text without spaces goes through `spaced` or a word segmenter first.

    path                 text in UTF-8, plain or gzip'd (seen from its first bytes), words parted by white space
    max_sentence_length  longer lines become several sentences of so many words (a corpus may be one line); None: each
                         line is one, a blank one too, for whom their number says something
    limit                how many lines to read; None for all

    Raises OSError, at once, if there is no such file; FormatError, in a pass, with the line that is not UTF-8, or has a
    word of 16 MB, and for gzip data that are cut off.

    >>> import gzip, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "corpus.txt")
    ...     size = path.write_bytes(gzip.compress(b"the cat sat\\n\\non the mat\\n"))
    ...     sentences = LineSentences(path)
    ...     list(sentences), len(list(sentences))
    ([['the', 'cat', 'sat'], ['on', 'the', 'mat']], 2)
    """

    def __init__(self, path: str | os.PathLike[str], max_sentence_length: int | None = 10000, limit: int | None = None
                 ) -> None:
        if (max_sentence_length is not None and max_sentence_length < 1) or (limit is not None and limit < 0):
            raise ValueError(f"max_sentence_length must be at least 1, limit at least 0 or None, got "
                             f"{max_sentence_length} and {limit}")
        Source(path).close()
        self.path, self.max_sentence_length, self.limit = path, max_sentence_length, limit

    def __iter__(self) -> Iterator[list[str]]:
        words: list[str] = []
        most = self.max_sentence_length
        with Source(self.path) as source:
            number, rest = 1, b""
            while (self.limit is None or number <= self.limit) and (piece := source.line(_PIECE)):
                rest += piece
                # Of a long line, all but the last word, which may be cut.
                whole, rest = (rest, b"") if piece.endswith(b"\n") else _before_last_space(rest)
                if len(rest) > LONGEST:
                    raise FormatError(self.path, f"line {number}", f"a word of more than {LONGEST:,} bytes: no text")
                words += self._decode(whole, number)
                while most and len(words) >= most:
                    yield words[:most]
                    del words[:most]
                if piece.endswith(b"\n"):
                    if words or most is None:
                        yield words
                    number, words = number + 1, []
            words += self._decode(rest, number)
            for i in range(0, len(words), most or len(words) or 1):
                yield words[i:i + (most or len(words))]

    def _decode(self, line: bytes, number: int) -> list[str]:
        try:
            return line.decode().split()
        except UnicodeDecodeError as error:
            raise FormatError(self.path, f"line {number}", f"byte {line[error.start]:#04x} is not UTF-8: convert the "
                              "file to UTF-8 first") from None


def _before_last_space(line: bytes) -> tuple[bytes, bytes]:
    cut = max(line.rfind(b" "), line.rfind(b"\t")) + 1
    return line[:cut], line[cut:]
