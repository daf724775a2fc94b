"""published.csv: columns, ranges, and cells copied by hand from the papers' tables."""

import pytest

from color_s4l.report import published

COLUMNS = (
    "dataset labels method network name metric error std n epochs selection source "
    "table remark valid"
)


@pytest.fixture(scope="module")
def table():
    return published.read()


def cells(table, source, *wanted):
    """The errors whose source starts with a text, and that have these values."""
    names = ("dataset", "labels", "method", "network")
    table = table[table["source"].str.startswith(source)]
    for name, value in zip(names, wanted, strict=True):
        table = table[table[name] == value]
    return table["error"].tolist()


def test_columns_and_ranges(table):
    assert list(table) == COLUMNS.split()
    for name in ("dataset", "labels", "method", "name", "error", "source"):
        assert table[name].notna().all(), name
        assert (table[name] != "").all(), name
    assert table["error"].between(1, 95).all()
    assert (table["std"].dropna() < table["error"][table["std"].notna()]).all()
    assert set(table["metric"]) == {"error", "top5_error"}
    assert table["n"].dropna().isin([3, 4]).all()
    assert (table["labels"] > 0).all()
    key = ["dataset", "labels", "name", "network", "metric", "epochs", "source"]
    assert not table.duplicated([*key, "table"]).any()


@pytest.mark.parametrize(
    ("method", "errors"),
    [
        ("color_s4l", [20.45, 16.22, 13.05, 5.07]),
        ("sesemi", [18.45, 15.84, 12.95, 5.21]),
    ],
)
def test_table_1_of_color_s4l(table, method, errors):
    rows = table[(table["source"] == "Chen 2020") & (table["epochs"] == 30)]
    labels = (1000, 2000, 4000, 50000)
    for count, error in zip(labels, errors, strict=True):
        cell = cells(rows, "Chen 2020", "cifar10", count, method, "convnet")
        assert cell == [error]


@pytest.mark.parametrize(
    ("source", "cell", "errors"),
    [
        # Table 1 of the report: 10 and 30 epochs.
        (
            "Chen 2020 (report)",
            ("svhn_cropped", 500, "sesemi", "shake_wrn"),
            [8.56, 6.99],
        ),
        ("USB", ("cifar100", 400, "fixmatch", "wrn_28_2_usb"), [53.37]),
        ("TorchSSL", ("cifar10", 4000, "mean_teacher", "wrn_28_2_usb"), [8.1]),
        ("Rebuffi", ("cifar10", 100, "alternating", "resnet18"), [16.4]),
        ("Student", ("cifar10", 4000, "pseudo_label", ""), [30.042, 26.534, 25.113]),
        # 100 - 53.37 % top-5 accuracy with 1 % of the labels.
        ("Zhai", ("imagenet2012", 13000, "s4l_rotation", "resnet_v2_50"), [46.63]),
        ("Zhai", ("cifar10", 4000, "vat", ""), [13.59]),
    ],
)
def test_cells_of_other_tables(table, source, cell, errors):
    assert cells(table, source, *cell) == errors


def test_comparable_leaves_out_invalid_and_other_numbers(table):
    # In the code of USB's mean teacher the loss has no gradient.
    broken = table[~table["valid"]]
    assert set(zip(broken["source"], broken["method"], strict=True)) == {
        ("USB, classic_cv.csv", "mean_teacher")
    }
    assert len(broken) == 9
    shown = published.comparable("cifar10", 4000)
    teachers = shown[shown["method"] == "mean_teacher"]["error"].tolist()
    assert 8.1 in teachers
    assert 15.47 not in teachers
    assert set(shown["dataset"]) == {"cifar10"}
    assert set(shown["labels"]) == {4000}
    assert published.comparable("svhn_cropped", 251).empty
    # ImageNet's top-5 errors cannot be compared with error rates.
    assert published.comparable("imagenet2012", 13000).empty
