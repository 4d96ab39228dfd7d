"""Laws of modules: what they find inside themselves, their state, and each layer against its definition."""

import inspect
import re
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimisers import EITHER_WAY

import tinyembed as te
from tinyembed import nn, ops
from tinyembed.optim import Adam


def bag(**parts):
    """A module with these attributes, set in this order."""
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def parameter(*shape):
    return te.Parameter(np.zeros(shape, np.float32))


def names(module):
    return [name for name, _ in module.named_parameters()]


def rng(seed=0):
    return np.random.default_rng(seed)


LAYERS = {  # name: (how it is made, an input)
    "Linear": (lambda **o: nn.Linear(3, 2, **o), rng(1).normal(size=(4, 3))),
    "Linear without bias": (lambda **o: nn.Linear(3, 2, bias=False, **o), rng(1).normal(size=(2, 2, 3))),
    "Dense": (lambda **o: nn.Dense(3, 2, "gelu", **o), rng(1).normal(size=(4, 3))),
    "Embedding": (lambda **o: nn.Embedding(5, 3, **o), np.array([[0, 4, 4], [2, 0, 4]])),
    "LearnedPositionalEmbedding": (lambda **o: nn.LearnedPositionalEmbedding(5, 2, **o), rng(1).normal(size=(2, 3, 2))),
    "GPTEmbedding": (lambda **o: nn.GPTEmbedding(5, 3, 4, **o), np.array([[1, 1, 3], [3, 0, 1]])),
    "LayerNorm": (lambda rng=None, **o: nn.LayerNorm(4, **o), rng(1).normal(size=(3, 4))),
    "RMSNorm": (lambda rng=None, **o: nn.RMSNorm(4, **o), rng(1).normal(size=(3, 4))),
    "BatchNorm1d": (lambda rng=None, **o: nn.BatchNorm1d(3, momentum=None, **o), rng(1).normal(size=(2, 3))),
    "BatchNorm2d": (lambda rng=None, **o: nn.BatchNorm2d(3, **o), rng(1).normal(size=(2, 3, 2, 2))),
    "Conv2d": (lambda **o: nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2, **o),
               rng(1).normal(size=(2, 2, 4, 3))),
    "Conv1d": (lambda **o: nn.Conv1d(2, 3, 3, dilation=2, bias=False, **o), rng(1).normal(size=(2, 2, 6))),
    "MaxPool2d": (lambda rng=None, dtype=None: nn.MaxPool2d(2), rng(1).normal(size=(2, 3, 4, 5))),
    "AvgPool2d": (lambda rng=None, dtype=None: nn.AvgPool2d(3, 1, 1), rng(1).normal(size=(2, 3, 4, 3))),
    "AdaptiveAvgPool2d": (lambda rng=None, dtype=None: nn.AdaptiveAvgPool2d(2), rng(1).normal(size=(2, 3, 3, 5))),
    "Flatten": (lambda rng=None, dtype=None: nn.Flatten(), rng(1).normal(size=(2, 3, 1, 2))),
    "ReLU": (lambda rng=None, dtype=None: nn.ReLU(), rng(1).normal(size=(2, 3))),
    "GELU": (lambda rng=None, dtype=None: nn.GELU("tanh"), rng(1).normal(size=(2, 3))),
}
DRAWN = [name for name, (make, _) in LAYERS.items() if "rng" not in inspect.signature(make).parameters]
every_layer = pytest.mark.parametrize("name", LAYERS)



def test_evaluating_puts_each_modules_own_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)))
    model[1][0].eval()
    before = [module.training for _, module in model.named_modules()]
    with pytest.raises(ZeroDivisionError), model.evaluating():
        assert not any(module.training for _, module in model.named_modules())
        raise ZeroDivisionError
    assert [module.training for _, module in model.named_modules()] == before and before.count(False) == 1


# ---------------------------------------------------------------------------------------- what is inside


