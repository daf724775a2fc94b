"""Measures the error rates of a run or a model file: python -m color_s4l.evaluate."""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence

from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import DataSettings, from_json, is_digits, part

if typing.TYPE_CHECKING:
    from color_s4l.classifier import Classifier
    from color_s4l.data import Data

_DESCRIPTION = """Measures the error rate on the test images, with and without the
published test-time augmentation.

  python -m color_s4l.evaluate --run=runs/NAME
  python -m color_s4l.evaluate --model=model.keras --dataset=cifar10
"""


@dataclasses.dataclass(frozen=True)
class Evaluate(DataSettings):
    """The flags of the command."""

    run: str | None = option(None, "A run directory; the data set of the run is used.")
    model: str | None = option(None, "Or a model file, .keras or .h5.")
    hflip: bool | None = option(
        None,
        "Flip images left-right at test time (default: as in training; for a model "
        "file without class names: not for SVHN and digits).",
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file with the data set or the trunk; may be repeated."
    )


def evaluate(flags: Evaluate) -> None:
    """Prints the error rates on the test images.

    Args:
        flags: The command's flags.

    Raises:
        InputError: Both or neither of `run` and `model` are given, the model or the
            data set cannot be read, or the model has another image size or other
            classes than the data set.
    """
    fields.check(flags)
    if (flags.run is None) == (flags.model is None):
        raise InputError("Expected either --run=DIR or --model=FILE.")
    path = flags.run or flags.model or ""
    print(f"evaluating {path}", flush=True)
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l import classifier, data

    trained = classifier.load(path)
    settings = _data_of(flags.run) if flags.run else part(flags, DataSettings)
    if flags.run and flags.data_dir:  # the images of the run were moved
        settings = dataclasses.replace(settings, data_dir=flags.data_dir)
    if flags.model and trained.classes:
        # The value of `resize` is stored in the classifier's file.
        size = settings.image_size or trained.image_size
        settings = dataclasses.replace(
            settings, resize=trained.about.resize, image_size=size
        )
    if flags.model and not trained.classes:
        trained = _with_hflip(trained, not is_digits(settings.dataset))
    if flags.hflip is not None:
        trained = _with_hflip(trained, flags.hflip)
    dataset = data.load(settings)
    _check_fit(trained, dataset)
    _print_errors(trained, dataset)
    if flags.run:
        _print_other_errors(flags.run)


def _with_hflip(trained: "Classifier", hflip: bool) -> "Classifier":
    about = dataclasses.replace(trained.about, hflip=hflip)
    return dataclasses.replace(trained, about=about)


def _data_of(run: str) -> DataSettings:
    """Returns the data set that a run was trained on."""
    from color_s4l.artifacts.run_directory import RunDirectory, read_config

    values = read_config(RunDirectory(pathlib.Path(run)))["run"]
    return part(from_json(values), DataSettings)


def _check_fit(trained: "Classifier", dataset: "Data") -> None:
    if dataset.size != trained.image_size:
        raise InputError(
            f"The model takes images of {trained.image_size} px: set `image_size`. "
            f"Received: {dataset.size} px."
        )
    outputs = trained.network.output_shape[-1]
    if outputs != len(dataset.classes):
        raise InputError(
            f"The model has {outputs} classes; {dataset.name} has "
            f"{len(dataset.classes)}."
        )
    if trained.classes and trained.classes != dataset.classes:
        raise InputError(
            f"The model has the classes {', '.join(trained.classes[:10])}; "
            f"{dataset.name} has {', '.join(dataset.classes[:10])}."
        )


def _print_errors(trained: "Classifier", dataset: "Data") -> None:
    images, labels = dataset.test_images, dataset.test_labels
    print(f"images     {len(images):,} test images of {dataset.name}")
    for name, augment in (("error", False), ("augmented", True)):
        error = trained.error_rate(images, labels, augment=augment)
        print(f"{name:<10} {error:.2f} %", flush=True)


def _print_other_errors(run: str) -> None:
    """Prints the stored errors of further weights (EMA) and of the best epochs."""
    from color_s4l.artifacts.run_directory import RunDirectory, read_result
    from color_s4l.training.results import describe_others

    describe_others(read_result(RunDirectory(pathlib.Path(run))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
