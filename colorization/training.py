"""Training of a colorizer: Adam on the mean squared error in a*b*.

The settings are those of Baldassarre et al. 2017, https://arxiv.org/abs/1712.03400,
section 4, and of the Color-S4L report: the loss is the squared error averaged over
pixels and both channels (equation 1, with the factor 1/(2HW)), the optimizer is Adam
with learning rate 1e-3, the batch size is 100, and there is no augmentation. The
network `histogram` has another loss (`colorization.histogram`).
"""

import dataclasses
import math
import os
import pathlib
import sys
import typing
import zlib
from collections.abc import Iterator
from typing import Annotated

import keras
import numpy as np
from keras import ops

from color_s4l import progress
from color_s4l.artifacts import checkpoint_files
from color_s4l.data.streams import seed_initialisers
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, OneOf, check
from colorization import embedding, histogram, lab, networks
from colorization.colorizer import Colorizer, Origin, pad
from colorization.networks import Parts, Shape


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a training run; the defaults are the published settings.

    Attributes:
        epochs: Passes over the images. The report uses 50 to 300 epochs.
        batch_size: Images per step.
        learning_rate: Learning rate of Adam, constant.
        seed: Seed of the weights and of the order of the images.
        network: A name of `networks.NETWORKS`.
        shape: The network's sizes.
        embedding: `inception_fusion` only. "stored": the colorizer's file contains the
            embedding network (220 MB); "reference": the file is small, and the
            embedding network is built again when the file is opened.
        verbosity: As in `color_s4l.progress.shown`: 0 silent, 1 a bar if the output is
            a terminal, 2 a line per epoch.
    """

    epochs: Annotated[int, AtLeast(1)] = 100
    batch_size: Annotated[int, AtLeast(1)] = 100
    learning_rate: Annotated[float, Above(0)] = 1e-3
    seed: int = 1
    network: str = "encoder_decoder"
    shape: Shape = dataclasses.field(default_factory=Shape)
    embedding: Annotated[str, OneOf("stored", "reference")] = "stored"
    verbosity: int = 1

    def __post_init__(self) -> None:
        check(self)
        random = self.shape.embedding_weights == "none"
        if self.embedding == "reference" and random:
            raise InputError(
                "`embedding`=reference does not store the weights of the embedding "
                "network. Set `embedding_weights` to imagenet or a weights file, not "
                "none."
            )


class Task(keras.Model):
    """A model for training: computes the error in a*b* from uint8 images.

    The conversion to L*a*b* is part of the training step, so that images stay uint8 in
    memory, and the true colours are computed on the device.

    Args:
        network: `Parts.trained`.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name="task")
        self.network = network
        self.agreement = keras.metrics.Mean(name="agreement")

    def call(self, inputs: dict) -> dict:
        """Predicts colours.

        Args:
            inputs: "images", uint8 `(batch, height, width, 3)`, and "embedding", float
                `(batch, features)`, if the network has an embedder.

        Returns:
            "true" and "predicted" colours, `(batch, height, width, 2)` in [-1, 1].
        """
        lightness, colors = lab.split(inputs["images"])
        if "embedding" in inputs:
            lightness = [lightness, inputs["embedding"]]
        return {"true": colors, "predicted": self.network(lightness)}

    def error(self, predictions: dict) -> lab.Tensor:
        """Returns the mean squared error over images, pixels and both channels.

        Args:
            predictions: The result of `call`.
        """
        return ops.mean(ops.square(predictions["predicted"] - predictions["true"]))

    def compute_loss(
        self,
        x: typing.Any = None,
        y: typing.Any = None,
        y_pred: typing.Any = None,
        sample_weight: typing.Any = None,
        training: bool = True,
    ) -> lab.Tensor:
        """Returns `error(y_pred)`; the other arguments are not used."""
        return self.error(y_pred)

    def compute_metrics(
        self,
        x: typing.Any,
        y: typing.Any,
        y_pred: typing.Any,
        sample_weight: typing.Any = None,
    ) -> dict:
        """Adds "agreement": the share of pixels with the same argmax(a*, b*).

        This is Keras' metric "accuracy" for two channels. The Color-S4L report calls
        it the accuracy of its colorizers: 79 to 84 %.
        """
        true, predicted = (
            ops.argmax(y_pred[k], axis=-1) for k in ("true", "predicted")
        )
        self.agreement.update_state(ops.cast(ops.equal(true, predicted), "float32"))
        return self.get_metrics_result()


