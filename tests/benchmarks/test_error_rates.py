"""The command: from flags to runs, and the four files that it writes."""

import pandas as pd
import pytest
from PIL import Image

from benchmarks import error_rates
from color_s4l.errors import InputError

TINY = [
    "--dataset=folder",
    "--image_size=16",
    "--labels=16",
    "--methods=supervised",
    "--width=0.03",
    "--epochs=1",
    "--batch_size=16",
    "--nojit_compile",
    "--verbosity=0",
]


@pytest.fixture(scope="module")
def words(tmp_path_factory, small_dir):
    folder = tmp_path_factory.mktemp("tables")
    return [
        *TINY,
        f"--data_dir={small_dir}",
        f"--runs={folder / 'runs'}",
        f"--output={folder / 'tables' / 'small.csv'}",
    ]


@pytest.fixture(scope="module")
def folder(words):
    """After the command was run, with one seed of two failing."""
    from color_s4l.training import session

    fit = session.fit

    def fails(run):
        if run.seed == 2:
            raise InputError("this one fails.")
        if run.seed == 3:
            raise ZeroDivisionError("a fault\nof ours")
        return fit(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "fit", fails)
        assert error_rates.main([*words, "--seeds=2,3,4"]) == error_rates.EXIT_FAILED
    return error_rates.pathlib.Path(words[-1].partition("=")[2]).parent


def test_a_failed_run_stops_no_other_and_is_named_with_its_reason(
    folder, words, capsys
):
    assert pd.read_csv(folder / "small.csv")["seed"].tolist() == [4]
    # Now the two that failed are done, and the third is not done again.
    assert error_rates.main([*words, "--seeds=2,4"]) == 0
    said = capsys.readouterr().out
    assert "runs       2, 1 of them complete" in said
    assert said.count("complete   folder_16_supervised") == 1
    assert pd.read_csv(folder / "small.csv")["seed"].tolist() == [2, 4]


def test_the_reasons_stand_at_the_end(words, capsys, monkeypatch):
    from color_s4l.training import session

    def fails(run):
        if run.seed == 12:
            raise ZeroDivisionError("a fault\nof ours")
        raise InputError("this one fails.")

    monkeypatch.setattr(session, "fit", fails)
    assert error_rates.main([*words, "--seeds=11,12"]) == error_rates.EXIT_FAILED
    captured = capsys.readouterr()
    *_, head, first, second = captured.out.splitlines()
    assert head == "failed     2 of 2 runs:"
    assert first.endswith(": this one fails.")
    assert second.endswith(": ZeroDivisionError: a fault")
    assert "Traceback" in captured.err  # of our own fault, not of the user's


def test_four_files_carry_the_numbers_and_where_they_come_from(folder):
    table = pd.read_csv(folder / "small.csv")
    assert table["settings"].str.startswith("reduced: width 0.03, 1 epochs").all()
    number = f"{table['error'].mean():.2f}"
    for suffix in (".md", ".tex"):
        text = (folder / "small").with_suffix(suffix).read_text()
        assert number in text
        for origin in ("hardware: ", "versions: ", "seeds: ", "date: "):
            assert origin in text
        assert "command: python -m benchmarks.error_rates" in text
        assert str(folder) not in text  # folders of this machine stay on it
    with Image.open(folder / "small.png") as picture:
        assert "n = " in picture.text["runs"]
        assert "benchmarks.error_rates" in picture.text["command"]


def test_nothing_is_drawn_where_there_is_no_terminal(words, capsys):
    assert error_rates.main([*words, "--seeds=4"]) == 0
    assert "%|" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--methods=sesemi,sesmi", "Did you mean 'sesemi'"),
        ("--networks=convnot", "Did you mean 'convnet'"),
        ("--labels=all,some", "expected numbers"),
        ("--output=table.txt", "ends with .csv"),
        ("--processes=0", "expected at least 1"),
        ("--joblib_backend=spark", "loky|dask|ray"),
        ("--cluster=host:1", "needs --joblib_backend=dask or ray"),
        ("--measure=accuracy", "error_augmented"),
        ("--set=proxies.weight=2", "no run of this table has a term 'proxies'"),
        ("--pseudo_labels=a.npz", "--method=supervised reads none"),
        ("--dropout=1.5", "--dropout=1.5: expected 0 <= p < 1"),
        ("--method=sesemi", "Unknown command line flag 'method'"),
    ],
)
def test_a_slip_is_one_line_before_anything_runs(words, flag, text, refused):
    assert text in refused(error_rates.main([*words, flag]))


def test_a_missing_colorizer_is_named_before_anything_runs(words, refused):
    flags = [*words, "--methods=supervised,color_s4l", "--colorizer=none.h5"]
    assert "there is no such file" in refused(error_rates.main(flags))
