"""Floor 5: the models that made embeddings what they are, one a file."""

from .bert import BERT, BERTConfig, mask_tokens
from .bodies import StaticEmbedding, TokenLSTM
from .doc2vec import Doc2Vec, TaggedDocument
from .encoder import Encoder
from .fasttext import FastText
from .glove import GloVe
from .gpt import GPT, GPTConfig
from .language import LanguageModel
from .lstm import LSTMModel
from .ngram import Bigram, NeuralNGram
from .published import load_bert, load_gpt, save_bert, save_gpt
from .sentence import PairClassifier, SentenceEncoder
from .sif import sif
from .word2vec import Word2Vec

__all__ = ["BERT", "GPT", "BERTConfig", "Bigram", "Doc2Vec", "Encoder", "FastText", "GPTConfig", "GloVe", "LSTMModel",
           "LanguageModel", "NeuralNGram", "PairClassifier", "SentenceEncoder", "StaticEmbedding", "TaggedDocument",
           "TokenLSTM", "Word2Vec", "load_bert", "load_gpt", "mask_tokens", "save_bert", "save_gpt", "sif"]