def test_parameters_are_found_in_nested_lists_dicts_and_tuples_in_insertion_order():
    module = bag(z=parameter(1), blocks=[nn.Linear(1, 1), {"b": parameter(2), "a": (parameter(3), [parameter(4)])}],
                 size=7, note="text", nothing=None, inner=bag(w=parameter(5)), a=parameter(6))
    assert names(module) == ["z", "blocks.0.weight", "blocks.0.bias", "blocks.1.b", "blocks.1.a.0", "blocks.1.a.1.0",
                             "inner.w", "a"]
    assert [p.shape for p in module.parameters()] == [(1,), (1, 1), (1,), (2,), (3,), (4,), (5,), (6,)]
    assert [name for name, _ in module.named_modules()] == ["", "blocks.0", "inner"]


@given(st.permutations(["d", "c", "b", "a"]))
def test_the_order_is_that_of_setting_not_of_names(order):
    assert names(bag(**{name: parameter(1) for name in order})) == order


def test_a_plain_tensor_is_no_parameter():
    assert names(bag(table=te.Tensor([1.0]), array=np.zeros(3))) == []


def test_what_wants_a_gradient_has_a_place_where_it_is_found():
    """Not beside a Parameter, where one was or might be, nor in what is not searched: it would not be trained."""
    leaf, computed = te.Tensor([1.0], requires_grad=True), parameter(1) * 2.0
    layer, lstm, norm = nn.Linear(1, 1, bias=False), nn.LSTM(1, 1, num_layers=2), nn.BatchNorm2d(1)
    for module, name, value in ((layer, "bias", leaf), (layer, "weight", computed), (layer, "weight", np.ones((1, 1))),
                                (layer, "new", {parameter(1)}), (layer, "new", deque([nn.Linear(1, 1)])),
                                (lstm, "weight_ih_l0", computed), (lstm, "dropout", 0.5),
                                (norm, "weight", norm.running_var), (norm, "running_mean", parameter(1)),
                                (norm, "running_mean", np.zeros(1)),
                                (nn.Sequential(layer), "0", leaf), (nn.MLP(1, 1), "linear1", computed)):
        before = dict(vars(module))
        with pytest.raises(TypeError, match=f"{name} of {type(module).__name__}"):
            setattr(module, name, value)
        assert vars(module) == before
    for wrong in ([parameter(1), te.Tensor([1.0])], {"a": parameter(1), "b": computed}, [leaf], [[leaf]],
                  [{parameter(1)}], ([parameter(1), computed],)):
        with pytest.raises(TypeError, match=r"x.*(Tensor|set)"):
            bag(x=wrong).parameters()
    layer.bias, layer.weight, lstm.dropout, layer.last = parameter(1), parameter(1), nn.Dropout(0.5), computed
    norm.running_mean, layer.act, layer.parts = nn.Buffer(np.zeros(1)), te.ops.relu, [te.Tensor([1.0]), computed]
    assert len(layer.parameters()) == 2 and len(norm.buffers()) == 2


def test_a_tied_parameter_counts_once_under_its_first_name():
    token = nn.Embedding(5, 3)
    head = nn.Linear(3, 5, bias=False)
    head.weight = token.weight
    model = bag(token=token, head=head, again=[token, token.weight])
    assert names(model) == ["token.weight"]
    assert [name for name, _ in model.named_modules()] == ["", "token", "head"]
    assert model.parameters()[0] is token.weight
    logits = head(token([[1, 4]]))
    logits.sum().backward()
    assert isinstance(token.weight.grad, np.ndarray)  # both uses: rows looked up, plus the head's dense gradient
    Adam(model.parameters(), lr=0.1).step()


def test_modules_that_hold_each_other_do_not_go_round():
    child, parent = bag(w=parameter(1)), bag(v=parameter(2))
    child.parent, parent.child = parent, child
    assert names(parent) == ["v", "child.w"]


def test_a_part_replaced_is_found_in_its_old_place():
    module = bag(a=parameter(1), b=parameter(2))
    module.a = parameter(3)
    assert [p.shape for p in module.parameters()] == [(3,), (2,)]


