import subprocess
import sys

import numpy as np
import pytest

from color_s4l.data import Data, decoding, image_files


@pytest.fixture(scope="session")
def cifar100_dir(shared, tmp_path_factory):
    """A TFDS directory: 3 training and 1 test image of each class of CIFAR-100."""
    directory = tmp_path_factory.mktemp("cifar100")
    script = shared / "tools" / "prepare_data.py"
    limits = ["--train-per-class", "3", "--test-per-class", "1"]
    subprocess.run(
        [sys.executable, script, "tfds", "cifar100", directory, *limits],
        check=True,
        capture_output=True,
    )
    return directory


@pytest.fixture
def toy():
    """3 classes, 8 + 6 + 4 labelled images and 2 without; image i is filled with i."""
    labels = np.array([0] * 8 + [1] * 6 + [2] * 4 + [-1] * 2, np.int32)
    images = np.zeros((20, 4, 4, 3), np.uint8) + np.arange(20, dtype=np.uint8).reshape(
        20, 1, 1, 1
    )
    return Data("toy", ("cat", "NA", "x,y"), images, labels, images[:2], labels[:2])


@pytest.fixture
def read_files():
    """A function: paths to the images in memory and which of the paths they are."""

    def read(paths, size, fit="crop"):
        images, reasons = decoding.images_of(paths, size, fit, "memory")
        return images, image_files.named(paths, reasons)

    return read
