"""The tables in LaTeX: what a page shows is what was measured."""

import re
import shutil
import subprocess

import pytest

from benchmarks import layout, texts

ORIGIN = "python -m benchmarks.table runs"
PDFLATEX = shutil.which("pdflatex")
DOCUMENT = r"""\documentclass{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs}
\begin{document}
\input{table.tex}
\end{document}
"""


@pytest.fixture
def latex(table):
    """A function: fields of several runs to the table in LaTeX; errors are 1, 2, ..."""

    def make(*runs):
        measured = table(*enumerate(runs, start=1))
        return texts.latex(layout.annotated(measured), "error", ORIGIN)

    return make


@pytest.fixture
def awkward(latex):
    """All that runs may bring: signs, flags, four numbers of labels, many rows."""
    names = ["supervised", "color_s4l+mean_teacher", "pi_model"]
    runs = [
        {"dataset": "cifar10", "labels": labels, "seed": seed, "method": name}
        for labels in (1000, 2000, 4000, None)
        for name in names
        for seed in (1, 2)
    ]
    runs += [
        {"dataset": "50%_of_a&b", "labels": 10, "set": (f"proxies.weight={number}",)}
        | {"method": "color_s4l"}
        for number in range(2, 3 + texts.PAGE)
    ]
    return latex(*runs, {"dataset": "#1^{2}~$x<y|z", "labels": 10})


def test_special_characters_are_typeset():
    assert texts.typeset(r"50% of a_b & #1 ± $x{y}\z") == (
        r"50\% of a\_b \& \#1 $\pm$ \$x\{y\}\textbackslash{}z"
    )
    # Not a dash, and no line ends in it.
    assert texts.typeset("4 epochs, --bn_stats=both") == (
        r"4 epochs, \mbox{-{}-bn\_stats=both}"
    )


def test_the_lowest_is_bold_and_settings_are_notes(latex):
    text = latex(
        {"labels": 1000, "method": "supervised"},
        {"labels": 1000, "method": "sesemi"},
        {"labels": 1000, "method": "mixmatch", "set": ("mixmatch.weight=10",)},
    )
    rows = dict(re.findall(r"^(\S+) & convnet & (.*) \\\\$", text, re.MULTILINE))
    assert r"\textbf{1.00 (1)}" in rows["supervised"]
    assert r"\textbf" not in rows["sesemi"]
    note, other = rows["sesemi"].split(" & ")[0], rows["mixmatch"].split(" & ")[0]
    assert rows["supervised"].split(" & ")[0] == note != other
    assert re.search(rf"^{note}: ours; .*\\par$", text, re.MULTILINE)
    assert re.search(rf"^{other}: ours; .*mixmatch\.weight=10", text, re.MULTILINE)


def test_no_table_is_longer_than_a_page(awkward):
    tables = [t for t in awkward.split(r"\begin{table}") if r"{50\%\_of\_a\&b." in t]
    # One more than a page has room for: both are of half the length.
    assert [text.count("& convnet &") for text in tables] == [16, 15]


@pytest.mark.skipif(PDFLATEX is None, reason="there is no pdflatex")
def test_it_compiles_and_nothing_runs_off_the_page(awkward, tmp_path):
    (tmp_path / "table.tex").write_text(awkward, encoding="utf-8")
    (tmp_path / "document.tex").write_text(DOCUMENT, encoding="utf-8")
    words = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    log = (tmp_path / "document.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-1000:]
    assert "Overfull" not in log
    assert "Float too large" not in log
