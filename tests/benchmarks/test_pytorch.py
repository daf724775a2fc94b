"""The PyTorch step does our step's work: from equal weights, equal gradients."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.pytorch import step as plain  # noqa: E402
from benchmarks.pytorch.networks import NETWORKS  # noqa: E402
from benchmarks.speed.case import PLAIN_NETWORKS  # noqa: E402
from color_s4l.views import augmentation  # noqa: E402
from color_s4l.views.geometric import GEOMETRIC  # noqa: E402
from color_s4l.views.preprocessing import Preprocessing  # noqa: E402

PARAMETERS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def weight_of(network, variable):
    """The PyTorch parameter of the same name as a Keras variable."""
    layer, name = variable.path.split("/")[-2:]
    return getattr(network.get_submodule(layer), PARAMETERS[name])


def as_torch(array):
    """A Keras weight in PyTorch's order of axes."""
    array = keras.ops.convert_to_numpy(array)
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return torch.tensor(array if order is None else array.transpose(order))


def images_as_torch(images):
    return torch.tensor(keras.ops.convert_to_numpy(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("network", PLAIN_NETWORKS)
@pytest.mark.parametrize("method", ["supervised", "color_s4l"])
def test_loss_and_gradients_are_ours(network, method, make_learner, gradients):
    learner, batches = make_learner(method=method, network=network, dropout=0.0)
    views = learner.views_of(batches.batch(0))
    variables = learner.trainable_variables
    expected = {k: float(v) for k, v in learner.losses(views)[0].terms.items()}
    found = gradients(lambda: learner.losses(views)[1], variables)
    sizes = {name: head.units for name, head in learner.network.heads.items()}
    twin = NETWORKS[network](sizes, 0.03, 0.0)
    with torch.no_grad():
        for variable in variables:
            weight_of(twin, variable).copy_(as_torch(variable))
    tasks = tuple(n for n in views if n not in ("labels", "index", "labeled", "draws"))
    assert len(tasks) == (7 if method == "color_s4l" else 0)
    theirs = {name: images_as_torch(views[name]) for name in ("labeled", *tasks)}
    theirs["labels"] = torch.tensor(keras.ops.convert_to_numpy(views["labels"]))
    parts = plain.losses(twin, theirs, tasks, learner.plan.weight_decay)
    sum(parts.values()).backward()
    assert {k: float(v.detach()) for k, v in parts.items()} == pytest.approx(
        expected, abs=1e-4
    )
    assert len(found) == len(list(twin.parameters()))
    for variable, gradient in zip(variables, found, strict=True):
        if variable.path.split("/")[-2].endswith("_conv") and variable.name == "bias":
            continue  # zero but for rounding: the normalisation takes the mean away
        mine, their = as_torch(gradient), weight_of(twin, variable).grad
        scale = float(their.abs().max())
        assert float((mine - their).abs().max()) < 1e-3 * scale, variable.path


def test_networks_are_those_that_are_measured():
    assert tuple(NETWORKS) == PLAIN_NETWORKS


def test_preprocessing_is_ours(small, statistics):
    layer = Preprocessing(zca=True)
    layer.build((None, *small.images.shape[1:]))
    layer.set_statistics(*statistics)
    raw = small.images[:4]
    found = plain.preprocess(torch.tensor(raw), *map(torch.tensor, statistics))
    expected = images_as_torch(layer(raw))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-3)


def test_augmentation_is_ours(small):
    images = small.images[:5].astype("float32") / 255
    random = np.random.default_rng(7)
    shift = np.array([[-2, 1], [0, 0], [2, 2], [1, -1], [-1, 0]], "int32")
    flip = np.array([True, False, True, False, True])
    noise = random.normal(size=images.shape).astype("float32")
    expected = augmentation.apply(images, augmentation.Draws(shift, flip, noise))
    found = plain.augment(
        images_as_torch(images),
        (torch.tensor(shift), torch.tensor(flip), images_as_torch(noise)),
    )
    np.testing.assert_allclose(found.numpy(), images_as_torch(expected), atol=1e-6)


def test_drawn_shifts_flips_and_noise_have_the_published_ranges():
    shift, flip, noise = plain.draw(4000, 4, True, torch.device("cpu"))
    assert sorted(shift.unique().tolist()) == [-2, -1, 0, 1, 2]
    assert 0.45 < flip.float().mean() < 0.55
    assert float(noise.std()) == pytest.approx(0.15, abs=0.005)
    assert not plain.draw(9, 4, False, torch.device("cpu"))[1].any()


@pytest.mark.parametrize("name", GEOMETRIC)
def test_views_are_ours(name, small):
    images = small.images[:2].astype("float32")
    found = plain.OF_VIEWS[name](images_as_torch(images))
    expected = images_as_torch(GEOMETRIC[name](images))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
