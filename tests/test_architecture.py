"""The floors: a file imports from floors below, or from its own without a circle, never up. Read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinyembed"
FLOORS = {"core": 0, "ops": 1, "gradcheck": 1, "files": 1, "rows": 2, "nn": 3, "optim": 3, "text": 3, "data": 3,
          "train": 4, "vectors": 4, "explain": 4, "models": 5}
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {".".join(path.with_suffix("").relative_to(ROOT).parts).removesuffix(".__init__"): path for path in FILES}
OPTIONAL = {"tqdm", "matplotlib"}  # inside a function, with a fall-back


def imports(path, top_only=False):
    """(absolute module name, line) of all imports in a file."""
    package = list(path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield (full if full in MODULES else module), node.lineno


def room(module):
    """The folder or file of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} - {""} <= set(FLOORS)


@pytest.mark.parametrize("module", [m for m in MODULES if room(m)])
def test_no_file_imports_upwards(module):
    for name, line in imports(MODULES[module]):
        if name.startswith("tinyembed.") and room(name) != room(module):
            assert FLOORS[room(name)] <= FLOORS[room(module)], f"{MODULES[module]}:{line} imports {name}"


def test_core_imports_nothing_of_the_package():
    for module in MODULES:
        if room(module) == "core":
            assert {room(name) for name, _ in imports(MODULES[module]) if name.startswith("tinyembed")} <= {"core"}


def test_no_circles():
    graph = {module: {name for name, _ in imports(path, top_only=True) if name in MODULES and name != module}
             for module, path in MODULES.items()}
    graph = {module: {name for name in names if not module.startswith(name)} for module, names in graph.items()}
    state = {}

    def visit(module, trail):
        assert state.get(module) != "open", f"circle: {' -> '.join([*trail, module])}"
        if module not in state:
            state[module] = "open"
            for name in sorted(graph[module]):
                visit(name, [*trail, module])
            state[module] = "done"

    for module in graph:
        visit(module, [])


def test_run_time_dependency_is_numpy_alone():
    import sys
    allowed = {"numpy", "tinyembed", *sys.stdlib_module_names}
    for path in FILES:
        for name, line in imports(path):
            top = name.split(".")[0]
            assert top in allowed | OPTIONAL, f"{path}:{line} imports {name}"
        assert not OPTIONAL & {name.split(".")[0] for name, _ in imports(path, top_only=True)}, path


def test_nothing_in_the_package_imports_examples_benchmarks_or_tests():
    for path in FILES:
        assert not {"examples", "benchmarks", "tests"} & {name.split(".")[0] for name, _ in imports(path)}


def test_files_keep_to_one_idea():
    for path in FILES:
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= 400, f"{path} has {lines} lines"


def test_no_numpy_global_random_and_no_pickle():
    for path in FILES:
        assert "pickle" not in {name.split(".")[0] for name, _ in imports(path)}, path
        text = path.read_text("utf-8")
        assert "np.random.seed" not in text and "allow_pickle=True" not in text, path
