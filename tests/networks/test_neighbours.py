"""The head of nearest neighbours: votes by hand, and its configuration."""

import keras
import numpy as np
import pytest

from color_s4l.networks.neighbours import TEMPERATURE, NearestNeighbours


def made(neighbours):
    """Three labelled images in two dimensions, of the classes 0, 1 and 1."""
    head = NearestNeighbours(3, examples=3, neighbours=neighbours)
    head.build((None, 2))
    # Lengths do not matter.
    head.set_examples(np.array([[2.0, 0.0], [0.0, 3.0], [-4.0, 0.0]]), [0, 1, 1])
    return head


@pytest.mark.parametrize(
    ("neighbours", "ratio"),
    # The similarities to (3, 4) are 0.6, 0.8 and -0.6.
    [(1, 0), (2, np.exp(-0.2 / TEMPERATURE)), (3, np.exp(-0.2 / TEMPERATURE))],
)
def test_votes_by_hand(neighbours, ratio):
    logits = made(neighbours)(np.array([[3.0, 4.0]]))
    found = keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]
    expected = np.array([ratio, 1.0, 0.0]) / (1 + ratio)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_layer_is_built_again_from_its_configuration():
    head = made(2)
    again = NearestNeighbours.from_config(head.get_config())
    again.build((None, 2))
    again.set_weights(head.get_weights())
    features = np.array([[1.0, 2.0], [-1.0, 0.5]])
    one, other = (
        keras.ops.convert_to_numpy(layer(features)) for layer in (head, again)
    )
    np.testing.assert_array_equal(one, other)
    assert head.compute_output_shape((None, 2)) == (None, 3)
    assert not head.trainable_weights


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match="Expected dtype float32"):
        NearestNeighbours(3, 3, 1, dtype="mixed_bfloat16")
