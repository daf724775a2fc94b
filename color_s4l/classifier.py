"""A trained classifier, from raw images to class probabilities."""

import dataclasses
import functools
import os
import pathlib
import typing
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from keras import layers
from PIL import Image

from color_s4l import data
from color_s4l.artifacts import models, run_directory
from color_s4l.data import image_files
from color_s4l.errors import InputError
from color_s4l.networks.network import CLASSES, ENCODER
from color_s4l.training import calibration, evaluation

_Path = str | os.PathLike
# Images of any kind that `Classifier.predict` accepts.
Pictures = npt.ArrayLike | data.LazyImages | _Path | Sequence[_Path]


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
        return self.network.get_layer("trunk").input_shape[1]

    def predict(self, images: Pictures, *, augment: bool = False) -> np.ndarray:
        """Returns class probabilities, calibrated if the model has a temperature.

        Args:
            images: RGB images `(n, height, width, 3)`, or one image
                `(height, width, 3)`: uint8 in [0, 255], or float in [0, 1]. Or the path
                of an image file, or a list of paths. Images of another size than
                `image_size` are cropped or padded, and resized, as in training.
            augment: Whether to average the probabilities over several views of each
                image (test-time augmentation, with the views `about.test_views`). The
                temperature was fitted without test-time augmentation.

        Returns:
            Float32 `(n, classes)`; one image has n = 1.

        Raises:
            InputError: The images have another shape, dtype or range, or a file cannot
                be read.
        """
        return self._calibrated(self._outputs(self.network, images, augment))

    def predict_with_features(self, images: Pictures) -> tuple[np.ndarray, np.ndarray]:
        """Returns class probabilities and the features that the class head reads.

        Args:
            images: As for `predict`.

        Returns:
            The probabilities of `predict`, float32 `(n, classes)`, and the pooled
            features of the trunk, float32 `(n, channels)`.

        Raises:
            InputError: As for `predict`.
        """
        found = self._outputs(self._both, images)
        classes = self.network.output_shape[-1]
        return self._calibrated(found[:, :classes]), found[:, classes:]

    @functools.cached_property
    def _both(self) -> keras.Model:
        """A model from images to probabilities (first columns) and features."""
        pooled = self.network.get_layer(CLASSES).input
        both = layers.Concatenate(dtype="float32")([self.network.output, pooled])
        return keras.Model(self.network.input, both)

    def _calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        if self.about.temperature is None:
            return probabilities
        return calibration.apply(probabilities, self.about.temperature)

    def _outputs(
        self, model: keras.Model, images: Pictures, augment: bool = False
    ) -> np.ndarray:
        """Returns a model's outputs for any accepted images, float32 `(n, outputs)`."""
        squares = self._squares(images)
        if not len(squares):
            return np.zeros((0, model.output_shape[-1]), "float32")
        if augment:
            return evaluation.augmented_probabilities(
                model, squares, hflip=self.about.hflip, views=self.about.test_views
            )
        return evaluation.probabilities(model, squares)

    def _squares(self, images: Pictures) -> data.Images:
        """Returns images as uint8 `(n, image_size, image_size, 3)`."""
        size = self.image_size
        if isinstance(images, data.LazyImages) and images.shape[1] == size:
            return images
        if isinstance(images, _Path):
            images = [images]
        if isinstance(images, list | tuple) and images and isinstance(images[0], _Path):
            return self._decoded(typing.cast(Sequence[_Path], images))
        given = array = np.asarray(images)
        if array.ndim == 3:
            array = array[None]
        if array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:]:
            raise InputError(
                "Expected `images` of shape (n, height, width, 3), one image of shape "
                "(height, width, 3), or paths of image files. "
                f"Received: {given.dtype} {given.shape}."
            )
        if len(array):
            array = data.to_uint8("images", array)
        if array.shape[1:3] == (size, size):
            return array
        squares = np.empty((len(array), size, size, 3), np.uint8)
        for square, image in zip(squares, array, strict=True):
            square[:] = image_files.square(
                Image.fromarray(image), size, self.about.resize
            )
        return squares

    def _decoded(self, paths: Sequence[_Path]) -> np.ndarray:
        size = self.image_size
        squares = np.empty((len(paths), size, size, 3), np.uint8)
        reasons = image_files.load_many(paths, squares, self.about.resize)
        for path, reason in zip(paths, reasons, strict=True):
            if reason:
                raise InputError(f"Cannot read {path}: {reason.rstrip('.')}.")
        return squares

    def evaluate(self, images: Pictures, labels: np.ndarray) -> dict[str, float]:
        """Returns the error rates with and without test-time augmentation.

        Args:
            images: As for `predict`.
            labels: As for `error_rate`.

        Returns:
            `error` and `error_augmented` in percent.

        Raises:
            InputError: As for `error_rate`.
        """
        return {
            "error": self.error_rate(images, labels),
            "error_augmented": self.error_rate(images, labels, augment=True),
        }

    def error_rate(
        self,
        images: Pictures,
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
            InputError: As for `predict`; or a label is not a class; or the number of
                labels differs from the number of images.
        """
        squares = self._squares(images)
        indices = self._indices(np.asarray(labels), len(squares))
        return evaluation.error_rate(self.predict(squares, augment=augment), indices)

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
