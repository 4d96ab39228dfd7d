"""The house as its imports show it: floors, faces, the spine, and how much one reads to understand a file of it.

Each rule is a function from a House to the places where it is broken; it is tried on the package, and on a small house
in which each rule is broken once.
"""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"core": 0, "ops": 1, "gradcheck": 1, "files": 1, "rows": 2, "nn": 3, "optim": 3, "text": 3, "data": 3,
          "train": 4, "vectors": 4, "explain": 4, "models": 5}
OPTIONAL = {"tqdm", "matplotlib", "PIL", "sklearn"}  # inside a function, with a fall-back
# What one reads to understand a file of the spine: at most so many files, and lines.
CLOSURES = {"nn.embedding": (14, 2350), "optim.sgd": (14, 2230), "train.loop": (18, 2840)}
BASIC = ("module", "linear", "embedding", "positional", "norm", "dropout")
SPINE = ["gradcheck", *(f"nn.{name}" for name in BASIC), "train.loop"]  # besides all of core, ops and optim
ANNEX = {"files", "multiprocessing", "rows.mapped", "rows.report", "train.checkpoint", "train.group", "train.processes"}
# Where the spine lets an annex in, on a call that asks for it.
DOORS = {("nn.embedding", "rows.mapped"), ("train.loop", "rows.report"), ("train.loop", "train.checkpoint")}


class House:
    """The modules of a package, and what each imports, by names from the package's root: "nn.embedding"; "" is the
    package itself, a room's face is the room: "nn"."""

    def __init__(self, root, package="tinyembed"):
        self.package, self.root = package, root
        self.paths = {self.name(path): path for path in sorted((root / package).rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text("utf-8")) for name, path in self.paths.items()}

    def name(self, path):
        parts = path.relative_to(self.root / self.package).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def is_face(self, module):
        return self.paths[module].name == "__init__.py"

    def statements(self, module, how):
        """All import statements ("anywhere"), those that run when the module is loaded ("loading"), or those and what
        type checkers alone see ("named")."""
        if how == "anywhere":
            return [node for node in ast.walk(self.trees[module]) if isinstance(node, (ast.Import, ast.ImportFrom))]
        found, left = [], list(self.trees[module].body)
        while left:
            node = left.pop(0)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                found.append(node)
            elif isinstance(node, (ast.If, ast.Try, ast.With)) and (how == "named" or not is_type_checking(node)):
                left += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        return found

    def imports(self, module, how="anywhere"):
        """(module or file of the outside, name or None, line) of each import."""
        above = module.split(".") if module else []
        for node in self.statements(module, how):
            if isinstance(node, ast.Import):
                yield from ((self.inside(alias.name), None, node.lineno) for alias in node.names)
                continue
            if node.level:
                base = [self.package, *above][:len(above) + 1 + self.is_face(module) - node.level + (not above)]
                full = ".".join([*base, *([node.module] if node.module else [])])
            else:
                full = node.module
            for alias in node.names:  # a file, unless the face gives its name to something in it: ops.attention
                source, name = self.inside(full), self.inside(f"{full}.{alias.name}")
                is_file = name in self.paths and (source == module or alias.name not in self.passed_on(source))
                yield (name, None, node.lineno) if is_file else (source, alias.name, node.lineno)

    def passed_on(self, module):
        """The names that a face takes from the files behind it."""
        return {inner for _, inner, _ in self.imports(module, "named")} if module and self.is_face(module) else set()

    def inside(self, name):
        """The name from the package's root; ":name" of what is outside."""
        if name == self.package or name.startswith(self.package + "."):
            return name[len(self.package) + 1:]
        return ":" + name

    def defined_in(self, module, name):
        """The module in which a name that is imported from there is really defined: a face passes it on."""
        if name and self.is_face(module):
            for source, inner, _ in self.imports(module, "named"):
                if inner == name and source in self.paths and source != module:
                    return self.defined_in(source, name)
        return module

    def closure(self, module, how="loading"):
        """The modules that one opens to understand this one, faces left out."""
        seen, left = set(), [module]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += [self.defined_in(source, inner) for source, inner, _ in self.imports(name, how)
                         if source in self.paths]
        return {name for name in seen if not self.is_face(name)}

    def lines(self, modules):
        return sum(len(self.paths[name].read_text("utf-8").splitlines()) for name in modules)


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room(module):
    """The folder or file of the package that a module belongs to; "" of the package itself."""
    return module.split(".")[0]


# -- the rules ---------------------------------------------------------------------------------------------------------


def rooms_without_a_floor(house):
    return sorted({room(module) for module in house.paths} - {""} - set(FLOORS))


def upward(house):
    """Imports of a higher floor, or of the package's own face."""
    return [f"{module}:{line} imports {name or house.package}" for module in house.paths if module
            for name, _, line in house.imports(module) if not name.startswith(":")
            and (name == "" or FLOORS[room(name)] > FLOORS[room(module)])]


def past_a_face(house):
    """Imports of a file of another room, and not of the room's face."""
    return [f"{module}:{line} imports {name}" for module in house.paths if module
            for name, _, line in house.imports(module)
            if "." in name and not name.startswith(":") and room(name) != room(module) and not house.is_face(name)]


def circles(house):
    graph = {module: {house.defined_in(name, inner) for name, inner, _ in house.imports(module, "loading")
                      if name in house.paths} - {module} for module in house.paths if not house.is_face(module)}
    state, found = {}, []

    def visit(module, trail):
        if state.get(module) == "open":
            found.append(" -> ".join([*trail, module]))
        elif module not in state:
            state[module] = "open"
            for name in sorted(graph.get(module, ())):
                visit(name, [*trail, module])
            state[module] = "done"

    for module in graph:
        visit(module, [])
    return found


