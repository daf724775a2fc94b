"""The class `Data`: every source returns one, and all later stages read it."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from color_s4l.data.lazy_images import CHUNK, Images
from color_s4l.errors import InputError

UNLABELED = -1
# A label in a user's arrays; None for no label.
Value = int | str | None


@dataclasses.dataclass(frozen=True)
class Files:
    """The files that a data set was read from.

    Attributes:
        training: Paths; `training[i]` holds `Data.images[i]`.
        test: Paths; `test[i]` holds `Data.test_images[i]`.
        unreadable: Path and reason of each file that cannot be decoded.
        root: Folder of the data set.
    """

    training: tuple[str, ...]
    test: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    root: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Images and labels for training and testing.

    Images stay uint8 until they are inside the compiled step: CIFAR-10 takes 184 MB
    as uint8 and 737 MB as float32.

    Attributes:
        name: Name of the data set in messages.
        classes: Names of the classes; label i is `classes[i]`.
        images: Training images, uint8 RGB `(n, size, size, 3)` in [0, 255]: an array,
            or `LazyImages`, which are read when they are indexed.
        labels: Training labels, int32 `(n,)` in [0, classes), or -1 for an image
            without a label.
        test_images: Test images, uint8 RGB `(m, size, size, 3)`, of the same size as
            the training images; m may be 0.
        test_labels: Test labels, int32 `(m,)` in [0, classes).
        files: The files of the images, if they were read from files.

    Raises:
        ValueError: A shape, a dtype or a label is not as described above.
    """

    name: str
    classes: tuple[str, ...]
    images: Images
    labels: np.ndarray
    test_images: Images
    test_labels: np.ndarray
    files: Files | None = None

    def __post_init__(self) -> None:
        """Checks the fields."""
        _check_classes(self.classes)
        _check_images("images", self.images, 1)
        _check_images("test_images", self.test_images, 0)
        if self.images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                "Expected `test_images` to have the size of `images`. "
                f"Received: {self.test_images.shape[1:]} and {self.images.shape[1:]}."
            )
        classes = len(self.classes)
        _check_labels("labels", self.labels, len(self.images), UNLABELED, classes)
        _check_labels(
            "test_labels", self.test_labels, len(self.test_images), 0, classes
        )

    @property
    def size(self) -> int:
        """Side of every image in pixels."""
        return self.images.shape[1]

    @classmethod
    def from_arrays(
        cls,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        test_images: npt.ArrayLike | None = None,
        test_labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
    ) -> "Data":
        """Returns a data set made of arrays.

        Args:
            images: Training images, RGB `(n, h, w, 3)` or grey `(n, h, w)` or
                `(n, h, w, 1)`, with h = w; uint8 in [0, 255] or float in [0, 1].
                uint8 RGB arrays are not copied.
            labels: `(n,)` or `(n, 1)`: integers or class names. -1 marks an image
                without a label, as in sklearn.semi_supervised; with class names, "",
                None and NaN also mean that there is no label. Integers need not be
                consecutive.
            test_images: Like `images`, of the same size; None for no test set.
            test_labels: Like `labels`, but every image needs a label; None without
                `test_images`.
            class_names: Name of each class. Label i has the name `class_names[i]`; if
                some label is not an index of `class_names`, the names belong to the
                distinct labels in ascending order. If the labels are names,
                `class_names` determines the order of the classes. Default: the distinct
                labels in ascending order, converted to text.
            name: Name of the data set in messages.

        Returns:
            The data set, with labels from 0 to classes - 1.

        Raises:
            InputError: An array has the wrong shape, dtype or range, or `labels`,
                `test_labels` and `class_names` do not match.
        """
        pixels = _to_rgb("images", images)
        values = _to_values("labels", labels, len(pixels))
        numbers, classes = _numbers_of(values, class_names)
        if (test_images is None) != (test_labels is None):
            raise InputError("Expected both or neither: `test_images`, `test_labels`.")
        tests, test_values = np.empty((0, *pixels.shape[1:]), np.uint8), []
        if test_images is not None and test_labels is not None:
            tests = _to_rgb("test_images", test_images)
            test_values = _to_values("test_labels", test_labels, len(tests))
        if tests.shape[1:] != pixels.shape[1:]:
            raise InputError(
                f"Expected `test_images` of {_sides(pixels)} pixels, like `images`. "
                f"Received: {_sides(tests)}."
            )
        return cls(
            name=name,
            classes=classes,
            images=pixels,
            labels=_numbered("labels", values, numbers | {None: UNLABELED}),
            test_images=tests,
            test_labels=_numbered("test_labels", test_values, numbers),
        )


def _check_classes(classes: tuple[str, ...]) -> None:
    texts = isinstance(classes, tuple) and all(isinstance(c, str) for c in classes)
    if not texts or not classes or len(set(classes)) != len(classes):
        raise ValueError(
            "Expected `classes` to be a tuple of different names. "
            f"Received: {classes!r}."
        )


def _check_images(field: str, images: Images, fewest: int) -> None:
    shape = images.shape
    square = len(shape) == 4 and shape[1] == shape[2] > 0 and shape[3] == 3
    if images.dtype != np.uint8 or not square or shape[0] < fewest:
        raise ValueError(
            f"Expected `{field}` to be uint8 (n, size, size, 3) with n at least "
            f"{fewest} and size at least 1. Received: {images.dtype} {shape}."
        )


