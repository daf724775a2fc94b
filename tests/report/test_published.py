"""published.csv: columns, ranges, and cells copied by hand from the papers' tables."""

import pytest

from color_s4l.report import published

COLUMNS = (
    "dataset labels method network name metric error std n epochs selection source "
    "table remark valid"
)
REPORT, STUDENT = "Chen 2020 (report)", "Student report (Alshami)"
ZHAI = "Zhai et al. 2019"


@pytest.fixture(scope="module")
def table():
    return published.read()


def test_columns_and_ranges(table):
    assert list(table) == COLUMNS.split()
    for name in ("dataset", "labels", "method", "name", "error", "source"):
        assert table[name].notna().all(), name
        assert (table[name] != "").all(), name
    assert table["error"].between(1, 95).all()
    assert (table["std"].dropna() < table["error"][table["std"].notna()]).all()
    assert set(table["metric"]) == {"error", "error_augmented", "top5_error"}
    assert table["n"].dropna().isin([3, 4]).all()
    assert (table["labels"] > 0).all()
    key = ["dataset", "labels", "name", "network", "metric", "epochs", "source"]
    assert not table.duplicated([*key, "table"]).any()


@pytest.mark.parametrize(
    ("source", "dataset", "labels", "method", "network", "errors"),
    [
        ("Chen 2020", "cifar10", 1000, "color_s4l", "convnet", [20.45]),
        ("Chen 2020", "cifar10", 50000, "color_s4l", "convnet", [5.07]),
        ("Chen 2020", "cifar10", 4000, "sesemi", "convnet", [12.95]),
        # Table 1 of the report: 10 and 30 epochs.
        (REPORT, "svhn_cropped", 500, "sesemi", "shake_wrn", [8.56, 6.99]),
        ("USB, classic_cv.csv", "cifar100", 400, "fixmatch", "wrn_28_2_usb", [53.37]),
        ("TorchSSL", "cifar10", 4000, "mean_teacher", "wrn_28_2_usb", [8.1]),
        ("Rebuffi et al. 2019", "cifar10", 100, "alternating", "resnet18", [16.4]),
        (STUDENT, "cifar10", 4000, "pseudo_label_epochs", "", [30.042, 26.534, 25.113]),
        # 100 - 53.37 % top-5 accuracy with 1 % of the labels.
        (ZHAI, "imagenet2012", 13000, "s4l_rotation", "resnet_v2_50", [46.63]),
        (ZHAI, "cifar10", 4000, "vat", "", [13.59]),
    ],
)
def test_cells(table, source, dataset, labels, method, network, errors):
    names = ["source", "dataset", "labels", "method", "network"]
    same = table[names] == [source, dataset, labels, method, network]
    assert table[same.all(axis=1)]["error"].tolist() == errors


def test_comparable_leaves_out_invalid_and_other_numbers(table):
    # In the code of USB's mean teacher the loss has no gradient.
    broken = table[~table["valid"]]
    assert set(broken["source"] + broken["method"]) == {
        "USB, classic_cv.csvmean_teacher"
    }
    shown = published.comparable("cifar10", 4000)
    teachers = shown[shown["method"] == "mean_teacher"]["error"].tolist()
    assert 8.1 in teachers
    assert 15.47 not in teachers
    assert (set(shown["dataset"]), set(shown["labels"])) == ({"cifar10"}, {4000})
    assert published.comparable("svhn_cropped", 251).empty
    # SESEMI's code measures the error with test-time augmentation.
    sesemi = shown[shown["method"] == "sesemi"]
    assert set(sesemi["metric"]) == {"error_augmented"}
    # ImageNet's top-5 errors cannot be compared with error rates.
    assert published.comparable("imagenet2012", 13000).empty
