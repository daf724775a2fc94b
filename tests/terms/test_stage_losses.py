"""The losses of later stages, by hand: labels of an earlier one, the epoch before."""

import math

import keras
import numpy as np
import pytest

from color_s4l.terms import Relabeled, TemporalConsistency
from color_s4l.terms.temporal_consistency import LastPredictions


class Given:
    """A network whose logits stand in the images."""

    def __call__(self, images, training=False):
        assert training
        return {"class": images}

    def random_states(self):
        return []


def logs(probabilities):
    return np.log(np.array(probabilities)).astype("float32")


@pytest.fixture
def views():
    """Predicted 3/4, 1/4 and 1/2, 1/2; given before 1/4, 3/4 and 1, 0."""
    return {
        "weak": logs([[0.75, 0.25], [0.5, 0.5]]),
        "targets": np.array([[0.25, 0.75], [1, 0]], "float32"),
        "index": np.array([2, 0], "int32"),
    }


def number(tensor):
    return float(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        # -ln 1/4 and -ln 1/2: ln 8 / 2.
        (True, math.log(8) / 2),
        # The first: 1/4 ln 4/3 + 3/4 ln 4.
        (False, (0.25 * math.log(4 / 3) + 0.75 * math.log(4) + math.log(2)) / 2),
    ],
)
def test_relabeled(views, hard, expected):
    outcome = Relabeled(weight=2, hard=hard).loss(Given(), views, None, None)
    assert number(outcome.terms["relabeled_loss"]) == pytest.approx(2 * expected, 1e-5)
    # The first prediction differs from what was given; the second's first class wins.
    assert number(outcome.watch["relabeled_error"]) == pytest.approx(50)


def test_temporal_consistency(views):
    term, state = TemporalConsistency(weight=3), LastPredictions(4, 2)
    first = term.loss(Given(), views, state, None)
    assert number(first.terms["temporal_loss"]) == 0
    # Image 2 was 1/4, 3/4 an epoch ago; image 0 has never been seen.
    state.replace(np.array([2], "int32"), logs([[0.25, 0.75]]))
    divergence = 0.25 * math.log(0.25 / 0.75) + 0.75 * math.log(0.75 / 0.25)
    second = term.loss(Given(), views, state, None)
    found = number(second.terms["temporal_loss"])
    assert found == pytest.approx(3 * divergence / 2, rel=1e-5)
    # Once they are replaced by the predictions of now, nothing has changed.
    term.after_update(Given(), state, second.kept, None)
    third = term.loss(Given(), views, state, None)
    assert number(third.terms["temporal_loss"]) == pytest.approx(0, abs=1e-6)
