"""Published models of pictures: folders as Hugging Face writes them, files as torchvision does; what is no model."""

import json

import numpy as np
import pytest
import recorded_vision as recorded

import tinyembed as te
from tinyembed.files import FormatError, SafeTensors, write_safetensors
from tinyembed.models import (
    BERT,
    GPT,
    BERTConfig,
    GPTConfig,
    SentenceEncoder,
    ViT,
    load,
    published,
    save_bert,
    save_gpt,
)
from tinyembed.models.published.preprocessing import cropped, resized
from tinyembed.models.vgg import DEPTHS

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each = pytest.mark.parametrize("kind", recorded.MODELS)


def close(ours, theirs, dtype):
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    ours, theirs = (getattr(x, "data", x) if isinstance(x, te.Tensor) else x.detach().numpy() for x in (ours, theirs))
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def folder(path, kind, tensors=None, config=None, settings=None):
    """A folder of one of the recorded models, with other tensors, or settings changed."""
    _, usual, shapes = recorded.MODELS[kind]
    path.mkdir(exist_ok=True)
    write_safetensors(path / "model.safetensors", recorded.weights(shapes) if tensors is None else tensors)
    (path / "config.json").write_text(json.dumps({"model_type": kind, **usual, **(config or {})}))
    if settings is not None:
        (path / "preprocessor_config.json").write_text(json.dumps(settings))
    return path


# -- equal to others ---------------------------------------------------------------------------------------------------


@each
def test_a_written_folder_gives_the_recorded_scores(tmp_path, kind):
    model = load(folder(tmp_path, kind))
    assert type(model).__name__ in recorded.MODELS[kind][0] and not model.training
    assert model.labels == ["cat", "dog", "tree"] and model.preprocessing is None
    np.testing.assert_allclose(model.logits(recorded.pictures()).data, recorded.RECORDED[kind], rtol=1e-4, atol=2e-5)


FAMILIES = {  # name: (class in transformers, settings, height and width)
    "ViT": ("ViTForImageClassification", {
        "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
        "image_size": 12, "patch_size": 4, "num_labels": 5}, (12, 12)),
    "ViT with a pooler": ("ViTModel", {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
        "image_size": [12, 8], "patch_size": [4, 2], "pooler_output_size": 10, "qkv_bias": False, "num_channels": 1,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-3}, (12, 8)),
    "ViT that fills in": ("ViTForMaskedImageModeling", {
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "image_size": 8,
        "patch_size": 4, "encoder_stride": 4}, (8, 8)),
    "ResNet": ("ResNetForImageClassification", {
        "embedding_size": 8, "hidden_sizes": [8, 16, 24], "depths": [2, 1, 2], "num_labels": 5}, (37, 45)),
    "ResNet, basic": ("ResNetModel", {
        "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic", "hidden_act": "gelu"},
        (33, 20)),
    "ResNet, other strides": ("ResNetForImageClassification", {
        "num_channels": 1, "embedding_size": 4, "hidden_sizes": [8, 16], "depths": [1, 2], "num_labels": 2,
        "downsample_in_first_stage": True, "downsample_in_bottleneck": True}, (37, 45)),
    "EfficientNet": ("EfficientNetForImageClassification", {
        "width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320, "num_labels": 5,
        "in_channels": [32, 16, 24], "out_channels": [16, 24, 40], "kernel_sizes": [3, 3, 5], "strides": [1, 2, 2],
        "num_block_repeats": [1, 3, 2], "expand_ratios": [1, 6, 4]}, (37, 45)),
    "EfficientNet, other settings": ("EfficientNetModel", {
        "width_coefficient": 0.13, "depth_coefficient": 1.1, "hidden_dim": 168, "depthwise_padding": [1],
        "in_channels": [32, 16, 24], "out_channels": [16, 24, 40], "kernel_sizes": [3, 5, 3], "strides": [2, 2, 2],
        "num_block_repeats": [1, 2, 1], "expand_ratios": [1, 2, 6],
        "pooling_type": "max", "depth_divisor": 4, "squeeze_expansion_ratio": 0.4, "hidden_act": "gelu",
        "batch_norm_eps": 0.01}, (34, 33))}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """(folder, transformers' model of random weights in float64, pictures, all that it says of them)"""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    name, settings, size = FAMILIES[request.param]
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**settings)).double().eval()
    with torch.no_grad():
        for x in model.parameters():
            x += torch.randn_like(x) * 0.2
        for key, x in model.named_buffers():
            if key.endswith("running_mean"):
                x += torch.randn_like(x) * 0.3
            elif key.endswith("running_var"):
                x *= torch.rand_like(x) + 0.5
    path = tmp_path_factory.mktemp("family")
    model.save_pretrained(path)
    x = torch.randn(2, model.config.num_channels, *size, dtype=torch.float64)
    with torch.no_grad():
        base = getattr(model, model.base_model_prefix, model)
        return path, model, x, base(x, output_hidden_states=True), None if base is model else model(x)


