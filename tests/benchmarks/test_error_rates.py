"""The command: from flags to runs of methods and recipes, and its four files."""

import json
import pathlib

import pandas as pd
import pytest
from PIL import Image

from benchmarks import error_rates
from color_s4l import command_line
from color_s4l.artifacts import builtin
from color_s4l.errors import InputError
from color_s4l.training import session


@pytest.fixture(scope="module")
def words(tmp_path_factory, small_dir):
    folder = tmp_path_factory.mktemp("tables")
    return [
        "--dataset=folder",
        f"--data_dir={small_dir}",
        "--image_size=12",
        "--labels=16",
        "--methods=supervised",
        "--recipes=rotnet_finetune",
        "--seeds=1",
        # Each run gets the ones that it can use.
        "--set=supervised.weight=2",
        "--set=rotnet_finetune.rate=1",
        "--stage=finetuning.epochs=2",
        "--width=0.03",
        "--epochs=1",
        "--batch_size=16",
        "--nozca",
        "--nojit_compile",
        "--verbosity=0",
        "--noprobe",
        f"--runs={folder / 'runs'}",
        f"--output={folder / 'tables' / 'small.csv'}",
    ]


@pytest.fixture(scope="module")
def output(words):
    return pathlib.Path(words[-1].partition("=")[2])


@pytest.fixture(scope="module")
def interrupted(words, output):
    """The command's output after the recipe failed between its stages."""
    train = session.train

    def stops(run, *others, **more):
        if run.run_dir.endswith("finetuning"):
            raise ZeroDivisionError("a bug\nof ours")
        return train(run, *others, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "train", stops)
        assert error_rates.main(words) == error_rates.EXIT_FAILED
    assert pd.read_csv(output)["method"].tolist() == ["supervised"]
    return output


@pytest.fixture(scope="module")
def complete(interrupted, words):
    """The files after the same command was run again."""
    runs = interrupted.parents[1] / "runs"
    (stage,) = runs.glob("*rotnet_finetune*/pretraining/result.json")
    (method,) = runs.glob("*supervised*/result.json")
    before = [path.stat().st_mtime_ns for path in (stage, method)]
    assert error_rates.main(words) == 0
    assert [path.stat().st_mtime_ns for path in (stage, method)] == before
    return interrupted


def test_methods_and_recipes_are_rows_of_one_table(complete):
    table = pd.read_csv(complete)
    assert table["method"].tolist() == ["supervised", "rotnet_finetune"]
    assert table["error"].between(0, 100).all()
    method, recipe = map(json.loads, table["settings"])
    assert method["set"] == ["supervised.weight=2"]
    assert method["stage"] == []
    assert recipe["set"] == ["supervised.weight=2", "rotnet_finetune.rate=1"]
    assert recipe["stage"] == ["finetuning.epochs=2"]
    for suffix in (".md", ".tex"):
        text = complete.with_suffix(suffix).read_text(encoding="utf-8")
        for error in table["error"]:
            assert f"{error:.2f} (1)" in text
        for origin in ("hardware: ", "versions: ", "seed: ", "date: "):
            assert origin in text
        assert str(complete.parent) not in text
    with Image.open(complete.with_suffix(".png")) as picture:
        assert picture.text["seed"] == "1"


def test_a_complete_table_trains_nothing(complete, words, capsys, monkeypatch):
    monkeypatch.setattr(session, "train", None)
    assert error_rates.main(words) == 0
    assert "runs       2, 2 of them complete" in capsys.readouterr().out


def test_each_stage_is_a_row_on_request(complete, words):
    output = complete.with_name("stages.csv")
    assert error_rates.main([*words, "--stages", f"--output={output}"]) == 0
    table = pd.read_csv(output)
    assert table["stage"].fillna("").tolist() == ["", "", "pretraining", "finetuning"]
    assert table["method"].tolist()[2:] == ["rotnet", "supervised"]
    assert table["epochs"].tolist() == [1, 1, 1, 2]
    # The result of the recipe is the one of its last stage; the first stage learned no
    # classes and has no error rate.
    assert table["error"][1] == table["error"][3]
    assert table["error"].isna().tolist() == [False, False, True, False]
    assert table["settings"].tolist()[1:] == [table["settings"][1]] * 3
    lines = output.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    names = [line.split("|")[3].strip() for line in lines if line.startswith("|")]
    recipe = "recipe rotnet_finetune"
    stages = [recipe, f"{recipe}, pretraining", f"{recipe}, finetuning"]
    assert names[2:] == ["supervised", *stages]


