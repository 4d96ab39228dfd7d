"""From text to ids and back."""

from .vocabulary import Vocabulary, detokenise, words_and_punctuation

__all__ = ["Vocabulary", "detokenise", "words_and_punctuation"]
