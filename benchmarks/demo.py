"""A demonstration on the built-in images, in minutes: python -m benchmarks.demo.

Trains a colorizer, then three methods with three seeds each; prints the table of error
rates and writes pictures and a report of the runs. `make demo` runs this command.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

from benchmarks.error_rates import EXIT_FAILED, ErrorRates, error_rates
from color_s4l import command_line
from color_s4l.fields import option


@dataclasses.dataclass(frozen=True)
class Demo:
    """The flags of the command."""

    output: str = option("demo", "Folder for all output.")
    epochs: int = option(4, "Passes over the 1,397 training images.")
    seeds: str = option("1,2,3", "Comma-separated.")
    width: float = option(0.125, "Factor on the number of filters of the ConvNet.")
    labels: int = option(100, "Number of labelled images.")


def demo(flags: Demo) -> None:
    """Runs the demonstration; complete parts are not computed again."""
    from color_s4l.report.__main__ import Report, report
    from colorization.evaluate import Evaluate, evaluate
    from colorization.train import Train, train

    started = time.perf_counter()
    folder = pathlib.Path(flags.output)
    colorizer = folder / "colorizer.h5"
    if not colorizer.exists():
        train(
            Train(
                output=str(colorizer),
                epochs=6,
                width=0.25,
                batch_size=20,
                resume=True,
                verbosity=2,
            )
        )
    if not (folder / "colorizer" / "samples.png").exists():
        evaluate(Evaluate(colorizer=str(colorizer), output=str(folder / "colorizer")))
    failed = error_rates(
        ErrorRates(
            labels=str(flags.labels),
            seeds=flags.seeds,
            colorizer=str(colorizer),
            width=flags.width,
            epochs=flags.epochs,
            batch_size=16,
            processes=2,  # a run with a narrow trunk only uses one core
            runs=str(folder / "runs"),
            output=str(folder / "error_rates.csv"),
        )
    )
    if failed:
        raise SystemExit(EXIT_FAILED)
    runs = sorted(str(path.parent) for path in folder.glob("runs/*/result.json"))
    report(Report(runs=tuple(runs), output=str(folder / "report.html")))
    print(f"pictures   {folder}/colorizer/samples.png, {folder}/runs/*/pictures/*.png")
    print(f"took       {(time.perf_counter() - started) / 60:.1f} minutes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(demo, Demo, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
