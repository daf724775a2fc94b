"""Progress of training: a bar on a terminal, log lines, an estimate of the time."""

import contextlib
import dataclasses
import datetime
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import keras
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from color_s4l.artifacts import provenance

logger = logging.getLogger(__name__)

# Names that `text_of` puts first; the others follow in the order of the log.
_FIRST = ("test_error", "validation_error", "loss")
# Names that `text_of` leaves out. `images_per_second` is shown separately; the others
# are written to log.csv.
_HIDDEN = (
    *("images_per_second", "loading_images_per_second"),
    *("learning_rate", "seconds"),
)


# The time of a step is reported after `FEWEST_STEPS` steps and `SECONDS` seconds, or
# after `MOST_STEPS` steps.
FEWEST_STEPS, MOST_STEPS, SECONDS = 5, 100, 5.0


@dataclasses.dataclass(frozen=True)
class Span:
    """The length of a training run.

    Attributes:
        epochs: Number of all epochs, including those of earlier sessions.
        steps_per_epoch: Number of steps in each epoch.
        images_per_step: Number of images in each step, views included.
        complete: Number of epochs completed in earlier sessions.
    """

    epochs: int
    steps_per_epoch: int
    images_per_step: int
    complete: int = 0


@contextlib.contextmanager
def shown(verbosity: int, span: Span) -> Iterator[list[keras.callbacks.Callback]]:
    """Shows the progress of a training run while the context is open.

    Args:
        verbosity: 0: nothing. 1: one bar over all epochs on stderr if that is a
            terminal. 2: one log line after each epoch. With 1 and 2, an estimate of the
            time is logged after the first steps.
        span: The length of the training.

    Yields:
        Callbacks for `fit`; they must come after the callbacks that add values to the
        logs. They may be used in several calls of `fit`.
    """
    console = Console(stderr=True)
    if verbosity >= 2:
        yield [StepTime(estimate(span)), Lines(span)]
    elif verbosity == 1 and console.is_terminal:
        bar = Bar(console, span)
        with bar.display:
            yield [StepTime(estimate(span)), bar]
    else:
        yield [StepTime(estimate(span))] * verbosity


class _Messages(logging.Handler):
    """A log handler that prints on `sys.stderr`.

    The stream is looked up for each message, because bars and tests replace it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def messages_shown(verbosity: int) -> Iterator[None]:
    """Prints the library's log messages on stderr while the context is open.

    A program that configures logging handles the messages itself; then this function
    does nothing.

    Args:
        verbosity: 0: nothing is printed.
    """
    library = logging.getLogger("color_s4l")
    if not verbosity or library.hasHandlers():
        yield
        return
    handler, level = _Messages(), library.level
    library.addHandler(handler)
    library.setLevel(level or logging.INFO)
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(level)


def estimate(span: Span) -> Callable[[float], None]:
    """Returns a function that logs an estimate of the training time.

    Its argument is the measured time of a step in seconds.
    """

    def log(seconds: float) -> None:
        epochs = span.epochs - span.complete
        logger.info(
            "estimate   about %s for %s epochs of %s steps (%.3g s each), without the "
            "evaluation",
            provenance.duration(seconds * epochs * span.steps_per_epoch),
            epochs,
            f"{span.steps_per_epoch:,}",
            seconds,
        )

    return log


class StepTime(keras.callbacks.Callback):
    """A callback that measures the time of a step, once.

    The first step of each call of `fit` and of each epoch is not counted: it includes
    the compilation or the work between two epochs.

    Args:
        report: Called once, with the mean time of a step in seconds. It is not called
            if the training is too short.
        stop: Whether `fit` ends after the call of `report`.

    Attributes:
        seconds: Mean time of the counted steps so far; None before the first one.
    """

    def __init__(self, report: Callable[[float], None], *, stop: bool = False):
        super().__init__()
        # `async_safe` means that Keras may call the callback during the next step. That
        # does no harm, because a step that is reported late is counted with the next
        # one. With `stop` it is not allowed, because the callback changes the model.
        self.async_safe = not stop
        self.lock = threading.Lock()
        self.report, self.stop = report, stop
        self.seconds: float | None = None
        self.done = False
        self.steps, self.total = 0, 0.0
        self.before: tuple[int, float] | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Starts a new measurement; the next step is not counted."""
        self.before = None

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        """Adds the time since the last step."""
        with self.lock:
            if self.done or (self.before and batch <= self.before[0]):
                return
            now = time.perf_counter()
            if self.before:
                self.steps += batch - self.before[0]
                self.total += now - self.before[1]
                self.seconds = self.total / self.steps
            self.before = (batch, now)
            enough = self.steps >= FEWEST_STEPS and self.total >= SECONDS
            self.done = bool(self.seconds) and (enough or self.steps >= MOST_STEPS)
            if self.done:
                self.report(self.seconds or 0.0)
        if self.done and self.stop:
            self.model.stop_training = True


