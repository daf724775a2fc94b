"""Progress: a bar on a terminal, log lines on request, and nothing otherwise."""

import io
import logging
import re
import types

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
        task = watchers[-1].bar.tasks[0]
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
def test_no_bar_is_shown_without_a_terminal(verbosity, capsys):
    with progress.shown(verbosity, SPAN) as watchers:
        train(watchers)
    assert len(watchers) == verbosity  # the estimate
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


def test_the_time_of_a_step_leaves_out_the_first_one(monkeypatch):
    # Two epochs of four steps; the first step of each takes longer.
    ends = iter([60, 61, 62, 63, 99, 100, 102, 103])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(ends))
    found = []
    watch = progress.StepTime(found.append)
    watch.set_model(types.SimpleNamespace(stop_training=False))
    for epoch in range(2):
        watch.on_epoch_begin(epoch)
        for batch in range(4):
            watch.on_train_batch_end(batch)
            assert len(found) == (epoch == 1 and batch >= 2)
    # Five steps and five seconds are reached at 102: 3 steps in 3 s, then 2 in 3 s.
    assert found == [pytest.approx(6 / 5)]
    assert not watch.model.stop_training


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_few_short_steps_are_measured_up_to_a_limit(monkeypatch, steps_per_execution):
    monkeypatch.setattr(progress, "MOST_STEPS", 6)
    found = []
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", steps_per_execution=steps_per_execution)
    watch = progress.StepTime(found.append, stop=True)
    images = np.zeros((20, 1))
    model.fit(images, images, batch_size=1, epochs=2, verbose=0, callbacks=[watch])
    assert found == [watch.seconds]
    assert 6 <= watch.steps < 8
    assert 0 < watch.seconds < 10


def test_the_estimate_is_one_line(caplog):
    with caplog.at_level(logging.INFO, "color_s4l.progress"):
        progress.estimate(SPAN)(45.0)
    # Two of three epochs are left: 8 steps of 45 s.
    text = "estimate   about 6.0 minutes for 2 epochs of 4 steps (45 s each), without"
    assert caplog.messages[0].startswith(text)


def test_text_has_the_error_first_and_no_speed():
    logs = {"class_loss": 0.18749, "loss": 1.2, "learning_rate": 0.1, "test_error": 50}
    logs |= {"images_per_second": 1e3, "loading_images_per_second": 1e6, "seconds": 9}
    text = "test error 50 %  loss 1.2  class loss 0.187"
    assert progress.text_of(logs) == text
    logs["loading_busy"] = 3.5
    assert progress.text_of(logs) == f"{text}  loading busy 3.5 %"


def test_messages_are_shown_if_no_handler_is_configured(monkeypatch, capsys):
    library = logging.getLogger("color_s4l")
    monkeypatch.setattr(library, "handlers", [])
    monkeypatch.setattr(library, "propagate", False)  # pytest handles the rest
    with progress.messages_shown(1):
        logging.getLogger("color_s4l.training").info("reading    digits")
    library.info("later")
    with progress.messages_shown(0):
        library.info("silent")
    library.addHandler(logging.NullHandler())
    with progress.messages_shown(1):
        library.info("handled by the program")
    assert capsys.readouterr() == ("", "reading    digits\n")
