"""Laws of the models of pictures: what they compute, beside slow ways to say it; that they learn; what they refuse."""

import numpy as np
import pytest

import tinyembed as te
from tinyembed import ops
from tinyembed.models import (
    CNN,
    VGG,
    EfficientNet,
    EfficientNetConfig,
    ResNet,
    ResNetConfig,
    VGGConfig,
    ViT,
    ViTConfig,
)
from tinyembed.models.resnet import Residual

VIT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
       "image_size": (8, 12), "patch_size": (4, 3), "layer_norm_eps": 1e-5}


def rng(seed=0):
    return np.random.default_rng(seed)


def vit(dtype=np.float64, **options):
    return ViT(ViTConfig(**{**VIT, **options}), rng=rng(), dtype=dtype)


def efficientnet(dtype=np.float64, **options):
    config = EfficientNetConfig(width_coefficient=0.05, in_channels=(32, 16), out_channels=(16, 24), strides=(2, 2),
                                kernel_sizes=(3, 5), num_block_repeats=(1, 2), expand_ratios=(1, 2), **options)
    return EfficientNet(config, rng=rng(), dtype=dtype)


MODELS = {  # kind: (how it is made, height and width of its pictures)
    "CNN": (lambda **o: CNN((4, 6), num_labels=3, rng=rng(), **o), (8, 12)),
    "ViT": (lambda **o: ViT(ViTConfig(**VIT, num_labels=3), rng=rng(), **o), (8, 12)),
    "ResNet": (lambda **o: ResNet(ResNetConfig(3, 4, (4, 8), (2, 1), num_labels=3), rng=rng(), **o), (16, 24)),
    "ResNet, basic": (lambda **o: ResNet(ResNetConfig(3, 4, (4, 8), (1, 2), "basic", num_labels=3), rng=rng(), **o),
                      (16, 24)),
    "EfficientNet": (lambda **o: efficientnet(num_labels=3, **o), (32, 24)),
    "VGG": (lambda **o: VGG(VGGConfig(3, (1, 2), (4, 4), 5, num_labels=3), rng=rng(), **o), (8, 12)),
}
every_model = pytest.mark.parametrize("kind", MODELS)


def made(kind, n=4, dtype=np.float32):
    """A model whose norms have seen some pictures, in eval mode, and n pictures."""
    make, size = MODELS[kind]
    model, x = make(dtype=dtype), rng(1).normal(size=(n, 3, *size)).astype(dtype)
    with te.no_grad():
        model(x[:3] if n > 2 else np.concatenate([x] * 3))
    return model.eval(), x


# -- all kinds ---------------------------------------------------------------------------------------------------------


@every_model
def test_a_picture_has_the_same_vector_in_any_company(kind):
    model, x = made(kind)
    vectors = model(x).data
    assert vectors.shape == (4, model.dim) and vectors.dtype == np.float32
    for batch_size in (1, 3, 32):
        np.testing.assert_allclose(model.encode(x, batch_size=batch_size), vectors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.encode(list(x[::-1]))[::-1], vectors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.encode(x[2]), vectors[2], rtol=1e-4, atol=1e-5)
    assert model.encode(x[:0]).shape == (0, model.dim)


@every_model
def test_the_loss_is_that_of_the_scores_and_reaches_every_parameter(kind):
    make, size = MODELS[kind]
    model, x, y = make(dtype=np.float32), rng(1).normal(size=(4, 3, *size)).astype(np.float32), [0, 2, 1, 1]
    loss = model.loss(x, y)
    loss.backward()
    assert loss.dtype == np.float32 and all(p.grad is not None and p.grad.dtype == np.float32
                                            for p in model.parameters())
    model.eval()
    logits = model.logits(x)
    assert logits.shape == (4, 3)
    np.testing.assert_allclose(model.loss(x, y).data, ops.cross_entropy(logits, y).data)


@pytest.mark.parametrize("kind", ["CNN", "ViT"])
def test_gradients(kind):
    model, x = made(kind, 2, np.float64)
    te.check_gradients(lambda x: model.logits(x), x)


@every_model
def test_what_is_no_batch_of_pictures_is_refused(kind):
    model, x = made(kind)
    with pytest.raises(ValueError, match=r"takes pictures \(B, 3, H, W\), got \(3, \d+, \d+\)"):
        model(x[0])
    with pytest.raises(ValueError, match=r"x\.transpose\(0, 3, 1, 2\)"):
        model(x.transpose(0, 2, 3, 1))
    with pytest.raises(TypeError, match="takes pictures of floats, as it was trained on, not uint8"):
        model(x.astype(np.uint8))
    with pytest.raises(ValueError, match=r"picture 1 is \(3, 1, \d+\): .* of one size"):
        model.encode([x[0], x[0, :, :1]])
    with pytest.raises(TypeError, match="pictures have none"):
        model.encode(x, prompt="a picture of ")


