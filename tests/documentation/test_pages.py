"""The documentation builds without a warning, needs no network, and is complete."""

import html.parser
import pathlib
import re
import subprocess
import sys

import pytest

from color_s4l.methods import METHODS
from color_s4l.terms import TERMS

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What users of the peers ask (their issue threads, collected once).
QUESTIONS = 25


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pages as `make docs` builds them."""
    folder = tmp_path_factory.mktemp("docs")
    words = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, *words, "docs", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


class Links(html.parser.HTMLParser):
    """What a page loads by itself, and where its links lead."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.ids, self.undescribed = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loaded.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.undescribed.append(found["src"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


def test_pages_load_nothing_from_elsewhere_and_lead_somewhere(built):
    pages = {path: Links(path) for path in built.rglob("*.html")}
    assert len(pages) > 15
    for path, page in pages.items():
        for address in page.loaded:
            assert not re.match(r"\w+:|//", address), f"{path}: {address}"
            assert (path.parent / address.partition("?")[0]).exists(), address
        assert not page.undescribed, path
        for link in page.links:
            if not re.match(r"\w+:|#", link):
                target = path.parent / link.partition("#")[0]
                assert target.resolve().exists(), f"{path}: {link}"
    for style in built.rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", style.read_text())


def test_equations_are_mathml(built):
    text = (built / "methods.html").read_text(encoding="utf-8")
    assert text.count("<math") > len(METHODS)
    assert "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", text)


def test_the_interface_has_every_public_name(built):
    text = "".join(path.read_text("utf-8") for path in built.glob("api/*/*.html"))
    for name in (
        "color_s4l.recipes.procedure.fit",
        "color_s4l.classifier.Classifier.predict",
        "color_s4l.terms.proxies.Proxies",
        "colorization.colorizer.Colorizer",
    ):
        assert f'id="{name}"' in text, name


def test_every_method_and_term_is_explained_with_an_equation():
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^### `(\w+)`$(.*?)(?=^##|\Z)", text, re.M | re.S))
    assert set(parts) == set(METHODS)
    for name, part in parts.items():
        # An equation, or what is added to another method that has one.
        assert "$" in part or re.search(r"`\w+`", part), name
        assert re.search(r"\d{4}|student report|The paper", part), f"{name}: no source"
    for name in TERMS:
        assert f"`{name}" in text, name


def test_every_question_is_answered():
    text = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    answers = re.findall(r"^### (.*)\n((?:(?!#).*\n)+)", text, re.M)
    assert len(answers) == QUESTIONS
    assert all(len(answer.strip()) > 20 for _, answer in answers)


def test_flags_that_the_pages_name_exist():
    from color_s4l import evaluate, export, inspect, predict, settings
    from color_s4l.report import __main__ as report
    from colorization import train

    records = (settings.Run, train.Train, evaluate.Evaluate, report.Report)
    records += (inspect.Inspect, predict.Predict, export.Export)
    known = {name for record in records for name in record.__dataclass_fields__}
    for page in ("questions", "methods", "own_photographs", "add_a_network"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        assert set(re.findall(r"--(\w+)", text)) <= known, page
