"""The PyTorch step does the same work as ours: from equal weights, equal gradients."""

import importlib
import pathlib

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import benchmarks.pytorch  # noqa: E402
from benchmarks.pytorch import airbench  # noqa: E402
from benchmarks.pytorch import step as plain  # noqa: E402
from color_s4l.networks import Network  # noqa: E402
from color_s4l.networks.layers import BatchNormalization  # noqa: E402
from color_s4l.registry import TRUNKS  # noqa: E402
from color_s4l.views import augmentation  # noqa: E402
from color_s4l.views.preprocessing import Preprocessing  # noqa: E402
from color_s4l.views.proxies import pictures  # noqa: E402

PARAMETERS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
WIDTH = 0.03
MODULES = pathlib.Path(benchmarks.pytorch.__file__).parent.glob("*.py")
NAMES = sorted({path.stem for path in MODULES} - {"__init__", "step"})


@pytest.fixture(autouse=True)
def _same_gelu(monkeypatch):
    # The library's form of GELU.
    monkeypatch.setattr(airbench, "gelu", lambda x: x * torch.sigmoid(1.702 * x))


def name_of(variable):
    """The name of a Keras variable in PyTorch: `block1_1_conv_weight`."""
    *layers, name = variable.path.removeprefix("network/").split("/")
    return "_".join([*layers, PARAMETERS[name]])


def twin_of(name, network):
    """A PyTorch network with the same weights, and its parameters by `name_of`."""
    heads = {head: layer.units for head, layer in network.heads.items()}
    module = importlib.import_module(f"benchmarks.pytorch.{name}")
    twin = plain.Network(module.build(WIDTH), heads, 0.0)
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
        for variable in network.non_trainable_variables:
            if variable.path.endswith("stem_whitening/kernel"):
                twin.trunk.stem.whitening.weight.copy_(as_torch(variable))
    return twin, parameters


def check_gradients(variables, gradients, parameters, tolerance):
    for variable, gradient in zip(variables, gradients, strict=True):
        name = name_of(variable)
        mine, their = as_torch(gradient), parameters[name].grad
        # The gradient of a bias before a normalisation is only rounding, so the scale
        # is the one of the whole layer.
        layer = name.rpartition("_")[0]
        own = [parameters.get(f"{layer}_{kind}") for kind in ("weight", "bias")]
        scale = max(float(p.grad.abs().max()) for p in own if p is not None)
        assert float((mine - their).abs().max()) <= tolerance * scale, name


def as_torch(array):
    """A Keras weight with the axes in PyTorch's order."""
    array = keras.ops.convert_to_numpy(array)
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return torch.tensor(array if order is None else array.transpose(order))


def images_as_torch(images):
    return torch.tensor(keras.ops.convert_to_numpy(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("network", NAMES)
@pytest.mark.parametrize("method", ["supervised", "color_s4l"])
def test_loss_and_gradients_are_equal(network, method, make_learner, gradients):
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
    # Rounding changes the sign of a few features before a LeakyReLU: up to 0.3 % of the
    # largest gradient on CPUs without AVX-512.
    check_gradients(variables, found, parameters, 1e-2)


@pytest.fixture
def in_float64(monkeypatch):
    """New layers compute in float64: rounding must not turn a ReLU on or off."""
    # The fused kernel does not support float64; it is tested elsewhere.
    monkeypatch.setattr(BatchNormalization, "_fusible", lambda layer, inputs: False)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64")
@pytest.mark.parametrize("name", NAMES)
def test_networks_are_equal(name, in_float64, gradients):
    trunk = TRUNKS[name]((32, 32, 3), width=WIDTH, dropout=0.0, synchronized=False)
    network = Network(trunk, {"class": 7}, 0.0)
    random = np.random.default_rng(1)
    images = random.normal(size=(6, 32, 32, 3)).astype("float32")
    factors = random.normal(size=(6, 7)).astype("float32")
    network(images)
    twin, parameters = twin_of(name, network)
    logits = []

    def loss():
        logits.append(network(images, training=True)["class"])
        return keras.ops.sum(logits[0] * factors)

    found = gradients(loss, network.trainable_variables)
    theirs = twin(images_as_torch(images).double())["class"]
    (theirs * torch.tensor(factors)).sum().backward()
    np.testing.assert_allclose(theirs.detach(), logits[0], rtol=1e-5, atol=1e-5)
    check_gradients(network.trainable_variables, found, parameters, 1e-5)


@pytest.mark.parametrize("zca", [True, False])
def test_preprocessing_is_equal(zca, small, statistics):
    layer = Preprocessing(zca=zca)
    layer.build((None, *small.images.shape[1:]))
    if zca:
        layer.set_statistics(statistics)
    raw = small.images[:4]
    whitening = map(torch.tensor, statistics.values() if zca else ())
    found = plain.preprocess(torch.tensor(raw), *whitening)
    expected = images_as_torch(layer(raw))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-3)


def test_augmentation_is_equal(small):
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


@pytest.mark.parametrize("name", plain.GEOMETRIC)
def test_views_are_equal(name, small):
    images = small.images[:2]
    found = plain.GEOMETRIC[name](images_as_torch(images)).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(found.numpy(), pictures(images, (name,))[:, 0])
