"""Laws of features: what is taken out of a model is what its module computes, and the model is left as it was."""

import gc

import numpy as np
import pytest

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.models import (
    BERT,
    GPT,
    BERTConfig,
    Encoder,
    GPTConfig,
    LSTMModel,
    PairClassifier,
    SentenceEncoder,
    StaticEmbedding,
    TokenLSTM,
    Tower,
)
from tinyembed.text import Vocabulary, WordTokenizer


def rng(seed=0):
    return np.random.default_rng(seed)


class Maps(nn.Module):
    """Pictures to maps to scores, written as a user would."""

    def __init__(self):
        self.mix = nn.Conv2d(3, 5, 1, rng=rng(1))
        self.stages = [{"act": nn.Dense(5, 4, "tanh", rng=rng(2))}]
        self.drop = nn.Dropout(0.5, rng=rng(3))
        self.head = nn.Linear(4, 2, rng=rng(4))
        self.unused = nn.Linear(4, 2, rng=rng(5))

    def forward(self, x):
        y = self.stages[0]["act"](self.mix(x).mean((2, 3)))
        return self.head(self.drop(y))


PICTURES = rng(6).random((7, 3, 4, 6), np.float32)


def by_hand(model, x):
    maps = np.einsum("oc,bchw->bohw", model.mix.weight.data[:, :, 0, 0], x) + model.mix.bias.data[:, None, None]
    dense = model.stages[0]["act"]
    hidden = np.tanh(maps.mean((2, 3)) @ dense.weight.data.T + dense.bias.data)
    return {"mix": maps, "stages.0.act": hidden, "drop": hidden,
            "head": hidden @ model.head.weight.data.T + model.head.bias.data}


@pytest.mark.parametrize("layers", [["mix"], ["stages.0.act"], ["head"], ["head", "mix", "drop"]])
def test_features_are_what_the_modules_give(layers):
    model = Maps()
    encoder = model.features(*layers)
    assert isinstance(encoder, Encoder)
    expected = np.concatenate([by_hand(model, PICTURES)[name].reshape(7, -1) for name in layers], 1)
    for batch_size in (1, 3, 7):
        found = encoder.encode(PICTURES, batch_size=batch_size)
        assert found.dtype == np.float32 and encoder.dim == found.shape[1]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(PICTURES[2]), expected[2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(iter(PICTURES)), expected, rtol=1e-5, atol=1e-6)
    assert encoder.encode(PICTURES[:2], normalize_embeddings=True, truncate_dim=2).shape == (2, 2)


def test_a_tower_whose_arguments_are_bags_end_to_end_has_features_too():
    tower, bags = Tower(9, 4, hidden=[6], rng=rng()), [[1, 2, 3], [], [5]]
    np.testing.assert_allclose(tower.features("layers").encode(bags), tower.encode(bags), rtol=1e-5)
    assert tower.features("layers.0").encode(bags).shape == (3, 6)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_batches_of_no_item_are_refused(batch_size):
    tower = Tower(9, 4, rng=rng())
    for call in tower.vectors, tower.features("rows").vectors, tower.encode:
        with pytest.raises(ValueError, match="batch_size is 1 or more"):
            call([[1, 2], [3]], batch_size=batch_size)


def test_vectors_are_cut_on_the_first_call_too_and_no_items_have_the_parameters_dtype():
    for dtype in (np.float32, np.float64):
        model = nn.Sequential(nn.Dense(3, 8, "tanh", dtype=dtype), nn.Linear(8, 2, dtype=dtype))
        x = np.ones((5, 3), dtype)
        for cut in (0, 9, -1):
            with pytest.raises(ValueError, match="truncate_dim"):
                model.features("0").encode(x, truncate_dim=cut)
        encoder = model.features("0")
        assert encoder.encode(x, truncate_dim=2).shape == (5, 2)
        for none in (encoder.encode([]), encoder.encode([], truncate_dim=2), encoder.vectors([]).data):
            assert len(none) == 0 and none.dtype == dtype == encoder.encode(x).dtype
        tower = te.models.Tower(4, 3)
        tower.rows.weight = te.Parameter(tower.rows.weight.data.astype(dtype))
        assert tower.encode([]).dtype == tower.encode([[1]]).dtype == dtype


