"""Training: it learns, its order is a function, and a resumed run is the same run."""

import dataclasses

import numpy as np
import pytest

from color_s4l.errors import InputError
from colorization import checkpoint, metrics, task, training


def _weights(model):
    return [np.asarray(value) for value in model.get_weights()]


def test_training_beats_grey_and_chance(colorizer, untrained, crops):
    images = crops(60, seed=5)
    true = metrics.colors(images)
    predicted = colorizer.predict(images)
    grey = np.zeros_like(true)
    error = metrics.squared_error(true, predicted)
    assert error < 0.9 * metrics.squared_error(true, grey)
    assert error < metrics.squared_error(true, untrained.predict(images))
    agreement = metrics.argmax_agreement(true, predicted)
    assert agreement > metrics.argmax_agreement(true, grey)
    assert agreement > 0.5


def test_loss_and_agreement_of_the_step():
    # Colours (0.5, 0.1) and (0.2, 0.3) against (0.3, 0.1) and (0.4, 0.3): squared
    # errors 0.04, 0, 0.04, 0, mean 0.02; argmax a = a, b against a: agreement 1/2.
    step = task.Task(network=None)
    outputs = {
        "true": np.array([[[[0.5, 0.1], [0.2, 0.3]]]], "float32"),
        "predicted": np.array([[[[0.3, 0.1], [0.4, 0.3]]]], "float32"),
    }
    assert float(step.compute_loss(y_pred=outputs)) == pytest.approx(0.02)
    step.agreement.reset_state()
    true, predicted = (outputs[key].argmax(-1) for key in ("true", "predicted"))
    assert metrics.argmax_agreement(outputs["true"], outputs["predicted"]) == 0.5
    assert np.mean(true == predicted) == 0.5


def test_order_is_a_function_of_seed_and_epoch():
    first = training.order(1, 0, 100)
    assert np.array_equal(first, training.order(1, 0, 100))
    assert sorted(first) == list(range(100))
    assert not np.array_equal(first, training.order(1, 1, 100))
    assert not np.array_equal(first, training.order(2, 0, 100))


def test_steps():
    assert training.steps_per_epoch(50_000, 100) == 500
    assert training.steps_per_epoch(101, 100) == 2


def test_resumed_is_uninterrupted(settings, tmp_path, crops):
    images = crops(60, 24)
    whole = dataclasses.replace(settings, epochs=3)
    kept = tmp_path / "run.checkpoint.npz"
    expected = _weights(training.train(images, images[:0], whole))
    half = dataclasses.replace(settings, epochs=2)
    training.train(images, images[:0], half, kept)
    # What a kill leaves behind: an unfinished file, which is not read.
    (tmp_path / "run.checkpoint.npz.unfinished").write_bytes(b"half")
    resumed = _weights(training.train(images, images[:0], whole, kept, resume=True))
    for first, second in zip(expected, resumed, strict=True):
        assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.parametrize("change", [{"seed": 9}, {"learning_rate": 0.1}])
def test_settings_are_alive(change, settings, crops):
    images = crops(40, 16)
    once = dataclasses.replace(settings, epochs=1)
    first = _weights(training.train(images, images[:0], once))
    changed = dataclasses.replace(once, **change)
    second = _weights(training.train(images, images[:0], changed))
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(first, second, strict=True))


def test_checkpoint_of_another_run(settings, tmp_path, crops):
    images, kept = crops(40, 16), tmp_path / "c.npz"
    once = dataclasses.replace(settings, epochs=1)
    training.train(images, images[:0], once, kept)
    other = dataclasses.replace(once, learning_rate=0.5)
    with pytest.raises(
        InputError, match=r"another run: learning_rate 0\.001 \(now 0\.5"
    ):
        training.train(images, images[:0], other, kept, resume=True)


def test_damaged_checkpoint(settings, tmp_path, crops):
    images, kept = crops(40, 16), tmp_path / "c.npz"
    kept.write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="damaged: remove it"):
        training.train(images, images[:0], settings, kept, resume=True)


def test_checkpoint_stands_beside_the_output():
    assert checkpoint.path_beside("a/b.h5").name == "b.h5.checkpoint.npz"


def test_loss_that_is_not_finite(settings, crops):
    images = crops(40, 16)  # two steps: the second sees the first one's weights
    wild = dataclasses.replace(settings, learning_rate=float("inf"), epochs=2)
    with pytest.raises(
        InputError, match="not finite after epoch 1: lower the learning"
    ):
        training.train(images, images[:0], wild)


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_settings_above_zero(name, settings):
    with pytest.raises(InputError, match=f"Expected {name} above 0. Received: 0"):
        training.build(dataclasses.replace(settings, **{name: 0}))


def test_no_images(settings, crops):
    with pytest.raises(InputError, match="Received none"):
        training.train(crops(4)[:0], crops(4)[:0], settings)
