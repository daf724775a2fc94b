"""Trains a colorizer on a data set's images: python -m colorization.train."""

import dataclasses
import math
import pathlib
import typing
from collections.abc import Sequence
from typing import Annotated

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import OneOf, check, option
from color_s4l.settings import Count, DataSettings, Positive

if typing.TYPE_CHECKING:
    import numpy as np

    from color_s4l.data import Images
    from colorization.training import Settings

_DESCRIPTION = """Trains a network to colourise the images of a data set, and writes it
with its origin into one self-contained Keras file.

  python -m colorization.train --dataset=cifar100 --epochs=100 --output=cifar100_100.h5
"""
# Number of test images for the loss in the progress display. No setting or epoch is
# selected by this loss.
_WATCHED = 500


@dataclasses.dataclass(frozen=True)
class Train(DataSettings):
    """The command's flags; defaults are the published settings."""

    output: str | None = option(
        None, "File to write, .h5 or .keras (default: <dataset>_<epochs>.h5)."
    )
    epochs: Count = option(100, "Passes over the training images.")
    network: Annotated[
        str, OneOf("encoder_decoder", "inception_fusion", "histogram")
    ] = option("encoder_decoder", "The architecture.")
    width: Positive = option(1.0, "Factor on the network's numbers of filters.")
    images: Count | None = option(
        None, "Train on the first N images only (default: all)."
    )
    batch_size: Count = option(100, "Images per step.")
    learning_rate: Positive = option(1e-3, "Learning rate of Adam, constant.")
    seed: int = option(1, "Seed of the weights and of the order of the images.")
    embedding_weights: str = option(
        "imagenet", "inception_fusion: imagenet, none (random), or a weights file."
    )
    embedding_size: int = option(
        299, "inception_fusion: input side in pixels; 75 is 20 times cheaper."
    )
    embedding: Annotated[str, OneOf("stored", "reference")] = option(
        "stored",
        "inception_fusion: store its network (220 MB), or build it when opened.",
    )
    resume: bool = option(False, "Continue after the last complete epoch of --output.")
    verbosity: int = option(1, "0: silent; 1: bar on a terminal; 2: line per epoch.")
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers data sets; may be repeated."
    )


def _output(flags: Train) -> pathlib.Path:
    """Returns the path of the result and creates its directory.

    Raises:
        InputError: The ending is wrong, the file already exists, or there is an
            interrupted run of this file and `resume` is False.
    """
    from colorization.colorizer import check_suffix
    from colorization.training import checkpoint_path

    path = pathlib.Path(flags.output or f"{flags.dataset}_{flags.epochs}.h5")
    check_suffix(path)
    if path.exists():
        raise InputError(
            f"{str(path)!r} exists already: give another --output, or remove it."
        )
    interrupted = checkpoint_path(path)
    if interrupted.exists() and not flags.resume:
        raise InputError(
            f"An interrupted run of {str(path)!r} is at {str(interrupted)!r}: continue "
            "with --resume, or remove that file."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _settings(flags: Train) -> "Settings":
    from colorization.networks import Shape
    from colorization.training import Settings

    return Settings(
        epochs=flags.epochs,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        seed=flags.seed,
        network=flags.network,
        shape=Shape(flags.width, flags.embedding_weights, flags.embedding_size),
        embedding=flags.embedding,
        verbosity=flags.verbosity,
    )


def _training_images(flags: Train, images: "Images") -> "np.ndarray":
    """Returns the first images as an array; raises an error if memory is too small."""
    count = len(images) if flags.images is None else flags.images
    if not 0 < count <= len(images):
        raise InputError(
            f"Expected --images from 1 to {len(images)}. Received: {flags.images}."
        )
    needed, free = count * math.prod(images.shape[1:]), _free_memory()
    if needed > free:
        raise InputError(
            f"{count:,} images need {needed / 1e9:.1f} GB of memory, and only "
            f"{free / 1e9:.1f} GB can be used: give --images or --image_size."
        )
    return images[:count]


def _free_memory() -> int:
    import psutil

    # Half of the memory, because an epoch needs a shuffled copy of the images.
    return psutil.virtual_memory().available // 2


def _announce(
    flags: Train, images: "np.ndarray", path: pathlib.Path, parameters: int
) -> None:
    from colorization.training import checkpoint_path, steps_per_epoch

    steps = steps_per_epoch(len(images), flags.batch_size)
    size = "x".join(str(side) for side in images.shape[1:3])
    print(f"Training images:  {len(images)} of {flags.dataset}, {size} px")
    print(
        f"Steps:            {flags.epochs} epochs of {steps}, {flags.batch_size} each"
    )
    print(f"Network:          {flags.network}, {parameters:,} trained parameters")
    if flags.resume and not checkpoint_path(path).exists():
        print("Resume:           there is no complete epoch yet, starting anew")
    print(f"The result goes to {path}", flush=True)


def train(flags: Train) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is wrong, the output exists, the data set cannot be loaded or
            does not fit into memory, the loss is not finite, or the checkpoint is
            damaged or belongs to another run.
    """
    check(flags)
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from color_s4l import data
    from colorization import metrics, training

    path, settings = _output(flags), _settings(flags)
    dataset = data.load(flags)
    images = _training_images(flags, dataset.images)
    parts = training.build(settings)
    _announce(flags, images, path, parts.trained.count_params())
    interrupted = training.checkpoint_path(path)
    colorizer = training.train(
        images,
        settings,
        dataset=dataset.name,
        validation_images=dataset.test_images[:_WATCHED],
        checkpoint=interrupted,
        resume=flags.resume,
        parts=parts,
    )
    colorizer.save(path)
    interrupted.unlink(missing_ok=True)
    watched = dataset.test_images[:_WATCHED]
    if len(watched):
        line = metrics.compare_with_tint(watched, colorizer.predict(watched))
        print(f"On {len(watched)} test images: {line}.")
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB).")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(train, Train, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
