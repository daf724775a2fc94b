"""Rules that hold for every module: import direction, frameworks, side effects."""

import ast
import functools
import pathlib

import pytest

import color_s4l

ROOT = pathlib.Path(__file__).resolve().parents[1]
# From low to high: a module may import modules of its own level or of a lower one.
BASE = (
    *("errors", "fields", "registry", "settings", "command_line", "progress"),
    *("backend", "artifacts.files", "artifacts.cache", "artifacts.provenance"),
    "artifacts.checkpoint_files",
)
LEVELS = (
    BASE,
    ("data",),
    ("views",),
    ("networks",),
    ("terms", "probes"),
    ("methods",),
    ("artifacts",),
    ("training",),
    ("recipes",),
)
# The rest: the API, the report and the commands.
HIGHEST = len(LEVELS)
FRAMEWORKS = {
    "color_s4l.backend.tensorflow": {"tensorflow"},
    "color_s4l.backend.jax": {"jax"},
    "color_s4l.data.tfds": {"tensorflow", "tensorflow_datasets"},
}
# Parts of color_s4l that colorization uses.
SHARED = (*BASE, "data", "artifacts")


def _module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {
    _module_of(path): path
    for package in ("color_s4l", "colorization")
    for path in (ROOT / package).rglob("*.py")
}


@functools.cache
def tree(module):
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def _is_about_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _is_entry(node):
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


def _nodes(node, nested):
    """Yields the statements that run; without `nested`, only those of the import."""
    for child in ast.iter_child_nodes(node):
        if not _is_about_types(child):
            yield child
            if nested or isinstance(child, ast.If | ast.Try | ast.With):
                yield from _nodes(child, nested)


def imports(module, *, nested=True):
    """Returns the modules that a module imports, without those for type checkers."""
    found = set()
    for node in _nodes(tree(module), nested):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in inner}
    return found


def _below(module, names):
    return any(f"{module}.".startswith(f"color_s4l.{name}.") for name in names)


def level(module):
    if module == "color_s4l":
        return 0  # it imports nothing until a name is used
    found = (n for n, names in enumerate(LEVELS) if _below(module, names))
    return next(found, HIGHEST)


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("color_s4l.")])
def test_imports_point_one_way(module):
    for name in imports(module):
        if name.startswith("color_s4l"):
            assert level(name) <= level(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("colorization")])
def test_colorization_uses_the_shared_parts_only(module):
    for name in imports(module):
        if name.startswith("color_s4l."):
            assert _below(name, SHARED), f"{module} imports {name}"


def test_every_level_has_modules():
    assert {level(module) for module in FILES} == set(range(HIGHEST + 1))
    assert all(level(f"color_s4l.{name}") == HIGHEST for name in ("train", "report"))


def test_no_import_cycles():
    graph = {m: imports(m, nested=False) & FILES.keys() - {m} for m in FILES}
    done = set()
    while len(done) < len(graph):
        free = [m for m in graph if m not in done and graph[m] <= done]
        assert free, f"a cycle among {sorted(set(graph) - done)}"
        done.update(free)


@pytest.mark.parametrize("module", FILES)
def test_frameworks_are_imported_in_the_backend_only(module):
    found = {name.partition(".")[0] for name in imports(module)}
    frameworks = {"tensorflow", "jax", "torch", "tensorflow_datasets"}
    assert found & frameworks == FRAMEWORKS.get(module, set())


def test_importing_the_library_starts_no_framework(python):
    code = (
        "import sys, color_s4l, color_s4l.train, color_s4l.evaluate;"
        "print({'keras', 'tensorflow', 'jax'} & set(sys.modules))"
    )
    assert python("-c", code).stdout.strip() == "set()"


def test_help_lists_all_public_names():
    assert set(color_s4l.__all__) <= set(dir(color_s4l))


def _is_registration(node):
    """Returns whether a statement calls a `register_...` function, or a loop does."""
    if isinstance(node, ast.For):
        return all(_is_registration(inner) for inner in node.body)
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and "register" in ast.unparse(call.func)


@pytest.mark.parametrize("module", FILES)
def test_importing_a_file_only_defines(module):
    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    definitions += (ast.Assign, ast.AnnAssign)
    for node in tree(module).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        allowed = isinstance(node, definitions) or text or _is_registration(node)
        allowed = allowed or _is_entry(node) or _is_about_types(node)
        assert allowed, f"{module}:{node.lineno}"


def test_only_commands_know_flags_and_print():
    for module in FILES.keys() - {"color_s4l.command_line"}:
        assert not {n for n in imports(module) if n.startswith("absl")}, module
        if any(_is_entry(node) for node in tree(module).body):
            continue
        for node in ast.walk(tree(module)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called != "print", f"{module}:{node.lineno}"


def test_no_bare_except_and_no_assert():
    for module in FILES:
        for node in ast.walk(tree(module)):
            assert not isinstance(node, ast.Assert), f"{module}:{node.lineno}"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{module}:{node.lineno}"