@dtypes
def test_a_folder_gives_transformers_hidden_states_vectors_and_scores(family, dtype):
    path, theirs, x, said, scored = family
    ours, x = load(path, dtype=dtype), x.numpy().astype(dtype)
    states, their_states = ours.hidden_states(x), list(said.hidden_states)
    if isinstance(ours, ViT):
        their_states[-1] = said.last_hidden_state  # after the norm
        close(ours(x), said.last_hidden_state[:, 0], dtype)
    else:
        close(ours(x), said.pooler_output.flatten(1), dtype)
    assert len(states) == len(their_states) > 1
    for h, their_h in zip(states, their_states):
        close(h, their_h, dtype)
    if getattr(said, "pooler_output", None) is not None and isinstance(ours, ViT):
        close(ours.pooled(x), said.pooler_output, dtype)
    if scored is not None and hasattr(scored, "logits"):
        close(ours.logits(x), scored.logits, dtype)
        assert ours.labels is None or ours.labels == list(theirs.config.id2label.values())
    else:
        assert ours.head is None


def torchvisions_vgg(torch, depths, widths, hidden, labels):
    """A VGG of plain torch modules, named as torchvision names them."""
    nn, layers, width = torch.nn, [], 3
    for depth, n in zip(depths, widths):
        for _ in range(depth):
            layers += [nn.Conv2d(width, n, 3, padding=1), nn.ReLU(inplace=True)]
            width = n
        layers.append(nn.MaxPool2d(2, 2))

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                nn.Linear(width * 49, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(True),
                nn.Dropout(), nn.Linear(hidden, labels))

        def forward(self, x):
            return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    return VGG()


@dtypes
@pytest.mark.parametrize("architecture", ["vgg11", "vgg16"])
@pytest.mark.parametrize("size", [(224, 224), (70, 45)])
def test_a_vgg_file_gives_torchs_scores_and_first_dense_layer(tmp_path, dtype, architecture, size):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torchvisions_vgg(torch, DEPTHS[architecture], (3, 4, 5, 4, 6), 12, 5).double().eval()
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {name: x.numpy() for name, x in theirs.state_dict().items()})
    ours, x = load(path, dtype, architecture), torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        maps = torch.flatten(theirs.avgpool(theirs.features(x)), 1)
        first, last = theirs.classifier[:1](maps), theirs.classifier[:6](maps)
        close(ours.logits(x.numpy().astype(dtype)), theirs(x), dtype)
    close(ours(x.numpy().astype(dtype)), last, dtype)
    found = ours.features("classifier.0", "classifier.1").encode(x.numpy().astype(dtype))
    close(te.Tensor(found), torch.cat([first, first.relu()], 1), dtype)


# -- pictures as the model takes them ----------------------------------------------------------------------------------


def bytes_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("resample", ["nearest", "bilinear", "bicubic"])
def test_sizes_are_changed_as_pillow_does_byte_for_byte(resample):
    Image = pytest.importorskip("PIL.Image")
    number, rng = {"nearest": 0, "bilinear": 2, "bicubic": 3}[resample], np.random.default_rng(0)
    for i, (h, w, H, W) in enumerate([*rng.integers(1, 80, (60, 4)).tolist(), (300, 400, 224, 224), (40, 30, 40, 30)]):
        x = bytes_of(h, w, 3, seed=i)
        x = np.where(x > 127, 255, 0).astype(np.uint8) if i % 3 == 0 else x  # edges, where cubics overshoot
        # Rows first, then columns; in one call Pillow 13 turns the two round where that is quicker.
        theirs = np.array(Image.fromarray(x).resize((W, h), number).resize((W, H), number))
        np.testing.assert_array_equal(resized(x, (H, W), resample), theirs, f"{(h, w)} -> {(H, W)}")


