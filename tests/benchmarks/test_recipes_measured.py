"""Methods and recipes in one table, made by one command."""

import pathlib

import pandas as pd
import pytest

from benchmarks import error_rates, sources

NAMES = [
    "recipe rotnet_linear",
    "recipe rotnet_linear, pretraining",
    "recipe rotnet_linear, linear",
]


@pytest.fixture(scope="module")
def words(tmp_path_factory, small_dir):
    folder = tmp_path_factory.mktemp("recipes")
    return [
        f"--data_dir={small_dir}",
        "--dataset=folder",
        "--image_size=12",
        "--labels=16",
        "--seeds=1",
        "--methods=supervised",
        "--recipes=rotnet_linear",
        # Each run has what it knows of these.
        "--set=supervised.weight=2",
        "--set=rotnet_linear.rate=1",
        "--stage=linear.epochs=2",
        "--width=0.03",
        "--epochs=1",
        "--batch_size=16",
        "--nozca",
        "--nojit_compile",
        "--verbosity=0",
        f"--runs={folder / 'runs'}",
        f"--output={folder / 'both.csv'}",
    ]


@pytest.fixture(scope="module")
def folder(words):
    """After the command was run, the recipe being interrupted between its stages."""
    from color_s4l.training import session

    fit = session.fit

    def stops(run, *others):
        if run.run_dir.endswith("linear"):
            raise ZeroDivisionError("as good as a kill")
        return fit(run, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "fit", stops)
        assert error_rates.main(words) == error_rates.EXIT_FAILED
    return pathlib.Path(words[-1].partition("=")[2]).parent


@pytest.fixture(scope="module")
def complete(folder, words):
    """After the same command again."""
    (pretrained,) = folder.glob("runs/*rotnet_linear*/pretraining/result.json")
    before = pretrained.stat().st_mtime_ns
    assert pd.read_csv(folder / "both.csv")["method"].tolist() == ["supervised"]
    assert error_rates.main(words) == 0
    assert pretrained.stat().st_mtime_ns == before  # the stage was not done again
    return folder


def test_methods_and_recipes_are_rows_of_one_table(complete):
    table = pd.read_csv(complete / "both.csv")
    assert table["method"].tolist() == ["supervised", "rotnet_linear"]
    assert table["error"].between(0, 100).all()
    for suffix in (".md", ".tex"):
        text = (complete / "both").with_suffix(suffix).read_text()
        assert "recipe rotnet" in text
        for error in table["error"]:
            assert f"{error:.2f} (1)" in text
    assert (complete / "both.png").stat().st_size > 1000
    supervised, recipe = table["command"]
    assert "--recipe" not in supervised
    assert "rotnet_linear.rate" not in supervised
    for word in ("--set=rotnet_linear.rate=1", "--stage=linear.epochs=2"):
        assert word in recipe


def test_a_second_call_trains_nothing(complete, words, capsys, monkeypatch):
    from color_s4l.training import session

    monkeypatch.setattr(session, "fit", None)
    assert error_rates.main(words) == 0
    assert "runs       2, 2 of them complete" in capsys.readouterr().out


def test_each_stage_is_a_row_on_request(complete, words):
    output = complete / "stages.csv"
    assert error_rates.main([*words, "--stages", f"--output={output}"]) == 0
    table = pd.read_csv(output)
    assert table["stage"].fillna("").tolist() == ["", "", "pretraining", "linear"]
    assert table["method"].tolist()[2:] == ["rotnet", "supervised"]
    assert table["epochs"].tolist() == [1, 1, 1, 2]
    # The whole is its last stage; what learned no classes has no error rate.
    assert table["error"][1] == table["error"][3]
    assert table["error"].isna().tolist() == [False, False, True, False]
    # They are the recipe's: the same settings and the same command as the whole.
    assert table["settings"].tolist()[1:] == [table["settings"][1]] * 3
    assert table["command"].tolist()[1:] == [table["command"][1]] * 3
    lines = output.with_suffix(".md").read_text().splitlines()
    cells = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert cells[2:] == ["supervised", *NAMES]
    assert next(li for li in lines if NAMES[1] in li).split("|")[5].strip() == "–"


def test_the_table_command_reads_both(complete):
    again = sources.rows([str(complete / "stages.csv")])
    runs = sources.rows([str(complete / "runs"), str(complete / "both.csv")])
    assert (len(again), len(runs)) == (4, 2)


def test_another_setting_of_a_recipe_is_another_run(complete, words):
    def place(*more):
        flags = error_rates.commands.parse(error_rates.ErrorRates, [*words, *more], "")
        return error_rates.places(error_rates._checked(flags), complete / "runs")

    assert [one.done for one in place()] == [True, True]
    assert [one.done for one in place("--stage=linear.epochs=3")] == [True, False]
    assert [one.done for one in place("--set=rotnet_linear.decay=2")] == [True, False]
    assert [one.done for one in place("--epochs=2")] == [False, False]


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--recipes=rotnet_linaer", "Did you mean 'rotnet_linear'"),
        ("--recipes=refine", "begins from a run: name it, --init_from"),
        ("--stage=linear.epochs=0", "--epochs=0: expected at least 1"),
        ("--stage=linear.epoch=2", "no flag 'epoch'. Did you mean 'epochs'"),
        ("--set=rotnet_linear.rat=2", "no hyper-parameter 'rat'. Did you mean 'rate'"),
    ],
)
def test_a_slip_is_one_line_before_anything_runs(words, flag, text, refused):
    assert text in refused(error_rates.main([*words, flag]))
