"""What the pictures show: read from the figures, not from the pixels."""

import numpy as np
import pandas as pd
import pytest

from color_s4l.artifacts import pictures


def test_views_stand_in_rows_under_their_proxy_labels():
    images = [
        [np.full((4, 4, 3), 10 * r + c, "uint8") for c in range(3)] for r in (0, 1)
    ]
    figure = pictures.views(images, ["identity", "rotated_90", "colorized"])
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["0\nidentity", "1\nrotated 90", "2\ncolorized"]
    shown = [int(axis.images[0].get_array()[0, 0, 0]) for axis in figure.axes]
    assert shown == [0, 1, 2, 10, 11, 12]


def test_curves_hold_errors_above_and_losses_below():
    log = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [3.0, 2.0],
            "class_loss": [1.0, 0.5],
            "weight_decay": [0.2, 0.1],
            "learning_rate": [0.05, 0.0],
            "test_error": [50.0, 40.0],
        }
    )
    above, below = pictures.curves(log).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in below.lines}
    assert lines == {
        "loss": [3, 2],
        "class loss": [1, 0.5],
        "weight decay": [0.2, 0.1],
    }
    assert [line.get_label() for line in above.lines] == ["test error"]
    assert all(float(tick).is_integer() for tick in below.get_xticks())


def test_confusion_is_in_percent_of_the_row():
    # Class a: 3 of 4 right; class b: 1 of 2; class c never occurs.
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    figure = pictures.confusion(labels, predicted, ("a", "b", "c"))
    matrix = np.asarray(figure.axes[0].images[0].get_array())
    assert matrix.tolist() == [[75, 25, 0], [50, 50, 0], [0, 0, 0]]


@pytest.mark.parametrize(("count", "named", "numbered"), [(20, 20, 400), (41, 0, 0)])
def test_many_classes_go_without_numbers_and_names(count, named, numbered):
    labels = np.arange(count)
    figure = pictures.confusion(labels, labels, tuple(map(str, labels)))
    axis = figure.axes[0]
    assert len(axis.get_xticks()) == named
    assert len(axis.texts) == numbered


def test_save_writes_a_png(tmp_path):
    log = pd.DataFrame({"epoch": [1], "loss": [1.0], "test_error": [2.0]})
    pictures.save(pictures.curves(log), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_names_may_hold_dollars_and_any_letters(tmp_path):
    names = ("a$b$c", "$", "犬")
    labels = np.array([0, 1, 2])
    images = {name: np.zeros((1, 4, 4, 3), "uint8") for name in names}
    for figure in (
        pictures.confusion(labels, labels, names),
        pictures.sheet(images, 2),
    ):
        pictures.save(figure, tmp_path / "names.png")
        (tmp_path / "names.png").unlink()


def test_a_sheet_holds_a_row_for_each_name():
    rows = {
        "cat": np.full((2, 4, 4, 3), 7, "uint8"),
        "dog": np.full((1, 4, 4, 3), 9, "uint8"),
    }
    axes = pictures.sheet(rows, 3).axes
    shown = [int(a.images[0].get_array()[0, 0, 0]) if a.images else 0 for a in axes]
    assert shown == [7, 7, 0, 9, 0, 0]
    assert [axis.get_title(loc="left") for axis in axes[::3]] == ["cat", "dog"]


def test_letters_that_the_first_font_lacks_are_drawn_by_another(tmp_path, monkeypatch):
    # Both fonts come with matplotlib; only the second has the letter.
    labels = np.array([0, 1])
    for name, others in (("box", ("No Such Font",)), ("letter", ("STIXGeneral",))):
        monkeypatch.setattr(pictures, "OTHER_SCRIPTS", others)
        figure = pictures.confusion(labels, labels, ("cat", "\u1d81"))
        pictures.save(figure, tmp_path / f"{name}.png")
    assert pictures.fonts() == ["DejaVu Sans", "STIXGeneral"]
    drawn = [(tmp_path / f"{name}.png").read_bytes() for name in ("box", "letter")]
    assert drawn[0] != drawn[1]
