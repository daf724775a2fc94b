"""Registration of this library's layers with Keras.

Keras opens a model file only if the classes of all its layers are registered. After
`import color_s4l`, Keras can open the model files of runs. Importing Keras takes
seconds, so this module does not import it: the layers are registered when another
module imports Keras.
"""

import importlib.abc
import importlib.util
import sys
import typing

from color_s4l.registry import import_package

# Packages whose modules define layers.
_PACKAGES = ("color_s4l.views", "color_s4l.networks")


def register_with_keras() -> None:
    """Registers the layers with Keras, now or directly after Keras is imported."""
    if "keras" in sys.modules:
        _import_layers()
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _import_layers() -> None:
    for package in _PACKAGES:
        import_package(package)


def _imported() -> set[str]:
    """Returns the imported modules of this library."""
    return {name for name in sys.modules if name.partition(".")[0] == "color_s4l"}


class _KerasFinder(importlib.abc.MetaPathFinder):
    """A finder that waits for the import of Keras, then removes itself.

    If a module of this library imports Keras, nothing is registered here, because that
    module is only half imported, and the modules of the layers may need it. The library
    itself imports the layers before it opens a model file (`models.load`).
    """

    def __init__(self) -> None:
        self.before = _imported()

    def find_spec(
        self, name: str, path: typing.Any = None, target: typing.Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns Keras' own specification; its loader then also imports the layers."""
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None or _imported() != self.before:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: typing.Any) -> None:
            execute(module)
            _import_layers()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
