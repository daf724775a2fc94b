"""Images per second and peak memory: python -m benchmarks.throughput."""

import dataclasses
import importlib.util
import itertools
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.speed import rows, table
from benchmarks.speed.case import Case, plain_case
from benchmarks.speed.measuring import SUPERVISED, group, started
from benchmarks.speed.processes import closing
from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError, unknown
from color_s4l.fields import option
from color_s4l.settings import Run

BACKENDS = ("tensorflow", "jax", "torch")
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
_DESCRIPTION = """Measures training images per second and peak memory of networks and
methods, in TensorFlow, in JAX and, where PyTorch is installed, of the same step written
plainly in PyTorch; and the cost of each method relative to supervised training. Each
case has a process of its own; the cases that are compared are measured in alternation.

  python -m benchmarks.throughput --networks=convnet --methods=supervised,color_s4l
"""


@dataclasses.dataclass(frozen=True)
class Throughput:
    """The command's flags."""

    networks: str = option("convnet", "Comma-separated.")
    methods: str = option("supervised,sesemi,color_s4l", "Comma-separated; or all.")
    backends: str | None = option(
        None, f"Of {','.join(BACKENDS)} (default: all that are installed)."
    )
    dtype_policies: str = option(
        "float32,mixed_bfloat16", f"Comma-separated, of {','.join(POLICIES)}."
    )
    width: float = option(1.0, "Factor on the trunk's numbers of filters.")
    batch_size: int = option(8, "Unlabelled images per step, before the views.")
    labeled_batch: int | None = option(
        None, "Labelled images per step (default: as of color_s4l.train)."
    )
    image_size: int = option(32, "Side in pixels.")
    # A measurement is a `fit`, whose beginning and end take 0.08 s.
    steps: int = option(10, "Of one measurement.")
    repeats: int = option(3, "Measurements of each case.")
    devices: int = option(1, "As of color_s4l.train.")
    jit_compile: bool | None = option(None, "As of color_s4l.train.")
    steps_per_execution: int = option(1, "As of color_s4l.train.")
    costs: bool = option(True, "Measure supervised beside, for the costs of a method.")
    parts: bool = option(True, "Time data, views and gradient by themselves, too.")
    output: str = option("throughput.csv", "The table; a .md file is written beside.")


def throughput(flags: Throughput) -> pd.DataFrame:
    """Measures every case and writes the table after each.

    Returns:
        One line per case.

    Raises:
        InputError: A name does not exist, or a number does not fit.
    """
    backends = _check(flags)
    about = rows.about(
        command_line.command("benchmarks.throughput", provenance.portable(flags))
    )
    output = pathlib.Path(flags.output)
    lines = []
    axes = (flags.networks.split(","), flags.dtype_policies.split(","))
    for network, policy in itertools.product(*axes):
        for line in _lines(flags, network, policy, backends):
            lines.append({**line, **about})
            _write(pd.DataFrame(lines), output)
    found = pd.DataFrame(lines)
    print(f"\n{table.shown(found).to_string(index=False, na_rep='')}\n\n{table.NOTE}")
    print(f"\nwritten    {output}, {output.with_suffix('.md')}")
    return found


def _check(flags: Throughput) -> list[str]:
    """Refuses what can't be measured before anything is; returns the backends."""
    from color_s4l import methods
    from color_s4l.training import values

    for name in ("repeats", "steps", "image_size"):
        if getattr(flags, name) < 1:
            raise InputError(f"--{name}={getattr(flags, name)}: expected at least 1.")
    installed = _installed()
    backends = flags.backends.split(",") if flags.backends else installed
    for name in backends:
        if name not in BACKENDS:
            raise unknown("backend", name, BACKENDS)
        if name not in installed:
            raise InputError(
                f"--backends={name}: it is not installed. "
                f"There are: {', '.join(installed)}."
            )
    for policy in flags.dtype_policies.split(","):
        if policy not in POLICIES:
            raise unknown("dtype policy", policy, POLICIES)
    for network, method in itertools.product(
        flags.networks.split(","), _methods(flags)
    ):
        methods.terms_of(method)
        values.check(
            Run(
                network=network,
                method=method,
                width=flags.width,
                batch_size=flags.batch_size,
                labeled_batch=flags.labeled_batch,
                devices=flags.devices,
                steps_per_execution=flags.steps_per_execution,
            )
        )
    return backends


def _installed() -> list[str]:
    return [name for name in BACKENDS if importlib.util.find_spec(name)]


def _methods(flags: Throughput) -> list[str]:
    from color_s4l.methods import METHODS

    return list(METHODS) if flags.methods == "all" else flags.methods.split(",")


def _lines(
    flags: Throughput, network: str, policy: str, backends: Sequence[str]
) -> Iterator[dict]:
    """The lines of all methods; `supervised` stays alive beside them."""
    names = _methods(flags)
    ours = [backend for backend in backends if backend != "torch"]
    with tempfile.TemporaryDirectory() as cache, closing({}) as supervised:
        if flags.costs and names != [SUPERVISED]:
            cases = _cases(flags, network, policy, SUPERVISED, ours)
            supervised |= started(cases, cache)[0]
        for method in names:
            cases = _cases(flags, network, policy, method, backends)
            words = (network, f"width {flags.width:g}", policy, method)
            print(f"measuring  {', '.join(words)}: {', '.join(cases)}", flush=True)
            yield from group(cases, supervised, cache, flags.repeats, flags.parts)


def _cases(
    flags: Throughput, network: str, policy: str, method: str, backends: Sequence[str]
) -> dict[str, Case]:
    """A case for each backend; none for PyTorch where it has no such step."""
    same = {
        field.name: getattr(flags, field.name)
        for field in dataclasses.fields(Case)
        if hasattr(flags, field.name)
    }
    cases = {
        backend: Case(backend, network, method, policy, **same) for backend in backends
    }
    if "torch" in cases:
        cases["torch"] = plain_case(cases["torch"])
    return {backend: case for backend, case in cases.items() if case}


def _write(found: pd.DataFrame, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = found.to_csv(index=False).encode()
    write_atomically(path, lambda file: file.write(text))
    readable = table.markdown(found).encode()
    write_atomically(path.with_suffix(".md"), lambda file: file.write(readable))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(throughput, Throughput, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
