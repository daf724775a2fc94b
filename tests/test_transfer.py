"""Transfer: several labels per image and a class for each pixel, on drawn shapes."""

import dataclasses
import json
import types

import numpy as np
import pandas as pd
import psutil
import pytest
from keras import ops
from PIL import ExifTags, Image

from color_s4l import transfer
from color_s4l.data import transfer as data
from color_s4l.data.transfer import IGNORED
from color_s4l.errors import InputError
from color_s4l.networks import TRUNKS
from color_s4l.networks.pretrained import SMALLEST_NETWORK
from color_s4l.settings import DataSettings
from color_s4l.terms import losses
from color_s4l.training import transfer as training
from color_s4l.training.inputs import InitialWeights
from color_s4l.training.transfer import average_precisions, intersections

SIZE, COUNT, TESTS = 16, 48, 16
# Class in the masks -> colour; the background is class 0.
COLORS = {1: (220, 40, 40), 2: (40, 60, 220)}
TINY = ["--width=0.0625", f"--image_size={SIZE}", "--epochs=20", "--dropout=0"]


def _draw(draws):
    """Returns an image with none, one or both of the squares, and its mask."""
    image = draws.integers(90, 160, (SIZE, SIZE, 3)).astype(np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for value, color in COLORS.items():
        if draws.random() < 0.6:
            top, left = draws.integers(0, SIZE - 8, 2)
            image[top : top + 8, left : left + 8] = color
            mask[top : top + 8, left : left + 8] = value
    mask[0] = IGNORED
    return image, mask


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    """A folder in the format of VOC, with a table of labels."""
    root, draws = tmp_path_factory.mktemp("voc"), np.random.default_rng(0)
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    lists, rows = {"train": [], "val": []}, []
    for number in range(COUNT + TESTS):
        image, mask = _draw(draws)
        name = f"{number:03d}"
        Image.fromarray(image).save(root / f"JPEGImages/{name}.jpg", quality=95)
        indexed = Image.fromarray(mask).convert("P")
        indexed.putpalette(draws.integers(0, 256, 768).tolist())
        indexed.save(root / f"SegmentationClass/{name}.png")
        lists["train" if number < COUNT else "val"].append(name)
        labels = "|".join(f"c{value}" for value in COLORS if (mask == value).any())
        split = "train" if number < COUNT else "test"
        rows.append((f"JPEGImages/{name}.jpg", labels, split))
    for name, names in lists.items():
        path = root / f"ImageSets/Segmentation/{name}.txt"
        path.write_text("\n".join(names) + "\n")
    rows[0] = (rows[0][0], "c1|c2?", "train")
    table = pd.DataFrame(rows, columns=["filename", "label", "split"])
    table.to_csv(root / "labels.csv", index=False)
    return root


def test_reads_several_labels(voc):
    settings = DataSettings("folder", str(voc), SIZE, labels_csv="labels.csv")
    target = data.read_labels(settings)
    assert target.classes == ("c1", "c2")
    assert target.training.images.shape == (COUNT, SIZE, SIZE, 3)
    assert target.training.targets[0].tolist() == [1, IGNORED]
    assert {tuple(row) for row in target.test.targets.tolist()} > {(0, 1), (1, 1)}
    assert target.test.names[0] == f"JPEGImages/{COUNT:03d}.jpg"


def _one_mask(root, image, mask, name="a", **save):
    """Writes a folder in the format of VOC with one image."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(image).save(root / "JPEGImages/a.jpg", quality=100, **save)
    Image.fromarray(mask).save(root / "SegmentationClass/a.png")
    (root / "ImageSets/Segmentation/train.txt").write_text(f"{name}\n")


@pytest.mark.parametrize(("last", "name"), [(19, "19"), (20, "tvmonitor"), (21, "21")])
def test_classes_are_those_of_voc_only_up_to_its_last_class(tmp_path, last, name):
    mask = np.full((8, 8), last, np.uint8)
    mask[0] = IGNORED
    _one_mask(tmp_path, np.zeros((8, 8, 3), np.uint8), mask)
    settings = DataSettings("folder", str(tmp_path), 8)
    target = data.read_masks(settings, "train", "train")
    assert len(target.classes) == last + 1
    assert target.classes[last] == name


def test_the_size_of_a_mask_is_that_of_the_turned_image(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image, mask = np.zeros((8, 16, 3), np.uint8), np.zeros((16, 8), np.uint8)
    _one_mask(tmp_path, image, mask, exif=exif)
    settings = DataSettings("folder", str(tmp_path), 8)
    data.read_masks(settings, "train", "train")


@pytest.mark.parametrize(
    ("name", "side", "limit", "text"),
    [
        ("a", 4, 50, "a.png: expected 8 x 8 pixels, as its image; received 4 x 4"),
        ("a", 8, 1e-5, "a.png: 8 x 8 pixels are more than `max_megapixels`=1e-05"),
        ("b", 8, 50, "b.jpg: .*No such file"),
        ("../JPEGImages/a", 8, 50, "names without a folder. Received: '../JPEG"),
        ("/a", 8, 50, "names without a folder. Received: '/a'"),
    ],
)
def test_wrong_masks_are_refused(tmp_path, name, side, limit, text):
    mask = np.zeros((side, side), np.uint8)
    _one_mask(tmp_path, np.zeros((8, 8, 3), np.uint8), mask, name)
    settings = DataSettings("folder", str(tmp_path), 8, max_megapixels=limit)
    with pytest.raises(InputError, match=text):
        data.read_masks(settings, "train", "train")


@pytest.mark.parametrize(
    "error", [Image.DecompressionBombError, SyntaxError, ValueError]
)
def test_errors_of_the_decoder_are_one_line(tmp_path, monkeypatch, error):
    def fail(*arguments, **named):
        raise error("broken\nfile")

    _one_mask(tmp_path, np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
    monkeypatch.setattr(Image, "open", fail)
    settings = DataSettings("folder", str(tmp_path), 8)
    with pytest.raises(InputError, match=r"Cannot read .*: broken file\."):
        data.read_masks(settings, "train", "train")


@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_masks_are_resized_like_their_images(tmp_path, resize):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 200
    _one_mask(tmp_path, image, (image[..., 0] > 0).astype(np.uint8))
    settings = DataSettings("folder", str(tmp_path), 16, resize=resize)
    part = data.read_masks(settings, "train", "train").test
    known = part.targets != IGNORED
    assert known.mean() == (1 if resize == "crop" else 0.5)
    bright = part.images[..., 0] > 100
    assert (bright == part.targets)[known].mean() > 0.95


@pytest.fixture
def tiny_voc(tmp_path):
    """The settings of a set in the format of tensorflow-datasets."""
    tfds = pytest.importorskip("tensorflow_datasets")
    labels = tfds.features.Sequence(tfds.features.ClassLabel(names=["a", "b", "c"]))
    rows = [([0, 1], [0]), ([], []), ([2, 2], [2])]
    examples = [
        {
            "image": np.full((20 + k, 10, 3), 50 * k, np.uint8),
            "labels": every,
            "labels_no_difficult": sure,
        }
        for k, (every, sure) in enumerate(rows)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_voc",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "labels": labels,
                "labels_no_difficult": labels,
            }
        ),
        split_datasets={
            split: list(enumerate(examples))
            for split in ("train", "validation", "test")
        },
        data_dir=tmp_path,
    )
    return DataSettings("tiny_voc", str(tmp_path), 8)


def test_the_features_of_voc_in_tfds(tiny_voc, monkeypatch):
    monkeypatch.setenv("HOME", tiny_voc.data_dir)
    target = data.read_labels(dataclasses.replace(tiny_voc, data_dir="~"))
    assert target.classes == ("a", "b", "c")
    assert len(target.training.images) == 6  # training and validation, as published
    found = {
        int(image[0, 0, 0]): row.tolist()
        for image, row in zip(target.test.images, target.test.targets, strict=True)
    }
    assert found == {0: [1, IGNORED, 0], 50: [0, 0, 0], 100: [0, 0, 1]}


def test_images_of_tfds_that_cannot_be_decoded_are_skipped(tiny_voc):
    limited = dataclasses.replace(tiny_voc, max_megapixels=2.1e-4)
    with pytest.warns(match=r"tiny_voc: skipped \d of \d images of 't"):
        target = data.read_labels(limited)
    assert len(target.training.images) == len(target.training.targets) == 4
    assert sorted(target.test.targets.tolist()) == [[0, 0, 0], [1, IGNORED, 0]]
    none = dataclasses.replace(tiny_voc, max_megapixels=1e-4)
    with (
        pytest.warns(match="skipped 3 of 3 images"),
        pytest.raises(InputError, match="has no image in 'test'"),
    ):
        data.read_labels(none)


def test_images_of_tfds_must_fit_into_the_memory(tiny_voc, monkeypatch):
    free = types.SimpleNamespace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match=r"8 px\. That is more than the free memory"):
        data.read_labels(tiny_voc)


def test_losses_by_hand():
    logits = ops.convert_to_tensor([[0.0, 2.0, -1.0], [1.0, 1.0, 1.0]])
    targets = ops.convert_to_tensor([[1.0, IGNORED, 0.0], [IGNORED] * 3])
    # -log sigmoid(0) and -log(1 - sigmoid(-1)).
    expected = [(np.log(2) + np.log(1 + np.exp(-1))) / 2, 0]
    found = losses.binary_entropy(targets, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    pixels = ops.convert_to_tensor([[[0.0, 0.0], [9.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    targets = ops.convert_to_tensor([[1.0, IGNORED], [0.0, 0.0]])
    sure = np.log(1 + np.exp(-1))
    found = losses.pixel_entropy(targets, pixels)
    np.testing.assert_allclose(found, [np.log(2), (2 * sure + 1) / 2], rtol=1e-6)


def test_average_precision_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])[:, None]
    # Precision 1 up to recall 1/2 (six of eleven recalls), then 2/3. The fourth image
    # does not count.
    targets = np.array([1, 0, 1, IGNORED, 0])[:, None]
    assert average_precisions(targets, scores)[0] == pytest.approx((6 + 5 * 2 / 3) / 11)
    # Equal scores: the negative images come first.
    assert average_precisions(np.array([[1], [0]]), np.ones((2, 1)))[0] == 0.5
    assert np.isnan(average_precisions(np.zeros((2, 1)), np.ones((2, 1)))[0])


def test_intersection_over_union_by_hand():
    truth, found = np.array([0, 0, 1, 1, IGNORED]), np.array([0, 1, 1, 1, 0])
    np.testing.assert_allclose(intersections(truth, found, 3), [1 / 2, 2 / 3, np.nan])


@pytest.mark.parametrize(
    ("network", "expected"), [("convnet", "contrast"), (SMALLEST_NETWORK, "imagenet")]
)
def test_images_are_normalised_as_the_trunk_expects(network, expected):
    model = transfer.model_settings(transfer.Transfer(network=network))
    assert model.normalization == expected
    given = transfer.Transfer(network=network, normalization="channels")
    assert transfer.model_settings(given).normalization == "channels"


def test_weights_need_the_normalisation_of_their_run(voc):
    trunk = TRUNKS["convnet"]((SIZE, SIZE, 3), width=0.0625)
    statistics = {"mean": np.zeros(3), "deviation": np.ones(3)}
    initial = InitialWeights("old", tuple(trunk.get_weights()), {}, "", statistics)
    settings = DataSettings("folder", str(voc), SIZE, labels_csv="labels.csv")
    flags = transfer.Transfer(width=0.0625)
    text = "`init_from`=old was trained with `normalization`=channels: set it"
    with pytest.raises(InputError, match=text):
        training.train(
            data.read_labels(settings),
            transfer.model_settings(flags),
            transfer.optimization(flags),
            batch_size=8,
            crop_area=1.0,
            seed=1,
            initial=initial,
        )


def _run(voc, folder, *flags):
    words = [f"--data_dir={voc}", f"--run_dir={folder}", *TINY, *flags]
    assert transfer.main(words) == 0
    return json.loads((folder / "result.json").read_text())


def test_several_labels_are_learned(voc, tmp_path, capsys):
    flags = ["--labels_csv=labels.csv", "--learning_rate=0.05", "--batch_size=8"]
    result = _run(voc, tmp_path / "labels", *flags)
    assert result["map"] > 90
    assert set(result["average_precision"]) == {"c1", "c2"}
    assert f"mAP {result['map']:.2f} %" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "labels" / "predictions.csv")
    assert list(table) == ["filename", "c1", "c2"]
    assert len(table) == TESTS


def test_masks_are_learned_by_the_trunk_of_a_colorizer(voc, tmp_path, colorizer_file):
    flags = ["--task=segmentation", "--learning_rate=0.1", "--batch_size=8"]
    flags += ["--network=encoder", f"--init_from={colorizer_file}"]
    result = _run(voc, tmp_path / "masks", *flags)
    assert result["miu"] > 60
    assert result["digests"]["init_from"]
    assert list(result["intersection_over_union"]) == ["0", "1", "2"]
    mask = np.asarray(Image.open(tmp_path / f"masks/masks/{COUNT:03d}.png"))
    assert mask.shape == (SIZE, SIZE)
    assert (tmp_path / "masks" / "masks.png").exists()


def _never(*arguments, **named):
    raise AssertionError("trained")


@pytest.mark.parametrize(
    ("run_dir", "text"), [("file/new", "Cannot write to"), ("full", "exists: choose")]
)
def test_the_folder_is_checked_before_training(
    voc, tmp_path, refused, monkeypatch, run_dir, text
):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "result.json").touch()
    monkeypatch.setattr(training, "train", _never)
    words = [f"--data_dir={voc}", f"--run_dir={tmp_path / run_dir}", *TINY]
    assert text in refused(transfer.main([*words, "--labels_csv=labels.csv"]))


def test_the_weights_are_saved_before_the_measurement(voc, tmp_path, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(training, "predict_labels", fail)
    flags = transfer.Transfer(
        data_dir=str(voc),
        labels_csv="labels.csv",
        image_size=SIZE,
        width=0.0625,
        epochs=1,
        run_dir=str(tmp_path / "x"),
    )
    with pytest.raises(MemoryError):
        transfer.transfer(flags)
    assert (tmp_path / "x" / "network.weights.h5").exists()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "needs --labels_csv"),
        (["--labels_csv=no.csv"], "Cannot read"),
        (["--task=segmentation", "--test_list=test"], "test.txt"),
        (["--task=segmentation", "--dataset=voc/2007"], "needs --dataset=folder"),
        (["--task=segmentation", "--labels_csv=labels.csv"], "not used with --task"),
        (["--task=segmentation", "--crop_area=0.5"], "--crop_area=0.5 is not used"),
        (["--test_list=test"], "--test_list=test is not used with --task=labels"),
        (["--dataset=voc/2007", "--cache=disk"], "is not used with --task=labels and"),
        (["--dataset=voc/2007", "--resize=pad"], "and --dataset=voc/2007: remove it"),
        (["--dataset=voc/2007", "--labels_csv=a.csv"], "--labels_csv=a.csv is not"),
        (["--test_fraction=0.5"], "--test_fraction=0.5 is not used"),
        (["--init_from=a", "--weights=b.h5"], "both weights of the trunk: remove one"),
        (["--dataset=digits"], "has one label per image"),
        (["--labels_csv=labels.csv", "--init_from=nothing"], "nothing"),
    ],
)
def test_wrong_input_is_one_line(voc, tmp_path, refused, flags, text):
    words = [f"--data_dir={voc}", f"--run_dir={tmp_path / 'x'}", *TINY, *flags]
    assert text in refused(transfer.main(words))
