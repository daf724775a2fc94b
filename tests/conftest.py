"""Fixtures of the whole suite: small real images, one trained run, gradients."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
from PIL import Image

from color_s4l import command_line, data, methods, train
from color_s4l.data import Data, StepBatches, draw_split
from color_s4l.networks import Network
from color_s4l.recipes import procedure
from color_s4l.settings import DataSettings, Run
from color_s4l.training import build, session
from color_s4l.training.learner import Learner
from color_s4l.views.preprocessing import whitening

# A suite that a shell starts in the background ignores Ctrl-C, and so would the
# processes that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SIZE = 16
CLASSES = ("0", "1", "2", "3")
TRAIN_PER_CLASS, TEST_PER_CLASS = 12, 8
# Processes on JAX share what they compile: later ones start in a quarter of the time.
COMPILED = "JAX_COMPILATION_CACHE_DIR"


def pytest_collection_modifyitems(items):
    """Keeps the tests of a file on one process, because they share trained runs.

    The contract tests of terms share little and are many, so they run on any process;
    those of trunks share one trunk each.
    """
    for item in items:
        group = str(item.path)
        if "trunks" in item.path.name and hasattr(item, "callspec"):
            group += str(item.callspec.params.get("name"))
        if "contract" not in item.path.name:
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_configure(config):
    """Creates the folder for compiled JAX programs, before xdist starts processes."""
    if COMPILED not in os.environ:
        folder = tempfile.TemporaryDirectory()
        os.environ[COMPILED] = folder.name
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        config.add_cleanup(folder.cleanup)


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """A cache directory for this suite and the processes that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def freed():
    """Frees the compiled functions of a file's tests, after the last of them.

    TensorFlow keeps them otherwise: many gigabytes for all tests together.
    """
    yield
    keras.backend.clear_session()


@contextlib.contextmanager
def _tracing(wanted):
    """Switches the tracing and compiling of TensorFlow's functions on or off."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(not wanted)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@pytest.fixture(scope="module")
def untraced():
    """Computes eagerly, which is faster for runs of a few steps.

    For tests of files and settings; tests of numbers compile their steps as users do.
    """
    with _tracing(False):
        yield


@pytest.fixture(autouse=True)
def quiet_log():
    """Undoes how a command shows the library's log, so that `caplog` sees it."""
    yield
    logger = logging.getLogger("color_s4l")
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


