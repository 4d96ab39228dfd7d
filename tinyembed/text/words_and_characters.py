"""The two simplest tokenisers: one token for each word, or for each character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from .tokenizer import PLAIN, Frame, Tokenizer, check_text
from .tokenizer_json import CHARACTERS, LOWERCASE, WORDS
from .vocabulary import SPECIALS, UNKNOWN, Vocabulary, detokenise, words_and_punctuation


class _OfVocabulary(Tokenizer):
    """A tokeniser that cuts a text and looks the parts up in a Vocabulary."""

    def __init__(self, vocabulary: Vocabulary, special_tokens: Iterable[str] | None, added: Iterable[str],
                 frame: tuple[Frame, Frame], late: Iterable[str], normalise: Callable[[str], str]) -> None:
        if special_tokens is None:
            special_tokens = [token for token in SPECIALS if token in vocabulary]
        super().__init__(vocabulary.tokens, special_tokens, added, frame, late, normalise=normalise)
        self.vocabulary = vocabulary

    def _cut(self, text: str) -> list[str]:
        """The parts of a text, a token each."""
        raise NotImplementedError(f"{type(self).__name__} defines no _cut: the parts of a text")

    def _ids(self, text: str, first: bool) -> list[int]:
        try:
            ids: list[int] = self.vocabulary.encode(self._cut(text)).tolist()
        except ValueError as error:
            raise ValueError(f'{error}: train on a text that has it, or with unknown="{UNKNOWN}"') from None
        return ids

    def _model(self) -> dict[str, Any]:
        return {"type": "WordLevel", "vocab": self.index, "unk_token": UNKNOWN,
                "counts": self.vocabulary.counts.tolist()}


class CharacterTokenizer(_OfVocabulary):
    """A token for each character, in the order of their code points.

    special_tokens       those that are no text; None: <unk> and <end>, if the vocabulary has them
    added, frame, late   see Tokenizer

    A character without an id gets that of <unk>; where there is none, `encode` raises ValueError.

    >>> tokenizer = CharacterTokenizer.train(["hello"])
    >>> tokenizer.tokens, tokenizer.encode("hole"), tokenizer.decode([2, 3])
    (['e', 'h', 'l', 'o'], [1, 3, 2, 0], 'lo')
    """

    def __init__(self, vocabulary: Vocabulary, special_tokens: Iterable[str] | None = None, added: Iterable[str] = (),
                 frame: tuple[Frame, Frame] = PLAIN, late: Iterable[str] = ()) -> None:
        super().__init__(vocabulary, special_tokens, added, frame, late, str)

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

    def _cut(self, text: str) -> list[str]:
        return list(text)

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def _json(self) -> dict[str, Any]:
        return {"normalizer": None, "pre_tokenizer": CHARACTERS, "decoder": {"type": "Fuse"}, "model": self._model()}


class WordTokenizer(_OfVocabulary):
    """A token for each word and punctuation mark that a Vocabulary has. Decoding guesses the spaces (`detokenise`).

    lower                make texts lower case first
    special_tokens, added, frame, late   see CharacterTokenizer

    Hugging Face's `tokenizers` gives the same ids from what `save` writes, but for words that end with a Greek Σ, and
    decodes with a space between all tokens.

    >>> words = words_and_punctuation("The cat, the dog.")
    >>> tokenizer = WordTokenizer(Vocabulary.build([words]))
    >>> tokenizer.encode("The dog, the cow."), tokenizer.decode(tokenizer.encode("The dog, the cow."))
    ([2, 6, 3, 2, 0, 4], 'the dog, the <unk>.')
    """

    def __init__(self, vocabulary: Vocabulary, lower: bool = True, special_tokens: Iterable[str] | None = None,
                 added: Iterable[str] = (), frame: tuple[Frame, Frame] = PLAIN, late: Iterable[str] = ()) -> None:
        super().__init__(vocabulary, special_tokens, added, frame, late, str.lower if lower else str)
        self.lower = lower

    def _cut(self, text: str) -> list[str]:
        return words_and_punctuation(text, lower=False)

    def _join(self, tokens: list[str]) -> str:
        return detokenise(tokens)

    def _json(self) -> dict[str, Any]:
        return {"normalizer": LOWERCASE if self.lower else None, "pre_tokenizer": WORDS, "decoder": None,
                "model": self._model()}
