"""From text to ids and back."""

from .preprocess import LineSentences, simple_preprocess
from .sampling import keep_probabilities, noise_distribution
from .vocabulary import Vocabulary, detokenise, words_and_punctuation

__all__ = ["LineSentences", "Vocabulary", "detokenise", "keep_probabilities", "noise_distribution",
           "simple_preprocess", "words_and_punctuation"]
