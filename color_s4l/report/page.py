"""Computes the values of the page's templates and renders the HTML page."""

from collections.abc import Sequence

import jinja2
import pandas as pd
from markupsafe import Markup

from color_s4l.artifacts import provenance, tables
from color_s4l.report import charts, published, samples
from color_s4l.report.records import Record
from color_s4l.settings import dataset_name

# Settings that do not affect the result.
_NOT_SHOWN = {"run_dir", "resume", "verbosity"}


def render(records: Sequence[Record]) -> str:
    """Returns one self-contained HTML document about runs.

    Args:
        records: At least one run, from `records.read`.
    """
    loader = jinja2.PackageLoader("color_s4l.report")
    templates = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = loader.get_source(templates, "style.css")[0]
    return templates.get_template("page.html").render(
        title=_title(records),
        first=tables.won_by_probe(_rows(records)),
        has_probe=any(record.method == tables.PROBE for record in records),
        style=Markup(style),
        runs=[_run(number, record) for number, record in enumerate(records)],
        repeated=_repeated(records),
        published=published.tables(records),
        curves=charts.curves(records),
        settings=_settings(records),
    )


def _title(records: Sequence[Record]) -> str:
    if len(records) > 1:
        return f"{len(records)} runs side by side"
    name, result = dataset_name(records[0].config["run"]), records[0].result
    return f"{records[0].method} on {name}, {result['labels']:,} labels"


def _run(number: int, record: Record) -> dict:
    config, result = record.config, record.result
    return {
        "name": record.name,
        "colour": number % charts.COLOURS,
        "result": result,
        "selections": [result[k] for k in ("best", "selected") if k in result],
        "further": result.get("further", {}),
        "compared": result.get("compared", {}).get("sentence"),
        "facts": _facts(record),
        "log_names": [name.replace("_", " ") for name in record.log],
        "log_rows": [[charts.short(v) for v in row] for row in record.log.to_numpy()],
        "samples": samples.describe(record),
        "colorizer": result.get("colorizer"),
        "date": config["date"],
        "hardware": config["hardware"],
        "versions": tables.versions_text(config["versions"]),
        "command": config["command"],
    }


def _facts(record: Record) -> list[tuple[str, str]]:
    run, result = record.config["run"], record.result
    facts = [
        ("method", record.method),
        ("labelled, unlabelled", f"{result['labels']:,}, {result['unlabeled']:,}"),
        ("network", f"{run['network']}, width {run['width']:g}"),
        ("parameters", f"{result['parameters']:,}"),
        ("seed", str(run["seed"])),
        ("training time", provenance.duration(result["seconds"])),
        ("training speed", f"{result['images_per_second']:,.0f} images/s"),
    ]
    stages = [
        f"{one['stage']} {_percent(one['error'])}" for one in result.get("stages", ())
    ]
    if stages:
        facts.insert(1, ("stages (curves: the last stage)", ", ".join(stages)))
    return facts


def _percent(error: float | None) -> str:
    return "(no classes)" if error is None else f"{error:.2f} %"


def _rows(records: Sequence[Record]) -> pd.DataFrame:
    return pd.DataFrame([tables.row(one.config, one.result) for one in records])


def _repeated(records: Sequence[Record]) -> list[dict]:
    """Returns means and standard deviations of runs that differ only in the seed."""
    summary = tables.summary(_rows(records))
    if (summary["n"] == 1).all():
        return []
    varying = [name for name in tables.SETTINGS if summary[name].nunique() > 1]
    names = ["method", *(name for name in varying if name != "method"), "n"]
    table = summary[names].assign(
        **{
            measure.replace("_", " "): [
                tables.spread(row[measure], row[f"{measure}_std"])
                for _, row in summary.iterrows()
            ]
            for measure in ("error", "error_augmented")
        }
    )
    return table.rename(columns=lambda name: name.replace("_", " ")).to_dict("records")


def _settings(records: Sequence[Record]) -> list[dict]:
    """Returns every resolved setting of every run, and whether the runs differ."""
    runs = [{**one.config["settings"], "method": one.method} for one in records]
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run):
        if name not in _NOT_SHOWN:
            values = [_text(run.get(name)) for run in runs]
            differs = len(set(values)) > 1
            rows.append({"name": name, "cells": values, "differs": differs})
    return rows


def _text(value: object) -> str:
    if value is None or value == []:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
