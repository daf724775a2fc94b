"""The three commands, from flags to files, on the built-in images."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from colorization import colorize, evaluate, train
from colorization.colorizer import Colorizer

TINY = ["--dataset=digits", "--images=60", "--width=0.0625", "--verbosity=0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "digits_2.h5"
    assert train.main([*TINY, "--epochs=2", f"--output={path}"]) == 0
    return path


def test_train_announces_writes_and_cleans_up(tmp_path, capsys):
    path = tmp_path / "c.keras"
    assert train.main([*TINY, "--epochs=1", f"--output={path}"]) == 0
    text = capsys.readouterr().out
    # Width 1/16: the encoder has 4 and 8 and 16 and 32 filters.
    assert "60 of digits, 32x32 px" in text
    assert "1 epochs of 1, 100 each" in text
    assert "trained parameters" in text
    assert "On 400 test images: argmax(a*, b*) agrees in" in text
    assert f"The result goes to {path}" in text
    assert [file.name for file in tmp_path.iterdir()] == ["c.keras"]
    assert Colorizer.load(path).origin.dataset == "digits"


def test_default_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main([*TINY, "--epochs=1"]) == 0
    assert (tmp_path / "digits_1.h5").is_file()


def test_interrupted_run_is_named_and_resumed(tmp_path, capsys, monkeypatch, refused):
    path = tmp_path / "c.h5"
    flags = [*TINY, "--epochs=1", f"--output={path}"]

    def interrupt(colorizer, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Colorizer, "save", interrupt)
        assert train.main(flags) == 130
    assert "the same command with --resume" in capsys.readouterr().err
    assert "continue with --resume" in refused(train.main(flags))
    assert train.main([*flags, "--resume"]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["c.h5"]


def test_train_refuses(trained, tmp_path, refused):
    output = f"--output={tmp_path / 'c.h5'}"
    for flags, text in (
        ([*TINY, f"--output={trained}"], "exists already: give another --output"),
        (["--images=99999", output], "Expected --images from 1 to"),
        (["--epochs=0", output], "Expected --epochs to be 1 or more"),
        (["--network=encoder", output], "encoder_decoder"),
        (["--output=c.pt"], "to end with .h5 or .keras"),
    ):
        assert text in refused(train.main(flags))


def test_evaluate_compares_colorizers(trained, tmp_path, capsys):
    other = tmp_path / "histogram.h5"
    flags = [*TINY, "--network=histogram", "--epochs=1", f"--output={other}"]
    assert train.main(flags) == 0
    both = [f"--colorizer={trained}", f"--colorizer={other}", "--dataset=digits"]
    flags = ["--images=30", f"--output={tmp_path}", "--samples=4"]
    assert evaluate.main([*both, *flags]) == 0
    text = capsys.readouterr().out
    about = json.loads((tmp_path / "scores.json").read_text())
    rows = ["digits_2", "histogram", "grey", "tint", "original"]
    assert list(about["scores"]) == rows
    for row in about["scores"].values():
        assert row["rmse"] == pytest.approx(127 * row["mse"] ** 0.5)
    assert about["scores"]["tint"]["mse"] < about["scores"]["grey"]["mse"]
    # 2 epochs on 60 images.
    assert "learned no more than a tint. Train it for more epochs" in text
    assert f"{about['scores']['histogram']['psnr']:.5f}" in text
    assert about["origins"]["digits_2"]["epochs"] == 2
    assert about["origins"]["histogram"]["network"] == "histogram"
    # File names without their folders, which depend on the machine.
    assert about["settings"]["colorizer"] == [trained.name, other.name]
    table = pd.read_csv(tmp_path / "scores.csv", index_col="images")
    assert list(table.index) == rows
    assert list(table) == list(about["scores"]["grey"])
    with Image.open(tmp_path / "samples.png") as picture:
        width, height = picture.size
        assert height / width == pytest.approx(4 * 1.25 / 4, rel=0.02)  # 4 rows
        assert np.std(picture.convert("RGB")) > 20  # not an empty canvas


def test_evaluate_refuses(trained, refused):
    for files, text in (
        (["no.h5"], "Train a colorizer: python -m colorization.train"),
        ([], "one or more files with different names"),
        ([trained, trained], "Received: digits_2, digits_2."),
        (["grey.h5"], "none of them grey, tint, original"),
    ):
        flags = [f"--colorizer={file}" for file in files]
        assert text in refused(evaluate.main(["--dataset=digits", *flags]))


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
    assert colorize.read(output / "sub" / "a.png").shape == (37, 50, 3)
    assert colorize.read(output / "b.jpg").shape == (37, 50, 3)


def test_colorize_refuses(trained, tmp_path, refused, crops):
    path = tmp_path / "a.png"
    Image.fromarray(crops(1)[0]).save(path)
    before = path.read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "--colorizer is missing" in refused(colorize.main([]))
    flags = [f"--colorizer={trained}", f"--input={path}", f"--output={tmp_path}"]
    assert "nothing is overwritten" in refused(colorize.main(flags))
    assert path.read_bytes() == before
    flags = [f"--colorizer={trained}", f"--input={empty}", "--output=out"]
    assert "has no image" in refused(colorize.main(flags))
    path.write_bytes(b"no image")
    flags = [f"--colorizer={trained}", f"--input={path}", f"--output={empty}"]
    assert "None of the images could be read" in refused(colorize.main(flags))


def test_results_keep_their_names(tmp_path):
    (tmp_path / "sub").mkdir()
    names = ["a.JPG", "sub/b.gif"]
    for name in names:
        (tmp_path / name).touch()
    found = colorize.find(tmp_path)
    targets = [colorize.target(p, tmp_path, tmp_path / "out") for p in found]
    relative = [str(t.relative_to(tmp_path)) for t in targets]
    assert relative == ["out/a.JPG", "out/sub/b.gif.png"]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n half"])
def test_unreadable_photographs(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot identify|PNG|truncated"):
        colorize.read(tmp_path / "a.png")


def test_an_image_too_large_for_its_format_is_skipped(
    trained, tmp_path, capsys, refused
):
    image = Image.new("RGB", (16_384, 8))
    image.save(tmp_path / "wide.png")
    (tmp_path / "wide.png").rename(tmp_path / "wide.webp")
    words = [f"--colorizer={trained}", f"--input={tmp_path / 'wide.webp'}"]
    code = colorize.main([*words, f"--output={tmp_path / 'out'}"])
    assert "None of the images could be read" in refused(code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train", "evaluate", "colorize"])
def test_help_loads_no_framework(name, python):
    done = python("-X", "importtime", "-m", f"colorization.{name}", "--help")
    assert "python -m colorization" in done.stdout
    loaded = re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE)
    assert not loaded
