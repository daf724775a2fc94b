"""Progress: a bar on a terminal, log lines on request, and nothing otherwise."""

import io
import logging
import re

import keras
import numpy as np
import pytest
import rich.console

from color_s4l import progress

SPAN = progress.Span(epochs=3, steps_per_epoch=4, images_per_step=10, complete=1)


@pytest.fixture
def terminal(monkeypatch):
    """The text on a terminal of 100 columns."""
    text = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    console = rich.console.Console(file=text, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    return text


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


def test_terminal_shows_one_bar_over_all_epochs(terminal, capsys):
    with progress.shown(1, SPAN) as watchers:
        task = watchers[0].bar.tasks[0]
        # The epoch of 4 steps of an earlier session is complete.
        assert (task.completed, task.fields["epoch"]) == (4, 2)
        train(watchers)
        assert (task.completed, task.total, task.finished) == (12, 12, True)
        print("a remark")
    assert capsys.readouterr().out == "a remark\n"  # not on the terminal
    text = terminal.getvalue()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).strip().splitlines()[-2:]
    assert re.search(r"^epoch 3/3 .* 100% .*images/s .*left", last[0])
    assert last[1].startswith("test error 12.5 %  loss 4")
    assert all(len(line) <= 100 for line in last)
    assert "a remark" not in text


def test_cursor_is_visible_again_after_an_error(terminal):
    with pytest.raises(KeyboardInterrupt), progress.shown(1, SPAN):
        raise KeyboardInterrupt
    assert terminal.getvalue().rstrip().endswith("\x1b[?25h")


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
    assert terminal.getvalue() == ""


def test_text_has_the_error_first_and_no_speed():
    logs = {"class_loss": 0.18749, "loss": 1.2, "learning_rate": 0.1, "test_error": 50}
    logs |= {"images_per_second": 1e3, "loading_images_per_second": 1e6, "seconds": 9}
    text = "test error 50 %  loss 1.2  class loss 0.187"
    assert progress.text_of(logs) == text
    logs["loading_busy"] = 3.5
    assert progress.text_of(logs) == f"{text}  loading busy 3.5 %"
