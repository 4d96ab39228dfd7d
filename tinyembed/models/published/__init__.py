"""Published weights, one architecture a file: names of tensors, configuration, conversion."""

from .bert import load_bert, save_bert
from .clip import load_clip
from .efficientnet import load_efficientnet
from .gpt import load_gpt, save_gpt
from .preprocessing import Preprocessing
from .resnet import load_resnet
from .sentence import read_sentence_encoder, write_sentence_encoder
from .token_table import PretrainedTable, load_table
from .vgg import load_vgg
from .vit import load_vit
from .weights import read_config

__all__ = ["Preprocessing", "PretrainedTable", "load_bert", "load_clip", "load_efficientnet", "load_gpt",
           "load_resnet", "load_table", "load_vgg", "load_vit", "read_config", "read_sentence_encoder", "save_bert",
           "save_gpt", "write_sentence_encoder"]
