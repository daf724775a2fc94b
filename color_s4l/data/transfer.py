"""Images with several labels each, or with a class for each pixel.

Both are for `color_s4l.transfer`. The value `IGNORED` marks a class of an image, or a
pixel, that counts neither in the loss nor in the result (VOC: "difficult", "void").
"""

import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image

from color_s4l.data import image_files, labels_csv, lazy_images, listing, tfds
from color_s4l.data.lazy_images import Images
from color_s4l.errors import InputError
from color_s4l.registry import SOURCES
from color_s4l.settings import DataSettings

IGNORED = 255
# In a table: the text between two labels of an image, and the last character of a label
# that is ignored.
SEPARATOR, DOUBTFUL = "|", "?"
SIZE = 224
# The classes of VOC segmentation: a pixel of class `VOC[i]` has the value i in a mask.
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car"),
    *("cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Images with their targets.

    Attributes:
        images: uint8 `(n, size, size, 3)`, n at least 1.
        targets: uint8. For labels `(n, classes)`: 1, 0 or `IGNORED`. For segmentation
            `(n, size, size)`: the index of a class, or `IGNORED`.
        names: File name, or the number of the image as text, of each image.
    """

    images: Images
    targets: np.ndarray
    names: tuple[str, ...]

    @property
    def has_masks(self) -> bool:
        """Whether each pixel has a class; else each image has several labels."""
        return self.targets.ndim == 3


@dataclasses.dataclass(frozen=True)
class Target:
    """A data set for a transfer task.

    Attributes:
        name: Name of the data set in messages.
        classes: Names of the classes.
        training: The training images.
        test: The test images.
    """

    name: str
    classes: tuple[str, ...]
    training: Part
    test: Part


def read_labels(settings: DataSettings) -> Target:
    """Reads images with several labels each.

    Args:
        settings: `dataset`=folder: `labels_csv` is a table with the columns filename,
            label and split ("train" or "test"). Labels are separated by "|"; an empty
            label means none of the classes; a label with a "?" at its end is ignored
            for this image. Otherwise `dataset` is the name of a set of
            tensorflow-datasets with the features "image" and "labels", for example
            "voc/2007"; if there is a feature "labels_no_difficult", the other labels
            are ignored.

    Raises:
        InputError: The data set or the table cannot be read, or has no training images,
            no test images or no labels.
    """
    if settings.dataset != "folder":
        if settings.dataset in SOURCES:
            raise InputError(
                f"`dataset`={settings.dataset} has one label per image. Expected: "
                "folder with `labels_csv`, or a set of tensorflow-datasets: voc/2007."
            )
        size = settings.image_size or SIZE
        if settings.data_dir is not None:
            directory = os.path.expanduser(settings.data_dir)
            settings = dataclasses.replace(settings, data_dir=directory)
        classes, parts = tfds.load_multilabel(settings, size, IGNORED)
        training, test = (
            Part(images, targets, tuple(str(k) for k in range(len(images))))
            for images, targets in parts
        )
        return Target(settings.dataset, classes, training, test)
    root = _folder(settings)
    if not settings.labels_csv:
        raise InputError(
            "`dataset`=folder needs `labels_csv`, the table of the labels."
        )
    path = pathlib.Path(settings.labels_csv).expanduser()
    path = path if path.exists() else root / path
    table = labels_csv.read(path)
    if not (table["split"] == "test").any() or not (table["split"] == "train").any():
        raise InputError(
            f"{path}: expected images with split train and images with split test."
        )
    paths = listing.resolved(path, table["filename"], root, {})
    labels = [[*filter(None, text.split(SEPARATOR))] for text in table["label"]]
    names = {label.removesuffix(DOUBTFUL).strip() for own in labels for label in own}
    classes = tuple(sorted(names))
    if not classes:
        raise InputError(f"{path} has no label for any image.")
    targets = np.zeros((len(labels), len(classes)), np.uint8)
    for row, own in zip(targets, labels, strict=True):
        for label in own:
            doubtful = label.endswith(DOUBTFUL)
            known = classes.index(label.removesuffix(DOUBTFUL).strip())
            row[known] = IGNORED if doubtful else 1
    tested = (table["split"] == "test").to_numpy()
    return Target(
        root.name,
        classes,
        *(
            _decoded(
                [pathlib.Path(p) for p, c in zip(paths, chosen, strict=True) if c],
                targets[chosen],
                tuple(table["filename"][chosen]),
                settings,
            )
            for chosen in (~tested, tested)
        ),
    )


def read_masks(settings: DataSettings, training: str, test: str) -> Target:
    """Reads images with a class for each pixel, from a folder in the format of VOC.

    Args:
        settings: `data_dir` contains JPEGImages/NAME.jpg, SegmentationClass/NAME.png
            (the value of a pixel is the index of its class; 255: ignored) and
            ImageSets/Segmentation/LIST.txt with one NAME per line. Images and masks are
            cropped or padded to squares; padding is ignored. The classes have the names
            of VOC if the last class of VOC is in a mask; else their numbers.
        training: Name of the LIST of the training images, for example "train".
        test: Name of the LIST of the test images, for example "val".

    Raises:
        InputError: A file is missing or cannot be read, a mask has another size than
            its image or more than `max_megapixels`, or a NAME is a path.
    """
    root = _folder(settings)
    parts = [_masked(root, name, settings) for name in (training, test)]
    last = max(int(p.targets[p.targets != IGNORED].max(initial=0)) for p in parts)
    numbers = tuple(str(k) for k in range(last + 1))
    classes = VOC if len(numbers) == len(VOC) else numbers
    return Target(root.name, classes, *parts)


def _folder(settings: DataSettings) -> pathlib.Path:
    if settings.data_dir is None:
        raise InputError("Expected `data_dir`, the folder of the images.")
    root = pathlib.Path(settings.data_dir).expanduser()
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.")
    return root


def _decoded(
    paths: list[pathlib.Path],
    targets: np.ndarray,
    names: tuple[str, ...],
    settings: DataSettings,
) -> Part:
    size = settings.image_size or SIZE
    where = settings.cache or lazy_images.choose_cache(len(paths), size)
    decoded = lazy_images.Decoded(
        lazy_images.Paths(paths), size, settings.resize, settings.max_megapixels
    )
    images, reasons = lazy_images.read(decoded, where)
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            raise InputError(f"Cannot read {path}: {reason.rstrip('.')}.")
    return Part(images, targets, names)


def _masked(root: pathlib.Path, name: str, settings: DataSettings) -> Part:
    path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
    try:
        names = tuple(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
    if not names:
        raise InputError(f"{path} lists no image.")
    for one in names:
        # The predicted masks are written to files of these names.
        if pathlib.PurePath(one).name != one:
            raise InputError(
                f"{path}: expected names without a folder. Received: {one!r}."
            )
    files = [root / "JPEGImages" / f"{one}.jpg" for one in names]
    with image_files.quiet():
        masks = np.stack([_mask(file, root, settings) for file in files])
    return _decoded(files, masks, names, settings)


def _mask(
    image: pathlib.Path, root: pathlib.Path, settings: DataSettings
) -> np.ndarray:
    """Reads the mask of an image as a square, uint8 `(size, size)`."""
    size, most = settings.image_size or SIZE, settings.max_megapixels
    allowed = image_files.pixel_limit(most)
    path = image
    try:
        expected = image_files.shown_size(image)
        path = root / "SegmentationClass" / f"{image.stem}.png"
        with Image.open(path, formats=("PNG",)) as mask:
            if mask.mode not in ("P", "L"):
                raise ValueError(f"expected an 8-bit palette, received {mask.mode}")
            width, height = mask.size
            if (width, height) != expected:
                raise ValueError(
                    f"expected {expected[0]} x {expected[1]} pixels, as its image; "
                    f"received {width} x {height}"
                )
            if width * height > allowed:
                raise ValueError(image_files.too_large(width, height, most))
            # Pixels become the class indices, not the colours of the palette.
            values = Image.fromarray(np.asarray(mask))
    except Exception as error:  # Pillow's decoders raise many types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"Cannot read {path}: {reason.rstrip('.')}.") from error
    if settings.resize == "pad":
        longest = max(values.size)
        canvas = Image.new("L", (longest, longest), IGNORED)
        left, top = ((longest - side) // 2 for side in values.size)
        canvas.paste(values, (left, top))
        values = canvas
    side = min(values.size)
    left, top = (values.width - side) // 2, (values.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(values.resize((size, size), Image.Resampling.NEAREST, box=box))
