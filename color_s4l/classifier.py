"""A trained classifier, to be used: raw images in, classes out."""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import classifier_file
from color_s4l.errors import InputError
from color_s4l.networks.network import ENCODER
from color_s4l.training import evaluation


@dataclasses.dataclass(frozen=True)
class Classifier:
    """What a run has learned.

    Attributes:
        network: The plain Keras model: uint8 `(batch, height, width, 3)` to class
            probabilities.
        classes: Their names; empty where the model's file does not hold them.
        hflip: Whether left-right flips keep the class (for test-time augmentation).
        fit: How image files become its squares: "crop" or "pad", as in training.
    """

    network: keras.Model
    classes: tuple[str, ...] = ()
    hflip: bool = True
    fit: str = "crop"

    @property
    def about(self) -> classifier_file.About:
        """What its file says of it."""
        return classifier_file.About(self.classes, self.hflip, self.fit)

    @property
    def class_names(self) -> tuple[str, ...]:
        """`classes`, or their numbers where the names are not known."""
        numbers = map(str, range(self.network.output_shape[-1]))
        return self.classes or tuple(numbers)

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that it takes."""
        return self.network.input_shape[1]

    def predict(self, images: np.ndarray, *, augment: bool = False) -> np.ndarray:
        """Class probabilities.

        Args:
            images: uint8 RGB `(n, image_size, image_size, 3)`.
            augment: Average over the published test-time views.

        Returns:
            Float32 `(n, classes)`.

        Raises:
            InputError: The images have another shape or type.
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
                self.network, images, hflip=self.hflip
            )
        return evaluation.probabilities(self.network, images)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Error rates, with and without test-time augmentation.

        Args:
            images: As for `predict`.
            labels: Places in `classes`, integers `(n,)`.

        Returns:
            `error` and `error_augmented`, in percent, as in a run's result.
        """
        return {
            "error": self.error_rate(images, labels),
            "error_augmented": self.error_rate(images, labels, augment=True),
        }

    def error_rate(
        self, images: np.ndarray, labels: np.ndarray, *, augment: bool = False
    ) -> float:
        """Share of images whose most probable class is wrong, in percent.

        Args:
            images: As for `predict`.
            labels: Places in `classes`, integers `(n,)`.
            augment: As for `predict`.
        """
        return evaluation.error_rate(self.predict(images, augment=augment), labels)


def load(path: str | os.PathLike) -> Classifier:
    """Opens what a run left.

    Args:
        path: A run folder, or a model file (.keras, .h5).

    Returns:
        The classifier.

    Raises:
        InputError: There is no such thing, or it is no classifier of ours.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        network, about = _with_classes(path)
        return Classifier(network, about.classes, about.hflip, about.fit)
    from color_s4l.artifacts import run_directory

    folder = run_directory.RunFolder(path)
    config = run_directory.read_config(folder)
    network, about = _with_classes(folder.model())
    hflip = config["resolved"]["hflip"]
    return Classifier(network, tuple(config["classes"]), hflip, about.fit)


def _with_classes(path: pathlib.Path) -> tuple[keras.Model, classifier_file.About]:
    model, about = classifier_file.load(path)
    if model.name == ENCODER:
        raise InputError(
            f"{path} has learned no classes: it is a beginning (--init_from)."
        )
    return model, about
