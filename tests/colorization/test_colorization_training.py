"""Training: it learns, its order is a function, and a resumed run is the same run."""

import dataclasses

import numpy as np
import pytest

from color_s4l.errors import InputError
from colorization import metrics, training


def _train(images, settings, **more):
    return training.train(images, settings, dataset="photographs", **more)


def _weights(colorizer):
    return [np.asarray(value) for value in colorizer.model.get_weights()]


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


def test_loss_of_the_step():
    # Colours (0.5, 0.1) and (0.2, 0.3) against (0.3, 0.1) and (0.4, 0.3): squared
    # errors 0.04, 0, 0.04, 0, mean 0.02.
    outputs = {
        "true": np.array([[[[0.5, 0.1], [0.2, 0.3]]]], "float32"),
        "predicted": np.array([[[[0.3, 0.1], [0.4, 0.3]]]], "float32"),
    }
    step = training.Task(network=None)
    assert float(step.compute_loss(y_pred=outputs)) == pytest.approx(0.02)


def test_agreement_of_the_step(settings, crops):
    task = training._task(training.build(settings), settings)
    images = crops(20, 16)
    found = task.evaluate({"images": images}, verbose=0, return_dict=True)
    outputs = task({"images": images})
    true, predicted = (np.asarray(outputs[key]) for key in ("true", "predicted"))
    expected = metrics.argmax_agreement(true, predicted)
    assert found["agreement"] == pytest.approx(expected, abs=1e-3)


def test_order_is_a_function_of_seed_and_epoch():
    first = training.order(1, 0, 100)
    assert np.array_equal(first, training.order(1, 0, 100))
    assert sorted(first) == list(range(100))
    assert not np.array_equal(first, training.order(1, 1, 100))
    assert not np.array_equal(first, training.order(2, 0, 100))
    assert training.steps_per_epoch(500, 100) == 5
    assert training.steps_per_epoch(101, 100) == 2


def test_resumed_equals_uninterrupted(settings, tmp_path, crops):
    images = crops(60, 24)
    whole = dataclasses.replace(settings, epochs=3)
    kept = training.checkpoint_path(tmp_path / "run.h5")
    assert kept == tmp_path / "run.h5.checkpoint.npz"
    expected = _weights(_train(images, whole))
    _train(images, dataclasses.replace(settings, epochs=2), checkpoint=kept)
    resumed = _weights(_train(images, whole, checkpoint=kept, resume=True))
    for first, second in zip(expected, resumed, strict=True):
        assert first == pytest.approx(second, abs=1e-5)
    # The checkpoint of three epochs with other settings.
    other = dataclasses.replace(whole, learning_rate=0.5)
    with pytest.raises(
        InputError, match=r"another run: learning_rate 0\.001 \(now 0\.5\)\. Use"
    ):
        _train(images, other, checkpoint=kept, resume=True)
    kept.write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="damaged: remove it"):
        _train(images, whole, checkpoint=kept, resume=True)


def test_every_setting_changes_the_weights(settings, crops):
    images = crops(40, 16)
    once = dataclasses.replace(settings, epochs=1)
    first = _weights(_train(images, once))
    for change in ({"seed": 9}, {"learning_rate": 0.1}):
        second = _weights(_train(images, dataclasses.replace(once, **change)))
        pairs = zip(first, second, strict=True)
        assert any(np.abs(a - b).max() > 1e-4 for a, b in pairs)


def test_loss_that_is_not_finite(settings, crops):
    images = crops(40, 16)
    wild = dataclasses.replace(settings, learning_rate=1e30, epochs=2)
    with pytest.raises(
        InputError, match=r"not finite after epoch \d: lower the `learning_rate`"
    ):
        _train(images, wild)


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_settings_above_zero(name, settings):
    with pytest.raises(InputError, match=f"Expected `{name}` to be.*Received: 0"):
        dataclasses.replace(settings, **{name: 0})


def test_no_images(settings, crops):
    with pytest.raises(InputError, match="Received none"):
        _train(crops(4)[:0], settings)
