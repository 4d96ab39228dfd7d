"""Laws of CLIP: two towers, one loss, captions as classes; and published ones, beside transformers.

(test_clip.py is about clipping gradients.)
"""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_clip_tokenizer import CLIP as TOKENS
from test_clip_tokenizer import END, LANGUAGES, START

import tinyembed as te
from tinyembed.files import FormatError, write_safetensors
from tinyembed.models import CLIP, CLIPText, CLIPTextConfig, SentenceEncoder, StaticEmbedding, ViT, ViTConfig
from tinyembed.models.published import load_clip
from tinyembed.nn import EmbeddingBag, Module
from tinyembed.text import Vocabulary, WordTokenizer

WORDS = "red green blue circle square end".split()
TEXTS = ["red circle", "blue", "red circle", "green square red", "square", "blue", "blue"]
PICTURES = np.random.default_rng(3).normal(size=(len(TEXTS), 3, 4, 4)).astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def words():
    vocabulary = Vocabulary.build([WORDS])
    return WordTokenizer(vocabulary, special_tokens=["end"], frame=([("A", 0), ("end", 0)], [("A", 0), ("B", 0)]))


def small(dtype=np.float32, **options):
    """Both towers as in the paper, as small as can be."""
    tokenizer = words()
    text = CLIPTextConfig(len(tokenizer), 4, 6, 1, 2, 8, eos_token_id=tokenizer.index["end"])
    image = ViTConfig(4, 1, 2, 6, "quick_gelu", image_size=4, patch_size=2, patch_bias=False, pre_norm=True)
    body = CLIPText(text, rng=rng(2), dtype=dtype)
    return CLIP(ViT(image, rng=rng(1), dtype=dtype), SentenceEncoder(tokenizer, body), 5, rng=rng(4), dtype=dtype,
                **options)


MODEL = small().eval()


# -- the loss --------------------------------------------------------------------------------------------------------


def slow_loss(x, y, texts, scale):
    """Each picture chooses among the captions, each caption among the pictures; what is as right does not count."""
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    total = 0.0
    for a, b in ((x, y), (y, x)):
        for i in range(len(texts)):
            rivals = [j for j in range(len(texts)) if j == i or texts[j] != texts[i]]
            scores = {j: scale * float(a[i] @ b[j]) for j in rivals}
            total += math.log(sum(math.exp(s) for s in scores.values())) - scores[i]
    return total / len(texts) / 2


@given(chosen=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=7), temperature=st.floats(0.05, 5))
def test_the_loss_is_the_mean_of_both_choices_without_equal_captions(chosen, temperature):
    model, texts = small(np.float64, temperature=temperature), [TEXTS[i] for i in chosen]
    pictures = PICTURES[chosen].astype(np.float64)
    expected = slow_loss(model.encode_image(pictures), model.encode_text(texts), texts, 1 / temperature)
    assert model.loss(pictures, texts).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert model.eval().loss(list(pictures), texts).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_equal_captions_alone_leave_no_wrong_answer():
    assert MODEL.loss(PICTURES[:3], ["red"] * 3).item() == 0 < MODEL.loss(PICTURES[:3], ["red", "red", "blue"]).item()


class WithLoss(Module):
    def __init__(self, model):
        self.model = model

    def forward(self, pictures, texts):
        return self.model.loss(pictures, texts)


def test_gradients_of_towers_projections_and_temperature():
    model = WithLoss(small(np.float64))
    te.check_gradients(model, PICTURES.astype(np.float64), TEXTS)
    model.model.loss(PICTURES.astype(np.float64), TEXTS).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_scale_is_clipped_in_training_and_can_come_down():
    model = small()
    model.logit_scale.data = np.float32(5.0)
    assert model.eval().loss(PICTURES, TEXTS).item() == pytest.approx(
        slow_loss(model.encode_image(PICTURES), model.encode_text(TEXTS), TEXTS, math.exp(5)), rel=1e-4)
    assert model.logit_scale.item() == 5.0  # in eval mode it is what it is
    loss = model.train().loss(PICTURES, TEXTS)
    assert math.exp(model.logit_scale.item()) == pytest.approx(100, rel=1e-6)
    assert loss.item() == pytest.approx(
        slow_loss(model.encode_image(PICTURES), model.encode_text(TEXTS), TEXTS, 100), rel=1e-4)
    loss.backward()
    assert model.logit_scale.grad > 0.1  # random vectors are sure of wrong answers: less scale is less loss
    te.optim.SGD([model.logit_scale], lr=0.1).step()
    below = model.logit_scale.item()
    model.loss(PICTURES, TEXTS)
    assert model.logit_scale.item() == below < math.log(100)


