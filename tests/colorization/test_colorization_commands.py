"""The three commands, from flags to files, on the built-in images."""

import json
import re

import pytest
from PIL import Image

from colorization import colorize, evaluate, photographs, saving, train

TINY = ["--dataset=digits", "--images=60", "--width=0.0625", "--verbosity=0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "digits_2.h5"
    assert train.main([*TINY, "--epochs=2", f"--output={path}"]) == 0
    return path


def _error(capsys, code):
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_train_announces_writes_and_cleans_up(tmp_path, capsys):
    path = tmp_path / "c.keras"
    assert train.main([*TINY, "--epochs=1", f"--output={path}"]) == 0
    text = capsys.readouterr().out
    # Width 1/16: the encoder has 4 and 8 and 16 and 32 filters.
    assert "60 of digits, 32x32 px" in text
    assert "1 epochs of 1, 100 each" in text
    assert "trained parameters" in text
    assert f"The result goes to {path}" in text
    assert [file.name for file in tmp_path.iterdir()] == ["c.keras"]
    assert saving.load(path).origin.dataset == "digits"


def test_default_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main([*TINY, "--epochs=1"]) == 0
    assert (tmp_path / "digits_1.h5").is_file()


def test_train_overwrites_nothing(trained, capsys):
    code = train.main([*TINY, f"--output={trained}"])
    assert "exists already: give another --output" in _error(capsys, code)


def test_interrupted_run_is_named_and_resumed(tmp_path, capsys, monkeypatch):
    path = tmp_path / "c.h5"
    flags = [*TINY, "--epochs=1", f"--output={path}"]

    def interrupt(model, path, origin):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save", interrupt)
        assert train.main(flags) == 130
    assert "the same command with --resume" in capsys.readouterr().err
    assert "go on with --resume" in _error(capsys, train.main(flags))
    assert train.main([*flags, "--resume"]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["c.h5"]


def test_too_many_images(tmp_path, capsys):
    code = train.main(["--images=99999", f"--output={tmp_path / 'c.h5'}"])
    assert "Expected --images from 1 to" in _error(capsys, code)


def test_evaluate(trained, tmp_path, capsys):
    flags = [f"--colorizer={trained}", "--images=30", f"--output={tmp_path}"]
    assert evaluate.main(["--dataset=digits", *flags, "--samples=4"]) == 0
    text = capsys.readouterr().out
    about = json.loads((tmp_path / "scores.json").read_text())
    assert set(about["colorized"]) == {"mse", "psnr", "ssim", "agreement"}
    assert f"{about['colorized']['psnr']:.5f}" in text
    assert about["origin"]["epochs"] == 2
    # A table travels: files without their folders.
    assert f"--colorizer={trained.name} " in about["command"]
    assert "/" not in about["command"]
    assert (tmp_path / "scores.csv").read_text().startswith("images,mse,psnr,ssim")
    picture = photographs.read(tmp_path / "samples.png")
    assert picture.std() > 20  # not an empty canvas


def test_evaluate_without_colorizer(capsys):
    code = evaluate.main(["--colorizer=no.h5", "--dataset=digits"])
    assert "Train a colorizer: python -m colorization.train" in _error(capsys, code)


def test_colorize_a_folder(trained, tmp_path, capsys, crops):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    photograph = crops(1, 60)[0, :37, :50]
    Image.fromarray(photograph).save(source / "sub" / "a.png")
    Image.fromarray(photograph).convert("L").save(source / "b.jpg")
    (source / "broken.png").write_bytes(b"no image")
    flags = [f"--colorizer={trained}", f"--input={source}", f"--output={output}"]
    assert colorize.main(flags) == 0
    text = capsys.readouterr().out
    assert f"skipped {source / 'broken.png'}" in text
    assert "Colourised 2 images, skipped 1." in text
    assert photographs.read(output / "sub" / "a.png").shape == (37, 50, 3)
    assert photographs.read(output / "b.jpg").shape == (37, 50, 3)


def test_colorize_overwrites_nothing(trained, tmp_path, capsys, crops):
    path = tmp_path / "a.png"
    Image.fromarray(crops(1)[0]).save(path)
    before = path.read_bytes()
    flags = [f"--colorizer={trained}", f"--input={path}", f"--output={tmp_path}"]
    assert "nothing is overwritten" in _error(capsys, colorize.main(flags))
    assert path.read_bytes() == before


def test_colorize_only_unreadable(trained, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"no image")
    flags = [f"--colorizer={trained}", f"--input={tmp_path}"]
    code = colorize.main([*flags, f"--output={tmp_path / 'out'}"])
    assert "None of the images could be read" in _error(capsys, code)


def test_colorize_missing_flag_and_folder(tmp_path, capsys):
    assert "--colorizer is missing" in _error(capsys, colorize.main([]))
    flags = ["--colorizer=c.h5", f"--input={tmp_path}", "--output=out"]
    assert "has no image" in _error(capsys, colorize.main(flags))


@pytest.mark.parametrize("name", ["train", "evaluate", "colorize"])
def test_help_loads_no_framework(name, python):
    done = python("-X", "importtime", "-m", f"colorization.{name}", "--help")
    assert "python -m colorization" in done.stdout
    loaded = re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE)
    assert not loaded