PILLOWS = {  # what Pillow 13 makes of the picture below, rows first
    ("nearest", (3, 4)): "009224b6fe9022b4fc8e20b2",
    ("nearest", (6, 9)):
        "00494992db246d6db6ff484891da236c6cb5fe474790d9226b6bb4fe474790d9226b6bb4fd46468fd8216a6ab3fc45458ed7206969b2",
    ("bilinear", (3, 4)): "5f986690aa96648ea894628c",
    ("bilinear", (6, 9)):
        "003169a2db4d4d85b6bf7068a1da4c4c84b5fe8467a0d94b4b83b4fe8467a0d94b4b83b4fd83669fd84a4a82b3fc82659ed7494981b2",
    ("bicubic", (3, 4)): "579e658fad97638da695618b",
    ("bicubic", (6, 9)):
        "00296aa7db403f8ab9c76c5ba6da3f3e89b8ff8256a5d93e3d88b7ff7d56a5d93e3d88b7ff7c55a4d83d3c87b6ff7b54a3d73c3b86b5",}


@pytest.mark.parametrize(("resample", "size"), PILLOWS)
def test_sizes_are_changed_as_pillow_was_seen_to_do(resample, size):
    x = (np.arange(35).reshape(5, 7, 1) * 73 % 256).astype(np.uint8)
    assert resized(x, size, resample).tobytes().hex() == PILLOWS[resample, size]


def test_laws_of_resizing_and_cropping():
    x = bytes_of(7, 9, 3)
    for resample in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_array_equal(resized(x, (7, 9), resample), x)
        np.testing.assert_array_equal(resized(np.full_like(x, 77), (20, 4), resample), np.full((20, 4, 3), 77))
        turned = resized(x[::-1, ::-1], (14, 3), resample)[::-1, ::-1]
        assert np.abs(turned.astype(int) - resized(x, (14, 3), resample)).max() <= 1 or resample == "nearest"
    np.testing.assert_array_equal(cropped(x, (3, 5)), x[2:5, 2:7])
    np.testing.assert_array_equal(cropped(x, (9, 5))[1:8], x[:, 2:7])
    assert not cropped(x, (9, 5))[[0, 8]].any()


PROCESSORS = {  # class in transformers: settings
    "ViTImageProcessor": [{"size": {"height": 12, "width": 10}}, {"size": 12, "resample": 3, "do_normalize": False},
                          {"do_resize": False, "do_rescale": False, "image_mean": [1, 2, 3], "image_std": [4, 5, 6]}],
    "CLIPImageProcessor": [{"size": {"shortest_edge": 12}, "crop_size": {"height": 12, "width": 12}},
                           {"size": 10, "crop_size": 12}, {"size": {"height": 18, "width": 12}, "crop_size": 15}],
    "ConvNextImageProcessor": [{"size": {"shortest_edge": 12}, "crop_pct": 0.875},
                               {"size": {"shortest_edge": 384}, "resample": 0}],
    "EfficientNetImageProcessor": [
        {"size": {"height": 12, "width": 12}, "resample": 0, "image_mean": [0.485, 0.456, 0.406],
         "image_std": [0.47853944, 0.4732864, 0.47434163]},
        {"size": {"height": 12, "width": 12}, "include_top": False, "rescale_offset": True, "rescale_factor": 1 / 127.5,
         "do_center_crop": True, "crop_size": {"height": 8, "width": 14}}]}


@pytest.mark.parametrize(("kind", "settings"), [(kind, x) for kind, each in PROCESSORS.items() for x in each])
def test_pictures_are_prepared_as_transformers_does(tmp_path, kind, settings):
    pytest.importorskip("PIL")
    transformers = pytest.importorskip("transformers")
    said = getattr(transformers, f"{kind}Pil")(**settings)
    path = folder(tmp_path, "vit", settings={"image_processor_type": kind, **settings})
    wide, tall = bytes_of(21, 40, 3), bytes_of(50, 33, 3)
    prepare = load(path).preprocessing
    for x in (wide, tall):
        theirs = np.stack(said(x, return_tensors="np", input_data_format="channels_last")["pixel_values"])
        np.testing.assert_allclose(prepare(x), theirs, rtol=1e-5, atol=2e-6)
    said.save_pretrained(tmp_path)  # with every setting, and as newer folders have it
    np.testing.assert_array_equal(load(path).preprocessing(tall), prepare(tall))
    whole = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": whole}))
    np.testing.assert_array_equal(load(path).preprocessing(tall), prepare(tall))


