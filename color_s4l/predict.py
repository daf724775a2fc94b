"""Classifies image files: python -m color_s4l.predict."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option

_DESCRIPTION = """Classifies any number of image files and writes a table: filename,
label, probability, and the next classes. Files that can't be read are named, counted
and left out.

  python -m color_s4l.predict --model=runs/NAME --images=photos/new --output=new.csv
  python -m color_s4l.predict --model=model.keras --images='photos/**/*.jpg' \\
      --output=new.csv --sheet=label_these.png --relabel=sure.csv --confidence=0.95

--sheet shows the images whose best class is least probable: those are worth a label of
your own. --relabel writes the most certain ones as filename, label, the files named
from the table's folder: what --labels_csv takes for training.
"""


@dataclasses.dataclass(frozen=True)
class Predict:
    """The command's flags."""

    model: str = option("", "A run folder, or a model file (.keras, .h5).")
    images: str = option("", "A directory, a file, or a pattern in quotation marks.")
    resize: str | None = option(
        None,
        "The square in the middle, or the whole image with bars (default: as trained).",
        choices=("crop", "pad"),
    )
    output: str = option("predictions.csv", "The table; must not exist yet.")
    top_k: int = option(3, "Classes that a row names.")
    sheet: str | None = option(None, "A picture (PNG) of the least certain images.")
    least_certain: int = option(24, "Images on the sheet.")
    relabel: str | None = option(
        None, "A second table (filename, label) of the most certain images."
    )
    confidence: float = option(0.95, "Smallest probability of its labels.")


def _check(flags: Predict) -> None:
    for name in ("model", "images", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    for name in ("top_k", "least_certain"):
        if getattr(flags, name) < 1:
            raise InputError(f"--{name}={getattr(flags, name)}: expected at least 1.")
    if not 0 < flags.confidence <= 1:
        raise InputError(f"--confidence={flags.confidence}: expected 0 < p <= 1.")
    outputs = [path for path in (flags.output, flags.sheet, flags.relabel) if path]
    if len({pathlib.Path(path).absolute() for path in outputs}) < len(outputs):
        raise InputError("Expected another file for each of the results.")
    for path in outputs:
        if pathlib.Path(path).exists():
            raise InputError(
                f"{path} exists already, and nothing is overwritten: give another name."
            )


def predict(flags: Predict) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is missing, a result exists already, there is no such model,
            or no image that could be read.
    """
    _check(flags)
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from color_s4l import classifier
    from color_s4l.prediction import stream, table

    root, paths = stream.find(flags.images)
    trained = classifier.load(flags.model)
    reader = stream.Reader(paths, trained.image_size, flags.resize or trained.resize)
    doubtful = table.LeastCertain(flags.least_certain)
    started = time.perf_counter()
    relabelled = _write_tables(flags, trained, reader, root, doubtful)
    seconds = time.perf_counter() - started
    read = len(paths) - reader.unreadable
    if flags.sheet:
        _draw(doubtful, pathlib.Path(flags.sheet))
    print(f"images     {read:,} classified, {read / seconds:,.0f} images/s")
    if reader.unreadable:
        print(f"left out   {reader.unreadable:,} files that can't be read")
    if flags.relabel:
        least = f"probability at least {flags.confidence:g}"
        print(f"relabelled {relabelled:,} images, {least}")
    written = [path for path in (flags.output, flags.sheet, flags.relabel) if path]
    print(f"written    {', '.join(written)}", flush=True)


def _write_tables(flags: Predict, trained, reader, root: pathlib.Path, doubtful) -> int:
    """Streams the images into the tables; returns how many rows `--relabel` got."""
    from color_s4l.artifacts.files import written_atomically
    from color_s4l.prediction import table

    classes = trained.class_names
    relabelled = 0
    with contextlib.ExitStack() as files:
        output, labels = (
            files.enter_context(written_atomically(_made(path))) if path else None
            for path in (flags.output, flags.relabel)
        )
        for paths, images in reader:
            names = [path.relative_to(root).as_posix() for path in paths]
            probabilities = trained.predict(images)
            rows = table.ranked(names, probabilities, classes, flags.top_k)
            table.append(rows, output)
            doubtful.add(paths, rows)
            if labels:
                folder = pathlib.Path(flags.relabel).parent
                sure = table.certain(rows, paths, folder, flags.confidence)
                table.append(sure, labels)
                relabelled += len(sure)
        if not output.tell():
            raise InputError(f"--images={flags.images}: no image could be read.")
    return relabelled


def _made(path: str) -> pathlib.Path:
    """The path, its folder made."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(path)


def _draw(doubtful, path: pathlib.Path) -> None:
    from color_s4l.artifacts import pictures
    from color_s4l.prediction.sheet import sheet

    pictures.save(sheet(doubtful.items()), _made(str(path)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(predict, Predict, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
