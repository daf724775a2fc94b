"""The data sets of tensorflow-datasets (https://www.tensorflow.org/datasets).

A data set that was prepared in the random-access format (ArrayRecord) may be larger
than the memory: its images are decoded when they are read (`lazy_images`). At the first
use, each of its records is read once for the label; the labels are cached. A data set
in the default format (TFRecord) can only be read from its beginning, so it is read into
memory.

TensorFlow is imported inside the functions: other sources do not need it, so the JAX
backend can read them without TensorFlow.
"""

import contextlib
import dataclasses
import difflib
import logging
import os
import time
import typing
import warnings
from collections.abc import Sequence

import numpy as np
import psutil

from color_s4l.artifacts import cache
from color_s4l.data import image_files, lazy_images
from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.data.lazy_images import Images
from color_s4l.errors import InputError
from color_s4l.registry import SOURCES
from color_s4l.settings import DataSettings

logger = logging.getLogger(__name__)

# Fields of `DataSettings` that are read in addition to `dataset`, `data_dir` and
# `image_size`.
OPTIONS = ("cache", "max_megapixels")
RANDOM_ACCESS = "array_record"
# Name of STL-10's split of images without labels (their stored label is -1). SVHN's
# split "extra" has labels and is not used, as published.
_UNLABELED_SPLIT = "unlabelled"
# Images uint8 `(n, size, size, 3)` and labels int32 `(n,)`.
_Arrays = tuple[Images, np.ndarray]


class Records(lazy_images.Encoded):
    """The encoded images of a split in the random-access format.

    Args:
        builder: The builder of the data set.
        split: A split, or several joined by "+".
    """

    def __init__(self, builder: typing.Any, split: str):
        import tensorflow_datasets as tfds

        self._about = f"{builder.info.full_name} {split}"
        # Without `Any`, mypy would need the types of array_record.
        self._records: typing.Any = builder.as_data_source(
            split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            file_format=RANDOM_ACCESS,
        )
        self._files = sorted(
            os.fspath(file)
            for part in split.split("+")
            for file in builder.info.splits[part].filepaths
        )

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self._records)

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        """Returns the content of the images' files."""
        # A record without an image gives b"", which is reported as an image that cannot
        # be decoded.
        return [
            b"".join(features["image"].bytes_list.value[:1])
            for features in self._features(numbers)
        ]

    def name(self, number: int) -> str:
        """Returns the data set, the split and the number of the record."""
        return f"{self._about}, record {number}"

    def key(self) -> str:
        """Returns a digest of the paths, sizes and modification times of the files."""
        return cache.digest(self._about, lazy_images.Paths(self._files).key())

    def labels(self) -> np.ndarray:
        """Returns the labels, int32 `(n,)`; the first time, all records are read."""

        def read_all() -> dict[str, np.ndarray]:
            started, labels = time.perf_counter(), np.empty(len(self), np.int32)
            for start in range(0, len(self), lazy_images.CHUNK):
                numbers = range(start, min(start + lazy_images.CHUNK, len(self)))
                labels[numbers.start : numbers.stop] = [
                    features["label"].int64_list.value[0]
                    for features in self._features(numbers)
                ]
            seconds = time.perf_counter() - started
            logger.info("labels     read %s in %.1f s", f"{len(self):,}", seconds)
            return {"labels": labels}

        return cache.cached("labels", [self.key()], read_all)["labels"]

    def _features(self, numbers: Sequence[int]) -> list[typing.Any]:
        from tensorflow_datasets.proto import tf_example_pb2

        return [
            tf_example_pb2.Example.FromString(record).features.feature
            for record in self._records.__getitems__(list(numbers))
        ]


