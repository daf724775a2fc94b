import itertools

import numpy as np
import pytest

from color_s4l.data import Split, StepBatches
from color_s4l.data.streams import Purpose, Stream, permutation


def numbers(*values):
    return np.array(values, np.int64)


SPLIT = Split(numbers(0, 8, 14), numbers(*range(0, 20, 2)), numbers())


def batches(toy, **changed):
    fields = {"split": SPLIT, "batch_size": 4, "labeled_batch": 12, "seed": 5}
    return StepBatches(toy.images, toy.labels, **(fields | changed))


def pixel(images):
    """The numbers of toy images: image i has value i."""
    return images[..., 0, 0, 0]


def test_alternating_flips(toy):
    # 3 labelled images, 12 of them in each step: four passes a step.
    made = batches(toy, alternating=True)
    assert "flip" not in batches(toy).batch(0)
    flipped = {}
    for step in range(2):
        batch = made.batch(step)
        assert batch["flip"].shape == batch["labels"].shape
        pairs = zip(pixel(batch["labeled"]).ravel(), batch["flip"].ravel(), strict=True)
        for image, flip in pairs:
            flipped.setdefault(int(image), []).append(bool(flip))
    # Every image in every second pass; in the first one, half of them.
    assert len(flipped) == 3
    for flips in flipped.values():
        assert len(flips) == 8
        assert all(one != other for one, other in itertools.pairwise(flips))
    assert sum(flips[0] for flips in flipped.values()) in (1, 2)