def test_it_learns_to_name_new_pictures():
    colours, halves = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}, {"circle": 0, "square": 1}
    labels = [f"{colour} {half}" for colour in colours for half in halves]

    def drawn(n, rng):
        captions = [labels[i] for i in rng.integers(len(labels), size=n)]
        x = 0.2 * rng.standard_normal((n, 3, 4, 4))
        for picture, caption in zip(x, captions):
            colour, half = caption.split()
            picture[:, 2 * halves[half]:2 * halves[half] + 2] += np.array(colours[colour])[:, None, None]
        return x.astype(np.float32), captions

    text = SentenceEncoder(words(), StaticEmbedding(EmbeddingBag(8, 16, rng=rng(1))))
    model = CLIP(ViT(ViTConfig(16, 1, 2, 32, image_size=4, patch_size=2), rng=rng(2)), text, 8, rng=rng(3))
    x, captions = drawn(90, rng(6))
    before = np.mean(model.classify(x, labels, "{}").argmax(1) == [labels.index(caption) for caption in captions])
    batches = te.data.Batches(drawn(256, rng(4)), 32, rng(5))
    history = te.train.fit(model, batches, te.optim.Adam(model.parameters(), lr=0.02), epochs=6, every=8,
                           progress=False)
    after = np.mean(model.classify(x, labels, "{}").argmax(1) == [labels.index(caption) for caption in captions])
    assert history.train[-1][1] < 0.1 < history.train[0][1] and before < 0.5 and after > 0.95


# -- vectors ---------------------------------------------------------------------------------------------------------

ITEMS = [*TEXTS, *PICTURES]
ALONE = np.array([MODEL.encode(item) for item in ITEMS])


@given(order=st.permutations(range(len(ITEMS))), size=st.integers(1, 9), count=st.integers(0, len(ITEMS)))
def test_items_of_both_kinds_have_the_vectors_of_their_towers(order, size, count):
    together = MODEL.encode((ITEMS[i] for i in order[:count]), batch_size=size)
    assert together.shape == (count, MODEL.dim)
    np.testing.assert_allclose(together, ALONE[order[:count]], atol=1e-6)


