"""Error per epoch of several runs."""

import pandas as pd
import pytest
from PIL import Image

from benchmarks import curves, plots


@pytest.fixture(scope="module")
def logs():
    """Two seeds of one method, one of another; the second seed has one epoch."""
    shared = {"dataset": "cifar10", "labels": 1000, "network": "nin"}
    rows = []
    for method, seed, errors in (
        ("sesemi", 1, [60, 50]),
        ("sesemi", 2, [64]),
        ("supervised", 1, [70, 65]),
    ):
        for epoch, error in enumerate(errors, start=1):
            one = {"method": method, "seed": seed, "epoch": epoch, "test_error": error}
            setting = f"--dataset=cifar10 --labels=1000 --method={method}"
            rows.append({**shared, **one, "setting": setting})
    return pd.DataFrame(rows)


def test_one_line_for_each_setting_with_its_band_over_the_seeds(logs):
    (axis,) = plots.errors_by_epoch(logs, "test_error").axes
    first, second = axis.get_lines()
    assert first.get_ydata().tolist() == [62, 50]
    assert second.get_ydata().tolist() == [70, 65]
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert names == [
        "CIFAR-10, 1,000 labels, sesemi, nin (n = 2)",
        "CIFAR-10, 1,000 labels, supervised, nin (n = 1)",
    ]
    # 60 and 64: deviation 2.83 around 62; one run has none.
    band, flat = (one.get_paths()[0].vertices[:, 1] for one in axis.collections)
    assert band.max() == pytest.approx(64.83, abs=0.01)
    assert band.min() == 50
    assert set(flat) == {70, 65}


def test_what_differs_beside_method_and_network_is_named(logs):
    settings = logs["setting"].where(logs["seed"] == 1, logs["setting"] + " --epochs=9")
    table = logs.assign(setting=settings + " --width=0.25")
    (axis,) = plots.errors_by_epoch(table, "test_error").axes
    assert axis.get_title(loc="left") == "width=0.25"
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert "CIFAR-10, 1,000 labels, sesemi, nin, epochs=9 (n = 1)" in names


def test_the_picture_and_its_numbers_are_written(copied, tmp_path, capsys):
    first, second = copied("first"), copied("second", finish=False, seed=2)
    waiting = copied("waiting", seed=3)
    (waiting / "log.csv").unlink()
    output = tmp_path / "pictures" / "curves.png"
    assert curves.main([str(first), str(second.parent), f"--output={output}"]) == 0
    assert f"left out   {waiting}" in capsys.readouterr().out
    table = pd.read_csv(output.with_suffix(".csv"))
    log = pd.read_csv(first / "log.csv")
    own = table[table["seed"] == 1]
    assert own["test_error"].tolist() == log["test_error"].tolist()
    assert sorted(table["seed"].unique()) == [1, 2]
    with Image.open(output) as picture:
        assert picture.text["runs"] == "n = 2"
        assert picture.text["seeds"] == "1,2"


def test_another_column_of_the_log_can_be_drawn(copied, tmp_path):
    run, output = copied("one"), tmp_path / "proxy.png"
    words = [str(run), "--column=proxy_error", f"--output={output}"]
    assert curves.main(words) == 0
    assert "proxy_error" in pd.read_csv(output.with_suffix(".csv"))


def test_a_slip_is_one_line(copied, refused):
    run = str(copied("one"))
    for words, text in (
        ([], "Expected run folders. Received: none."),
        (["none"], "none does not exist"),
        (["docs"], "docs holds no runs"),
        ([run, "--column=test_eror"], "Did you mean 'test_error'"),
        ([run, "--column=seed"], "There is no column 'seed'"),
        ([run, "--output=curves.svg"], "ends with .png"),
        ([run, "--size=2"], "Unknown command line flag"),
    ):
        assert text in refused(curves.main(words))