def annexes_in_the_spine(house):
    """What a file of the spine loads, directly or through others, and is no spine; and doors that are not in DOORS."""
    spine = {module for module in house.paths if room(module) in ("core", "ops", "optim") and module not in OPEN_LATE}
    spine = {*spine, *(name for name in SPINE if name in house.paths)}
    found = []
    for module in spine:
        for name in house.closure(module) - {module}:
            if name in ANNEX or room(name) in ANNEX:
                found.append(f"{module} needs {name}")
        found += [f"{module} imports {name[1:]}" for name, _, _ in house.imports(module) if name[1:] in ANNEX]
        for name, inner, line in house.imports(module):
            source = house.defined_in(name, inner) if name in house.paths else ""
            if (source in ANNEX or room(source) in ANNEX) and (module, source) not in DOORS:
                found.append(f"{module}:{line} opens a door to {source}")
    return found


OPEN_LATE = {"optim", "optim.saved"}  # the face names it; what it needs comes from files, and the optimisers do not


# -- the house ---------------------------------------------------------------------------------------------------------

HOUSE = House(ROOT)
RULES = [rooms_without_a_floor, upward, past_a_face, circles, annexes_in_the_spine]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert rule(HOUSE) == []


@pytest.mark.parametrize("module", CLOSURES)
def test_few_files_are_read_to_understand(module):
    files, lines = CLOSURES[module]
    closure = HOUSE.closure(module)
    assert len(closure) <= files and HOUSE.lines(closure) <= lines, f"{HOUSE.lines(closure)} lines: {sorted(closure)}"


def test_loading_the_layers_and_the_optimisers_loads_no_annex():
    import subprocess
    code = ("import sys, tinyembed.nn, tinyembed.optim, tinyembed.train\n"
            "print([name for name in sys.modules if name in ('multiprocessing', 'tinyembed.rows.mapped') "
            "or name.startswith('tinyembed.files')])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "[]\n"


BROKEN = {
    "core/__init__.py": "from .tensor import Tensor\n",
    "core/tensor.py": "from .. import version\n",
    "core/backward.py": "from .tensor import Tensor\nimport multiprocessing\n",
    "core/ring.py": "from .chain import a\n",
    "core/chain.py": "from .ring import b\n",
    "ops/__init__.py": "",
    "ops/shape.py": "from ..nn import Linear\n",
    "attic/__init__.py": "",
    "files/__init__.py": "from .errors import short\n",
    "files/errors.py": "short = 1\n",
    "nn/__init__.py": "from .linear import Linear\n",
    "nn/linear.py": "from ..core.tensor import Tensor\n",
    "nn/module.py": "def state():\n    from ..files import short\n",
    "nn/embedding.py": "from .helper import help\n",
    "nn/helper.py": "from ..files import short\n",
}
EXPECTED = {
    "rooms_without_a_floor": ["attic"],
    "upward": ["core.tensor:1 imports tinyembed", "ops.shape:1 imports nn"],
    "past_a_face": ["nn.linear:1 imports core.tensor"],
    "circles": ["core.chain -> core.ring -> core.chain"],
    "annexes_in_the_spine": ["core.backward imports multiprocessing", "nn.embedding needs files.errors",
                             "nn.module:2 opens a door to files.errors"],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_house_that_breaks_the_rule_is_found_out(tmp_path, rule):
    for name, text in {"__init__.py": "version = 1\n", **BROKEN}.items():
        path = tmp_path / "tinyembed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    house = House(tmp_path)
    if rule is not rooms_without_a_floor:
        house.paths.pop("attic")
    assert sorted(rule(house)) == EXPECTED[rule.__name__]


# -- what files hold ---------------------------------------------------------------------------------------------------


def test_run_time_dependency_is_numpy_alone():
    allowed = {"numpy", "tinyembed", *sys.stdlib_module_names}
    for module, path in HOUSE.paths.items():
        tops = {how: {name[1:].split(".")[0] for name, _, _ in HOUSE.imports(module, how) if name.startswith(":")}
                for how in ("anywhere", "loading")}
        assert tops["anywhere"] <= allowed | OPTIONAL and not OPTIONAL & tops["loading"], path
        assert not {"examples", "benchmarks", "tests", "pickle"} & tops["anywhere"], path


def test_files_keep_to_one_idea():
    for path in HOUSE.paths.values():
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= 400, f"{path} has {lines} lines"


def test_no_numpy_global_random_and_no_pickle():
    for path in HOUSE.paths.values():
        text = path.read_text("utf-8")
        assert "np.random.seed" not in text and "allow_pickle=True" not in text, path


def test_a_name_that_begins_with_an_underscore_is_no_other_files():
    found = [f"{path}:{line}: {name}" for module, path in HOUSE.paths.items()
             for source, name, line in HOUSE.imports(module)
             if source in HOUSE.paths and (name or "").startswith("_") and name != "__version__"]
    assert not found


def test_what_a_subclass_must_define_is_named():
    found = [f"{path}:{node.lineno}" for module, path in HOUSE.paths.items() for node in ast.walk(HOUSE.trees[module])
             if isinstance(node, ast.Raise) and getattr(node.exc, "id", "") == "NotImplementedError"]
    assert not found
