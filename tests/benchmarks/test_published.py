"""published.csv: its columns, its ranges, and numbers read off the tables by hand."""

import pathlib
import re

import pytest

from benchmarks import published
from color_s4l import command_line
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
COLUMNS = (
    "dataset labels method network name metric error std n epochs selection source "
    "table remark valid"
)


@pytest.fixture(scope="module")
def table():
    return published.read()


def numbers(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return [f"{row.error:g} {row['std']:g}" for _, row in table.iterrows()]


def test_every_column_is_there_and_filled(table):
    assert list(table) == COLUMNS.split()
    for name in ("dataset", "labels", "method", "name", "error", "source"):
        assert table[name].notna().all(), name
        assert (table[name] != "").all(), name


def test_numbers_are_in_their_ranges(table):
    assert table["error"].between(1, 95).all()
    assert (table["std"].dropna() < table["error"][table["std"].notna()]).all()
    assert set(table["metric"]) == {"error", "top5_error"}
    assert table["n"].dropna().isin([3, 4]).all()
    assert (table["labels"] > 0).all()
    key = ["dataset", "labels", "name", "network", "metric", "epochs", "source"]
    assert not table.duplicated([*key, "table"]).any()


def test_color_s4l_table_1_by_hand(table):
    cells = {"dataset": "cifar10", "network": "convnet", "source": "Chen 2020"}
    cells["epochs"] = 30
    assert numbers(table, method="color_s4l", **cells) == [
        *("20.45 0.34", "16.22 0.2", "13.05 0.25", "5.07 0.06"),
    ]
    assert numbers(table, method="sesemi", **cells) == [
        *("18.45 0.26", "15.84 0.4", "12.95 0.34", "5.21 0.24"),
    ]


def test_other_tables_by_hand(table):
    def cell(source, dataset, labels, method, network):
        found = table[
            table["source"].str.startswith(source)
            & (table["dataset"] == dataset)
            & (table["labels"] == labels)
            & (table["method"] == method)
            & (table["network"] == network)
        ]
        return found["error"].tolist()

    # The report's table 1: 10 and 30 epochs.
    report = "Chen 2020 (report)"
    assert cell(report, "svhn_cropped", 500, "sesemi", "shake_wrn") == [8.56, 6.99]
    assert cell("Chen", "cifar100", 20000, "sesemi", "wrn_28_4")[0] == 34.69
    assert cell("USB", "cifar100", 400, "fixmatch", "wrn_28_2_usb") == [53.37]
    assert cell("TorchSSL", "cifar10", 4000, "mean_teacher", "wrn_28_2_usb") == [8.1]
    assert cell("Rebuffi", "cifar10", 100, "alternating", "resnet18") == [16.4]
    assert cell("Student", "cifar10", 4000, "pseudo_label", "") == [
        30.042,
        26.534,
        25.113,
    ]
    # 100 - 53.37 % top-5 accuracy with 1 % of the labels.
    s4l = cell("Zhai", "imagenet2012", 13000, "s4l_rotation", "resnet_v2_50")
    assert s4l == [46.63]
    assert cell("Zhai", "cifar10", 4000, "vat", "") == [13.59]


def test_the_usb_mean_teacher_is_invalid_and_never_stands_beside_ours(table):
    broken = table[~table["valid"]]
    assert len(broken) == 9
    assert set(broken["source"]) == {"USB, classic_cv.csv"}
    assert set(broken["method"]) == {"mean_teacher"}
    assert broken["remark"].str.contains("no gradient").all()
    shown = published.beside("cifar10", 4000, "mean_teacher", "wrn_28_2_usb")
    assert 8.1 in shown["error"].tolist()  # TorchSSL's, whose code is right
    assert 15.47 not in shown["error"].tolist()


def test_beside_ours_stand_equal_labels_method_and_network_only():
    shown = published.beside("svhn_cropped", 250, "color_s4l", "shake_wrn")
    assert shown["error"].tolist() == [8.81]
    assert published.beside("svhn_cropped", 251, "color_s4l", "shake_wrn").empty
    # ImageNet's top-5 errors are of another kind.
    assert published.beside("imagenet2012", 13000, "vat", "resnet_v2_50").empty


@pytest.mark.parametrize(
    "path", sorted(FLAGS.rglob("*.cfg")), ids=lambda p: str(p.relative_to(FLAGS))
)
def test_the_flagfiles_headers_and_the_table_say_the_same(path):
    header = path.read_text(encoding="utf-8")
    number = re.search(r"^# Published: (\d+\.\d+)(?: ± (\d+\.\d+))? %", header, re.M)
    if not number:
        assert "no number" in header
        return
    run = command_line.parse(Run, [f"--flagfile={path}"], "")
    labels = run.labels or published.TRAINING_IMAGES[run.dataset]
    method = published.published_method_of(run)
    shown = published.beside(run.dataset, labels, method, run.network)
    same = shown[shown["error"] == float(number[1])]
    assert len(same), f"{number[0]} is not among {shown['error'].tolist()}"
    if number[2]:
        assert float(number[2]) in same["std"].tolist()
