"""Settings: defaults that depend on the images, and which settings make equal runs."""

import dataclasses

import numpy as np
import pytest

from color_s4l import settings
from color_s4l.errors import InputError
from color_s4l.settings import Run

OTHER = {str: "other", int: 7, float: 0.125, bool: True, tuple: ("a.b=1",)}


def resolved(size=32, views=(1, 7), labels=None, **changes):
    views = dict(zip(("labeled_views", "unlabeled_views"), views, strict=True))
    return settings.resolve(Run(**changes), image_size=size, labels=labels, **views)


@pytest.mark.parametrize(
    ("changes", "size", "zca", "hflip", "dropout"),
    [
        ({"dataset": "cifar10"}, 32, True, True, None),
        ({"dataset": "cifar10"}, 33, False, True, None),
        ({"dataset": "cifar10", "network": "encoder"}, 32, False, True, None),
        ({"dataset": "svhn_cropped"}, 32, False, False, 0.5),
        ({"dataset": "svhn_cropped", "network": "wrn_28_2"}, 32, False, False, None),
        ({"dataset": "digits"}, 32, False, False, None),
        ({"zca": True, "hflip": True, "trunk_dropout": 0.0}, 48, True, True, 0.0),
    ],
)
def test_defaults_depend_on_the_images(changes, size, zca, hflip, dropout):
    found = resolved(size, **changes)
    assert (found.model.zca, found.step.hflip) == (zca, hflip)
    assert found.model.trunk_dropout == dropout
    assert (found.data.image_size, found.values["zca"]) == (size, zca)


SMALL = "applications/mobilenetv3small"


@pytest.mark.parametrize(
    ("changes", "size", "expected"),
    [
        ({}, 96, ("contrast", "shift", "none", 1.0)),
        ({"init_from": "run"}, 32, ("contrast", "shift", "none", 1.0)),
        ({"network": SMALL}, 64, ("imagenet", "shift", "imagenet", 0.1)),
        ({"network": SMALL}, 65, ("imagenet", "random_resized", "imagenet", 0.1)),
        (
            {"network": SMALL, "weights": "none", "crop": "shift"},
            65,
            ("imagenet", "shift", "none", 1.0),
        ),
        (
            {"network": SMALL, "weights": "a.h5", "normalization": "channels"},
            32,
            ("channels", "shift", "a.h5", 0.1),
        ),
        (
            {"network": SMALL, "init_from": "run", "trunk_rate": 0.5},
            32,
            ("imagenet", "shift", "none", 0.5),
        ),
    ],
)
def test_defaults_depend_on_the_trunk(changes, size, expected):
    found = resolved(size, dataset="cifar10", **changes)
    normalization, crop, weights, rate = expected
    assert found.model.normalization == normalization
    assert (found.step.crop, found.inputs.weights) == (crop, weights)
    assert found.optimization.trunk_rate == rate
    assert found.model.zca == (normalization == "contrast" and size <= 32)
    assert found.values["weights"] == weights


def test_the_weights_of_other_trunks_cannot_be_set():
    with pytest.raises(InputError, match="Received: `network`=convnet"):
        resolved(weights="imagenet")
    with pytest.raises(InputError, match="both weights of the trunk"):
        settings.check(Run(network=SMALL, weights="imagenet", init_from="run"))


def test_an_array_is_no_name_of_a_data_set():
    with pytest.raises(InputError, match=r"type ndarray.*fit\(run, data="):
        settings.check(Run(dataset=np.zeros((2, 8, 8, 3))))


def test_own_images_are_named_by_their_folder():
    for folder in ("/home/me/roses", "roses/", "~/roses"):
        run = Run(dataset="folder", data_dir=folder)
        assert settings.dataset_name(settings.to_json(run)) == "roses"
    run = Run(dataset="cifar10", data_dir="/home/me/tfds")
    assert settings.dataset_name(settings.to_json(run)) == "cifar10"
    assert settings.dataset_name(settings.to_json(Run(dataset="folder"))) == "folder"