def test_train_and_eval_reach_everything_inside():
    model = nn.Sequential(nn.Dropout(), bag(parts=[nn.Dropout(), {"x": nn.Dropout()}]))
    modules = [m for _, m in model.named_modules()]
    assert len(modules) == 5 and all(m.training for m in modules)
    assert model.eval() is model and not any(m.training for m in modules)
    assert model.train() is model and all(m.training for m in modules)
    model[1].eval()
    assert [m.training for m in modules] == [True, True, False, False, False]
    assert nn.Dropout().training  # a new one is not concerned


def test_freezing_takes_parameters_out_of_training_and_forgets_their_gradients():
    model = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2))
    model([1, 2]).sum().backward()
    assert model[0].freeze() is model[0]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True]
    assert model[0].weight.grad is None and model[1].weight.grad is not None
    before = model[0].weight.data.tobytes()
    for _ in range(3):
        model([1, 2]).sum().backward()
        Adam(model.parameters(), lr=0.1).step()
    assert model[0].weight.grad is None and model[0].weight.data.tobytes() == before
    model[0].freeze(False)
    assert all(p.requires_grad for p in model.parameters())


def test_a_frozen_model_makes_no_graph():
    assert not nn.Linear(2, 2).freeze()(te.Tensor([[1.0, 2.0]])).requires_grad


def test_zero_grad_forgets_all_gradients():
    model = nn.Sequential(nn.Embedding(4, 2), nn.LayerNorm(2))
    model([1]).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_lists_and_sequences():
    layers = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 4)])
    layers.append(nn.Linear(4, 5))
    assert len(layers) == 3 and layers[-1] is layers[2] and list(layers) == [layers[i] for i in range(3)]
    assert names(layers)[:3] == ["0.weight", "0.bias", "1.weight"]
    for i in (3, -4):
        with pytest.raises(IndexError, match=f"module {i} of a list of 3"):
            layers[i]
    with pytest.raises(TypeError, match="holds modules, not function"):
        layers.append(lambda x: x)
    x = te.Tensor(rng().normal(size=(6, 2)))
    assert np.array_equal(nn.Sequential(*layers)(x).data, layers[2](layers[1](layers[0](x))).data)
    assert nn.Sequential()(x) is x


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        nn.Module()(1)


# ------------------------------------------------------------------------------------------- state, looks


def test_state_dict_copies():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    assert list(state) == ["weight", "bias"] and all(type(a) is np.ndarray for a in state.values())
    before = layer.weight.data.copy()
    state["weight"][:] = 9
    assert np.array_equal(layer.weight.data, before)
    kept = layer.state_dict()
    layer.weight.data = before + 1
    assert np.array_equal(kept["weight"], before)


@every_layer
def test_a_state_makes_another_layer_the_same(name):
    make, x = LAYERS[name]
    one, two = make(rng=rng(0)).eval(), make(rng=rng(1)).eval()
    assert (one(x).data.tobytes() == two(x).data.tobytes()) == (name not in DRAWN)
    two.load_state_dict(one.state_dict())
    assert one(x).data.tobytes() == two(x).data.tobytes()
    for p, q in zip(one.parameters(), two.parameters()):
        assert not np.shares_memory(p.data, q.data)


def test_load_state_dict_takes_tensors_and_other_dtypes_and_keeps_its_own():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"bias": te.Tensor([3]), "weight": te.Parameter(np.array([[1.0, 2.0]]))})
    assert layer.weight.data.tolist() == [[1, 2]] and layer.bias.data.tolist() == [3]
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    layer.load_state_dict(dict(layer.named_parameters()))  # its own parameters
    assert layer.weight.data.tolist() == [[1, 2]]


def test_load_state_dict_that_is_not_strict_sets_what_both_have_says_the_rest_and_refuses_other_shapes():
    layer = nn.Linear(2, 1)
    before = layer.bias.data.copy()
    assert layer.load_state_dict({"weight": [[1.0, 2.0]], "bais": [0.5]}, strict=False) == (["bias"], ["bais"])
    assert layer.weight.data.tolist() == [[1, 2]] and layer.bias.data == before
    with pytest.raises(ValueError, match=r"Linear\(2 -> 1\): weight is \(1, 3\), should be \(1, 2\)$"):
        layer.load_state_dict({"weight": np.zeros((1, 3)), "bias": [9.0], "more": 0}, strict=False)
    assert layer.bias.data == before and layer.load_state_dict(layer.state_dict()) == ([], [])


