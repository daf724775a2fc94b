"""Two moons: points in the plane, learned by the library's own terms and learner.

scikit-learn's `make_moons`: two interleaved half circles, a few labelled points of
each. What is a view for images is a noised point here.
"""

import dataclasses
import typing

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import make_moons

from color_s4l.data import StepBatches, draw_split, feeding
from color_s4l.data.streams import seed_initialisers
from color_s4l.methods import heads_of, terms_of
from color_s4l.networks import Network
from color_s4l.training.feeding import Feed
from color_s4l.training.learner import Learner, Plan, compile_learner
from color_s4l.training.schedules import Schedule

POINTS, TEST_POINTS = 1000, 1000
SPREAD = 0.05  # standard deviation of the points around their half circles
BATCH_SIZE, UNITS, LAYERS = 100, 64, 3
LEARNING_RATE = 0.05


@dataclasses.dataclass(frozen=True)
class PointViews:
    """Every view is the point of its source with noise of its own.

    Attributes:
        names: Of the views that the terms read.
        noise: Standard deviation, in the points' own units.
        preprocessing: Changes nothing.
    """

    names: frozenset[str]
    noise: float
    preprocessing: keras.layers.Layer

    def draw(self, seed: keras.random.SeedGenerator, shapes: dict) -> dict:
        """Noise for each view, `(groups, per group, 2)`."""
        return {
            name: keras.random.normal(
                shapes[_source(name)], stddev=self.noise, seed=seed
            )
            for name in sorted(self.names)
        }

    def apply(self, batch: dict, draws: dict) -> dict:
        """The views by name, `(points, 2)`, with `labels` and `index`."""
        made = {name: ops.reshape(batch[name], (-1,)) for name in ("labels", "index")}
        for name, noise in draws.items():
            made[name] = ops.reshape(batch[_source(name)] + noise, (-1, 2))
        return made


def _source(view: str) -> str:
    return "labeled" if view == "labeled" else "unlabeled"


class Moons(typing.NamedTuple):
    """The points and which of them are labelled.

    Attributes:
        points: float32 `(n, 2)`.
        labels: int32 `(n,)`, 0 or 1.
        split: Whose `labeled` names the labelled ones; all are unlabelled too.
        test_points: float32 `(m, 2)`.
        test_labels: int32 `(m,)`.
    """

    points: np.ndarray
    labels: np.ndarray
    split: typing.Any
    test_points: np.ndarray
    test_labels: np.ndarray


def draw_moons(labels: int, seed: int) -> Moons:
    """Draws the problem.

    Args:
        labels: Labelled points in total, as many of each class.
        seed: Of the points and of the choice.

    Returns:
        The problem.
    """
    count = POINTS + TEST_POINTS
    points, classes = make_moons(count, noise=SPREAD, random_state=seed)
    points, classes = points.astype("float32"), classes.astype("int32")
    split = draw_split(classes[:POINTS], ("upper", "lower"), labels, None, 0, seed)
    return Moons(
        points[:POINTS], classes[:POINTS], split, points[POINTS:], classes[POINTS:]
    )


def train(
    moons: Moons, method: str, changes: tuple[str, ...], epochs: int, noise: float,
    seed: int,
) -> Learner:  # fmt: skip
    """Trains a small dense network.

    Args:
        moons: The problem.
        method: Name of a method, or a sum.
        changes: TERM.FIELD=VALUE, as of `--set`.
        epochs: Passes over the points.
        noise: Of every view.
        seed: Of weights, batches and draws.

    Returns:
        The learner, trained.
    """
    seed_initialisers(seed)
    terms = terms_of(method, changes)
    batches = StepBatches(
        moons.points, moons.labels, moons.split, BATCH_SIZE, BATCH_SIZE, seed
    )
    network = Network(_trunk(), heads_of(terms, 2), dropout=0.0)
    network(moons.points[:1])
    names = frozenset(view for term in terms for view in term.views())
    plan = Plan(
        groups=batches.groups,
        epochs=epochs,
        steps_per_epoch=batches.steps_per_epoch,
        num_examples=len(moons.points),
        weight_decay=0.0,
        seed=seed,
    )
    views = PointViews(names, noise, layers.Identity())
    learner = Learner(network, views, terms, plan)
    schedule = Schedule(
        "polynomial", LEARNING_RATE, epochs=epochs, steps_per_epoch=plan.steps_per_epoch
    )
    compile_learner(
        learner, schedule=schedule, jit_compile=None, steps_per_execution=10
    )
    learner.build_metrics(batches.batch(0))
    steps = epochs * batches.steps_per_epoch
    with feeding.fed(Feed(batches, 0, steps)) as fed:
        learner.fit(fed, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return learner


def _trunk() -> keras.Model:
    """Dense layers; the last is an image of one pixel, for the network's pooling."""
    inputs = features = keras.Input((2,))
    for number in range(1, LAYERS + 1):
        features = layers.Dense(
            UNITS, "relu", kernel_initializer="he_normal", name=f"block{number}"
        )(features)
    return keras.Model(inputs, layers.Reshape((1, 1, UNITS))(features), name="trunk")


def decide(learner: Learner, points: np.ndarray) -> np.ndarray:
    """The probability of class 1.

    Args:
        learner: Trained.
        points: float32 `(n, 2)`.

    Returns:
        float32 `(n,)`.
    """
    logits = learner.network(points)["class"]
    return ops.convert_to_numpy(ops.softmax(logits)[:, 1])


def error_rate(learner: Learner, moons: Moons) -> float:
    """Share of test points on the wrong side, in percent."""
    wrong = (decide(learner, moons.test_points) > 0.5) != moons.test_labels
    return float(100 * np.mean(wrong))
