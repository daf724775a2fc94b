import dataclasses

import numpy as np
import pandas as pd
import pytest

from color_s4l.data import Files, draw_split, read_split, save_split
from color_s4l.errors import InputError


def draw(toy, labels=None, unlabeled=None, validation=0, seed=1):
    return draw_split(toy.labels, toy.classes, labels, unlabeled, validation, seed)


def test_everything_is_the_default(toy):
    split = draw(toy)
    assert split.labeled.tolist() == list(range(18))
    assert split.unlabeled.tolist() == list(range(20))
    assert split.validation.tolist() == []
    assert {part.dtype for part in vars(split).values()} == {np.dtype("int64")}


def test_labels_are_balanced_and_the_unlabelled_contain_them(toy):
    split = draw(toy, labels=6)
    assert np.bincount(toy.labels[split.labeled]).tolist() == [2, 2, 2]
    assert split.unlabeled.tolist() == list(range(20))
    assert (np.diff(split.labeled) > 0).all()


def test_validation_is_held_out_and_changes_no_label(toy):
    plain, split = draw(toy, labels=6), draw(toy, labels=6, validation=6)
    assert split.labeled.tolist() == plain.labeled.tolist()
    assert np.bincount(toy.labels[split.validation]).tolist() == [2, 2, 2]
    assert not set(split.validation) & set(split.labeled)
    assert set(split.unlabeled) == set(range(20)) - set(split.validation)


def test_all_labels_leave_out_validation(toy):
    split = draw(toy, validation=3)
    assert len(split.labeled) == 15
    assert set(split.labeled) | set(split.validation) == set(range(18))
    # The same number may be given, although 7 + 5 + 3 is not balanced.
    assert draw(toy, labels=15, validation=3).labeled.tolist() == split.labeled.tolist()


def test_smaller_counts_give_subsets(toy):
    assert set(draw(toy, labels=3).labeled) < set(draw(toy, labels=9).labeled)
    few, many = draw(toy, unlabeled=5).unlabeled, draw(toy, unlabeled=9).unlabeled
    assert len(few) == 5
    assert set(few) < set(many)
    held_out = draw(toy, unlabeled=9, validation=3)
    assert not set(held_out.unlabeled) & set(held_out.validation)


def test_a_class_is_drawn_from_seed_and_class_alone(toy):
    # Without the images of class 2, the draws of the others stay the same.
    fewer = dataclasses.replace(toy, labels=np.where(toy.labels == 2, -1, toy.labels))
    drawn = {tuple(draw(toy, labels=6, seed=seed).labeled) for seed in range(10)}
    assert len(drawn) > 5
    pair = draw_split(fewer.labels, toy.classes[:2], 6, None, 0, 1)
    assert set(pair.labeled) == set(draw(toy, labels=9).labeled) - set(range(14, 18))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"labels": 0}, "`labels` of at least 1. Received: 0"),
        ({"labels": -3}, "`labels` of at least 1. Received: -3"),
        ({"labels": 21}, "`labels`=21, but there are only 18 labelled images for"),
        (
            {"labels": 4},
            "`labels`=4 is not divisible by the 3 classes. Possible: 3 or 6",
        ),
        ({"labels": 2}, "not divisible by the 3 classes. Possible: 3"),
        ({"labels": 15}, "Class 'x,y' has 4 .* need 5 \\+ 0 images of every class"),
        ({"labels": 9, "validation": 6}, "Class 'x,y' has 4 .* need 3 \\+ 2"),
        ({"validation": 12}, "Class 'x,y' has 4 .* need 1 \\+ 4"),
        ({"validation": -1}, "`validation` of at least 0"),
        ({"validation": 4}, "`validation`=4 is not divisible by the 3 classes"),
        ({"validation": 21}, "`validation`=21, but there are only 18"),
        ({"labels": 18, "validation": 3}, "`labels`=18, but there are only 15"),
        ({"unlabeled": 0}, "`unlabeled` of at least 1"),
        ({"unlabeled": 18, "validation": 3}, "but there are only 17 images"),
        ({"seed": -1}, "`seed` of at least 0"),
    ],
)
def test_refuses_counts_that_do_not_fit(toy, arguments, text):
    with pytest.raises(InputError, match=text) as raised:
        draw(toy, **arguments)
    assert "\n" not in str(raised.value)