def _check_labels(
    field: str, labels: np.ndarray, count: int, lowest: int, classes: int
) -> None:
    if labels.dtype != np.int32 or labels.shape != (count,):
        raise ValueError(
            f"Expected `{field}` to be int32 ({count},), one for each image. "
            f"Received: {labels.dtype} {labels.shape}."
        )
    if count and (labels.min() < lowest or labels.max() >= classes):
        raise ValueError(
            f"Expected `{field}` from {lowest} to {classes - 1}. "
            f"Received: from {labels.min()} to {labels.max()}."
        )


def _sides(images: np.ndarray) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"


def _to_rgb(field: str, given: npt.ArrayLike) -> np.ndarray:
    """Returns images as uint8 `(n, size, size, 3)`."""
    images = np.asarray(given)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"Expected `{field}` of shape (n, h, w, 3), or grey (n, h, w) or "
            f"(n, h, w, 1). Received: {np.shape(given)}."
        )
    if images.shape[1] != images.shape[2]:
        raise InputError(
            f"Expected square images in `{field}`. Received: {_sides(images)} pixels. "
            "Crop or resize them first, for example with "
            "keras.layers.Resizing(32, 32, crop_to_aspect_ratio=True)."
        )
    images = to_uint8(field, images)
    return images if images.shape[3] == 3 else np.repeat(images, 3, axis=3)


def to_uint8(field: str, images: np.ndarray) -> np.ndarray:
    """Returns images as uint8 in [0, 255]; uint8 images are not copied.

    Args:
        field: Name of the parameter, for error messages.
        images: uint8, or float in [0, 1], any shape with at least one value.

    Raises:
        InputError: The images have another dtype, or a value outside the range.
    """
    if images.dtype.kind == "f":
        return _from_float(field, images)
    if images.dtype != np.uint8:
        raise InputError(
            f"Expected `{field}` to be uint8 in [0, 255] or float in [0, 1]. "
            f"Received: {images.dtype}."
        )
    return images


def _from_float(field: str, images: np.ndarray) -> np.ndarray:
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # this form also rejects NaN
        raise InputError(
            f"Expected float `{field}` in [0, 1]. Received: from {low:g} to {high:g}. "
            "Divide values up to 255 by 255, or convert them to uint8."
        )
    # Converted in chunks, because a float copy of all images may not fit in memory.
    rows = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        rows[part] = np.rint(255 * images[part])
    return rows


def _to_values(field: str, given: npt.ArrayLike, count: int) -> list[Value]:
    """Returns labels as integers or text, None for an image without a label."""
    labels = np.asarray(given)
    if labels.shape not in ((count,), (count, 1)):
        hint = " One-hot labels: use `labels.argmax(axis=1)`." * (labels.ndim == 2)
        raise InputError(
            f"Expected `{field}` of shape ({count},) or ({count}, 1), one for each "
            f"image. Received: {labels.shape}.{hint}"
        )
    values = labels.reshape(count).astype(object)
    # In an array of names, NumPy converts -1 to the text "-1".
    missing = pd.Series(values, dtype=object).isin([UNLABELED, "", str(UNLABELED)])
    values[pd.isna(values) | missing.to_numpy()] = None
    kind = pd.api.types.infer_dtype(values)
    if kind not in ("integer", "string", "boolean", "empty"):
        raise InputError(
            f"Expected `{field}` to be integers or class names. Received: {kind}."
        )
    lowest = min((v for v in values if v is not None), default=0)
    if kind == "integer" and lowest < 0:
        raise InputError(
            f"Expected `{field}` from 0, or -1 for an image without a label. "
            f"Received: {lowest}."
        )
    return values.tolist()


def _numbers_of(
    values: list[Value], names: Sequence[str] | None
) -> tuple[dict[Value, int], tuple[str, ...]]:
    """Returns the class index of each value in `values`, and the class names."""
    found: list = sorted({value for value in values if value is not None})
    if not found and names is None:
        raise InputError("Expected at least one label in `labels`, or `class_names`.")
    classes = tuple(str(name) for name in (found if names is None else names))
    if len(set(classes)) != len(classes):
        raise InputError(f"Expected different `class_names`. Received: {classes}.")
    if names is not None and found and isinstance(found[0], str):
        found = list(classes)
    elif names is not None and (not found or found[-1] < len(classes)):
        found = list(range(len(classes)))
    if len(found) != len(classes):
        raise InputError(
            f"Expected a name in `class_names` for each of the {len(found)} values in "
            f"`labels`, or for each integer from 0 to {found[-1]}. "
            f"Received: {len(classes)} names."
        )
    return {value: number for number, value in enumerate(found)}, classes


def _numbered(field: str, values: list[Value], numbers: dict[Value, int]) -> np.ndarray:
    """Returns the class index of each value, int32 `(n,)`."""
    unknown = sorted({str(value) for value in values if value not in numbers})
    if unknown:
        known = ", ".join(str(v) for v in list(numbers)[:10] if v is not None)
        raise InputError(
            f"Expected the classes {known} in `{field}`. "
            f"Received: {', '.join(unknown[:10])}."
        )
    return np.array([numbers[value] for value in values], np.int32)
