"""The page as text: valid, self-contained, described, and true to its runs."""

import dataclasses
import html
import html.parser
import re

import html5lib
import numpy as np
import pytest

from color_s4l.report import __main__ as report
from color_s4l.report import charts, images, page, published_rows
from color_s4l.report.records import read


class Elements(html.parser.HTMLParser):
    """Every element with its attributes, and the text between."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_is_valid_html(several):
    # Strict: any error of the standard's parser raises.
    html5lib.HTMLParser(strict=True).parse(several)
    ids = [a["id"] for _, a in Elements(several).found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"errors", "curves", "run-1", "run-3", "settings", "origin"} <= set(ids)


def test_asks_nothing_of_the_network(several):
    elements = Elements(several)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert not elements.named("script") + elements.named("link")
    assert not re.search(r"@import|url\((?!#)", several)
    policy = next(a for a in elements.named("meta") if "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'")
    assert len(several) < 5 * 2**20


def test_every_picture_and_chart_is_described(several):
    elements = Elements(several)
    pictures, drawings = elements.named("img"), elements.named("svg")
    # 24 mistakes of the third run, and of the first: views, colours, mistakes.
    assert len(pictures) > 24 + 8 * 7 + 3 * 8
    assert all(len(attributes["alt"]) > 8 for attributes in pictures)
    assert all(a["role"] == "img" and "epoch" in a["aria-label"] for a in drawings)
    assert "Test image 3: class 0, taken for class 1 with 90 %" in several


def test_every_logged_column_has_a_curve(finished):
    (record,) = read([finished.run_dir])
    told = {
        a["aria-label"].partition(" by epoch")[0]
        for a in Elements(page.render([record])).named("svg")
    }
    assert told == {name.replace("_", " ") for name in record.log} - {"epoch"}


def test_says_what_the_proxy_head_guessed(finished):
    (record,) = read([finished.run_dir])
    text = page.render([record])
    guesses = record.samples["proxy_probabilities"].argmax(axis=2)
    right = (guesses == np.arange(7)).sum()
    assert f"names {right} of these 56 views" in text
    assert text.count("✓") == right
    assert text.count("✗") == 56 - right


def test_runs_stand_side_by_side(record):
    runs = [record("one", seed=1), record("two", seed=2), record("three", width=0.5)]
    elements = Elements(page.render(runs))
    words = " ".join(" ".join(elements.words).split())
    # Seeds 1 and 2: 21 and 22 %; mean 21.5, deviation sqrt(1/2) = 0.71.
    assert "21.50 ± 0.71" in words
    marked = [a for a in elements.named("tr") if a.get("class") == "ours"]
    assert len(marked) == 2  # seed and width differ
    assert "3 runs side by side" in words
    charts_of_loss = [
        a["aria-label"]
        for a in elements.named("svg")
        if a["aria-label"].startswith("loss ")
    ]
    assert charts_of_loss == [
        "loss by epoch; one: 3 at epoch 1, 1 at epoch 3; "
        "two: 3 at epoch 1, 1 at epoch 3; three: 3 at epoch 1, 1 at epoch 3"
    ]


def test_names_are_text_not_markup(record):
    one = record("<script>alert(1)</script>")
    one.config["classes"][1] = "<img src=x onerror=alert(2)>"
    elements = Elements(page.render([one, record("other")]))
    assert not elements.named("script")
    assert all("onerror" not in attributes for attributes in elements.named("img"))
    assert "<script>alert(1)</script>" in elements.words


def test_a_run_without_samples_or_with_one_epoch_has_a_page(record):
    one = record(samples=False)
    text = page.render([dataclasses.replace(one, log=one.log[:1])])
    assert "This run has no samples.npz" in text
    html5lib.HTMLParser(strict=True).parse(text)


def test_a_run_without_mistakes_says_so(record):
    one = record()
    one.samples["predicted"] = one.samples["labels"]
    one.samples["mistakes"] = one.samples["mistakes"][:0]
    one.samples["mistake_images"] = one.samples["mistake_images"][:0]
    assert page.render([one]).count("There are none.") == 2


def test_the_teachers_error_stands_beside_the_students(record):
    one = record()
    one.result["further"] = {"teacher": {"error": 12.3, "error_augmented": 11.0}}
    words = " ".join(" ".join(Elements(page.render([one])).words).split())
    assert "with the teacher's weights 12.30 %" in words


def test_a_recipes_run_has_the_recipes_name(record):
    fields = {"recipe": "refine", "dataset": "cifar10", "labels": 100}
    elements = Elements(page.render([record(**fields, network="resnet18")]))
    text = " ".join(elements.words)
    assert "refine on cifar10, 100 labels" in text
    assert "this page; refine, 1,000 unlabelled" in text
    assert "color_s4l" not in text.replace("python -m color_s4l", "")


def test_published_errors_of_the_same_method_are_marked(record):
    def same(**fields):
        shown = published_rows.tables(
            [record(labels=1000, dataset="cifar10", **fields)]
        )
        rows = [row for row in shown[0]["rows"] if row["same"] and not row["ours"]]
        return {row["name"] for row in rows}

    assert same(method="sesemi") == {"SESEMI"}
    assert same(method="sesemi", labeled_only=True) == {"SESEMI ASL"}
    assert same(recipe="moam", method="sesemi") == set()


def test_published_errors_stand_around_ours(record):
    one = record("ours", dataset="cifar10", labels=1000, method="color_s4l")
    one.result["error"] = 19.0
    text = page.render([one])
    assert "Among published errors: cifar10, 1,000 labels" in text
    # Chen 2020, table 1: SESEMI 18.45 and Color-S4L 20.45.
    shown = (">18.45 ± 0.26<", ">19.00<", ">20.45 ± 0.34<")
    places = [text.index(error, text.index("Among")) for error in shown]
    assert places == sorted(places)
    assert "Among published" not in page.render([record(labels=31)])


def test_charts_take_the_pages_colours():
    series = [(0, np.array([1, 2]), np.array([3.0, 4.0]))]
    drawn = charts.lines("a", series, 'a "quoted" text')
    assert "var(--run-0)" in drawn
    assert not re.search(r"#[0-9a-f]{6}", drawn)
    assert html.escape('a "quoted" text').replace("&quot;", "&#34;") in drawn


def test_a_heat_map_is_opaque_where_it_is_hot():
    drawn = images.heat(np.array([[0.0, 1.0]]), (1, 2, 3))
    assert drawn.tolist() == [[[1, 2, 3, 0], [1, 2, 3, 255]]]


def test_the_command_writes_the_page(finished, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert report.main([finished.run_dir, f"--output={output}"]) == 0
    assert "color_s4l on folder, 16 labels" in output.read_text()
    assert f"written    {output}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Expected run folders"),
        (["no/such/run"], "is no run's folder"),
        (["a", "--output=no/such/folder/page.html"], "a folder that exists"),
        (["a", "--outptu=b"], "Did you mean: output"),
    ],
)
def test_the_command_refuses(words, text, refused):
    assert text in refused(report.main(words))


def test_the_command_needs_no_framework(finished, tmp_path, python):
    words = ["-m", "color_s4l.report", finished.run_dir, f"--output={tmp_path}/a.html"]
    done = python("-X", "importtime", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = set(re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE))
    assert not loaded
