import itertools

import numpy as np
import pytest

from color_s4l.data import Split, StepBatches
from color_s4l.data.batches import Stream
from color_s4l.data.streams import Purpose, permutation


def numbers(*values):
    return np.array(values, np.int64)


@pytest.fixture
def split():
    return Split(numbers(0, 8, 14), numbers(*range(0, 20, 2)), numbers())


def batches(toy, split, **changed):
    fields = {
        "batch_size": 4,
        "labeled_batch": 12,
        "seed": 5,
        "colorized": None,
    } | changed
    return StepBatches(toy.images, toy.labels, split, **fields)


def pixel(images):
    """The toy image's number: each is filled with it."""
    return images[..., 0, 0, 0]


def test_stream_is_the_formula():
    # Position p holds permutation(seed, p // n)[p % n], over three passes, in pieces.
    orders = [permutation(7, 3, Purpose.LABELED_BATCHES, k) for k in range(3)]
    expected = [orders[p // 7][p % 7] for p in range(21)]
    stream = Stream(7, 3, Purpose.LABELED_BATCHES)
    assert stream.take(0, 21).tolist() == expected
    assert [stream.take(p, 1)[0] for p in (20, 0, 13)] == [
        expected[p] for p in (20, 0, 13)
    ]
    assert stream.take(5, 4).tolist() == expected[5:9]


def test_streams_of_other_seeds_and_purposes_differ():
    drawn = {
        tuple(Stream(50, seed, purpose).take(0, 50))
        for seed, purpose in itertools.product([1, 2], Purpose)
    }
    assert len(drawn) == 2 * len(Purpose)


def test_shapes_and_types(toy, split):
    colorized = 255 - toy.images[split.unlabeled]
    batch = batches(toy, split, colorized=colorized).batch(0)
    described = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert described == {
        "labeled": ("uint8", (4, 3, 4, 4, 3)),
        "labels": ("int32", (4, 3)),
        "unlabeled": ("uint8", (4, 1, 4, 4, 3)),
        "index": ("int32", (4, 1)),
        "colorized": ("uint8", (4, 1, 4, 4, 3)),
    }


@pytest.mark.parametrize(
    ("batch_size", "labeled_batch", "groups"),
    [(4, 12, 4), (14, 2, 2), (6, 4, 2), (3, 4, 1)],
)
def test_groups_hold_the_same_images_in_the_same_order(
    toy, split, batch_size, labeled_batch, groups
):
    # Whatever the groups, step t shows positions t * size ... of both streams.
    source = batches(toy, split, batch_size=batch_size, labeled_batch=labeled_batch)
    assert source.groups == groups
    labeled = Stream(3, 5, Purpose.LABELED_BATCHES)
    unlabeled = Stream(10, 5, Purpose.UNLABELED_BATCHES)
    batch = source.batch(1)
    expected = split.labeled[labeled.take(labeled_batch, labeled_batch)]
    assert pixel(batch["labeled"]).tolist() == expected.reshape(groups, -1).tolist()
    epoch, within = divmod(1, source.steps_per_epoch)
    expected = unlabeled.take(10 * epoch + within * batch_size, batch_size)
    assert batch["index"].tolist() == expected.reshape(groups, -1).tolist()


def test_arrays_of_a_batch_belong_together(toy, split):
    colorized = 255 - toy.images[split.unlabeled]
    for step in range(6):
        batch = batches(toy, split, colorized=colorized).batch(step)
        assert (pixel(batch["unlabeled"]) == split.unlabeled[batch["index"]]).all()
        assert (batch["colorized"] == 255 - batch["unlabeled"]).all()
        assert (batch["labels"] == toy.labels[pixel(batch["labeled"])]).all()


def test_an_epoch_is_one_pass_without_repeats(toy, split):
    # 10 unlabelled images, B = 4: 2 steps, 2 images left over, other ones next time.
    source = batches(toy, split)
    assert source.steps_per_epoch == 2
    epochs = [
        np.concatenate([source.batch(2 * e + part)["index"].ravel() for part in (0, 1)])
        for e in range(3)
    ]
    for epoch, seen in enumerate(epochs):
        order = permutation(10, 5, Purpose.UNLABELED_BATCHES, epoch)
        assert seen.tolist() == order[:8].tolist()


def test_labelled_draws_go_on_from_step_to_step(toy, split):
    # 3 labelled images, 12 draws a step: every step shows each 4 times.
    source = batches(toy, split)
    stream = Stream(3, 5, Purpose.LABELED_BATCHES)
    for step in range(3):
        labeled = pixel(source.batch(step)["labeled"])
        expected = split.labeled[stream.take(12 * step, 12)].reshape(4, 3)
        assert (labeled == expected).all()
        assert np.unique(labeled, return_counts=True)[1].tolist() == [4, 4, 4]


def test_a_batch_larger_than_the_set_wraps(toy, split):
    source = batches(toy, split, batch_size=25)
    assert source.steps_per_epoch == 1
    counts = np.bincount(source.batch(0)["index"].ravel())
    assert counts.sum() == 25
    assert set(counts) == {2, 3}


def test_batches_are_a_function_of_seed_and_step(toy, split):
    forward, backward = batches(toy, split), batches(toy, split)
    expected = [forward.batch(step) for step in range(7)]
    for step in reversed(range(7)):
        again = backward.batch(step)
        assert all((again[key] == expected[step][key]).all() for key in again)
    other = batches(toy, split, seed=6).batch(0)
    assert (other["index"] != expected[0]["index"]).any()


def test_colorized_changes_no_draw(toy, split):
    with_it = batches(toy, split, colorized=toy.images[split.unlabeled]).batch(3)
    without = batches(toy, split).batch(3)
    assert (with_it["index"] == without["index"]).all()
    assert "colorized" not in without


def test_class_weights_go_with_the_labels(toy, split):
    weights = np.array([0.5, 1, 4], "float32")
    batch = batches(toy, split, class_weights=weights).batch(2)
    assert batch["label_weights"].dtype == np.float32
    assert (batch["label_weights"] == weights[batch["labels"]]).all()
    assert "label_weights" not in batches(toy, split).batch(2)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"batch_size": 0},
            "batch_size and labeled_batch of at least 1. Received: 0 and 12",
        ),
        ({"labeled_batch": 0}, "Received: 4 and 0"),
        (
            {"colorized": np.zeros((9, 4, 4, 3), np.uint8)},
            r"uint8 \(10, 4, 4, 3\).*Received: uint8 \(9, 4, 4, 3\)",
        ),
        ({"colorized": np.zeros((10, 4, 4, 3))}, "Received: float64"),
    ],
)
def test_refuses_wrong_sizes(toy, split, changed, text):
    with pytest.raises(ValueError, match=text):
        batches(toy, split, **changed)


def test_refuses_empty_and_unlabelled_parts(toy):
    with pytest.raises(ValueError, match=r"labelled and unlabelled images.*0 and 1"):
        batches(toy, Split(numbers(), numbers(1), numbers()))
    with pytest.raises(ValueError, match="a label for every image"):
        batches(toy, Split(numbers(19), numbers(1), numbers()))
    with pytest.raises(ValueError, match=r"step of at least 0. Received: -1"):
        batches(toy, Split(numbers(1), numbers(1), numbers())).batch(-1)
