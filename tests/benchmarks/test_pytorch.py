"""The PyTorch step does our step's work: from equal weights, equal gradients."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.pytorch import layers, resnet_v2, shake_wrn  # noqa: E402
from benchmarks.pytorch import step as plain  # noqa: E402
from benchmarks.pytorch.network import Network  # noqa: E402
from benchmarks.pytorch.trunks import TRUNKS  # noqa: E402
from color_s4l.networks import TRUNKS as OURS  # noqa: E402
from color_s4l.networks import Network as Ours  # noqa: E402
from color_s4l.networks.normalization import BatchNormalization
from color_s4l.networks.shake_wrn import ShakeShake  # noqa: E402
from color_s4l.views import augmentation  # noqa: E402
from color_s4l.views.geometric import GEOMETRIC  # noqa: E402
from color_s4l.views.preprocessing import Preprocessing  # noqa: E402

PARAMETERS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
WIDTH = 0.03


def name_of(variable):
    """A Keras variable's name in PyTorch: `block1_1_conv_weight`."""
    *layers, name = variable.path.removeprefix("network/").split("/")
    return "_".join([*layers, PARAMETERS[name]])


def twin_of(name, network):
    """PyTorch's network with the same weights, and these by `name_of`."""
    heads = {head: layer.units for head, layer in network.heads.items()}
    twin = Network(TRUNKS[name](WIDTH), heads, 0.0)
    for layer in twin.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    twin.to(getattr(torch, network.dtype))
    parameters = {
        path.partition(".")[2].replace(".", "_"): parameter
        for path, parameter in twin.named_parameters()
    }
    variables = {name_of(v): as_torch(v) for v in network.trainable_variables}
    assert set(parameters) == set(variables)
    with torch.no_grad():
        for path, weight in variables.items():
            parameters[path].copy_(weight)
    return twin, parameters


def check_gradients(variables, gradients, parameters, tolerance):
    for variable, gradient in zip(variables, gradients, strict=True):
        name = name_of(variable)
        mine, their = as_torch(gradient), parameters[name].grad
        # Of a bias before a normalisation there is none but rounding's, so that the
        # whole layer gives the scale.
        layer = name.rpartition("_")[0]
        own = [parameters.get(f"{layer}_{kind}") for kind in ("weight", "bias")]
        scale = max(float(p.grad.abs().max()) for p in own if p is not None)
        assert float((mine - their).abs().max()) <= tolerance * scale, name


def as_torch(array):
    """A Keras weight in PyTorch's order of axes."""
    array = keras.ops.convert_to_numpy(array)
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return torch.tensor(array if order is None else array.transpose(order))


