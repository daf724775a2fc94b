"""Reads every file's imports and lengths, and holds the house's rules."""

import ast
import functools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("color_s4l", "colorization")
# The way of the data: a module may import from its own place or an earlier one.
ORDER = (
    "color_s4l.data",
    "color_s4l.views",
    "color_s4l.networks",
    "color_s4l.saving",
    "color_s4l.terms",
    "color_s4l.methods",
    "color_s4l.training",
    "color_s4l.recipes",
)
AFTER = len(ORDER)
# What stands beside the way: read by many, reads nothing of it.
BASE = {
    "errors",
    "files",
    "cache",
    "origin",
    "randomness",
    "commands",
    "config",
    "progress",
}
# What the colorization library shares with the other one.
SHARED = {"errors", "files", "cache", "progress", "randomness", "data.image_files"}
SHARED |= {"saving.keras_files"}
# Values to pictures and error rates: used by training, after the views.
MEASURES = {"color_s4l.training.evaluation": 1, "color_s4l.artifacts.pictures": 0}
BACKENDS = {
    "color_s4l.data.feeding.tensorflow": {"tensorflow"},
    "color_s4l.networks.kernels.tensorflow": {"tensorflow"},
    "color_s4l.networks.kernels.jax": {"jax"},
    "color_s4l.training.tensorflow": {"tensorflow"},
    "color_s4l.training.jax": {"jax"},
    "color_s4l.data.tfds": {"tensorflow", "tensorflow_datasets"},
}
COMMANDS = {f"colorization.{name}" for name in ("train", "evaluate", "colorize")}


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    )


FILES = {
    module_of(path): path for name in PACKAGES for path in (ROOT / name).rglob("*.py")
}


@functools.cache
def tree(module):
    return ast.parse(FILES[module].read_text())


def _names(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert not node.level, "imports are absolute"
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in FILES else node.module for name in inner]


def imports(module, *, nested=True):
    """Modules that a module imports; without `nested`, only when it is imported."""
    nodes = ast.walk(tree(module)) if nested else tree(module).body
    kinds = (ast.Import, ast.ImportFrom)
    return {name for n in nodes if isinstance(n, kinds) for name in _names(n)}


def place(module):
    """Where a module stands on the way; None beside it."""
    if module in MEASURES:
        return MEASURES[module]
    for number, folder in enumerate(ORDER):
        if module == folder or module.startswith(f"{folder}."):
            return number
    if module.startswith("colorization"):
        return 0
    last = module.rpartition(".")[2]
    return None if module == "color_s4l" or last in BASE else AFTER


@pytest.mark.parametrize("module", FILES)
def test_frameworks_are_imported_only_where_they_differ(module):
    found = {name.partition(".")[0] for name in imports(module)}
    frameworks = {"tensorflow", "jax", "torch", "tensorflow_datasets"}
    assert found & frameworks == BACKENDS.get(module, set())


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("color_s4l.")])
def test_imports_point_one_way(module):
    here = place(module)
    ours = {name for name in imports(module) if name.startswith("color_s4l")}
    for name in ours:
        there = place(name)
        if here is None:
            assert there is None, f"{module} imports {name}"
        elif there is not None:
            assert there <= here, f"{module} imports {name}"


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("colorization")])
def test_the_colorization_library_is_its_own(module):
    ours = {name for name in imports(module) if name.startswith("color_s4l")}
    if module not in COMMANDS:
        assert ours <= {f"color_s4l.{name}" for name in SHARED}


def test_every_file_has_a_place():
    assert {"color_s4l.data.tfds", "color_s4l.training.jax"} <= set(FILES)
    later = {m for m in FILES if m.startswith("color_s4l") and place(m) == AFTER}
    assert {
        "color_s4l.train",
        "color_s4l.evaluate",
        "color_s4l.artifacts.tables",
    } <= later


def test_no_import_cycles():
    graph = {
        module: {n for n in imports(module, nested=False) if n in FILES} - {module}
        for module in FILES
    }
    done = set()
    while len(done) < len(graph):
        free = [m for m in graph if m not in done and graph[m] <= done]
        assert free, f"a cycle among {sorted(set(graph) - done)}"
        done.update(free)


def test_importing_the_library_starts_no_framework(python):
    code = (
        "import sys, color_s4l, color_s4l.train, color_s4l.evaluate, color_s4l.config;"
        "print({'keras', 'tensorflow', 'jax'} & set(sys.modules))"
    )
    assert python("-c", code).stdout.strip() == "set()"


def test_importing_a_file_does_nothing():
    # Only definitions, constants, imports and the entry point stand at the top.
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    for module in FILES:
        for node in tree(module).body:
            docstring = isinstance(node, ast.Expr) and isinstance(
                node.value, ast.Constant
            )
            entry = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            # What only type checkers read.
            hints = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node)
            assert isinstance(node, allowed) or docstring or entry or hints, (
                f"{module}:{node.lineno}"
            )


def python_files():
    folders = [*PACKAGES, "benchmarks", "tests"]
    return [path for name in folders for path in (ROOT / name).rglob("*.py")]


def test_files_have_at_most_250_lines():
    lengths = {p: len(p.read_text().splitlines()) for p in python_files()}
    assert not [f"{p}: {n}" for p, n in lengths.items() if n > 250]


def test_functions_have_at_most_50_lines_of_code():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds):
                # The docstring is no code.
                text = ast.get_docstring(node, clean=False) or ""
                length = node.end_lineno - node.lineno + 1 - len(text.splitlines())
                assert length <= 50, f"{path}:{node.lineno} {node.name}"


def test_folders_have_at_most_20_files():
    for folder in {path.parent for path in python_files()}:
        assert len(list(folder.glob("*.py"))) <= 20, folder


def test_no_function_of_ours_takes_what_it_does_not_name():
    for module in FILES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef):
                assert node.args.kwarg is None, f"{module}.{node.name}"


def test_no_bare_except_and_no_assert():
    for module in FILES:
        for node in ast.walk(tree(module)):
            assert not isinstance(node, ast.Assert), f"{module}:{node.lineno}"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{module}:{node.lineno}"


def test_only_commands_know_flags():
    for module in FILES:
        if module != "color_s4l.command_line":
            assert not {n for n in imports(module) if n.startswith("absl")}, module
