"""Classifies image files: python -m color_s4l.predict."""

import contextlib
import dataclasses
import os
import pathlib
import time
import typing
from collections.abc import Sequence
from typing import Annotated

from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, Between, OneOf, option

if typing.TYPE_CHECKING:
    from color_s4l.classifier import Classifier
    from color_s4l.prediction import Pool, Reader

_DESCRIPTION = """Classifies any number of image files and writes a table with filename,
label, probability, and the next classes. Files that cannot be read are listed, counted
and left out.

  python -m color_s4l.predict --model=runs/NAME --images=photos/new --output=new.csv
  python -m color_s4l.predict --model=runs/NAME --images=photos/unlabeled \\
      --output=all.csv --suggest=24 --suggestions=round1.csv --sheet=round1.png
  python -m color_s4l.predict --model=model.keras --images='photos/**/*.jpg' \\
      --output=all.csv --relabel=sure.csv --confidence=0.95

--suggest chooses the images that are worth labelling by hand: uncertain, and different
from each other. They are written to a table with an empty column label (fill it in), to
a picture (--sheet) and to tasks for Label Studio (--export_labels). --relabel writes a
table with the most probable labels. All these tables are for --labels_csv of
color_s4l.train.
"""


@dataclasses.dataclass(frozen=True)
class Predict:
    """The flags of the command."""

    model: str = option("", "A run directory, or a model file (.keras, .h5).")
    images: str = option("", "A directory, a file, or a pattern in quotation marks.")
    resize: Annotated[str, OneOf("crop", "pad")] | None = option(
        None, "Crop the centre square, or pad to a square (default: as trained)."
    )
    max_megapixels: Annotated[float, Above(0)] = option(
        50.0, "Larger images are not decoded; most JPEG files are reduced in decoding."
    )
    output: str = option("predictions.csv", "The table; must not exist yet.")
    top_k: Annotated[int, AtLeast(1)] = option(
        3, "Number of most probable classes per image."
    )
    suggest: Annotated[int, AtLeast(1)] | None = option(
        None, "Number of images to suggest for labelling."
    )
    suggestions: str = option(
        "suggestions.csv", "Table of the suggested images: filename, label, guess, ..."
    )
    labels_csv: str | None = option(
        None, "Labels so far: not suggested again, but copied to the suggestions."
    )
    sheet: str | None = option(None, "A picture (PNG) of the suggested images.")
    export_labels: str | None = option(
        None, "Tasks for Label Studio (JSON) with the suggested images."
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
        suggestions = self.suggestions if self.suggest else None
        paths = (self.output, suggestions, self.sheet, self.export_labels, self.relabel)
        return [path for path in paths if path]


def _check(flags: Predict) -> None:
    fields.check(flags)
    for name in ("model", "images", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    for name in ("sheet", "export_labels", "labels_csv"):
        if getattr(flags, name) and not flags.suggest:
            raise InputError(f"--{name} needs --suggest=N.")
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
            the model or `labels_csv` cannot be read, no image can be read, or all
            images already have labels.
    """
    _check(flags)
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l import classifier, prediction

    root, paths = prediction.find(flags.images)
    labels = {}
    if flags.labels_csv:
        labels = prediction.known_labels(pathlib.Path(flags.labels_csv), root)
    pool = prediction.Pool(labels) if flags.suggest else None
    trained = classifier.load(flags.model)
    resize = flags.resize or trained.about.resize
    reader = prediction.Reader(paths, trained.image_size, resize, flags.max_megapixels)
    started = time.perf_counter()
    sure = _write_tables(flags, trained, reader, root, pool)
    seconds = time.perf_counter() - started
    read = len(paths) - reader.unreadable
    print(f"images     {read:,} classified, {read / seconds:,.0f} images/s")
    if reader.unreadable:
        print(f"left out   {reader.unreadable:,} files that cannot be read")
    if pool:
        _write_suggestions(flags, trained, pool, root)
    if flags.relabel:
        least = f"probability at least {flags.confidence:g}"
        print(f"relabelled {len(sure):,} images, {least}")
        print(f"expected   {_expected(trained, sure, flags.confidence)}")
    print(f"written    {', '.join(flags.outputs)}", flush=True)


def _expected(trained: "Classifier", sure: Sequence[float], confidence: float) -> str:
    """Returns the expected share of wrong labels in words.

    The first estimate is the share of mistakes on images whose labels were not used in
    training. It is counted over the images whose probability is at least `confidence`,
    rounded down to a value of `calibration.CONFIDENCES`. The calibrated probabilities
    give a second estimate.
    """
    from color_s4l.training import calibration

    about, texts = trained.about, []
    counted = [row for row in about.mistakes if row[0] <= confidence and row[1]]
    if counted:
        least, images, mistakes = counted[-1]
        low, high = calibration.interval(mistakes, images)
        texts.append(
            f"{100 * mistakes / images:.1f} % wrong labels (95 % interval {low:.1f} to "
            f"{high:.1f}): {mistakes:,} of {images:,} images with probability at least "
            f"{least:g} are classified wrongly, among {about.counted_on}"
        )
    if about.temperature is not None and sure:
        wrong = 100 * (1 - sum(sure) / len(sure))
        texts.append(
            f"{wrong:.1f} % wrong labels by their probabilities, calibrated on "
            f"{about.calibrated_on}"
        )
    return "; ".join(texts) or (
        "share of wrong labels not known: no image with a label was held out of the "
        "training (train with --validation=N or with test images)"
    )


def _write_tables(
    flags: Predict,
    trained: "Classifier",
    reader: "Reader",
    root: pathlib.Path,
    pool: "Pool | None",
) -> list[float]:
    """Writes the tables batch by batch, and adds the images to the pool.

    Returns:
        The probabilities of the labels in the table `flags.relabel`; empty without it.
    """
    from color_s4l import prediction
    from color_s4l.artifacts.files import written_atomically

    sure: list[float] = []
    with (
        written_atomically(_with_folder(flags.output)) as output,
        written_atomically(_with_folder(flags.relabel))
        if flags.relabel
        else contextlib.nullcontext() as labels,
    ):
        for paths, images in reader:
            if pool:
                probabilities, features = trained.predict_with_features(images)
                pool.add(paths, features, probabilities)
            else:
                probabilities = trained.predict(images)
            names = [path.relative_to(root).as_posix() for path in paths]
            rows = prediction.ranked(
                names, probabilities, trained.class_names, flags.top_k
            )
            prediction.append(rows, output)
            if labels and flags.relabel:
                folder = pathlib.Path(flags.relabel).parent
                rows["filename"] = prediction.names_in(folder, paths)
                rows = rows[rows["probability"] >= flags.confidence]
                prediction.append(rows[["filename", "label"]], labels)
                sure += rows["probability"].tolist()
        if reader.unreadable == len(reader.paths):
            raise InputError(f"--images={flags.images}: no image can be read.")
    return sure


def _write_suggestions(
    flags: Predict, trained: "Classifier", pool: "Pool", root: pathlib.Path
) -> None:
    """Chooses the images to label; writes their table, picture and tasks."""
    from color_s4l import prediction
    from color_s4l.artifacts import pictures
    from color_s4l.artifacts.files import written_atomically
    from color_s4l.data import label_studio

    paths, probabilities = pool.choose(flags.suggest or 0)
    if not paths:
        raise InputError(f"--labels_csv={flags.labels_csv} has labels for all images.")
    table = prediction.suggested(
        pathlib.Path(flags.suggestions).parent,
        pool.labels,
        paths,
        probabilities,
        trained.class_names,
    )
    with written_atomically(_with_folder(flags.suggestions)) as file:
        prediction.append(table, file)
    print(f"suggested  {len(paths):,} of {len(pool.paths):,} images without a label")
    names = [path.relative_to(root).as_posix() for path in paths]
    rows = prediction.ranked(names, probabilities, trained.class_names, 2)
    if flags.sheet:
        rows["path"] = paths
        pictures.save(prediction.sheet(rows), _with_folder(flags.sheet))
    if flags.export_labels:
        tasks = _with_folder(flags.export_labels)
        rows["filename"] = prediction.names_in(tasks.parent, paths)
        served = pathlib.Path(os.path.abspath(root)).parent
        files = [pathlib.Path(os.path.abspath(p)).relative_to(served) for p in paths]
        label_studio.write_tasks(tasks, rows, files)
        print(f"serve with LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={served}")


def _with_folder(path: str) -> pathlib.Path:
    """Returns the path after creating its folder."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(predict, Predict, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