class Lines(keras.callbacks.Callback):
    """A callback that logs one line after each epoch.

    Args:
        span: The length of the training.
    """

    def __init__(self, span: Span):
        super().__init__()
        self.span, self.started = span, time.perf_counter()
        self.epoch_started = self.started

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Stores the start time of the epoch."""
        self.epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Logs the line."""
        span, now, logs = self.span, time.perf_counter(), logs or {}
        images = span.images_per_step * span.steps_per_epoch
        measured = images / (now - self.epoch_started)
        done = epoch + 1 - span.complete
        left = (now - self.started) / done * (span.epochs - epoch - 1)
        logger.info(
            "epoch %d/%d  %s images/s  %s left  %s",
            epoch + 1,
            span.epochs,
            f"{logs.get('images_per_second', measured):,.0f}",
            datetime.timedelta(seconds=round(left)),
            text_of(logs),
        )


class Bar(keras.callbacks.Callback):
    """A callback that shows a bar for all epochs, current errors and loss terms.

    Args:
        console: A terminal.
        span: The length of the training.

    Attributes:
        display: Context manager; the bar and the line of text below it are shown while
            it is open.
    """

    # The callback only reads numbers, so Keras may call it during the next step.
    async_safe = True

    def __init__(self, console: Console, span: Span):
        super().__init__()
        self.span, self.epoch = span, span.complete
        self.measured: dict[str, float] = {}
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            _Speed(span.images_per_step),
            TimeRemainingColumn(),
            TextColumn("left"),
            expand=True,
        )
        self.task = self.bar.add_task(
            "",
            total=span.epochs * span.steps_per_epoch,
            completed=span.complete * span.steps_per_epoch,
            epoch=min(span.complete + 1, span.epochs),
            epochs=span.epochs,
        )
        self.status = Text()
        self.display = Live(
            Group(self.bar, self.status),
            console=console,
            refresh_per_second=10,
            # Text printed during the training must not break the bar; but if stdout
            # is a file, the text must still be written to the file.
            redirect_stdout=sys.stdout.isatty(),
        )

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Shows the number of the epoch."""
        self.epoch = epoch
        self.bar.update(self.task, epoch=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        """Moves the bar; shows the current losses and the errors of the last epoch."""
        done = self.epoch * self.span.steps_per_epoch + batch + 1
        self.bar.update(self.task, completed=done)
        self.status.plain = text_of({**self.measured, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Keeps the values that are measured once per epoch."""
        self.measured = dict(logs or {})
        self.status.plain = text_of(self.measured)


class _Speed(ProgressColumn):
    """A column of the bar: images per second over the last 30 seconds."""

    def __init__(self, images_per_step: int):
        super().__init__()
        self.images_per_step = images_per_step

    def render(self, task: Task) -> Text:
        if task.speed is None:
            return Text("starting")
        return Text(f"{task.speed * self.images_per_step:,.0f} images/s")


def text_of(logs: Mapping[str, float]) -> str:
    """Returns names and numbers in one line: test error, validation error, loss, rest.

    Args:
        logs: Keras' logs of a step or an epoch.

    Returns:
        For example "test error 41.2 %  loss 1.19  class loss 0.187".
    """
    names = [*(n for n in _FIRST if n in logs), *(n for n in logs if n not in _FIRST)]
    return "  ".join(
        f"{name.replace('_', ' ')} {logs[name]:.3g}{_unit(name)}"
        for name in names
        if name not in _HIDDEN
    )


def _unit(name: str) -> str:
    return " %" if name.endswith("error") or name == "loading_busy" else ""
