"""Callbacks of a run: stopping, evaluation, logging and checkpoints."""

import logging
import math
import os
import pathlib
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import keras
import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from color_s4l.artifacts.files import uninterrupted, write_atomically
from color_s4l.data import Split
from color_s4l.errors import InputError
from color_s4l.training import checkpoints
from color_s4l.training.feeding import Feed
from color_s4l.training.learner import Learner
from color_s4l.training.processes import Group

logger = logging.getLogger(__name__)


class StopWhenNotFinite(keras.callbacks.Callback):
    """A callback that stops the run at the first step with a loss that is not finite.

    Args:
        checkpoint_folder: Directory of the checkpoints, named in the error.
    """

    # The callback reads only the logs, not the weights, so Keras may call it during the
    # next step.
    async_safe = True

    def __init__(self, checkpoint_folder: pathlib.Path):
        super().__init__()
        self.folder = checkpoint_folder
        self.epoch = 0
        self.found: tuple[int, list[str]] | None = None
        self.lock = threading.Lock()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the epoch for the error message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        """Checks the logs, which are means over the epoch so far."""
        if math.isfinite(logs["loss"]):
            return
        terms = [name for name, value in logs.items() if not math.isfinite(value)]
        step = self.epoch * self.model.plan.steps_per_epoch + batch
        with self.lock:
            if self.found is None or step < self.found[0]:
                self.found = (step, sorted(set(terms) - {"loss"}))
        self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Raises an InputError if a step of this epoch had a loss that is not finite.

        This is the first callback in the list, so nothing of this epoch is saved.
        """
        if self.found is None:
            return
        step, terms = self.found
        good = checkpoints.saved(self.folder)
        last = f"last good checkpoint: {good[-1]}" if good else "no checkpoint yet"
        raise InputError(
            f"The loss is not finite at step {step} (terms: {', '.join(terms)}); "
            f"{last}. A smaller `learning_rate` may help."
        )


class EpochErrors(keras.callbacks.Callback):
    """A callback that adds error rates, speed and learning rate to the epoch's logs.

    `images_per_second` counts the images of `build.images_per_step`, and does not
    include the time of the evaluation. `seconds` is the duration of the epoch including
    the evaluation.

    Args:
        measures: Name -> function that returns an error rate in percent.
        images_per_step: Number of images in all views of a step.
        every: Epochs between two evaluations; the last epoch is always evaluated.
    """

    def __init__(
        self,
        measures: Mapping[str, Callable[[], float]],
        images_per_step: int,
        every: int = 1,
    ):
        super().__init__()
        self.measures, self.images_per_step = measures, images_per_step
        self.every = every
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the start time of the epoch."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Measures the error rates and adds all values to the logs."""
        seconds = time.perf_counter() - self.started
        images = self.images_per_step * self.model.plan.steps_per_epoch
        logs["images_per_second"] = images / seconds
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        complete = epoch + 1
        if complete % self.every == 0 or complete == self.model.plan.epochs:
            logs.update({name: measure() for name, measure in self.measures.items()})
        logs["seconds"] = time.perf_counter() - self.started


