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
uint8 RGB images (n, size, size, 3), returns class probabilities, and contains the names
of the classes. The command runs on TensorFlow, which can write all formats; the run may
have been trained on JAX.

  python -m color_s4l.export --model=runs/NAME --format=onnx --output=cats.onnx

  h5, keras      Keras, from its own layers only: no import of this library is needed
  saved_model    TensorFlow, TensorFlow Serving (a folder)
  onnx           ONNX Runtime and others: .onnx      pip install onnx tf2onnx
  litert         phones and small computers: .tflite

With --any_size, the model takes images of any size and resizes them as in training (h5,
keras, saved_model). Further formats can be registered; the error for an unknown name
lists all of them.
"""


@dataclasses.dataclass(frozen=True)
class Export:
    """The command's flags."""

    model: str = option("", "A run directory, or a model file (.keras, .h5).")
    format: str = option("onnx", "Name of the format to write.")
    output: str = option("", "The file (saved_model: folder); must not exist yet.")
    any_size: bool = option(
        False, "Include the resizing: bicubic, antialiased, cropped or padded."
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers networks or formats; may be repeated."
    )


def export(flags: Export) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is missing or wrong, or the model cannot be opened.
    """
    for name in ("model", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from color_s4l import classifier
    from color_s4l.artifacts import formats

    path = pathlib.Path(flags.output)
    formats.check(flags.format, path, any_size=flags.any_size)
    trained = classifier.load(flags.model)
    formats.export(
        trained.network, trained.about, flags.format, path, any_size=flags.any_size
    )
    size, classes = trained.image_size, trained.network.output_shape[-1]
    sides = "height, width" if flags.any_size else f"{size}, {size}"
    print(
        f"written    {path}: uint8 RGB (n, {sides}, 3) to the probabilities "
        f"of {classes} classes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    if importlib.util.find_spec("tensorflow"):
        os.environ["KERAS_BACKEND"] = "tensorflow"
    return command_line.run(export, Export, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