def test_load_state_dict_copies():
    layer, a = nn.Linear(2, 1), np.ones((1, 2), np.float32)
    layer.load_state_dict({"weight": a, "bias": [0.5]})
    a[:] = 5
    assert layer.weight.data.tolist() == [[1, 1]] and layer.bias.data.tolist() == [0.5]


def test_load_state_dict_names_all_that_is_wrong_and_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Embedding(4, 2))
    before = {name: (p.data.tobytes(), p.dtype) for name, p in model.named_parameters()}
    state = {"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(2), "1.wait": np.zeros((2, 2)), "1.bias": np.zeros(()),
             "extra": np.zeros(1), "2.weight": np.full((4, 2), "a")}
    with pytest.raises(ValueError) as error:
        model.load_state_dict(state)
    for text in ("Sequential()", "missing 1.weight", "unexpected 1.wait", "unexpected extra",
                 "0.weight is (3, 2), should be (2, 3)", "1.bias is (), should be (2,)", "2.weight holds <U1"):
        assert text in str(error.value)
    assert {name: (p.data.tobytes(), p.dtype) for name, p in model.named_parameters()} == before
    for bad in ({}, {"weight": None}):
        with pytest.raises(ValueError, match="missing bias"):
            nn.Linear(1, 1).load_state_dict(bad)


def test_a_graph_older_than_a_loaded_state_is_refused():
    layer = nn.Linear(2, 1)
    y = layer(te.Tensor([[1.0, 2.0]]))
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="was changed after linear had read it"):
        y.backward()


def test_repr_is_an_outline():
    model = bag(token=nn.Embedding(9, 4), blocks=[nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1)),
                                                  nn.Linear(8, 9, bias=False)], w=parameter(3), norm=nn.RMSNorm(9))
    assert repr(model).split("\n") == [
        "Module()", "  token: Embedding(9 x 4)", "  blocks.0: Sequential()", "    0: Linear(4 -> 8)",
        "    1: Dropout(p=0.1)", "  blocks.1: Linear(8 -> 9, no bias)", "  norm: RMSNorm(9)"]


def test_summary_counts_every_parameter_once():
    token = nn.Embedding(1000, 4)
    model = bag(token=token, head=bag(weight=token.weight), norm=nn.LayerNorm(4), scale=te.Parameter(np.float32(1)))
    model.norm.bias.requires_grad = False
    lines = [re.split(r" {2,}", line.strip()) for line in model.summary().split("\n")]
    assert lines == [["parameter", "shape", "count"], ["token.weight", "(1000, 4)", "4,000"],
                     ["norm.weight", "(4,)", "4"], ["norm.bias (frozen)", "(4,)", "4"], ["scale", "()", "1"],
                     ["total", "4,009"]]
    assert len({len(line) for line in model.summary().split("\n")}) == 1


# ------------------------------------------------------------------------------------------ every layer


@every_layer
def test_gradients(name):
    make, x = LAYERS[name]
    te.check_gradients(make(rng=rng()), x, full=True)
    te.check_gradients(make(rng=rng()), x, full=False)


@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_gradients_of_norms_away_from_their_first_weights(name):
    make, x = LAYERS[name]
    layer = make()
    layer.load_state_dict({n: rng(3).normal(size=p.shape) for n, p in layer.named_parameters()})
    te.check_gradients(layer, x)


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_keeps_its_dtype(name, dtype):
    make, x = LAYERS[name]
    layer = make(rng=rng(), dtype=dtype)
    x = te.Tensor(x.astype(dtype) if x.dtype.kind == "f" else x, requires_grad=x.dtype.kind == "f")
    y = layer(x)
    y.sum().backward()
    assert y.dtype == dtype and all(p.dtype == p.grad.dtype == dtype for p in layer.parameters())
    assert x.grad is None or x.grad.dtype == dtype


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_generator_or_seed_gives_the_same_bytes(name):
    make, _ = LAYERS[name]

    def drawn(layer):
        return [p.data.tobytes() for p in layer.parameters()]

    assert drawn(make(rng=rng(5))) == drawn(make(rng=rng(5))) != drawn(make(rng=rng(6)))
    made = []
    for seed in (5, 5, 6):
        te.seed(seed)
        made.append([drawn(make()), drawn(make())])
    assert made[0] == made[1] != made[2]
    assert made[0][0] != made[0][1]  # two layers of one seed differ
    te.seed(5)
    make(rng=rng(0))  # takes nothing from the process-wide sequence
    assert drawn(make()) == made[0][0]