def test_the_model_itself_has_the_empty_name():
    model = Maps()
    np.testing.assert_array_equal(model.features("").encode(PICTURES), model.features("head").encode(PICTURES))


@pytest.mark.parametrize("pool, expected", [("mean", lambda x: x.mean((2, 3))), ("max", lambda x: x.max((2, 3))),
                                            ("last", lambda x: x[:, :, -1, -1]),
                                            (["max", "cls"], lambda x: np.hstack([x.max((2, 3)), x[:, :, 0, 0]]))])
def test_a_map_is_pooled_over_its_places(pool, expected):
    model = Maps()
    maps = by_hand(model, PICTURES)
    found = model.features("mix", "head", pool=pool).encode(PICTURES)
    np.testing.assert_allclose(found, np.hstack([expected(maps["mix"]), maps["head"]]), rtol=1e-5, atol=1e-6)


GPT_SIZES = GPTConfig(20, 12, 8, 2, 2)
MODELS = {  # models of ids, the name of a layer, its output by another way
    "BERT": (BERT(BERTConfig(20, 8, 2, 2, 12, 16), rng=rng()), "blocks.0", lambda m, ids: m.hidden_states(ids)[1]),
    "GPT": (GPT(GPT_SIZES, rng=rng()), "blocks.0", lambda m, ids: m.hidden_states(ids)[1]),
    "LSTMModel": (LSTMModel(20, 6, rng=rng()), "lstm", lambda m, ids: m.hidden_states(ids)[1]),
    "TokenLSTM": (TokenLSTM(20, 4, 3, rng=rng()), "lstm", lambda m, ids: m(ids)),
}


@pytest.mark.parametrize("name", MODELS)
def test_ids_of_any_lengths_have_the_features_they_have_alone(name):
    model, layer, other_way = MODELS[name]
    lines = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [3, 5, 8], [9, 7]]
    found = model.features(layer, pool="mean").encode(lines, batch_size=2)
    for line, row in zip(lines, found):
        np.testing.assert_allclose(model.features(layer, pool="mean").encode(line), row, rtol=1e-5, atol=1e-6)
        with model.evaluating(), te.no_grad():
            expected = other_way(model, np.array([line]))
        np.testing.assert_allclose(expected.data[0].mean(0), row, rtol=1e-5, atol=1e-6)
    flat = model.features(layer)
    assert flat.encode(np.array([[1, 2, 3], [4, 5, 6]])).shape == (2, 3 * found.shape[1])
    with pytest.raises(ValueError, match='pool="mean"'):
        flat.encode(lines)


def test_an_encoder_gives_features_of_what_it_encodes():
    words = WordTokenizer(Vocabulary.build([["a", "b", "c"]]))
    bag = nn.EmbeddingBag(len(words), 4, rng=rng())
    encoder = SentenceEncoder(words, StaticEmbedding(bag), head=[nn.Dense(4, 3, rng=rng())])
    np.testing.assert_array_equal(encoder.features("body").encode(["a b", "c"]),
                                  SentenceEncoder(words, StaticEmbedding(bag)).encode(["a b", "c"]))
    assert encoder.features("body").encode("a c c").shape == (4,)
    pairs = PairClassifier(encoder, 2, rng=rng())
    assert callable(pairs.features)  # no attribute of that name stands before the method


def test_no_model_of_ours_has_an_attribute_of_that_name():
    import inspect
    for room in (te.nn, te.models):
        for name in room.__all__:
            kind = getattr(room, name)
            if inspect.isclass(kind) and issubclass(kind, nn.Module):
                assert kind.features is nn.Module.features, name
                assert "self.features =" not in inspect.getsource(kind), name


