"""Self-supervised semi-supervised image classification in Keras 3.

    import color_s4l

    data = color_s4l.Data.from_arrays(images, labels)  # label -1: unlabelled
    result = color_s4l.fit(color_s4l.Run(method="fixmatch", epochs=10), data=data)
    classifier = color_s4l.load(result["run_dir"])
    probabilities = classifier.predict(new_images)

The packages in the order of the data flow: data, views, networks, terms, training,
artifacts, report.
"""

import importlib
import typing

from color_s4l.errors import InputError
from color_s4l.registry import (
    load_plugins,
    register_format,
    register_method,
    register_proxy,
    register_recipe,
    register_source,
    register_term,
    register_trunk,
    register_view,
)
from color_s4l.serialization import register_with_keras
from color_s4l.settings import Run, preset

if typing.TYPE_CHECKING:
    from color_s4l.classifier import Classifier, load
    from color_s4l.data import Data
    from color_s4l.estimator import SemiSupervisedClassifier
    from color_s4l.recipes.procedure import fit

# Imported on first use, because Keras takes seconds to start.
_LAZY = {
    "Classifier": "color_s4l.classifier",
    "Data": "color_s4l.data",
    "SemiSupervisedClassifier": "color_s4l.estimator",
    "fit": "color_s4l.recipes.procedure",
    "load": "color_s4l.classifier",
}
__all__ = [
    "Classifier",
    "Data",
    "InputError",
    "Run",
    "SemiSupervisedClassifier",
    "fit",
    "load",
    "load_plugins",
    "preset",
    "register_format",
    "register_method",
    "register_proxy",
    "register_recipe",
    "register_source",
    "register_term",
    "register_trunk",
    "register_view",
]


def __getattr__(name: str) -> typing.Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Returns all names, including those in `_LAZY` that are not imported yet."""
    return sorted({*globals(), *__all__})


# After `import color_s4l`, `keras.models.load_model` can open the model files of runs.
register_with_keras()
