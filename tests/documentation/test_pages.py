"""The pages build without warnings, and everything that they name exists."""

import html.parser
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

from color_s4l import command_line
from color_s4l.registry import METHODS

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")),
)


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            anchors = [re.sub(r"[^\w\- ]", "", t.lower()) for t in titles]
            assert heading in [a.replace(" ", "-") for a in anchors], link


def test_commands_have_known_flags_and_flagfiles(blocks, monkeypatch):
    parsed = []

    def parse(action, record, description, arguments=None, **_):
        parsed.append(command_line.parse(record, arguments, description))

    monkeypatch.setattr(command_line, "run", parse)
    monkeypatch.chdir(ROOT)  # for --flagfile=flags/...
    for block in (block for page in PAGES for block in blocks(page)):
        for module, words in block.commands():
            if module != "pytest":
                name = "color_s4l.report.__main__" if "report" in module else module
                importlib.import_module(name).main(words)
    assert len(parsed) > 20


def test_flags_in_the_text_exist(monkeypatch):
    from benchmarks import colorizers, error_rates, throughput
    from color_s4l import evaluate, export, inspect, predict, settings, transfer
    from color_s4l.report import __main__ as report
    from colorization import train

    records = (settings.Run, train.Train, evaluate.Evaluate, report.Report)
    records += (inspect.Inspect, predict.Predict, export.Export, transfer.Transfer)
    records += (error_rates.ErrorRates, throughput.Throughput, colorizers.Colorizers)
    known = {name for record in records for name in record.__dataclass_fields__}
    known |= {"ntasks", "gpus", "cpus", "kill", "requeue", "port", "nworkers"}  # SLURM,
    known |= {"nthreads", "file_format"}  # dask and tfds
    known |= {"flagfile", "help", "preset"} | {f"no{name}" for name in known}
    for page in set(PAGES) - {"CHANGELOG.md"}:
        unknown = set(re.findall(r"--(\w+)", read(page))) - known
        assert not unknown, page


def test_every_method_on_the_page_exists():
    sections = re.findall(r"^### `(\w+)`$", read("docs/methods.md"), re.M)
    assert len(sections) > 20
    assert set(sections) <= set(METHODS)


class Links(html.parser.HTMLParser):
    """The files that a page loads, and the targets of its links."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.undescribed = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loaded.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.undescribed.append(found["src"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


def test_pages_build_and_load_nothing_from_elsewhere(tmp_path):
    words = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, *words, "docs", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for path in tmp_path.rglob("*.html"):
        page = Links(path)
        for address in page.loaded:
            assert not re.match(r"\w+:|//", address), f"{path}: {address}"
            assert (path.parent / address.partition("?")[0]).exists(), address
        assert not page.undescribed, path
        for link in page.links:
            if not re.match(r"\w+:|#", link):
                assert (path.parent / link.partition("#")[0]).exists(), (
                    f"{path}: {link}"
                )
    text = (tmp_path / "methods.html").read_text(encoding="utf-8")
    assert text.count("<math") > len(METHODS)
    assert "<code" in text.partition("mean_teacher.")[0]
    for name in METHODS:
        assert f">{name}<" in text, name
