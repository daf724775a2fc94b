"""Views of one family share their draws; families draw independently."""

import keras
import numpy as np
import pytest

from color_s4l import backend
from color_s4l.errors import InputError
from color_s4l.registry import PROXIES
from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.preprocessing import Preprocessing, normalise_contrast
from color_s4l.views.proxies import GEOMETRIC
from color_s4l.views.step import StepViews, view, view_names

# Groups, labelled and unlabelled images in each.
B, V, U = 3, 4, 2
# The number of images of each source in a step.
COUNT = {"labeled": B * V, "unlabeled": B * U}
INVERSE = {"rotated_90": "rotated_270", "rotated_270": "rotated_90"}


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def undone(name, images):
    return numpy_of(PROXIES[INVERSE.get(name, name)].apply(images))


@pytest.fixture(scope="module")
def image_views():
    """Name -> view, of the views that contain images."""
    views = {name: view(name) for name in view_names()}
    return {name: view for name, view in views.items() if view.copies}


@pytest.fixture(scope="module")
def preprocessing(small, statistics):
    layer = Preprocessing(zca=True)
    layer.build((None, *small.images.shape[1:]))
    layer.set_statistics(statistics)
    return layer


@pytest.fixture(scope="module")
def batch(small):
    unlabeled = small.images[20 : 20 + B * U].reshape(B, U, 16, 16, 3)
    return {
        "labeled": small.images[: B * V].reshape(B, V, 16, 16, 3),
        "labels": small.labels[: B * V].reshape(B, V),
        "unlabeled": unlabeled,
        "colorized": 255 - unlabeled,
        "targets": np.arange(B * U * 4, dtype="float32").reshape(B, U, 4),
        "index": np.array([[5, 6], [7, 8], [9, 10]], "int32"),
    }


def views_of(names, preprocessing):
    return StepViews(
        names=frozenset(names),
        preprocessing=preprocessing,
        labeled=Augmentation(flip=True),
        unlabeled=Augmentation(),
    )


def drawn(views, batch):
    shapes = {source: batch[source].shape for source in COUNT}
    return views.draw(keras.random.SeedGenerator(3), shapes)


@pytest.fixture(scope="module")
def made(batch, preprocessing):
    views = views_of(view_names(), preprocessing)
    draws = drawn(views, batch)
    return {k: numpy_of(v) for k, v in views.apply(batch, draws).items()}, draws


def by_hand(raw, preprocessing, draws, i, j):
    """One raw image, normalised, whitened, shifted, flipped and noised in NumPy."""
    flat = raw.astype("float64").ravel()
    flat = flat - flat.mean()
    flat = 55 * flat / np.linalg.norm(flat)
    mean, matrix = numpy_of(preprocessing.mean), numpy_of(preprocessing.matrix)
    image = ((flat - mean) @ matrix).reshape(raw.shape)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    rows, columns = (slice(2 - s, 2 - s + 16) for s in numpy_of(draws.shift)[i, j])
    image = padded[rows, columns]
    if draws.flip is not None and numpy_of(draws.flip)[i, j]:
        image = image[:, ::-1]
    return image + numpy_of(draws.noise)[i, j]


@pytest.mark.parametrize(
    ("name", "array", "family"),
    [
        ("labeled", "labeled", "labeled"),
        ("identity", "unlabeled", "unlabeled"),
        ("colorized", "colorized", "unlabeled"),
        ("weak", "unlabeled", "weak"),
        ("weak_2", "unlabeled", "weak_2"),
    ],
)
def test_a_view_by_hand(name, array, family, made, batch, preprocessing):
    views, draws = made
    draws = getattr(draws[family], "augmentation", draws[family])
    each = batch[array].shape[1]
    assert numpy_of(draws.shift).shape == (B, each, 2)
    assert len(np.unique(numpy_of(draws.shift).reshape(-1, 2), axis=0)) > 1
    if family == "unlabeled":
        assert draws.flip is None  # proxy views tell flips apart
    else:
        assert 0 < numpy_of(draws.flip).sum() < B * each
    for i, j in np.ndindex(B, each):
        expected = by_hand(batch[array][i, j], preprocessing, draws, i, j)
        assert views[name][i * each + j] == pytest.approx(expected, abs=1e-3)


