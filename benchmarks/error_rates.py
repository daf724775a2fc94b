"""Tables of error rates of methods and recipes: python -m benchmarks.error_rates."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from tqdm import tqdm

from benchmarks import origin, work
from color_s4l import command_line, fields
from color_s4l.fields import AtLeast, OneOf, option
from color_s4l.settings import (
    PRESETS,
    Run,
    TrainingSettings,
    pretrained,
    with_method,
)

_DESCRIPTION = """Trains every method and recipe with every network, number of labels
and seed, and writes tables of the error rates (.csv, .md, .tex) and a plot (.png).
Complete runs are not trained again; interrupted runs are resumed. A run that fails
does not stop the other runs; the reason is printed at the end (exit code 1). Each run
only gets the values of --set and --stage that belong to its terms and stages. A recipe
that continues the run of --init_from (refine) needs its own command. A row with the
method `probe` shows the error of the frozen trunk that the runs start from; for runs
from random weights, it is the trunk of the package (--init_from=builtin).

  python -m benchmarks.error_rates --labels=100 --methods=supervised,color_s4l
  python -m benchmarks.error_rates --labels=100 --recipes=moam,alternating
"""
METHODS = "supervised,sesemi,color_s4l"
EXIT_FAILED = 1


@dataclasses.dataclass(frozen=True)
class ErrorRates(TrainingSettings):
    """The flags of the command: the settings of a run, and the axes of the tables."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {
            **{k: v for k, v in values.items() if k not in ("method", "network")},
            "methods": values["method"],
            "networks": values["network"],
        }
        for name, values in PRESETS.items()
    }

    labels: str = option("all", "Comma-separated numbers of labels; all: all labels.")
    methods: str | None = option(
        None, f"Comma-separated (default: {METHODS}; none with --recipes)."
    )
    recipes: str = option("", "Comma-separated; in addition to --methods, if given.")
    stages: bool = option(False, "Also write a row for each stage of a recipe.")
    probe: bool = option(
        True, "Also probe the trunk of --init_from, or the built-in weights."
    )
    networks: str = option("convnet", "Comma-separated.")
    seeds: str = option("1,5,10,15", "Comma-separated; default: as in the report.")
    runs: str = option("runs", "Directory of the run directories.")
    output: str = option(
        "error_rates.csv", "Table, one row per run; also written as .md, .tex, .png."
    )
    processes: Annotated[int, AtLeast(1)] = option(
        1, "Number of runs trained at the same time."
    )
    joblib_backend: Annotated[str, OneOf(*work.BACKENDS)] = option(
        "loky", "Where --processes run: loky (this machine) or dask (cluster)."
    )
    cluster: str | None = option(
        None, "Address of a dask scheduler (default: this machine)."
    )
    verbosity: int = option(2, "As in color_s4l.train.")


def error_rates(flags: ErrorRates) -> dict[str, str]:
    """Trains the runs of the grid and writes the tables after every run.

    Returns:
        Run directory -> reason, for the runs that failed.

    Raises:
        InputError: A value is wrong; nothing was started.
    """
    from benchmarks import summary
    from benchmarks.grid import places
    from color_s4l.artifacts import tables

    fields.check(flags)
    path = origin.output_file(flags.output)
    work.check(flags.joblib_backend, flags.cluster)
    found = places(_runs(flags), pathlib.Path(flags.runs))
    order = [str(run.run_dir) for run, _ in found]
    done = [str(run.run_dir) for run, complete in found if complete]
    print(f"runs       {len(found)}, {len(done)} of them complete", flush=True)
    failed: dict[str, str] = {}

    def write() -> str:
        return summary.write(tables.rows(done, stages=flags.stages), path)

    text = write() if done else None
    waiting = [run for run, complete in found if not complete]
    outcomes = work.outcomes(
        waiting, flags.processes, flags.joblib_backend, flags.cluster
    )
    with tqdm(total=len(found), initial=len(done), unit="run", disable=None) as bar:
        for outcome in outcomes:
            bar.update()
            name = pathlib.Path(outcome.run_dir).name
            if outcome.failure:
                failed[outcome.run_dir] = outcome.failure
                bar.write(f"failed     {name}: {outcome.failure}")
                continue
            done.append(outcome.run_dir)
            done.sort(key=order.index)
            bar.write(f"complete   {name} in {outcome.seconds / 60:.1f} minutes")
            text = write()
    if text:
        print(f"\n{text}\nwritten    {path}, also as .md, .tex, .png", flush=True)
    if failed:
        print(f"failed     {len(failed)} of {len(found)} runs:", flush=True)
    for folder, reason in failed.items():
        print(f"  {folder}: {reason}", flush=True)
    return failed


def _runs(flags: ErrorRates) -> list[Run]:
    """Returns the runs; checks all of them before the first one is trained."""
    from benchmarks.grid import grid
    from color_s4l.recipes.procedure import check

    methods = flags.methods
    if methods is None:
        methods = "" if flags.recipes else METHODS
    runs = grid(
        flags,
        labels=flags.labels,
        networks=flags.networks,
        methods=methods,
        recipes=flags.recipes,
        seeds=flags.seeds,
    )
    if flags.probe:
        runs += _probes(runs)
    for run in runs:
        check(run)
    return runs


def _probes(runs: Sequence[Run]) -> list[Run]:
    """Returns the probes to add to the table; none if `runs` contains a probe."""
    from color_s4l.artifacts.tables import PROBE

    if any(run.method == PROBE for run in runs):
        return []
    return list(dict.fromkeys(probe for run in runs if (probe := _probe_of(run))))


def _probe_of(run: Run) -> Run | None:
    """Returns the probe of the trunk that a run starts from.

    For a run from random weights, it is the probe of the built-in weights, or None if
    this installation has no built-in weights.
    """
    from color_s4l.artifacts import builtin
    from color_s4l.artifacts.tables import PROBE

    changes: dict[str, Any] = {"init_heads": False, "balance": False, "devices": 1}
    changes["flip_order"] = "random"
    if not pretrained(run):
        if not builtin.exists():
            return None
        note = builtin.read().note
        names = ("network", "width", "normalization")
        changes |= {**{name: note[name] for name in names}, "init_from": builtin.NAME}
        changes["zca"] = None
    return with_method(run, PROBE, **changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    failed = {}
    code = command_line.run(
        lambda flags: failed.update(error_rates(flags)),
        ErrorRates,
        _DESCRIPTION,
        arguments,
    )
    return code or (EXIT_FAILED if failed else 0)


if __name__ == "__main__":
    raise SystemExit(main())
