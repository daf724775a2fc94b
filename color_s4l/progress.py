"""How far a training is: one bar on a terminal, a line for each epoch, or nothing."""

import contextlib
import dataclasses
import datetime
import sys
import time
from collections.abc import Iterator, Mapping

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# What is told first; the rest follows in the order of the log.
_FIRST = ("test_error", "validation_error", "loss")
_TOLD_OTHERWISE = ("images_per_second", "loading_images_per_second", "learning_rate")


@dataclasses.dataclass(frozen=True)
class Span:
    """What is trained.

    Attributes:
        epochs: All of them, with those of an earlier session.
        steps_per_epoch: Steps of each.
        images_per_step: That the views of one show.
        complete: Epochs that need not be done again.
    """

    epochs: int
    steps_per_epoch: int
    images_per_step: int
    complete: int = 0


@contextlib.contextmanager
def shown(verbosity: int, span: Span) -> Iterator[list[keras.callbacks.Callback]]:
    """What shows a training's progress, for as long as it runs.

    Args:
        verbosity: 0: nothing; 1: one bar over all epochs on stderr, where that is a
            terminal, else nothing; 2: one line on stdout after each epoch.
        span: What is trained.

    Yields:
        Callbacks for `fit`, to stand after those that add to the logs; they work
        across several calls of `fit`.
    """
    console = Console(stderr=True)
    if verbosity >= 2:
        yield [Lines(span)]
    elif verbosity == 1 and console.is_terminal:
        with Display(console, span) as display:
            yield [Bar(display, span)]
    else:
        yield []


class Lines(keras.callbacks.Callback):
    """One line of plain text after each epoch.

    Args:
        span: What is trained.
    """

    def __init__(self, span: Span):
        super().__init__()
        self.span, self.started = span, time.perf_counter()
        self.epoch_started = self.started

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the epoch's clock."""
        self.epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Prints."""
        span, now, logs = self.span, time.perf_counter(), logs or {}
        images = span.images_per_step * span.steps_per_epoch
        own = images / (now - self.epoch_started)
        done = epoch + 1 - span.complete
        left = (now - self.started) / done * (span.epochs - epoch - 1)
        print(
            f"epoch {epoch + 1}/{span.epochs}  "
            f"{logs.get('images_per_second', own):,.0f} images/s  "
            f"{datetime.timedelta(seconds=round(left))} left  {told(logs)}",
            flush=True,
        )


class Bar(keras.callbacks.Callback):
    """One bar for the whole training, and below it the current errors and terms.

    Args:
        display: Started and stopped by the caller.
        span: What is trained.
    """

    # It only reads numbers, so Keras may call it while the next step runs.
    async_safe = True

    def __init__(self, display: "Display", span: Span):
        super().__init__()
        self.display, self.span = display, span
        self.epoch, self.measured = span.complete, {}

    def on_epoch_begin(self, epoch, logs=None):
        """Says which one it is."""
        self.epoch = epoch
        self.display.update(self.display.task, epoch=epoch + 1)

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar; errors of the last epoch stay until there are new ones."""
        done = self.epoch * self.span.steps_per_epoch + batch + 1
        self.display.update(self.display.task, completed=done)
        self.display.status.plain = told({**self.measured, **(logs or {})})

    def on_epoch_end(self, epoch, logs=None):
        """Keeps what was measured once in this epoch."""
        self.measured = dict(logs or {})
        self.display.status.plain = told(self.measured)


class Display(Progress):
    """The bar itself.

    Args:
        console: A terminal.
        span: What is trained.
    """

    def __init__(self, console: Console, span: Span):
        self.status = Text()
        super().__init__(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            _Speed(span.images_per_step),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            expand=True,
            # Else what is printed meanwhile would go where the bar goes.
            redirect_stdout=sys.stdout.isatty(),
        )
        self.task = self.add_task(
            "",
            total=span.epochs * span.steps_per_epoch,
            completed=span.complete * span.steps_per_epoch,
            epoch=min(span.complete + 1, span.epochs),
            epochs=span.epochs,
        )

    def get_renderables(self):
        """The bar and the line below it."""
        yield self.make_tasks_table(self.tasks)
        yield self.status


class _Speed(ProgressColumn):
    """Images per second over the last half minute."""

    def __init__(self, images_per_step: int):
        super().__init__()
        self.images_per_step = images_per_step

    def render(self, task):
        if task.speed is None:
            return Text("starting")
        return Text(f"{task.speed * self.images_per_step:,.0f} images/s")


def told(logs: Mapping[str, float]) -> str:
    """Names and numbers on one line: the test error first, then the loss and the rest.

    Args:
        logs: Keras' logs of a step or an epoch.

    Returns:
        "test error 41.2 %  loss 1.19  class loss 0.187 ..."
    """
    names = [*(n for n in _FIRST if n in logs), *(n for n in logs if n not in _FIRST)]
    return "  ".join(
        f"{name.replace('_', ' ')} {logs[name]:.3g}{_unit(name)}"
        for name in names
        if name not in _TOLD_OTHERWISE
    )


def _unit(name: str) -> str:
    return " %" if name.endswith("error") or name == "loading_busy" else ""
