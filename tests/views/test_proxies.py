"""Proxy views: geometric ones against NumPy, random ones by hand, and a plug-in's."""

import sys

import keras
import numpy as np
import pytest

from color_s4l import registry
from color_s4l.errors import InputError
from color_s4l.registry import PROXIES, TERMS, VIEWS
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.proxies import GEOMETRIC, pictures
from color_s4l.views.step import StepViews, view_names

# np.rot90(k=1) turns counter-clockwise: a b     b d
#                                        c d ->  a c
EXPECTED = {
    "identity": lambda image: image,
    "rotated_90": lambda image: np.rot90(image, 1),
    "rotated_180": lambda image: np.rot90(image, 2),
    "rotated_270": lambda image: np.rot90(image, 3),
    "flipped_left_right": lambda image: image[:, ::-1],
    "flipped_up_down": lambda image: image[::-1],
}


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def applied(name, images, draws=None):
    images = keras.ops.convert_to_tensor(images, "float32")
    return numpy_of(PROXIES[name].apply(images, draws))


def test_proxy_labels_are_in_the_published_order():
    assert tuple(EXPECTED) == GEOMETRIC
    assert tuple(PROXIES) == (*GEOMETRIC, "colorized", "affine", "translated")
    deterministic = [name for name in PROXIES if PROXIES[name].deterministic]
    assert deterministic == list(GEOMETRIC)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_geometric_view_is_numpys(name):
    images = np.random.default_rng(0).random((3, 5, 5, 3), dtype="float32")
    expected = np.array([EXPECTED[name](image) for image in images])
    assert applied(name, images) == pytest.approx(expected, abs=0)


def test_a_translated_image_moves_both_ways():
    # 0.15 of 20 pixels at 0, 0.3 at the ends of [-1, 1): 3 up to 6 pixels. Pixels from
    # the right and from below move to the left and up.
    image = np.zeros((2, 20, 20, 3), "float32")
    image[:, 10, 10] = 1
    moves = np.array([[0.0, 0.0], [-1.0, 0.999]], "float32")
    found = applied("translated", image, moves)
    assert np.argwhere(found[0, :, :, 0]).tolist() == [[7, 7]]
    assert np.argwhere(found[1, :, :, 0]).tolist() == [[4, 16]]


def test_an_affine_image_in_the_middle_of_its_ranges_is_the_image():
    image = np.random.default_rng(1).uniform(0, 1, (1, 9, 9, 3)).astype("float32")
    middle, turned = np.full((1, 3), 0.5, "float32"), np.array([[1, 0.5, 0.5]], "f4")
    assert (applied("affine", image, middle) == image).all()
    assert (applied("affine", image, turned) != image).any()


def test_a_compiled_affine_image_is_the_same():
    # TensorFlow's graph optimiser once broke the indexing of the matrices.
    image = np.random.default_rng(1).uniform(0, 1, (4, 9, 9, 3)).astype("float32")
    places = np.random.default_rng(2).uniform(0, 1, (4, 3)).astype("float32")
    inputs = [keras.Input(batch_shape=array.shape) for array in (image, places)]
    model = keras.Model(inputs, PROXIES["affine"].apply(*inputs))
    compiled = model.predict_on_batch([image, places])
    assert compiled == pytest.approx(applied("affine", image, places))


def test_pictures_are_the_views_before_preprocessing(small):
    images = small.images[:3]
    tasks = ("flipped_up_down", "translated", "identity", "colorized")
    made = pictures(images, tasks, colorized=255 - images)
    assert made.shape == (3, 4, *images.shape[1:])
    assert made.dtype == np.uint8
    assert (made[:, 0] == images[:, ::-1]).all()
    assert (made[:, 2] == images).all()
    assert (made[:, 3] == 255 - images).all()
    assert (made[:, 1] != images).any()
    assert (pictures(images, ["translated"])[:, 0] == made[:, 1]).all()
    with pytest.raises(ValueError, match="'colorized' needs the argument `colorized`"):
        pictures(images, ["colorized"])
    with pytest.raises(InputError, match="no proxy task 'upside_down'"):
        pictures(images, ["upside_down"])


PLUGIN = '''
"""A plug-in with two proxy views and a view."""

import keras

from color_s4l import registry
from color_s4l.views.proxies import Proxy
from color_s4l.views.step import Family


@registry.register_proxy("negative")
@Proxy
def negative(images):
    return -images


@registry.register_proxy("dimmed")
@Proxy.random(lambda seed, batch: keras.random.uniform((batch, 1, 1, 1), seed=seed))
def dimmed(images, shares):
    return images * shares


@registry.register_view("twice")
class Twice(Family):
    copies = 2

    def apply(self, batch, draws):
        images = self.augmented(batch[self.source], draws)
        return {self.name: keras.ops.repeat(images, 2, axis=0)}
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Loads the plug-in; afterwards the registries are as before."""
    for table in (PROXIES, VIEWS, TERMS):
        len(table)
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    path = tmp_path / "plugin_with_views.py"
    path.write_text(PLUGIN)
    registry.load_plugins([str(path)])
    yield
    del sys.modules["plugin_with_views"]


def test_a_plugin_adds_proxy_views_and_views(plugin):
    assert {"negative", "dimmed", "twice"} <= set(view_names())
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 8, 8, 3)).astype("uint8")
    batch = {"labeled": images, "unlabeled": images}
    shapes = {name: array.shape for name, array in batch.items()}
    own = ("identity", "translated", "labeled", "weak")
    made = {}
    for names in (own, (*own, "negative", "dimmed", "twice")):
        views = StepViews(
            frozenset(names),
            lambda raw: keras.ops.cast(raw, "float32") / 255,
            Augmentation(noise=0.0),
            Augmentation(shift=0, noise=0.0),
        )
        draws = views.draw(keras.random.SeedGenerator(1), shapes)
        made[len(names)] = {
            k: numpy_of(v) for k, v in views.apply(batch, draws).items()
        }
    before, after = made.values()
    # A plug-in draws after the library's own views of a family.
    for name in ("identity", "labeled"):
        assert (before[name] == after[name]).all()
    assert after["negative"] == pytest.approx(-after["identity"])
    shares = after["dimmed"] / np.maximum(after["identity"], 1e-3)
    assert len(np.unique(shares.max(axis=(1, 2, 3)))) == 6
    assert after["twice"].shape == (12, 8, 8, 3)
    assert (after["twice"][::2] == after["twice"][1::2]).all()
    assert pictures(images[0], ["dimmed", "negative"]).shape == (3, 2, 8, 8, 3)


def test_two_families_cannot_make_one_view(plugin):
    registry.register_view("identity", VIEWS["weak"])
    with pytest.raises(InputError, match="view 'identity' is registered twice"):
        view_names()
