"""The pages "Add a term" and "Add a network", followed in a copy of the repository.

Each block with a file name is written to that file: in the copy if it is a file of the
library, otherwise, for a plug-in, in a folder elsewhere. Then the commands are run.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ("color_s4l", "colorization", "tests", "pyproject.toml", "setup.cfg")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "copy" / "main"
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def execute(module, words, folder, repository):
    """Runs a command as a user would, with the copy as the installed library."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("page", ["docs/add_a_term.md", "docs/add_a_network.md"])
def test_page_works_as_written(page, blocks, repository, tmp_path):
    for block in blocks(page):
        if block.file:
            inside = block.file.startswith("color_s4l/")
            path = (repository if inside else tmp_path) / block.file
            assert not path.exists()
            path.write_text(block.text, encoding="utf-8")
    printed = {}
    for block in blocks(page):
        for module, words in block.commands() if block.language == "bash" else ():
            plugin = any(word.startswith("--plugins") for word in words)
            folder = tmp_path if plugin else repository
            kind = "plugin" if plugin else module
            printed[kind] = execute(module, words, folder, repository)
    assert {"color_s4l.train", "pytest", "plugin"} <= set(printed)
    assert " passed" in printed["pytest"]
