"""Measures how well a trunk transfers to another task: python -m color_s4l.transfer."""

import dataclasses
import pathlib
import tempfile
import time
import typing
from collections.abc import Sequence
from typing import Annotated

from color_s4l import command_line, fields, settings
from color_s4l.artifacts import provenance
from color_s4l.artifacts.files import write_atomically, write_json
from color_s4l.errors import InputError
from color_s4l.fields import AtLeast, Below, Between, OneOf, option
from color_s4l.settings import Count, DataSettings, NotNegative, Positive

if typing.TYPE_CHECKING:
    import numpy as np

    from color_s4l.data.transfer import Target
    from color_s4l.training.transfer import Learner

_DESCRIPTION = """Trains a trunk with a new head on images with several labels each
(result: mAP as in VOC 2007) or with a class for each pixel (mIU). Writes result.json,
predictions and the weights.

  python -m color_s4l.transfer --init_from=RUN --dataset=voc/2007
  python -m color_s4l.transfer --init_from=RUN --data_dir=photos --labels_csv=labels.csv
  python -m color_s4l.transfer --init_from=RUN --task=segmentation --data_dir=VOC2012
"""
LABELS, SEGMENTATION = "labels", "segmentation"
# Task -> the flags that only the other task uses.
_OTHER_TASK = {
    LABELS: ("train_list", "test_list"),
    SEGMENTATION: ("labels_csv", "crop_area"),
}
# Images in the picture of segmentations.
SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Transfer(DataSettings):
    """The flags of the command."""

    dataset: str = option(
        "folder", "folder, or a TFDS name with several labels per image: voc/2007."
    )
    task: Annotated[str, OneOf(LABELS, SEGMENTATION)] = option(
        LABELS, "Several labels per image, or a class for each pixel."
    )
    labels_csv: str | None = option(
        None,
        "folder: table with columns filename,label,split. Labels are separated by |; "
        "unlike in training, an empty label means that the image has none of the "
        "classes.",
    )
    train_list: str = option("train", "segmentation: list of the training images.")
    test_list: str = option("val", "segmentation: list of the test images.")
    init_from: str | None = option(
        None, "Run, model file or colorizer whose trunk weights are loaded."
    )
    weights: str | None = option(
        None, "Keras weights of applications/...: imagenet (default), none, or a file."
    )
    network: str = option("convnet", "Name of the trunk, as in `init_from`.")
    width: Positive = option(1.0, "Factor on the number of filters of the trunk.")
    normalization: Annotated[str, OneOf("contrast", "channels", "imagenet")] | None = (
        option(
            None,
            "As in the run of `init_from` (default: imagenet for applications/..., "
            "else contrast).",
        )
    )
    freeze_blocks: Annotated[int, AtLeast(-1)] = option(
        0, "Number of first blocks of the trunk that are frozen; -1: all."
    )
    dropout: settings.DropRate = option(0.5, "Dropout rate in the new head.")
    epochs: Count = option(60, "Passes over the training images.")
    batch_size: Count = option(16, "Images per step.")
    learning_rate: Positive = option(
        1e-3, "Learning rate of SGD, divided by 10 after 30, 60 and 80 % of the epochs."
    )
    weight_decay: NotNegative = option(
        5e-4, "Factor on the sum of squares of kernels in the loss."
    )
    crop_area: Annotated[float, Between(0.01, 1)] = option(
        0.25, "labels: smallest random part, as a share of the image's area."
    )
    seed: Annotated[int, Below(2**32)] = option(1, "Seed of all random draws.")
    run_dir: str | None = option(
        None, "Directory for the results (default: runs/transfer_<task>_<data>)."
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers trunks; may be repeated."
    )


def transfer(flags: Transfer) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is wrong, an input file cannot be read or does not fit, or
            the directory contains files or is not writable.
    """
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from color_s4l.data import transfer as data
    from color_s4l.training import inputs
    from color_s4l.training import transfer as training

    fields.check(flags)
    _check_used(flags)
    settings.check_weights(flags.weights, flags.init_from)
    weights = settings.weights_of(flags.network, flags.weights, flags.init_from)
    model = model_settings(flags)
    started = time.perf_counter()
    if flags.task == SEGMENTATION:
        target = data.read_masks(flags, flags.train_list, flags.test_list)
    else:
        target = data.read_labels(flags)
    folder = pathlib.Path(
        flags.run_dir or f"runs/transfer_{flags.task}_{target.name.replace('/', '_')}"
    )
    files = inputs.read_files(
        settings.InputSettings(
            flags.network, weights, None, flags.init_from, False, None
        ),
        colorizer=False,
    )
    _create(folder)
    images = len(target.training.images)
    print(
        f"{target.name}: {images:,} training and {len(target.test.images):,} test "
        f"images, {len(target.classes)} classes; the results go to {folder}/"
    )
    learner = training.train(
        target,
        model,
        optimization(flags),
        batch_size=min(flags.batch_size, images),
        crop_area=flags.crop_area,
        seed=flags.seed,
        initial=files.initial or files.weights,
        callbacks=[_printed(flags.epochs)],
    )
    learner.network.save_weights(folder / "network.weights.h5")
    measured = _masks if flags.task == SEGMENTATION else _labels
    result = measured(learner, target, folder, flags.batch_size)
    write_json(
        folder / "result.json",
        {
            **result,
            "test_images": len(target.test.images),
            "training_images": images,
            "seconds": time.perf_counter() - started,
            "settings": settings.portable(
                {
                    **dataclasses.asdict(flags),
                    "weights": weights,
                    "normalization": model.normalization,
                }
            ),
            "digests": files.digests,
            "versions": provenance.versions(),
            "date": provenance.today(),
        },
    )


def _check_used(flags: Transfer) -> None:
    """Raises an error for a flag that the task and the data set do not use."""
    if flags.task == SEGMENTATION and flags.dataset != "folder":
        raise InputError(
            "`task`=segmentation needs `dataset`=folder, in the format of VOC. "
            f"Received: `dataset`={flags.dataset}."
        )
    unused = {"unlabeled_dataset", "test_fraction"}
    unused |= set(_OTHER_TASK[flags.task])
    if flags.dataset != "folder":
        unused |= {"labels_csv", "resize", "cache"}
    for field in dataclasses.fields(flags):
        value = getattr(flags, field.name)
        if field.name in unused and value != field.default:
            raise InputError(
                f"`{field.name}`={value} is not used with `task`={flags.task} and "
                f"`dataset`={flags.dataset}: remove it."
            )


def _create(folder: pathlib.Path) -> None:
    """Creates the folder of the results.

    An empty folder is accepted, because a failed run may have left it.

    Raises:
        InputError: The folder has files, or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} exists: choose another `run_dir`.")
        with tempfile.TemporaryFile(dir=folder):
            pass  # an existing folder may be read-only
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}.") from error


