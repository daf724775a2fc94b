"""The data sets of tensorflow-datasets (https://www.tensorflow.org/datasets).

TensorFlow is imported inside the functions: other sources do not need it, so the JAX
backend can read them without TensorFlow.
"""

import contextlib
import difflib
import typing
import warnings

import numpy as np

from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.errors import InputError
from color_s4l.registry import SOURCES
from color_s4l.settings import DataSettings

# Name of STL-10's split of images without labels (their stored label is -1). SVHN's
# split "extra" has labels and is not used, as published.
_UNLABELED_SPLIT = "unlabelled"
_BATCH = 256
# Images uint8 `(n, size, size, 3)` and labels int32 `(n,)`.
_Arrays = tuple[np.ndarray, np.ndarray]


def load(settings: DataSettings) -> Data:
    """Reads a data set of tensorflow-datasets; downloads it if necessary.

    Args:
        settings: `dataset` is a name in the form for `tfds.builder`: "cifar10",
            "cifar10_corrupted/fog_1". `data_dir` is a directory with prepared data, and
            nothing is downloaded; None for the default directory of
            tensorflow-datasets. `image_size` is the side in pixels to which images are
            resized, after cropping the centre square; None for the stored size.

    Returns:
        Training images from the split "train" (for STL-10 also the images without
        labels) and test images from "test" ("validation" if "test" has no labels).
        Labels are the feature "label": for CIFAR-100, the 100 fine classes. Grey images
        get three equal channels.

    Raises:
        InputError: There is no data set with this name, TensorFlow is missing,
            `data_dir` has no prepared data, the download failed, the data set does not
            have one class per image, or the images differ in size and `image_size` is
            None.
    """
    name, data_dir = settings.dataset, settings.data_dir
    _require_tensorflow(name)
    builder = _code(name) if data_dir is None else _prepared(name, data_dir)
    features = builder.info.features
    _check_features(name, features)
    size = settings.image_size or _stored_size(name, features["image"].shape)
    if data_dir is None:
        _download(name, builder)
    images, labels = _read_training(name, builder, size)
    test_images, test_labels = _read_test(name, builder, size)
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


def _read_training(name: str, builder: typing.Any, size: int) -> _Arrays:
    splits = builder.info.splits
    if "train" not in splits:
        raise InputError(
            f"Expected a split 'train' in {name!r}. Received: {', '.join(splits)}."
        )
    if _UNLABELED_SPLIT in splits:
        return _read(name, builder, f"train+{_UNLABELED_SPLIT}", size)
    return _read(name, builder, "train", size)


def _read_test(name: str, builder: typing.Any, size: int) -> _Arrays:
    splits = builder.info.splits
    for split in [s for s in ("test", "validation") if s in splits]:
        images, labels = _read(name, builder, split, size)
        if (labels != UNLABELED).all():
            if split != "test":
                warnings.warn(
                    f"{name} has no labelled test split: "
                    f"{split!r} is used as the test set.",
                    stacklevel=2,
                )
            return images, labels
    raise InputError(
        f"Expected a split 'test' or 'validation' with labels in {name!r}. "
        f"Received: {', '.join(splits)}."
    )


def _read(name: str, builder: typing.Any, split: str, size: int) -> _Arrays:
    """Returns the images and labels of a split in the stored order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    count = builder.info.splits[split].num_examples
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty(count, np.int32)
    # Cached tensors would double the memory for the images.
    config = tfds.ReadConfig(try_autocache=False)
    done = 0
    try:
        data = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        data = data.map(
            lambda e: (_square(e["image"], size), e["label"]), tf.data.AUTOTUNE
        )
        for image, label in data.batch(_BATCH).prefetch(2).as_numpy_iterator():
            stop = done + len(image)
            images[done:stop], labels[done:stop] = image, label
            done = stop
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise InputError(
            f"Cannot read {split!r} of {name!r}: {_line(error)}"
        ) from error
    if done != count:
        raise InputError(
            f"Expected {count} images in {split!r} of {name!r}. Received: {done}."
        )
    return images, labels


def _square(image: typing.Any, size: int) -> typing.Any:
    """Resizes the centre square of a uint8 image `(height, width, channels)`."""
    import tensorflow as tf

    if image.shape[:2] == (size, size):
        return image
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    middle = image[top : top + side, left : left + side]
    resized = tf.image.resize(middle, [size, size], "bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def load_multilabel(
    settings: DataSettings, size: int, ignored: int
) -> tuple[tuple[str, ...], list[tuple[np.ndarray, np.ndarray]]]:
    """Reads a data set with several labels per image; downloads it if necessary.

    Args:
        settings: As for `load`. The set has the features "image" and "labels"; classes
            that are not in a feature "labels_no_difficult" are ignored.
        size: Side in pixels to which images are resized.
        ignored: The value of ignored classes.

    Returns:
        The names of the classes; then images, and uint8 `(n, classes)`, of the training
        and of the test images. The training images are the splits "train" and
        "validation" if "test" has labels; else the test images are "validation".

    Raises:
        InputError: As for `load`, or there are no such features.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    name, data_dir = settings.dataset, settings.data_dir
    _require_tensorflow(name)
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
    classes = tuple(builder.info.features["labels"].feature.names)

    def mark(labels: typing.Any) -> typing.Any:
        return tf.reduce_max(tf.one_hot(labels, len(classes), dtype=tf.uint8), axis=0)

    def targets(example: typing.Any) -> typing.Any:
        whole = mark(example["labels"])
        if "labels_no_difficult" not in found:
            return whole
        sure = mark(example["labels_no_difficult"])
        return tf.where(whole > sure, tf.constant(ignored, tf.uint8), sure)

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        count = builder.info.splits[split].num_examples
        images = np.empty((count, size, size, 3), np.uint8)
        found = np.empty((count, len(classes)), np.uint8)
        config = tfds.ReadConfig(try_autocache=False)
        try:
            data = builder.as_dataset(split=split, read_config=config)
            data = data.map(lambda e: (_square(e["image"], size), targets(e)))
            for number, pair in enumerate(data.as_numpy_iterator()):
                images[number], found[number] = pair
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise InputError(
                f"Cannot read {split!r} of {name!r}: {_line(error)}"
            ) from error
        return images, found

    splits = builder.info.splits
    tests = read("test") if "test" in splits else None
    if tests is not None and (tests[1] == 1).any():
        given = [split for split in ("train", "validation") if split in splits]
        return classes, [read("+".join(given)), tests]
    if not {"train", "validation"} <= set(splits):
        raise InputError(
            f"Expected the splits 'train' and 'test' or 'validation' with labels in "
            f"{name!r}. Received: {', '.join(splits)}."
        )
    return classes, [read("train"), read("validation")]
