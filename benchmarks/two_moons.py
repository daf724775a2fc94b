"""Two moons with 6 labels: python -m benchmarks.two_moons --output=FOLDER.

Trains a small dense network on scikit-learn's two half circles with each consistency
method, by the terms and the learner of the library, and draws the decisions (as in
figure 1 of Rebuffi et al. 2019). Writes two_moons.csv, one row per method and seed, and
two_moons.png with the decisions for the first seed.
"""

import dataclasses
import json
import pathlib
import typing
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

from benchmarks import origin
from color_s4l import backend, command_line
from color_s4l.artifacts import pictures
from color_s4l.data import Split, StepBatches, draw_split
from color_s4l.data.streams import seed_initialisers
from color_s4l.errors import unknown
from color_s4l.fields import option
from color_s4l.methods import heads_of, terms_of, views_of
from color_s4l.networks import Network
from color_s4l.training.feeding import Feed
from color_s4l.training.learner import Learner, Plan
from color_s4l.training.schedules import Schedule

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
LABELS, POINTS, TEST_POINTS = 6, 1000, 1000
SPREAD = 0.05  # standard deviation of the points around their half circles
BATCH_SIZE, UNITS, LAYERS, LEARNING_RATE = 100, 64, 3, 0.05
COLUMNS, ROWS = 160, 108  # of the grid on which the decisions are drawn


@dataclasses.dataclass(frozen=True)
class TwoMoons:
    """The flags of the command."""

    output: str = option("two_moons", "Folder of the table and the picture.")
    seeds: str = option("1,2,3,4,5", "Comma-separated.")
    methods: str = option(",".join(METHODS), "Comma-separated.")
    epochs: int = option(300, "Passes over the 1,000 points, 10 steps each.")
    noise: float = option(0.1, "Standard deviation of the noise of every view.")


@dataclasses.dataclass(frozen=True)
class PointViews:
    """Views of points: every view is the point with its own noise.

    Attributes:
        names: Names of the views that the terms read.
        noise: Standard deviation, in the units of the points.
        preprocessing: The identity.
    """

    names: frozenset[str]
    noise: float
    preprocessing: keras.layers.Layer

    def draw(self, seed: keras.random.SeedGenerator, shapes: Mapping) -> dict:
        """Draws the noise of each view, `(groups, per group, 2)`."""
        return {
            name: keras.random.normal(
                shapes[_source(name)], stddev=self.noise, seed=seed
            )
            for name in sorted(self.names)
        }

    def apply(self, batch: Mapping, draws: Mapping) -> dict:
        """Returns the views, `(points, 2)`, with `labels` and `index`."""
        made = {name: ops.reshape(batch[name], (-1,)) for name in ("labels", "index")}
        for name, noise in draws.items():
            made[name] = ops.reshape(batch[_source(name)] + noise, (-1, 2))
        return made


def _source(view: str) -> str:
    return "labeled" if view == "labeled" else "unlabeled"


class Moons(typing.NamedTuple):
    """The points, and which of them are labelled.

    Attributes:
        points: float32 `(n, 2)`.
        labels: int32 `(n,)`, 0 or 1.
        split: Indices of the labelled points; all points are also unlabelled points.
        test_points: float32 `(m, 2)`.
        test_labels: int32 `(m,)`.
    """

    points: np.ndarray
    labels: np.ndarray
    split: Split
    test_points: np.ndarray
    test_labels: np.ndarray


def draw_moons(seed: int) -> Moons:
    """Draws the points, and the same number of labelled points of each class."""
    count = POINTS + TEST_POINTS
    points, classes = make_moons(count, noise=SPREAD, random_state=seed)
    points, classes = points.astype("float32"), classes.astype("int32")
    split = draw_split(classes[:POINTS], ("upper", "lower"), LABELS, None, 0, seed)
    return Moons(
        points[:POINTS], classes[:POINTS], split, points[POINTS:], classes[POINTS:]
    )