@pytest.fixture(scope="session")
def shared():
    """The folder of real images beside the repository; it must exist in CI."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "tools" / "prepare_data.py").is_file():
        message = "the real images of ../shared are missing"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


def _first_of_each(images, labels, count):
    rows = [np.flatnonzero(labels == k)[:count] for k in range(len(CLASSES))]
    rows = np.concatenate(rows)
    return images[rows], labels[rows]


@pytest.fixture(scope="session")
def small() -> Data:
    """Built-in digits 0 to 3 at 16 px: 12 of each to train on, 8 to test on."""
    whole = data.load(DataSettings(dataset="digits", image_size=SIZE))
    images, labels = _first_of_each(whole.images, whole.labels, TRAIN_PER_CLASS)
    tests = _first_of_each(whole.test_images, whole.test_labels, TEST_PER_CLASS)
    return Data("small", CLASSES, images, labels, *tests)


@pytest.fixture(scope="session")
def statistics(small):
    """Mean and whitening matrix of the small images, computed once."""
    return whitening(small.images)


@pytest.fixture(scope="session")
def small_dir(small, tmp_path_factory):
    """The same images as class folders."""
    root = tmp_path_factory.mktemp("small")
    parts = {
        "train": (small.images, small.labels),
        "test": (small.test_images, small.test_labels),
    }
    for part, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / part / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:03d}.png")
    return root


@pytest.fixture(scope="session")
def colorizer_file(tmp_path_factory):
    """A narrow colorizer, trained for one epoch on 40 digits."""
    from colorization import train as colorization_train

    path = tmp_path_factory.mktemp("colorizer") / "tiny.h5"
    flags = ["--dataset=digits", "--images=40", "--width=0.0625", "--verbosity=0"]
    with _tracing(True):
        assert colorization_train.main([*flags, "--epochs=1", f"--output={path}"]) == 0
    return path


@pytest.fixture(scope="session")
def tiny(small_dir, colorizer_file) -> Run:
    """The run that most tests change: 6 steps of 8 x 7 views, 4 to 15 filters."""
    return Run(
        dataset="folder",
        data_dir=str(small_dir),
        image_size=SIZE,
        labels=16,
        validation=8,
        colorizer=str(colorizer_file),
        width=0.03,
        epochs=2,
        batch_size=8,
        unlabeled=24,
        jit_compile=False,
        verbosity=0,
    )


@pytest.fixture(scope="session")
def flags():
    """A function that returns the command line of a `Run`."""
    return command_line.spelled


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory) -> Run:
    """A complete run of color_s4l. Tests do not change its directory."""
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    run = dataclasses.replace(tiny, run_dir=str(run_dir))
    # Other runs, also of other processes, are compared with its weights.
    with _tracing(True):
        assert train.main(command_line.spelled(run)) == 0
    return run


@pytest.fixture(scope="session")
def base(tiny) -> Run:
    """The run of `tiny` in one epoch, without validation images and whitening."""
    return dataclasses.replace(tiny, epochs=1, validation=0, zca=False)


@pytest.fixture(scope="session")
def rotnet_linear(base, tmp_path_factory) -> pathlib.Path:
    """The directory of a recipe: rotations in `pretraining`, a probe in `linear`."""
    folder = tmp_path_factory.mktemp("recipes") / "rotnet_linear"
    run = dataclasses.replace(base, recipe="rotnet_linear", run_dir=str(folder))
    with _tracing(True):
        procedure.fit(run)
    return folder


def _unsure(labels, num_classes):
    """Pseudo-labels: 0.7 for the true class, the rest divided equally."""
    rest = 0.3 / (num_classes - 1)
    return (rest + (0.7 - rest) * np.eye(num_classes)[labels]).astype("float32")


def _trunk(image_shape, dropout):
    """A trunk of two blocks, which is three times as fast as the narrowest ConvNet."""
    inputs = features = keras.Input(image_shape)
    for block, filters in (("block1", 6), ("block2", 8)):
        for layer in (
            keras.layers.Conv2D(filters, 3, 2, padding="same", name=f"{block}_conv"),
            keras.layers.BatchNormalization(name=f"{block}_norm"),
            keras.layers.LeakyReLU(0.1, name=f"{block}_relu"),
            keras.layers.Dropout(dropout, name=f"{block}_dropout"),
        ):
            features = layer(features)
    return keras.Model(inputs, features, name="trunk")


class _Means(dict):
    """The metrics of a learner, created when a step reports them."""

    def __missing__(self, name):
        self[name] = keras.metrics.Mean(name=name)
        return self[name]


def _learner(run: Run, dataset: Data, terms, *, small_trunk, traced):
    keras.utils.set_random_seed(run.seed)
    terms = terms or methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    resolved = session.resolve(run, terms, dataset.size)
    split = draw_split(dataset.labels, dataset.classes, run.labels, None, 0, run.seed)
    # Instead of a colorizer: the images without their colours.
    grey = dataset.images[split.unlabeled].mean(axis=3, keepdims=True)
    colorized = np.repeat(grey, 3, axis=3).astype("uint8")
    batches = StepBatches(
        dataset.images,
        dataset.labels,
        split,
        run.batch_size,
        resolved.step.labeled_batch,
        run.seed,
        colorized,
        targets=_unsure(dataset.labels[split.unlabeled], len(dataset.classes)),
    )
    shape, classes = dataset.images.shape[1:], len(dataset.classes)
    model = resolved.model
    if small_trunk:
        trunk = _trunk(shape, model.trunk_dropout or 0.0)
        network = Network(trunk, methods.heads_of(terms, classes), model.dropout)
        network(np.zeros((1, *shape), "float32"))
    else:
        network = build.build_network(model, terms, shape, classes)
    with contextlib.ExitStack() as patches:
        if not traced:
            nothing = mock.patch.object(Learner, "build_metrics")
            patches.enter_context(nothing)
        learner = build.build_learner(
            network,
            build.build_preprocessing(model, shape),
            terms,
            batches,
            resolved.step,
            resolved.optimization,
            resolved.runtime,
        )
    if not traced:
        # Keras would replace the dictionary by one of its own class.
        object.__setattr__(learner, "means", _Means())
    learner.apply_views = learner.views.apply
    learner.run_eagerly = True
    return learner, batches


@pytest.fixture(scope="session")
def make_learner(small):
    """A function of `terms` and fields of a `Run`: a learner and its batches.

    Its steps run without a compiled graph. The trunk has two blocks, unless `network`
    or `freeze_blocks` is given. With `traced=True`, the step is traced once, as in a
    run.
    """

    def make(terms=None, *, traced=False, **changes):
        settings = {"labels": 16, "width": 0.03, "batch_size": 4, "zca": False}
        run = Run(**{**settings, **changes})
        small_trunk = not {"network", "freeze_blocks"} & changes.keys()
        return _learner(run, small, terms, small_trunk=small_trunk, traced=traced)

    return make


def _gradients(loss, variables):
    if keras.backend.backend() == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return loss()

        found = jax.grad(stateless)([variable.value for variable in variables])
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, [variable.value for variable in variables])
    return [None if g is None else keras.ops.convert_to_numpy(g) for g in found]


@pytest.fixture(scope="session")
def gradients():
    """A function of loss() and variables: the gradients; None without a gradient."""
    return _gradients


@pytest.fixture
def train_refuses(tiny, flags, refused, tmp_path):
    """A function that checks that `color_s4l.train` prints an error, and only that.

    Its arguments: a regular expression for the error; flags; fields of the run.
    """

    def check(text, *words, **changes):
        run_dir = tmp_path / "refused_run"
        run = dataclasses.replace(tiny, run_dir=str(run_dir), **changes)
        line = refused(train.main([*flags(run), *words]))
        assert re.search(text, line), line
        assert not run_dir.exists()

    return check


@pytest.fixture(scope="session")
def python():
    """A function of arguments and environment: a finished Python process."""

    def start(*words, **environment):
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    return start


@pytest.fixture
def refused(capsys):
    """A function of an exit code: the single line on stderr that explains it."""

    def read(code):
        captured = capsys.readouterr()
        lines = captured.err.strip().splitlines()
        assert code == 2
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("error: ")
        return lines[0]

    return read
