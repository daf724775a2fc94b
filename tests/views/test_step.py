"""All views of an unlabelled image share one shift and one noise field."""

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.views.augmentation import Augmentation, Draws
from color_s4l.views.geometric import GEOMETRIC, INVERSE
from color_s4l.views.preprocessing import Preprocessing
from color_s4l.views.step import VIEWS, StepViews

B, V = 3, 2


def numpy_of(tensors):
    return {name: keras.ops.convert_to_numpy(t) for name, t in tensors.items()}


@pytest.fixture(scope="module")
def preprocessing(small, statistics):
    layer = Preprocessing(zca=True)
    layer.build((None, *small.images.shape[1:]))
    layer.set_statistics(*statistics)
    return layer


@pytest.fixture(scope="module")
def batch(small):
    rows = np.arange(B * V)
    return {
        "labeled": small.images[rows].reshape(B, V, 16, 16, 3),
        "labels": small.labels[rows].reshape(B, V),
        "unlabeled": small.images[20 : 20 + B],
        "colorized": 255 - small.images[20 : 20 + B],
        "index": np.array([5, 7, 9], "int32"),
    }


def views_of(names, preprocessing, **augmentation):
    return StepViews(
        names=frozenset(names),
        preprocessing=preprocessing,
        labeled=Augmentation(flip=True, **augmentation),
        unlabeled=Augmentation(**augmentation),
    )


@pytest.fixture(scope="module")
def made(batch, preprocessing):
    views = views_of(VIEWS, preprocessing)
    draws = views.draw(keras.random.SeedGenerator(3), batch["labeled"].shape)
    return numpy_of(views.apply(batch, draws)), draws


def by_hand(raw, preprocessing, down, right, noise):
    """One raw image, normalised, whitened, shifted, noised, in NumPy."""
    flat = raw.astype("float64").ravel()
    flat = flat - flat.mean()
    flat = 55 * flat / np.linalg.norm(flat)
    mean = keras.ops.convert_to_numpy(preprocessing.mean)
    matrix = keras.ops.convert_to_numpy(preprocessing.matrix)
    image = ((flat - mean) @ matrix).reshape(raw.shape)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    rows, columns = (slice(2 - s, 2 - s + 16) for s in (down, right))
    return padded[rows, columns] + noise


def test_the_geometric_views_undone_are_one_image(made):
    views, _ = made
    for name in GEOMETRIC:
        undone = keras.ops.convert_to_numpy(INVERSE[name](views[name]))
        assert undone == pytest.approx(views["identity"], abs=0), name


def test_identity_and_colorized_share_shift_and_noise(made, batch, preprocessing):
    views, draws = made
    shift = keras.ops.convert_to_numpy(draws["unlabeled"].shift)
    noise = keras.ops.convert_to_numpy(draws["unlabeled"].noise)
    assert len(np.unique(shift, axis=0)) > 1  # else the test would be weak
    for name, source in (("identity", "unlabeled"), ("colorized", "colorized")):
        for i in range(B):
            expected = by_hand(batch[source][i], preprocessing, *shift[i], noise[i])
            assert views[name][i] == pytest.approx(expected, abs=1e-3)


def test_labelled_images_have_draws_of_their_own(made, batch, preprocessing):
    views, draws = made
    shift, flip, noise = (keras.ops.convert_to_numpy(d) for d in draws["labeled"])
    assert shift.shape == (B, V, 2)
    assert 0 < flip.sum() < B * V
    for i, j in np.ndindex(B, V):
        clean = by_hand(batch["labeled"][i, j], preprocessing, *shift[i, j], 0)
        clean = clean[:, ::-1] if flip[i, j] else clean
        expected = clean + noise[i, j]
        assert views["labeled"][i * V + j] == pytest.approx(expected, abs=1e-3)


def test_only_labelled_images_are_flipped(made):
    _, draws = made
    assert draws["unlabeled"].flip is None


def test_labels_and_index_are_handed_on(made, batch):
    views, _ = made
    assert views["labels"].tolist() == batch["labels"].ravel().tolist()
    assert views["index"].tolist() == [5, 7, 9]


def test_one_device_draws_what_several_share(made, batch, preprocessing):
    # Rows of the whole step's draws applied to rows of its batch give its rows.
    views, draws = made
    part = {name: array[1:2] for name, array in batch.items()}

    def rows(drawn):
        return Draws(*(None if d is None else d[1:2] for d in drawn))

    shares = {name: rows(drawn) for name, drawn in draws.items()}
    again = numpy_of(views_of(VIEWS, preprocessing).apply(part, shares))
    assert again["colorized"] == pytest.approx(views["colorized"][1:2], abs=1e-5)
    assert again["labeled"] == pytest.approx(views["labeled"][V : 2 * V], abs=1e-5)


def test_only_named_views_are_made(batch, preprocessing):
    views = views_of(["rotated_90"], preprocessing)
    draws = views.draw(keras.random.SeedGenerator(1), batch["labeled"].shape)
    assert set(views.apply(batch, draws)) == {"rotated_90", "labels", "index"}


def test_refuses_an_unknown_view(preprocessing):
    with pytest.raises(InputError, match=r"no view 'rotated_9'.*mean 'rotated_90'"):
        views_of(["rotated_9"], preprocessing)
