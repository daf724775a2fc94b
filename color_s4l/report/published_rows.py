"""Published error rates beside the runs'."""

from collections.abc import Sequence

import pandas as pd

from color_s4l.report.published import comparable, published_method_of
from color_s4l.report.records import Record


def tables(records: Sequence[Record]) -> list[dict]:
    """For each data set and number of labels: published rows, the runs among them.

    Args:
        records: Of the runs.

    Returns:
        `dataset`, `labels` and `rows`, lowest error first; nothing where nothing is
        published. A row: `name`, `error`, `network`, `epochs`, `n`, `selection`,
        `source`, and whether it is `ours` or of the `same` method.
    """
    found = []
    settings = dict.fromkeys(_setting(record) for record in records)
    for dataset, labels in settings:
        rows = comparable(dataset, labels)
        if len(rows):
            ours = [r for r in records if _setting(r) == (dataset, labels)]
            methods = {published_method_of(record.run) for record in ours}
            both = [_published(row, methods) for row in rows.to_dict("records")]
            both += [_own(record) for record in ours]
            both.sort(key=lambda row: row["order"])
            found.append({"dataset": dataset, "labels": f"{labels:,}", "rows": both})
    return found


def _setting(record: Record) -> tuple[str, int]:
    return record.config["run"]["dataset"], record.result["labels"]


def _published(row: dict, methods: set[str]) -> dict:
    said = {name: "" if pd.isna(value) else value for name, value in row.items()}
    deviation = f" ± {row['std']:.2f}" if said["std"] != "" else ""
    source = ", ".join(str(said[k]) for k in ("source", "table", "remark") if said[k])
    return {
        "order": row["error"],
        "name": said["name"],
        "error": f"{row['error']:.2f}{deviation}",
        "network": said["network"],
        "epochs": _whole(said["epochs"]),
        "n": _whole(said["n"]),
        "selection": said["selection"],
        "source": source,
        "ours": False,
        "same": said["method"] in methods,
    }


def _whole(value: float | str) -> str:
    return "" if value == "" else f"{int(value):,}"


def _own(record: Record) -> dict:
    run, result = record.config["run"], record.result
    return {
        "order": result["error"],
        "name": record.name,
        "error": f"{result['error']:.2f}",
        "network": f"{run['network']}, width {run['width']:g}",
        "epochs": f"{run['epochs']:,}",
        "n": "1",
        "selection": "last",
        "source": f"this page; {record.method}, {result['unlabeled']:,} unlabelled",
        "ours": True,
        "same": True,
    }