class HistogramTask(Task):
    """The task of a network that predicts histograms of hue and chroma."""

    def call(self, inputs: dict) -> dict:
        """Predicts histograms.

        Args:
            inputs: "images", uint8 `(batch, height, width, 3)`.

        Returns:
            "images"; "logits", `(batch, height, width, 2 * bins)`; and "true" and
            "predicted" colours, as in `Task.call`.
        """
        images = inputs["images"]
        lightness, colors = lab.split(images)
        logits = self.network(lightness)
        predicted = histogram.decoded(lightness, logits)
        return {
            "images": images,
            "logits": logits,
            "true": colors,
            "predicted": predicted,
        }

    def error(self, predictions: dict) -> lab.Tensor:
        """Returns the mean loss of the histograms over images and pixels."""
        return histogram.loss(predictions["images"], predictions["logits"])


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Returns the number of steps of one pass; the last batch may be smaller."""
    return math.ceil(images / batch_size)


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Returns the order of the images in an epoch, a pure function of its arguments.

    Returns:
        A permutation of `count` numbers, int64 `(count,)`.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def checkpoint_path(output: str | os.PathLike) -> pathlib.Path:
    """Returns the path of the checkpoint of a run that will write `output`."""
    output = pathlib.Path(output)
    return output.with_name(f"{output.name}.checkpoint.npz")


def build(settings: Settings) -> Parts:
    """Builds the network of a run with its initial weights.

    Seeds Keras' global generator, from which the weights are drawn.

    Raises:
        InputError: There is no network of this name, or its frozen part cannot be built
            (see `networks.inception_fusion`).
    """
    seed_initialisers(settings.seed)
    return networks.build(settings.network, settings.shape)


def train(
    images: np.ndarray,
    settings: Settings,
    *,
    dataset: str,
    validation_images: np.ndarray | None = None,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    parts: Parts | None = None,
) -> Colorizer:
    """Trains a colorizer.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB; sizes not divisible by 8 are padded
            by mirrored pixels.
        settings: The settings of the training.
        dataset: Name of the data set, recorded in the colorizer's origin.
        validation_images: Images for the loss in the progress display, like `images`.
            No setting or epoch is selected by this loss.
        checkpoint: File that is replaced after each epoch; None: no file. The caller
            removes the file after saving the colorizer.
        resume: Whether to continue from the checkpoint if it exists.
        parts: The result of `build(settings)`; None: the network is built here.

    Raises:
        InputError: There are no images, the network cannot be built, the loss is not
            finite, or the checkpoint is damaged or belongs to another run.
    """
    if not len(images):
        raise InputError("Expected images to train on. Received none.")
    parts = parts or build(settings)
    task = _task(parts, settings)
    # The metric is not part of the state between two epochs.
    variables = [*task.trainable_variables, *task.optimizer.variables]
    path = pathlib.Path(checkpoint) if checkpoint else None
    identity = _identity(settings, images)
    start = 0
    if path and resume and path.is_file():
        start = _restore(path, variables, identity)
    inputs = _inputs(parts, images, settings.verbosity)
    validation = None
    if validation_images is not None and len(validation_images):
        validation = _inputs(parts, validation_images, settings.verbosity)
    steps = steps_per_epoch(len(images), settings.batch_size)
    span = progress.Span(settings.epochs, steps, settings.batch_size, start)
    with progress.shown(settings.verbosity, span) as watchers:
        for epoch in _epochs(task, inputs, validation, settings, start, watchers):
            if path:
                note = {"identity": identity}
                checkpoint_files.save(path, variables, epoch=epoch, note=note)
    return Colorizer(parts.whole, _origin(settings, dataset, images))


def _task(parts: Parts, settings: Settings) -> Task:
    task = (HistogramTask if parts.histograms else Task)(parts.trained)
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    task.compile(optimizer=optimizer)
    optimizer.build(parts.trained.trainable_variables)
    return task


def _identity(settings: Settings, images: np.ndarray) -> dict[str, typing.Any]:
    """Returns the values that must be equal when a run is resumed."""
    values = dataclasses.asdict(settings)
    # These settings do not change the epochs that are complete: the number of epochs,
    # the kind of file and the progress display.
    del values["epochs"], values["embedding"], values["verbosity"]
    shape = values.pop("shape")
    return {
        **values,
        **shape,
        # The frozen weights are not in the checkpoint. If they are random, they depend
        # on the backend.
        "backend": keras.backend.backend(),
        "images": list(images.shape),
        "checksum": zlib.crc32(np.ascontiguousarray(images).data),
    }


def _restore(path: pathlib.Path, variables: list, identity: dict) -> int:
    """Assigns a checkpoint's values; returns its number of complete epochs."""
    checkpoint = checkpoint_files.read(path)
    before = checkpoint.note.get("identity", {})
    different = [name for name in identity if identity[name] != before.get(name)]
    if different:
        changes = ", ".join(
            f"{name} {before.get(name)} (now {identity[name]})" for name in different
        )
        raise InputError(
            f"The checkpoint {str(path)!r} belongs to another run: {changes}. Use the "
            "same settings, or remove the checkpoint to start anew."
        )
    checkpoint.assign(variables)
    return checkpoint.note["epoch"]


