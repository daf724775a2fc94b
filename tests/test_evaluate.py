"""What color_s4l.evaluate prints, and what it refuses."""

import json
import pathlib
import re
import shutil

import pytest

from color_s4l import evaluate


def printed(name, text):
    """The number on the first line that begins with a name."""
    return float(re.search(rf"^{name} +([0-9.]+) %", text, re.MULTILINE)[1])


def test_evaluate_prints_the_runs_errors(finished, capsys):
    assert evaluate.main([f"--run={finished.run_dir}"]) == 0
    text = capsys.readouterr().out
    path = pathlib.Path(finished.run_dir) / "result.json"
    result = json.loads(path.read_text())
    assert printed("error", text) == pytest.approx(result["error"], abs=0.005)
    assert 0 <= printed("augmented", text) <= 100
    best = f"best       {result['best']['error']:.2f} % at epoch"
    assert f"{best} {result['best']['epoch']}, selected on test" in text
    # Nothing was written, and the error stands there once.
    assert "written" not in text
    assert text.count("\nerror ") == 1


def test_evaluate_takes_a_model_file_and_moved_images(finished, small_dir, capsys):
    model = f"--model={finished.run_dir}/model.h5"
    images = ["--dataset=folder", f"--data_dir={small_dir}"]
    assert evaluate.main([model, *images]) == 0
    by_file = printed("error", capsys.readouterr().out)
    run = [f"--run={finished.run_dir}", f"--data_dir={small_dir}"]
    assert evaluate.main(run) == 0
    assert printed("error", capsys.readouterr().out) == by_file


def test_evaluate_refuses(finished, tmp_path, refused):
    assert "either --run=DIR or --model=FILE" in refused(evaluate.main([]))
    both = [f"--run={finished.run_dir}", "--model=model.keras"]
    assert "either --run=DIR or --model=FILE" in refused(evaluate.main(both))
    for words, text in (
        ([f"--run={tmp_path / 'no'}"], "There is no model at|is no run's folder"),
        ([f"--run={tmp_path}"], "is no run's folder: it has no readable config.json"),
        (["--model=no.keras"], r"There is no model at no\.keras"),
        ([f"--model={finished.run_dir}/log.csv"], "is no classifier of this library"),
        ([f"--model={finished.run_dir}/model.h5"], "knows 4 classes; digits has 10"),
    ):
        line = refused(evaluate.main(words))
        assert re.search(text, line), line


def test_evaluate_refuses_images_of_another_size(finished, small_dir, refused):
    words = [
        f"--model={finished.run_dir}/model.keras",
        "--dataset=folder",
        f"--data_dir={small_dir}",
        "--image_size=32",
    ]
    assert "(n, 16, 16, 3)" in refused(evaluate.main(words))


def test_evaluate_refuses_a_damaged_configuration(finished, tmp_path, refused):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"run": ')
    assert "config.json is damaged" in refused(
        evaluate.main([f"--run={tmp_path / 'run'}"])
    )
