"""Published weights: files laid out as their authors do, against models of plain torch.nn; and a real one."""

import json
import os

import numpy as np
import pytest
import recorded_minilm as recorded

import tinyembed as te
from tinyembed.files import FormatError, SafeTensors, write_safetensors
from tinyembed.models import BERT, GPT, BERTConfig, GPTConfig, load_bert, load_gpt, save_bert, save_gpt

V, T, L, H, D = 13, 6, 2, 2, 8
GPT_JSON = {"vocab_size": V, "n_positions": T, "n_layer": L, "n_head": H, "n_embd": D, "layer_norm_epsilon": 1e-05,
            "activation_function": "gelu_new", "model_type": "gpt2"}
BERT_JSON = {"vocab_size": V, "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": H,
             "intermediate_size": 12, "max_position_embeddings": T, "type_vocab_size": 2, "hidden_act": "gelu",
             "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "model_type": "bert"}
IDS = np.random.default_rng(0).integers(V, size=(3, T))
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def close(ours, theirs, dtype):
    tolerance = 1e-5 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def folder(path, tensors, config=None, **options):
    path.mkdir(exist_ok=True)
    write_safetensors(path / "model.safetensors", tensors, **options)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def drawn(shapes, dtype=np.float64):
    rng = np.random.default_rng(1)
    return {name: ((name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight", "Norm.weight")))
                   + rng.normal(size=shape) * 0.4).astype(dtype) for name, shape in shapes.items()}


# --------------------------------------------------------------------------------------------------------------- GPT-2


def gpt_weights(dtype=np.float64, bias=True):
    """As torch.nn.Linear has them, (out, in), under GPT-2's names."""
    shapes = {"wte.weight": (V, D), "wpe.weight": (T, D), "ln_f.weight": (D,), "ln_f.bias": (D,)}
    for i in range(L):
        for name, (n, m) in {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D), "mlp.c_fc": (D, 4 * D),
                             "mlp.c_proj": (4 * D, D)}.items():
            shapes |= {f"h.{i}.{name}.weight": (m, n), f"h.{i}.{name}.bias": (m,)}
        shapes |= {f"h.{i}.{name}.{part}": (D,) for name in ("ln_1", "ln_2") for part in ("weight", "bias")}
    return {name: x for name, x in drawn(shapes, dtype).items() if bias or not name.endswith("bias")}


def gpt_in_torch(torch, weights, approximate, head="wte.weight"):
    """GPT-2's forward of plain torch.nn.functional, all hidden states and the logits of IDS."""
    F, w = torch.nn.functional, {name: torch.tensor(x) for name, x in weights.items()}
    get = lambda name: w.get(name)

    def norm(x, name):
        return F.layer_norm(x, (D,), w[f"{name}.weight"], get(f"{name}.bias"))

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], get(f"{name}.bias"))

    x = w["wte.weight"][torch.tensor(IDS)] + w["wpe.weight"]
    states = [x]
    for i in range(L):
        q, k, v = (z.view(3, T, H, D // H).transpose(1, 2)
                   for z in linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(D, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(3, T, D)
        x = x + linear(y, f"h.{i}.attn.c_proj")
        h = F.gelu(linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"), approximate=approximate)
        x = x + linear(h, f"h.{i}.mlp.c_proj")
        states.append(x)
    states[-1] = norm(x, "ln_f")
    return states, states[-1] @ w[head].T


def as_hugging_face(weights, prefix="transformer."):
    """Conv1D has (in, out); the file has the causal masks besides."""
    turned = {prefix + name: np.ascontiguousarray(x.T) if ".c_" in name and x.ndim == 2 else x
              for name, x in weights.items()}
    return turned | {f"{prefix}h.{i}.attn.bias": np.tri(T, dtype=weights["wte.weight"].dtype)[None, None]
                     for i in range(L)}


@dtypes
@pytest.mark.parametrize("prefix", ["transformer.", ""])
@pytest.mark.parametrize(("activation", "approximate"), [("gelu_new", "tanh"), ("gelu", "none")])
def test_a_gpt_2_gives_torchs_hidden_states_and_logits(tmp_path, dtype, prefix, activation, approximate):
    torch = pytest.importorskip("torch")
    weights = gpt_weights(dtype)
    model = load_gpt(folder(tmp_path, as_hugging_face(weights, prefix), GPT_JSON | {"activation_function": activation}),
                     dtype=dtype)
    states, logits = gpt_in_torch(torch, weights, approximate)
    assert not model.training and model.config.tied and all(p.dtype == dtype for p in model.parameters())
    close(model(IDS), logits, dtype)
    for ours, theirs in zip(model.hidden_states(IDS), states, strict=True):
        close(ours, theirs, dtype)


@dtypes
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_a_nanogpt_gives_torchs_logits(tmp_path, dtype, bias, prefix):
    torch = pytest.importorskip("torch")
    weights = gpt_weights(dtype, bias)
    names = {f"{prefix}transformer.{name}": x for name, x in weights.items()}
    names[f"{prefix}lm_head.weight"] = weights["wte.weight"]
    config = GPTConfig(V, T, L, H, D, bias=bias, activation="gelu", tied=False)
    model = load_gpt(folder(tmp_path, names) / "model.safetensors", config, dtype=dtype)
    assert model.config.tied and not config.tied  # ours is as it was
    close(model(IDS), gpt_in_torch(torch, weights, "none")[1], dtype)


def test_a_head_of_its_own_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    weights = gpt_weights()
    head = np.random.default_rng(2).normal(size=(V, D))
    model = load_gpt(folder(tmp_path, as_hugging_face(weights) | {"lm_head.weight": head}, GPT_JSON), dtype=np.float64)
    assert not model.config.tied
    close(model(IDS), gpt_in_torch(torch, weights | {"head": head}, "tanh", "head")[1], np.float64)


@dtypes
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu", "quick_gelu", "relu", "silu"])
def test_what_was_saved_is_read_to_the_byte(tmp_path, dtype, tied, activation):
    model = GPT(GPTConfig(V, T, L, H, D, 0.1, tied=tied, activation=activation), dtype=dtype)
    save_gpt(tmp_path, model)
    again = load_gpt(tmp_path, dtype=dtype)
    assert again.state_dict().keys() == model.state_dict().keys() and again.config.tied == tied
    assert all(x.tobytes() == again.state_dict()[name].tobytes() for name, x in model.state_dict().items())
    assert again(IDS).data.tobytes() == model.eval()(IDS).data.tobytes()
    files = [(tmp_path / name).read_bytes() for name in ("model.safetensors", "config.json")]
    save_gpt(tmp_path / "again", again)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == files[0]
    shape = SafeTensors(tmp_path).shape("transformer.h.0.attn.c_attn.weight")
    assert shape == (D, 3 * D) and json.loads(files[1])["architectures"] == ["GPT2LMHeadModel"]


def test_what_gpt_2_does_not_have_is_not_saved(tmp_path):
    for options in ({"position": "rotary"}, {"gated": True}, {"bias": False}):
        with pytest.raises(ValueError, match="learned positions, biases and no gates"):
            save_gpt(tmp_path, GPT(GPTConfig(V, T, L, H, D, **options)))


@pytest.mark.parametrize("code", ["BF16", "F16"])
def test_files_of_half_precision_load(tmp_path, code):
    tensors = as_hugging_face(gpt_weights(np.float32))
    exact = load_gpt(folder(tmp_path / "exact", tensors, GPT_JSON))
    if code == "F16":
        half = folder(tmp_path / "half", {name: x.astype(np.float16) for name, x in tensors.items()}, GPT_JSON)
    else:
        half = folder(tmp_path / "half", tensors, GPT_JSON, dtypes=dict.fromkeys(tensors, code))
    assert SafeTensors(half).dtype("transformer.wte.weight") == code
    model = load_gpt(half)
    for (name, p), q in zip(model.named_parameters(), exact.parameters()):
        assert p.dtype == np.float32
        np.testing.assert_allclose(p.data, q.data, rtol=2 ** -8 if code == "BF16" else 1e-3, atol=1e-6, err_msg=name)


# ---------------------------------------------------------------------------------------------------------------- BERT


def bert_weights(dtype=np.float64):
    """Those of torch's modules, and under BERT's names."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn, kind = torch.nn, {"dtype": torch.float64 if dtype is np.float64 else torch.float32}
    parts = nn.ModuleDict({
        "token": nn.Embedding(V, D, **kind), "position": nn.Embedding(T, D, **kind),
        "segment": nn.Embedding(2, D, **kind), "norm": nn.LayerNorm(D, 1e-12, **kind),
        "blocks": nn.ModuleList(nn.TransformerEncoderLayer(D, H, 12, 0.0, "gelu", 1e-12, batch_first=True, **kind)
                                for _ in range(L)),
        "transform": nn.Linear(D, D, **kind), "transform_norm": nn.LayerNorm(D, 1e-12, **kind),
        "head": nn.Linear(D, V, **kind)})
    with torch.no_grad():
        for p in parts.parameters():
            p += torch.randn(p.shape, **kind) * 0.2
    parts["head"].weight = parts["token"].weight
    names = {"embeddings.word_embeddings": "token", "embeddings.position_embeddings": "position",
             "embeddings.token_type_embeddings": "segment", "embeddings.LayerNorm": "norm",
             "cls.predictions.transform.dense": "transform", "cls.predictions.transform.LayerNorm": "transform_norm"}
    for i in range(L):
        names |= {f"encoder.layer.{i}.{theirs}": f"blocks.{i}.{ours}" for theirs, ours in {
            "attention.output.dense": "self_attn.out_proj", "attention.output.LayerNorm": "norm1",
            "intermediate.dense": "linear1", "output.dense": "linear2", "output.LayerNorm": "norm2"}.items()}
    state = {name: x.numpy() for name, x in parts.state_dict().items()}
    tensors = {f"{theirs}.{part}": state[f"{ours}.{part}"] for theirs, ours in names.items()
               for part in ("weight", "bias") if f"{ours}.{part}" in state}
    for i in range(L):
        for part in ("weight", "bias"):
            for word, x in zip(("query", "key", "value"), np.split(state[f"blocks.{i}.self_attn.in_proj_{part}"], 3)):
                tensors[f"encoder.layer.{i}.attention.self.{word}.{part}"] = x
    return parts, tensors | {"cls.predictions.bias": state["head.bias"]}


def bert_in_torch(parts, segments, real):
    import torch

    x = parts["token"](torch.tensor(IDS)) + parts["position"].weight + parts["segment"](torch.tensor(segments))
    states = [parts["norm"](x)]
    for block in parts["blocks"]:
        states.append(block(states[-1], src_key_padding_mask=torch.tensor(~real)))
    h = parts["transform_norm"](torch.nn.functional.gelu(parts["transform"](states[-1])))
    return states, parts["head"](h)


def old_names(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@dtypes
@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("rename", [str, old_names])
def test_a_bert_gives_torchs_hidden_states_and_logits(tmp_path, dtype, prefix, rename):
    parts, tensors = bert_weights(dtype)
    named = {rename(name if name.startswith("cls.") else prefix + name): x for name, x in tensors.items()}
    named["pooler.dense.weight"] = np.zeros((D, D))  # which nobody asks for
    model = load_bert(folder(tmp_path, named, BERT_JSON), dtype=dtype)
    segments, real = (IDS > 6).astype(int), np.arange(T) < np.array([[T], [4], [1]])
    states, logits = bert_in_torch(parts, segments, real)
    assert not model.training
    for ours, theirs in zip([*model.hidden_states(IDS, segments, real), model.logits(IDS, segments, real)],
                            [*states, logits], strict=True):
        close(ours, theirs, dtype)


@pytest.mark.parametrize(("save", "load", "twins"), [
    (lambda path: save_gpt(path, GPT(GPTConfig(V, T, L, H, D))), load_gpt,
     [lambda name: name.removeprefix("transformer."), lambda name: f"_orig_mod.{name}"]),
    (lambda path: save_bert(path, BERT(BERTConfig(V, D, L, H, 12, T))), load_bert,
     [lambda name: name.removeprefix("bert."), old_names])])
def test_two_tensors_for_one_place_are_refused(tmp_path, save, load, twins):
    """With and without what is put before names, by its first name and its own: which of them counts?"""
    save(tmp_path)
    file, tried = dict(SafeTensors(tmp_path)), 0
    for twin in twins:
        for name, x in file.items():
            if (other := twin(name)) != name:
                write_safetensors(tmp_path / "model.safetensors", {**file, other: x + 1})
                with pytest.raises(FormatError, match="as well") as refused:
                    load(tmp_path)
                assert repr(name) in str(refused.value) and repr(other) in str(refused.value)
                tried += 1
    assert tried > len(file)
    write_safetensors(tmp_path / "model.safetensors", file)
    load(tmp_path)


@pytest.mark.parametrize("save, make, grow", [
    (save_gpt, lambda: GPT(GPTConfig(V, T, L, H, D)), lambda model: model.position.table),
    *((save_bert, lambda: BERT(BERTConfig(V, D, L, H, 12, T)), grow) for grow in (
        lambda model: model.embed.token, lambda model: model.embed.position.table, lambda model: model.embed.segment))])
def test_what_could_not_be_read_is_not_saved(tmp_path, save, make, grow):
    """A table that has grown without the model."""
    model = make()
    save(tmp_path, model)
    before = (tmp_path / "model.safetensors").read_bytes()
    grow(model).grow(2)
    with pytest.raises(ValueError, match="rows: a vocabulary grows by model"):
        save(tmp_path, model)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_bert_without_a_head_loads_and_one_with_half_a_head_does_not(tmp_path):
    tensors = bert_weights()[1]
    bare = {name: x for name, x in tensors.items() if not name.startswith("cls.")}
    a, b = (load_bert(folder(tmp_path / name, x, BERT_JSON)) for name, x in (("a", tensors), ("b", bare)))
    assert np.array_equal(a(IDS).data, b(IDS).data) and np.isfinite(b.logits(IDS).data).all()
    del tensors["cls.predictions.bias"]
    with pytest.raises(FormatError, match=r"parameter bias \(13,\): the file has no weights"):
        load_bert(folder(tmp_path / "c", tensors, BERT_JSON))


@pytest.mark.skipif("TINYEMBED_MINILM" not in os.environ, reason="TINYEMBED_MINILM names no folder of all-MiniLM-L6-v2")
def test_the_published_minilm_gives_what_transformers_gives():
    model = load_bert(os.environ["TINYEMBED_MINILM"])
    states = [h.data for h in model.hidden_states(recorded.IDS, mask=recorded.REAL)]
    assert len(states) == 7
    for ours, theirs in zip(recorded.of_states(states), recorded.RECORDED, strict=True):
        for (first, last, norm), (their_first, their_last, their_norm) in zip(ours, theirs, strict=True):
            np.testing.assert_allclose([first, last], [their_first, their_last], atol=1e-5)
            assert norm == pytest.approx(their_norm, rel=1e-5)


# -------------------------------------------------------------------------------------------------- what is not a model


@pytest.mark.parametrize("position", ["rotary", "alibi"])
def test_a_context_without_a_table_costs_no_weights(tmp_path, position):
    """A million positions: no table of them is in the file, nor is one missed."""
    weights = as_hugging_face(gpt_weights())
    del weights["transformer.wpe.weight"]
    path = folder(tmp_path, weights, GPT_JSON)
    model = load_gpt(path, GPTConfig(V, 10**6, L, H, D, position=position))
    assert model(IDS).shape == (*np.shape(IDS), V)
    with pytest.raises(FormatError, match="the settings speak of a model of"):
        load_gpt(path, GPTConfig(V, 10**6, L, H, D))


LOADERS = {"gpt": (load_gpt, lambda: as_hugging_face(gpt_weights()), GPT_JSON),
           "bert": (load_bert, lambda: bert_weights()[1], BERT_JSON)}
each = pytest.mark.parametrize("kind", LOADERS)


@each
def test_each_missing_or_misshapen_tensor_is_named(tmp_path, kind):
    load, make, config = LOADERS[kind]
    whole = make()
    if kind == "gpt":
        whole["lm_head.weight"] = whole["transformer.wte.weight"]
    spare = ("attn.bias", "lm_head", "cls.", "ln_1.bias", "ln_2.bias", "ln_f.bias")
    needed = [name for name in whole if not any(part in name for part in spare)]
    for name in needed:
        rest = {other: x for other, x in whole.items() if other != name}
        with pytest.raises(FormatError, match=r"model\.safetensors, parameter .*the file has no weights for it"):
            load(folder(tmp_path, rest, config))
        for shape in ((2, 3), (D + 1,), ()):
            with pytest.raises(FormatError, match=r"parameter .*(it is .* in the file|no weights for it)"):
                load(folder(tmp_path, rest | {name: np.zeros(shape)}, config))


@each
@pytest.mark.parametrize("settings", [
    {"vocab_size": "13"}, {"vocab_size": 0}, {"vocab_size": True}, {"n_layer": -1, "num_hidden_layers": -1},
    {"n_embd": 7, "hidden_size": 7}, {"n_embd": None, "hidden_size": None}, {"n_head": 3, "num_attention_heads": 3},
    {"activation_function": "mish", "hidden_act": "mish"}, {"activation_function": [], "hidden_act": []},
    {"layer_norm_epsilon": 1e-3, "layer_norm_eps": "small"}, {"n_inner": 7, "intermediate_size": 1.5},
    {"scale_attn_by_inverse_layer_idx": True, "position_embedding_type": "relative_key"},
    {"scale_attn_weights": False, "hidden_dropout_prob": 2}])
def test_settings_that_cannot_be_are_a_format_error(tmp_path, kind, settings):
    load, make, config = LOADERS[kind]
    with pytest.raises(FormatError, match=r"config\.json|model\.safetensors"):
        load(folder(tmp_path, make(), config | settings))


@each
def test_a_folder_without_settings_or_weights_says_so(tmp_path, kind):
    load, make, _ = LOADERS[kind]
    with pytest.raises(FormatError, match=r"config\.json, the file: there is none"):
        load(folder(tmp_path, make()))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(FormatError, match="an object with the settings is expected"):
        load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FormatError, match=r"no \.safetensors file"):
        load(tmp_path)


def test_the_weights_alone_need_a_config(tmp_path):
    path = folder(tmp_path, as_hugging_face(gpt_weights())) / "model.safetensors"
    with pytest.raises(FormatError, match=r"load_gpt\(path, config=GPTConfig"):
        load_gpt(path)
    assert load_gpt(path, GPTConfig(V, T, L, H, D))(IDS).shape == (3, T, V)
    with pytest.raises(FormatError, match=r"parameter token\.weight \(14, 8\): it is \(13, 8\) in the file"):
        load_gpt(path, GPTConfig(V + 1, T, L, H, D))
    assert te.models.load_gpt is load_gpt