def test_numpys_own_random_state_is_not_touched():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    te.seed(1)
    nn.GPTEmbedding(5, 4, 3, dropout=0.5)([0, 1])
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


@every_layer
def test_empty_batches(name):
    make, x = LAYERS[name]
    layer = make(rng=rng())
    y = layer(te.Tensor(x[:0], requires_grad=not layer.parameters()))
    assert y.shape[0] == 0 and y.size == 0
    y.sum().backward()
    for p in layer.parameters():
        grad = p.grad if isinstance(p.grad, np.ndarray) else p.grad.to_dense()
        assert not grad.any()


# ----------------------------------------------------------------------------------------------- Linear


def test_linear_is_its_formula():
    layer = nn.Linear(3, 2, rng=rng(), dtype=np.float64)
    x = rng(1).normal(size=(4, 5, 3))
    W, b = layer.weight.data, layer.bias.data
    assert W.shape == (2, 3) and b.shape == (2,)
    np.testing.assert_allclose(layer(te.Tensor(x)).data, np.einsum("bti,oi->bto", x, W) + b, rtol=1e-13)
    assert layer(te.Tensor(x[0, 0])).shape == (2,)
    assert names(nn.Linear(3, 2, bias=False)) == ["weight"]


def test_linear_starts_uniform_within_its_bound():
    layer = nn.Linear(400, 500, rng=rng())
    for p in layer.parameters():
        assert abs(p.data).max() <= 1 / 20 + 1e-9 and abs(p.data.mean()) < 0.005
        assert p.data.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (3, 4)])
def test_linear_names_itself_and_both_shapes(shape):
    with pytest.raises(ValueError) as error:
        nn.Linear(3, 2)(te.Tensor(np.zeros(shape)))
    assert str(error.value) == f"Linear(3 -> 2) takes x (…, 3), got {shape}"


# -------------------------------------------------------------------------------------- Embedding, rows


@given(V=st.integers(1, 9), D=st.integers(1, 4), shape=st.lists(st.integers(0, 3), max_size=3), seed=st.integers(0, 99))
def test_embedding_is_bit_equal_to_weight_ids_and_sums_repeats(V, D, shape, seed):
    table = nn.Embedding(V, D, rng=rng(seed), dtype=np.float64)
    ids = rng(seed).integers(V, size=shape)
    y = table(ids)
    assert y.shape == (*shape, D) and y.data.tobytes() == table.weight.data[ids].tobytes()
    g = rng(seed + 1).normal(size=y.shape)
    y.backward(g)
    assert isinstance(table.weight.grad, te.RowGrad) and table.weight.grad.ids.size == ids.size
    one_hot = np.eye(V)[ids.reshape(-1)]
    np.testing.assert_allclose(table.weight.grad.to_dense(), one_hot.T @ g.reshape(-1, D), rtol=1e-12, atol=1e-12)


def test_embedding_of_the_first_row_of_the_systems_page():
    table = nn.Embedding(6, 64)
    assert table(np.arange(6)).shape == (6, 64) and table(3).shape == (64,) and table([]).shape == (0, 64)
    assert np.array_equal(table(te.Tensor([[5, 0]])).data[0], table.weight.data[[5, 0]])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "int64"])
def test_ids_of_every_integer_dtype_are_exact(dtype):
    table = nn.Embedding(256, 2)
    ids = np.array([0, 127, 5], dtype)
    assert table(ids).data.tobytes() == table.weight.data[[0, 127, 5]].tobytes()