def model_settings(flags: Transfer) -> settings.ModelSettings:
    """Returns the settings of the network, with the normalisation of its trunk."""
    return settings.ModelSettings(
        network=flags.network,
        width=flags.width,
        dropout=flags.dropout,
        trunk_dropout=None,
        normalization=settings.normalization_of(flags.network, flags.normalization),
        zca=False,
        freeze_blocks=flags.freeze_blocks,
    )


def optimization(flags: Transfer) -> settings.OptimizationSettings:
    """Returns the settings of SGD with the flags' rate, epochs and weight decay."""
    return settings.OptimizationSettings(
        epochs=flags.epochs,
        optimizer="sgd",
        momentum=0.9,
        bias_rate=1.0,
        trunk_rate=1.0,
        learning_rate=flags.learning_rate,
        schedule="steps",
        warmup_epochs=0.0,
        milestones=tuple(share * flags.epochs for share in settings.MILESTONES),
        weight_decay=flags.weight_decay,
    )


def _printed(epochs: int) -> typing.Any:
    """Returns a Keras callback that prints the loss of each epoch."""
    import keras

    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(
            f"epoch {epoch + 1}/{epochs}  loss {logs['loss']:.4f}", flush=True
        )
    )


def _labels(
    learner: "Learner", target: "Target", folder: pathlib.Path, batch_size: int
) -> dict:
    """Measures the mAP; writes the probabilities of all test images as a table."""
    import numpy as np
    import pandas as pd

    from color_s4l.training import transfer as training

    shares = training.predict_labels(learner, target.test, batch_size)
    table = pd.DataFrame(shares, target.test.names, target.classes)
    text = table.to_csv(index_label="filename").encode()
    write_atomically(folder / "predictions.csv", lambda file: file.write(text))
    found = training.average_precisions(target.test.targets, shares)
    mean = 100 * float(np.nanmean(found))
    print(f"mAP {mean:.2f} % (VOC 2007, 11 points)")
    return {"map": mean, "average_precision": _named(target, 100 * found)}


def _masks(
    learner: "Learner", target: "Target", folder: pathlib.Path, batch_size: int
) -> dict:
    """Measures the mIU; writes the predicted masks and a picture of some of them."""
    import numpy as np
    from PIL import Image

    from color_s4l.artifacts import pictures
    from color_s4l.data.transfer import IGNORED
    from color_s4l.training import transfer as training

    test = target.test
    masks = training.predict_masks(learner, test, batch_size)
    (folder / "masks").mkdir()
    for name, mask in zip(test.names, masks, strict=True):
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    palette = np.random.default_rng(0).integers(64, 256, (256, 3)).astype(np.uint8)
    palette[0], palette[IGNORED] = 0, 255
    rows = {
        "image": test.images[:SHOWN],
        "true classes": palette[test.targets[:SHOWN]],
        "predicted": palette[masks[:SHOWN]],
    }
    figure = pictures.sheet(rows, min(SHOWN, len(masks)))
    pictures.save(figure, folder / "masks.png")
    found = training.intersections(test.targets, masks, len(target.classes))
    mean = 100 * float(np.nanmean(found))
    known = test.targets != IGNORED
    right = 100 * float(np.mean(masks[known] == test.targets[known]))
    print(f"mIU {mean:.2f} %; {right:.2f} % of the pixels are right")
    return {
        "miu": mean,
        "right_pixels": right,
        "intersection_over_union": _named(target, 100 * found),
    }


def _named(target: "Target", values: "np.ndarray") -> dict[str, float | None]:
    """Returns the value of each class; None for a class without a value (NaN)."""
    pairs = zip(target.classes, values.tolist(), strict=True)
    return {name: None if value != value else value for name, value in pairs}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(transfer, Transfer, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