def test_each_kind_by_its_name_with_all_options():
    np.testing.assert_allclose(MODEL.encode_text(TEXTS), ALONE[:7], atol=1e-6)
    np.testing.assert_allclose(MODEL.encode_image(PICTURES, batch_size=2), ALONE[7:], atol=1e-6)
    unit = MODEL.encode_text(TEXTS, normalize_embeddings=True, truncate_dim=3)
    np.testing.assert_allclose(unit, ALONE[:7, :3] / np.linalg.norm(ALONE[:7, :3], axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(MODEL.encode_text("circle", prompt="red "), MODEL.encode_text("red circle"))
    scores = MODEL.similarity(ALONE[7:], ALONE[:7])
    np.testing.assert_allclose(MODEL(PICTURES, TEXTS).data, scores / 0.07, rtol=1e-4)
    np.testing.assert_allclose(MODEL.similarity(ALONE[8], ALONE[:7]), scores[1:2], rtol=1e-6)
    assert not MODEL.similarity(np.zeros(5), ALONE[:2]).any()


def test_the_features_of_a_tower_are_what_its_modules_give():
    states = MODEL.image.encoder.hidden_states(PICTURES)[-1].data
    found = MODEL.image.features("encoder.norm", pool="cls").encode(PICTURES)
    np.testing.assert_allclose(found, states[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(MODEL.text.features("projection").encode(TEXTS), ALONE[:7], atol=1e-6)


def test_labels_are_captions():
    labels = ["red", "green", "blue"]
    scores = MODEL(PICTURES, [f"{label} circle" for label in labels]).data
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(MODEL.classify(PICTURES, labels, "{} circle"), p, rtol=1e-4)
    np.testing.assert_allclose(MODEL.classify(PICTURES[2], labels, "{} circle"), p[2], rtol=1e-4)
    two = ["{} circle", "square {}"]
    each = [MODEL.label_vectors(labels, template) for template in two]
    mean = np.mean(each, 0) / np.linalg.norm(np.mean(each, 0), axis=1, keepdims=True)
    np.testing.assert_allclose(MODEL.label_vectors(labels, two), mean, rtol=1e-5)


def test_what_is_refused():
    for call, error, message in [
        (lambda: CLIP(te.nn.Linear(3, 4), MODEL.text.encoder), TypeError, "a tower is an Encoder, .* not a Linear"),
        (lambda: small(temperature=0.001), ValueError, "the temperature is 0.01 or more"),
        (lambda: MODEL.loss(PICTURES, TEXTS[:2]), ValueError, "got 7 pictures and 2 captions"),
        (lambda: MODEL.loss([], []), ValueError, "got 0 pictures"),
        (lambda: MODEL.classify(PICTURES, "red"), ValueError, "a list of labels"),
        (lambda: MODEL.classify(PICTURES, [3, 4]), ValueError, r"labels, which are texts, .* not \[3, 4\]"),
        (lambda: MODEL.features("image.encoder.norm").encode(PICTURES), TypeError, "take the features of one"),
        (lambda: MODEL.classify(PICTURES, ["red"], "a photo"), ValueError, "templates with {} where"),
        (lambda: MODEL.vectors("red"), TypeError, "several items, not one"),
        (lambda: MODEL.encode([3]), ValueError, "picture 0 is ()"),
        (lambda: MODEL.encode_image(PICTURES, prompt="a "), TypeError, "pictures have none"),
    ]:
        with pytest.raises(error, match=message):
            call()


# -- the text tower --------------------------------------------------------------------------------------------------


@given(ids=st.lists(st.integers(0, 8), max_size=5), behind=st.lists(st.integers(0, 9), max_size=4))
def test_what_stands_behind_the_end_changes_nothing(ids, behind):
    body = CLIPText(CLIPTextConfig(10, 4, 6, 2, 2, 10, eos_token_id=9), rng=rng()).eval()
    text = [*ids, 9]
    np.testing.assert_allclose(body([text + behind]).data, body([text]).data, atol=1e-6)
    np.testing.assert_array_equal(body([text]).data, body.hidden_states([text])[-1].data[:, -1])
    largest = CLIPText(CLIPTextConfig(10, 4, 6, 2, 2, 10, eos_token_id=None), rng=rng()).eval()
    np.testing.assert_array_equal(largest([text + behind]).data, body([text + behind]).data)


def test_a_text_without_an_end_has_its_last_real_token():
    body = CLIPText(CLIPTextConfig(10, 4, 6, 1, 2, 10, eos_token_id=9), rng=rng()).eval()
    y = body([[3, 4, 5]])
    np.testing.assert_array_equal(y.data, body.hidden_states([[3, 4, 5]])[-1].data[:, 2])
    np.testing.assert_allclose(body([[3, 4, 5, 0, 0]], [[True] * 3 + [False] * 2]).data, y.data, atol=1e-6)


# -- published ones --------------------------------------------------------------------------------------------------

CONFIG = {
    "model_type": "clip", "projection_dim": 6, "logit_scale_init_value": 2.6592,
    "text_config": {"vocab_size": len(TOKENS), "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 24, "eos_token_id": TOKENS.index[END],
                    "top_k": 50, "is_decoder": False, "attention_dropout": 0.0},
    "vision_config": {"hidden_size": 10, "intermediate_size": 14, "num_hidden_layers": 1, "num_attention_heads": 5,
                      "image_size": 6, "patch_size": 3}}
NAMES = [("image.encoder.patches", "vision_model.embeddings.patch_embedding"),
         ("image.encoder.pre_norm", "vision_model.pre_layrnorm"), ("image.encoder.norm", "vision_model.post_layernorm"),
         ("image.encoder.class_token", "vision_model.embeddings.class_embedding"),
         ("text.encoder.body.token", "text_model.embeddings.token_embedding"),
         ("text.encoder.body.norm", "text_model.final_layer_norm"), ("image.projection", "visual_projection"),
         ("text.projection", "text_projection"), ("image.encoder", "vision_model"), ("text.encoder.body", "text_model"),
         ("position.table", "embeddings.position_embedding"), (".blocks", ".encoder.layers"),
         ("attention.out_proj", "self_attn.out_proj"), ("norm1", "layer_norm1"), ("norm2", "layer_norm2"),
         ("linear1", "fc1"), ("linear2", "fc2")]


def theirs(model):
    """The tensors of a model under the names of the published."""
    tensors = {}
    for name, p in model.named_parameters():
        x, layer = p.data, name.split("attention.in_proj_")[0].replace("blocks", "encoder.layers")
        if "in_proj" in name:
            layer = layer.replace("image.encoder", "vision_model").replace("text.encoder.body", "text_model")
            for word, part in zip("qkv", np.split(x, 3)):
                tensors[f"{layer}self_attn.{word}_proj.{name.split('_')[-1]}"] = part
            continue
        for ours, their in NAMES:
            name = name.replace(ours, their)
        tensors[name] = x.reshape(-1, 3, 3, 3) if "patch_embedding" in name else x
    return tensors


def made(dtype=np.float32):
    """A model of CONFIG's sizes."""
    text, image = CONFIG["text_config"], CONFIG["vision_config"]
    config = CLIPTextConfig(*list(text.values())[:3], 2, 2, 24, eos_token_id=text["eos_token_id"])
    tower = ViTConfig(10, 1, 5, 14, "quick_gelu", image_size=image["image_size"], patch_size=3, patch_bias=False,
                      pre_norm=True, layer_norm_eps=1e-5)
    return CLIP(ViT(tower, rng=rng(5), dtype=dtype),
                SentenceEncoder(TOKENS, CLIPText(config, rng=rng(6), dtype=dtype), max_length=24), 6, rng=rng(7),
                dtype=dtype).eval()


def changed(place, path, value):
    place = top = copy.deepcopy(place)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return top


def folder(path, config=CONFIG, tensors=None):
    (path / "config.json").write_text(json.dumps(config))
    write_safetensors(path / "model.safetensors", theirs(made()) if tensors is None else tensors)
    TOKENS.save(path)
    return path


X = rng(8).normal(size=(3, 3, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("config", [
    CONFIG, changed(CONFIG, ["text_config", "eos_token_id"], 2),
    # as in clip-vit-large-patch14: what stands in text_config_dict counts, and the defaults where it says nothing
    CONFIG | {"text_config": {"hidden_size": 99, "eos_token_id": 2}, "text_config_dict": CONFIG["text_config"]}])
def test_a_folder_gives_the_model_it_was_written_of(tmp_path, config):
    model, ours = te.models.load(folder(tmp_path, config)), made()
    assert not model.training and model.text.encoder.max_length == 24
    assert {name: p.data.tobytes() for name, p in model.named_parameters()} == {
        name: p.data.tobytes() for name, p in ours.named_parameters()}
    texts = [text for text in LANGUAGES if len(TOKENS.encode(text)) <= 24]
    assert len(texts) > 3
    np.testing.assert_array_equal(model(X, texts).data, ours(X, texts).data)
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 24 tokens"):
        cut = model.encode_text([LANGUAGES[1], "a"])
    np.testing.assert_allclose(cut[0], ours.text(np.array([TOKENS.encode(LANGUAGES[1], max_length=24)]), None).data[0],
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("path", "value", "message"), [
    (["projection_dim"], 0, "projection_dim: a size is expected"), (["new"], 3, "new = 3 cannot be followed"),
    (["text_config"], 3, "text_config: an object"), (["text_config", "new"], "x", "new = 'x' cannot be followed"),
    (["text_config", "hidden_act"], "mish", "text_config: a tower with a hidden_act of"),
    (["text_config", "hidden_size"], 7, "hidden_size is no multiple of num_attention_heads"),
    (["text_config", "eos_token_id"], 3, "eos_token_id: 3, and the tokeniser does not put it behind a text"),
    (["text_config", "eos_token_id"], [2], "eos_token_id is one id below"),
    (["text_config", "eos_token_id"], 10**6, "eos_token_id is one id below"),
    (["text_config", "vocab_size"], len(TOKENS) - 1, "(eos_token_id is one id|the tokeniser has)"),
    (["text_config", "is_decoder"], True, "is_decoder = True cannot be followed"),
    (["vision_config", "layer_norm_eps"], 2, "vision_config: .*layer_norm_eps 2"),
    (["vision_config", "image_size"], 7, "7 x 7 is not cut into patches of 3 x 3"),
    (["vision_config", "patch_size"], [3, 3], r"patch_size \[3, 3\]"),
    (["vision_config", "num_channels"], 1, r"patches.weight \(10, 9\): it is \(10, 3, 3, 3\)"),
    (["text_config", "max_position_embeddings"], 10**9, "the settings speak of a model of"),
    (["text_config", "num_hidden_layers"], 10**5, "or more in 100,001 layers"),
    (["vision_config", "num_hidden_layers"], 10**5, "or more in 100,002 layers"),
    (["text_config", "max_position_embeddings"], 2, "2, which leaves no room for a text"),
])
def test_settings_that_cannot_be_followed_are_refused_by_name(tmp_path, path, value, message):
    with pytest.raises(FormatError, match=message):
        load_clip(folder(tmp_path, changed(CONFIG, path, value)))


def test_settings_of_classes_that_a_clip_has_not_change_nothing(tmp_path):
    ours, named = made(), load_clip(folder(tmp_path, CONFIG | {"id2label": {"0": "cat", "1": "dog"}}))
    np.testing.assert_array_equal(named(X, ["a"] * 2).data, ours(X, ["a"] * 2).data)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 2}))
    with pytest.raises(FormatError, match="2, which leaves no room for a text"):
        load_clip(tmp_path)


def test_tensors_that_are_missing_or_of_no_part_are_named(tmp_path):
    whole = theirs(made())
    for name in list(whole)[::3]:
        rest = {other: x for other, x in whole.items() if other != name}
        with pytest.raises(FormatError, match=r"parameter .*the file has no weights for it"):
            load_clip(folder(tmp_path, tensors=rest))
    with pytest.raises(FormatError, match=r"classifier\.weight.*no place for it"):
        load_clip(folder(tmp_path, tensors=whole | {"classifier.weight": np.zeros((2, 2))}))
    load_clip(folder(tmp_path, tensors=whole | {"text_model.embeddings.position_ids": np.arange(24)[None]}))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"none of tokenizer\.json"):
        load_clip(tmp_path)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("eos", [TOKENS.index[END], 2])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_peers_vectors_and_scores(tmp_path, monkeypatch, dtype, atol, eos, activation):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    peer, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    parts = {name: {key: x for key, x in part.items() if key != "top_k"} | {"hidden_act": activation}
             for name, part in CONFIG.items() if name.endswith("config")}
    parts["text_config"] |= {"eos_token_id": eos, "bos_token_id": TOKENS.index[START]}
    model = peer.CLIPModel(peer.CLIPConfig(**parts, projection_dim=6)).eval().to(getattr(torch, dtype))
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn_like(p)
    model.save_pretrained(tmp_path)
    tokenizer = peer.CLIPTokenizer(vocab=TOKENS.index, merges=TOKENS.merges, model_max_length=24)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(
        {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 6}, "crop_size": 6}))
    ours, texts = te.models.load(tmp_path, dtype=dtype), [line for line in LANGUAGES if len(TOKENS.encode(line)) < 30]
    ids = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    assert ids["input_ids"].shape[1] == 24 and len(texts) > 9
    with torch.no_grad():
        out = model(**ids, pixel_values=torch.tensor(X.astype(dtype)))
        raw = model.get_text_features(**ids)
    with pytest.warns(UserWarning, match="more than 24 tokens"):
        close = {"text_embeds": ours.encode_text(texts, normalize_embeddings=True),
                 "image_embeds": ours.encode_image(X.astype(dtype), normalize_embeddings=True),
                 "logits_per_image": ours(X.astype(dtype), texts).data}
        features = ours.encode_text(texts)
    for name, y in close.items():
        assert y.dtype == dtype
        np.testing.assert_allclose(y, out[name].numpy(), rtol=atol, atol=atol, err_msg=name)
    assert ours.preprocessing(np.zeros((9, 20, 3), np.uint8)).shape == (1, 3, 6, 6)
    np.testing.assert_allclose(features, getattr(raw, "pooler_output", raw).numpy(), rtol=atol, atol=atol)
