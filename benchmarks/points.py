"""Training on points in the plane with the terms and the learner of the library.

The points are scikit-learn's `make_moons`: two interleaved half circles with a few
labelled points each. A view of a point is the point with noise.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import make_moons

from color_s4l import backend
from color_s4l.data import Split, StepBatches, draw_split
from color_s4l.data.streams import seed_initialisers
from color_s4l.methods import heads_of, views_of
from color_s4l.networks import Network
from color_s4l.settings import Run
from color_s4l.terms.term import Term
from color_s4l.training import session
from color_s4l.training.feeding import Feed
from color_s4l.training.learner import Learner, Plan
from color_s4l.training.schedules import Schedule

LABELS, POINTS, TEST_POINTS = 6, 1000, 1000
SPREAD = 0.05  # standard deviation of the points around their half circles
BATCH_SIZE, UNITS, LAYERS, LEARNING_RATE = 100, 64, 3, 0.05


@dataclasses.dataclass(frozen=True)
class PointViews:
    """Views of points: each view adds its own noise to the point.

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
    """The points, their labels and their split.

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


def train(
    moons: Moons, terms: Sequence[Term], seed: int, epochs: int, noise: float
) -> Learner:
    """Trains a small dense network.

    Args:
        moons: The points.
        terms: The terms of the method.
        seed: Seed of weights, batches and draws.
        epochs: Passes over the points.
        noise: Standard deviation of the noise of every view.
    """
    seed_initialisers(seed)
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
        compiled_views=False,
        seed=seed,
    )
    views = PointViews(views_of(terms), noise, layers.Identity())
    learner = Learner(network, views, terms, plan)
    run = Run(epochs=epochs, learning_rate=LEARNING_RATE)
    optimization = session.resolve(run, terms, image_size=1).optimization
    schedule = Schedule(optimization, plan.steps_per_epoch)
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
    """Returns dense layers with an output `(batch, 1, 1, UNITS)`, for the pooling."""
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
    """Returns the share of misclassified test points, in percent."""
    wrong = (decide(learner, moons.test_points) > 0.5) != moons.test_labels
    return float(100 * np.mean(wrong))
