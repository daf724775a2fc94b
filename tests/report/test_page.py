"""The HTML page: valid, self-contained, described in words, and with correct values."""

import dataclasses
import html.parser
import pathlib
import re

import html5lib
import numpy as np
import pytest

from color_s4l.report import __main__ as report
from color_s4l.report import charts, page, published
from color_s4l.report.records import read


class Elements(html.parser.HTMLParser):
    """All elements with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.parts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.parts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.parts).split())


def test_page_is_valid_html(several):
    html5lib.HTMLParser(strict=True).parse(several)  # raises on any error
    ids = [a["id"] for _, a in Elements(several).found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"errors", "curves", "runs", "run-1", "run-3", "training"} <= set(ids)
    assert {"settings", "origin"} <= set(ids)


def test_page_needs_no_network(several):
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


def test_images_and_charts_are_described_in_words(several):
    elements = Elements(several)
    pictures, drawings = elements.named("img"), elements.named("svg")
    # 24 mistakes of the third run; views, colours and mistakes of the first.
    assert len(pictures) > 24 + 8 * 7 + 3 * 8
    assert all(len(attributes["alt"]) > 8 for attributes in pictures)
    assert all(a["role"] == "img" and "epoch" in a["aria-label"] for a in drawings)
    assert "Test image 3: class 0, taken for class 1 with 90 %" in several


def test_a_real_run(finished, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert report.main([finished.run_dir, f"--output={output}"]) == 0
    assert f"written    {output}" in capsys.readouterr().out
    text, (record,) = output.read_text(), read([finished.run_dir])
    folder = pathlib.Path(finished.data_dir).name
    assert f"color_s4l on {folder}, 16 labels" in text
    assert re.search(r"<dt>training time</dt><dd>[\d.]+ (s|minutes)</dd>", text)
    assert "is recognised (random guessing: 14 %)" in text
    accuracy = record.result["proxy_accuracy"]["identity"]
    assert f"0<br>identity<br>{accuracy:.0f} %</th>" in text
    # Every logged column has a curve.
    labels = [a["aria-label"] for a in Elements(text).named("svg")]
    assert {label.partition(" by epoch")[0] for label in labels} == {
        name.replace("_", " ") for name in record.log if name != "epoch"
    }
    guesses = record.samples["proxy_probabilities"].argmax(axis=2)
    right = (guesses == np.arange(7)).sum()
    assert f"recognises {right} of these 56 views" in text
    assert (text.count("✓"), text.count("✗")) == (right, 56 - right)


def test_runs_side_by_side(record):
    runs = [record("one", seed=1), record("two", seed=2), record("three", width=0.5)]
    elements = Elements(page.render(runs))
    # Seeds 1 and 2: 21 and 22 %; mean 21.5, deviation sqrt(1/2) = 0.71.
    assert "color_s4l, width 1.0 2 21.50 ± 0.71 20.50" in elements.words
    assert "color_s4l, width 0.5 1 21.00 20.00" in elements.words
    assert "one: 21.00 % (8.89 to 53.23)" in elements.words  # 3 of 12 images: Wilson
    # The settings that differ, without the seed.
    assert "run width one 1.0 two 1.0 three 0.5 Settings of all runs" in elements.words
    assert "3 runs on digits, 30 labels" in elements.words
    other = page.render([record(), record(labels=40)])
    assert "2 runs side by side" in Elements(other).words
    labels = [a["aria-label"] for a in elements.named("svg")]
    assert [label for label in labels if label.startswith("loss ")] == [
        "loss by epoch; one: 3 at epoch 1, 1 at epoch 3; "
        "two: 3 at epoch 1, 1 at epoch 3; three: 3 at epoch 1, 1 at epoch 3"
    ]


def test_methods_have_one_colour_and_their_runs_differ_in_dashes(record):
    methods = [f"method {number}" for number in range(7)]
    runs = [record(method=name, seed=seed) for name in methods for seed in (1, 2)]
    styles = charts.styles(runs)
    assert [style.colour for style in styles] == [k // 2 for k in range(14)]
    assert [style.dashes for style in styles] == [0, 1] * 7
    text = page.render(runs)
    # The lowest error first; the chart has the values of all runs.
    runs[3].result["error"] = 0.0
    label = next(a for a in Elements(page.render(runs)).named("svg"))["aria-label"]
    assert label.startswith("Test errors in % after the last epoch; method 1: 21.00, 0")
    assert "The runs differ only in the method and the seed." in text


def test_mistakes_are_named_by_their_files(record):
    one = record()
    assert "is class 0 test image 3" in Elements(page.render([one])).words
    one.samples["mistake_files"] = np.array(["a/ö.jpg", "b/2.jpg", ""])
    words = Elements(page.render([one])).words
    assert "is class 0 a/ö.jpg" in words
    assert "is class 2 test image 11" in words


def test_weight_decay_and_loading_come_after_the_mistakes(several):
    places = [several.index(f'id="{name}"') for name in ("curves", "runs", "training")]
    assert places == sorted(places)
    labels = [
        several.index(f'aria-label="{name} by epoch') for name in ("test error", "loss")
    ]
    assert places[0] < labels[0] < places[1] < places[2] < labels[1]


def test_names_are_escaped(record):
    one = record("<script>alert(1)</script>")
    one.config["classes"][1] = "<img src=x onerror=alert(2)>"
    elements = Elements(page.render([one, record("other")]))
    assert not elements.named("script")
    assert all("onerror" not in attributes for attributes in elements.named("img"))
    assert "<script>alert(1)</script>" in elements.parts


def test_run_without_samples_and_with_one_epoch(record):
    one = record(samples=False)
    text = page.render([dataclasses.replace(one, log=one.log[:1])])
    assert "This run has no samples.npz" in text
    html5lib.HTMLParser(strict=True).parse(text)


def test_run_without_mistakes_and_with_a_teacher(record):
    one = record()
    one.samples["predicted"] = one.samples["labels"]
    for name in ("mistakes", "mistake_images"):
        one.samples[name] = one.samples[name][:0]
    one.result["further"] = {"teacher": {"error": 12.3, "error_augmented": 11.0}}
    text = page.render([one])
    assert text.count("There are none.") == 2
    assert "with the teacher's weights 12.30 %" in Elements(text).words


def test_run_of_a_recipe_has_its_name(record):
    fields = {"recipe": "refine", "dataset": "cifar10", "labels": 100}
    words = Elements(page.render([record(**fields, network="resnet18")])).words
    assert "refine on cifar10, 100 labels" in words
    assert "this page; refine, 1,000 unlabelled" in words
    assert "color_s4l" not in words.replace("python -m color_s4l", "")


def test_published_errors(record):
    one = record("ours", dataset="cifar10", labels=1000)
    one.result.update(error=19.0, error_augmented=18.0)
    text = page.render([one])
    assert "Among published errors: cifar10, 1,000 labels" in text
    # Chen 2020, table 1: SESEMI 18.45 and Color-S4L 20.45.
    shown = (
        ">18.45 ± 0.26 (augmented)<",
        ">19.00 (18.00 augmented)<",
        ">20.45 ± 0.34 (augmented)<",
    )
    places = [text.index(error, text.index("Among")) for error in shown]
    assert places == sorted(places)
    assert "Among published" not in page.render([record(labels=31)])


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"method": "sesemi"}, {"SESEMI"}),
        ({"method": "sesemi", "labeled_only": True}, {"SESEMI ASL"}),
        ({"method": "sesemi", "recipe": "moam"}, set()),
    ],
)
def test_published_errors_of_the_same_method_are_marked(record, fields, names):
    (table,) = published.tables([record(labels=1000, dataset="cifar10", **fields)])
    same = {row["name"] for row in table["rows"] if row["same"] and not row["ours"]}
    assert same == names


def test_charts_have_the_colours_of_the_page():
    series = [(charts.Style(0, 0), np.array([1, 2]), np.array([3.0, 4.0]))]
    drawn = charts.lines("a", series, 'a "quoted" text')
    assert "var(--run-0)" in drawn
    assert not re.search(r"#[0-9a-f]{6}", drawn)
    assert "a &#34;quoted&#34; text" in drawn


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Expected run directories"),
        (["no/such/run"], "config.json"),
        (["a", "--output=no/such/folder/page.html"], "a folder that exists"),
        (["a", "--outptu=b"], "Did you mean: output"),
    ],
)
def test_command_refuses(words, text, refused):
    assert text in refused(report.main(words))


def test_command_imports_no_framework(finished, tmp_path, python):
    words = ["-m", "color_s4l.report", finished.run_dir, f"--output={tmp_path}/a.html"]
    done = python("-X", "importtime", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = set(re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE))
    assert not loaded


def test_a_probe_that_wins_is_in_the_first_line(record):
    runs = [record("one", seed=5), record("two", method="probe", seed=2)]
    words = Elements(page.render(runs)).words
    text = "The probe wins on digits with 30 labels: frozen features and logistic "
    first = words.partition("Color-S4L report")[2][:200]
    assert f"2 runs on digits, 30 labels {text}regression have 22.00 % error" in first
    assert "None of these runs is a probe" not in words
    worse = [record("one", seed=1), record("two", method="probe", seed=2)]
    assert "wins" not in Elements(page.render(worse)).words
    assert "None of these runs is a probe" in Elements(page.render(runs[:1])).words


def test_a_comparison_is_shown(record):
    one = record()
    one.result["compared"] = {"sentence": "The images lowered the error by 4.1 points."}
    assert one.result["compared"]["sentence"] in Elements(page.render([one])).words


def test_the_probe_of_a_single_run_is_shown(record):
    one = record()
    one.result["probe_error"] = 19.5
    words = Elements(page.render([one])).words
    assert "A probe wins: logistic regression on the features of this run has" in words
    assert "probe: logistic regression on its features 19.50 %" in words
    assert "None of these runs is a probe" not in words
    one.result["probe_error"] = 21.0
    assert "wins" not in Elements(page.render([one])).words
