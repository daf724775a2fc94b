"""Training images per second and peak memory: python -m benchmarks.throughput."""

import dataclasses
import importlib.util
import itertools
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Annotated

import pandas as pd

from benchmarks import origin
from benchmarks.origin import words
from benchmarks.speed import measure
from benchmarks.speed.case import Case, make_case
from benchmarks.speed.measure import SUPERVISED
from color_s4l import command_line, fields
from color_s4l.errors import unknown
from color_s4l.fields import AtLeast, option
from color_s4l.settings import Run

BACKENDS = ("tensorflow", "jax", "torch")
# With so many epochs, the learning rate hardly changes during the measurement.
EPOCHS = 100_000
_DESCRIPTION = """Measures training images per second and peak memory of networks and
methods on TensorFlow and JAX, and the cost of each method relative to supervised
training. If PyTorch is installed, the same step in plain PyTorch is measured too. Each
case runs in its own process; cases that are compared are measured in alternation.

  python -m benchmarks.throughput --networks=convnet --methods=supervised,color_s4l
"""
SHOWN = [
    *("network", "method", "dtype_policy", "backend", "images_per_second"),
    *("ratio_to_torch", "speed_to_supervised", "step_to_supervised"),
    *("process_MB", "device_MB", "memory_to_supervised"),
    *("data", "views", "gradient", "rest", "remark"),
]
NOTE = """images_per_second counts labelled images and views that go through the trunk
(median of n measurements). data, views and gradient (forward and backward pass) are
shares of the time of a step in percent."""
Count = Annotated[int, AtLeast(1)]


@dataclasses.dataclass(frozen=True)
class Throughput:
    """The flags of the command."""

    networks: str = option("convnet", "Comma-separated.")
    methods: str = option("supervised,sesemi,color_s4l", "Comma-separated.")
    backends: str | None = option(
        None, f"From {','.join(BACKENDS)} (default: all installed backends)."
    )
    dtype_policies: str = option("float32,mixed_bfloat16", "Comma-separated.")
    width: float = option(1.0, "Factor on the number of filters of the trunk.")
    batch_size: Count = option(8, "Unlabelled images per step; views are not counted.")
    labeled_batch: Count | None = option(
        None, "Labelled images per step (default: as in color_s4l.train)."
    )
    image_size: Count = option(32, "Side in pixels.")
    # A measurement is one call of `fit`. The measured time includes 0.08 s for the
    # start and end of the call; with more steps, this is a smaller share.
    steps: Count = option(10, "Steps of one measurement.")
    repeats: Count = option(3, "Measurements of each case.")
    devices: Count = option(1, "As in color_s4l.train.")
    jit_compile: bool | None = option(None, "As in color_s4l.train.")
    steps_per_execution: Count = option(1, "As in color_s4l.train.")
    costs: bool = option(True, "Also measure the cost relative to supervised training.")
    parts: bool = option(True, "Also measure data, views and gradient separately.")
    output: str = option("throughput.csv", "The table; also written as .md.")


def throughput(flags: Throughput) -> pd.DataFrame:
    """Measures every case and writes the table after each group of cases.

    Returns:
        One row per case.

    Raises:
        InputError: A name does not exist, or a number is out of range.
    """
    fields.check(flags)
    output = origin.output_file(flags.output)
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    backends = words("backends", flags.backends) if flags.backends else installed
    for name in backends:
        if name not in installed:
            raise unknown("installed backend", name, installed)
    methods = words("methods", flags.methods)
    policies = words("dtype_policies", flags.dtype_policies)
    groups = list(itertools.product(words("networks", flags.networks), policies))
    for group in groups:  # finds errors before the first measurement
        for method in methods:
            _cases(flags, *group, method, backends)
    about = origin.columns(flags, ["CPU"])
    found: list[dict] = []
    for group in groups:
        for row in _rows(flags, group, methods, backends):
            found.append({**about, **row})
            _write(pd.DataFrame(found), output)
    table = pd.DataFrame(found)
    print(f"\n{_shown(table).to_string(index=False, na_rep='')}\n\n{NOTE}")
    print(f"\nwritten    {output}, {output.with_suffix('.md')}")
    return table


def _rows(
    flags: Throughput,
    group: tuple[str, str],
    methods: Sequence[str],
    backends: Sequence[str],
) -> Iterator[dict]:
    """Measures all methods; the processes of `supervised` run until the end."""
    beside = {}
    if flags.costs and methods != [SUPERVISED]:
        ours = [backend for backend in backends if backend != "torch"]
        beside = _cases(flags, *group, SUPERVISED, ours)
    with (
        tempfile.TemporaryDirectory() as cache,
        measure.started(beside, cache) as (supervised, _),
    ):
        for method in methods:
            cases = _cases(flags, *group, method, backends)
            about = (*group, f"width {flags.width:g}", method)
            print(f"measuring  {', '.join(about)}: {', '.join(cases)}", flush=True)
            shared = (supervised, cache, flags.repeats, flags.parts)
            yield from measure.rows(cases, *shared)


def _cases(
    flags: Throughput, network: str, policy: str, method: str, backends: Sequence[str]
) -> dict[str, Case]:
    """Returns one case for each backend that supports the settings."""
    shared = {
        field.name: getattr(flags, field.name)
        for field in dataclasses.fields(Run)
        if hasattr(flags, field.name)
    }
    run = Run(
        network=network, method=method, dtype_policy=policy, epochs=EPOCHS, **shared
    )
    cases = {backend: make_case(backend, run, flags.steps) for backend in backends}
    return {backend: case for backend, case in cases.items() if case}


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table with the columns to print, without empty columns."""
    shown = table.reindex(columns=SHOWN)
    return shown.loc[:, shown.replace("", None).notna().any()]


def _write(table: pd.DataFrame, path: pathlib.Path) -> None:
    origin.write_csv(table, path)
    facts = [
        f"* {name}: {'; '.join(table[name].dropna().astype(str).unique())}"
        for name in ("n", "steps", "settings", "hardware", "versions", "date")
        if name in table
    ]
    shown = _shown(table).astype(object).fillna("")
    text = shown.to_markdown(index=False, disable_numparse=True)
    lines = [text, "", NOTE, "", *facts, ""]
    origin.write_text(path.with_suffix(".md"), "\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(throughput, Throughput, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
