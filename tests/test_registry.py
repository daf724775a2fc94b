"""Registration of terms, trunks, ... by the library and by plug-ins."""

import importlib
import sys
import types

import pytest

from color_s4l import registry
from color_s4l.errors import InputError
from color_s4l.registry import Registry, load_plugins

METHOD = """
from color_s4l.registry import register_method
register_method("{name}", ())
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Removes the plug-ins of a test from the registries."""
    monkeypatch.setattr(registry, "_loaded", {})
    list(registry.METHODS)
    monkeypatch.setattr(registry.METHODS, "_entries", dict(registry.METHODS._entries))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_"):
            del sys.modules[name]


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A registry whose package has one module, which registers "circle"."""
    package = tmp_path / "plugin_shapes"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from color_s4l.registry import Registry\n"
        "SHAPES = Registry('shape', __name__)\n"
    )
    (package / "round.py").write_text(
        "from plugin_shapes import SHAPES\n"
        "@SHAPES.register('circle', corners=0)\n"
        "def circle(): return 'o'\n"
    )
    (package / "_private.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("plugin_shapes").SHAPES


def write(folder, name, text=None):
    path = folder / f"{name}.py"
    path.write_text(text or METHOD.format(name=name))
    return str(path)


def test_the_modules_of_a_package_are_imported_on_the_first_read(shapes):
    assert "plugin_shapes.round" not in sys.modules
    assert list(shapes) == ["circle"]
    assert "circle" in shapes
    assert len(shapes) == 1
    assert shapes["circle"]() == "o"
    assert shapes.options("circle") == {"corners": 0}
    assert shapes.entry("circle").plugin == "plugin_shapes.round"
    assert shapes.name_of(shapes["circle"]) == "circle"
    with pytest.raises(KeyError):
        shapes.name_of(print)


def test_an_unknown_name_is_an_error_with_a_suggestion(shapes):
    with pytest.raises(InputError) as caught:
        shapes["cirle"]
    assert str(caught.value) == (
        "There is no shape 'cirle'. Did you mean 'circle'? There are: circle."
    )


def test_a_name_is_registered_once(tmp_path):
    things = Registry("thing", "color_s4l.recipes")
    things.register("a", 1)
    things.register("a", 2)  # a notebook cell that is run again
    assert things["a"] == 2
    path = write(tmp_path, "plugin_again", METHOD.format(name="color_s4l"))
    with pytest.raises(InputError) as caught:
        load_plugins([path])
    assert str(caught.value) == (
        "The method 'color_s4l' is registered twice: by color_s4l and by plugin_again."
    )


def test_every_registry_has_the_librarys_own_things():
    for kind in ("TERMS", "METHODS", "TRUNKS", "SOURCES", "VIEWS", "PROXIES"):
        assert all(e.plugin is None for e in getattr(registry, kind)._all().values())
        assert len(getattr(registry, kind)) > 1, kind
    assert {"onnx", "keras"} <= set(registry.FORMATS)
    assert {"alternating", "moam"} <= set(registry.RECIPES)


def test_a_python_file_is_a_plug_in(tmp_path):
    path = write(tmp_path, "plugin_file")
    load_plugins([path, path])
    load_plugins([path])
    assert registry.METHODS["plugin_file"] == ()
    assert registry.METHODS.entry("plugin_file").plugin == "plugin_file"
    assert tuple(registry._loaded) == ("plugin_file",)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="Two plug-ins are called 'plugin_file'"):
        load_plugins([write(tmp_path / "other", "plugin_file")])
    with pytest.raises(InputError, match="There is a module 'json' already: rename"):
        load_plugins([write(tmp_path, "json")])


def test_a_module_of_the_working_directory_is_a_plug_in(tmp_path, monkeypatch):
    write(tmp_path, "plugin_module")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    load_plugins(["plugin_module"])
    assert "plugin_module" in registry.METHODS
    assert sys.path == path


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
        (
            "from color_s4l.errors import InputError\nraise InputError('Too old.')",
            "^Too old.$",
        ),
    ],
)
def test_a_plug_in_that_fails_is_one_line(text, message, tmp_path):
    path = tmp_path / "plugin_bad.py"
    if text:
        path.write_text(text)
    for _ in range(2):  # it is not remembered as loaded
        with pytest.raises(InputError, match=message) as caught:
            load_plugins([str(path)])
        assert "\n" not in str(caught.value)
    assert tuple(registry._loaded) == ()
    assert "plugin_bad" not in sys.modules


def test_a_module_that_does_not_exist_is_one_line():
    with pytest.raises(InputError, match="Cannot load the plug-in plugin_none: Mod"):
        load_plugins(["plugin_none"])
