"""Two moons, 6 labels: python -m benchmarks.two_moons --output=FOLDER.

Trains a small dense network on scikit-learn's two half circles with each consistency
method, by the library's own terms and learner, and draws what each has decided
(as in figure 1 of Rebuffi et al. 2020). Writes two_moons.csv, one row per method and
seed, and two_moons.png, the first seed's decisions.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from color_s4l import command_line
from color_s4l.artifacts import pictures, provenance
from color_s4l.artifacts.files import write_atomically
from color_s4l.fields import option

LABELS = 6
# The papers' weights; averages of some steps for a run of 3,000, not 150,000; points
# in the plane are no images, so how far a change may go is their own.
METHODS = {
    "supervised": (),
    "pi_model": ("pi_model.weight=100",),
    "temporal_ensembling": (),
    "mean_teacher": (
        "mean_teacher.weight=100",
        "mean_teacher.decay=0.9",
        "mean_teacher.ramp_decay=0.9",
    ),
    "vat": ("vat.epsilon=0.2", "vat.xi=0.01"),
    "pseudo_label": (),
}


@dataclasses.dataclass(frozen=True)
class TwoMoons:
    """The command's flags."""

    output: str = option("two_moons", "Folder of the table and the picture.")
    seeds: str = option("1,2,3,4,5", "Comma-separated.")
    methods: str = option(",".join(METHODS), "Comma-separated.")
    epochs: int = option(300, "Passes over the 1,000 points, 10 steps each.")
    noise: float = option(0.1, "Standard deviation of every view's noise.")


class Decision(typing.NamedTuple):
    """What a method makes of one problem.

    Attributes:
        moons: The problem.
        errors: Test errors in percent: `error`, and of further weights `teacher_error`.
        grid: Points of the plane, float32 `(n, 2)`.
        decided: Their probability of class 1, float32 `(n,)`.
    """

    moons: typing.Any
    errors: dict[str, float]
    grid: np.ndarray
    decided: np.ndarray


def solve(method: str, seed: int, epochs: int, noise: float) -> Decision:
    """Draws a problem and lets a method learn it.

    Args:
        method: Of `METHODS`.
        seed: Of the points, the choice of labelled ones, and the training.
        epochs: Passes over the points.
        noise: Standard deviation of every view's noise.

    Returns:
        The errors, and what it says of the plane; of a teacher, where there is one.
    """
    from benchmarks import points

    moons = points.draw_moons(LABELS, seed)
    learner = points.train(moons, method, METHODS[method], epochs, noise, seed)
    errors = {"error": points.error_rate(learner, moons)}
    grid = _grid()
    decided = points.decide(learner, grid)
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            errors[f"{name}_error"] = points.error_rate(learner, moons)
            decided = points.decide(learner, grid)
    return Decision(moons, errors, grid, decided)


def _grid() -> np.ndarray:
    across, up = np.meshgrid(np.linspace(-1.5, 2.5, 160), np.linspace(-1.1, 1.6, 108))
    return np.stack([across.ravel(), up.ravel()], axis=1).astype("float32")


def two_moons(flags: TwoMoons) -> pd.DataFrame:
    """Runs the command.

    Returns:
        One row per method and seed.
    """
    rows, drawn = [], []
    seeds = [int(seed) for seed in flags.seeds.split(",")]
    for method in flags.methods.split(","):
        for seed in seeds:
            decision = solve(method, seed, flags.epochs, flags.noise)
            rows.append({"method": method, "seed": seed, **decision.errors})
            print(f"{method:<20} seed {seed}  {_spelled(decision.errors)}", flush=True)
            if seed == seeds[0]:
                drawn.append((method, decision))
    table = pd.DataFrame(rows).assign(
        labels=LABELS,
        settings=[" ".join(METHODS[row["method"]]) for row in rows],
        command=command_line.command("benchmarks.two_moons", _forgetting_where(flags)),
        versions=" ".join(f"{k}={v}" for k, v in provenance.versions().items()),
        hardware=provenance.hardware(["CPU"]),
        date=provenance.today(),
    )
    folder = pathlib.Path(flags.output)
    folder.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False).encode()
    write_atomically(folder / "two_moons.csv", lambda file: file.write(text))
    pictures.save(picture(drawn), folder / "two_moons.png")
    print(f"written    {folder}/two_moons.csv, {folder}/two_moons.png", flush=True)
    return table


def _forgetting_where(flags: TwoMoons) -> TwoMoons:
    """The flags without what changes nothing of the result."""
    return dataclasses.replace(flags, output=TwoMoons().output)


def _spelled(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} %" for name, value in errors.items())


def picture(decisions: Sequence[tuple[str, Decision]]) -> Figure:
    """Each method's decision over the plane, with the points and the labelled ones.

    Args:
        decisions: Names and decisions, drawn side by side.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(2.7 * len(decisions), 2.4))
    axes = figure.subplots(1, len(decisions), squeeze=False)[0]
    for axis, (name, decision) in zip(axes, decisions, strict=True):
        error = list(decision.errors.values())[-1]
        axis.set_title(f"{name.replace('_', ' ')}: {error:.1f} %", fontsize=9)
        _draw(axis, decision)
        axis.set_axis_off()
    figure.tight_layout(pad=0.3)
    return figure


def _draw(axis, decision: Decision) -> None:
    """One plane: shaded by probability, grey points, labelled ones large."""
    moons, shape = decision.moons, (108, 160)
    across, up = (decision.grid[:, k].reshape(shape) for k in (0, 1))
    decided = decision.decided.reshape(shape)
    axis.contourf(across, up, decided, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
    axis.contour(across, up, decided, [0.5], colors="black", linewidths=1)
    axis.scatter(*moons.points.T, s=1, color="0.35")
    labeled = moons.split.labeled
    colours = np.where(moons.labels[labeled] == 1, "tab:blue", "tab:red")
    places = moons.points[labeled].T
    axis.scatter(*places, s=45, c=colours, edgecolors="white", zorder=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(two_moons, TwoMoons, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
