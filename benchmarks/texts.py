"""The tables as text: Markdown, LaTeX, with the origin of every number."""

import pandas as pd

from benchmarks import layout

NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn_cropped": "SVHN"}
CAPTION = (
    "Test error in %, {measure}; mean ± standard deviation over seeds (number of "
    "runs). Bold: the lowest of its column among equal settings."
)


def markdown(found: pd.DataFrame, measure: str, origin: str) -> str:
    """The tables of all data sets, in Markdown.

    Args:
        found: Of `layout.annotated`.
        measure: One of `layout.MEASURES`.
        origin: The command that made the table.

    Returns:
        A whole file.
    """
    lines = ["# Error rates", "", CAPTION.format(measure=layout.MEASURES[measure]), ""]
    for dataset, rows in found.groupby("dataset", sort=False):
        text, bold = layout.block(rows, measure)
        marked = text.where(~bold, "**" + text.astype(str) + "**")
        lines += [f"## {NAMES.get(dataset, dataset)}", ""]
        lines += [marked.to_markdown(index=False, disable_numparse=True), ""]
    lines += ["## Origin of our numbers", ""]
    lines += [f"* {name}: {value}" for name, value in origins(found, origin).items()]
    return "\n".join(lines) + "\n"


def latex(found: pd.DataFrame, measure: str, origin: str) -> str:
    """As `markdown`, in LaTeX (packages booktabs and inputenc or a Unicode engine).

    Args:
        found: Of `layout.annotated`.
        measure: One of `layout.MEASURES`.
        origin: The command that made the table.
    """
    lines = [f"% {name}: {value}" for name, value in origins(found, origin).items()]
    for dataset, rows in found.groupby("dataset", sort=False):
        text, bold = layout.block(rows, measure)
        caption = CAPTION.format(measure=layout.MEASURES[measure])
        weights = bold.map(lambda best: "textbf:--rwrap;" if best else "")
        style = text.style.format(escape="latex").hide(axis="index")
        made = style.apply(lambda _, weights=weights: weights, axis=None).to_latex(
            hrules=True,
            position="htb",
            caption=f"{NAMES.get(dataset, dataset)}. {caption}".replace("%", r"\%"),
            # The settings are a sentence, and would run off the page.
            column_format="llp{4cm}l" + "l" * (text.shape[1] - 4),
        )
        lines += ["", made.replace("_labels", r"\_labels").replace("±", r"$\pm$")]
    return "\n".join(lines)


def origins(found: pd.DataFrame, command: str) -> dict[str, str]:
    """What every result file says of where its numbers come from.

    Args:
        found: Of `layout.annotated`.
        command: The command that made the table.
    """

    def all_of(name: str) -> str:
        values = "; ".join(found[name].astype(str)).split("; ")
        return "; ".join(dict.fromkeys(values))

    counts = sorted(found["n"].unique())
    return {
        "command": command,
        "runs": f"n = {', '.join(map(str, counts))} of each setting, "
        f"{found['n'].sum()} in total",
        "seeds": all_of("seeds"),
        "hardware": all_of("hardware"),
        "versions": all_of("versions"),
        "date": all_of("date"),
    }
