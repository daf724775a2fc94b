"""Images of tensorflow-datasets (https://www.tensorflow.org/datasets).

TensorFlow is imported where it is used: it is not needed for other sources,
which the JAX backend can read without having it.
"""

import contextlib
import sys
import typing

import numpy as np

from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.errors import InputError

# STL-10's name for its images without labels (stored as -1). SVHN's "extra" has
# labels and is left out, as published.
_UNLABELED_SPLIT = "unlabelled"
_BATCH = 256


class UnknownNameError(InputError):
    """tensorflow-datasets knows no such name; `known` lists those of its image sets."""

    def __init__(self, name: str, known: list[str]):
        super().__init__(f"tensorflow-datasets has no data set {name!r}.")
        self.known = known


def load(name: str, data_dir: str | None, image_size: int | None) -> Data:
    """Reads a data set of tensorflow-datasets, downloading it where needed.

    Args:
        name: As `tfds.builder` takes it: "cifar10", "cifar10_corrupted/fog_1".
        data_dir: Holds the prepared data, and nothing is downloaded; None for
            the directory of tensorflow-datasets, and a download if it is not there.
        image_size: Side in pixels to which images are resized, after cropping
            them to the square in their middle; None for the size stored.

    Returns:
        The splits "train" and "test" ("validation" where a set has no test
        labels), and with "train" STL-10's images without labels. Labels are those
        called "label": CIFAR-100's 100 fine classes. Grey images get three equal
        channels.

    Raises:
        UnknownNameError: There is no such name.
        InputError: TensorFlow is missing, nothing is prepared in `data_dir`, the
            download failed, the set has no images with one class each, or no
            size common to all where `image_size` is None.
    """
    _require_tensorflow(name)
    builder = _code(name) if data_dir is None else _prepared(name, data_dir)
    features = builder.info.features
    _check_features(name, features)
    size = image_size or _stored_size(name, features["image"].shape)
    if data_dir is None:
        _download(name, builder)
    images, labels = _read_training(name, builder, size)
    test_images, test_labels = _read_test(name, builder, size)
    return Data(
        name=name,
        # Only now: some sets (CIFAR, STL-10) learn the names from what they download.
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
        import tensorflow_datasets  # noqa: F401, only whether it can be imported
    except ImportError as error:
        raise InputError(
            f"--dataset={name} is read with tensorflow and tensorflow-datasets, which "
            f"cannot be imported ({_line(error)}). Install them, or give "
            "--dataset=digits or --dataset=folder."
        ) from error
    if keras.config.backend() != "tensorflow":
        # TensorFlow only reads here; the GPU's memory belongs to the backend. Too
        # late (RuntimeError) where the user's own code has used TensorFlow before.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")


def _line(error: Exception) -> str:
    """The text of an error on one line and not too long to read."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _image_names() -> list[str]:
    import tensorflow_datasets as tfds
    from tensorflow_datasets import image_classification

    to_name = tfds.core.naming.camelcase_to_snakecase
    return [to_name(c) for c in dir(image_classification) if c[0].isupper()]


def _code(name: str) -> typing.Any:
    """The builder that can download `name`."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise UnknownNameError(name, _image_names()) from error
    except Exception as error:  # whatever a misspelt configuration or version raises
        raise InputError(f"Cannot make data set {name!r}: {_line(error)}") from error


def _prepared(name: str, data_dir: str) -> typing.Any:
    """The builder of the files in `data_dir`, of whatever version; has no code."""
    import tensorflow_datasets as tfds

    try:
        parsed, arguments = tfds.core.naming.parse_builder_name_kwargs(
            name, data_dir=data_dir
        )
        return tfds.core.read_only_builder.builder_from_files(str(parsed), **arguments)
    except Exception as error:  # its files may be absent or broken in many ways
        if not isinstance(error, tfds.core.registered.DatasetNotFoundError):
            reason = f"Cannot read {name!r} in --data_dir={data_dir}: {_line(error)}"
            raise InputError(reason) from error
        _code(name)
        raise InputError(
            f"--data_dir={data_dir} holds no prepared {name!r} (expected "
            f"{data_dir}/{name}/<version>/dataset_info.json). "
            "Leave --data_dir off to download it."
        ) from error


def _check_features(name: str, features: typing.Any) -> None:
    import tensorflow_datasets as tfds

    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    found = features if isinstance(features, tfds.features.FeaturesDict) else {}
    if not all(key in found and type(found[key]) is kinds[key] for key in kinds):
        raise InputError(
            f"{name!r} is not for image classification: expected an 'image' with one "
            f"class as its 'label'. It has: {', '.join(sorted(found)) or 'neither'}."
        )
    image = found["image"]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise InputError(
            f"Expected 8-bit images of 1 or 3 channels. Those of {name!r} are "
            f"{np.dtype(image.np_dtype)} of shape {image.shape}."
        )


def _stored_size(name: str, shape: tuple[int | None, ...]) -> int:
    height, width = shape[:2]
    if height is None or height != width:
        what = "vary in size" if height is None else f"are {height} x {width} pixels"
        raise InputError(
            f"The images of {name!r} {what}: give --image_size (a side in pixels, "
            "such as 32) to crop and resize them to squares."
        )
    return height


def _download(name: str, builder: typing.Any) -> None:
    if builder.is_prepared():
        return
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksum, terms of use: all the user's
        raise InputError(
            f"Cannot download {name!r}: {_line(error)} "
            "(--data_dir=DIR reads data prepared elsewhere.)"
        ) from error


def _read_training(name: str, builder: typing.Any, size: int):
    splits = builder.info.splits
    if "train" not in splits:
        raise InputError(f"{name!r} has no split 'train'. It has: {', '.join(splits)}.")
    if _UNLABELED_SPLIT in splits:
        return _read(name, builder, f"train+{_UNLABELED_SPLIT}", size)
    return _read(name, builder, "train", size)


def _read_test(name: str, builder: typing.Any, size: int):
    splits = builder.info.splits
    for split in [s for s in ("test", "validation") if s in splits]:
        images, labels = _read(name, builder, split, size)
        if (labels != UNLABELED).all():
            if split != "test":
                print(
                    f"{name}: no labelled test split; testing on {split!r}.",
                    file=sys.stderr,
                )
            return images, labels
    raise InputError(
        f"{name!r} has no split 'test' or 'validation' with labels. "
        f"It has: {', '.join(splits)}."
    )


def _read(name: str, builder: typing.Any, split: str, size: int):
    """One split: uint8 `(n, size, size, 3)` and int32 `(n,)`, in the order stored."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    count = builder.info.splits[split].num_examples
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty(count, np.int32)
    # Cached tensors would double what the images take.
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
        raise InputError(f"{split!r} of {name!r} holds {done} images, not {count}.")
    return images, labels


def _square(image: typing.Any, size: int) -> typing.Any:
    """The middle square of a uint8 tensor `(height, width, channels)`, resized."""
    import tensorflow as tf

    if image.shape[:2] == (size, size):
        return image
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    middle = image[top : top + side, left : left + side]
    resized = tf.image.resize(middle, [size, size], "bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
