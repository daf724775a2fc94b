"""A folder that can't be written to is known before anything is."""

import errno
import os
import tempfile

import pytest

from color_s4l.artifacts.run_directory import RunFolder, make_folder
from color_s4l.errors import InputError


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    # By hand: root, as which containers run, may write anywhere.
    def read_only(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(InputError, match=r"Can't write to .*: Read-only"):
        make_folder(RunFolder(tmp_path))
