"""Classifies image files: python -m color_s4l.predict."""

import contextlib
import dataclasses
import pathlib
import time
import typing
from collections.abc import Sequence
from typing import Annotated

from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, Between, OneOf, option

if typing.TYPE_CHECKING:
    import pandas as pd

    from color_s4l.classifier import Classifier
    from color_s4l.prediction import Reader

_DESCRIPTION = """Classifies any number of image files and writes a table with filename,
label, probability, and the next classes. Files that cannot be read are listed, counted
and left out.

  python -m color_s4l.predict --model=runs/NAME --images=photos/new --output=new.csv
  python -m color_s4l.predict --model=model.keras --images='photos/**/*.jpg' \\
      --output=new.csv --sheet=label_these.png --relabel=sure.csv --confidence=0.95

--sheet draws the images whose best class is least probable: these are worth labelling
by hand. --relabel writes a second table with the most probable labels, for --labels_csv
of color_s4l.train.
"""


@dataclasses.dataclass(frozen=True)
class Predict:
    """The flags of the command."""

    model: str = option("", "A run directory, or a model file (.keras, .h5).")
    images: str = option("", "A directory, a file, or a pattern in quotation marks.")
    resize: Annotated[str, OneOf("crop", "pad")] | None = option(
        None, "Crop the centre square, or pad to a square (default: as trained)."
    )
    output: str = option("predictions.csv", "The table; must not exist yet.")
    top_k: Annotated[int, AtLeast(1)] = option(
        3, "Number of most probable classes per image."
    )
    sheet: str | None = option(None, "A picture (PNG) of the least certain images.")
    least_certain: Annotated[int, AtLeast(1)] = option(
        24, "Number of images in the picture."
    )
    relabel: str | None = option(
        None, "A second table (filename, label) of the most certain images."
    )
    confidence: Annotated[float, Above(0), Between(0, 1)] = option(
        0.95, "Smallest probability of a label in the second table."
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file with the model's trunk; may be repeated."
    )

    @property
    def outputs(self) -> list[str]:
        """The files to write."""
        return [path for path in (self.output, self.sheet, self.relabel) if path]


def _check(flags: Predict) -> None:
    fields.check(flags)
    for name in ("model", "images", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    absolute = {pathlib.Path(path).absolute() for path in flags.outputs}
    if len(absolute) < len(flags.outputs):
        raise InputError("Expected a different file for each result.")
    for path in flags.outputs:
        if pathlib.Path(path).exists():
            raise InputError(f"{path} already exists: choose another name.")


def predict(flags: Predict) -> None:
    """Classifies image files and writes the tables and the picture.

    Args:
        flags: The command's flags.

    Raises:
        InputError: A flag is missing or out of range, an output file already exists,
            the model does not exist, or no image can be read.
    """
    _check(flags)
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l import classifier, prediction
    from color_s4l.artifacts import pictures

    root, paths = prediction.find(flags.images)
    trained = classifier.load(flags.model)
    resize = flags.resize or trained.about.resize
    reader = prediction.Reader(paths, trained.image_size, resize)
    started = time.perf_counter()
    relabelled, uncertain = _write_tables(flags, trained, reader, root)
    seconds = time.perf_counter() - started
    if flags.sheet:
        pictures.save(prediction.sheet(uncertain), _with_folder(flags.sheet))
    read = len(paths) - reader.unreadable
    print(f"images     {read:,} classified, {read / seconds:,.0f} images/s")
    if reader.unreadable:
        print(f"left out   {reader.unreadable:,} files that cannot be read")
    if flags.relabel:
        least = f"probability at least {flags.confidence:g}"
        print(f"relabelled {relabelled:,} images, {least}")
    print(f"written    {', '.join(flags.outputs)}", flush=True)


def _write_tables(
    flags: Predict, trained: "Classifier", reader: "Reader", root: pathlib.Path
) -> tuple[int, "pd.DataFrame"]:
    """Writes the tables batch by batch.

    Returns:
        Number of rows in the table of labels, and the rows of the least certain images.
    """
    from color_s4l import prediction
    from color_s4l.artifacts.files import written_atomically

    relabelled, uncertain = 0, None
    with (
        written_atomically(_with_folder(flags.output)) as output,
        written_atomically(_with_folder(flags.relabel))
        if flags.relabel
        else contextlib.nullcontext() as labels,
    ):
        for paths, images in reader:
            names = [path.relative_to(root).as_posix() for path in paths]
            rows = prediction.ranked(
                names, trained.predict(images), trained.class_names, flags.top_k
            )
            prediction.append(rows, output)
            if labels and flags.relabel:
                folder = pathlib.Path(flags.relabel).parent
                sure = prediction.certain(rows, paths, folder, flags.confidence)
                prediction.append(sure, labels)
                relabelled += len(sure)
            uncertain = prediction.least_certain(
                uncertain, rows.assign(path=paths), count=flags.least_certain
            )
        if uncertain is None:
            raise InputError(f"--images={flags.images}: no image can be read.")
    return relabelled, uncertain


def _with_folder(path: str) -> pathlib.Path:
    """Returns the path after creating its folder."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(predict, Predict, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
