"""Two moons with 6 labels: python -m benchmarks.two_moons --output=FOLDER.

Trains a small dense network on scikit-learn's two half circles with each consistency
method, by the terms and the learner of the library, and draws the decisions (as in
figure 1 of Rebuffi et al. 2019). Writes two_moons.csv, one row per method and seed, and
two_moons.png with the decisions for the first seed.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import origin
from color_s4l import command_line
from color_s4l.artifacts import pictures, tables
from color_s4l.errors import unknown
from color_s4l.fields import option

# The weights of the papers. The averages are shorter: a run has 3,000 steps, not
# 150,000. The radius of VAT fits points in the plane instead of images.
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
COLUMNS, ROWS = 160, 108  # of the grid on which the decisions are drawn


@dataclasses.dataclass(frozen=True)
class TwoMoons:
    """The flags of the command."""

    output: str = option("two_moons", "Folder of the table and the picture.")
    seeds: str = option("1,2,3,4,5", "Comma-separated.")
    methods: str = option(",".join(METHODS), "Comma-separated.")
    epochs: int = option(300, "Passes over the 1,000 points, 10 steps each.")
    noise: float = option(0.1, "Standard deviation of the noise of every view.")


class Decision(typing.NamedTuple):
    """The result of a method for one seed.

    Attributes:
        moons: The points, a `points.Moons`.
        errors: Test errors in percent: `error`, and `teacher_error` of a teacher.
        grid: Points of the plane, float32 `(n, 2)`.
        decided: Their probability of class 1, float32 `(n,)`; the teacher's, if any.
    """

    moons: typing.Any
    errors: dict[str, float]
    grid: np.ndarray
    decided: np.ndarray


def solve(method: str, seed: int, epochs: int, noise: float) -> Decision:
    """Draws the points of a seed and trains a method on them."""
    from benchmarks import points

    moons, changes = points.draw_moons(seed), METHODS[method]
    learner = points.train(
        moons, method, changes, seed=seed, epochs=epochs, noise=noise
    )
    errors = {"error": points.error_rate(learner, moons)}
    across, up = np.meshgrid(
        np.linspace(-1.5, 2.5, COLUMNS), np.linspace(-1.1, 1.6, ROWS)
    )
    grid = np.stack([across.ravel(), up.ravel()], axis=1).astype("float32")
    decided = points.decide(learner, grid)
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            errors[f"{name}_error"] = points.error_rate(learner, moons)
            decided = points.decide(learner, grid)
    return Decision(moons, errors, grid, decided)


def two_moons(flags: TwoMoons) -> pd.DataFrame:
    """Trains all methods with all seeds; writes the table and the picture.

    Returns:
        One row per method and seed.

    Raises:
        InputError: A method does not exist, or a seed is not a number.
    """
    rows, drawn = [], []
    seeds, methods = origin.numbers("seeds", flags.seeds), flags.methods.split(",")
    for method in methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    about = origin.columns(flags, ["CPU"])
    for method in methods:
        for seed in seeds:
            decision = solve(method, seed, flags.epochs, flags.noise)
            values = {"method": method, "set": METHODS[method], "seed": seed}
            values |= {"epochs": flags.epochs, "noise": flags.noise}
            row = {"method": method, "seed": seed, **decision.errors, **about}
            rows.append({**row, "settings": tables.settings_text(values)})
            errors = (f"{name} {rate:.1f} %" for name, rate in decision.errors.items())
            print(f"{method:<20} seed {seed}  {', '.join(errors)}", flush=True)
            if seed == seeds[0]:
                drawn.append((method, decision))
    table = pd.DataFrame(rows)
    folder = pathlib.Path(flags.output)
    folder.mkdir(parents=True, exist_ok=True)
    origin.write_csv(table, folder / "two_moons.csv")
    pictures.save(picture(drawn), folder / "two_moons.png")
    print(f"written    {folder}/two_moons.csv, {folder}/two_moons.png", flush=True)
    return table


def picture(decisions: Sequence[tuple[str, Decision]]) -> Figure:
    """Returns a figure of decisions side by side.

    Each panel shows the probability as colour, the points in grey and the labelled
    points large.

    Args:
        decisions: Names and decisions.
    """
    figure = Figure(figsize=(2.7 * len(decisions), 2.4))
    axes = figure.subplots(1, len(decisions), squeeze=False)[0]
    for axis, (name, (moons, errors, grid, decided)) in zip(
        axes, decisions, strict=True
    ):
        error = list(errors.values())[-1]
        axis.set_title(f"{name.replace('_', ' ')}: {error:.1f} %", fontsize=9)
        across, up, shade = (
            values.reshape(ROWS, COLUMNS) for values in (*grid.T, decided)
        )
        axis.contourf(across, up, shade, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
        axis.contour(across, up, shade, [0.5], colors="black", linewidths=1)
        axis.scatter(*moons.points.T, s=1, color="0.35")
        labeled = moons.split.labeled
        colours = np.where(moons.labels[labeled] == 1, "tab:blue", "tab:red")
        places = moons.points[labeled].T
        axis.scatter(*places, s=45, c=colours, edgecolors="white", zorder=3)
        axis.set_axis_off()
    figure.tight_layout(pad=0.3)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(two_moons, TwoMoons, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
