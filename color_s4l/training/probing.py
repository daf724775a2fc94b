"""Methods without training steps: a solver fits the class head to frozen features."""

import logging
import pathlib
import re
import time

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import cache, models
from color_s4l.backend import Tensor
from color_s4l.networks import TRUNKS, Network, structure
from color_s4l.networks.network import CLASSES, ENCODER
from color_s4l.probes import Solver, one_thread, regression
from color_s4l.training import evaluation
from color_s4l.training.callbacks import LogFile
from color_s4l.training.evaluation import Evaluation
from color_s4l.training.inputs import Inputs
from color_s4l.views.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

# `error_of` is not computed if the features of all labelled images have more values.
MOST_VALUES = 500_000


class Encoder(keras.Model):
    """A model from raw images to pooled features.

    It is not a functional model, because the preprocessing layer may belong to only one
    functional model: test-time augmentation splits the classifier after this layer.

    Args:
        network: A built network.
        preprocessing: A built layer.
    """

    def __init__(self, network: Network, preprocessing: Preprocessing):
        super().__init__(name=ENCODER)
        self.network, self.preprocessing = network, preprocessing

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Maps uint8 `(batch, height, width, 3)` to float `(batch, channels)`."""
        return self.network(self.preprocessing(images))["pooled"]

    @property
    def architecture(self) -> str:
        """The configurations of all layers and the backend, for a cache key.

        Keras numbers the input layers of all models in a process. These numbers are
        left out, because they depend on the models that were built before.
        """
        trunk = re.sub(
            r"input_layer(_\d+)?", "input_layer", self.network.trunk.to_json()
        )
        return f"{keras.backend.backend()} {self.preprocessing.get_config()} {trunk}"


def features_of(trunk: keras.Model, network: str, layer: str | None) -> Network:
    """Returns a network without heads, up to the layer that a probe reads.

    Args:
        trunk: A built trunk.
        network: The name of the trunk.
        layer: The name of the layer. None: the layer of the last block with the most
            channels; for trunks of `keras.applications`, the last layer.

    Raises:
        InputError: The trunk has no such layer.
    """
    if layer is None and "pretrained" not in TRUNKS.options(network):
        layer = structure.widest_layer(trunk)
    if layer is not None:
        trunk = structure.cut(trunk, layer)
    features = Network(trunk, {}, dropout=0.0)
    features(keras.ops.zeros((1, *trunk.input_shape[1:])))
    return features


def with_solved_head(
    network: Network,
    preprocessing: Preprocessing,
    inputs: Inputs,
    solver: Solver,
    seed: int,
) -> Network:
    """Returns a network of the same trunk with a class head from a solver.

    The features are those of the labelled images, without augmentation. They are
    computed once and kept in the cache.

    Args:
        network: A built network without heads.
        preprocessing: A built layer, with its statistics.
        inputs: The images and the split.
        solver: Fits the head.
        seed: Seed of the solver.

    Raises:
        InputError: The solver cannot use the labels.
    """
    encoder = Encoder(network, preprocessing)
    labeled = inputs.split.labeled
    images = data.subset(inputs.data.images, labeled)
    started = time.perf_counter()
    parts = [encoder.architecture, models.digest(encoder), data.content(images)]
    features = cache.cached(
        "features",
        parts,
        lambda: {"features": evaluation.probabilities(encoder, images)},
    )["features"]
    logger.info(
        "features   %s of each of %s labelled images, ready after %.1f s",
        features.shape[1],
        f"{len(features):,}",
        time.perf_counter() - started,
    )
    head = solver(features, inputs.data.labels[labeled], len(inputs.data.classes), seed)
    solved = Network(network.trunk, {CLASSES: head}, dropout=0.0)
    solved(keras.ops.zeros((1, *images.shape[1:])))
    return solved


def error_of(
    network: Network,
    preprocessing: Preprocessing,
    images: data.Data,
    labeled: np.ndarray,
    devices: int,
) -> float | None:
    """Returns the test error of logistic regression on a trained network's features.

    Unlike the method `probe`, the regularisation is not chosen by cross-validation
    (C = 1), so that the fit takes seconds.

    Args:
        network: A trained network.
        preprocessing: Applied to the images first.
        images: The images.
        labeled: Indices of the labelled images.
        devices: As for `evaluation.probabilities`.

    Returns:
        The error in percent. None if there are no test images or labels of fewer than
        two classes, or if the features of the labelled images have more than
        `MOST_VALUES` numbers.
    """
    labels = images.labels[labeled]
    values = len(labeled) * network.trunk.output_shape[-1]
    several = len(np.unique(labels)) > 1
    if not several or not len(images.test_images) or values > MOST_VALUES:
        return None
    encoder = Encoder(network, preprocessing)
    known, tests = (
        evaluation.probabilities(encoder, each, devices=devices).astype("float64")
        for each in (data.subset(images.images, labeled), images.test_images)
    )
    with one_thread():
        guesses = regression().fit(known, labels).predict(tests)
    return float(100 * np.mean(guesses != images.test_labels))


def write_log(
    path: pathlib.Path, evaluation: Evaluation, images: int, seconds: float
) -> None:
    """Writes log.csv with one row: the solution counts as one epoch.

    The test error is not measured here: there is only one epoch, so it would equal the
    error in result.json.

    Args:
        path: The file; replaced if it exists.
        evaluation: Measures the errors.
        images: Number of labelled images.
        seconds: Time since the start of the run.
    """
    measures = evaluation.measures()
    measures.pop("test_error", None)
    row = {
        "images_per_second": images / seconds,
        "seconds": seconds,
        **{name: measure() for name, measure in measures.items()},
    }
    LogFile(path, complete=0).on_epoch_end(0, row)