def _inputs(parts: Parts, images: np.ndarray, verbosity: int) -> dict[str, np.ndarray]:
    images = pad(images)
    if parts.embedder is None:
        return {"images": images}
    # The embeddings may take an hour, so Keras' bar is shown, but only on a terminal.
    bar = int(verbosity == 1 and sys.stdout.isatty())
    return {
        "images": images,
        "embedding": embedding.cached(parts.embedder, images, bar),
    }


class _OneEpoch(keras.callbacks.Callback):
    """A callback that stops `fit` after one epoch."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.model.stop_training = True


def _epochs(
    task: Task,
    inputs: dict[str, np.ndarray],
    validation: dict[str, np.ndarray] | None,
    settings: Settings,
    start: int,
    watchers: list[keras.callbacks.Callback],
) -> Iterator[int]:
    """Trains epoch by epoch; yields the number of complete epochs after each epoch."""
    count = len(inputs["images"])
    for epoch in range(start, settings.epochs):
        indices = order(settings.seed, epoch, count)
        # `fit` is called once per epoch, so that the order does not depend on Keras'
        # shuffling and the checkpoint is written between two epochs.
        history = task.fit(
            {name: values[indices] for name, values in inputs.items()},
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            initial_epoch=epoch,
            callbacks=[_OneEpoch(), *watchers],
            shuffle=False,
            validation_data=(validation,) if validation else None,
            verbose=0,
        )
        if not math.isfinite(history.history["loss"][-1]):
            raise InputError(
                f"The loss is not finite after epoch {epoch + 1}: lower the "
                f"`learning_rate` ({settings.learning_rate:g})."
            )
        yield epoch + 1


def _origin(settings: Settings, dataset: str, images: np.ndarray) -> Origin:
    values = dataclasses.asdict(settings)
    values |= values.pop("shape")
    del values["verbosity"]
    if settings.network != "inception_fusion":
        values |= dict.fromkeys(("embedding_weights", "embedding_size", "embedding"))
    size = int(images.shape[1])
    return Origin(dataset=dataset, image_size=size, images=len(images), **values)
