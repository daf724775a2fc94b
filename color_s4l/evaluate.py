"""Error rates of a finished run or of a model file: python -m color_s4l.evaluate."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import DataSettings, is_digits

_DESCRIPTION = """Measures the error rate on the test images, with and without the
published test-time augmentation.

  python -m color_s4l.evaluate --run=runs/NAME
  python -m color_s4l.evaluate --model=model.keras --dataset=cifar10
"""


@dataclasses.dataclass(frozen=True)
class Evaluate(DataSettings):
    """The command's flags."""

    run: str | None = option(None, "A run folder; its own data set is used.")
    model: str | None = option(None, "Or a model file, .keras or .h5.")
    hflip: bool | None = option(
        None, "Flip views left-right (default: as the run; else not SVHN, digits)."
    )


def evaluate(flags: Evaluate) -> None:
    """Runs the command."""
    if (flags.run is None) == (flags.model is None):
        raise InputError("Expected either --run=DIR or --model=FILE.")
    print(f"evaluating {flags.run or flags.model}", flush=True)
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from color_s4l import classifier, data

    trained = classifier.load(flags.run or flags.model)
    source = _source_of(flags.run, flags.data_dir) if flags.run else flags
    if flags.model and trained.classes:  # the file says how its images were prepared
        size = source.image_size or trained.image_size
        source = dataclasses.replace(source, resize=trained.resize, image_size=size)
    dataset = data.load(source)
    if flags.model and not trained.classes:
        trained = dataclasses.replace(trained, hflip=not is_digits(source.dataset))
    if flags.hflip is not None:
        trained = dataclasses.replace(trained, hflip=flags.hflip)
    _print_errors(trained, dataset)
    if flags.run:
        _print_others(flags.run)


def _source_of(run: str, data_dir: str | None) -> DataSettings:
    """The data set that a run was trained on; its directory may have moved."""
    from color_s4l.artifacts.run_directory import RunDirectory, read_config

    values = read_config(RunDirectory(pathlib.Path(run)))["run"]
    names = [
        field.name for field in dataclasses.fields(DataSettings) if field.name in values
    ]
    source = DataSettings(**{name: values[name] for name in names})
    return dataclasses.replace(source, data_dir=data_dir or source.data_dir)


def _print_errors(trained, dataset) -> None:
    known = trained.network.output_shape[-1]
    if known != len(dataset.classes):
        raise InputError(
            f"The model knows {known} classes; {dataset.name} has "
            f"{len(dataset.classes)}."
        )
    if trained.classes and trained.classes != dataset.classes:
        raise InputError(
            f"The model knows the classes {', '.join(trained.classes[:10])}; "
            f"{dataset.name} has {', '.join(dataset.classes[:10])}."
        )
    images, labels = dataset.test_images, dataset.test_labels
    print(f"images     {len(images):,} test images of {dataset.name}")
    for name, augment in (("error", False), ("augmented", True)):
        error = trained.error_rate(images, labels, augment=augment)
        print(f"{name:<10} {error:.2f} %", flush=True)


def _print_others(run: str) -> None:
    """The other errors of a run: of a teacher, of the best epochs."""
    from color_s4l.artifacts.run_directory import RunDirectory, read_result
    from color_s4l.training.results import describe_others

    describe_others(read_result(RunDirectory(pathlib.Path(run))))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(evaluate, Evaluate, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
