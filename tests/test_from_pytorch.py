"""The page "If you come from PyTorch" is a table of code: each line runs, gives what PyTorch gives where that is
installed, and answers whoever looks the name up."""

import ast
import copy
import functools
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import tinyembed as te
from tinyembed.core.from_pytorch import PLACES, rows

ROOT = Path(__file__).parent.parent
ROWS = rows()
MARKS = ("other meaning", "other name", "same", "not here")
NUMBERS = np.random.default_rng(0)
ARRAYS = {"x": NUMBERS.uniform(0.1, 0.9, (3, 4)), "y": NUMBERS.uniform(0.2, 1.5, (3, 4)),
          "z": NUMBERS.standard_normal((2, 3, 4)), "v": NUMBERS.standard_normal(4),
          "w": NUMBERS.standard_normal((4, 4)), "W": NUMBERS.standard_normal((5, 4)),
          "m": np.array([[True, False, True, True], [False, True, True, False], [True, True, False, False]]),
          "i": np.array([2, 0]), "ids": np.array([[4, 0, 1], [1, 1, 3]]), "labels": np.array([1, 3, 0]),
          "targets": NUMBERS.uniform(0, 1, (3, 4)), "weights": NUMBERS.standard_normal((2, 4))}
ARRAYS = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in ARRAYS.items()}


def ours():
    """What the lines of the page find, here."""
    model = te.nn.Sequential(te.nn.Linear(4, 2), te.nn.ReLU())
    return {"np": np, "te": te, "a": ARRAYS["x"].copy(),
            "model": with_numbers(model, lambda p, a: setattr(p, "data", a)),
            **{name: te.Tensor(a, requires_grad=name in "wW") for name, a in ARRAYS.items()},
            "adam": te.optim.Adam(model.parameters())}


def theirs():
    """The same, of PyTorch's."""
    import torch
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    return {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "optim": torch.optim, "data": torch.utils.data,
            "lr_scheduler": torch.optim.lr_scheduler, "np": np, "a": ARRAYS["x"].copy(),
            "model": with_numbers(model, lambda p, a: p.data.copy_(torch.from_numpy(a))),
            **{name: torch.tensor(a, requires_grad=name in "wW") for name, a in ARRAYS.items()},
            "adam": torch.optim.Adam(model.parameters())}


def with_numbers(model, put):
    """The model with weights, and a gradient, that are always the same."""
    first = next(iter(model))
    put(first.weight, ARRAYS["weights"].copy())
    put(first.bias, ARRAYS["weights"][:, 0].copy())
    (model(first.weight) ** 2).sum().backward()
    return model


