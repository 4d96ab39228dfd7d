"""Floor 5: the models that made embeddings what they are, one a file."""

from ..nn import Encoder
from .bert import BERT, BERTConfig, mask_tokens
from .bodies import StaticEmbedding, TokenLSTM
from .characters import CharacterCNN
from .clip import CLIP, CLIPText, CLIPTextConfig
from .doc2vec import Doc2Vec, TaggedDocument
from .efficientnet import EfficientNet, EfficientNetConfig
from .fasttext import FastText
from .glove import GloVe
from .gpt import GPT, GPTConfig
from .item2vec import ItemToVec
from .language import LanguageModel
from .line import LINE
from .load import load
from .lstm import LSTMModel
from .negatives import logistic_loss, margin_loss
from .ngram import Bigram, NeuralNGram
from .node2vec import DeepWalk, Node2Vec, NodeModel
from .published import Preprocessing, load_bert, load_gpt, save_bert, save_gpt
from .recommend import BPR, MatrixFactorisation, Recommender
from .relations import ComplEx, DistMult, RotatE, TransE, TripleModel
from .resnet import ResNet, ResNetConfig
from .sentence import PairClassifier, SentenceEncoder
from .sif import sif
from .towers import Tower, TwoTowers
from .vgg import VGG, VGGConfig
from .vision import CNN, PictureModel, ViT, ViTConfig
from .word2vec import Word2Vec

__all__ = ["BERT", "BPR", "CLIP", "CNN", "GPT", "LINE", "VGG", "BERTConfig", "Bigram", "CLIPText", "CLIPTextConfig",
           "CharacterCNN", "ComplEx", "DeepWalk", "DistMult", "Doc2Vec", "EfficientNet", "EfficientNetConfig",
           "Encoder", "FastText", "GPTConfig", "GloVe", "ItemToVec", "LSTMModel", "LanguageModel",
           "MatrixFactorisation", "NeuralNGram", "Node2Vec", "NodeModel", "PairClassifier", "PictureModel",
           "Preprocessing", "Recommender", "ResNet", "ResNetConfig", "RotatE", "SentenceEncoder", "StaticEmbedding",
           "TaggedDocument", "TokenLSTM", "Tower", "TransE", "TripleModel", "TwoTowers", "VGGConfig", "ViT",
           "ViTConfig", "Word2Vec", "load", "load_bert", "load_gpt", "logistic_loss", "margin_loss", "mask_tokens",
           "save_bert", "save_gpt", "sif"]
