"""Registries of terms, trunks, sources, formats, recipes, methods, views and proxies.

An object is registered by a decorator next to its definition:

    @register_term("vat")
    @dataclasses.dataclass(frozen=True)
    class Vat(Term): ...

Each registry has a package, whose modules are imported when the registry is first read.
To add an object, it is enough to add one file to the package. The decorators work the
same way in a user's module, which is loaded by `load_plugins` or by an entry point of
the group `color_s4l.plugins`.
"""

import ast
import contextlib
import dataclasses
import fnmatch
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import pathlib
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

from color_s4l.errors import InputError, unknown

ENTRY_POINTS = "color_s4l.plugins"
Value = typing.TypeVar("Value")

# Name -> origin of the plug-ins imported so far.
_loaded: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered object.

    Attributes:
        value: The object: a class, a function or an instance.
        options: Further keyword arguments of the decorator.
        plugin: Name of the module that registered it; None for an object of the
            library.
    """

    value: typing.Any
    options: Mapping[str, typing.Any]
    plugin: str | None


class Registry(Mapping):
    """A mapping from names to registered objects, in the order of registration.

    Args:
        kind: Kind of the objects, as a noun for error messages: "term".
        package: Package whose modules register the library's own objects.
    """

    def __init__(self, kind: str, package: str):
        self.kind, self.package = kind, package
        self._entries: dict[str, Entry] = {}
        self._complete = False

    @typing.overload
    def register(
        self, name: str, **options: typing.Any
    ) -> Callable[[Value], Value]: ...

    @typing.overload
    def register(self, name: str, value: Value, **options: typing.Any) -> Value: ...

    def register(self, name, value=None, **options):
        """Registers an object; used as a decorator, or called with the object.

        Args:
            name: Name of the object, unique in this registry.
            value: The object; None: a decorator is returned.
            **options: Stored with the object; the method `options` returns them.

        Raises:
            InputError: The library or another plug-in has an object with this name. A
                plug-in may register its own object again.
        """
        module = sys._getframe(1).f_globals["__name__"]
        if value is None:
            return lambda value: self._add(name, value, options, module)
        return self._add(name, value, options, module)

    def _add(self, name, value, options, module):
        plugin = None if module.startswith("color_s4l.") else module
        known = self._entries.get(name)
        # A notebook cell that is run again defines the same object again.
        if known is not None and (known.plugin is None or known.plugin != plugin):
            raise InputError(
                f"The {self.kind} {name!r} is registered twice: by "
                f"{known.plugin or 'color_s4l'} and by {plugin or 'color_s4l'}."
            )
        self._entries[name] = Entry(value, options, plugin)
        return value

    def __getitem__(self, name: str) -> typing.Any:
        """Returns the object with this name.

        Raises:
            InputError: The name is unknown; the message suggests the closest name.
        """
        return self.entry(name).value

    def __contains__(self, name: object) -> bool:
        """Returns whether an object has this name."""
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names."""
        return iter(self._all())

    def __len__(self) -> int:
        """Returns the number of objects."""
        return len(self._all())

    def entry(self, name: str) -> Entry:
        """Returns the entry with this name, options and plug-in included.

        Raises:
            InputError: The name is unknown; the message suggests the closest name.
        """
        entries = self._all()
        if name not in entries:
            raise unknown(self.kind, name, entries)
        return entries[name]

    def options(self, name: str) -> Mapping[str, typing.Any]:
        """Returns the keyword arguments with which an object was registered."""
        return self.entry(name).options

    def patterns(self) -> list[str]:
        """Returns the names, without importing the modules that register them.

        Importing the modules takes seconds, because they import Keras. The names are
        therefore read from the source code: they are the first arguments of the calls
        of the decorator. They are returned as patterns for `fnmatch`: "resnet_v2_*" for
        f"resnet_v2_{depth}", and "*" for any expression that is not a string. Names
        that are already registered are added.

        If all modules are already imported, or if plug-ins are installed, the result is
        the list of the registered names.
        """
        if self._complete or importlib.metadata.entry_points(group=ENTRY_POINTS):
            return list(self)
        # The decorators are module-level names: register_term = TERMS.register.
        (function,) = (n for n, v in globals().items() if v == self.register)
        found = [
            _pattern(node.args[0])
            for source in _sources(self.package)
            for node in ast.walk(ast.parse(source.read_bytes()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == function
            and node.args
        ]
        return list(dict.fromkeys([*found, *self._entries]))

    def name_of(self, value: object) -> str:
        """Returns the name of a registered object.

        Raises:
            KeyError: The object is not registered.
        """
        for name, entry in self._all().items():
            if entry.value is value:
                return name
        raise KeyError(value)

    def _all(self) -> dict[str, Entry]:
        """Returns all entries; imports the package and installed plug-ins first."""
        if not self._complete:
            # Set before the import, because the modules may read the registry.
            self._complete = True
            try:
                import_package(self.package)
                _load_entry_points()
            except BaseException:
                self._complete = False
                raise
        return self._entries


def _sources(package: str) -> list[pathlib.Path]:
    """Returns the source files of a package of this library, or of a module."""
    path = pathlib.Path(__file__).parent.joinpath(*package.split(".")[1:])
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def _pattern(name: ast.expr) -> str:
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)


def check_names(kind: str, names: Sequence[str], *registries: Registry) -> None:
    """Checks names before the modules that register them are imported.

    Args:
        kind: Kind of the names, as a noun: "method".
        names: The names.
        *registries: Each name must be in one of them.

    Raises:
        InputError: There is no object with one of the names.
    """
    known = [pattern for registry in registries for pattern in registry.patterns()]
    for name in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in known):
            raise unknown(kind, name, dict.fromkeys(known))


