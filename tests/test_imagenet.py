"""S4L on ImageNet: flagfiles and two data sets, on a set with ImageNet's features."""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from color_s4l import command_line, data, train
from color_s4l.errors import InputError
from color_s4l.recipes import procedure
from color_s4l.settings import DataSettings, Run
from color_s4l.training import session

tfds = pytest.importorskip("tensorflow_datasets")

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags" / "s4l"
NAMES = ["n01440764", "n01443537", "n01484850"]
LABELED, ALL, TESTS = 12, 36, 12


def _examples(count, first=0):
    """Photographs of different sizes; the class is the place of a bright part."""
    for number in range(first, first + count):
        draws = np.random.default_rng(number)
        image = draws.integers(0, 120, (20, 20 + number % 3, 3)).astype(np.uint8)
        label = number % len(NAMES)
        image[6 * label : 6 * label + 8, 4:16] = 250
        example = {"image": image, "label": label, "file_name": f"{number}.JPEG"}
        yield number, example


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A TFDS directory: a subset with labels, the whole set, and another set."""
    folder = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="png"),
            "label": tfds.features.ClassLabel(names=NAMES),
            "file_name": tfds.features.Text(),
        }
    )
    tests = list(_examples(TESTS, 1000))
    for name, config, count in (
        ("imagenet2012_subset", "10pct", LABELED),
        ("imagenet2012", None, ALL),
        ("places", None, LABELED),
    ):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="5.0.0",
            config=config,
            features=features,
            split_datasets={"train": list(_examples(count)), "validation": tests},
            data_dir=folder,
            disable_shuffling=True,
        )
    return folder


def _settings(folder, **changes):
    names = {
        "dataset": "imagenet2012_subset/10pct",
        "unlabeled_dataset": "imagenet2012",
    }
    return DataSettings(data_dir=str(folder), image_size=16, **{**names, **changes})


@pytest.mark.filterwarnings("ignore:.*no labelled test split")
def test_the_second_set_adds_its_other_images(imagenet):
    labeled = data.load(_settings(imagenet, unlabeled_dataset=None))
    both = data.load(_settings(imagenet))
    assert len(both.images) == ALL
    np.testing.assert_array_equal(both.images[:LABELED], labeled.images)
    assert both.labels.tolist() == labeled.labels.tolist() + [-1] * (ALL - LABELED)
    whole = data.load(
        _settings(imagenet, dataset="imagenet2012", unlabeled_dataset=None)
    )
    assert sorted(data.checksums(both.images)) == sorted(data.checksums(whole.images))
    np.testing.assert_array_equal(both.test_images, labeled.test_images)


def test_images_of_two_sizes_are_refused(small, monkeypatch):
    sizes = {
        name: dataclasses.replace(
            small,
            name=name,
            images=small.images[:, :size, :size],
            test_images=small.test_images[:, :size, :size],
        )
        for name, size in (("first", 16), ("second", 8))
    }
    monkeypatch.setattr(data.tfds, "load", lambda settings: sizes[settings.dataset])
    with pytest.raises(InputError, match=r"16 px, those of 'second' 8 px"):
        data.load(DataSettings("first", unlabeled_dataset="second"))


def test_joined_images_are_read_on_demand(small):
    lazy = data.lazy_images.Subset(small.images, np.arange(5))
    both = data.lazy_images.joined(lazy, small.test_images)
    expected = np.concatenate([small.images[:5], small.test_images])
    np.testing.assert_array_equal(both[[30, 0, 4, 5]], expected[[30, 0, 4, 5]])
    assert data.checksums(both).tolist() == data.checksums(expected).tolist()


SMALL = [
    *("--network=convnet", "--width=0.03", "--image_size=16", "--epochs=1"),
    *("--batch_size=6", "--labeled_batch=6", "--nojit_compile", "--verbosity=0"),
    *("--warmup_epochs=0", "--milestones=1"),
]


@pytest.mark.filterwarnings("ignore:.*no labelled test split")
def test_rotation_then_a_linear_layer_on_another_set(imagenet, tmp_path):
    common = [f"--data_dir={imagenet}", *SMALL]
    flags = [f"--flagfile={FLAGS}/rotation.cfg", "--validation=3", *common]
    # One validation image per class selects the epoch.
    assert train.main([*flags, f"--run_dir={tmp_path / 's4l'}"]) == 0
    result = json.loads((tmp_path / "s4l" / "result.json").read_text())
    assert (result["labels"], result["unlabeled"]) == (LABELED - 3, ALL - 3)
    assert result["selected"]["note"] == "selected on validation"
    split = pd.read_csv(tmp_path / "s4l" / "split.csv", keep_default_na=False)
    held_out = split[split["validation"] == 1]
    assert sorted(held_out["label"]) == NAMES
    assert not held_out["unlabeled"].any()
    linear = ["--dataset=places", "--method=supervised", "--freeze_blocks=-1", *common]
    linear += ["--normalization=imagenet", "--schedule=steps"]
    words = [*linear, f"--init_from={tmp_path / 's4l'}"]
    assert train.main([*words, f"--run_dir={tmp_path / 'linear'}"]) == 0
    assert json.loads((tmp_path / "linear" / "result.json").read_text())["labels"] == 12


# Name -> method or recipe, epochs, learning rate, milestones, published weight decay.
# Epochs of the methods that read the unlabelled images: a tenth (Zhai 2019, section 4).
PUBLISHED = {
    "supervised": ("supervised", 200, 0.1, "140,160,180", 1e-3),
    "supervised_1pct": ("supervised", 1000, 0.01, "700,800,900", 1e-2),
    "rotation": ("s4l_rotation", 20, 0.03, "14,16,18", 1e-3),
    "exemplar": ("s4l_exemplar", 20, 0.1, "14,16,18", 1e-3),
    "vat": ("s4l_vat", 20, 0.03, "14,16,18", 1e-3),
    "vat_entmin": ("s4l_vat_entmin", 20, 0.03, "14,16,18", 1e-3),
}


def test_every_setting_has_a_flagfile():
    found = {path.stem for path in FLAGS.glob("*.cfg")}
    assert found == {*PUBLISHED, "pseudo_labels", "moam"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_flagfile_has_the_published_settings(name):
    run = command_line.parse(Run, [f"--flagfile={FLAGS}/{name}.cfg"], "")
    session.checked_terms(run)
    assert (run.image_size, run.crop, run.hflip) == (224, "random_resized", True)
    assert run.batch_size == run.labeled_batch == (512 if name == "exemplar" else 256)
    assert run.labeled_only == ("supervised" in name)
    found = (run.method, run.epochs, run.learning_rate, run.milestones)
    assert (*found, 2 * run.weight_decay) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "stages", "rates"),
    [
        ("pseudo_labels", ["labels", "retraining"], [0.1, 0.1]),
        ("moam", ["mixed", "relabeled", "finetuned"], [0.1, 0.1, 5e-4]),
    ],
)
def test_the_stages_of_a_recipe_have_the_published_rates(name, stages, rates):
    run = command_line.parse(Run, [f"--flagfile={FLAGS}/{name}.cfg"], "")
    found = procedure.stages_of(run, pathlib.Path())
    assert [stage.kind for stage, _ in found] == stages
    np.testing.assert_allclose([own.learning_rate for _, own in found], rates)
    assert found[-1][1].epochs == {"pseudo_labels": 100, "moam": 2}[name]


def test_flips_of_unlabelled_images_contradict_flips_as_proxy_tasks():
    run = Run(method="sesemi", hflip_unlabeled=True)
    with pytest.raises(InputError, match="flipped_left_right and flipped_up_down"):
        session.checked_terms(run)
