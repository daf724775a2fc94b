"""Whether a number was measured at the published settings, and if not, what differs.

The flagfiles (`flags/`) are what "published" means: a run is compared with the one
that is closest to it. Where none has its data set and method, with the defaults.
"""

import dataclasses
import functools
import pathlib
import re

import pandas as pd

from benchmarks import published
from color_s4l import command_line
from color_s4l.artifacts import tables
from color_s4l.settings import Run
from color_s4l.training import identity

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
SIDE = 32
# The report's number of runs, where no published number says its own.
SEEDS = 4
PUBLISHED = "published"
# Where images come from, what the table's rows and columns are, what is said apart.
_APART = {"dataset", "data_dir", "labels", "method", "recipe", "network", "seed"}
_APART |= {"colorizer", "unlabeled"}
_IGNORED = _APART | identity.FREE | identity.ROUNDING
# Changes of one method's own, which leave it comparable with other methods.
_OWN = {"set", "stage"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a number was measured, in words.

    Attributes:
        smaller: What was less than published: "4 epochs", "width 0.25".
        changed: What else was different: "--batch_size=16".
        own: What differs in the method alone: "colorizer of 8 epochs".
        known: Whether the data set has published numbers at all.
    """

    smaller: tuple[str, ...]
    changed: tuple[str, ...]
    own: tuple[str, ...]
    known: bool

    @property
    def shared(self) -> str:
        """Equal for numbers that may be compared with one another."""
        kind = "reduced: " if self.smaller else "changed: " if self.changed else ""
        whole = PUBLISHED if self.known else "full"
        return kind + ", ".join(self.smaller + self.changed) if kind else whole

    @property
    def text(self) -> str:
        """Everything, for the column `settings`."""
        if not self.own:
            return self.shared
        if self.shared in (PUBLISHED, "full"):
            return f"changed: {', '.join(self.own)}"
        return f"{self.shared}; {', '.join(self.own)}"


def settings(row: pd.Series) -> Settings:
    """How a row of `tables.summary` was measured.

    Args:
        row: One setting, with `command`, `n`, and what its runs share.
    """
    run = _plain(tables.run_of(row["command"]))
    reference = _closest(run, row["labels"])
    known = reference is not None
    reference = reference or _plain(Run(dataset=run.dataset))
    smaller, changed, own = [], [], []
    for name, value in _differences(run, reference).items():
        if name in ("width", "epochs") and value < getattr(reference, name):
            smaller.append(f"width {value:g}" if name == "width" else f"{value} epochs")
        else:
            words = " ".join(command_line.spelled(Run(**{name: value})))
            (own if name in _OWN else changed).append(words or f"--{name}={value}")
    smaller += _fewer_images(run, row)
    if known and row["n"] < _seeds(run, row):
        smaller.append(f"{row['n']} seed{'s' if row['n'] > 1 else ''}")
    own += _colorizer(row, reference)
    return Settings(tuple(smaller), tuple(changed), tuple(own), known)


@functools.cache
def references() -> tuple[Run, ...]:
    """The published runs, one of each flagfile."""
    files = sorted(FLAGS.rglob("*.cfg"))
    return tuple(
        _plain(command_line.parse(Run, [f"--flagfile={f}"], "")) for f in files
    )


def _plain(run: Run) -> Run:
    """The run with its defaults written out, so that equal runs have equal values."""
    # Here and not above: it starts Keras, which --help does not need.
    from color_s4l.training import values

    size = run.image_size or SIDE
    full = values.of_images(run, size)
    dropout = full.trunk_dropout or None  # a trunk's own is published without
    return dataclasses.replace(full, image_size=size, trunk_dropout=dropout)


def _differences(run: Run, reference: Run) -> dict:
    now, then = dataclasses.asdict(run), dataclasses.asdict(reference)
    return {n: v for n, v in now.items() if n not in _IGNORED and v != then[n]}


def _closest(run: Run, labels: int) -> Run | None:
    """Of the published runs with this data set and method, the most similar one."""

    def distance(other: Run) -> tuple:
        every = published.TRAINING_IMAGES[other.dataset]
        differences = _differences(run, other)
        return (
            other.network != run.network,
            (other.labels or every) != labels,
            len(differences),
            # Of two, the one that asks for more: nothing shorter counts as whole.
            -other.epochs,
        )

    same = [
        other
        for other in references()
        if other.dataset == run.dataset
        and published.published_method_of(other) == published.published_method_of(run)
    ]
    same = same or [other for other in references() if other.dataset == run.dataset]
    return min(same, key=distance, default=None)


def _fewer_images(run: Run, row: pd.Series) -> list[str]:
    every = published.TRAINING_IMAGES.get(run.dataset)
    tests = published.TEST_IMAGES.get(run.dataset)
    found = []
    if every and row["unlabeled"] < every and not run.labeled_only:
        found.append(f"{row['unlabeled']:,} unlabelled images")
    if tests and row["test_images"] < tests:
        found.append(f"{row['test_images']:,} test images")
    return found


def _seeds(run: Run, row: pd.Series) -> int:
    """Runs behind the published number with as many epochs; else the report's four."""
    rows = published.beside(
        run.dataset, row["labels"], published.published_method_of(run), run.network
    )
    found = rows.loc[rows["epochs"] == run.epochs, "n"].dropna()
    return int(found.iloc[0]) if len(found) else SEEDS


def _colorizer(row: pd.Series, reference: Run) -> list[str]:
    """What the colorizer lacks: published, 100 to 300 epochs on all images."""
    found = re.search(r"(\d+) epochs on", str(row.get("colorizer")))
    wanted = re.fullmatch(r"\w+_(\d+)\.h5", reference.colorizer or "")
    if found and wanted and int(found[1]) < int(wanted[1]):
        return [f"colorizer of {found[1]} epochs"]
    return []
