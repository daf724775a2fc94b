"""A trained classifier, from raw images to class probabilities."""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import models, run_directory
from color_s4l.errors import InputError
from color_s4l.networks.network import ENCODER
from color_s4l.training import evaluation


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        network: Keras model from uint8 `(batch, height, width, 3)` to class
            probabilities.
        about: The record in the model file: classes, resizing, test-time views, trunk.
    """

    network: keras.Model
    about: models.About = models.About()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; empty if the model file does not contain them."""
        return self.about.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, or their indices if the names are not known."""
        numbers = map(str, range(self.network.output_shape[-1]))
        return self.classes or tuple(numbers)

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.network.input_shape[1]

    def predict(
        self, images: np.ndarray | data.LazyImages, *, augment: bool = False
    ) -> np.ndarray:
        """Returns class probabilities.

        Args:
            images: uint8 RGB `(n, image_size, image_size, 3)`.
            augment: Whether to average over the test-time views of the training.

        Returns:
            Float32 `(n, classes)`.

        Raises:
            InputError: The images have another shape or dtype.
        """
        if not isinstance(images, data.LazyImages):
            images = np.asarray(images)
        expected = tuple(self.network.input_shape[1:])
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise InputError(
                f"Expected uint8 images of shape (n, {', '.join(map(str, expected))}). "
                f"Received: {images.dtype} {images.shape}."
            )
        if not len(images):
            return np.zeros((0, self.network.output_shape[-1]), "float32")
        if augment:
            return evaluation.augmented_probabilities(
                self.network,
                images,
                hflip=self.about.hflip,
                views=self.about.test_views,
            )
        return evaluation.probabilities(self.network, images)

    def evaluate(
        self, images: np.ndarray | data.LazyImages, labels: np.ndarray
    ) -> dict[str, float]:
        """Returns the error rates with and without test-time augmentation.

        Args:
            images: As for `predict`.
            labels: As for `error_rate`.

        Returns:
            `error` and `error_augmented` in percent.
        """
        return {
            "error": self.error_rate(images, labels),
            "error_augmented": self.error_rate(images, labels, augment=True),
        }

    def error_rate(
        self,
        images: np.ndarray | data.LazyImages,
        labels: np.ndarray,
        *,
        augment: bool = False,
    ) -> float:
        """Returns the share of images whose most probable class is wrong, in percent.

        Args:
            images: As for `predict`.
            labels: Class indices, integers `(n,)` or `(n, 1)`, or class names `(n,)`.
            augment: As for `predict`.

        Raises:
            InputError: A label is not a class, or there is not one label per image.
        """
        indices = self._indices(np.asarray(labels), len(images))
        return evaluation.error_rate(self.predict(images, augment=augment), indices)

    def _indices(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Returns labels as class indices, integers `(n,)`."""
        if labels.shape not in ((count,), (count, 1)):
            raise InputError(
                f"Expected `labels` to have shape ({count},), one for each image. "
                f"Received: {labels.shape}."
            )
        labels = labels.reshape(-1)
        names = self.class_names
        if labels.dtype.kind in "US" or labels.dtype == object:
            known = {name: index for index, name in enumerate(names)}
            wrong = [str(name) for name in labels if str(name) not in known]
            if wrong:
                raise InputError(
                    f"Expected `labels` to be names of classes ({', '.join(names)}). "
                    f"Received: {wrong[0]!r}."
                )
            return np.array([known[str(name)] for name in labels], dtype=np.int64)
        if labels.dtype.kind not in "iu":
            raise InputError(
                "Expected `labels` to be class names or integers. "
                f"Received: {labels.dtype}."
            )
        if count and (labels.min() < 0 or labels.max() >= len(names)):
            raise InputError(
                f"Expected `labels` from 0 to {len(names) - 1}. "
                f"Received: from {labels.min()} to {labels.max()}."
            )
        return labels


def load(path: str | os.PathLike) -> Classifier:
    """Loads a trained classifier.

    Args:
        path: A run directory or a model file (.keras, .h5).

    Returns:
        The classifier.

    Raises:
        InputError: The path does not exist, is not a classifier of this library, or
            needs a plug-in that is not loaded.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        directory = run_directory.RunDirectory(path)
        run_directory.read_config(directory)  # raises an error for other directories
        path = directory.model()
    model, about = models.load(path)
    if model.name == ENCODER:
        raise InputError(
            f"{path} was trained without classes: start another run from it with "
            "`init_from`."
        )
    return Classifier(model, dataclasses.replace(about, digest=""))
