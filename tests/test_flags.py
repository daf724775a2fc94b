"""The published settings: each flagfile is the row of a table that its path names.

`flags/<table>/<network>/<data set>_<labels>.cfg`; what the tests expect is written
from the papers' and the published code's settings.
"""

import pathlib
import re

import keras
import numpy as np
import pytest

from color_s4l import command_line, data, methods
from color_s4l.data import Data, draw_split
from color_s4l.settings import Run
from color_s4l.training import preparation, schedules, values
from color_s4l.views.preprocessing import Preprocessing

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
FILES = sorted(FLAGS.rglob("*.cfg"))
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257}
TRUNKS = {"wrn": "wrn_28_4"}  # as the report names it; the others by their folder
# Table -> method, batch, epochs, epochs on SVHN, head dropout, the same on SVHN.
SETTINGS = {
    "color_s4l": ("color_s4l", 32, 30, 30, 0.5, 0.5),
    "sesemi": ("sesemi", 32, 30, 30, 0.5, 0.5),
    "six_networks": ("sesemi", 32, 20, 30, 0.5, 0.5),
    "supervised": ("supervised", 32, 30, 30, 0.5, 0.5),
    "asl": ("sesemi", 16, 300, 300, 0.2, 0.5),
    "sesemi_v2": ("sesemi", 16, 50, 30, 0.2, 0.5),
    "sesemi_v1": ("sesemi", 32, 50, 30, 0.2, 0.2),
}
VIEWS = {"color_s4l": 7, "sesemi": 6, "supervised": 7}


def name_of(path):
    return str(path.relative_to(FLAGS).with_suffix(""))


def read(path):
    run = command_line.parse(Run, [f"--flagfile={path}"], "")
    values.check(run)
    return run


def model_of(run):
    return run.method, run.network, run.dropout, run.trunk_dropout


# One file for each different model: all files would build the same ones again.
MODELS = {model_of(read(path)): path for path in FILES}


def images(run, count=20):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    classes = 100 if run.dataset == "cifar100" else 10
    labels = (np.arange(count) % classes).astype(np.int32)
    names = tuple(str(number) for number in range(classes))
    return Data(run.dataset, names, pixels, labels, pixels[:2], labels[:2])


def test_every_row_of_the_tables_is_there():
    tables = {table: len(list((FLAGS / table).rglob("*.cfg"))) for table in SETTINGS}
    # CIFAR-10 and SVHN have four label counts, CIFAR-100 two; Shake-WRN: SVHN only.
    assert tables.pop("color_s4l") == 4 + 4 + 2 + 4
    assert tables.pop("sesemi") == 4 + 4 + 2 + 4 + 2
    assert tables.pop("six_networks") == 6 * 8
    assert tables.pop("asl") == tables.pop("supervised") == 4 + 4 + 2
    assert tables == {"sesemi_v1": 5, "sesemi_v2": 5}
    assert {path.parent.parent.name for path in FILES} == set(SETTINGS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_flagfile_is_the_row_that_its_name_says(path):
    run, table = read(path), path.parent.parent.name
    dataset, labels = path.stem.split("_")
    svhn = dataset == "svhn"
    method, batch, epochs, epochs_svhn, dropout, dropout_svhn = SETTINGS[table]
    assert (run.method, run.batch_size) == (method, batch)
    assert run.epochs == (epochs_svhn if svhn else epochs)
    assert run.dropout == (dropout_svhn if svhn else dropout)
    assert run.learning_rate == 0.05
    assert run.labeled_only == (table == "asl")
    assert run.dataset.split("_")[0] == dataset
    assert run.labels == (None if labels == "all" else int(labels))
    network = "convnet_relu" if table == "sesemi_v1" else path.parent.name
    assert run.network == TRUNKS.get(network, network)
    # Tran 2019's published code: SVHN unwhitened and unflipped, dropout in the ConvNet.
    deep = svhn and run.network.startswith("convnet")
    assert (run.zca, run.hflip) == (not svhn, not svhn)
    assert run.trunk_dropout == (0.5 if deep else 0)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_its_steps_have_the_published_composition(path):
    run, dataset = read(path), images(read(path))
    terms = methods.terms_of(run.method)
    split = draw_split(dataset.labels, dataset.classes, None, None, 0, run.seed)
    batches = preparation.batches_of(run, dataset, split, terms, None)
    views = VIEWS[run.method]
    assert batches.batch(0)["unlabeled"].shape[0] == run.batch_size
    labeled = batches.batch(0)["labels"].size
    assert labeled == views * run.batch_size
    # 224 of each in Color-S4L, 96 in SESEMI's second version, 192 in its first.
    if run.method == "color_s4l":
        assert labeled == 224
    elif run.method == "sesemi":
        assert labeled == {16: 96, 32: 192}[run.batch_size]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_flagfile_says_the_published_number_and_its_source(path):
    header = path.read_text(encoding="utf-8")
    number = r"\d+\.\d\d (± \d\.\d\d )?%"
    assert re.search(rf"^# Published: .*{number}", header, re.M)
    assert re.search(r"\((Chen 2020|Chen's report|Tran 2019)|Tran 2019\)", header)
    assert f"--flagfile=flags/{path.relative_to(FLAGS)} " in header


@pytest.mark.parametrize("path", MODELS.values(), ids=name_of)
def test_two_steps_of_its_model(path):
    """Published width is built; two steps of a narrow one follow the published rate."""
    run, dataset = read(path), images(read(path))
    terms = methods.terms_of(run.method)
    network = preparation.network_of(run, terms, dataset)
    assert network.num_parameters > 900_000
    narrow = Run(**(vars(run) | {"width": 0.05, "batch_size": 2, "labels": None}))
    split = draw_split(dataset.labels, dataset.classes, None, None, 0, run.seed)
    batches = preparation.batches_of(narrow, dataset, split, terms, None)
    if run.colorizer:
        batches.colorized = dataset.images[split.unlabeled]
    small = preparation.network_of(narrow, terms, dataset)
    preprocessing = Preprocessing(zca=False)
    preprocessing.build((None, 32, 32, 3))
    learner = preparation.learner_of(narrow, small, preprocessing, terms, batches)
    learner.run_eagerly = True  # two steps are over before one would be compiled
    before = [variable.numpy() for variable in small.trainable_variables]
    for step in range(2):
        batch = batches.batch(step)
        logs = learner.train_step((batch,))
        assert np.isfinite(float(logs["loss"]))
    assert any(
        (old != new.numpy()).any()
        for old, new in zip(before, small.trainable_variables, strict=True)
    )
    dropouts = [
        layer.rate
        for layer in small.trunk.layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert all(rate == run.trunk_dropout for rate in dropouts)
    assert small.dropout.rate == run.dropout


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_its_learning_rate_falls_as_the_square_root_of_what_is_left(path):
    run = read(path)
    count = TRAINING_IMAGES[path.stem.split("_")[0]]
    if run.labeled_only:
        count = run.labels or count
    steps = run.epochs * data.steps_per_epoch(count, run.batch_size)
    # CIFAR at 16 images per step: 3,125 steps an epoch, 156,250 in all (Tran 2019).
    if (run.batch_size, run.epochs, count) == (16, 50, 50_000):
        assert steps == 156_250
    schedule = schedules.schedule_of(run, steps // run.epochs)
    for share, rate in [(0, 0.05), (0.75, 0.025), (0.99, 0.005), (1, 0)]:
        at = round(share * steps)
        expected = 0.05 * (1 - at / steps) ** 0.5
        assert float(schedule(at)) == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert expected == pytest.approx(rate, abs=2e-4)
