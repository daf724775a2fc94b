"""Progress: a bar on a terminal, log lines on request, and nothing otherwise."""

import logging
import os
import re
import threading

import keras
import numpy as np
import pytest
import rich.console

from color_s4l import progress

SPAN = progress.Span(epochs=3, steps_per_epoch=4, images_per_step=10, complete=1)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 100 columns; returns a function that closes it and reads it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    keyboard, screen = os.openpty()
    seen = []

    def read():
        try:
            while part := os.read(keyboard, 4096):
                seen.append(part)
        except OSError:  # the other end was closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    stream = os.fdopen(screen, "w")
    # Not sys.stderr, which pytest replaces between a fixture and its test.
    monkeypatch.setattr(
        progress, "Console", lambda stderr: rich.console.Console(file=stream)
    )

    def text():
        stream.close()
        reader.join()
        return b"".join(seen).decode()

    yield text
    stream.close()
    reader.join()
    os.close(keyboard)


def train(watchers):
    """Trains epochs 2 and 3 of 4 steps; the loss is always 4."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mean_squared_error")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    measured = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(test_error=12.5)
    )
    model.fit(
        np.zeros((40, 1)),
        np.full((40, 1), 2.0),
        batch_size=10,
        epochs=3,
        initial_epoch=1,
        verbose=0,
        callbacks=[measured, *watchers],
    )


def test_terminal_shows_one_bar_over_all_epochs(terminal):
    with progress.shown(1, SPAN) as watchers:
        train(watchers)
        task = watchers[0].display.tasks[0]
        # 4 steps of an earlier session and 8 of this one.
        assert (task.completed, task.total, task.finished) == (12, 12, True)
    text = terminal()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).strip().splitlines()[-2:]
    assert re.search(r"^epoch 3/3 .* 100% .*images/s .*left", last[0])
    assert last[1].startswith("test error 12.5 %  loss 4")
    assert all(len(line) <= 100 for line in last)
    assert "\x1b[?25h" in text  # the cursor is visible again


def test_bar_starts_after_the_earlier_session(terminal):
    with progress.shown(1, SPAN) as watchers:
        display = watchers[0].display
        assert display.tasks[0].completed == 4
        assert display.tasks[0].fields["epoch"] == 2
    assert "epoch 2/3" in terminal()


def test_cursor_is_visible_again_after_an_error(terminal):
    with pytest.raises(KeyboardInterrupt), progress.shown(1, SPAN):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in terminal()


def test_prints_still_reach_stdout(terminal, capsys):
    with progress.shown(1, SPAN):
        print("a remark")
    assert capsys.readouterr().out == "a remark\n"
    assert "a remark" not in terminal()


@pytest.mark.parametrize("verbosity", [0, 1])
def test_nothing_is_shown_without_a_terminal(verbosity, capsys):
    with progress.shown(verbosity, SPAN) as watchers:
        train(watchers)
    assert watchers == []
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_lines_are_logged(terminal, caplog):
    with (
        caplog.at_level(logging.INFO, "color_s4l.progress"),
        progress.shown(2, SPAN) as watchers,
    ):
        train(watchers)
    pattern = r"epoch {}/3  [\d,]+ images/s  {} left  test error 12\.5 %  loss 4"
    assert len(caplog.messages) == 2
    assert re.fullmatch(pattern.format(2, r"\d+:\d\d:\d\d"), caplog.messages[0])
    assert re.fullmatch(pattern.format(3, "0:00:00"), caplog.messages[1])
    assert terminal() == ""


def test_text_has_the_error_first_and_no_speed():
    logs = {"class_loss": 0.18749, "loss": 1.2, "learning_rate": 0.1, "test_error": 50}
    logs |= {"images_per_second": 1e3, "loading_images_per_second": 1e6, "seconds": 9}
    text = "test error 50 %  loss 1.2  class loss 0.187"
    assert progress.text_of(logs) == text
    assert (
        progress.text_of(logs | {"loading_busy": 3.5}) == f"{text}  loading busy 3.5 %"
    )
