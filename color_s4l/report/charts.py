"""Learning curves as SVG, and images as `data:` URLs, inside the page's HTML.

Matplotlib draws the curves. Their colours are placeholders that are replaced by CSS
variables, so that the colours change with the page's dark mode. Text is stored as text,
not as shapes.
"""

import base64
import io
import re
import textwrap
import typing
from collections.abc import Sequence

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from color_s4l.report.records import Record

# Numbers of colours and of dash patterns. Methods differ in colour, and the runs of a
# method in dashes. With more methods or runs, colours or dashes are used again.
COLOURS = 10
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_INK, _GRID = "#0a0b0c", "#0a0b0d"
_RUNS = [f"#0a0c{10 + number:02d}" for number in range(COLOURS)]
_VARIABLES = {
    _INK: "var(--soft)",
    _GRID: "var(--line)",
    **{colour: f"var(--run-{number})" for number, colour in enumerate(_RUNS)},
}

_ERRORS = "Error rates in %"
_LOSS = "Loss, its terms, and other monitored values"
_TRAINING = "Training"
_TRAINING_COLUMNS = (
    "seconds",
    "learning_rate",
    "images_per_second",
    "loading_images_per_second",
    "loading_busy",
)
# Columns of the log that are shown first; the others follow in the log's order.
_FIRST = ("test_error", "validation_error", "loss")

# With more runs, the last values are not shown above a chart.
_MOST_NAMED = 4
# Largest number of letters of a name in the chart of the errors.
_LONGEST_NAME = 54

# Images with a side of more than this many pixels are stored as JPEG, others as PNG.
_LARGEST_PNG = 48


class Style(typing.NamedTuple):
    """The look of a run: numbers of its colour and of its dashes."""

    colour: int
    dashes: int


def styles(records: Sequence[Record]) -> list[Style]:
    """Returns one style per run: a colour for each method, dashes within a method."""
    counts: dict[str, int] = {}
    found = []
    for record in records:
        number = counts.get(record.method, 0)
        counts[record.method] = number + 1
        colour = list(counts).index(record.method) % COLOURS
        found.append(Style(colour, number % len(DASHES)))
    return found


def curves(records: Sequence[Record]) -> list[dict]:
    """Draws one chart for each column of the logs, with one curve per run.

    Args:
        records: The runs, drawn in their `styles`.

    Returns:
        One dictionary per group of charts, with the keys `name`, `errors` (whether
        these are the error rates) and `charts`. Each chart is a dictionary with the
        keys `name`, `svg` and `last`; `last` is a list with a pair (number of the
        colour, last value as text) for each run, empty for more than 4 runs.
    """
    logged = [name for record in records for name in record.log]
    names = dict.fromkeys([*(n for n in _FIRST if n in logged), *logged])
    groups: dict[str, list[dict]] = {_ERRORS: [], _LOSS: [], _TRAINING: []}
    for name in names:
        if name != "epoch":
            groups[_group(name)].append(_chart(name, records))
    return [
        {"name": name, "errors": name == _ERRORS, "charts": made}
        for name, made in groups.items()
        if made
    ]


def _group(name: str) -> str:
    if name.endswith("error"):
        return _ERRORS
    return _TRAINING if name in _TRAINING_COLUMNS else _LOSS


def _chart(name: str, records: Sequence[Record]) -> dict:
    series, last, described = [], [], []
    for style, record in zip(styles(records), records, strict=True):
        if name not in record.log:
            continue
        epochs = record.log["epoch"].to_numpy()
        values = record.log[name].to_numpy(dtype=float)
        series.append((style, epochs, values))
        last.append((style.colour, short(values[-1])))
        described.append(
            f"{record.name}: {short(values[0])} at epoch {epochs[0]}, "
            f"{short(values[-1])} at epoch {epochs[-1]}"
        )
    title = name.replace("_", " ")
    svg = lines(title, series, f"{title} by epoch; {'; '.join(described)}")
    return {"name": title, "svg": svg, "last": last if len(last) <= _MOST_NAMED else []}


