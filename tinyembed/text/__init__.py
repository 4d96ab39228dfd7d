"""Text: tokenisers, vocabulary, preprocessing."""

from .bpe import ByteLevelBPE
from .frequencies import keep_probabilities, noise_distribution
from .load import load_tokenizer
from .preprocess import LineSentences, simple_preprocess, words_of
from .sentencepiece import SentencePieceBPE
from .tokenizer import PLAIN, Tokenizer, pad
from .vocabulary import Vocabulary, detokenise, is_unspaced, spaced, words_and_punctuation
from .wordpiece import WordPiece
from .words_and_characters import CharacterTokenizer, WordTokenizer

__all__ = ["PLAIN", "ByteLevelBPE", "CharacterTokenizer", "LineSentences", "SentencePieceBPE", "Tokenizer",
           "Vocabulary", "WordPiece", "WordTokenizer", "detokenise", "is_unspaced", "keep_probabilities",
           "load_tokenizer", "noise_distribution", "pad", "simple_preprocess", "spaced", "words_and_punctuation",
           "words_of"]