SMALL = {"image_processor_type": "ViTImageProcessor", "size": {"height": 12, "width": 8}}


def test_a_model_takes_what_its_preprocessing_gives(tmp_path):
    model = load(folder(tmp_path, "vit", settings={**SMALL, "feature_extractor_type": "ViTFeatureExtractor"}))
    several = [bytes_of(30, 20, 3), bytes_of(12, 8, 3)]
    x = model.preprocessing(several)
    assert x.shape == (2, 3, 12, 8) and x.dtype == np.float32 and model.encode(x).shape == (2, 8)
    np.testing.assert_array_equal(model.preprocessing(several[1]), x[1:])
    np.testing.assert_allclose(x[1], several[1].transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(model.preprocessing(several[1] / 255), x[1:], atol=1e-6)
    assert model.preprocessing([]).shape == (0, 3, 12, 8)
    for wrong, error, words in [(several[0] / 255, TypeError, r"\(30, 20\) and is to be \(12, 8\): uint8 pictures are"),
                                (several[1] * 1.0, TypeError, "uint8 in 0 … 255, or floats in 0 … 1"),
                                (several[1].astype(int), TypeError, "picture 0 is int64"),
                                (several[1][:, :, :1], ValueError, r"picture 0 is \(12, 8, 1\): pictures are"),
                                (several[1][:, :, 0], ValueError, r"picture 0 is \(12, 8\): .* by np\.dstack")]:
        with pytest.raises(error, match=words):
            model.preprocessing(wrong)


def test_an_image_of_pillow_is_a_picture(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    prepare, x = load(folder(tmp_path, "vit", settings=SMALL)).preprocessing, bytes_of(30, 20, 3)
    np.testing.assert_array_equal(prepare(Image.fromarray(x)), prepare(x))
    np.testing.assert_array_equal(prepare([Image.fromarray(x), x]), prepare([x, x]))
    with pytest.raises(ValueError, match=r"picture 0 is \(30, 20\): .* Pillow's image\.convert"):
        prepare(Image.fromarray(x).convert("L"))


@pytest.mark.parametrize(("settings", "words"), [
    ({"image_processor_type": "SwinImageProcessor"}, "'SwinImageProcessor' cannot be read; that of ViT, CLIP"),
    ({"do_pad": True}, "do_pad = True cannot be followed$"),
    ({"resample": 1}, "resample = 1 cannot be followed; .*3: 'bicubic'"),
    ({"do_flip_channel_order": True}, "do_flip_channel_order = True"), ({"image_std": [0.5, 0, 0.5]}, "image_std"),
    ({"image_mean": 0.5}, "image_mean = 0.5"), ({"rescale_factor": "1/255"}, "rescale_factor"),
    ({"size": {"longest_edge": 9}}, "height and width, or a shortest_edge, in pixels"), ({"size": 1.5}, "size: height"),
    ({"do_center_crop": True, "crop_size": {"shortest_edge": 3}}, "crop_size: height and width, in pixels"),
    ({"do_resize": "yes"}, "do_resize = 'yes'"), ({"image_mean": [0, float("nan"), 0]}, "image_mean"),
    ({"image_processor_type": "ConvNextImageProcessor", "crop_pct": 1e-320}, "crop_pct"),
    ({"do_center_crop": True}, "crop_size: height and width")])
def test_preprocessing_that_cannot_be_followed_is_refused_by_name(tmp_path, settings, words):
    with pytest.raises(FormatError, match="preprocessor_config.json.*" + words):
        load(folder(tmp_path, "vit", settings={**SMALL, **settings}))


# -- what is not a model -----------------------------------------------------------------------------------------------


@each
def test_each_missing_misshapen_or_superfluous_tensor_is_named(tmp_path, kind):
    whole = recorded.weights(recorded.MODELS[kind][2])
    needed = [name for name in whole if not name.endswith("tracked") and "classifier" not in name]
    for name in [*needed[::6], "classifier.1.bias" if kind == "resnet" else "classifier.bias"]:
        rest = {other: x for other, x in whole.items() if other != name}
        with pytest.raises(FormatError, match=r"parameter .*the file has no weights for it"):
            load(folder(tmp_path, kind, rest))
        with pytest.raises(FormatError, match=r"parameter .*(in the file|no weights for it)"):
            load(folder(tmp_path, kind, rest | {name: np.zeros((2, 3))}))
    with pytest.raises(FormatError, match=r"tensor 'extra.weight': .*has no place for it \(1 in all\)"):
        load(folder(tmp_path, kind, whole | {"extra.weight": np.zeros(2)}))
    whole_numbers = whole | {needed[-1]: np.zeros(whole[needed[-1]].shape, np.int8)}
    with pytest.raises(FormatError, match=f"tensor '{needed[-1]}': it is I8, where weights are floats"):
        load(folder(tmp_path, kind, whole_numbers))
    headless = {name: x for name, x in whole.items() if "classifier" not in name}
    with pytest.raises(FormatError, match=r"there is no classifier, which .*config.json speaks of"):
        load(folder(tmp_path, kind, headless, {"architectures": [recorded.MODELS[kind][0]]}))
    assert load(folder(tmp_path, kind, headless)).head is None


@each
@pytest.mark.parametrize("settings", [
    {"num_channels": 0}, {"num_channels": "3"}, {"num_channels": 2**63}, {"hidden_act": "mish"}, {"hidden_act": []},
    {"id2label": {"0": "cat"}}, {"id2label": ["cat", "dog", "tree"]}, {"quantization_config": {"bits": 4}},
    {"add_cross_attention": True}, {"scale_of_something": 2}, {"auto_map": {"AutoModel": "x.py"}}])
def test_settings_that_cannot_be_are_a_format_error(tmp_path, kind, settings):
    with pytest.raises(FormatError, match=rf"config\.json.*({next(iter(settings))}|read)"):
        load(folder(tmp_path, kind, config=settings))


@pytest.mark.parametrize(("kind", "settings"), [
    *(("vit", x) for x in (
        {"hidden_size": 7}, {"num_attention_heads": 3}, {"num_hidden_layers": -1}, {"image_size": 13},
        {"image_size": [12]}, {"patch_size": [4, 0]}, {"layer_norm_eps": "small"}, {"qkv_bias": 1}, {"head_dim": 2},
        {"hidden_dropout_prob": 1.5}, {"attention_probs_dropout_prob": -1})),
    *(("resnet", x) for x in (
        {"hidden_sizes": [8]}, {"hidden_sizes": []}, {"depths": 3}, {"depths": [1, 0]}, {"layer_type": "wide"},
        {"embedding_size": None, "hidden_sizes": [2, 2]}, {"downsample_in_first_stage": "no"})),
    *(("efficientnet", x) for x in (
        {"kernel_sizes": [3, 4]}, {"kernel_sizes": [3, 1]}, {"strides": [1, 3]}, {"strides": [1]},
        {"expand_ratios": [1, 0.5]}, {"hidden_dim": 72}, {"width_coefficient": -1}, {"depth_coefficient": "1"},
        {"pooling_type": "sum"}, {"in_channels": [32, 24]}, {"depthwise_padding": "all"}, {"batch_norm_eps": 2},
        {"depth_divisor": 0}, {"squeeze_expansion_ratio": float("inf")}, {"dropout_rate": True}))])
def test_settings_of_a_family_that_cannot_be_are_a_format_error(tmp_path, kind, settings):
    with pytest.raises(FormatError, match=r"config\.json, (the settings|image_size): "):  # not the weights
        load(folder(tmp_path, kind, config=settings))


@pytest.mark.parametrize(("kind", "settings"), [
    ("vit", {"hidden_size": 10**6}), ("vit", {"num_hidden_layers": 10**12}), ("vit", {"image_size": 4 * 10**8}),
    ("resnet", {"depths": [1, 10**12]}), ("resnet", {"hidden_sizes": [10**6, 10**6]}),
    ("efficientnet", {"num_block_repeats": [1, 10**12]}), ("efficientnet", {"out_channels": [16, 10**9]}),
    ("efficientnet", {"depth_coefficient": 9e5}), ("resnet", {"num_channels": 2**62})])
def test_a_model_many_times_the_file_is_refused_before_memory_is_asked_for(tmp_path, kind, settings):
    with pytest.raises(FormatError, match="the settings speak of a model of"):
        load(folder(tmp_path, kind, config=settings))


def test_a_vgg_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {"features.0.weight": np.zeros((4, 3, 3, 3)), "classifier.0.weight": np.zeros((5, 1))})
    with pytest.raises(FormatError, match=r"torchvision's vgg16, which has features\.5\.weight, features\.10"):
        load(path, architecture="vgg16")
    firsts = {f"features.{i}.weight": np.zeros((10**4, 3)) for i in (5, 10, 17, 24)}
    write_safetensors(path, {"features.0.weight": np.zeros((4, 3, 3, 3)), "classifier.0.weight": np.zeros((5, 1)),
                             **firsts})
    with pytest.raises(FormatError, match="the settings speak of a model of"):
        load(path, architecture="vgg16")


# -- one call for all --------------------------------------------------------------------------------------------------


@dtypes
def test_a_folder_says_which_model_it_holds(tmp_path, dtype):
    bert, gpt = BERT(BERTConfig(20, 4, 1, 2, 8, 8)).eval(), GPT(GPTConfig(20, 8, 1, 2, 4)).eval()
    save_bert(tmp_path / "bert", bert)
    save_gpt(tmp_path / "gpt", gpt)
    for name, model in (("bert", bert), ("gpt", gpt)):
        again = load(str(tmp_path / name), dtype)
        assert type(again) is type(model) and not again.training
        assert all(p.dtype == dtype for p in again.parameters())
        np.testing.assert_allclose(again([[1, 2]]).data, model([[1, 2]]).data, rtol=1e-4, atol=1e-5)


@dtypes
def test_a_folder_of_modules_is_a_sentence_encoder(tmp_path, dtype):
    words = te.text.WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    body = BERT(BERTConfig(len(words), 4, 1, 2, 8, 8))
    encoder = SentenceEncoder(words, body, head=[te.nn.Dense(4, 3)])
    encoder.save_pretrained(tmp_path)
    again = load(tmp_path, dtype)
    assert isinstance(again, SentenceEncoder) and not again.training
    assert all(p.dtype == dtype for p in again.parameters())
    np.testing.assert_allclose(again.encode(["a b", "b"]), encoder.encode(["a b", "b"]), rtol=1e-4, atol=1e-6)
    assert isinstance(load(tmp_path, architecture="bert"), BERT)  # what is in it


@pytest.mark.parametrize("dtype", [np.float16, "float16", int, np.complex64, np.longdouble, "no", None, object])
@pytest.mark.parametrize("read", [
    load, SentenceEncoder.from_pretrained, *(getattr(published, name) for name in published.__all__
                                             if name.startswith("load_") and name != "load_table")])
def test_a_dtype_that_nothing_is_computed_in_is_refused_before_a_file_is_opened(tmp_path, read, dtype):
    with pytest.raises(TypeError, match=r"parameters are np\.float32 or np\.float64.*, not"):
        read(tmp_path / "nowhere", dtype=dtype)


def test_the_attentions_dropout_is_that_of_the_settings(tmp_path):
    for given, wanted in ((0.25, 0.25), (None, 0.0)):
        vit = load(folder(tmp_path / "vit", "vit", config={"attention_probs_dropout_prob": given}))
        assert {block.attention.dropout for block in vit.blocks} == {wanted}
        assert {block.dropout.p for block in vit.blocks} == {0}
    for given, wanted in ((0.25, 0.25), (None, 0.125)):
        bert = BERT(BERTConfig(20, 4, 1, 2, 8, 8, hidden_dropout_prob=0.125, attention_probs_dropout_prob=given))
        save_bert(tmp_path / "bert", bert)
        for model in (bert, load(tmp_path / "bert")):
            assert (model.blocks[0].attention.dropout, model.blocks[0].dropout.p) == (wanted, 0.125)


def test_other_models_are_refused_by_name(tmp_path):
    path = folder(tmp_path, "vit")
    for kind in ("llama", None, 3, "Vit"):
        (path / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(FormatError, match=r"model_type: .* cannot be read; bert, gpt2, .*vgg16.*load_table"):
            load(path)
    with pytest.raises(FormatError, match="model_type: 'vgg12' cannot be read"):
        load(path, architecture="vgg12")
    (path / "config.json").unlink()
    with pytest.raises(FormatError, match=r"no config\.json says what model it is; name it with architecture="):
        load(path)
    with pytest.raises(FormatError, match=r"the file: no config\.json says what model it is"):
        load(path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="nothing is fetched"):
        load(tmp_path / "nowhere")
    assert len(SafeTensors(path)) > 0