def images_as_torch(images):
    return torch.tensor(keras.ops.convert_to_numpy(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("network", ["convnet", "nin"])
@pytest.mark.parametrize("method", ["supervised", "color_s4l"])
def test_loss_and_gradients_are_ours(network, method, make_learner, gradients):
    learner, batches = make_learner(
        method=method, network=network, width=WIDTH, dropout=0.0
    )
    views = learner.views_of(batches.batch(0))
    variables = learner.trainable_variables
    expected = {k: float(v) for k, v in learner.losses(views)[0].terms.items()}
    found = gradients(lambda: learner.losses(views)[1], variables)
    twin, parameters = twin_of(network, learner.network)
    tasks = tuple(n for n in views if n not in ("labels", "index", "labeled", "draws"))
    assert len(tasks) == (7 if method == "color_s4l" else 0)
    theirs = {name: images_as_torch(views[name]) for name in ("labeled", *tasks)}
    theirs["labels"] = torch.tensor(keras.ops.convert_to_numpy(views["labels"]))
    parts = plain.losses(twin, theirs, tasks, learner.plan.weight_decay)
    sum(parts.values()).backward()
    assert {k: float(v.detach()) for k, v in parts.items()} == pytest.approx(
        expected, abs=1e-4
    )
    check_gradients(variables, found, parameters, 1e-3)


@pytest.fixture
def in_float64(monkeypatch):
    """New layers compute in float64; in half as many digits, rounding that turns one
    ReLU of a deep network on or off makes gradients differ by a hundredth."""
    # The fused kernel is not made for it; that it is Keras' own is tested elsewhere.
    monkeypatch.setattr(BatchNormalization, "_fusible", lambda layer, inputs: False)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def draw_anew(monkeypatch):
    """A function: from here on, Shake-Shake draws the same again, in both."""

    def begin():
        random = np.random.default_rng(0)

        def draw(images):
            return random.random((images.shape[0], 1, 1, 1))

        monkeypatch.setattr(ShakeShake, "draw", lambda layer, images: draw(images))
        monkeypatch.setattr(
            shake_wrn, "draw", lambda images: torch.tensor(draw(images))
        )

    return begin


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64")
@pytest.mark.parametrize("name", TRUNKS)
def test_networks_are_ours(name, in_float64, draw_anew, gradients):
    trunk = OURS[name]((32, 32, 3), width=WIDTH, dropout=0.0)
    network = Ours(trunk, {"class": 7}, 0.0)
    random = np.random.default_rng(1)
    images = random.normal(size=(6, 32, 32, 3)).astype("float32")
    factors = random.normal(size=(6, 7)).astype("float32")
    network(images)
    twin, parameters = twin_of(name, network)
    logits = []

    def loss():
        logits.append(network(images, training=True)["class"])
        return keras.ops.sum(logits[0] * factors)

    draw_anew()
    found = gradients(loss, network.trainable_variables)
    draw_anew()
    theirs = twin(images_as_torch(images).double())["class"]
    (theirs * torch.tensor(factors)).sum().backward()
    np.testing.assert_allclose(theirs.detach(), logits[0], rtol=1e-5, atol=1e-5)
    check_gradients(network.trainable_variables, found, parameters, 1e-5)


def test_names_are_ours():
    assert list(TRUNKS) == list(OURS)


@pytest.mark.parametrize("side", [7, 8])
def test_pooling_is_ours(side):
    images = np.random.default_rng(3).normal(size=(2, side, 8, 2)).astype("float32")
    expected = keras.ops.max_pool(images, 3, 2, "same")
    found = resnet_v2.Pooling()(images_as_torch(images))
    np.testing.assert_array_equal(found, images_as_torch(expected))


def test_dropout_is_ours():
    rates = {
        name: [m.p for m in trunk(WIDTH).modules() if isinstance(m, torch.nn.Dropout)]
        for name, trunk in TRUNKS.items()
    }
    assert rates.pop("tempens") == [0.5, 0.5]
    assert not any(map(any, rates.values()))


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_ours(size, stride):
    random = np.random.default_rng(3)
    conv = layers.convolution(2, 4, size, stride)
    kernel = random.normal(size=(size, size, 2, 4)).astype("float32")
    with torch.no_grad():
        conv.weight.copy_(as_torch(kernel))
    for shape in ((7, 7), (8, 8), (8, 5)):
        images = random.normal(size=(2, *shape, 2)).astype("float32")
        expected = keras.ops.conv(images, kernel, stride, "same")
        found = conv(images_as_torch(images)).detach()
        np.testing.assert_allclose(found, images_as_torch(expected), atol=1e-5)


def test_preprocessing_is_ours(small, statistics):
    layer = Preprocessing(zca=True)
    layer.build((None, *small.images.shape[1:]))
    layer.set_statistics(*statistics)
    raw = small.images[:4]
    found = plain.preprocess(torch.tensor(raw), *map(torch.tensor, statistics))
    expected = images_as_torch(layer(raw))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-3)


def test_preprocessing_without_whitening_is_ours(small):
    raw = small.images[:4]
    found = plain.preprocess(torch.tensor(raw))
    expected = images_as_torch(Preprocessing(zca=False)(raw))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4)


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
