"""What Hugging Face Transformers says of small models of pictures, so that the tests do not need it.

    pip install transformers==5.24.0 torch==2.13.0
    python tests/recorded_vision.py        prints RECORDED anew, to be pasted below

MODELS has of each family a class, the settings in its config.json, and the shapes of its tensors; their numbers are
drawn from a seed. Recorded are the logits of two drawn pictures.
"""

import pprint

import numpy as np


def layer(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm(name, n):
    return {**layer(name, n), f"{name}.running_mean": (n,), f"{name}.running_var": (n,),
            f"{name}.num_batches_tracked": ()}


def conv_norm(conv, norm_, *shape):
    return {f"{conv}.weight": shape, **norm(norm_, shape[0])}


def vit_shapes(D=8, hidden=12):
    block = "vit.encoder.layer.0"
    shapes = {"vit.embeddings.cls_token": (1, 1, D), "vit.embeddings.position_embeddings": (1, 7, D),
              **layer("vit.embeddings.patch_embeddings.projection", D, 3, 4, 4), **layer("vit.layernorm", D),
              **layer("classifier", 3, D), **layer(f"{block}.intermediate.dense", hidden, D),
              **layer(f"{block}.output.dense", D, hidden), **layer(f"{block}.attention.output.dense", D, D)}
    for part in ("query", "key", "value"):
        shapes |= layer(f"{block}.attention.attention.{part}", D, D)
    return {**shapes, **layer(f"{block}.layernorm_before", D), **layer(f"{block}.layernorm_after", D)}


def resnet_shapes():
    def part(name, *shape):
        return conv_norm(f"resnet.{name}.convolution", f"resnet.{name}.normalization", *shape)

    shapes = {**part("embedder.embedder", 4, 3, 7, 7), **layer("classifier.1", 3, 12)}
    for i, (n, m) in enumerate([(4, 8), (8, 12)]):
        block = f"encoder.stages.{i}.layers.0"
        shapes |= {**part(f"{block}.layer.0", m // 4, n, 1, 1), **part(f"{block}.layer.1", m // 4, m // 4, 3, 3),
                   **part(f"{block}.layer.2", m, m // 4, 1, 1), **part(f"{block}.shortcut", m, n, 1, 1)}
    return shapes


def efficientnet_shapes():
    def part(conv, norm_, *shape):
        return conv_norm(f"efficientnet.{conv}", f"efficientnet.{norm_}", *shape)

    shapes = {**part("embeddings.convolution", "embeddings.batchnorm", 8, 3, 3, 3), **layer("classifier", 3, 64),
              **part("encoder.top_conv", "encoder.top_bn", 64, 8, 1, 1)}
    for i, (ratio, kernel) in enumerate([(1, 3), (2, 5), (2, 5)]):
        block, n = f"encoder.blocks.{i}", 8 * ratio
        if ratio > 1:
            shapes |= part(f"{block}.expansion.expand_conv", f"{block}.expansion.expand_bn", n, 8, 1, 1)
        shapes |= {**part(f"{block}.depthwise_conv.depthwise_conv", f"{block}.depthwise_conv.depthwise_norm", n, 1,
                          kernel, kernel),
                   **layer(f"efficientnet.{block}.squeeze_excite.reduce", 2, n, 1, 1),
                   **layer(f"efficientnet.{block}.squeeze_excite.expand", n, 2, 1, 1),
                   **part(f"{block}.projection.project_conv", f"{block}.projection.project_bn", 8, n, 1, 1)}
    return shapes


LABELS = {"id2label": {"0": "cat", "1": "dog", "2": "tree"}}
MODELS = {  # model_type: (class, settings, shapes)
    "vit": ("ViTForImageClassification", {
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "image_size": [12, 8], "patch_size": 4, "num_channels": 3,
        "qkv_bias": True, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "encoder_stride": 16,
        **LABELS}, vit_shapes()),
    "resnet": ("ResNetForImageClassification", {
        "embedding_size": 4, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "bottleneck",
        "hidden_act": "relu", "downsample_in_first_stage": False, "num_channels": 3, **LABELS}, resnet_shapes()),
    "efficientnet": ("EfficientNetForImageClassification", {
        "width_coefficient": 0.05, "depth_coefficient": 1.0, "depth_divisor": 8, "in_channels": [32, 16],
        "out_channels": [16, 24], "kernel_sizes": [3, 5], "strides": [1, 2], "num_block_repeats": [1, 2],
        "expand_ratios": [1, 2], "squeeze_expansion_ratio": 0.25, "hidden_act": "swish", "hidden_dim": 64,
        "pooling_type": "mean", "batch_norm_eps": 0.001, "image_size": 32, "depthwise_padding": [],
        "num_hidden_layers": 12, **LABELS}, efficientnet_shapes())}


def pictures():
    return np.random.default_rng(1).normal(size=(2, 3, 12, 8)).astype(np.float32)


def weights(shapes):
    """Numbers for tensors of these shapes: variances are positive, weights of norms about 1."""
    rng, made = np.random.default_rng(0), {}
    for name in sorted(shapes):
        x = rng.normal(size=shapes[name]) * 0.4
        around = len(shapes[name]) == 1 and name.endswith((".weight", "running_var"))
        made[name] = np.zeros((), np.int64) if name.endswith("tracked") else (
            np.abs(1 + x) + 0.1 if around else x).astype(np.float32)
    return made


def record():
    import torch
    import transformers

    found = {}
    for kind, (name, settings, shapes) in MODELS.items():
        config = getattr(transformers, name.replace("ForImageClassification", "Config"))(**settings)
        config.num_labels = 3
        tensors = {key: torch.tensor(x) for key, x in weights(shapes).items()}
        model, info = getattr(transformers, name).from_pretrained(None, config=config, state_dict=tensors,
                                                                  output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        with torch.no_grad():
            logits = model.eval()(torch.tensor(pictures())).logits
        found[kind] = [[round(x, 5) for x in row] for row in logits.tolist()]
    return found


RECORDED = {
    "vit": [[-1.69333, -1.69258, 0.18463], [-0.58991, -2.66489, 1.4738]],
    "resnet": [[-12.08163, -0.25568, -1.25933], [-10.91303, -4.00039, -4.00911]],
    "efficientnet": [[3.8719, -4.88986, -3.49042], [3.29325, -4.48338, -2.29885]],
}

if __name__ == "__main__":
    pprint.pp(record(), width=110)
