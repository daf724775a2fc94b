"""Self-supervised semi-supervised image classification in Keras 3.

    import color_s4l

    result = color_s4l.fit(color_s4l.Run(labels=100, width=0.125, epochs=6))
    classifier = color_s4l.load(result["run_dir"])
    classifier.predict(images)

The folders stand in the order of the data's way: data -> views -> networks ->
terms -> training.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from color_s4l.classifier import Classifier, load
    from color_s4l.errors import InputError
    from color_s4l.methods import METHODS
    from color_s4l.recipes.procedure import fit
    from color_s4l.settings import Run

_WHERE = {
    "Run": "color_s4l.settings",
    "fit": "color_s4l.recipes.procedure",
    "load": "color_s4l.classifier",
    "Classifier": "color_s4l.classifier",
    "InputError": "color_s4l.errors",
    "METHODS": "color_s4l.methods",
}
__all__ = ["METHODS", "Classifier", "InputError", "Run", "fit", "load"]


def __getattr__(name: str) -> typing.Any:
    # On demand: `import color_s4l` and `--help` must not wait for Keras to start.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