@pytest.mark.parametrize(("kind", "layer", "pool"), [
    ("CNN", "average", None), ("ResNet", "average", None), ("EfficientNet", "average", None),
    ("VGG", "classifier.5", None), ("ViT", "norm", "cls"), ("CNN", "layers.1", "mean"), ("ResNet", "stages.1", "mean"),
    ("EfficientNet", "top", "mean")])
def test_the_layer_that_vectors_are_taken_from_gives_them(kind, layer, pool):
    model, x = made(kind)
    np.testing.assert_allclose(model.features(layer, pool=pool).encode(x), model.encode(x), rtol=1e-5, atol=1e-6)


def test_a_model_without_classes_says_so():
    for model in (CNN(), vit(), efficientnet()):
        with pytest.raises(ValueError, match="was made without classes"):
            model.logits(np.zeros((1, 3, 8, 12), np.float32))
    with pytest.raises(ValueError, match="has no pooler"):
        vit().pooled(np.zeros((1, 3, 8, 12)))


def test_settings_that_make_no_model_are_refused_before_one_is_made():
    for make, words in [
            (lambda: efficientnet(hidden_act="swish"), "activation is None or one of .*silu, not 'swish'"),
            (lambda: ResNet(ResNetConfig(3, 4, (4, 8), (2, 1), hidden_act="mish")), "not 'mish'"),
            (lambda: EfficientNet(EfficientNetConfig(strides=(1, 2))), "six lists with a number for each stage"),
            (lambda: EfficientNet(EfficientNetConfig(kernel_sizes=(3,) * 6 + (4,))), "kernel_sizes that are odd"),
            (lambda: EfficientNet(EfficientNetConfig(kernel_sizes=(1,) * 7)), "odd and 3 or more"),
            (lambda: ResNet(ResNetConfig(depths=(1, 2))), "a width and a depth for each stage"),
            (lambda: VGG(VGGConfig(depths=(1, 2))), "a depth and a width for each stage"),
            (lambda: CNN(()), "at least one layer")]:
        with pytest.raises(ValueError, match=words):
            make()


# -- ViT ---------------------------------------------------------------------------------------------------------------


def test_patches_are_a_convolution_whose_stride_is_its_size():
    model, x = vit(), rng(1).normal(size=(2, 3, 8, 12))
    kernel = model.patches.weight.data.reshape(8, 3, 4, 3)
    maps = ops.conv2d(x, kernel, model.patches.bias, stride=(4, 3)).data.reshape(2, 8, -1).swapaxes(1, 2)
    first = model.hidden_states(x)[0].data - model.position.table.weight.data
    np.testing.assert_allclose(first[:, 1:], maps, atol=1e-12)
    np.testing.assert_allclose(first[:, 0], np.tile(model.class_token.data, (2, 1)), atol=1e-12)


def test_without_positions_patches_are_a_bag():
    model, x = vit(), rng(1).normal(size=(2, 3, 8, 12))
    patches = x.reshape(2, 3, 2, 4, 4, 3).transpose(0, 2, 4, 1, 3, 5).reshape(2, 8, 3, 4, 3)
    mixed = patches[:, rng(2).permutation(8)].reshape(2, 2, 4, 3, 4, 3).transpose(0, 3, 1, 4, 2, 5).reshape(x.shape)
    assert np.abs(model(x).data - model(mixed).data).max() > 1e-3
    model.position.table.weight.data = np.zeros_like(model.position.table.weight.data)
    np.testing.assert_allclose(model(x).data, model(mixed).data, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"class_token": False}, {"pre_norm": True, "patch_bias": False},
                                     {"qkv_bias": False, "hidden_act": "quick_gelu"}])