def test_a_stream_follows_its_formula():
    # Position p holds permutation(seed, p // n)[p % n], over three passes, in pieces.
    orders = [permutation(7, 3, Purpose.LABELED_BATCHES, k) for k in range(3)]
    expected = [orders[p // 7][p % 7] for p in range(21)]
    stream = Stream(7, 3, Purpose.LABELED_BATCHES)
    assert stream.take(0, 21).tolist() == expected
    for start, count in ((20, 1), (0, 1), (13, 1), (5, 4)):
        found = stream.take(start, count).tolist()
        assert found == expected[start : start + count]


def test_streams_of_other_seeds_and_purposes_differ():
    drawn = {
        tuple(Stream(50, seed, purpose).take(0, 50))
        for seed, purpose in itertools.product([1, 2], Purpose)
    }
    assert len(drawn) == 2 * len(Purpose)


def test_arrays_of_a_batch_belong_together(toy):
    given = {
        "colorized": 255 - toy.images[SPLIT.unlabeled],
        "class_weights": np.array([0.5, 1, 4], "float32"),
        "targets": np.random.default_rng(1).random((10, 3), "float32"),
    }
    source, plain = batches(toy, **given), batches(toy)
    described = {k: (v.dtype.name, v.shape) for k, v in source.batch(0).items()}
    assert described == {
        "labeled": ("uint8", (4, 3, 4, 4, 3)),
        "labels": ("int32", (4, 3)),
        "unlabeled": ("uint8", (4, 1, 4, 4, 3)),
        "index": ("int32", (4, 1)),
        "colorized": ("uint8", (4, 1, 4, 4, 3)),
        "label_weights": ("float32", (4, 3)),
        "targets": ("float32", (4, 1, 3)),
    }
    for step in range(6):
        batch, without = source.batch(step), plain.batch(step)
        index = batch["index"]
        assert (pixel(batch["unlabeled"]) == SPLIT.unlabeled[index]).all()
        assert (batch["colorized"] == 255 - batch["unlabeled"]).all()
        assert (batch["labels"] == toy.labels[pixel(batch["labeled"])]).all()
        assert (batch["label_weights"] == given["class_weights"][batch["labels"]]).all()
        assert (batch["targets"] == given["targets"][index]).all()
        assert set(without) == {"labeled", "labels", "unlabeled", "index"}
        assert all((without[key] == batch[key]).all() for key in without)


@pytest.mark.parametrize(
    ("batch_size", "labeled_batch", "groups"),
    [(4, 12, 4), (14, 2, 2), (6, 4, 2), (3, 4, 1)],
)
def test_groups_do_not_change_the_order_of_images(
    toy, batch_size, labeled_batch, groups
):
    # For any groups, step t shows positions t * size ... of both streams.
    source = batches(toy, batch_size=batch_size, labeled_batch=labeled_batch)
    assert source.groups == groups
    labeled = Stream(3, 5, Purpose.LABELED_BATCHES)
    unlabeled = Stream(10, 5, Purpose.UNLABELED_BATCHES)
    batch = source.batch(1)
    expected = SPLIT.labeled[labeled.take(labeled_batch, labeled_batch)]
    assert pixel(batch["labeled"]).tolist() == expected.reshape(groups, -1).tolist()
    epoch, within = divmod(1, source.steps_per_epoch)
    expected = unlabeled.take(10 * epoch + within * batch_size, batch_size)
    assert batch["index"].tolist() == expected.reshape(groups, -1).tolist()


def test_an_epoch_is_one_pass_without_repeats(toy):
    # 10 unlabelled images, B = 4: 2 steps; 2 images left over, other ones next time.
    # 3 labelled images, 12 draws a step: every step shows each of them 4 times.
    source = batches(toy)
    assert source.steps_per_epoch == 2
    stream = Stream(3, 5, Purpose.LABELED_BATCHES)
    for epoch in range(3):
        steps = [source.batch(2 * epoch + part) for part in (0, 1)]
        order = permutation(10, 5, Purpose.UNLABELED_BATCHES, epoch)
        seen = np.concatenate([step["index"].ravel() for step in steps])
        assert seen.tolist() == order[:8].tolist()
        for part, step in enumerate(steps):
            labeled = SPLIT.labeled[stream.take(12 * (2 * epoch + part), 12)]
            assert pixel(step["labeled"]).ravel().tolist() == labeled.tolist()
            assert np.unique(labeled, return_counts=True)[1].tolist() == [4, 4, 4]


def test_a_batch_larger_than_the_set_repeats_images(toy):
    source = batches(toy, batch_size=25)
    assert source.steps_per_epoch == 1
    counts = np.bincount(source.batch(0)["index"].ravel())
    assert counts.sum() == 25
    assert set(counts) == {2, 3}


def test_batches_are_a_function_of_seed_and_step(toy):
    forward, backward = batches(toy), batches(toy)
    expected = [forward.batch(step) for step in range(7)]
    for step in reversed(range(7)):
        again = backward.batch(step)
        assert all((again[key] == expected[step][key]).all() for key in again)
    other = batches(toy, seed=6).batch(0)
    assert (other["index"] != expected[0]["index"]).any()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"batch_size": 0}, "`labeled_batch` of at least 1. Received: 0 and 12"),
        ({"labeled_batch": 0}, "Received: 4 and 0"),
        (
            {"colorized": np.zeros((9, 4, 4, 3), np.uint8)},
            r"uint8 \(10, 4, 4, 3\).*Received: uint8 \(9, 4, 4, 3\)",
        ),
        ({"colorized": np.zeros((10, 4, 4, 3))}, "Received: float64"),
        ({"targets": np.zeros((9, 3))}, "`targets` of 10 images. Received: 9"),
        (
            {"split": Split(numbers(), numbers(1), numbers())},
            r"labelled and unlabelled images.*0 and 1",
        ),
        (
            {"split": Split(numbers(19), numbers(1), numbers())},
            "a label for every image",
        ),
    ],
)
def test_refuses_wrong_sizes_and_splits(toy, changed, text):
    with pytest.raises(ValueError, match=text):
        batches(toy, **changed)


def test_refuses_negative_steps(toy):
    with pytest.raises(ValueError, match=r"`step` of at least 0. Received: -1"):
        batches(toy).batch(-1)