def test_several_arguments_are_a_tuple():
    class Both(nn.Module):
        def __init__(self):
            self.table, self.mix = nn.Embedding(5, 3, rng=rng()), nn.Linear(4, 2, rng=rng(1))

        def forward(self, ids, x):
            return self.mix(ops.concatenate([self.table(ids), x], -1))

    model = Both()
    items = [(4, [0.5]), (0, [0.25]), (2, [1.0])]
    expected = model(np.array([4, 0, 2]), np.float32([[0.5], [0.25], [1.0]])).data
    np.testing.assert_allclose(model.features("mix").encode(items), expected, rtol=1e-6)
    np.testing.assert_allclose(model.features("table").encode(items[1]), model.table.weight.data[0])


def test_training_goes_through_features_and_reaches_only_what_is_before_them():
    model = Maps()
    encoder = model.features("stages.0.act")
    encoder.vectors(PICTURES).sum().backward()
    assert model.mix.weight.grad is not None and model.head.weight.grad is None
    adam = te.optim.Adam(encoder.parameters(), lr=0.1)
    before = encoder.encode(PICTURES)
    adam.step()
    assert np.abs(encoder.encode(PICTURES) - before).max() > 0.01


def test_nothing_is_left_behind():
    model = Maps()
    was = {name: dict(vars(module)) for name, module in model.named_modules()}
    model.mix.forward = lambda x, inner=model.mix.forward: inner(x)  # the user's own
    own = model.mix.forward
    encoder = model.features("mix", "head")
    encoder.encode(PICTURES)
    model.stages[0]["act"].forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        encoder.encode(PICTURES)
    assert model.mix.forward is own
    del model.mix.forward, model.stages[0]["act"].forward
    for name, module in model.named_modules():
        assert vars(module).keys() - {"training"} == was[name].keys() - {"training"} and module.training, name
    gc.collect()
    gc.disable()
    try:
        tensors = sum(isinstance(x, te.Tensor) for x in gc.get_objects())
        for _ in range(5):
            encoder.encode(PICTURES)
            encoder.vectors(PICTURES).sum().backward()
        encoder.zero_grad()
        assert sum(isinstance(x, te.Tensor) for x in gc.get_objects()) == tensors
    finally:
        gc.enable()


class Odd(nn.Module):
    def __init__(self):
        self.twice, self.text, self.wide = nn.Linear(2, 2), nn.Module(), nn.Module()
        self.blocks = [nn.Linear(2, 2), nn.Linear(2, 2)]
        self.text.forward = lambda x: "no tensor"
        self.wide.forward = lambda x: ops.sum(x, 0, keepdims=True)

    def forward(self, x):
        self.text(x), self.wide(self.twice(self.twice(x)))
        return self.blocks[0](x)


@pytest.mark.parametrize("layers, error, message", [
    ((), ValueError, "name one or more of the modules: '', 'twice'"),
    (("twise",), ValueError, "Odd has no module 'twise'; near it: 'twice'"),
    (("blocks",), ValueError, "no module 'blocks'; near it: 'blocks.0', 'blocks.1'"),
    (("something else",), ValueError, r"named_modules\(\) lists them"),
    (("blocks.1",), ValueError, "'blocks.1' was called 0 times in one forward, not once: the model goes around it"),
    (("twice",), ValueError, "'twice' was called 2 times"),
    (("text",), TypeError, "'text' gives no Tensor but str"),
    (("wide",), ValueError, r"'wide' gives \(1, 2\), which is not a row for each of 3 items")])
def test_what_cannot_be_taken_is_refused_by_name(layers, error, message):
    with pytest.raises(error, match=message):
        Odd().features(*layers).encode(np.ones((3, 2), np.float32))


def test_items_that_do_not_fit():
    encoder = Maps().features("mix")
    with pytest.raises(ValueError, match="known once an item has been encoded"):
        encoder.encode([])
    with pytest.raises(ValueError, match=r"have one shape, not \(3, 4, 5\) and \(3, 4, 6\)"):
        encoder.encode([PICTURES[0], PICTURES[1, :, :, :5]])
    with pytest.raises(TypeError, match="a prompt is put before texts"):
        encoder.encode(PICTURES, prompt="a ")
    with pytest.raises(TypeError, match="several items"):
        encoder.vectors(PICTURES[0])
    encoder.encode(PICTURES)
    assert encoder.encode([]).shape == (0, 5 * 4 * 6)
