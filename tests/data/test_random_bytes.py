"""Whatever bytes a user's files hold: no traceback, no hang, nothing executed."""

import io
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from color_s4l.data import image_files, labels_csv
from color_s4l.errors import InputError

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


# Pillow would start Ghostscript on the last.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
WHOLE = [*(encoded(kind) for kind in image_files.FORMATS), POSTSCRIPT]


@some.composite
def damaged(draw):
    """An image file with some bytes replaced, and the end cut off or grown."""
    content = bytearray(draw(some.sampled_from(WHOLE)))
    for place in draw(some.lists(some.integers(0, len(content) - 1), max_size=8)):
        content[place] = draw(some.integers(0, 255))
    end = draw(some.integers(0, len(content)))
    return bytes(content[:end]) + draw(some.binary(max_size=50))


@pytest.fixture(autouse=True)
def nothing_is_started(monkeypatch):
    """Fails the test if a decoder starts another program.

    What is raised inside a decoder only makes the file unreadable, so the attempts are
    counted.
    """
    started = []

    def start(*words, **_):
        started.append(words)
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", start)
    yield
    assert not started


@QUICK
@given(content=some.one_of(some.binary(max_size=300), damaged()))
def test_images(content, read_files, tmp_path, capsys):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    images, good = read_files([path], 8)
    assert images.shape == (len(good), 8, 8, 3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) + len(good) == 1


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
def test_tables_of_labels(content, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    said = ""
    try:
        labels_csv.list_files(tmp_path, path)
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1