def short(value: float) -> str:
    """Returns a number as text: "0.1235", "12,346"; "" if it is not finite."""
    if not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def lines(
    title: str, series: Sequence[tuple[Style, np.ndarray, np.ndarray]], text: str
) -> Markup:
    """Draws a line chart of one quantity by epoch, one line per run.

    Args:
        title: Name of the quantity; makes the identifiers inside the SVG unique.
        series: For each line the run's style, the epochs and the values; values that
            are not finite are left out.
        text: Description of the chart for screen readers.

    Returns:
        An `<svg>` element without width and height.
    """
    # Narrow, so that the text is large enough on a phone.
    figure = Figure(figsize=(3.4, 1.9))
    axis = figure.subplots()
    for style, epochs, values in series:
        # Not every epoch has a value (`evaluate_every`).
        known = np.isfinite(np.asarray(values, "float64"))
        axis.plot(
            np.asarray(epochs)[known],
            np.asarray(values)[known],
            color=_RUNS[style.colour],
            linestyle=DASHES[style.dashes],
            linewidth=1.7,
            marker="o" if known.sum() < 2 else None,
        )
    _dress(axis)
    if title.endswith("error"):
        axis.set_ylim(bottom=0, top=1.05 * axis.get_ylim()[1])
    figure.tight_layout(pad=0.3)
    return Markup(_element(_svg(figure, salt=title), text))


class Dots(typing.NamedTuple):
    """One row of `dots`.

    Attributes:
        name: Name of the method.
        colour: Number of its colour.
        values: Error of each run in percent.
        intervals: Both ends of the 95 % interval of each error.
    """

    name: str
    colour: int
    values: list[float]
    intervals: list[tuple[float, float]]


def dots(rows: Sequence[Dots]) -> Markup:
    """Draws the errors of several methods: a dot for each run, a bar for the mean.

    Args:
        rows: The methods, from top to bottom.

    Returns:
        An `<svg>` element without width and height.
    """
    figure = Figure(figsize=(3.4, 0.35 + 0.45 * len(rows)))
    axis = figure.subplots()
    for place, row in enumerate(rows):
        colour = _RUNS[row.colour]
        shifts = 0.1 * (np.arange(len(row.values)) - (len(row.values) - 1) / 2)
        heights = place + shifts.clip(-0.2, 0.2)
        low, high = zip(*row.intervals, strict=True)
        axis.hlines(heights, low, high, color=colour, linewidth=1, alpha=0.6)
        axis.plot(row.values, heights, "o", color=colour, markersize=4)
        mean = float(np.mean(row.values))
        axis.vlines(mean, place - 0.25, place + 0.25, color=colour, linewidth=1.6)
        name = textwrap.shorten(row.name, _LONGEST_NAME, placeholder=" ...")
        axis.text(0, place - 0.3, name, fontsize=8, color=_INK, in_layout=False)
    _dress(axis)
    axis.set_xlim(left=0, right=max(h for row in rows for _, h in row.intervals) * 1.04)
    axis.set_ylim(len(rows) - 0.65, -0.65)  # the first row is at the top
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_yticks([])
    figure.tight_layout(pad=0.3)
    text = "; ".join(
        f"{row.name}: {', '.join(f'{value:.2f}' for value in row.values)}"
        for row in rows
    )
    return Markup(
        _element(
            _svg(figure, salt="dots"), f"Test errors in % after the last epoch; {text}"
        )
    )


def _dress(axis: Axes) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(color=_GRID, linewidth=0.7)
    axis.tick_params(colors=_INK, labelsize=8, length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    low, high = axis.get_ylim()
    # The axis starts at zero, unless the curve would look flat then.
    axis.set_ylim(bottom=0 if 0 <= low < 0.7 * high else None)


def _svg(figure: Figure, salt: str) -> str:
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}),
        io.StringIO() as file,
    ):
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
        return file.getvalue()


def _element(svg: str, text: str) -> str:
    """Returns the <svg> element without header, size, fonts and unused ids."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'<g id="[^"]*"(/?)>', r"<g\1>", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]*; ", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    head, _, body = svg.partition(">")
    box = head[head.index('viewBox="') :].split('"')[1]
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(text)}">{body}'


def data_url(image: np.ndarray) -> str:
    """Returns an image as a `data:` URL, for the `src` of an `<img>`.

    Args:
        image: uint8 `(height, width, 3 or 4)`; the fourth channel is the opacity.
    """
    small = max(image.shape[:2]) <= _LARGEST_PNG or image.shape[2] == 4
    kind = "png" if small else "jpeg"
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format=kind, quality=88)
        text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind};base64,{text}"


def heat_map(shares: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Returns a matrix as an image with one pixel per entry.

    Args:
        shares: Float `(rows, columns)` in [0, 1].
        colour: RGB colour of entries equal to 1; entries equal to 0 are transparent.

    Returns:
        uint8 `(rows, columns, 4)`.
    """
    opacity = np.round(255 * np.sqrt(shares)).astype("uint8")
    plane = np.broadcast_to(np.array(colour, "uint8"), (*shares.shape, 3))
    return np.concatenate([plane, opacity[..., None]], axis=2)
