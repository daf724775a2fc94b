"""The summary: means, published numbers beside them, differing settings, the plot."""

import json
import pathlib

import pandas as pd
import pytest

from benchmarks import summary
from color_s4l.report import published as published_rows
from color_s4l.settings import Run

SMALL = {"labels": 1000, "epochs": 4, "method": "sesemi"}


def shown(rows):
    return summary.summary(rows).to_dict("records")


def test_mean_deviation_and_number_of_runs(table):
    runs = table(*((50.0 + 4 * seed, {**SMALL, "seed": seed}) for seed in (0, 1)))
    (line,) = shown(runs)
    # 50, 54: mean 52, deviation sqrt((4 + 4) / 1) = 2.83.
    assert line["error"] == "52.00 ± 2.83 (2)"
    assert line["augmented"] == "51.00 ± 2.83 (2)"
    assert line["best"] == "50.00 ± 2.83 (2)"
    assert (line["labels"], line["data set"]) == ("1,000", "cifar10")
    assert "averaged" not in line  # empty columns are left out


@pytest.mark.parametrize(
    "change", [{"epochs": 30}, {"dtype_policy": "mixed_bfloat16"}, {"zca": False}]
)
def test_runs_with_other_settings_are_never_averaged(table, change):
    runs = [(20.0, {**SMALL, "seed": 1}), (22.0, {**SMALL, "seed": 2, **change})]
    assert len(shown(table(*runs))) == 2
    runs[1] = (22.0, {**SMALL, "seed": 2, "devices": 2})
    assert [line["error"][:5] for line in shown(table(*runs))] == ["21.00"]


def test_published_numbers_of_method_network_and_labels_are_beside_ours(table):
    (line,) = shown(table((30.0, SMALL)))
    assert line["published"].split("; ")[0] == (
        "18.45 ± 0.26 (4) (augmented) Chen 2020, 30 epochs"
    )
    (line,) = shown(table((30.0, {**SMALL, "labels": 1001})))
    assert "published" not in line
    (line,) = shown(table((30.0, {**SMALL, "labeled_only": True})))
    assert line["published"] == "29.44 ± 0.24 (augmented) Chen 2020"  # ASL


def test_a_recipe_and_its_stages_have_their_own_rows(table):
    fields = {"labels": 100, "network": "resnet18"}
    refine = {**fields, "recipe": "refine"}
    rows = table(
        (60.0, refine), (50.0, {**fields, "method": "color_s4l"}),
        (float("nan"), {**refine, "stage": "first"}),
    )  # fmt: skip
    lines = shown(rows)
    names = ["recipe refine", "color_s4l", "recipe refine, first"]
    assert [line["method"] for line in lines] == names
    assert "Rebuffi" in lines[0]["published"]
    assert lines[2]["error"] == "–"
    figure = summary.plot(rows)  # a row without an error is not drawn
    assert len(figure.axes[0].get_legend().get_texts()) == 2


def test_folders_are_data_sets_of_their_own(table):
    own = {"dataset": "folder", "labels": 100}
    runs = [
        (50.0, {**own, "data_dir": f"/home/{name}"}) for name in ("roses", "fields")
    ]
    rows = table(*runs, (54.0, {**own, "data_dir": "/media/roses", "seed": 2}))
    lines = shown(rows)
    assert [line["data set"] for line in lines] == ["roses", "fields"]
    assert [line["error"][:5] for line in lines] == ["52.00", "50.00"]
    titles = [axis.get_title() for axis in summary.plot(rows).axes]
    assert titles == ["roses", "fields"]


def differs(table, **fields):
    rows = table((20.0, {"method": "sesemi", "labels": 1000, **fields}))
    return shown(rows)[0].get("differs", "")


def test_the_defaults_are_the_published_settings(table):
    assert differs(table, labeled_batch=192) == ""
    common = {"method": "color_s4l", "labeled_batch": 224}
    assert differs(table, colorizer="short.h5", **common) == ""
    nin = {"network": "nin", "epochs": 20, "labels": 2000, "labeled_batch": 192}
    assert differs(table, **nin) == ""


def test_differing_settings_are_named_with_the_published_value(table):
    found = differs(table, width=0.25, unlabeled=5000, labeled_batch=192)
    assert found == "unlabeled 5000 (published: default); width 0.25 (published: 1.0)"
    found = differs(table, set=("proxies.weight=2",), labeled_batch=192)
    assert found == "set proxies.weight=2 (published: none)"


