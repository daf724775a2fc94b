"""Compares four methods on the built-in drawings: python -m benchmarks.demo.

Trains a colorizer, then four methods with few labels, which takes some minutes:
`supervised` on the labelled images only, `sesemi`, `color_s4l` and `fast`. If the
package contains its built-in weights, a probe of them is added to the table. Prints the
table of error rates, and writes pictures and a report of the runs. `make demo` runs
this command.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

from benchmarks.error_rates import EXIT_FAILED, ErrorRates, error_rates
from color_s4l import command_line
from color_s4l.fields import option

DATASET = "drawings"


@dataclasses.dataclass(frozen=True)
class Demo:
    """The flags of the command."""

    output: str = option("demo", "Directory for all output.")
    epochs: int = option(6, "Passes over the 3,000 training images.")
    seeds: str = option("1", "Comma-separated.")
    width: float = option(0.25, "Factor on the number of filters of the trunk.")
    labels: int = option(40, "Number of labelled images.")


def demo(flags: Demo) -> None:
    """Runs the demonstration; complete parts are not computed again.

    Raises:
        SystemExit: A run failed.
    """
    from color_s4l.report.__main__ import Report, report
    from colorization.evaluate import Evaluate, evaluate
    from colorization.train import Train, train

    started = time.perf_counter()
    folder = pathlib.Path(flags.output)
    colorizer = folder / "colorizer.h5"
    if not colorizer.exists():
        train(
            Train(
                dataset=DATASET,
                output=str(colorizer),
                epochs=3,
                width=0.25,
                batch_size=20,
                resume=True,
                verbosity=2,
            )
        )
    if not (folder / "colorizer" / "samples.png").exists():
        evaluate(
            Evaluate(
                dataset=DATASET,
                colorizer=(str(colorizer),),
                output=str(folder / "colorizer"),
            )
        )
    settings = {
        **ErrorRates.presets["fast"],
        "methods": "supervised,sesemi,color_s4l,fast",
        "dtype_policy": "float32",  # half precision is slow on older CPUs
        "batch_size": 64,
        "final_weights": None,  # `supervised` and the proxy methods have no average
    }
    failed = error_rates(
        ErrorRates(
            **settings,
            dataset=DATASET,
            labels=str(flags.labels),
            seeds=flags.seeds,
            colorizer=str(colorizer),
            width=flags.width,
            epochs=flags.epochs,
            evaluate_every=flags.epochs,
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
