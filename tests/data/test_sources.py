"""Contract of every source, and a source of a user's own."""

import numpy as np
import pytest

from color_s4l import command_line, data, registry
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

PLUGIN = """
import numpy as np
from color_s4l import data
from color_s4l.registry import register_source

@register_source("my_source", options=("test_fraction",))
def load(settings):
    images = np.zeros((4, settings.image_size, settings.image_size, 3), np.uint8)
    name = str(settings.test_fraction)
    return data.Data.from_arrays(images, [0, 1, -1, -1], name=name)
"""


@pytest.fixture
def arguments(small_dir):
    """`data_dir` of the registered sources that need one."""
    return {"folder": {"data_dir": str(small_dir)}}


@pytest.mark.parametrize("name", registry.SOURCES)
def test_returns_images_of_the_size_asked_for(name, arguments):
    settings = DataSettings(name, image_size=8, **arguments.get(name, {}))
    dataset, again = data.load(settings), data.load(settings)
    assert dataset.size == 8
    assert data.content(dataset.images) == data.content(again.images)
    assert dataset.labels.tolist() == again.labels.tolist()


def test_a_parameter_of_another_source_is_refused():
    with pytest.raises(InputError, match=r"^`resize`=pad needs `dataset`=folder\. "):
        data.load(DataSettings("digits", resize="pad"))
    with pytest.raises(
        InputError, match=r"`cache`=disk .* or a data set of tensorflow"
    ):
        data.load(DataSettings("digits", cache="disk"))
    with pytest.raises(InputError, match=r"`image_size` to be 1 or more. Received: 0"):
        data.load(DataSettings(image_size=0))


def test_a_source_in_a_users_file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.SOURCES, "_entries", dict(registry.SOURCES._all()))
    monkeypatch.setattr(registry, "_loaded", {})
    (tmp_path / "my_source.py").write_text(PLUGIN)
    registry.load_plugins([str(tmp_path / "my_source.py")])
    flags = ["--dataset=my_source", "--image_size=8", "--test_fraction=0.5"]
    dataset = data.load(command_line.parse(DataSettings, flags, ""))
    assert dataset.name == "0.5"
    assert dataset.images.shape == (4, 8, 8, 3)
    assert dataset.labels.dtype == np.int32
    with pytest.raises(InputError, match="`cache`=none needs `dataset`=folder"):
        data.load(DataSettings("my_source", cache="none"))
    with pytest.raises(InputError, match="needs `dataset`=folder or my_source"):
        data.load(DataSettings("digits", test_fraction=0.1))
