"""Views that the proxy head does not recognise."""

import types

import keras
import numpy as np
import pytest

from color_s4l.training import recognition
from color_s4l.training.recognition import Recognition, advice

FOUR = ("identity", "rotated_90", "flipped_left_right", "colorized")
# The first three views are confused with each other, the last one is recognised.
BLIND = np.array(
    [[0.3, 0.4, 0.3, 0], [0.3, 0.4, 0.3, 0], [0.3, 0.4, 0.3, 0], [0, 0, 0, 1]]
)


def test_views_at_chance_by_hand():
    found = Recognition(FOUR, BLIND)
    expected = dict(zip(FOUR, (30, 40, 30, 100), strict=True))
    assert found.accuracies() == pytest.approx(expected)
    assert found.at_chance() == ("rotated_90", "flipped_left_right")
    # A head that always gives one answer has 100 % of it, and recognises nothing.
    constant = np.tile([0.0, 1.0, 0.0], (3, 1))
    assert Recognition(FOUR[:3], constant).at_chance() == FOUR[1:3]
    assert Recognition(FOUR, np.eye(4)).at_chance() == ()
    # 0.4 - 0.3: the flip is often taken for the identity, but not by chance.
    better = np.array([[0.7, 0.3], [0.6, 0.4]])
    assert Recognition(FOUR[::2], better).at_chance() == ()


def test_the_advice_names_the_views_and_the_setting():
    text = advice(Recognition(FOUR, BLIND), "proxies")
    assert "than by chance: rotated_90, flipped_left_right." in text
    assert "`set`=proxies.tasks=identity,colorized, or use another `method`" in text
    text = advice(Recognition(FOUR[:3], BLIND[:3, :3]), "proxies")
    assert "only cost time: use another `method`, for example fixmatch" in text
    assert advice(Recognition(FOUR, np.eye(4)), "proxies") == ""


class Signs(keras.layers.Layer):
    """A network that only sees whether the first row is brighter than the last one."""

    def call(self, images, training=False):
        rows = keras.ops.mean(images, axis=(2, 3))
        down = keras.ops.cast(rows[:, :1] < rows[:, -1:], "float32")
        return {"proxy": keras.ops.concatenate([1 - down, down], axis=1)}


@pytest.fixture
def blind(make_learner):
    """A function of tasks: a learner with `Signs`, and its batches."""

    def make(tasks):
        changes = (f"proxies.tasks={tasks}",)
        learner, batches = make_learner(method="proxies", set=changes)
        parts = {"preprocessing": learner.preprocessing, "terms": learner.terms}
        return types.SimpleNamespace(network=Signs(), **parts), batches

    return make


def falling(data, rows):
    """Returns the data with images that get darker from row to row."""
    levels = np.linspace(200, 20, rows).astype("uint8")[:, None, None]
    images = np.broadcast_to(levels, (40, rows, rows, 3))
    return types.SimpleNamespace(test_images=images, images=data.images)


def test_views_are_measured_on_test_images(blind, small):
    learner, batches = blind("identity,flipped_up_down")
    found = recognition.measure(learner, falling(small, 16), batches)
    assert found.shares.tolist() == [[1, 0], [0, 1]]
    learner, batches = blind("identity,flipped_left_right")
    found = recognition.measure(learner, falling(small, 16), batches)
    assert found.shares.tolist() == [[1, 0], [1, 0]]
    assert found.at_chance() == ("flipped_left_right",)


def test_the_colourised_view_is_measured_on_training_images(blind, small):
    learner, batches = blind("identity,colorized")
    batches.colorized = np.ascontiguousarray(falling(small, 16).test_images[:20, ::-1])
    found = recognition.measure(learner, falling(small, 16), batches)
    assert found.accuracies() == {"identity": 100, "colorized": 100}
    without_tests = types.SimpleNamespace(
        test_images=small.images[:0], images=falling(small, 16).test_images
    )
    batches.split = types.SimpleNamespace(unlabeled=np.arange(0, 40, 2))
    found = recognition.measure(learner, without_tests, batches)
    assert found.accuracies()["identity"] == 100


def test_a_method_without_proxy_views_is_not_measured(make_learner, small):
    learner, batches = make_learner(method="supervised")
    assert recognition.measure(learner, small, batches) is None


def test_the_warning_comes_once_after_enough_steps(blind, small, monkeypatch):
    learner, batches = blind("identity,flipped_left_right")
    monkeypatch.setattr(recognition, "STEPS", 2 * batches.steps_per_epoch)
    watch = recognition.WarnAtChance(falling(small, 16), batches, complete=0)
    watch.set_model(learner)
    watch.on_epoch_end(0)
    with pytest.warns(match="After epoch 2: The proxy head does not .*: flipped_left_"):
        watch.on_epoch_end(1)
    watch.on_epoch_end(2)
    later = recognition.WarnAtChance(falling(small, 16), batches, complete=2)
    later.set_model(learner)
    later.on_epoch_end(2)