def load(settings: DataSettings) -> Data:
    """Reads a data set of tensorflow-datasets; downloads it if necessary.

    Args:
        settings: `dataset` is a name in the form for `tfds.builder`: "cifar10",
            "cifar10_corrupted/fog_1". `data_dir` is a directory with prepared data, and
            nothing is downloaded; None for the default directory of
            tensorflow-datasets. `image_size` is the side in pixels to which images are
            resized, after cropping the centre square; None for the stored size. `cache`
            and `max_megapixels` are as for a folder.

    Returns:
        Training images from the split "train" (for STL-10 also the images without
        labels) and test images from "test" ("validation" if there is no split "test"
        with labels).
        Labels are the feature "label": for CIFAR-100, the 100 fine classes. Grey images
        get three equal channels.

    Raises:
        InputError: There is no data set with this name, TensorFlow is missing,
            `data_dir` has no prepared data, the download failed, the data set does not
            have one class per image, there are no training or no test images, the
            images differ in size or are not square and `image_size` is None, or the
            data set is not in the random-access format, and it is larger than the free
            memory or `cache` is "disk" or "none".
    """
    name, data_dir = settings.dataset, settings.data_dir
    _require_tensorflow(name)
    builder = _code(name) if data_dir is None else _prepared(name, data_dir)
    features = builder.info.features
    _check_features(name, features)
    size = settings.image_size or _stored_size(name, features["image"].shape)
    if data_dir is None:
        _download(name, builder)
    reader = _Reader(name, builder, size, settings)
    images, labels = _read_training(reader)
    test_images, test_labels = _read_test(reader)
    return Data(
        name=name,
        # Read after the download, because the class names of some data sets (CIFAR,
        # STL-10) are in the downloaded files.
        classes=tuple(builder.info.features["label"].names),
        images=images,
        labels=labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _require_tensorflow(name: str) -> None:
    try:
        import keras
        import tensorflow as tf
        import tensorflow_datasets  # noqa: F401, checks that it can be imported
    except ImportError as error:
        raise InputError(
            f"`dataset`={name} needs tensorflow and tensorflow-datasets, which cannot "
            f"be imported ({_line(error)}). Install them, or use one of: "
            f"{', '.join(SOURCES)}."
        ) from error
    if keras.config.backend() != "tensorflow":
        # TensorFlow only reads files here and must not reserve the GPU memory that the
        # Keras backend needs. If the user's code has used TensorFlow before, it is too
        # late to change this (RuntimeError).
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")


def _line(error: Exception) -> str:
    """Returns the text of an error on one line, at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _unknown(name: str) -> InputError:
    """Returns the error for an unknown name; it suggests the closest names."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets import image_classification

    to_name = tfds.core.naming.camelcase_to_snakecase
    known = [to_name(c) for c in dir(image_classification) if c[0].isupper()]
    known = [*SOURCES, *known]
    close = difflib.get_close_matches(name.lower(), known, n=3)
    # `difflib` does not find "svhn_cropped" for "svhn", so beginnings are compared too.
    close = close or [other for other in known if other.startswith(name.lower())]
    named = " or ".join(repr(other) for other in close[:3])
    suggestion = f" Did you mean {named}?" if close else ""
    return InputError(
        f"There is no data set {name!r}.{suggestion} There are: {', '.join(SOURCES)}, "
        "and the image-classification sets of "
        "https://www.tensorflow.org/datasets/catalog/overview."
    )


def _code(name: str) -> typing.Any:
    """Returns the builder that can download `name`."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise _unknown(name) from error
    except Exception as error:  # a wrong configuration or version raises many types
        raise InputError(f"Cannot load data set {name!r}: {_line(error)}") from error


def _prepared(name: str, data_dir: str) -> typing.Any:
    """Returns the builder that reads the files in `data_dir`, of any version."""
    import tensorflow_datasets as tfds

    try:
        parsed, arguments = tfds.core.naming.parse_builder_name_kwargs(
            name, data_dir=data_dir
        )
        return tfds.core.read_only_builder.builder_from_files(str(parsed), **arguments)
    except tfds.core.registered.DatasetNotFoundError as error:
        _code(name)  # raises another error if no data set has this name
        raise InputError(
            f"`data_dir`={data_dir} has no prepared {name!r} (expected "
            f"{data_dir}/{name}/<version>/dataset_info.json). "
            "Without `data_dir`, the data set is downloaded."
        ) from error
    except Exception as error:  # broken files raise many types
        raise InputError(
            f"Cannot read {name!r} in `data_dir`={data_dir}: {_line(error)}"
        ) from error


def _check_features(name: str, features: typing.Any) -> None:
    import tensorflow_datasets as tfds

    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    found = features if isinstance(features, tfds.features.FeaturesDict) else {}
    if not all(key in found and type(found[key]) is kinds[key] for key in kinds):
        raise InputError(
            f"{name!r} is not for image classification: expected an 'image' with one "
            f"class as its 'label'. Received: {', '.join(sorted(found)) or 'neither'}."
        )
    image = found["image"]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise InputError(
            f"Expected 8-bit images with 1 or 3 channels in {name!r}. "
            f"Received: {np.dtype(image.np_dtype)} of shape {image.shape}."
        )


def _stored_size(name: str, shape: tuple[int | None, ...]) -> int:
    height, width = shape[:2]
    if height is None or height != width:
        found = (
            "differ in size" if height is None else f"have {height} x {width} pixels"
        )
        raise InputError(
            f"The images of {name!r} {found}: set `image_size` (a side in pixels, such "
            "as 32) to crop and resize them to squares."
        )
    return height


def _download(name: str, builder: typing.Any) -> None:
    if builder.is_prepared():
        return
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksum, terms of use, ...
        raise InputError(
            f"Cannot download {name!r}: {_line(error)} "
            "(For data that were prepared on another machine, set `data_dir`.)"
        ) from error


class _Reader:
    """Reads the splits of one data set with one label per image.

    Args:
        name: Name of the data set in messages.
        builder: The builder of the data set, which is prepared.
        size: Side of the images in pixels.
        settings: `cache` and `max_megapixels` are read.

    Raises:
        InputError: The data set is not in the random-access format, and one of these
            holds: `settings.cache` is "disk" or "none"; or it is None, and the images
            are larger than the free memory.
    """

    # Whether images may be decoded when they are read.
    _lazy = True

    def __init__(
        self, name: str, builder: typing.Any, size: int, settings: DataSettings
    ):
        self.name, self.builder, self.splits = name, builder, builder.info.splits
        self._size, self._limit = size, settings.max_megapixels
        count = sum(split.num_examples for split in self.splits.values())
        self._where = settings.cache or lazy_images.choose_cache(count, size)
        formats = {f.value for f in builder.info.available_file_formats()}
        self._random_access = self._lazy and RANDOM_ACCESS in formats
        if self._random_access or self._where == "memory":
            return
        needed = 3 * count * size * size
        if settings.cache or needed > psutil.virtual_memory().available:
            raise InputError(
                f"The images of {name!r} take {needed / 1e9:.1f} GB at {size} px. "
                + self._remedy(name)
            )
        self._where = "memory"

    def _remedy(self, name: str) -> str:
        return (
            "They must fit into memory (`cache`=memory), unless the data set is in the "
            f"random-access format: `tfds build {name} --file_format={RANDOM_ACCESS}`, "
            "or `tfds convert_format`. A smaller `image_size` also needs less memory."
        )

    def _empty_labels(self, count: int) -> np.ndarray:
        return np.empty(count, np.int32)

    def _label(self, example: typing.Any) -> typing.Any:
        """Returns the label of an example, as a tensor."""
        return example["label"]

    def read(self, split: str) -> _Arrays:
        """Returns the images and labels of a split in the stored order."""
        import tensorflow as tf

        try:
            if self._random_access:
                records = Records(self.builder, split)
                labels = records.labels()
                decoded = lazy_images.Decoded(
                    records, self._size, max_megapixels=self._limit
                )
                images, reasons = lazy_images.read(decoded, self._where)
            else:
                images, labels, reasons = self._from_beginning(split)
        except (tf.errors.OpError, OSError, ValueError, IndexError) as error:
            raise InputError(
                f"Cannot read {split!r} of {self.name!r}: {_line(error)}"
            ) from error
        good = np.array([not reason for reason in reasons])
        if good.all():
            return images, labels
        bad = len(good) - int(good.sum())
        warnings.warn(
            f"{self.name}: skipped {bad} of {len(good)} images of {split!r} "
            f"because they cannot be decoded: {next(filter(None, reasons))}.",
            stacklevel=2,
        )
        return images, labels[good]

    def _from_beginning(self, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Reads TFRecord files.

        Returns:
            The images that can be decoded; the labels of all images; and for every
            image the reason why it cannot be decoded, or "".
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        count = self.splits[split].num_examples
        images = np.empty((count, self._size, self._size, 3), np.uint8)
        labels = self._empty_labels(count)
        reasons: list[str] = []
        data = self.builder.as_dataset(
            split=split,
            shuffle_files=False,
            # Cached tensors would double the memory for the images.
            read_config=tfds.ReadConfig(try_autocache=False),
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        data = data.map(lambda e: (e["image"], self._label(e)), tf.data.AUTOTUNE)
        batches = data.batch(lazy_images.CHUNK).prefetch(2).as_numpy_iterator()
        for files, numbers in batches:
            part = slice(len(reasons), len(reasons) + len(files))
            labels[part] = numbers
            reasons += image_files.load_many(
                files.tolist(), images[part], max_megapixels=self._limit
            )
        if len(reasons) != count:
            raise ValueError(f"expected {count} images, found {len(reasons)}")
        good = [not reason for reason in reasons]
        return images if all(good) else images[good], labels, reasons


class _LabelsReader(_Reader):
    """Reads the splits of one data set with several labels per image, into memory.

    Labels are uint8 `(n, classes)`: 1, 0 or `ignored`. The other arguments are those of
    `_Reader`.

    Args:
        ignored: Value in the labels that marks an ignored class of an image.
    """

    _lazy = False

    def __init__(
        self,
        name: str,
        builder: typing.Any,
        size: int,
        settings: DataSettings,
        ignored: int,
    ):
        # All images are read into memory, whatever `cache` says.
        settings = dataclasses.replace(settings, cache=None)
        super().__init__(name, builder, size, settings)
        self.classes = tuple(builder.info.features["labels"].feature.names)
        self._ignored = ignored

    def _remedy(self, name: str) -> str:
        return "That is more than the free memory: set a smaller `image_size`."

    def _empty_labels(self, count: int) -> np.ndarray:
        return np.empty((count, len(self.classes)), np.uint8)

    def _label(self, example: typing.Any) -> typing.Any:
        import tensorflow as tf

        def mark(labels: typing.Any) -> typing.Any:
            each = tf.one_hot(labels, len(self.classes), dtype=tf.uint8)
            return tf.reduce_max(each, axis=0)

        whole = mark(example["labels"])
        if "labels_no_difficult" not in example:
            return whole
        sure = mark(example["labels_no_difficult"])
        return tf.where(whole > sure, tf.constant(self._ignored, tf.uint8), sure)


def _read_training(reader: _Reader) -> _Arrays:
    if "train" not in reader.splits:
        raise InputError(
            f"Expected a split 'train' in {reader.name!r}. "
            f"Received: {', '.join(reader.splits)}."
        )
    joined = f"+{_UNLABELED_SPLIT}" * (_UNLABELED_SPLIT in reader.splits)
    return reader.read(f"train{joined}")


def _read_test(reader: _Reader) -> _Arrays:
    for split in [s for s in ("test", "validation") if s in reader.splits]:
        images, labels = reader.read(split)
        if (labels != UNLABELED).all():
            if split != "test":
                warnings.warn(
                    f"{reader.name} has no labelled test split: "
                    f"{split!r} is used as the test set.",
                    stacklevel=2,
                )
            return images, labels
    raise InputError(
        f"Expected a split 'test' or 'validation' with labels in {reader.name!r}. "
        f"Received: {', '.join(reader.splits)}."
    )


def load_multilabel(
    settings: DataSettings, size: int, ignored: int
) -> tuple[tuple[str, ...], list[_Arrays]]:
    """Reads a data set with several labels per image; downloads it if necessary.

    Args:
        settings: As for `load`. The set has the features "image" and "labels". If it
            also has the feature "labels_no_difficult", labels that are not in this
            feature are ignored.
        size: Side in pixels to which images are resized.
        ignored: Value in the labels that marks an ignored class of an image.

    Returns:
        The names of the classes, and two pairs of images and labels: for training and
        for testing. The labels are uint8 `(n, classes)`: 1, 0 or `ignored`. If the
        split "test" has labels, the training images are the splits "train" and
        "validation", and the test images are "test". If it has none, the training
        images are "train" and the test images are "validation". Images that cannot be
        decoded are left out, with a warning.

    Raises:
        InputError: As for `load`, or there are no such features, or the images are
            larger than the memory.
    """
    name, data_dir = settings.dataset, settings.data_dir
    _require_tensorflow(name)
    import tensorflow_datasets as tfds

    builder = _code(name) if data_dir is None else _prepared(name, data_dir)
    features = builder.info.features
    found = features if isinstance(features, tfds.features.FeaturesDict) else {}
    kind = getattr(found["labels"], "feature", None) if "labels" in found else None
    if not isinstance(kind, tfds.features.ClassLabel) or "image" not in found:
        raise InputError(
            f"{name!r} does not have several labels per image: expected an 'image' "
            "with a sequence of classes as its 'labels'. "
            f"Received: {', '.join(sorted(found)) or 'neither'}."
        )
    if data_dir is None:
        _download(name, builder)
    reader = _LabelsReader(name, builder, size, settings, ignored)

    def read(split: str) -> _Arrays:
        images, labels = reader.read(split)
        if not len(images):
            raise InputError(f"{name!r} has no image in {split!r} that can be decoded.")
        return images, labels

    splits = reader.splits
    tests = read("test") if "test" in splits else None
    if tests is not None and (tests[1] == 1).any() and "train" in splits:
        given = [split for split in ("train", "validation") if split in splits]
        return reader.classes, [read("+".join(given)), tests]
    if not {"train", "validation"} <= set(splits):
        raise InputError(
            f"Expected the splits 'train' and 'test' or 'validation' with labels in "
            f"{name!r}. Received: {', '.join(splits)}."
        )
    return reader.classes, [read("train"), read("validation")]
