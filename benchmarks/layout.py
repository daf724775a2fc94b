"""Measured and published numbers side by side: methods in rows, labels in columns."""

import pandas as pd

from benchmarks import published
from benchmarks.settings import settings
from color_s4l.artifacts import tables

# How our numbers were taken, as the tables' captions say it.
MEASURES = {
    "error": "after the last epoch",
    "error_augmented": "after the last epoch, with test-time augmentation",
    "averaged_error": "of a teacher's or an average's weights, after the last epoch",
    "best_error": "best test epoch (selected on test)",
}
_ROW = ["method", "network", "settings", "source"]


def annotated(table: pd.DataFrame) -> pd.DataFrame:
    """Runs to settings: mean and deviation over seeds, and how they were measured.

    Args:
        table: Of `tables.rows`; columns that older files lack may be missing.

    Returns:
        `tables.summary`, with `name`, what was measured; `settings` in words, of which
        `shared` is what other methods could be measured with and `own` is the
        method's; and `comparable`: equal for numbers of one data set that differ by
        name, network and labels.
    """
    found = tables.summary(table)
    known = [settings(row) for _, row in found.iterrows()]
    other = ["backend", "dtype_policy", "test_images"]
    key = found[other].astype(str).agg(" ".join, axis=1)
    return found.assign(
        name=[_named(row) for _, row in found.iterrows()],
        settings=[one.text for one in known],
        shared=[one.shared for one in known],
        own=[", ".join(one.own) for one in known],
        comparable=[one.shared for one in known] + key,
    )


def settings_column(table: pd.DataFrame) -> pd.Series:
    """The column `settings` of the rows: published, or what was less or changed."""
    keys = tables.repetitions(table)
    words = dict(zip(keys.drop_duplicates(), annotated(table)["settings"], strict=True))
    return keys.map(words)


def beside(found: pd.DataFrame) -> pd.DataFrame:
    """The published numbers that belong to measured ones.

    Args:
        found: Of `annotated`.

    Returns:
        Rows of `published.read`, each once.
    """
    parts = []
    for _, row in found.iterrows():
        run = tables.run_of(row["command"])
        method = published.published_method_of(run)
        rows = published.beside(run.dataset, row["labels"], method, run.network)
        parts.append(rows.assign(measured_name=row["name"]))
    if not parts:
        return published.read().head(0)
    # The papers call a recipe, its stages and a method of its name the same.
    every = pd.concat(parts)
    return every[~every.drop(columns="measured_name").duplicated()]


def best(found: pd.DataFrame, measure: str) -> pd.Series:
    """Which numbers are the lowest of their column.

    Only numbers of equal settings are compared, and a number alone is no best one.

    Args:
        found: Of `annotated`.
        measure: One of `MEASURES`.

    Returns:
        Booleans, one for each row of `found`.
    """
    groups = found.groupby(["dataset", "labels", "comparable"])[measure]
    return (found[measure] == groups.transform("min")) & (groups.transform("count") > 1)


def block(found: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One data set's table: a row for each method, network and settings.

    Args:
        found: Rows of `annotated` of one data set.
        measure: One of `MEASURES`.

    Returns:
        The text of every cell, and whether it is bold. Published rows stand below
        the measured ones of their method and network, never bold.
    """
    rows = [*_measured(found, measure), *_published(found)]
    labels = sorted({row["labels"] for row in rows})
    frame = pd.DataFrame(rows).sort_values("order", kind="stable")
    index = pd.MultiIndex.from_frame(frame[_ROW]).drop_duplicates()
    text, bold = (
        frame.set_index([*_ROW, "labels"])[name]
        .unstack("labels", fill_value=empty)
        .reindex(index)[labels]
        .rename(columns=lambda count: f"{count:,} labels")
        .reset_index()
        for name, empty in (("text", ""), ("bold", False))
    )
    bold[_ROW] = False
    return text, bold.astype(bool)


def _measured(found: pd.DataFrame, measure: str) -> list[dict]:
    marked = best(found, measure)
    return [
        {
            "method": row["name"],
            "network": row["network"],
            "settings": row["settings"],
            "source": "ours",
            "labels": row["labels"],
            "text": tables.spread(row[measure], row[f"{measure}_std"], row["n"]),
            "bold": bold,
            "order": _order(found, row["name"], row["network"]),
        }
        for (_, row), bold in zip(found.iterrows(), marked, strict=True)
    ]


def _named(row: pd.Series) -> str:
    """The method; or the recipe, and its stage where the row is one's.

    A recipe may be called like a method: `moam` begins with a stage that is.
    """
    recipe = tables.run_of(row["command"]).recipe
    if recipe is None:
        return row["method"]
    stage = row.get("stage")
    return f"recipe {recipe}, {stage}" if isinstance(stage, str) else f"recipe {recipe}"


def _published(found: pd.DataFrame) -> list[dict]:
    shown = []
    for _, row in beside(found).iterrows():
        how = [f"{row['epochs']} epochs"] if not pd.isna(row["epochs"]) else []
        how += [row["selection"]] if row["selection"] else []
        shown.append(
            {
                "method": row["name"],
                "network": row["network"],
                "settings": ", ".join(["published", *how]),
                "source": f"{row['source']}, {row['table']}",
                "labels": row["labels"],
                "text": tables.spread(row["error"], row["std"], row["n"]),
                "bold": False,
                "order": _order(found, row["measured_name"], row["network"]),
            }
        )
    return shown


def _order(found: pd.DataFrame, name: str, network: str) -> tuple[int, int]:
    """Names, then networks, in the order in which they were asked for."""
    names, networks = [*found["name"].unique()], [*found["network"].unique()]
    return names.index(name), networks.index(network) if network else len(networks)