@pytest.mark.parametrize("std", [1.0, 0.02])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embedding_starts_normal(std, dtype):
    w = nn.Embedding(1000, 50, std=std, rng=rng(), dtype=dtype).weight.data / std
    assert w.dtype == dtype and abs(w.mean()) < 0.02 and w.std() == pytest.approx(1, abs=0.01)
    inside = [(abs(w) < k).mean() for k in (1, 2, 3)]
    np.testing.assert_allclose(inside, [0.6827, 0.9545, 0.9973], atol=0.006)
    assert nn.Embedding(1000, 50).weight.data.std() == pytest.approx(1, abs=0.02)  # the default


@pytest.mark.parametrize("module", [nn.Embedding(6, 2), nn.GPTEmbedding(6, 2, 9)], ids=["Embedding", "GPTEmbedding"])
@pytest.mark.parametrize("ids, what, where", [
    (np.array([[0, 1], [2, 6]]), "6", "(1, 1)"), (np.array([1, -1]), "-1", "(1,)"), ([0, 0, 99], "99", "(2,)"),
    (np.array([0, 2**63 - 1]), str(2**63 - 1), "(1,)"), (np.array([2**64 - 1], np.uint64), str(2**64 - 1), "(0,)")])
def test_ids_outside_the_table_are_named(module, ids, what, where):
    with pytest.raises(IndexError) as error:
        module(ids)
    for text in (f"id {what} at position {where} ", "table: 6 rows (0 … 5)"):
        assert text in str(error.value)


@pytest.mark.parametrize("module", [nn.Embedding(6, 2), nn.GPTEmbedding(6, 2, 9)], ids=["Embedding", "GPTEmbedding"])
@pytest.mark.parametrize("ids", [np.array([1.0]), [1.5, 2.5], np.array([True, False]), np.array(["a"]), [2**70, 1],
                                 te.Tensor([1.0])])
def test_ids_that_are_no_integers_are_refused(module, ids):
    with pytest.raises(TypeError, match="ids are integers, not"):
        module(ids)


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3)])
def test_a_table_without_rows_or_columns_is_refused(size):
    with pytest.raises(ValueError, match="at least one row and one column"):
        nn.Embedding(*size)


@pytest.mark.filterwarnings("ignore:.* takes dense steps")
@pytest.mark.parametrize("name", EITHER_WAY)
def test_only_looked_up_rows_change_and_those_that_decay(name):
    table = nn.Embedding(50, 4, rng=rng())
    before = table.weight.data.copy()
    steps = EITHER_WAY[name](table.parameters())
    all_decay = steps.sparse == "exact" and getattr(steps.groups[0], "weight_decay", 0) > 0
    touched = set(range(50)) if all_decay else set()
    for step in range(10):
        ids = rng(step).integers(50, size=3)
        touched |= set(ids.tolist())
        table.zero_grad()
        (table(ids) * 2).sum().backward()
        steps.step()
        changed = set(np.flatnonzero((table.weight.data != before).any(1)).tolist())
        assert changed == touched


def test_inference_changes_nothing():
    model = nn.GPTEmbedding(20, 4, 10, dropout=0.5)
    before = [p.data.tobytes() for p in model.parameters()]
    with te.no_grad():
        y = model([[1, 2, 3]])
        model.eval()([[1, 2, 3]])
    assert not y.requires_grad and [p.data.tobytes() for p in model.parameters()] == before
    y.data[:] = 0  # a lookup is a copy
    assert [p.data.tobytes() for p in model.parameters()] == before


# -------------------------------------------------------------------------------------------- positions


def test_gpt_embedding_is_token_plus_position():
    model = nn.GPTEmbedding(vocab_size=100, embed_dim=8, max_seq_len=10)
    token, position = model.token.weight.data, model.position.table.weight.data
    assert token.shape == (100, 8) and position.shape == (10, 8) and len(model.parameters()) == 2
    y = model([[0, 1, 2, 3, 4, 5]])
    assert y.shape == (1, 6, 8) and y.data.tobytes() == (token[:6] + position[:6])[None].tobytes()
    assert model([7, 7]).data.tobytes() == (token[[7, 7]] + position[:2]).tobytes()
    assert model([[7, 7]], offset=8).data.tobytes() == (token[[7, 7]] + position[8:])[None].tobytes()
    for p in model.parameters():
        assert p.data.std() == pytest.approx(0.02, rel=0.2)