class OnOwnLearner(keras.callbacks.Callback):
    """A callback for a learner that several processes train together.

    At the end of an epoch, it copies the values to a second learner, which belongs to
    this process alone. It calls other callbacks with this second learner.

    Args:
        learner: The second learner.
        group: The processes.
        callbacks: The other callbacks. They read the model only at the beginning and at
            the end of an epoch.
    """

    def __init__(
        self,
        learner: Learner,
        group: Group,
        callbacks: Sequence[keras.callbacks.Callback],
    ):
        super().__init__()
        self.learner, self.group, self.callbacks = learner, group, callbacks
        for each in callbacks:
            each.set_model(learner)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Calls the other callbacks."""
        for each in self.callbacks:
            each.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Copies the values, calls the other callbacks and waits for all processes."""
        copy_values(self.model, self.learner)
        with self.group.together.alone():
            for each in self.callbacks:
                each.on_epoch_end(epoch, logs)
        self.group.wait()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Calls the other callbacks."""
        for each in self.callbacks:
            each.on_train_end(logs)


def copy_values(source: Learner, target: Learner) -> None:
    """Copies the values of a learner and of its optimizer to another learner.

    Args:
        source: A compiled learner.
        target: A compiled learner with the same settings.
    """
    pairs = zip(
        [*source.variables, *source.optimizer.variables],
        [*target.variables, *target.optimizer.variables],
        strict=True,
    )
    for variable, other in pairs:
        other.assign(keras.ops.convert_to_numpy(variable))


class LoadingSpeed(keras.callbacks.Callback):
    """A callback that adds the speed of reading images to the epoch's logs.

    `loading_images_per_second`: images divided by the seconds spent reading them, since
    the start or resumption of the run. `loading_busy`: the seconds spent reading in
    this epoch, in percent of its duration; if it is near 100, the steps wait for
    images.

    Args:
        feed: The feed of `fit`.
    """

    def __init__(self, feed: Feed):
        super().__init__()
        self.feed, self.started, self.reading = feed, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the time and the seconds of reading so far."""
        self.started, self.reading = time.perf_counter(), self.feed.reading

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Adds both values to the logs."""
        seconds = time.perf_counter() - self.started
        reading = self.feed.reading - self.reading
        logs["loading_images_per_second"] = self.feed.read / self.feed.reading
        logs["loading_busy"] = 100 * reading / seconds


class WarnIfWorseThanConstant(keras.callbacks.Callback):
    """A callback that warns once if the class loss shows that training fails.

    A classifier that gives every class the same probability has a cross-entropy of
    log(classes). The callback warns if the mean class loss is above twice this value in
    the first epoch, or above this value in a later epoch.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.guess, self.done = math.log(classes), False

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Compares the loss on labelled images with the loss of a constant guess."""
        loss, limit = logs.get("class_loss", 0.0), self.guess * (1 if epoch else 2)
        if self.done or loss <= limit:
            return
        self.done = True
        logger.warning(
            "epoch %s: the loss on labelled images is %.3g. A classifier that gives "
            "every class the same probability has %.3g. A smaller `learning_rate` may "
            "help.",
            epoch + 1,
            loss,
            self.guess,
        )


class LogFile(keras.callbacks.Callback):
    """A callback that writes log.csv: one row per epoch, also after a resume.

    Args:
        path: The file; rewritten atomically after every epoch.
        complete: Number of complete epochs of an earlier session; their rows are kept.
    """

    def __init__(self, path: pathlib.Path, complete: int):
        super().__init__()
        self.path = path
        self.rows = _rows(path, complete) if complete else []

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Writes the row of the epoch."""
        self.rows.append({"epoch": epoch + 1, **logs})
        table = pd.DataFrame(self.rows).to_csv(index=False).encode()
        write_atomically(self.path, lambda file: file.write(table))


def _rows(path: pathlib.Path, complete: int) -> list[dict]:
    """Returns the rows of the first epochs in a log; none if the log is damaged."""
    try:
        table = pd.read_csv(path)
        return table[table["epoch"] <= complete].to_dict("records")
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(
            f"{path} cannot be read ({error}): rows up to epoch {complete} are lost.",
            stacklevel=2,
        )
        return []


class TensorBoard(keras.callbacks.Callback):
    """A callback that writes every logged scalar for TensorBoard.

    Unlike Keras' own callback it works without TensorFlow. If the disk is full, the
    training continues, because log.csv has the same values. TensorBoard's own writer is
    not used: it writes in a thread, and its errors would be printed as tracebacks.

    Args:
        folder: Directory of the event files.

    Raises:
        InputError: `folder` is a file.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"Expected {folder} to be a folder: remove the file.")
        self.folder, self.failed = folder, False
        self.path: pathlib.Path | None = None

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Writes the scalars of the epoch."""
        values = [
            value
            for name, number in logs.items()
            for value in scalar_pb(name, float(number)).value
        ]
        scalars = Summary(value=values)
        self._write(Event(wall_time=time.time(), step=epoch + 1, summary=scalars))

    def _write(self, event: Event) -> None:
        if self.failed:
            return
        try:
            events = [event]
            if not self.path:
                self.folder.mkdir(exist_ok=True)
                name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
                self.path = self.folder / name
                first = Event(wall_time=time.time(), file_version="brain.Event:2")
                events.insert(0, first)
            # Without a buffer, all errors occur in `write`, and none when the file is
            # closed.
            with open(self.path, "ab", buffering=0) as file:
                for one in events:
                    RecordWriter(file).write(one.SerializeToString())
        except OSError as error:
            self.failed = True
            logger.warning("TensorBoard's files cannot be written: %s.", error.strerror)


class Checkpoints(keras.callbacks.Callback):
    """A callback that saves a checkpoint after every epoch, after the logging.

    Args:
        folder: Directory of the checkpoints; must exist.
        split: The split, stored in the checkpoint; a run cannot resume with another.
    """

    def __init__(self, folder: pathlib.Path, split: Split):
        super().__init__()
        self.folder, self.split = folder, split

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the checkpoint; Ctrl-C takes effect afterwards."""
        with uninterrupted():
            checkpoints.save(self.model, self.folder, epoch + 1, split=self.split)
