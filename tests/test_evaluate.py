"""color_s4l.evaluate: the printed error rates, and the errors."""

import json
import pathlib
import re
import shutil

import pytest

from color_s4l import evaluate


def printed(name, text):
    """Returns the number on the first line that begins with a name."""
    return float(re.search(rf"^{name} +([0-9.]+) %", text, re.MULTILINE)[1])


def test_prints_the_errors_of_a_run(finished, small_dir, capsys):
    run = f"--run={finished.run_dir}"
    assert evaluate.main([run]) == 0
    text = capsys.readouterr().out
    path = pathlib.Path(finished.run_dir) / "result.json"
    result = json.loads(path.read_text())
    assert printed("error", text) == pytest.approx(result["error"], abs=0.005)
    assert 0 <= printed("augmented", text) <= 100
    best = f"best       {result['best']['error']:.2f} % at epoch"
    assert f"{best} {result['best']['epoch']}, selected on test" in text
    assert "written" not in text
    assert text.count("\nerror ") == 1
    # The same for a model file, and for images that were moved.
    images = f"--data_dir={small_dir}"
    model = f"--model={finished.run_dir}/model.h5"
    for words in ([model, "--dataset=folder", images], [run, images]):
        assert evaluate.main(words) == 0
        assert printed("error", capsys.readouterr().out) == printed("error", text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "either --run=DIR or --model=FILE"),
        (["--run={run}", "--model=model.keras"], "either --run=DIR or --model=FILE"),
        (["--run={run}/no"], r"There is no model at|config\.json"),
        (["--run={empty}"], r"config\.json"),
        (["--model=no.keras"], r"no\.keras"),
        (["--model={run}/log.csv"], "is not a classifier"),
        (["--model={run}/model.h5"], "has 4 classes; digits has 10"),
        (
            ["--model={run}/model.keras", "--dataset=folder", "--data_dir={images}"],
            "takes images of 16 px: set --image_size. Received: 32 px",
        ),
    ],
)
def test_refuses(finished, small_dir, tmp_path, refused, words, text):
    names = {"run": finished.run_dir, "empty": tmp_path, "images": small_dir}
    words = [word.format(**names) for word in words]
    if any("--data_dir" in word for word in words):
        words.append("--image_size=32")
    line = refused(evaluate.main(words))
    assert re.search(text, line), line


def test_refuses_a_damaged_configuration(finished, tmp_path, refused):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"run": ')
    line = refused(evaluate.main([f"--run={tmp_path / 'run'}"]))
    assert "config.json is damaged" in line