def test_the_position_gradient_sums_over_the_batch():
    model = nn.GPTEmbedding(5, 2, 4, dtype=np.float64)
    ids = np.array([[1, 1, 3], [3, 0, 1]])
    g = rng().normal(size=(2, 3, 2))
    model(ids).backward(g)
    expected = np.zeros((4, 2))
    expected[:3] = g.sum(0)
    np.testing.assert_allclose(model.position.table.weight.grad.to_dense(), expected, atol=1e-14)
    one_hot = np.eye(5)[ids.reshape(-1)]
    np.testing.assert_allclose(model.token.weight.grad.to_dense(), one_hot.T @ g.reshape(-1, 2), atol=1e-14)


def test_more_positions_than_there_are_raise():
    model = nn.GPTEmbedding(vocab_size=100, embed_dim=8, max_seq_len=10)
    assert model(np.zeros((2, 10), int)).shape == (2, 10, 8)
    with pytest.raises(ValueError, match=r"11 positions from 0 on do not fit .*10 positions.*it has 10"):
        model(np.zeros((2, 11), int))
    for offset in (5, -1):
        with pytest.raises(ValueError, match=rf"6 positions from {offset} on do not fit"):
            model(np.zeros((1, 6), int), offset=offset)
    with pytest.raises(ValueError, match="a sequence of ids"):
        model(3)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 5), ()])
def test_positions_name_the_layer_and_both_shapes(shape):
    with pytest.raises(ValueError) as error:
        nn.LearnedPositionalEmbedding(10, 4)(te.Tensor(np.zeros(shape)))
    assert str(error.value) == f"LearnedPositionalEmbedding(10 positions) takes x (…, T, 4), got {shape}"


# ---------------------------------------------------------------------------------------------- norms


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_norms_are_their_formula(norm):
    layer = norm(5, dtype=np.float64)
    state = {n: rng(2).normal(size=p.shape) for n, p in layer.named_parameters()}
    x = 3 * rng(1).normal(size=(2, 4, 5)) + 7
    centred = x - x.mean(-1, keepdims=True) if norm is nn.LayerNorm else x
    z = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps)
    np.testing.assert_allclose(layer(te.Tensor(x)).data, z, rtol=1e-12)  # weight starts at 1, bias at 0
    layer.load_state_dict(state)
    np.testing.assert_allclose(layer(te.Tensor(x)).data, z * state["weight"] + state.get("bias", 0), rtol=1e-12)
    assert names(layer) == ["weight", "bias"][:len(state)] and len(state) == 1 + (norm is nn.LayerNorm)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("shape", [(), (3,), (2, 6)])
def test_norms_name_themselves_and_both_shapes(norm, shape):
    with pytest.raises(ValueError) as error:
        norm(5)(te.Tensor(np.zeros(shape)))
    assert str(error.value) == f"{norm.__name__}(5) takes x (…, 5), got {shape}"


# -------------------------------------------------------------------------------------------- dropout


def test_dropout_drops_in_training_alone():
    x = te.Tensor(np.ones((200, 100)), requires_grad=True)
    layer = nn.Dropout(0.25, rng=rng())
    y = layer(x)
    assert set(np.unique(y.data)) == {0, 1 / 0.75} and (y.data == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not np.array_equal(layer(x).data, y.data)
    y.sum().backward()
    assert np.array_equal(x.grad, y.data)
    assert np.array_equal(layer.eval()(x).data, x.data)
    assert np.array_equal(nn.Dropout(0.0)(x).data, x.data)
    assert nn.Dropout(0.25, rng=rng())(x).data.tobytes() == y.data.tobytes()


def test_dropout_off_and_on_in_the_gradient_check():
    model = nn.GPTEmbedding(5, 3, 4, dropout=0.5, rng=rng())
    with pytest.raises(ValueError, match="two values"):
        te.check_gradients(model, [[1, 1, 3]])
    te.check_gradients(model.eval(), [[1, 1, 3]])
    mask = rng().random((4, 3)) > 0.5
    te.check_gradients(lambda x: ops.dropout(x, 0.5, mask), te.Tensor(rng().normal(size=(4, 3))))  # on: a fixed mask


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, np.nan])
def test_dropout_probabilities_outside_0_to_1_are_refused(p):
    with pytest.raises(ValueError, match="dropout probability"):
        nn.Dropout(p)