def test_reasons_of_failures_are_printed_at_the_end(words, capsys, monkeypatch):
    def fails(run, *others, **more):
        if run.seed == 12:
            raise ZeroDivisionError("a bug\nof ours")
        raise InputError("`labels` are wrong.")

    monkeypatch.setattr(session, "train", fails)
    kept = [w for w in words if not w.startswith(("--set", "--stage", "--recipes"))]
    assert error_rates.main([*kept, "--seeds=11,12"]) == error_rates.EXIT_FAILED
    captured = capsys.readouterr()
    *_, head, first, second = captured.out.splitlines()
    assert head == "failed     2 of 2 runs:"
    assert first.endswith(": --labels are wrong.")
    assert second.endswith(": ZeroDivisionError: a bug")
    assert "Traceback" in captured.err  # only for a bug
    assert "%|" not in captured.err  # no progress bar without a terminal


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--methods=sesemi,sesmi", "Did you mean 'sesemi'"),
        ("--networks=convnot", "Did you mean 'convnet'"),
        ("--recipes=rotnet_linaer", "Did you mean 'rotnet_linear'"),
        ("--recipes=refine", "--init_from"),
        ("--labels=all,some", "--labels to be whole numbers"),
        ("--output=table.txt", "--output to be the name of a .csv file"),
        ("--processes=0", "Expected --processes to be 1 or more"),
        ("--joblib_backend=ray", "loky|dask"),
        ("--cluster=host:1", "--cluster needs --joblib_backend=dask"),
        ("--set=vat.weight=2", "no run of this table has a term 'vat'"),
        ("--stage=finetuning.epochs=0", "Expected --epochs to be 1 or more"),
        ("--set=rotnet_finetune.rat=2", "Did you mean 'rate'"),
        ("--pseudo_labels=a.npz", "--pseudo_labels"),
        ("--dropout=1.5", "--dropout"),
        ("--method=sesemi", "Unknown command line flag 'method'"),
    ],
)
def test_an_error_is_one_line_before_anything_runs(words, flag, text, refused):
    assert text in refused(error_rates.main([*words, flag]))


def test_a_missing_colorizer_is_named_before_anything_runs(words, refused):
    flags = [*words, "--methods=supervised,color_s4l", "--colorizer=none.h5"]
    assert "none.h5" in refused(error_rates.main(flags))


def probes(*words):
    flags = command_line.parse(error_rates.ErrorRates, words, "")
    return [run for run in error_rates._runs(flags) if run.method == "probe"]


def test_a_probe_of_the_trunk_is_beside_the_other_methods(tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "FILE", tmp_path / "builtin.npz")
    words = ["--labels=20,40", "--seeds=1,2", "--networks=encoder,wrn_28_2"]
    words += ["--methods=supervised,fixmatch", "--balance"]
    assert probes(*words) == []  # no built-in weights
    found = probes(*words, "--init_from=runs/one")
    assert len(found) == 2 * 2 * 2
    assert {run.init_from for run in found} == {"runs/one"}
    assert {run.network for run in found} == {"encoder", "wrn_28_2"}
    assert not any(run.balance for run in found)
    note = {"network": "airbench", "width": 0.5, "normalization": "channels"}
    builtin.write(builtin.FILE, [], {}, note)
    found = probes(*words)
    # One for each number of labels and seed, whatever the network.
    assert [(run.labels, run.seed) for run in found] == [
        (20, 1),
        (20, 2),
        (40, 1),
        (40, 2),
    ]
    assert {(run.init_from, run.network, run.width) for run in found} == {
        ("builtin", "airbench", 0.5)
    }
    assert probes(*words, "--noprobe") == []
    own = probes("--labels=20", "--seeds=1", "--methods=probe,supervised")
    assert [run.init_from for run in own] == [None]
