"""Solvers: functions that fit a class head to frozen features without training steps.

A solver has the signature `(features, labels, num_classes, seed) -> class head`. A
method that uses a solver is registered with it:

    register_method("probe", (), solver=logistic_regression)
"""

import contextlib
import logging
import typing
import warnings
from collections.abc import Callable, Iterator

import keras
import numpy as np

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.networks.neighbours import TEMPERATURE, NearestNeighbours
from color_s4l.networks.network import CLASSES

if typing.TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

logger = logging.getLogger(__name__)

Solver = Callable[[np.ndarray, np.ndarray, int, int], keras.layers.Layer]

# Values of C, the inverse strength of the L2 regularisation, among which the
# cross-validation chooses; and the value without cross-validation, which is
# scikit-learn's default.
STRENGTHS = tuple(10.0**exponent for exponent in range(-5, 3))
DEFAULT_STRENGTH = 1.0
FOLDS = 5
ITERATIONS = 1000
# Bias of a class without labelled images: its probability is 0.
NEVER = -1e4

# Numbers of neighbours among which `nearest_neighbours` chooses.
NEIGHBOURS = (1, 2, 3, 5, 10, 20, 50, 100, 200)
# Number of labelled images that `leave_one_out` classifies at a time.
CHUNK = 500


def logistic_regression(
    features: np.ndarray, labels: np.ndarray, num_classes: int, seed: int
) -> keras.layers.Dense:
    """Returns scikit-learn's logistic regression as a dense layer.

    The features are standardised; the standardisation becomes a part of the layer. The
    inverse strength C of the L2 regularisation is the value with the lowest log loss in
    a stratified cross-validation. It has 5 folds, or fewer if the smallest class has
    fewer labelled images. If a class has only one labelled image, cross-validation is
    not possible, and C is 1.

    Args:
        features: Float `(n, channels)`.
        labels: Integers `(n,)` in [0, num_classes).
        num_classes: Number of classes. A class without labels is never predicted.
        seed: Seed of the folds.

    Returns:
        The layer "class", built, from features to logits `(batch, num_classes)`.

    Raises:
        InputError: Fewer than two classes have labels.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2:
        raise InputError(
            "A probe needs labelled images of at least 2 classes. "
            f"Received: {len(present)}."
        )
    features = features.astype("float64")
    fitted = _with_chosen_strength(
        features, labels, min(FOLDS, int(counts.min())), seed
    )
    kernel = np.zeros((features.shape[1], num_classes))
    bias = np.full(num_classes, NEVER)
    kernel[:, present], bias[present] = _folded(*(step for _, step in fitted.steps))
    head = keras.layers.Dense(num_classes, name=CLASSES, dtype="float32")
    head.build((None, features.shape[1]))
    head.set_weights([kernel, bias])
    return head


def regression() -> "Pipeline":
    """Returns a scikit-learn model: logistic regression of standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=DEFAULT_STRENGTH, max_iter=ITERATIONS)
    return make_pipeline(StandardScaler(), classifier)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limits linear algebra to one thread and ignores `ConvergenceWarning`.

    Use it to fit `regression`. The matrices are small, so that several threads do not
    help. On a busy machine they wait for each other (1,000 images of 256 features: 44 s
    instead of 1 s per fit). The warning is ignored because the predictions hardly
    change after 1,000 iterations.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _with_chosen_strength(features, labels, folds, seed):
    """Returns a fitted `regression`, its regularisation chosen by cross-validation."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    with one_thread():
        if folds < 2:
            logger.info(
                "probe      logistic regression, C = %g: a class has one labelled "
                "image, which is too few for a cross-validation",
                DEFAULT_STRENGTH,
            )
            return regression().fit(features, labels)
        search = GridSearchCV(
            regression(),
            {"logisticregression__C": STRENGTHS},
            scoring="neg_log_loss",
            cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        ).fit(features, labels)
    logger.info(
        "probe      logistic regression, C = %g chosen by %s-fold cross-validation on "
        "%s labelled images",
        search.best_params_["logisticregression__C"],
        folds,
        f"{len(labels):,}",
    )
    return search.best_estimator_


def _folded(scaler, classifier) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias of one layer that standardises and classifies.

    With the mean m and the scale s, w (x - m) / s + b = (w / s) x + (b - w m / s).
    """
    kernel, bias = classifier.coef_.T, classifier.intercept_
    if len(classifier.classes_) == 2:
        # scikit-learn has one logit for two classes: the logit of the first class is 0.
        kernel = np.concatenate([0 * kernel, kernel], axis=1)
        bias = np.concatenate([0 * bias, bias])
    kernel = kernel / scaler.scale_[:, None]
    return kernel, bias - scaler.mean_ @ kernel


def nearest_neighbours(
    features: np.ndarray, labels: np.ndarray, num_classes: int, seed: int
) -> NearestNeighbours:
    """Returns a head that classifies by the k most similar labelled images.

    Each labelled image is classified by the others (leave-one-out), and the number k
    with the fewest errors is used. If several numbers have as few errors, it is the
    smallest of them.

    Args:
        features: Float `(n, channels)`.
        labels: Integers `(n,)` in [0, num_classes).
        num_classes: Number of classes.
        seed: Not used.

    Returns:
        The layer "class", built, from features to logits `(batch, num_classes)`.
    """
    errors = leave_one_out(features, labels, num_classes)
    chosen = min(errors, key=lambda k: errors[k], default=1)
    if errors:
        logger.info(
            "knn        k = %s: leave-one-out error %.1f %% on %s labelled images",
            chosen,
            errors[chosen],
            f"{len(labels):,}",
        )
    head = NearestNeighbours(num_classes, len(labels), chosen, name=CLASSES)
    head.build((None, features.shape[1]))
    head.set_examples(features, labels)
    return head


def leave_one_out(
    features: np.ndarray, labels: np.ndarray, num_classes: int
) -> dict[int, float]:
    """Returns the leave-one-out error of each number of neighbours, in percent.

    Args:
        features: As for `nearest_neighbours`.
        labels: As for `nearest_neighbours`.
        num_classes: As for `nearest_neighbours`.

    Returns:
        k -> error, for the numbers in `NEIGHBOURS` that are smaller than n.
    """
    count = len(labels)
    numbers = [k for k in NEIGHBOURS if k < count]
    if not numbers:
        return {}
    unit = keras.utils.normalize(features)
    one_hot = np.eye(num_classes, dtype="float32")[labels]
    wrong = dict.fromkeys(numbers, 0)
    for rows in data.chunks(np.arange(count), CHUNK):
        similarity = unit[rows] @ unit.T
        similarity[np.arange(len(rows)), rows] = -np.inf
        order = np.argsort(-similarity, axis=1, kind="stable")[:, : numbers[-1]]
        nearest = np.take_along_axis(similarity, order, axis=1)
        weights = np.exp((nearest - nearest[:, :1]) / TEMPERATURE)
        votes = np.cumsum(weights[..., None] * one_hot[order], axis=1)
        for k in numbers:
            wrong[k] += int((votes[:, k - 1].argmax(axis=1) != labels[rows]).sum())
    return {k: 100 * wrong[k] / count for k in numbers}
