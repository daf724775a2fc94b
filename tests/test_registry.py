"""Registration of terms, trunks, ... by the library and by plug-ins."""

import importlib
import sys
import types

import pytest

from color_s4l import registry
from color_s4l.errors import InputError
from color_s4l.registry import Registry, load_plugins

FILES = {
    "__init__": "from color_s4l.registry import Registry\n"
    "SHAPES = Registry('shape', __name__)\n",
    "round": "from plugin_shapes import SHAPES\n"
    "@SHAPES.register('circle', corners=0)\n"
    "def circle(): return 'o'\n",
    "_private": "raise RuntimeError('imported')\n",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Removes the plug-ins of a test from the registries."""
    monkeypatch.setattr(registry, "_loaded", {})
    list(registry.METHODS)
    monkeypatch.setattr(registry.METHODS, "_entries", dict(registry.METHODS._entries))
    yield
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A registry whose package has one module, which registers "circle"."""
    (tmp_path / "plugin_shapes").mkdir()
    for name, text in FILES.items():
        (tmp_path / "plugin_shapes" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("plugin_shapes").SHAPES


def plugin(folder, name, method=None):
    """Returns the path of a new file that registers a method."""
    path = folder / f"{name}.py"
    text = "from color_s4l.registry import register_method\n"
    path.write_text(f"{text}register_method({method or name!r}, ())\n")
    return str(path)


def test_the_modules_of_a_package_are_imported_on_the_first_read(shapes):
    assert "plugin_shapes.round" not in sys.modules
    assert list(shapes) == ["circle"]
    assert ("circle" in shapes, len(shapes)) == (True, 1)
    assert shapes["circle"]() == "o"
    assert shapes.options("circle") == {"corners": 0}
    assert shapes.entry("circle").plugin == "plugin_shapes.round"
    assert shapes.name_of(shapes["circle"]) == "circle"
    with pytest.raises(KeyError):
        shapes.name_of(print)
    text = "There is no shape 'cirle'. Did you mean 'circle'. There are: circle."
    with pytest.raises(InputError, match=text):
        shapes["cirle"]


def test_a_name_is_registered_once(tmp_path):
    things = Registry("thing", "color_s4l.recipes")
    things.register("a", 1)
    things.register("a", 2)  # a notebook cell that is run again
    assert things["a"] == 2
    text = "'color_s4l' is registered twice: by color_s4l and by plugin_again"
    with pytest.raises(InputError, match=text):
        load_plugins([plugin(tmp_path, "plugin_again", "color_s4l")])


def test_every_registry_has_the_librarys_own_things():
    for kind in ("terms", "methods", "trunks", "sources", "views", "proxies"):
        found = getattr(registry, kind.upper())
        assert len(found) > 1, kind
        assert all(found.entry(name).plugin is None for name in found)
    assert {"onnx", "keras"} <= set(registry.FORMATS)
    assert {"alternating", "moam"} <= set(registry.RECIPES)


SCRIPT = """
import fnmatch, sys
from color_s4l import registry

kinds = registry.METHODS, registry.TERMS, registry.TRUNKS, registry.RECIPES
patterns = [kind.patterns() for kind in kinds]
assert "keras" not in sys.modules
for kind, found in zip(kinds, patterns):
    assert "*" not in found
    names = [n for n in kind if not any(fnmatch.fnmatchcase(n, p) for p in found)]
    unused = [pattern for pattern in found if not fnmatch.filter(kind, pattern)]
    print(len(kind), names, unused)
    assert kind.patterns() == list(kind)
"""


def test_names_are_known_without_imports(python):
    done = python("-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines()[-4:]:
        assert line.partition(" ")[2] == "[] []", line


def test_wrong_names_are_refused_before_keras_is_imported(python):
    code = "import sys; from color_s4l import train; train.main(sys.argv[1:]); "
    for words, text in (
        ("--method=vat+fixmach", "no method 'fixmach'. Did you mean 'fixmatch'?"),
        ("--network=applications", "no network 'applications'"),
        ("--recipe=refin", "no recipe 'refin'. Did you mean 'refine'?"),
    ):
        done = python("-c", f"{code} assert 'keras' not in sys.modules", words)
        assert done.returncode == 0, done.stderr
        assert text in done.stderr


def test_a_python_file_is_a_plug_in(tmp_path):
    path = plugin(tmp_path, "plugin_file")
    load_plugins([path, path])
    load_plugins([path])
    assert registry.METHODS["plugin_file"] == ()
    assert registry.METHODS.entry("plugin_file").plugin == "plugin_file"
    assert tuple(registry._loaded) == ("plugin_file",)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="Two plug-ins are called 'plugin_file'"):
        load_plugins([plugin(tmp_path / "other", "plugin_file")])
    with pytest.raises(InputError, match="There is a module 'json' already: rename"):
        load_plugins([plugin(tmp_path, "json")])


def test_a_module_of_the_working_directory_is_a_plug_in(tmp_path, monkeypatch):
    plugin(tmp_path, "plugin_module")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    load_plugins(["plugin_module"])
    assert "plugin_module" in registry.METHODS
    assert sys.path == path
    with pytest.raises(InputError, match="Cannot load the plug-in plugin_none: Mod"):
        load_plugins(["plugin_none"])


@pytest.fixture
def install(monkeypatch):
    """A function that simulates an installed package with an entry point."""

    def installed(name, load):
        point = types.SimpleNamespace(name=name, value=name, load=load)
        found = {"color_s4l.plugins": [point]}
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: found.get(group, [])
        )

    return installed


def test_an_entry_point_is_a_plug_in(shapes, install):
    loads = []
    install("squares", lambda: loads.append(shapes.register("square", "[]")))
    assert list(shapes) == ["circle", "square"]
    assert len(shapes) == 2
    assert loads == ["[]"]
    assert tuple(registry._loaded) == ("squares",)


def test_an_entry_point_that_fails_is_one_line(shapes, install):
    install("squares", lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(InputError, match="Cannot load the plug-in squares: Zero"):
            list(shapes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no plug-in file .*plugin_bad.py"),
        ("1 / 0", "Cannot load the plug-in .*: ZeroDivisionError: division by zero"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such"),
        ("def", r"SyntaxError: invalid syntax \(plugin_bad.py, line 1\)"),
        ("import color_s4l\nraise color_s4l.InputError('Too old.')", "^Too old.$"),
    ],
)
def test_a_file_that_fails_is_one_line(text, message, tmp_path):
    path = tmp_path / "plugin_bad.py"
    if text:
        path.write_text(text)
    for _ in range(2):  # it is not remembered as loaded
        with pytest.raises(InputError, match=message) as caught:
            load_plugins([str(path)])
        assert "\n" not in str(caught.value)
    assert tuple(registry._loaded) == ()
    assert "plugin_bad" not in sys.modules
