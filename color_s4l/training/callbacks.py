"""What happens beside the steps: watching, evaluating, logging, saving."""

import math
import pathlib
import threading
import time
from collections.abc import Callable, Mapping

import keras
import pandas as pd
from tensorboard.summary import Writer

from color_s4l.artifacts.files import uninterrupted, write_atomically
from color_s4l.data import Split
from color_s4l.errors import InputError
from color_s4l.training import checkpoints
from color_s4l.training.feeding import Feed


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends the run at the first step whose loss is not finite, before it is saved.

    Args:
        checkpoint_folder: Where the last good state lies, to be named.
    """

    # It only reads numbers, so Keras may call it while the next step runs.
    async_safe = True

    def __init__(self, checkpoint_folder: pathlib.Path):
        super().__init__()
        self.folder = checkpoint_folder
        self.epoch, self.found = 0, None
        self.lock = threading.Lock()

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch, for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """The logs are means over the epoch, so one bad step shows at once."""
        if math.isfinite(logs["loss"]):
            return
        terms = [name for name, value in logs.items() if not math.isfinite(value)]
        step = self.epoch * self.model.plan.steps_per_epoch + batch
        with self.lock:
            if self.found is None or step < self.found[0]:
                self.found = (step, sorted(set(terms) - {"loss"}))
        self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        """Raises, if a step of this epoch was bad."""
        if self.found is None:
            return
        step, terms = self.found
        good = checkpoints.saved(self.folder)
        last = f"last good checkpoint: {good[-1]}" if good else "no checkpoint yet"
        raise InputError(
            f"The loss is not finite at step {step} (terms: {', '.join(terms)}); "
            f"{last}. A smaller --learning_rate may help."
        )


class EpochErrors(keras.callbacks.Callback):
    """Adds error rates and the speed to the logs of each epoch.

    `images_per_second`: of `preparation.images_per_step`, evaluation not counted.

    Args:
        measures: Name -> function that returns the error rate in percent.
        images_per_step: Images that a step's views show.
    """

    def __init__(
        self, measures: Mapping[str, Callable[[], float]], images_per_step: int
    ):
        super().__init__()
        self.measures, self.images_per_step = measures, images_per_step
        self.started = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stops the clock, then evaluates."""
        seconds = time.perf_counter() - self.started
        images = self.images_per_step * self.model.plan.steps_per_epoch
        logs["images_per_second"] = images / seconds
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs.update({name: measure() for name, measure in self.measures.items()})


class LoadingSpeed(keras.callbacks.Callback):
    """Adds to the logs how fast images are read, and whether that is fast enough.

    `loading_images_per_second`: images over the seconds spent on reading them, since
    the beginning. `loading_busy`: those seconds in percent of the epoch's; near 100
    the step waits.

    Args:
        feed: Of the `fit`.
    """

    def __init__(self, feed: Feed):
        super().__init__()
        self.feed, self.started, self.reading = feed, 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers where the feed stands."""
        self.started, self.reading = time.perf_counter(), self.feed.reading

    def on_epoch_end(self, epoch, logs=None):
        """Compares."""
        seconds = time.perf_counter() - self.started
        reading = self.feed.reading - self.reading
        logs["loading_images_per_second"] = self.feed.read / self.feed.reading
        logs["loading_busy"] = 100 * reading / seconds


class LogFile(keras.callbacks.Callback):
    """log.csv: one row per epoch; a resumed run's file holds each epoch once.

    Args:
        path: Rewritten, whole, after every epoch.
        complete: Epochs of an earlier session that stay.
    """

    def __init__(self, path: pathlib.Path, complete: int):
        super().__init__()
        self.path = path
        old = pd.read_csv(path) if complete else pd.DataFrame({"epoch": []})
        self.rows = old[old["epoch"] <= complete].to_dict("records")

    def on_epoch_end(self, epoch, logs=None):
        """Adds the epoch's row."""
        self.rows.append({"epoch": epoch + 1, **logs})
        table = pd.DataFrame(self.rows).to_csv(index=False).encode()
        write_atomically(self.path, lambda file: file.write(table))


class TensorBoard(keras.callbacks.Callback):
    """Every logged scalar for TensorBoard; works where TensorFlow is not installed.

    Args:
        folder: Of the event files.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__()
        self.writer = Writer(str(folder))

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch's scalars."""
        for name, value in logs.items():
            self.writer.add_scalar(name, float(value), epoch + 1)
        self.writer.flush()

    def on_train_end(self, logs=None):
        """Closes the file."""
        self.writer.close()


class Checkpoints(keras.callbacks.Callback):
    """Saves the state after every epoch, after everything else has been logged.

    Args:
        folder: Exists.
        split: Kept in the file, so that no run goes on with another one.
    """

    def __init__(self, folder: pathlib.Path, split: Split):
        super().__init__()
        self.folder, self.split = folder, split

    def on_epoch_end(self, epoch, logs=None):
        """Saves; Ctrl-C waits for it."""
        with uninterrupted():
            checkpoints.save(self.model, self.folder, epoch + 1, split=self.split)