def train(moons: Moons, method: str, seed: int, epochs: int, noise: float) -> Learner:
    """Trains a small dense network.

    Args:
        moons: The points.
        method: One of `METHODS`.
        seed: Seed of weights, batches and draws.
        epochs: Passes over the points.
        noise: Standard deviation of the noise of every view.
    """
    seed_initialisers(seed)
    terms = terms_of(method, METHODS[method])
    batches = StepBatches(
        moons.points, moons.labels, moons.split, BATCH_SIZE, BATCH_SIZE, seed
    )
    network = Network(_trunk(), heads_of(terms, 2), 0.0)
    network(moons.points[:1])
    plan = Plan(
        groups=batches.groups,
        epochs=epochs,
        steps_per_epoch=batches.steps_per_epoch,
        num_examples=len(moons.points),
        weight_decay=0.0,
        seed=seed,
    )
    views = PointViews(views_of(terms), noise, layers.Identity())
    learner = Learner(network, views, terms, plan)
    schedule = Schedule(
        "polynomial", LEARNING_RATE, epochs=epochs, steps_per_epoch=plan.steps_per_epoch
    )
    learner.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        steps_per_execution=10,
    )
    learner.optimizer.build(learner.trainable_variables)
    learner.build_metrics(batches.batch(0))
    steps = epochs * batches.steps_per_epoch
    with backend.fed(Feed(batches, 0, steps)) as fed:
        learner.fit(fed, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return learner


def _trunk() -> keras.Model:
    """Returns dense layers whose output is an image of one pixel, for the pooling."""
    inputs = features = keras.Input((2,))
    for number in range(1, LAYERS + 1):
        features = layers.Dense(
            UNITS, "relu", kernel_initializer="he_normal", name=f"block{number}"
        )(features)
    return keras.Model(inputs, layers.Reshape((1, 1, UNITS))(features), name="trunk")


def decide(learner: Learner, points: np.ndarray) -> np.ndarray:
    """Returns the probability of class 1, float32 `(n,)`, for points `(n, 2)`."""
    logits = learner.network(points)["class"]
    return ops.convert_to_numpy(ops.softmax(logits)[:, 1])


def error_rate(learner: Learner, moons: Moons) -> float:
    """Returns the share of test points with the wrong decision, in percent."""
    wrong = (decide(learner, moons.test_points) > 0.5) != moons.test_labels
    return float(100 * np.mean(wrong))


class Decision(typing.NamedTuple):
    """The result of a method for one seed.

    Attributes:
        moons: The points.
        errors: Test errors in percent: `error`, and `teacher_error` of a teacher.
        grid: Points of the plane, float32 `(n, 2)`.
        decided: Their probability of class 1, float32 `(n,)`; the teacher's, if any.
    """

    moons: Moons
    errors: dict[str, float]
    grid: np.ndarray
    decided: np.ndarray


def solve(method: str, seed: int, epochs: int, noise: float) -> Decision:
    """Draws the points of a seed and trains a method on them."""
    moons = draw_moons(seed)
    learner = train(moons, method, seed, epochs, noise)
    errors = {"error": error_rate(learner, moons)}
    across, up = np.meshgrid(
        np.linspace(-1.5, 2.5, COLUMNS), np.linspace(-1.1, 1.6, ROWS)
    )
    grid = np.stack([across.ravel(), up.ravel()], axis=1).astype("float32")
    decided = decide(learner, grid)
    for name, values in learner.evaluated().items():
        with learner.network.replaced(values):
            errors[f"{name}_error"] = error_rate(learner, moons)
            decided = decide(learner, grid)
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
            values |= {"labels": LABELS, "epochs": flags.epochs, "noise": flags.noise}
            row = {"method": method, "seed": seed, **decision.errors, "labels": LABELS}
            rows.append({**row, **about, "settings": json.dumps(values)})
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
