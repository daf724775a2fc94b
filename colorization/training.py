"""Trains a colorizer as published: Adam on the mean squared error in a*b*.

Baldassarre et al. 2017, https://arxiv.org/abs/1712.03400, section 4, which the
Color-S4L report takes over: the loss is the mean over pixels and both channels of
the squared error (their 1/(2HW) form), Adam with learning rate 1e-3, batches of
100. No augmentation.
"""

import dataclasses
import math
import os
import pathlib
import sys
import zlib
from collections.abc import Iterator

import keras
import numpy as np

from color_s4l import progress
from color_s4l.data.streams import seed_initialisers
from color_s4l.errors import InputError
from colorization import checkpoint, embeddings, networks
from colorization.colorizer import pad
from colorization.networks import Parts, Shape
from colorization.origin import Origin
from colorization.task import Task


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train; the defaults are the published settings.

    Attributes:
        epochs: Passes over the images. The report's colorizers had 50 to 300.
        batch_size: Images per step.
        learning_rate: Adam's, constant.
        seed: Of the weights and of the order of the images.
        network: A name of `networks.NETWORKS`.
        shape: The network's sizes.
        verbosity: Of `color_s4l.progress.shown`: 0 silent, 1 a bar, on a terminal,
            2 a line per epoch.
    """

    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 1
    network: str = "encoder_decoder"
    shape: Shape = dataclasses.field(default_factory=Shape)
    verbosity: int = 1


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Steps of one pass; the last one may be smaller."""
    return math.ceil(images / batch_size)


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the images in an epoch: a pure function of its arguments.

    Returns:
        A permutation of `count` numbers, int64 `(count,)`.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def origin(settings: Settings, dataset: str, images: np.ndarray) -> Origin:
    """The record of a run's result.

    Args:
        settings: How it was trained.
        dataset: The training data's name.
        images: The training images, before padding.

    Returns:
        The record, for `saving.save`.
    """
    embedded = settings.network == "inception_fusion"
    shape = settings.shape
    return Origin(
        dataset=dataset,
        epochs=settings.epochs,
        image_size=int(images.shape[1]),
        images=len(images),
        network=settings.network,
        width=shape.width,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        embedding_weights=shape.embedding_weights if embedded else None,
        embedding_size=shape.embedding_size if embedded else None,
    )


def _identity(settings: Settings, images: np.ndarray) -> dict:
    """What a run must share with an interrupted one to go on from there."""
    values = dataclasses.asdict(settings)
    # More epochs, and another display, change nothing of the epochs that are done.
    del values["epochs"], values["verbosity"]
    return {
        **values,
        **values.pop("shape"),
        # Random weights of a frozen part are not in the checkpoint, but drawn again.
        "backend": keras.backend.backend(),
        "images": list(images.shape),
        "checksum": zlib.crc32(np.ascontiguousarray(images)),
    }


def _check(settings: Settings) -> None:
    positive = {
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "width": settings.shape.width,
    }
    for name, value in positive.items():
        if not value > 0:
            raise InputError(f"Expected {name} above 0. Received: {value}.")


def build(settings: Settings) -> Parts:
    """Builds the network of a run, with its first weights.

    Seeds Keras' global generator: the weights are drawn from it.

    Args:
        settings: The run's.

    Returns:
        The network's parts, for `train`.

    Raises:
        InputError: A setting does not fit.
    """
    _check(settings)
    seed_initialisers(settings.seed)
    return networks.build(settings.network, settings.shape)


def _inputs(parts: Parts, images: np.ndarray, verbosity: int) -> dict:
    images = pad(images)
    if parts.embedder is None or not len(images):
        return {"images": images}
    # Keras' own bar, for a pass that may take an hour; none into a file.
    bar = int(verbosity == 1 and sys.stdout.isatty())
    embedding = embeddings.cached(parts.embedder, images, bar)
    return {"images": images, "embedding": embedding}


def _task(parts: Parts, settings: Settings) -> Task:
    task = Task(parts.trained)
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    task.compile(optimizer=optimizer)
    optimizer.build(parts.trained.trainable_variables)
    return task


class _OneEpoch(keras.callbacks.Callback):
    """Ends `fit` after one epoch, whose number it still knows."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.model.stop_training = True


def _epochs(
    task: Task,
    inputs: dict,
    validation: dict,
    settings: Settings,
    start: int,
    watchers: list[keras.callbacks.Callback],
) -> Iterator[int]:
    """Trains one epoch after the other, and yields how many are complete."""
    count = len(inputs["images"])
    for epoch in range(start, settings.epochs):
        indices = order(settings.seed, epoch, count)
        # One `fit` per epoch: the order is ours, not that of a shuffle buffer,
        # and the checkpoint falls between two epochs.
        history = task.fit(
            {name: values[indices] for name, values in inputs.items()},
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            initial_epoch=epoch,
            callbacks=[_OneEpoch(), *watchers],
            shuffle=False,
            validation_data=(validation,) if len(validation["images"]) else None,
            verbose=0,
        )
        if not math.isfinite(history.history["loss"][-1]):
            raise InputError(
                f"The loss is not finite after epoch {epoch + 1}: lower the learning "
                f"rate ({settings.learning_rate:g})."
            )
        yield epoch + 1


def train(
    images: np.ndarray,
    validation_images: np.ndarray,
    settings: Settings,
    checkpoint_path: str | os.PathLike | None = None,
    resume: bool = False,
    parts: Parts | None = None,
) -> keras.Model:
    """Trains a colorizer.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB; sizes not divisible by 8 are
            padded by mirrored pixels.
        validation_images: Likewise, for the progress display only: nothing is
            selected by them. May be empty.
        settings: How.
        checkpoint_path: Where to keep the last complete epoch; None for nowhere.
            The caller removes it once the result is saved.
        resume: Go on from that file where it exists, instead of starting anew.
        parts: What `build(settings)` made; None to build it here.

    Returns:
        Lightness to colours, self-contained, for `saving.save` or `Colorizer`.

    Raises:
        InputError: A setting does not fit, the loss is not finite, or the
            checkpoint is damaged or of another run.
    """
    if not len(images):
        raise InputError("Expected images to train on. Received none.")
    parts = parts or build(settings)
    task = _task(parts, settings)
    path = pathlib.Path(checkpoint_path) if checkpoint_path else None
    identity = _identity(settings, images)
    start = 0
    if path and resume and path.is_file():
        start = checkpoint.restore(path, task, identity)
    inputs = _inputs(parts, images, settings.verbosity)
    validation = _inputs(parts, validation_images, settings.verbosity)
    steps = steps_per_epoch(len(images), settings.batch_size)
    span = progress.Span(settings.epochs, steps, settings.batch_size, start)
    with progress.shown(settings.verbosity, span) as watchers:
        for epoch in _epochs(task, inputs, validation, settings, start, watchers):
            if path:
                checkpoint.save(path, task, epoch, identity)
    return parts.whole
