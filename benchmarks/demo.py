"""The main job on the built-in images, in minutes: python -m benchmarks.demo.

Trains a colorizer, then three methods with three seeds each, prints the table of
error rates and leaves the pictures and a report of the runs. `make demo` runs it.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

from benchmarks.error_rates import EXIT_FAILED, ErrorRates, error_rates
from color_s4l import command_line
from color_s4l.fields import option

COLORIZER_EPOCHS = 6


@dataclasses.dataclass(frozen=True)
class Demo:
    """The command's flags."""

    output: str = option("demo", "Folder of everything it writes.")
    epochs: int = option(4, "Passes over the 1,397 training images.")
    seeds: str = option("1,2,3", "Comma-separated.")
    width: float = option(0.125, "Factor on the ConvNet's numbers of filters.")
    labels: int = option(100, "Labelled images, of 1,397.")


def demo(flags: Demo) -> None:
    """Runs the command; what is there already is not done again."""
    started = time.perf_counter()
    folder = pathlib.Path(flags.output)
    colorizer = folder / "colorizer.h5"
    if not colorizer.exists():
        _train_colorizer(colorizer)
    if not (folder / "colorizer" / "samples.png").exists():
        _measure_colorizer(colorizer)
    failed = error_rates(
        ErrorRates(
            labels=str(flags.labels),
            seeds=flags.seeds,
            colorizer=str(colorizer),
            width=flags.width,
            epochs=flags.epochs,
            batch_size=16,
            processes=2,  # narrow trunks keep one core busy each
            runs=str(folder / "runs"),
            output=str(folder / "error_rates.csv"),
        )
    )
    if failed:
        raise SystemExit(EXIT_FAILED)
    _report(folder)
    print(f"pictures   {folder}/colorizer/samples.png, {folder}/runs/*/pictures/*.png")
    print(f"took       {(time.perf_counter() - started) / 60:.1f} minutes")


def _train_colorizer(path: pathlib.Path) -> None:
    """Trains the colorizer, by the command that a user has."""
    from colorization.train import Train, train

    train(
        Train(
            output=str(path),
            epochs=COLORIZER_EPOCHS,
            width=0.25,
            batch_size=20,
            resume=True,
            verbosity=2,
        )
    )


def _measure_colorizer(path: pathlib.Path) -> None:
    """Measures the colorizer, by the command that a user has."""
    from colorization.evaluate import Evaluate, evaluate

    evaluate(Evaluate(colorizer=str(path), output=str(path.with_suffix(""))))


def _report(folder: pathlib.Path) -> None:
    """Writes the page about the runs, by the command that a user has."""
    from color_s4l.report.__main__ import Report, report

    runs = sorted(str(path.parent) for path in folder.glob("runs/*/result.json"))
    report(Report(runs=tuple(runs), output=str(folder / "report.html")))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(demo, Demo, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