def test_round_trip_is_exact(toy, tmp_path):
    split = draw(toy, labels=6, unlabeled=9, validation=3)
    save_split(split, toy, tmp_path / "split.csv")
    again = read_split(tmp_path / "split.csv", toy)
    for part in ("labeled", "unlabeled", "validation"):
        assert getattr(again, part).tolist() == getattr(split, part).tolist()
        assert getattr(again, part).dtype == np.int64


def test_the_file_has_a_class_only_if_the_label_is_used(toy, tmp_path):
    save_split(draw(toy, labels=3), toy, tmp_path / "split.csv")
    table = pd.read_csv(tmp_path / "split.csv", keep_default_na=False)
    assert list(table) == [
        "index", "label", "labeled", "unlabeled", "validation", "crc32",
    ]  # fmt: skip
    assert len(table) == 20
    assert table[table.labeled == 1].label.tolist() == ["cat", "NA", "x,y"]
    assert set(table[table.labeled == 0].label) == {""}


def test_the_file_has_the_names_of_image_files(toy, tmp_path):
    names = [f"/photos/train/{number}.png" for number in range(19)]
    files = Files((*names, "/else\udcff.png"), ("/a", "/b"), root="/photos")
    dataset = dataclasses.replace(toy, files=files)
    save_split(draw(dataset, labels=6), dataset, tmp_path / "split.csv")
    found = pd.read_csv(tmp_path / "split.csv")["filename"].tolist()
    assert found[3] == "train/3.png"
    assert found[19] == "../else\\udcff.png"
    assert len(read_split(tmp_path / "split.csv", dataset).labeled) == 6


def test_refuses_other_images_order_and_labels(toy, tmp_path):
    path = tmp_path / "split.csv"
    save_split(draw(toy, labels=3), toy, path)
    other = dataclasses.replace(toy, images=toy.images + 100)
    with pytest.raises(InputError, match=r"other images.*20 of 20 differ"):
        read_split(path, other)
    with pytest.raises(InputError, match="another order"):
        read_split(path, dataclasses.replace(toy, images=toy.images[::-1]))
    other = dataclasses.replace(toy, classes=("dog", "NA", "x,y"))
    with pytest.raises(InputError, match=r"expected label 'dog'.*Received: 'cat'"):
        read_split(path, other)
    none = dataclasses.replace(toy, labels=np.full(20, -1, np.int32))
    with pytest.raises(InputError, match=r"expected label ''.*Received: 'cat'"):
        read_split(path, none)


def edit(frame, column, row, value):
    frame = frame.astype(str)
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: f.drop(columns=["crc32", "label"]), "no column label, crc32"),
        (lambda f: edit(f, "index", 3, "20"), "row 4: expected index from 0 to 19"),
        (lambda f: edit(f, "index", 3, "-1"), "Received: '-1'"),
        (lambda f: edit(f, "index", 3, "1.5"), "Received: '1.5'"),
        (lambda f: edit(f, "index", 3, ""), "Received: ''"),
        (lambda f: edit(f, "index", 3, "9" * 30), "expected index"),
        (lambda f: edit(f, "labeled", 0, "yes"), "row 1: expected labeled from 0 to 1"),
        (lambda f: edit(f, "unlabeled", 0, "2"), "expected unlabeled from 0 to 1"),
        (lambda f: pd.concat([f, f[:1]]), "names an image twice"),
        (lambda f: f.assign(validation=1), "both in validation and in training"),
        (lambda f: f.assign(labeled=0), "no image with labeled=1"),
        (lambda f: f.assign(unlabeled=0), "no image with unlabeled=1"),
        (lambda f: f[:0], "no image with labeled=1"),
    ],
)
def test_refuses_malformed_files(toy, tmp_path, change, text):
    path = tmp_path / "split.csv"
    save_split(draw(toy, labels=3), toy, path)
    change(pd.read_csv(path, keep_default_na=False)).to_csv(path, index=False)
    with pytest.raises(InputError, match=text):
        read_split(path, toy)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is not a split: No columns"),
        (b"a,b\n1,2,3\n4,5,6,7,8\n", "is not a split"),
        (b"\xff\xfe\x00\x89PNG\x00\n", "is not a split"),
        (None, r"Cannot read .*split.csv: No such file"),
    ],
)
def test_refuses_other_and_missing_files(toy, tmp_path, content, text):
    if content is not None:
        (tmp_path / "split.csv").write_bytes(content)
    with pytest.raises(InputError, match=text):
        read_split(tmp_path / "split.csv", toy)