def import_package(name: str) -> None:
    """Imports a package and all its public modules, not those of its subpackages."""
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
        if not module.name.startswith("_"):
            importlib.import_module(f"{name}.{module.name}")


def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if point.name not in _loaded:
            with _failing_in_one_line(point.name):
                point.load()
            _loaded[point.name] = point.value


def load_plugins(names: Sequence[str]) -> None:
    """Imports modules that register further terms, trunks, sources and so on.

    Args:
        names: Names of importable modules, or paths of .py files. A module that was
            loaded before is not loaded again.

    Raises:
        InputError: A module or file does not exist or cannot be imported, or a file has
            the name of another module.
    """
    for name in names:
        key = str(pathlib.Path(name).resolve()) if name.endswith(".py") else name
        stem = pathlib.Path(name).stem if name.endswith(".py") else name
        if stem in _loaded:
            if _loaded[stem] != key:
                raise InputError(f"Two plug-ins are called {stem!r}: rename one file.")
            continue
        with _failing_in_one_line(name):
            _import(stem, key)
        _loaded[stem] = key


@contextlib.contextmanager
def _failing_in_one_line(name: str) -> Iterator[None]:
    """Turns an exception of a plug-in into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"Cannot load the plug-in {name}: {type(error).__name__}: {reason}."
        ) from error


def _import(stem: str, key: str) -> None:
    if not key.endswith(".py"):
        # Modules in the working directory are found too, as by `python -m`.
        with _on_path(str(pathlib.Path.cwd())):
            importlib.import_module(key)
        return
    if not pathlib.Path(key).is_file():
        raise InputError(f"There is no plug-in file {key}.")
    if stem in sys.modules:
        raise InputError(f"There is a module {stem!r} already: rename {key}.")
    loader = importlib.machinery.SourceFileLoader(stem, key)
    spec = importlib.machinery.ModuleSpec(stem, loader, origin=key)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = key
    sys.modules[stem] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[stem]
        raise


@contextlib.contextmanager
def _on_path(folder: str) -> Iterator[None]:
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


TERMS = Registry("term", "color_s4l.terms")
METHODS = Registry("method", "color_s4l.methods")
TRUNKS = Registry("network", "color_s4l.networks")
SOURCES = Registry("data set", "color_s4l.data")
VIEWS = Registry("view", "color_s4l.views")
PROXIES = Registry("proxy task", "color_s4l.views")
FORMATS = Registry("format", "color_s4l.artifacts")
RECIPES = Registry("recipe", "color_s4l.recipes")

register_term = TERMS.register
register_method = METHODS.register
register_trunk = TRUNKS.register
register_source = SOURCES.register
register_view = VIEWS.register
register_proxy = PROXIES.register
register_format = FORMATS.register
register_recipe = RECIPES.register