def test_other_data_sets_are_compared_with_the_defaults(table):
    assert differs(table, dataset="digits") == ""
    found = differs(table, dataset="digits", width=0.5)
    assert found == "width 0.5 (default: 1.0)"


def test_the_plot_has_a_line_for_each_method_and_settings(table):
    runs = [(50.0, SMALL), (40.0, {**SMALL, "labels": 2000})]
    runs += [(30.0, {**SMALL, "epochs": 30}), (45.0, {**SMALL, "method": "vat"})]
    figure = summary.plot(table(*runs, (9.0, {**SMALL, "dataset": "digits"})))
    first, second = figure.axes
    names = [text.get_text() for text in first.get_legend().get_texts()]
    assert [name.split("\n")[0] for name in names] == ["sesemi", "sesemi", "vat"]
    assert [one.get_text() for one in first.get_xticklabels()] == ["1,000", "2,000"]
    assert second.get_title() == "digits"


def test_files(table, tmp_path):
    awkward = {**SMALL, "dataset": "50%_of_a&b", "method": "sesemi"}
    colored = {**SMALL, "method": "color_s4l", "colorizer": "8 epochs"}
    rows = table(
        (50.0, colored), (40.0, {**SMALL, "method": "pi_model"}), (3.0, awkward)
    )
    text = summary.write(rows, tmp_path / "one.csv")
    assert text == (tmp_path / "one.md").read_text(encoding="utf-8")
    assert "* hardware: 2 cores" in text
    assert "* colorizer: 8 epochs" in text
    latex = (tmp_path / "one.tex").read_text(encoding="utf-8")
    assert r"pi\_model" in latex
    assert r"50\%\_of\_a\&b" in latex
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert not any("%" in line.replace(r"\%", "") for line in body)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_flagfiles_of_published_tables_have_published_numbers():
    # flags/fast has settings of this library. The other folders have their published
    # numbers in comments.
    others = {"baselines", "fast", "s4l", "scarce", "student"}
    paths = [p for p in summary.FLAGS.rglob("*.cfg") if p.parent.name not in others]
    assert len(paths) > 15
    numbers = published_rows.read()
    numbers = numbers[numbers["valid"]]
    for values in map(summary.reference, paths):
        found = numbers[
            (numbers["dataset"] == values["dataset"])
            & (numbers["method"] == published_rows.published_method_of(values))
            & (numbers["network"] == values["network"])
        ]
        assert len(found), values


RESULTS = pathlib.Path(summary.__file__).parent / "results"
FILES = sorted(RESULTS.glob("*.csv"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_result_files_are_tables_with_settings(path):
    assert path.name in (RESULTS / "README.md").read_text(encoding="utf-8")
    rows = pd.read_csv(path)
    if "settings" not in rows:
        return  # of a colorizer; its settings are in results/README.md
    assert not rows["settings"].str.contains("/(?:root|home|tmp)/").any()
    assert {"hardware", "versions", "date"} <= set(rows)
    if "error" in rows and "labels" in rows and "dataset" in rows:
        lines = summary.summary(rows)
        assert lines["error"].str.fullmatch(r"\d+\.\d\d( ± \d+\.\d\d)? \(\d\)").all()
        for settings in rows["settings"]:
            assert set(json.loads(settings)) <= set(Run.__dataclass_fields__)


def test_a_winning_probe_is_in_the_first_line_with_the_name_of_its_weights(
    table, tmp_path
):
    probe = {"labels": 100, "method": "probe", "init_from": "builtin"}
    rows = table((50.0, {"labels": 100, "method": "sesemi"}), (40.0, probe))
    text = summary.write(rows, tmp_path / "table.csv")
    first = text.splitlines()[2]
    assert first.startswith("**The probe wins on cifar10 with 100 labels: ")
    assert first.endswith("(sesemi) has 50.00 %.**")
    lines = shown(rows)
    assert [line["network"] for line in lines] == ["convnet", "convnet (builtin)"]
    rows = table((30.0, {"labels": 100, "method": "sesemi"}), (40.0, probe))
    assert "wins" not in summary.write(rows, tmp_path / "table.csv")