def run(code, names):
    """What the last expression of the code gives."""
    *first, last = ast.parse(code).body
    exec(compile(ast.Module(first, []), code, "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), code, "eval"), names)
    exec(compile(ast.Module([last], []), code, "exec"), names)
    return None


def plain(value):
    """A result as arrays, lists and numbers; of a module the shapes of what it would save; of what cannot be
    compared None."""
    if isinstance(value, type):
        return np.dtype(value).name if issubclass(value, (np.generic, bool)) else None
    if isinstance(value, te.RowGrad):
        return value.to_dense()
    if isinstance(value, te.Tensor):
        return value.data
    if type(value).__name__ == "dtype":  # of PyTorch's
        return str(value).partition(".")[2]
    if hasattr(value, "detach"):
        return value.to_dense().detach().numpy()
    if hasattr(value, "state_dict") and hasattr(value, "forward"):
        return [[name, list(x.shape)] for name, x in value.state_dict().items()]
    if isinstance(value, dict):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    return value if isinstance(value, (np.ndarray, np.generic, int, float, str)) else None


def outcome(code, names):
    """What the code gives, and what it leaves behind."""
    result = plain(run(code, names))
    return [result, plain(names["x"]), plain(names["w"]), plain(names["w"].grad),
            sorted(names["model"].state_dict()), [module.training for module in names["model"]],
            [[plain(p), plain(p.grad)] for p in names["model"].parameters()]]


def assert_alike(mine, other, values=True):
    if isinstance(mine, (list, dict)):
        assert type(mine) is type(other) and len(mine) == len(other)
        for i in mine if isinstance(mine, dict) else range(len(mine)):
            assert_alike(mine[i], other[i], values)
        return
    assert (mine is None) == (other is None)
    if mine is None or isinstance(mine, str):
        assert mine == other
        return
    assert np.shape(mine) == np.shape(other) and np.asarray(mine).dtype.kind == np.asarray(other).dtype.kind
    if isinstance(mine, np.ndarray) and isinstance(other, np.ndarray) and mine.dtype.kind == "f":
        assert mine.dtype == other.dtype
    if values:
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


RUN = [row for row in ROWS if row.ours]


def faults(check):
    """The rows that a check fails for, each with its error."""
    found = {}
    for row in RUN:
        try:
            check(row)
        except Exception as error:
            found[row.theirs] = repr(error)
    return found


def test_every_spelling_of_ours_runs():
    assert len(RUN) > 500 and {row.mark for row in ROWS} == set(MARKS)
    assert faults(lambda row: outcome(row.ours, ours())) == {}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*is now deprecated:FutureWarning")
def test_every_spelling_of_ours_gives_what_pytorchs_gives():
    torch = pytest.importorskip("torch")

    def check(row):
        torch.manual_seed(0)
        mine, other, again = outcome(row.ours, ours()), *(outcome(row.theirs, theirs()) for _ in range(2))
        if not isinstance(ast.parse(row.ours).body[-1], ast.Expr):
            mine[0] = other[0] = again[0] = None  # an assignment gives nothing: what is left behind is compared
        try:
            assert_alike(other, again)
        except AssertionError:  # it draws: the numbers are others each time
            assert_alike(mine, other, values=False)
        else:
            assert_alike(mine, other)

    assert faults(check) == {}
    names = theirs()
    for root, *path in [chain(row) for row in ROWS if not row.ours and "." in row.theirs.partition("(")[0]]:
        for i, name in enumerate(path):
            owner = functools.reduce(getattr, path[:i], names[root])
            assert name in {*dir(owner), *dir(type(owner))}, f"{root}.{'.'.join(path)}"


# -- who looks a name up is answered -----------------------------------------------------------------------------------


def owners(place):
    """The objects in which a name of this place may be looked up."""
    return {"Tensor": [te.Tensor([1.0]), te.Parameter([1.0])],
            "Module": [te.nn.Linear(2, 2), type("Mine", (te.nn.Module,), {})(), te.nn.Sequential()],
            "Optimizer": [te.optim.SGD([te.Parameter([1.0])], lr=0.1), te.optim.AdamW([te.Parameter([1.0])])],
            "": [te, te.ops, te.nn, te.nn.init, te.optim, te.data]}[place]


def chain(row):
    """The names at the start of a spelling: nn, init, zeros_ of `nn.init.zeros_(w)`."""
    found = re.search(r"[A-Za-z_]\w*(\.\w+)+", row.theirs)
    return found[0].split(".") if found else ("", "")


def answer(owner, name):
    """What is said to somebody who looks up a name that is not there."""
    assert not hasattr(owner, name) and getattr(owner, name, None) is None
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    return str(caught.value)


@pytest.mark.parametrize("place", ["Tensor", "Module", "Optimizer", ""])
def test_every_name_of_the_table_that_is_not_here_is_answered(place):
    said = {}
    for row in ROWS:
        root, *_, name = chain(row)
        if PLACES.get(root, "") == place:
            said.setdefault(name, []).append(row.sentence)
    missing = [(owner, name) for owner in owners(place) for name in said if not hasattr(owner, name)]
    assert len(missing) > 15
    for owner, name in missing:
        words, _, sentence = answer(owner, name).partition(f" has no {name!r}: ")
        assert sentence in said[name] and len(sentence) > 20 and words


def test_a_same_name_is_here_and_another_one_is_not():
    for row in ROWS:
        found = re.match(r"(x|model|adam)\.(\w+)", row.theirs)
        if found and (row.mark == "same" or (row.mark == "other name" and "=" not in row.theirs)):
            owner, name = owners(PLACES[found[1]])[-1], found[2]
            assert hasattr(owner, name) == (row.mark == "same" or name == "detach"), f"{row.theirs} is {row.mark}"
        root, *_, name = chain(row)
        here = [getattr(owner, name, None) for owner in owners(PLACES.get(root, ""))] if name != "storage" else []
        if row.mark == "not here":  # but for a file of that name, and the storage of a Parameter
            assert all(x is None or isinstance(x, types.ModuleType) for x in here), f"{row.theirs} is here"


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: te.ops.sum(x, dim=1), "sum() got an unexpected keyword argument 'dim': PyTorch's `x.sum(dim=1, keep"),
    (lambda x: x.mean(keepdim=True), "is `x.sum(axis=1, keepdims=True)` here"),
    (lambda x: x.squeeze(dim=0), "the arguments of an op are NumPy's"),
    (lambda x: te.ops.softmax(x, dim=x), "PyTorch's `torch.softmax(x, dim=1)` is `te.ops.softmax(x, axis=1)` here"),
    (lambda x: te.Tensor([1.0], dtype=np.float64), "te.Tensor(np.array([1.0], np.float64))"),
    (lambda x: (x * x).sum().backward(retain_graph=True), "walked once"),
    (lambda x: te.nn.Dropout(0.1, inplace=True), "nothing is done in place"),
    (lambda x: te.nn.LSTM(2, 3, proj_size=1), "no such variant"),
    (lambda x: te.nn.Linear(2, 3, device="cpu"), "leave it out"),
    (lambda x: te.nn.MultiHeadAttention(2, 1)(x[None], attn_mask=x), "True where one may look"),
    (lambda x: te.nn.TransformerBlock(2, 1, dim_feedforward=4), "hidden=16"),
    (lambda x: te.nn.Linear(2, 3).zero_grad(set_to_none=True), "PyTorch's `model.zero_grad(set_to_none=True)` is "),
    (lambda x: te.optim.SGD([te.Parameter(x)], lr=1).zero_grad(set_to_none=True), "zero_grad()` here"),
    (lambda x: te.optim.Adam([te.Parameter(x)], amsgrad=True), "no such variant"),
    (lambda x: te.data.Batches(x.data, batch_size=2), "te.data.Batches("),
])
def test_the_name_of_an_argument_is_answered(call, words):
    with pytest.raises(TypeError) as caught:
        call(te.Tensor([[1.0, 2.0]], requires_grad=True).detach())
    assert words in str(caught.value) and str(caught.value).count("PyTorch's") <= 2


