"""Random bytes in a user's files: no traceback, no hang, nothing executed."""

import io
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from color_s4l.data import image_files, lazy_images
from color_s4l.data.listing import list_files
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

QUICK = settings(
    max_examples=50,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def encoded(kind):
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


# Pillow would start Ghostscript on it.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
WHOLE = [*(encoded(kind) for kind in image_files.FORMATS), POSTSCRIPT]


@some.composite
def damaged(draw):
    """An image file with some bytes replaced, and the end cut off or extended."""
    content = bytearray(draw(some.sampled_from(WHOLE)))
    for place in draw(some.lists(some.integers(0, len(content) - 1), max_size=8)):
        content[place] = draw(some.integers(0, 255))
    end = draw(some.integers(0, len(content)))
    return bytes(content[:end]) + draw(some.binary(max_size=50))


@pytest.fixture(autouse=True)
def nothing_is_started(monkeypatch):
    """Fails the test if a decoder starts another program.

    Attempts are counted, because an error inside a decoder only makes the file
    unreadable.
    """
    started = []

    def start(*words, **_):
        started.append(words)
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", start)
    yield
    assert not started


def check_read(path, content, logged):
    path.write_bytes(content)
    images, reasons = lazy_images.Decoded(lazy_images.Paths([path]), 8).in_memory()
    assert images.shape == (reasons.count(""), 8, 8, 3)
    messages = [f"cannot read {path}: {reason}" for reason in reasons if reason]
    assert logged() == messages
    return reasons[0]


@QUICK
@given(content=some.one_of(some.binary(max_size=300), damaged()))
def test_images(content, tmp_path, logged):
    assert "\n" not in check_read(tmp_path / "image.png", content, logged)


def test_postscript(tmp_path, logged):
    assert "cannot identify" in check_read(tmp_path / "b.png", POSTSCRIPT, logged)


ROWS = some.lists(some.text(max_size=20), max_size=5).map("\n".join)
HEADED = ROWS.map(lambda rows: f"filename,label\n{rows}")
ENCODED = some.tuples(HEADED, some.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))


@QUICK
@given(
    content=some.one_of(
        some.binary(max_size=300),
        ENCODED.map(lambda pair: pair[0].encode(pair[1], "surrogatepass")),
    )
)
@pytest.mark.filterwarnings("ignore:.*read as Latin-1")
def test_tables_of_labels(content, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    text = ""
    try:
        list_files(DataSettings("folder", str(tmp_path), labels_csv=str(path)))
    except InputError as error:
        text = str(error)
    assert len(text.splitlines()) <= 1
