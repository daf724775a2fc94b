"""The S-epochs comparison of colorizers: one training, kept several times."""

import dataclasses

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.colorizers import Colorizers, colorizers, main
from color_s4l.errors import InputError
from colorization.train import Train, train

SETTINGS = {"images": 40, "width": 0.1, "batch_size": 20, "verbosity": 0}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colorizers")
    flags = Colorizers(
        epochs="2,1", test_images=30, samples=3, output=str(folder), **SETTINGS
    )
    return flags, folder, colorizers(flags)


def weights(path):
    found = {}
    with h5py.File(path) as file:

        def keep(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        file["model_weights"].visititems(keep)
    return found


def test_the_table_has_a_row_for_every_number_of_epochs_and_its_origin(compared):
    _, folder, table = compared
    assert list(table["epochs"]) == ["grey", "tint", 1, 2]
    written = pd.read_csv(folder / "colorizers.csv")
    assert {"settings", "versions", "hardware", "date", "images", "seed"} <= set(
        written
    )
    np.testing.assert_allclose(written["mse"], table["mse"])
    # The grey row is what the test images are without any colour, whatever is trained.
    assert table["mse"][0] > table["mse"][3]
    assert table["test_images"].eq(30).all()


def test_the_picture_has_a_row_for_each(compared):
    _, folder, _ = compared
    with Image.open(folder / "colorizers.png") as picture:
        width, height = picture.size
    # 3 images wide; 4 rows with their names: original, grey, 1 and 2 epochs.
    assert height / width == pytest.approx(4 * 1.25 / 3, rel=0.02)


def test_two_epochs_are_those_of_a_training_of_two(compared, tmp_path):
    _, folder, _ = compared
    whole = tmp_path / "whole.h5"
    train(Train(output=str(whole), epochs=2, **SETTINGS))
    kept, expected = weights(folder / "digits_2.h5"), weights(whole)
    assert kept.keys() == expected.keys()
    assert len(kept) > 10
    for name, value in expected.items():
        np.testing.assert_allclose(kept[name], value, rtol=1e-4, atol=1e-6)


def test_files_of_other_settings_are_refused(compared):
    flags, _, _ = compared
    other = dataclasses.replace(flags, width=0.2)
    with pytest.raises(InputError, match=r"trained with width=0.1, not 0.2"):
        colorizers(other)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("--epochs=1,x", "--epochs to be whole numbers"),
        ("--epochs=0", "--epochs of at least 1"),
        ("--samples=0", "--samples to be 1 or more"),
        ("--dataset=folder", "data_dir"),
        ("--epoch=1", "epoch"),
    ],
)
def test_wrong_input_is_one_line(wrong, text, tmp_path, capsys):
    assert main([f"--output={tmp_path / 'x'}", wrong]) == 2
    error = capsys.readouterr().err.strip()
    assert text in error
    assert "\n" not in error
