"""The contents of the figures, and saving them."""

import numpy as np
import pandas as pd
import pytest

from color_s4l.artifacts import pictures


def plain(*values):
    """Images of 4 x 4 pixels, each of one value."""
    return np.stack([np.full((4, 4, 3), value, "uint8") for value in values])


def values(figure):
    """The upper left pixel of the image in each place; 0: no image."""
    images = [axis.images for axis in figure.axes]
    return [int(one[0].get_array()[0, 0, 0]) if one else 0 for one in images]


def test_views_in_rows_below_their_proxy_labels():
    images = np.stack([plain(1, 2, 3), plain(11, 12, 13)])
    figure = pictures.views(images, ["identity", "rotated_90", "colorized"])
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["0\nidentity", "1\nrotated 90", "2\ncolorized"]
    assert values(figure) == [1, 2, 3, 11, 12, 13]


def test_sheet_has_a_row_for_each_name():
    figure = pictures.sheet({"cat": plain(7, 7), "dog": plain(9)}, 3)
    assert values(figure) == [7, 7, 0, 9, 0, 0]
    titles = [axis.get_title(loc="left") for axis in figure.axes[::3]]
    assert titles == ["cat", "dog"]


def test_captioned_images():
    figure = pictures.captioned(plain(*range(1, 9)), [f"n {k}" for k in range(8)])
    assert values(figure) == [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]
    assert figure.axes[7].get_title() == "n 7"


def test_curves_of_errors_and_losses():
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
    shown = {"loss": [3, 2], "class loss": [1, 0.5], "weight decay": [0.2, 0.1]}
    assert lines == shown
    assert [line.get_label() for line in above.lines] == ["test error"]
    assert all(float(tick).is_integer() for tick in below.get_xticks())


def test_confusion_is_in_percent_of_the_row():
    # Class a: 3 of 4 right; class b: 1 of 2; class c has no images.
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    figure = pictures.confusion(labels, predicted, ("a", "b", "c"))
    matrix = np.asarray(figure.axes[0].images[0].get_array())
    assert matrix.tolist() == [[75, 25, 0], [50, 50, 0], [0, 0, 0]]


@pytest.mark.parametrize(("count", "named", "numbered"), [(20, 20, 400), (41, 0, 0)])
def test_confusion_of_many_classes_has_no_numbers_and_names(count, named, numbered):
    labels = np.arange(count)
    axis = pictures.confusion(labels, labels, tuple(map(str, labels))).axes[0]
    assert len(axis.get_xticks()) == named
    assert len(axis.texts) == numbered


def test_names_with_dollars_and_any_letters(tmp_path):
    names = ("a$b$c", "$", "犬")
    labels = np.arange(3)
    for number, figure in enumerate(
        (
            pictures.confusion(labels, labels, names),
            pictures.sheet({name: plain(0) for name in names}, 2),
            pictures.captioned(plain(*labels), names),
        )
    ):
        path = tmp_path / f"{number}.png"
        pictures.save(figure, path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_another_font_draws_letters_that_the_first_one_lacks(tmp_path, monkeypatch):
    # Both fonts come with matplotlib; only the second has the letter.
    labels = np.array([0, 1])
    for name, others in (("box", ("No Such Font",)), ("letter", ("STIXGeneral",))):
        monkeypatch.setattr(pictures, "OTHER_SCRIPTS", others)
        figure = pictures.confusion(labels, labels, ("cat", "\u1d81"))
        pictures.save(figure, tmp_path / f"{name}.png")
    assert pictures.fonts() == ["DejaVu Sans", "STIXGeneral"]
    drawn = [(tmp_path / f"{name}.png").read_bytes() for name in ("box", "letter")]
    assert drawn[0] != drawn[1]
