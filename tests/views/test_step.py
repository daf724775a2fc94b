"""Views of one family share their draws; families draw for themselves."""

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.geometric import GEOMETRIC, INVERSE
from color_s4l.views.preprocessing import Preprocessing
from color_s4l.views.step import VIEWS, StepViews

# Groups, labelled and unlabelled images in each.
B, V, U = 3, 4, 2
# Views that go through the network; targets are no images.
IMAGES = {name: view for name, view in VIEWS.items() if view.copies}


def shapes_of(batch):
    return {source: batch[source].shape for source in ("labeled", "unlabeled")}


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
        "unlabeled": small.images[20 : 20 + B * U].reshape(B, U, 16, 16, 3),
        "colorized": 255 - small.images[20 : 20 + B * U].reshape(B, U, 16, 16, 3),
        "targets": np.arange(B * U * 4, dtype="float32").reshape(B, U, 4),
        "index": np.array([[5, 6], [7, 8], [9, 10]], "int32"),
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
    draws = views.draw(keras.random.SeedGenerator(3), shapes_of(batch))
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
    shift = keras.ops.convert_to_numpy(draws["unlabeled"].augmentation.shift)
    noise = keras.ops.convert_to_numpy(draws["unlabeled"].augmentation.noise)
    assert len(np.unique(shift.reshape(-1, 2), axis=0)) > 1  # else a weak test
    for name, source in (("identity", "unlabeled"), ("colorized", "colorized")):
        for i, j in np.ndindex(B, U):
            raw = batch[source][i, j]
            expected = by_hand(raw, preprocessing, *shift[i, j], noise[i, j])
            assert views[name][i * U + j] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["weak", "weak_2"])
def test_a_weak_view_is_augmented_like_a_labelled_image(
    name, made, batch, preprocessing
):
    views, draws = made
    shift, flip, noise = (keras.ops.convert_to_numpy(d) for d in draws[name])
    assert 0 < flip.sum() < B * U
    for i, j in np.ndindex(B, U):
        clean = by_hand(batch["unlabeled"][i, j], preprocessing, *shift[i, j], 0)
        clean = clean[:, ::-1] if flip[i, j] else clean
        expected = clean + noise[i, j]
        assert views[name][i * U + j] == pytest.approx(expected, abs=1e-3)


def test_every_family_has_draws_of_its_own(made):
    _, draws = made
    drawn = [parts for parts in draws.values() if parts is not None]
    first = [keras.tree.flatten(parts)[-1] for parts in drawn]
    noise = [keras.ops.convert_to_numpy(array).ravel()[:4] for array in first]
    assert len(noise) == 7
    assert len(np.unique(np.stack(noise), axis=0)) == len(noise)


def test_labelled_rotations_are_those_of_the_labelled_image(made):
    views, _ = made
    for name in ("rotated_90", "rotated_180", "rotated_270"):
        undone = INVERSE[name](views[f"labeled_{name}"])
        undone = keras.ops.convert_to_numpy(undone)
        assert undone == pytest.approx(views["labeled"], abs=0), name


def test_views_have_as_many_images_as_the_table_says(made):
    views, _ = made
    count = {"labeled": B * V, "unlabeled": B * U}
    assert set(views) == {*VIEWS, "labels", "index"}
    for name, view in IMAGES.items():
        expected = (count[view.source] * view.copies, 16, 16, 3)
        assert views[name].shape == expected, name


def test_targets_are_handed_on(made, batch):
    views, _ = made
    assert (views["targets"] == batch["targets"].reshape(B * U, 4)).all()


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
    assert draws["unlabeled"].augmentation.flip is None


def test_labels_and_index_are_handed_on(made, batch):
    views, _ = made
    assert views["labels"].tolist() == batch["labels"].ravel().tolist()
    assert views["index"].tolist() == [5, 6, 7, 8, 9, 10]


def test_one_device_draws_what_several_share(made, batch, preprocessing):
    # Rows of the whole step's draws applied to rows of its batch give its rows.
    views, draws = made
    part = {name: array[1:2] for name, array in batch.items()}

    def rows(drawn):
        return None if drawn is None else drawn[1:2]

    shares = keras.tree.map_structure(rows, draws)
    again = numpy_of(views_of(VIEWS, preprocessing).apply(part, shares))
    count = {"labeled": V, "unlabeled": U}
    for name, view in IMAGES.items():
        rows = count[view.source] * view.copies
        expected = views[name][rows : 2 * rows]
        assert again[name] == pytest.approx(expected, abs=1e-4), name


def test_only_named_views_are_made(batch, preprocessing):
    views = views_of(["rotated_90"], preprocessing)
    draws = views.draw(keras.random.SeedGenerator(1), shapes_of(batch))
    assert set(views.apply(batch, draws)) == {"rotated_90", "labels", "index"}


def test_refuses_an_unknown_view(preprocessing):
    with pytest.raises(InputError, match=r"no view 'rotated_9'.*mean 'rotated_90'"):
        views_of(["rotated_9"], preprocessing)
