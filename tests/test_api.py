"""The public names, and the promises that users, examples and benchmarks rely on."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import tinyembed as te

TOP = ["OPS", "GradientError", "KinkError", "Parameter", "RowGrad", "Tensor", "check_gradients", "data", "debug_nan",
       "explain_lookup", "files", "load_table", "models", "nn", "no_grad", "ops", "optim", "param_count",
       "primitive", "seed", "text", "train", "vectors"]
ROOMS = {
    "nn": ["GELU", "GRU", "LSTM", "MLP", "ALiBi", "AdaptiveAvgPool2d", "AvgPool2d", "BERTEmbedding", "BatchNorm1d",
           "BatchNorm2d", "Conv1d", "Conv2d", "Dropout", "Embedding", "EmbeddingBag", "Encoder", "Features", "Flatten",
           "GPTEmbedding", "LayerNorm", "LearnedPositionalEmbedding", "Linear", "MaxPool2d", "Module", "ModuleList",
           "MultiHeadAttention", "Parameter", "RMSNorm", "ReLU", "RelativePositionBias", "RotaryEmbedding",
           "Sequential", "SinusoidalPositionalEncoding", "TransformerBlock", "init"],
    "optim": ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop", "clip_grad_norm", "clip_grad_value", "constant", "cosine",
              "inverse_sqrt", "step_decay"],
    "data": ["SHAPE_ATTRIBUTES", "BasketBatches", "Batches", "Drawings", "Facts", "Graph", "NextTokenBatches",
             "Pictures", "Planted", "SentenceIds", "WindowBatches", "Windows", "as_graph", "digits_or_letters",
             "drawn_shapes", "entailment_pairs", "import_graph", "karate_club", "letters", "library_triples",
             "number_triples", "picture_folder", "planted_corpus", "planted_tastes", "python_docs", "random_walks",
             "shape_caption", "shape_combinations", "similar_pairs", "split_documents", "split_triples"],
    "text": ["ByteLevelBPE", "CharacterTokenizer", "LineSentences", "SentencePieceBPE", "Tokenizer", "Vocabulary",
             "WordPiece", "WordTokenizer", "detokenise", "keep_probabilities", "load_tokenizer", "noise_distribution",
             "pad", "simple_preprocess", "spaced", "words_and_punctuation", "words_of"],
    "models": ["BERT", "BPR", "CLIP", "CNN", "GPT", "LINE", "VGG", "BERTConfig", "Bigram", "CLIPText",
               "CLIPTextConfig", "CharacterCNN", "ComplEx", "DeepWalk", "DistMult", "Doc2Vec", "EfficientNet",
               "EfficientNetConfig", "FastText", "GPTConfig", "GloVe", "ItemToVec", "LSTMModel", "LanguageModel",
               "MatrixFactorisation", "NeuralNGram", "Node2Vec", "NodeModel", "PictureModel", "Preprocessing",
               "ResNet", "ResNetConfig", "RotatE", "Tower", "TransE", "TripleModel", "TwoTowers", "VGGConfig", "ViT",
               "ViTConfig", "Word2Vec", "load", "load_bert", "load_gpt", "logistic_loss", "margin_loss", "mask_tokens",
               "save_gpt"],
    "files": ["FastTextFile", "FileReference", "FormatError", "SafeTensors", "atomic_write", "check_tree",
              "finish_save", "read_fasttext", "read_tree", "read_word2vec", "sparse_safetensors", "write_projector",
              "write_safetensors", "write_together", "write_tree", "write_word2vec"],
    "vectors": ["FrequentLinks", "ItemCosine", "ItemMean", "KeyedVectors", "NodeVectors", "Popularity", "SearchIndex",
                "UnknownKey", "edge_vectors", "evaluate_classifier", "evaluate_clusters", "evaluate_links",
                "evaluate_recommendations", "evaluate_retrieval", "evaluate_word_analogies", "evaluate_word_pairs",
                "fuse_ranks", "kmeans", "link_ranks", "nearest", "pca", "pearson", "retrieval_scores", "row_norms",
                "semantic_search", "spearman"],
    "train": ["Group", "History", "evaluate", "fit", "launch", "load_checkpoint", "save_checkpoint"],
    "ops": ["abs", "adaptive_avg_pool2d", "add", "attention", "avg_pool2d", "batch_norm", "bce_with_logits",
            "broadcast_to", "cdist", "clip", "complex_multiply", "concatenate", "conv1d", "conv2d", "cos",
            "cosine_similarity", "cross_entropy", "cumsum", "divide", "dropout", "einsum", "embedding", "embedding_bag",
            "exp", "expand_dims", "expm1", "flip", "gelu", "getitem", "gru", "l2_normalise", "layer_norm", "log",
            "log1p", "log_sigmoid", "log_softmax", "logsumexp", "lstm", "matmul", "max", "max_pool2d", "maximum",
            "mean", "min", "minimum", "mse", "multiply", "negative", "pad", "power", "prod", "project_rows", "relu",
            "reshape", "rms_norm", "rotate", "sigmoid", "sign", "silu", "sin", "softmax", "softplus", "split", "sqrt",
            "squeeze", "stack", "subtract", "sum", "swapaxes", "take_along_axis", "tanh", "transpose", "var", "vecdot",
            "where"],
}


def fresh(code, *options):
    """Run code in a new interpreter; its output."""
    run = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_names_at_the_top():
    assert sorted(te.__all__) == sorted(TOP)
    assert dir(te) == sorted(TOP)
    for name in TOP:
        assert getattr(te, name) is not None
    with pytest.raises(AttributeError, match="word2vec"):
        te.word2vec  # noqa: B018


@pytest.mark.parametrize("room", ROOMS)
def test_the_names_in_each_room(room):
    for name in ROOMS[room]:
        assert hasattr(getattr(te, room), name), f"te.{room}.{name}"


@pytest.mark.parametrize("room", [te.nn, te.optim, te.data, te.text, te.files, te.vectors, te.ops])
def test_every_public_thing_has_a_docstring(room):
    for name in room.__all__:
        assert inspect.getdoc(getattr(room, name)), f"{room.__name__}.{name}"


def test_an_op_in_the_registry_is_the_op_in_ops():
    ours = [name for name, op in te.OPS.items() if op.__module__.startswith("tinyembed.")]
    assert ours
    for name in ours:
        assert getattr(te.ops, name) is te.OPS[name]


def test_signatures_that_the_contract_spells_out():
    parameters = {name: list(inspect.signature(getattr(te.ops, name)).parameters) for name in te.ops.__all__}
    assert parameters["sum"] == ["x", "axis", "keepdims"]
    assert parameters["conv2d"] == ["x", "W", "b", "stride", "padding", "dilation", "groups"]
    assert parameters["max_pool2d"] == ["x", "kernel_size", "stride", "padding"]
    assert parameters["reshape"] == ["x", "shape"]
    assert parameters["concatenate"] == ["xs", "axis"]
    assert parameters["embedding"] == ["W", "ids", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq",
                                       "sparse"]
    assert parameters["cross_entropy"] == ["logits", "targets", "ignore_index", "label_smoothing", "reduction",
                                           "weight"]
    defaults = inspect.signature(te.ops.cross_entropy).parameters
    assert [p.default for p in defaults.values()][2:] == [-100, 0.0, "mean", None]


def test_constants_by_position_or_by_name():
    x = te.Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    for by_position, by_name in [(te.ops.sum(x, 1, True), te.ops.sum(x, axis=1, keepdims=True)),
                                 (te.ops.concatenate([x, x], 1), te.ops.concatenate([x, x], axis=1))]:
        np.testing.assert_array_equal(by_position.data, by_name.data)


def test_the_rooms_load_on_first_use():
    lazy = ["data", "gradcheck", "nn", "optim", "text", "train", "vectors"]
    loaded = fresh("import sys, tinyembed; print(*sys.modules)").split()
    assert "tinyembed.core" in loaded and "tinyembed.ops" in loaded
    assert not [room for room in lazy if f"tinyembed.{room}" in loaded]
    assert "tinyembed.nn" in fresh("import sys, tinyembed as te; te.nn; print(*sys.modules)").split()


def test_everything_imports_with_numpy_alone():
    code = """
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'torch', 'gensim', 'scipy', 'sklearn', 'matplotlib', 'tqdm', 'networkx', 'pandas'}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import tinyembed
for module in pkgutil.walk_packages(tinyembed.__path__, 'tinyembed.'):
    importlib.import_module(module.name)
print('ok')"""
    assert fresh(code).strip() == "ok"


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed():
    code = """
import hashlib, numpy as np, tinyembed as te
te.seed(3)
model = te.nn.GPTEmbedding(50, 8, 10, dropout=0.1)
adam = te.optim.Adam(model.parameters())
for _ in range(5):
    model.zero_grad()
    (model([[1, 2, 3]]) ** 2).mean().backward()
    adam.step()
print(hashlib.sha256(b''.join(p.data.tobytes() for p in model.parameters())).hexdigest())"""
    import os
    outputs = set()
    for seed in ("0", "1"):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                             env={**os.environ, "PYTHONHASHSEED": seed})
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
    assert len(outputs) == 1


def test_numpys_global_random_state_is_never_touched():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    te.seed(1)
    model = te.nn.Sequential(te.nn.Linear(3, 3), te.nn.Dropout(0.5))
    model(np.ones((2, 3), np.float32)).sum().backward()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
