"""The two simplest tokenisers, a token for each character or each word; and the one entry that reads the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .bpe import ByteLevelBPE
from .sentencepiece import SentencePieceBPE
from .tokenizer import Tokenizer, check_text
from .tokenizer_files import read_parts
from .vocabulary import UNKNOWN, Vocabulary, detokenise, words_and_punctuation
from .wordpiece import WordPiece

Kind = TypeVar("Kind", bound="_OfVocabulary")


class _OfVocabulary:
    """A tokeniser that cuts a text and looks the parts up in a Vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def pieces(self, text: str) -> list[str]:
        raise NotImplementedError

    def _join(self, tokens: list[str]) -> str:
        raise NotImplementedError

    @classmethod
    def load(cls: type[Kind], path: str | os.PathLike[str], **options: Any) -> Kind:
        """Read the vocabulary that `save` wrote; options are arguments of the class, which the file does not hold."""
        return cls(Vocabulary.load(path), **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary (`Vocabulary.save`)."""
        self.vocabulary.save(path)

    def encode(self, text: str) -> list[int]:
        """The id of each token of a text; that of <unk>, where there is such a token, for one that has none.

        Raises TypeError for what is no string; ValueError for a lone surrogate, and without <unk> for what has no id.
        """
        check_text(text)
        try:
            return self.vocabulary.encode(self.pieces(text)).tolist()
        except ValueError as error:
            raise ValueError(f'{error}: train on a text that has it, or with unknown="{UNKNOWN}"') from None

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer[Any]]) -> str:
        """The text of ids (N,). Raises TypeError for what is no integer, IndexError for an id that there is not."""
        return self._join(self.vocabulary.decode(ids))

    @property
    def tokens(self) -> list[str]:
        return self.vocabulary.tokens

    @property
    def special(self) -> dict[str, int]:
        return {token: self.vocabulary.index[token] for token in (UNKNOWN, "<end>") if token in self.vocabulary}

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocabulary!r})"


class CharacterTokenizer(_OfVocabulary):
    """A token for each character, in the order of their code points.

    >>> tokenizer = CharacterTokenizer.train(["hello"])
    >>> tokenizer.tokens, tokenizer.encode("hole"), tokenizer.decode([2, 3])
    (['e', 'h', 'l', 'o'], [1, 3, 2, 0], 'lo')
    """

    @classmethod
    def train(cls, texts: Iterable[str], unknown: str | None = None) -> CharacterTokenizer:
        """Number the characters of texts.

        unknown   "<unk>": others get the id of this token, 0; None: they are an error. Raises TypeError for a plain
                  string, ValueError for a lone surrogate or another name.
        """
        if isinstance(texts, str):
            raise TypeError("train takes a list of texts, got a string: write [text]")
        if unknown not in (None, UNKNOWN):
            raise ValueError(f"unknown is {UNKNOWN!r} or None, got {unknown!r}")
        seen: Counter[str] = Counter()
        for text in texts:
            check_text(text)
            seen.update(text)
        first = [] if unknown is None else [unknown]
        characters = sorted(seen)
        return cls(Vocabulary([*first, *characters], [0] * len(first) + [seen[c] for c in characters]))

    def pieces(self, text: str) -> list[str]:
        """The characters of a text."""
        return list(text)

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens)


class WordTokenizer(_OfVocabulary):
    """A token for each word and punctuation mark that a Vocabulary has. Decoding guesses the spaces (`detokenise`).

    lower   make texts lower case first

    >>> words = words_and_punctuation("The cat, the dog.")
    >>> tokenizer = WordTokenizer(Vocabulary.build([words]))
    >>> tokenizer.encode("The dog, the cow."), tokenizer.decode(tokenizer.encode("The dog, the cow."))
    ([2, 6, 3, 2, 0, 4], 'the dog, the <unk>.')
    """

    def __init__(self, vocabulary: Vocabulary, lower: bool = True) -> None:
        super().__init__(vocabulary)
        self.lower = lower

    def pieces(self, text: str) -> list[str]:
        """The words and marks of a text."""
        return words_and_punctuation(text, self.lower)

    def _join(self, tokens: list[str]) -> str:
        return detokenise(tokens)


def load_tokenizer(path: str | os.PathLike[str], **options: Any) -> Tokenizer:
    """Read a tokeniser that was published, or saved here, whichever kind it is.

    path      a tokenizer.json; a vocab.json, with merges.txt beside it (GPT-2); a vocab.txt (BERT); or a folder that
              has one of these, which are looked for in this order
    options   arguments of the class (ByteLevelBPE, SentencePieceBPE, WordPiece) that the files do not say, or that
              shall be others: pattern="gpt2", lowercase=False

    Raises OSError; FormatError for what is none of these, or asks for what is not done here, by the name of its field.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ByteLevelBPE.train(["low lower"] * 2, vocab_size=270).save(folder)
    ...     load_tokenizer(folder).pieces("low lower")
    ['low', 'Ġlower']
    """
    file, kind, arguments = read_parts(path)
    classes: dict[str, type[Tokenizer]] = {kind.__name__: kind for kind in (ByteLevelBPE, SentencePieceBPE, WordPiece)}
    return classes[kind].from_parts(file, arguments | options)