def test_given_flips_replace_the_drawn_ones(made, batch, preprocessing):
    _, draws = made
    views = views_of({"labeled"}, preprocessing)
    labeled = draws["labeled"]
    for chosen in (True, False):
        flip = np.full((B, V), chosen)
        found = views.apply({**batch, "flip": flip}, {"labeled": labeled})["labeled"]
        expected = views.apply(batch, {"labeled": labeled._replace(flip=flip)})
        assert (numpy_of(found) == numpy_of(expected["labeled"])).all()
    assert "flip" not in views.apply({**batch, "flip": flip}, {"labeled": labeled})


def test_geometric_views_transformed_back_are_one_image(made):
    views, _ = made
    for name in GEOMETRIC:
        assert (undone(name, views[name]) == views["identity"]).all(), name
    for name in ("rotated_90", "rotated_180", "rotated_270"):
        assert (undone(name, views[f"labeled_{name}"]) == views["labeled"]).all()


def test_every_family_draws_independently(made):
    _, draws = made
    # The last array of the proxy views' draws belongs to one of the random ones.
    flat = [keras.tree.flatten(parts) for parts in draws.values() if parts]
    last = [[array for array in arrays if array is not None][-1] for arrays in flat]
    values = [numpy_of(array).ravel()[:4] for array in last]
    assert len(np.unique(np.stack(values), axis=0)) == len(values)


def test_views_have_the_declared_number_of_images(made, batch, image_views):
    views, _ = made
    assert set(views) == {*view_names(), "labels", "index"}
    for name, found in image_views.items():
        expected = (COUNT[found.source] * found.copies, 16, 16, 3)
        assert views[name].shape == expected, name
    for name in ("targets", "labels", "index"):
        expected = batch[name].reshape(-1, *batch[name].shape[2:])
        assert (views[name] == expected).all()


def test_several_devices_share_the_draws_of_a_step(
    made, batch, preprocessing, image_views
):
    # Rows of the whole step's draws applied to rows of its batch give its rows.
    views, draws = made
    part = {name: array[1:2] for name, array in batch.items()}
    shares = keras.tree.map_structure(lambda d: None if d is None else d[1:2], draws)
    again = views_of(view_names(), preprocessing).apply(part, shares)
    for name, found in image_views.items():
        rows = COUNT[found.source] // B * found.copies
        expected = views[name][rows : 2 * rows]
        assert numpy_of(again[name]) == pytest.approx(expected, abs=1e-4), name


def test_crops_of_all_views_by_hand_and_compiled(batch, image_views):
    views = StepViews(
        names=frozenset(image_views),
        preprocessing=Preprocessing(zca=False),
        labeled=Augmentation(flip=True, noise=0.0, area=0.3),
        unlabeled=Augmentation(noise=0.0, area=0.3),
    )
    draws = drawn(views, batch)
    made = {k: numpy_of(v) for k, v in views.apply(batch, draws).items()}
    boxes = numpy_of(draws["unlabeled"].augmentation.box).reshape(-1, 4)
    raw = batch["unlabeled"].reshape(-1, 16, 16, 3)
    plain = normalise_contrast(raw)
    expected = numpy_of(augmentation.crop(plain, boxes))
    assert made["identity"] == pytest.approx(expected, abs=1e-4)
    compiled = backend.compiled(views.apply)(batch, draws)
    for name in image_views:
        assert numpy_of(compiled[name]) == pytest.approx(made[name], abs=1e-2), name


def test_only_named_views_are_made_and_drawn(batch, preprocessing):
    views = views_of(["rotated_90", "translated"], preprocessing)
    draws = drawn(views, batch)
    assert set(draws) == {"unlabeled"}
    assert set(draws["unlabeled"].proxies) == {"translated"}
    made = views.apply(batch, draws)
    assert set(made) == {"rotated_90", "translated", "labels", "index"}
    alone = views_of(["colorized"], preprocessing)
    assert "colorized" in alone.apply(batch, drawn(alone, batch))


def test_an_unknown_view_is_refused(preprocessing):
    with pytest.raises(InputError, match=r"no view 'rotated_9'.*mean 'rotated_90'"):
        views_of(["rotated_9"], preprocessing)