def test_what_neither_has_and_what_python_asks_for_gets_pythons_words():
    table = te.nn.Embedding(3, 2)
    adam = te.optim.Adam(table.parameters())
    for owner in (table.weight, table, adam):
        words = f"'{type(owner).__name__}' object has no attribute "
        for name in ("colour", "__array_interface__", "__wrapped__", "_view", "_repr_html_"):
            assert answer(owner, name) == f"{words}{name!r}"
    for owner in owners(""):
        assert answer(owner, "colour") == f"module {owner.__name__!r} has no attribute 'colour'"
    with pytest.raises(TypeError, match=r"argument 'colour'$"):
        te.ops.sum(te.Tensor([1.0]), colour=1)
    with pytest.raises(TypeError, match=r"argument 'dim'$"):  # a word of ops says nothing of somebody's class
        type("Mine", (te.nn.Module,), {"__init__": lambda self, V: None})(V=3, dim=4)
    with pytest.raises(ImportError, match="cannot import name 'colour'"):
        exec("from tinyembed.nn import colour")


def test_a_property_that_fails_says_why_and_copies_are_whole():
    class Mine(te.nn.Module):
        def __init__(self):
            self.table = te.nn.Embedding(3, 2)

        @property
        def view(self):
            return self.tabel.weight

    assert "'tabel'" in answer(Mine(), "view")
    assert copy.deepcopy(Mine()).table.weight.shape == copy.copy(Mine()).table.weight.shape == (3, 2)
    again = pickle.loads(pickle.dumps(te.nn.Linear(2, 3)))
    assert again(np.ones((1, 2), np.float32)).shape == (1, 3)


def test_the_page_is_opened_when_a_look_up_fails_and_not_before():
    code = ("import tinyembed as te, numpy as np\nfrom tinyembed.core.from_pytorch import rows\n"
            "te.nn, te.optim, te.data\n"
            "np.add(te.Tensor([1.0]).data, 1), hasattr(te.nn.Linear(2, 2), '__wrapped__')\n"
            "assert not rows.cache_info().currsize; assert not hasattr(te, 'cat') and rows.cache_info().currsize")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).stderr == b""
    assert "from_pytorch.md" in (ROOT / "setup.cfg").read_text("utf-8").partition("package_data")[2].splitlines()[1]


# Names that are public in PyTorch by its looks alone: helpers and types.
INTERNAL = re.compile(r"(?i)Post|PreHook|with_indices|_?torch_function|Broadcasting|Type$|boolean_|assert_|^native_|"
                      r"^fuse_|^convert_|^swap_|Pipe|DataChunk|runtime_|argument_|functional_|determinis|factory_kw|"
                      r"^index$|dump_patches|T_destination")


def test_every_public_name_of_pytorchs_tensors_layers_and_optimisers_is_here_or_answered():
    torch = pytest.importorskip("torch")
    rooms = [torch.nn, torch.nn.functional, torch.nn.init, torch.nn.utils, torch.optim, torch.optim.lr_scheduler,
             torch.utils.data]
    names = [(owners(place), name) for place, theirs in
             (("Tensor", torch.Tensor), ("Module", torch.nn.Module), ("Optimizer", torch.optim.Optimizer))
             for name in dir(theirs)  # and not what other packages have put there
             if (getattr(getattr(theirs, name, None), "__module__", None) or "torch").startswith("torch")]
    for room in rooms:
        for name in dir(room):
            made = getattr(getattr(room, name), "__module__", None) or ""
            if made.startswith(room.__name__.replace(".functional", "")) or name in getattr(room, "__all__", ()):
                names.append((owners(""), name))
    names = [(places, name) for places, name in names if not name.startswith("_") and not INTERNAL.search(name)]
    unknown = {name for places, name in names if not any(hasattr(owner, name) for owner in places)
               and " has no " + repr(name) + ": " not in answer(places[0], name)}
    assert len(names) > 900 and not unknown
