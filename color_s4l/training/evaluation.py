"""Error rates of a classifier, with and without test-time augmentation.

And of a network that knows no classes, by its proxy task.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from color_s4l import backend, data
from color_s4l.training.feeding import Slices
from color_s4l.views import augmentation
from color_s4l.views.geometric import GEOMETRIC

# Tran 2019's published code evaluates batches of this size.
BATCH_SIZE = 128
# That are in memory at a time: 600 MB of 224 px, decoded and to be decoded.
BATCHES = 16
SHIFTS = (-2, -1, 1, 2)
# Of the views' draws: one for all, so that two evaluations of a model agree.
SEED = 0


def probabilities(
    model: keras.Model, images: data.Images, *, devices: int = 1
) -> np.ndarray:
    """Class probabilities of any number of images.

    Args:
        model: From uint8 `(batch, height, width, 3)` to `(batch, classes)`.
        images: uint8 `(n, height, width, 3)`.
        devices: That share a batch; it gets the largest size that they divide.

    Returns:
        Float32 `(n, classes)`.
    """
    batch_size = BATCH_SIZE // devices * devices
    # As much of what is not in memory as fits there, in whole batches.
    chunks = data.chunks(images, BATCHES * batch_size)
    return np.concatenate([_predicted(model, part, batch_size) for part in chunks])


def _predicted(model: keras.Model, images: np.ndarray, batch_size: int) -> np.ndarray:
    # Full batches only: a part of one can't be divided over several devices.
    missing = -len(images) % batch_size
    padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    with backend.fed(Slices(padded, batch_size)) as batches:
        return model.predict(batches, verbose=0)[: len(images)]


def error_rate(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose most probable class is wrong, in percent.

    Args:
        probabilities: `(n, classes)`.
        labels: Integers `(n,)`.

    Returns:
        In [0, 100]; NaN for no images.
    """
    if not len(labels):
        return float("nan")
    return float(100 * np.mean(probabilities.argmax(axis=1) != labels))


class ProxyGuesses(keras.Model):
    """The proxy head's probabilities for the geometric views of each image.

    Args:
        network: With a head "proxy".
        preprocessing: Before the views, as in training.
        tasks: All that the head knows; those that are no geometric view are left out,
            as colourised test images are not at hand.
    """

    def __init__(self, network, preprocessing, tasks: Sequence[str]):
        super().__init__(name="proxy_guesses")
        self.network, self.preprocessing = network, preprocessing
        self.labels = [k for k, task in enumerate(tasks) if task in GEOMETRIC]
        self.turns = [GEOMETRIC[tasks[k]] for k in self.labels]

    def call(self, images, training=False):
        """uint8 `(batch, height, width, 3)` to float32 `(batch, views, tasks)`."""
        clean = self.preprocessing(images)
        logits = [self.network(turn(clean))["proxy"] for turn in self.turns]
        return ops.softmax(ops.stack(logits, axis=1))

    def error_rate(self, images: np.ndarray, *, devices: int = 1) -> float:
        """Share of the views that are taken for another, in percent.

        Args:
            images: uint8 `(n, height, width, 3)`.
            devices: As for `probabilities`.
        """
        guesses = probabilities(self, images, devices=devices).argmax(axis=-1)
        return float(100 * np.mean(guesses != np.array(self.labels)))


def augmented_probabilities(
    classifier: keras.Model, images: data.Images, *, hflip: bool, devices: int = 1
) -> np.ndarray:
    """Mean class probabilities over the published test-time views.

    Args:
        classifier: Of `networks.inference_model`, or such a model loaded.
        images: uint8 `(n, height, width, 3)`.
        hflip: Whether left-right flips keep the class.
        devices: As for `probabilities`.

    Returns:
        Float32 `(n, classes)`.
    """
    model = AugmentedClassifier(classifier, hflip=hflip, seed=SEED)
    return probabilities(model, images, devices=devices)


class AugmentedClassifier(keras.Model):
    """The mean of the probabilities over the published views of each image.

    Tran 2019's published code: the image, a shifted copy (both axes drawn from
    -2, -1, 1, 2), noised copies of both, and, where flips keep the class,
    left-right flips of the clean two, clean and noised: 8 views, or 4. One
    instance is for one pass over a test set: the draws depend on `seed` and on
    the order of the images.

    Args:
        classifier: Of `networks.inference_model`, or such a model loaded.
        hflip: Whether flipped views belong to it.
        seed: Of the shifts and the noise.
    """

    def __init__(self, classifier: keras.Model, *, hflip: bool, seed: int):
        super().__init__(name="test_time_augmentation")
        self.preprocessing = classifier.get_layer("preprocessing")
        self.rest = keras.Model(self.preprocessing.output, classifier.output)
        self.hflip = hflip
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """uint8 `(batch, height, width, 3)` to float32 `(batch, classes)`."""
        clean = self.preprocessing(images)
        draws = keras.random.randint(
            (images.shape[0], 2), 0, len(SHIFTS), seed=self.seed
        )
        shifted = augmentation.shift(
            clean, ops.take(ops.convert_to_tensor(SHIFTS, "int32"), draws)
        )
        views = [clean, shifted]
        if self.hflip:
            views += [ops.flip(view, axis=2) for view in views]
        views += [self._noised(view) for view in views]
        return sum(self.rest(view, training=False) for view in views) / len(views)

    def _noised(self, images):
        noise = keras.random.normal(
            images.shape, stddev=augmentation.NOISE, seed=self.seed
        )
        return images + noise
