"""Writes a trained classifier for other programs: python -m color_s4l.export."""

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option

_DESCRIPTION = """Writes a trained classifier for other programs. Every format takes raw
uint8 RGB images (n, size, size, 3), gives class probabilities, and carries the names of
the classes. The command runs on TensorFlow, which can write them all; a run trained on
JAX is taken as well.

  python -m color_s4l.export --model=runs/NAME --format=onnx --output=cats.onnx

  h5, keras      Keras; what a run folder holds already
  saved_model    TensorFlow, TensorFlow Serving (a folder)
  onnx           ONNX Runtime and others: .onnx      pip install onnx tf2onnx
  litert         telephones and small computers: .tflite
"""
_FORMATS = ("h5", "keras", "saved_model", "onnx", "litert")


@dataclasses.dataclass(frozen=True)
class Export:
    """The command's flags."""

    model: str = option("", "A run folder, or a model file (.keras, .h5).")
    format: str = option("onnx", "What to write.", choices=_FORMATS)
    output: str = option("", "The file (saved_model: folder); must not exist yet.")


def export(flags: Export) -> None:
    """Runs the command."""
    for name in ("model", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from color_s4l import classifier
    from color_s4l.artifacts import formats

    path = pathlib.Path(flags.output)
    formats.check(flags.format, path)
    trained = classifier.load(flags.model)
    formats.export(trained.network, trained.about, flags.format, path)
    size, classes = trained.image_size, trained.network.output_shape[-1]
    print(
        f"written    {path}: uint8 RGB (n, {size}, {size}, 3) to the probabilities "
        f"of {classes} classes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    if importlib.util.find_spec("tensorflow"):
        os.environ["KERAS_BACKEND"] = "tensorflow"
    return command_line.run(export, Export, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
