"""A data set: what every source gives and every later stage reads."""

import dataclasses

import numpy as np

from color_s4l.data.lazy_images import Images

UNLABELED = -1


@dataclasses.dataclass(frozen=True)
class Files:
    """The files that a data set was read from.

    Attributes:
        training: Paths; `training[i]` holds `Data.images[i]`.
        test: Likewise of `Data.test_images`.
        unreadable: Path and reason of each file that cannot be decoded.
    """

    training: tuple[str, ...]
    test: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Images with their labels, checked once, when made.

    Images stay uint8 until they are inside the compiled step: CIFAR-10 then
    takes 184 MB instead of 737 MB.

    Attributes:
        name: What the user called it.
        classes: The names of the classes; label i is `classes[i]`.
        images: Training images, uint8 RGB `(n, size, size, 3)` in [0, 255], in
            memory or read row by row (`data/lazy_images.py`).
        labels: Training labels, int32 `(n,)` in [0, classes), or -1 for an image
            without a label.
        test_images: uint8 RGB `(m, size, size, 3)`; the same size.
        test_labels: int32 `(m,)` in [0, classes).
        files: Where the images come from, if from files.

    Raises:
        ValueError: A shape, a type or a label is not as above.
    """

    name: str
    classes: tuple[str, ...]
    images: Images
    labels: np.ndarray
    test_images: Images
    test_labels: np.ndarray
    files: Files | None = None

    def __post_init__(self):
        _check_classes(self.classes)
        _check_images("images", self.images)
        _check_images("test_images", self.test_images)
        if self.images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                "Expected test_images of the size of images. "
                f"Received: {self.test_images.shape[1:]} and {self.images.shape[1:]}."
            )
        classes = len(self.classes)
        _check_labels("labels", self.labels, len(self.images), UNLABELED, classes)
        _check_labels(
            "test_labels", self.test_labels, len(self.test_images), 0, classes
        )

    @property
    def size(self) -> int:
        """The side of every image in pixels."""
        return self.images.shape[1]


def _check_classes(classes: tuple[str, ...]) -> None:
    texts = isinstance(classes, tuple) and all(isinstance(c, str) for c in classes)
    if not texts or not classes or len(set(classes)) != len(classes):
        raise ValueError(
            f"Expected classes to be a tuple of different names. Received: {classes!r}."
        )


def _check_images(field: str, images: Images) -> None:
    shape = images.shape
    square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
    if images.dtype != np.uint8 or not square or 0 in shape:
        raise ValueError(
            f"Expected {field} to be uint8 (n, size, size, 3), n and size at least 1. "
            f"Received: {images.dtype} {shape}."
        )


def _check_labels(
    field: str, labels: np.ndarray, count: int, lowest: int, classes: int
) -> None:
    if labels.dtype != np.int32 or labels.shape != (count,):
        raise ValueError(
            f"Expected {field} to be int32 ({count},), one for each image. "
            f"Received: {labels.dtype} {labels.shape}."
        )
    if labels.min() < lowest or labels.max() >= classes:
        raise ValueError(
            f"Expected {field} from {lowest} to {classes - 1}. "
            f"Received: from {labels.min()} to {labels.max()}."
        )