def test_a_dot_in_a_key_is_refused_since_two_parameters_could_share_a_name():
    model = nn.Module()
    model.tables = {"a.b": te.Parameter(np.zeros(2))}
    with pytest.raises(ValueError, match="dots"):
        model.state_dict()


# -- what is assigned to an attribute ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("optimizer", [te.optim.SGD, te.optim.AdamW])
def test_a_table_keeps_its_promises_on_a_weight_that_is_assigned(make, optimizer):
    """The padding row stays, and rows are brought down to max_norm, whoever made the weight."""
    table, head = make(3, 2, padding_idx=0, max_norm=0.5), nn.Linear(2, 3, bias=False)
    table.weight = head.weight
    head.weight.data = np.ones((3, 2), np.float32)
    adam = optimizer(head.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(3):
        adam.zero_grad()
        (table([[0, 1, 2]]).sum() + head(np.ones((1, 2), np.float32)).sum()).backward()
        adam.step()
    assert head.weight.data[0].tolist() == [1, 1]
    assert (np.linalg.norm(head.weight.data[1:], axis=1) < 0.51).all()


def test_a_weight_of_another_length_is_the_tables_length():
    table = nn.Embedding(3, 2, padding_idx=1)
    table.weight = te.Parameter(np.zeros((5, 2)))
    assert table.num_embeddings == 5 and table.weight.frozen_rows.tolist() == [False, True, False, False, False]
    assert table([4]).shape == (1, 2)
    before = table.weight
    with pytest.raises(ValueError, match="as many rows"):
        table.weight = te.Parameter(np.zeros((1, 2)))
    assert table.weight is before and table.num_embeddings == 5


@pytest.mark.parametrize("change", [lambda layer: layer.weight.grow(np.ones((2, 2))),
                                    lambda layer: setattr(layer, "weight", te.Parameter(np.ones((5, 2))))])
def test_sizes_are_those_of_the_weight(change):
    table, head = (change(layer) or layer for layer in (nn.EmbeddingBag(3, 2), nn.Linear(2, 3, bias=False)))
    assert table.num_embeddings == head.out_features == 5 and table([[4]]).data.tolist() == [[1, 1]]
    assert table.freeze_rows([4]).weight.frozen_rows.sum() == 1 and head(np.ones((1, 2))).shape == (1, 5)
    assert repr(table) == "EmbeddingBag(5 x 2)" and repr(head) == "Linear(2 -> 5, no bias)"
    position = nn.LearnedPositionalEmbedding(3, 2)
    change(position.table)
    assert position.max_seq_len == 5 and position(np.zeros((5, 2))).shape == (5, 2)


def test_a_parameters_place_is_for_parameters():
    m = nn.Linear(2, 2)
    names = dict(m.named_parameters())
    for wrong in (m.weight * 0.5, m.weight.data, te.Tensor(np.zeros((2, 2))), [[1.0, 2.0], [3.0, 4.0]], 0.0):
        with pytest.raises(TypeError, match=r"weight of Linear is a Parameter.*weight\.data"):
            m.weight = wrong
    with te.no_grad():
        m.weight -= 0.1 * np.ones((2, 2), np.float32)
        m.weight -= m.weight
    assert dict(m.named_parameters()) == names and not m.weight.data.any()
    with pytest.raises(TypeError, match="is a Parameter"):
        m.weight -= 0.1
    m.bias = None
    m.weight = te.Parameter(np.ones((2, 2), np.float32))
    assert m(np.ones((1, 2), np.float32)).data.tolist() == [[2, 2]] and len(m.parameters()) == 1
