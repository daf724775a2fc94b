"""Small line charts as SVG, whose colours are the page's.

Matplotlib draws them; the colours are placeholders that become CSS variables, so
that a chart follows the page into dark mode, and text stays text.
"""

import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Runs differ in colour and in dashes; after so many they repeat.
COLOURS = 6
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_INK, _GRID = "#0a0b0c", "#0a0b0d"
_RUNS = [f"#0a0c{10 + number:02d}" for number in range(COLOURS)]
_VARIABLES = {
    _INK: "var(--soft)",
    _GRID: "var(--line)",
    **{colour: f"var(--run-{number})" for number, colour in enumerate(_RUNS)},
}


def lines(
    title: str, series: Sequence[tuple[int, np.ndarray, np.ndarray]], text: str
) -> Markup:
    """A chart of one quantity by epoch, one line per run.

    Args:
        title: Of the quantity; also makes the SVG's inner names unique.
        series: For each line the run's number, the epochs and the values; values
            that are not finite leave a gap.
        text: What a reader who does not see it is told.

    Returns:
        An `<svg>` element without a size of its own.
    """
    # Narrow, so that its text is readable where a phone shows it.
    figure = Figure(figsize=(3.4, 1.9))
    axis = figure.subplots()
    for number, epochs, values in series:
        axis.plot(
            epochs,
            values,
            color=_RUNS[number % COLOURS],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.7,
            marker="o" if len(epochs) < 2 else None,
        )
    _dress(axis)
    figure.tight_layout(pad=0.3)
    return Markup(_inline(_svg(figure, salt=title), text))


def _dress(axis) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(color=_GRID, linewidth=0.7)
    axis.tick_params(colors=_INK, labelsize=8, length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    low, high = axis.get_ylim()
    # From zero, unless the values lie far above it: then their change would vanish.
    axis.set_ylim(bottom=0 if 0 <= low < 0.7 * high else None)


def _svg(figure: Figure, salt: str) -> str:
    settings = {"svg.fonttype": "none", "svg.hashsalt": salt}
    unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(settings), io.StringIO() as file:
        figure.savefig(file, format="svg", transparent=True, metadata=unsaid)
        return file.getvalue()


def _inline(svg: str, text: str) -> str:
    """The element alone: no header, size, fonts, nor ids but those referred to."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'<g id="[^"]*"(/?)>', r"<g\1>", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]*; ", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)[0]
    return f'<svg {box} role="img" aria-label="{escape(text)}">{body}'
