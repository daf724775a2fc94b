"""A recipe's folder is used as any run's: loaded, predicted with, exported, shown."""

import json

import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import export, predict
from color_s4l.report import __main__ as report
from color_s4l.report import charts, records


@pytest.fixture(scope="module")
def result(alternating):
    return json.loads((alternating / "result.json").read_text())


def test_the_command_predicts_what_the_loaded_classifier_does(
    alternating, small, small_dir, tmp_path
):
    words = [f"--model={alternating}", f"--images={small_dir / 'test'}"]
    assert predict.main([*words, f"--output={tmp_path / 'table.csv'}"]) == 0
    rows = pd.read_csv(tmp_path / "table.csv")
    probabilities = color_s4l.load(alternating).predict(small.test_images)
    # Class by class, as the images stand in the data set.
    assert rows["label"].tolist() == probabilities.argmax(axis=1).tolist()
    found = rows["probability"].to_numpy()
    np.testing.assert_allclose(found, probabilities.max(axis=1), atol=1e-5)


def test_an_export_gives_the_same_probabilities(alternating, small, tmp_path):
    path = tmp_path / "model.keras"
    words = [f"--model={alternating}", "--format=keras", f"--output={path}"]
    assert export.main(words) == 0
    both = [color_s4l.load(p) for p in (alternating, path)]
    assert both[0].classes == both[1].classes == small.classes
    first, second = (one.predict(small.test_images) for one in both)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_its_page_names_the_recipe_and_its_stages(alternating, result, names, tmp_path):
    assert report.main([str(alternating), f"--output={tmp_path / 'page.html'}"]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "alternating on folder, 16 labels" in page
    assert f"{result['error']:.2f}<small> %" in page
    errors = {one["stage"]: one["error"] for one in result["stages"]}
    assert list(errors) == names
    for name, error in errors.items():
        told = "(no classes)" if error is None else f"{error:.2f} %"
        assert f"{name} {told}" in page


def test_it_has_the_last_stages_pictures(alternating, names):
    kept = sorted((alternating / "pictures").iterdir())
    assert {"confusion.png", "curves.png"} <= {p.name for p in kept}
    for path in kept:
        last = alternating / names[-1] / "pictures" / path.name
        assert path.read_bytes() == last.read_bytes()


def test_speeds_are_no_terms_of_the_loss(alternating):
    groups = {
        g["name"]: g["charts"] for g in charts.curves(records.read([alternating]))
    }
    training = [chart["name"] for chart in groups["Training"]]
    assert sorted(training) == [
        "images per second",
        "learning rate",
        "loading busy",
        "loading images per second",
        "seconds",
    ]
