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
    """All that runs may bring: signs, flags, four numbers of labels."""
    names = ["supervised", "color_s4l+mean_teacher", "pi_model"]
    runs = [
        {"dataset": "cifar10", "labels": labels, "seed": seed, "method": name}
        for labels in (1000, 2000, 4000, None)
        for name in names
        for seed in (1, 2)
    ]
    own = {"method": "color_s4l", "set": ("proxies.weight=2",)}
    runs += [{"dataset": "50%_of_a&b", "labels": 10, **own}]
    return latex(*runs, {"dataset": "#1^{2}~$x<y|z", "labels": 10})


@pytest.fixture
def noted(table):
    """A function: a count of rows to the tables, each row with a note of two lines."""

    def make(rows):
        # Of a data set of which nothing is published beside.
        fields = {"dataset": "digits", "labels": 100, "method": "color_s4l"}
        runs = [{**fields, "set": (f"proxies.weight={i}",)} for i in range(rows)]
        found = layout.annotated(table(*enumerate(runs, start=1)))
        words = "changed: --bn_stats=both, --augmentation=none, --batch_size=32, " * 3
        size = 2 * texts.NOTE - len("ours; ")
        found["settings"] = [f"{i:02} {words}"[:size] for i in range(rows)]
        return texts.latex(found, "error", ORIGIN)

    return make


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


def test_no_table_is_longer_than_a_page(noted):
    def rows(text):
        return [part.count("& convnet &") for part in text.split(r"\end{table}")[:-1]]

    # 15 rows of one line each and two of the note fill 45 lines; one row more, and
    # both tables are of half the length.
    assert rows(noted(15)) == [15]
    assert rows(noted(16)) == [8, 8]


@pytest.mark.skipif(PDFLATEX is None, reason="there is no pdflatex")
def test_it_compiles_and_nothing_runs_off_the_page(awkward, noted, tmp_path):
    text = awkward + noted(texts.PAGE // 3)
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    (tmp_path / "document.tex").write_text(DOCUMENT, encoding="utf-8")
    words = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    log = (tmp_path / "document.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-1000:]
    assert "Overfull" not in log
    assert "Float too large" not in log
