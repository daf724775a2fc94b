"""Methods, recipes x networks x labels x seeds: python -m benchmarks.error_rates."""

import dataclasses
import pathlib
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks import layout, work
from benchmarks.grid import METHODS, Place, grid, places
from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.fields import option
from color_s4l.settings import Settings

_DESCRIPTION = """Trains every method and recipe with every network, label count and
seed, and writes the tables of error rates (.csv, .md, .tex) and their plot (.png). Runs
that are complete, under whatever name, are not run again; interrupted ones go on; a
failed one does not stop the others, and is named at the end (exit code 1). Of --set and
--stage each run has what it knows. A recipe that goes on from --init_from (refine) is
given a command of its own.

  python -m benchmarks.error_rates --labels=100 --methods=supervised,color_s4l
  python -m benchmarks.error_rates --labels=100 --recipes=moam,alternating
"""
EXIT_FAILED = 1


@dataclasses.dataclass(frozen=True)
class ErrorRates(Settings):
    """The command's flags: those of color_s4l.train, and the axes of the tables."""

    labels: str = option("all", "Comma-separated label counts; all for every label.")
    methods: str | None = option(
        None, f"Comma-separated (default: {METHODS}; with --recipes none)."
    )
    recipes: str = option("", "Comma-separated; beside the --methods that are given.")
    stages: bool = option(False, "Also each stage of a recipe's run.")
    networks: str = option("convnet", "Comma-separated.")
    seeds: str = option("1,5,10,15", "Comma-separated; the report names these four.")
    measure: str = option("error", "What the tables show.", tuple(layout.MEASURES))
    runs: str = option("runs", "Folder of the run folders.")
    output: str = option("error_rates.csv", "One row per run; .md, .tex, .png beside.")
    processes: int = option(1, "Runs at a time; several are quiet.")
    joblib_backend: str = option("loky", "What runs several.", work.BACKENDS)
    cluster: str | None = option(
        None, "Address of dask's or ray's scheduler (default: this machine)."
    )
    verbosity: int = option(2, "As of color_s4l.train.")


def error_rates(flags: ErrorRates) -> dict[str, str]:
    """Runs the grid, and writes the tables after every run.

    Returns:
        The runs that failed: folder -> reason.

    Raises:
        InputError: A value fits no run; nothing was begun.
    """
    from benchmarks import output

    path = output.check(flags.output)
    work.check(flags.processes, flags.joblib_backend, flags.cluster)
    found = places(_checked(flags), pathlib.Path(flags.runs))
    done = {place.run.run_dir for place in found if place.done}
    print(f"runs       {len(found)}, {len(done)} of them complete", flush=True)
    text = _write(found, done, path, flags) if done else None
    failed = {}
    with tqdm(total=len(found), initial=len(done), unit="run", disable=None) as bar:
        for outcome in _outcomes(found, flags):
            bar.update()
            name = pathlib.Path(outcome.run_dir).name
            if outcome.failure:
                failed[outcome.run_dir] = outcome.failure
                bar.write(f"failed     {name}: {outcome.failure}")
                continue
            done.add(outcome.run_dir)
            bar.write(f"complete   {name} in {outcome.seconds / 60:.1f} minutes")
            text = _write(found, done, path, flags)
    _tell(text, path, found, failed)
    return failed


def _checked(flags: ErrorRates) -> list:
    """The runs; a slip in the last one shows now, not after the others."""
    from color_s4l.recipes.flags import check

    runs = grid(
        flags,
        labels=flags.labels,
        networks=flags.networks,
        methods=flags.methods,
        recipes=flags.recipes,
        seeds=flags.seeds,
    )
    for run in runs:
        check(run)
    return runs


def _outcomes(found: Sequence[Place], flags: ErrorRates):
    waiting = [place.run for place in found if not place.done]
    return work.outcomes(waiting, flags.processes, flags.joblib_backend, flags.cluster)


def _write(
    found: Sequence[Place], done: set[str], path: pathlib.Path, flags: ErrorRates
) -> str:
    from benchmarks import output
    from color_s4l.artifacts import tables

    complete = [p.run.run_dir for p in found if p.run.run_dir in done]
    rows = tables.rows(complete, stages=flags.stages)
    command = command_line.command("benchmarks.error_rates", provenance.portable(flags))
    return output.write(rows, path, flags.measure, command)


def _tell(
    text: str | None, path: pathlib.Path, found: Sequence[Place], failed: dict[str, str]
) -> None:
    if text:
        names = ", ".join(path.with_suffix(s).name for s in (".md", ".tex", ".png"))
        print(f"\n{text}\nwritten    {path}; beside it {names}", flush=True)
    if failed:
        print(f"failed     {len(failed)} of {len(found)} runs:", flush=True)
    for folder, reason in failed.items():
        print(f"  {folder}: {reason}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
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
