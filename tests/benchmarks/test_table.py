"""The tables made again from run folders and result files."""

import pathlib

import pandas as pd
import pytest

from benchmarks import sources, table
from benchmarks.output import write
from color_s4l.artifacts import tables

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "results"
DEMO = str(RESULTS / "demo.csv")


def test_a_result_file_gives_its_own_numbers_again(tmp_path, capsys):
    output = tmp_path / "new" / "again.csv"
    assert table.main([DEMO, f"--output={output}"]) == 0
    again, before = pd.read_csv(output), pd.read_csv(DEMO)
    assert again["error"].tolist() == before["error"].tolist()
    assert again["command"].tolist() == before["command"].tolist()
    assert set(output.parent.iterdir()) == {
        output.with_suffix(suffix) for suffix in (".csv", ".md", ".tex", ".png")
    }
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert "**52.17 ± 2.77 (3)**" in text
    assert text in capsys.readouterr().out


def test_a_result_file_without_a_colorizer_gives_its_numbers_again(tmp_path):
    measured, output = RESULTS / "cifar10_six_networks.csv", tmp_path / "again.csv"
    assert "colorizer" not in pd.read_csv(measured)
    assert table.main([str(measured), f"--output={output}"]) == 0
    assert pd.read_csv(output).equals(pd.read_csv(measured))


def test_a_table_of_what_learned_no_classes_can_be_read_again(row, tmp_path):
    rows = pd.DataFrame([row(float("nan"), method=name) for name in ("rotnet", "moam")])
    path = tmp_path / "first.csv"
    write(rows, path, "error", "python -m x")
    assert "colorizer" not in pd.read_csv(path)  # which none of them has
    assert sources.read(str(path))["error"].isna().tolist() == [True, True]
    assert table.main([str(path), f"--output={tmp_path / 'again.csv'}"]) == 0


def test_runs_and_files_stand_together_and_each_once(copied, finished, capsys):
    first, begun = copied("first"), copied("begun", finish=False)
    copied("second", seed=2)
    rows = sources.rows([str(first.parent), str(first), DEMO, DEMO])
    assert len(rows) == 2 + len(pd.read_csv(DEMO))
    said = capsys.readouterr().out
    assert f"left out   {begun}: not finished" in said
    assert f"left out   {len(pd.read_csv(DEMO))} runs that are named twice" in said
    one = tables.rows([first]).iloc[0]
    assert one["command"] in rows["command"].tolist()


def test_the_measure_that_is_shown_can_be_chosen(tmp_path):
    output = tmp_path / "best.csv"
    assert table.main([DEMO, "--measure=best_error", f"--output={output}"]) == 0
    before = pd.read_csv(DEMO)
    own = before.loc[before["method"] == "supervised", "best_error"]
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert "selected on test" in text
    assert f"{own.mean():.2f} ± {own.std():.2f} (3)" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Expected run folders. Received: none."),
        (["none"], "none does not exist"),
        (["docs"], "docs holds no runs"),
        (["none.csv"], "none.csv does not exist"),
        ([str(RESULTS / "demo_colorizer.csv")], "is no table of error rates"),
        ([DEMO, "--output=table.tex"], "ends with .csv"),
        ([DEMO, "--measure=loss"], "error_augmented"),
    ],
)
def test_a_slip_is_one_line(words, text, refused):
    assert text in refused(table.main(words))


def test_a_damaged_file_and_a_folder_without_results_are_named(
    tmp_path, copied, refused
):
    wrong = tmp_path / "wrong.csv"
    wrong.write_bytes(b"")
    assert "is no table" in refused(table.main([str(wrong)]))
    begun = copied("begun", finish=False)
    assert "is finished" in refused(table.main([str(begun)]))