def test_a_vit_is_its_blocks_between_its_norms(options):
    model, x = vit(**options, pooler_output_size=5), rng(1).normal(size=(2, 3, 8, 12))
    states = model.hidden_states(x)
    assert len(states) == 3 and states[0].shape == (2, 8 + model.config.class_token, 8)
    last = model.norm(model.blocks[1](states[1])).data
    np.testing.assert_allclose(states[-1].data, last, atol=1e-12)
    vector = last[:, 0] if model.config.class_token else last.mean(1)
    np.testing.assert_allclose(model(x).data, vector, atol=1e-12)
    np.testing.assert_allclose(model.pooled(x).data, model.pooler(vector).data, atol=1e-12)
    if model.config.pre_norm:
        np.testing.assert_allclose(states[0].data.mean(-1), 0, atol=1e-12)
    assert (model.patches.bias is None) == ("patch_bias" in options)
    assert (model.blocks[0].attention.in_proj_bias is None) == ("qkv_bias" in options)


def test_a_vit_takes_pictures_of_its_size():
    with pytest.raises(ValueError, match="has positions for pictures of 8 x 12, not 12 x 8"):
        vit()(np.zeros((1, 3, 12, 8)))
    with pytest.raises(ValueError, match="a picture of 8 x 12 is not cut into patches of 5 x 5 without a rest"):
        vit(patch_size=5)


# -- ResNet, EfficientNet ----------------------------------------------------------------------------------------------


def test_a_residual_block_with_nothing_to_add_is_its_activation():
    block = Residual(8, 8, 1, ResNetConfig(), rng=rng(), dtype=np.float64)
    for conv in block.convs:
        conv.norm.weight.data = np.zeros_like(conv.norm.weight.data)
    x = rng(1).normal(size=(2, 8, 5, 6))
    np.testing.assert_array_equal(block(x).data, np.maximum(x, 0))


def test_pictures_of_any_size_are_averaged():
    for kind in ("CNN", "ResNet", "EfficientNet"):
        model, x = made(kind)
        assert model(np.concatenate([x, x], 3)).shape == (4, model.dim)
    model, x = made("ResNet")
    np.testing.assert_allclose(model(x).data, model.hidden_states(x)[-1].data.mean((2, 3)), rtol=1e-5)


def test_published_sizes_are_the_defaults():
    assert [stage[:3] for stage in EfficientNetConfig().stages()][-2:] == [(4, 112, 192), (1, 192, 320)]
    b7 = EfficientNetConfig(width_coefficient=2.0, depth_coefficient=3.1)
    assert b7.width(1280) == 2560 and sum(stage[0] for stage in b7.stages()) == 55
    assert sum(p.size for p in EfficientNet(EfficientNetConfig(num_labels=1000)).parameters()) == 5_288_548
    assert ResNetConfig().hidden_sizes[-1] == 2048 and ViTConfig().grid == (14, 14) and VGGConfig().hidden == 4096


def test_a_block_may_be_left_out_in_training():
    model = efficientnet(drop_connect_rate=0.9)
    x = rng(1).normal(size=(3, 3, 32, 24))
    assert model.blocks[2].drop.p == pytest.approx(0.6) and not np.allclose(model(x).data, model(x).data)
    model.eval()
    np.testing.assert_array_equal(model(x).data, model(x).data)


# -- they learn --------------------------------------------------------------------------------------------------------


def drawn(n, rng, side=12):
    """Squares, crosses of two kinds and frames of several sizes, somewhere in noise: (n, 1, side, side), the kinds"""
    kinds, pictures = rng.integers(4, size=n), rng.normal(size=(n, 1, side, side)) * 0.2
    rows, columns = np.mgrid[:side, :side]
    for picture, kind in zip(pictures[:, 0], kinds):
        r = rng.integers(2, 5)
        y, x = rng.integers(r, side - r, 2)
        dy, dx = np.abs(rows - y), np.abs(columns - x)
        square = np.maximum(dy, dx) <= r
        picture += square & [True, (dy == 0) | (dx == 0), dy == dx, np.maximum(dy, dx) == r][kind]
    return pictures.astype(np.float32), kinds


@pytest.mark.parametrize("kind", ["CNN", "ViT"])
def test_small_models_learn_to_tell_shapes_apart(kind):
    config = ViTConfig(32, 2, 4, 64, image_size=12, patch_size=3, num_channels=1, num_labels=4)
    model, lr, epochs = (ViT(config, rng=rng()), 3e-3, 8) if kind == "ViT" else (
        CNN((16, 32), 1, 4, rng=rng()), 1e-2, 3)
    (x, y), (new, what) = drawn(600, rng(1)), drawn(200, rng(2))
    adam = te.optim.AdamW(model.parameters(), lr=lr)
    te.train.fit(model, te.data.Batches((x, y), 32, rng(3)), adam, epochs=epochs, progress=False)
    with model.evaluating(), te.no_grad():
        assert (model.logits(new).data.argmax(1) == what).mean() > 0.85
