"""Computes the values of the page's templates and renders the HTML page."""

from collections.abc import Sequence

import jinja2
import pandas as pd
from markupsafe import Markup

from color_s4l.artifacts import provenance, tables
from color_s4l.report import charts, published, samples
from color_s4l.report.records import Record
from color_s4l.settings import dataset_name
from color_s4l.training import calibration

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
        first=[*tables.won_by_probe(_rows(records)), *_won_by_features(records)],
        has_probe=any(
            record.method == tables.PROBE or _probe(record) is not None
            for record in records
        ),
        style=Markup(style),
        runs=[
            _run(style, record)
            for style, record in zip(charts.styles(records), records, strict=True)
        ],
        methods={
            record.method: style.colour
            for style, record in zip(charts.styles(records), records, strict=True)
        },
        summary=_summary(records),
        published=published.tables(records),
        curves=charts.curves(records),
        settings=_settings(records),
    )


def _title(records: Sequence[Record]) -> str:
    what = f"{len(records)} runs" if len(records) > 1 else records[0].method
    sets = {(dataset_name(one.config["run"]), one.result["labels"]) for one in records}
    if len(sets) > 1:
        return f"{what} side by side"
    ((name, labels),) = sets
    return f"{what} on {name}, {labels:,} labels"


def _run(style: charts.Style, record: Record) -> dict:
    config, result = record.config, record.result
    low, high = _interval(record)
    return {
        "name": record.name,
        "colour": style.colour,
        "interval": f"{low:.2f} to {high:.2f}",
        "time": provenance.duration(result["seconds"]),
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
        ("folder", record.folder),
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
    if (error := _probe(record)) is not None:
        facts.insert(0, ("probe: logistic regression on its features", _percent(error)))
    if stages:
        facts.insert(1, ("stages (curves: the last stage)", ", ".join(stages)))
    return facts


def _probe(record: Record) -> float | None:
    """Returns the error of logistic regression on the run's features, if measured."""
    return record.result.get("probe_error")


def _won_by_features(records: Sequence[Record]) -> list[str]:
    """Returns a sentence if the probe of a single run is better than its class head."""
    error = _probe(records[0])
    if len(records) > 1 or error is None or error >= records[0].result["error"]:
        return []
    return [
        "A probe wins: logistic regression on the features of this run has "
        f"{error:.2f} % error, and its class head {records[0].result['error']:.2f} %."
    ]


def _percent(error: float | None) -> str:
    return "(no classes)" if error is None else f"{error:.2f} %"


def _rows(records: Sequence[Record]) -> pd.DataFrame:
    return pd.DataFrame([tables.row(one.config, one.result) for one in records])


def _interval(record: Record) -> tuple[float, float]:
    """Returns the 95 % interval of a run's error, from the number of test images."""
    total = record.result["test_images"]
    wrong = round(record.result["error"] * total / 100)
    return calibration.interval(wrong, total)


def _summary(records: Sequence[Record]) -> dict:
    """Returns the chart and the table of the methods, lowest mean error first.

    A row holds the runs that differ only in the seed. Its name is the method and the
    settings in which the rows differ.
    """
    table = _rows(records)
    keys = tables.repetitions(table)
    means = tables.summary(table)
    varying = [n for n in tables.SETTINGS if means[n].nunique(dropna=False) > 1]
    styles, rows = charts.styles(records), []
    for key, (_, mean) in zip(keys.unique(), means.iterrows(), strict=True):
        places = [place for place, other in enumerate(keys) if other == key]
        own = [f"{n.replace('_', ' ')} {mean[n]}" for n in varying if n != "method"]
        runs = [records[place] for place in places]
        rows.append(
            {
                "name": ", ".join([mean["method"], *own]),
                "colour": styles[places[0]].colour,
                "n": len(runs),
                "mean": mean["error"],
                "error": tables.spread(mean["error"], mean["error_std"]),
                "augmented": tables.spread(
                    mean["error_augmented"], mean["error_augmented_std"]
                ),
                "time": provenance.duration(mean["seconds"]),
                "values": [run.result["error"] for run in runs],
                "intervals": [_interval(run) for run in runs],
            }
        )
    rows.sort(key=lambda row: row["mean"])
    drawn = [
        charts.Dots(row["name"], row["colour"], row["values"], row["intervals"])
        for row in rows
    ]
    return {"rows": rows, "chart": charts.dots(drawn)}


def _settings(records: Sequence[Record]) -> dict:
    """Returns the resolved settings of the runs.

    Returns:
        `common`: pairs of a name and its value in all runs. `names`: the settings in
        which the runs differ, except the method and the seed, which the names of the
        runs contain. `differing`: the values of the settings in `names`, one row per
        run.
    """
    runs = [{**one.config["settings"], "method": one.method} for one in records]
    cells = {
        name: [_text(run.get(name)) for run in runs]
        for name in dict.fromkeys(name for run in runs for name in run)
        if name not in _NOT_SHOWN
    }
    differing = {n: values for n, values in cells.items() if len(set(values)) > 1}
    names = [name for name in differing if name not in ("method", "seed")]
    return {
        "common": [(n, values[0]) for n, values in cells.items() if n not in differing],
        "names": names,
        "differing": list(zip(*(differing[name] for name in names), strict=True)),
    }


def _text(value: object) -> str:
    if value is None or value == []:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