def test_milestones_are_epochs():
    run = {"schedule": "steps", "milestones": "14,16.5"}
    assert resolved(**run).optimization.milestones == (14, 16.5)
    # RotNet's 30, 60 and 80 % of the epochs.
    assert resolved(epochs=10).optimization.milestones == pytest.approx((3, 6, 8))


def test_large_images_are_not_whitened():
    with pytest.raises(InputError, match="`zca` whitens images of up to 48 px"):
        resolved(49, zca=True)


def test_both_passes_are_equally_large():
    # Numbers of labelled and unlabelled views -> labelled images per unlabelled one.
    # Without unlabelled views: as many as Color-S4L has, for comparison.
    shares = {(1, 7): 7, (5, 21): 4, (3, 1): 1, (1, 0): 7, (0, 4): 1}
    for views, share in shares.items():
        assert resolved(views=views).step.labeled_batch == 32 * share
    assert resolved(labeled_batch=5).step.labeled_batch == 5


def test_a_supervised_step_has_no_more_images_than_there_are_labels():
    # 32 images per step times 7, but at most 1, 3 and 7 whole batches of labels.
    for labels, batches in {10: 1, 100: 3, 223: 6, 224: 7, 4000: 7}.items():
        found = resolved(views=(1, 0), labels=labels)
        assert found.step.labeled_batch == 32 * batches
        assert resolved(views=(1, 7), labels=labels).step.labeled_batch == 32 * 7


def test_a_run_is_read_back_from_json():
    run = Run(labels=100, set=("vat.weight=2",), zca=False)
    values = settings.to_json(run)
    assert values["set"] == ["vat.weight=2"]
    assert settings.from_json({**values, "no_such_field": 1}) == run
    assert settings.from_json({"labels": 100}) == Run(labels=100)


def identity(run, digests=(), backend="tensorflow"):
    return settings.identity(settings.to_json(run), dict(digests), backend)


@pytest.mark.parametrize("field", dataclasses.fields(Run), ids=lambda f: f.name)
def test_every_field_counts_except_the_free_ones(field):
    free = settings.FREE | settings.ROUNDING | settings.CONTENTS
    other = OTHER.get(type(field.default), 7)
    if field.name in settings.PATHS:
        other = "somewhere"
    run = dataclasses.replace(Run(), **{field.name: other})
    assert run != Run()
    assert (identity(run) == identity(Run())) == (field.name in free)


def test_the_content_of_files_and_the_backend_count():
    first = identity(Run(), {"colorizer": "abc"})
    assert first == identity(Run(), {"colorizer": "abc", "init_from": None})
    for digests in ({"colorizer": "abd"}, {"init_from": "abc"}, {}):
        assert first != identity(Run(), digests)
    assert first != identity(Run(), {"colorizer": "abc"}, "jax")


def test_tables_get_no_folders():
    run = Run(
        data_dir="/home/me/images",
        stage=("linear.init_from=/home/me/run", "linear.epochs=2"),
        split_file="relative/split.csv",
        run_dir="/home/me/runs",
    )
    found = settings.portable(settings.to_json(run))
    assert found["data_dir"] == "images"
    assert found["stage"] == ["linear.init_from=run", "linear.epochs=2"]
    assert found["split_file"] == "relative/split.csv"
    assert not settings.FREE & found.keys()


def test_differences_are_named():
    before, now = (settings.to_json(Run(epochs=n, resume=n > 2)) for n in (2, 3))
    assert settings.differences(before, now) == "`epochs`: 2 before, 3 now"
    assert settings.differences(before, before) == ""


def test_images_and_plug_ins_may_have_been_moved():
    one, other = (
        settings.to_json(Run(data_dir=f"{folder}/a", plugins=(f"{folder}/b.py",)))
        for folder in ("one", "other")
    )
    assert settings.differences(one, other) == ""


def test_another_method_has_the_same_images_and_no_settings_of_the_first():
    run = Run(
        method="fast",
        set=("freematch.decay=0.5",),
        final_weights="average",
        labels=40,
        init_from="builtin",
    )
    found = settings.with_method(run, "probe", batch_size=8)
    assert found == Run(method="probe", labels=40, init_from="builtin", batch_size=8)
    assert settings.pretrained(found)
    assert not settings.pretrained(Run())
