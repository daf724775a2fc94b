"""The pages "Add a term" and "Add a network", followed in a copy of the repository."""

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
    """A copy of the repository."""
    folder = tmp_path / "copy" / "main"
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def execute(command, folder, *path):
    """Runs `python -m` with these folders on PYTHONPATH; returns what it prints."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=inherited | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("page", ["docs/add_a_term.md", "docs/add_a_network.md"])
def test_page_works_as_written(page, blocks, repository, tmp_path):
    shown = blocks(page)
    for block in shown:
        if block.file:
            inside = block.file.startswith("color_s4l/")
            path = (repository if inside else tmp_path) / block.file
            assert not path.exists()
            path.write_text(block.text, encoding="utf-8")
    commands = [
        (module, *words) for block in shown for module, words in block.commands()
    ]
    plugins = {w[10:] for c in commands for w in c if w.startswith("--plugins=")}
    outside = [c for c in commands if "-p" in c or any("--plugins" in w for w in c)]
    printed = {
        c: execute(c, repository, repository) for c in commands if c not in outside
    }
    for name in plugins:
        if not (tmp_path / name).exists():  # the page uses the library's file again
            (file,) = repository.glob(f"color_s4l/*/{name}")
            file.rename(tmp_path / name)
    for command in outside:
        folder = repository if command[0] == "pytest" else tmp_path
        printed[command] = execute(command, folder, repository, tmp_path)
    assert plugins
    assert {"color_s4l.train", "pytest"} <= {command[0] for command in printed}
    for command, text in printed.items():
        assert command[0] != "pytest" or " passed" in text
