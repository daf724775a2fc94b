"""Two moons with 6 labels: python -m benchmarks.two_moons --output=FOLDER.

Trains a small dense network on scikit-learn's two half circles with the supervised
baseline, four consistency methods and pseudo-labels. It uses the library's terms and
learner, and draws the predicted probabilities (as in figure 1 of Rebuffi et al. 2019).
Writes two_moons.csv with one row per method and seed, and two_moons.png with the
predictions for the first seed.
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

if typing.TYPE_CHECKING:
    from benchmarks import points

# The loss weights are those of the papers. The moving averages are shorter, because a
# run has 3,000 steps instead of 150,000. The radius of VAT is for points in the plane
# instead of images.
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
# Coordinates of the grid on which the predictions are drawn.
ACROSS = np.linspace(-1.5, 2.5, 160, dtype="float32")
UP = np.linspace(-1.1, 1.6, 108, dtype="float32")


@dataclasses.dataclass(frozen=True)
class TwoMoons:
    """The flags of the command."""

    output: str = option("two_moons", "Folder of the table and the picture.")
    seeds: str = option("1,2,3,4,5", "Comma-separated.")
    methods: str = option(",".join(METHODS), "Comma-separated.")
    epochs: int = option(300, "Passes over the 1,000 points; a pass has 10 steps.")
    noise: float = option(0.1, "Standard deviation of the noise of every view.")


def solve(
    method: str, seed: int, epochs: int, noise: float
) -> tuple["points.Moons", dict[str, float], np.ndarray]:
    """Draws the points of a seed and trains a method on them.

    Returns:
        The points; the test errors in percent, `error` and, if the method has a
        teacher, `teacher_error`; the probability of class 1 on a grid (predicted by the
        teacher, if there is one), float32 `(len(UP), len(ACROSS))`.
    """
    from benchmarks import points
    from color_s4l import methods

    moons, terms = points.draw_moons(seed), methods.terms_of(method, METHODS[method])
    learner = points.train(moons, terms, seed, epochs, noise)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(ACROSS, UP)], axis=1)
    errors = {"error": points.error_rate(learner, moons)}
    decided = points.decide(learner, grid)
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            errors[f"{name}_error"] = points.error_rate(learner, moons)
            decided = points.decide(learner, grid)
    return moons, errors, decided.reshape(len(UP), len(ACROSS))


def two_moons(flags: TwoMoons) -> pd.DataFrame:
    """Trains all methods with all seeds; writes the table and the picture.

    Returns:
        One row per method and seed.

    Raises:
        InputError: A method does not exist, or a seed is not a number.
    """
    rows, drawn = [], []
    seeds = origin.numbers("seeds", flags.seeds)
    methods = origin.words("methods", flags.methods)
    for method in {*methods} - {*METHODS}:
        raise unknown("method", method, METHODS)
    about = origin.columns(flags, ["CPU"])
    for method in methods:
        for seed in seeds:
            moons, errors, decided = solve(method, seed, flags.epochs, flags.noise)
            values = {"method": method, "set": METHODS[method], "seed": seed}
            values |= {"epochs": flags.epochs, "noise": flags.noise}
            row = {"method": method, "seed": seed, **errors, **about}
            rows.append({**row, "settings": tables.settings_text(values)})
            text = ", ".join(f"{name} {rate:.1f} %" for name, rate in errors.items())
            print(f"{method:<20} seed {seed}  {text}", flush=True)
            if seed == seeds[0]:
                title = f"{method.replace('_', ' ')}: {[*errors.values()][-1]:.1f} %"
                drawn.append((title, moons, decided))
    table = pd.DataFrame(rows)
    folder = pathlib.Path(flags.output)
    folder.mkdir(parents=True, exist_ok=True)
    origin.write_csv(table, folder / "two_moons.csv")
    pictures.save(picture(drawn), folder / "two_moons.png")
    print(f"written    {folder}/two_moons.csv, {folder}/two_moons.png", flush=True)
    return table


def picture(drawn: Sequence[tuple[str, "points.Moons", np.ndarray]]) -> Figure:
    """Returns a figure with one panel for each element of `drawn`, side by side.

    Each panel shows the probability as colour, the points in grey, and the labelled
    points as large dots.

    Args:
        drawn: For each panel the title, the points and the probabilities on the grid.
    """
    figure = Figure(figsize=(2.7 * len(drawn), 2.4))
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axis, (title, moons, decided) in zip(axes, drawn, strict=True):
        axis.set_title(title, fontsize=9)
        levels = np.linspace(0, 1, 11)
        axis.contourf(ACROSS, UP, decided, levels, cmap="RdBu", alpha=0.6)
        axis.contour(ACROSS, UP, decided, [0.5], colors="black", linewidths=1)
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
