"""Files of Label Studio: tasks with predictions to import, and exported labels.

The formats are described in Label Studio's documentation
(https://labelstud.io/guide/predictions and https://labelstud.io/guide/export). The
labelling interface of the project has to be `CONFIG`, with the user's classes.
"""

import json
import logging
import pathlib
import typing
import urllib.parse
from collections.abc import Sequence

import pandas as pd

from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError

logger = logging.getLogger(__name__)

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="choice" toName="image">
    <Choice value="..."/>
  </Choices>
</View>"""
# Names in `CONFIG`, which are also the names of columns in Label Studio's CSV export.
_CHOICE, _IMAGE = "choice", "image"
# Beginning of the URL of a file below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
_LOCAL = "/data/local-files/?d="


def write_tasks(
    path: pathlib.Path, rows: pd.DataFrame, paths: Sequence[pathlib.Path]
) -> None:
    """Writes tasks with the predicted labels as pre-annotations (JSON).

    Args:
        path: The file; its folder exists.
        rows: Columns `filename` (stored with each task, for the export), `label` (the
            predicted class) and `probability`.
        paths: The image file of each row, relative to Label Studio's document root.
    """
    tasks = [
        _task(number, row, file)
        for number, (row, file) in enumerate(
            zip(rows.to_dict("records"), paths, strict=True), start=1
        )
    ]
    # File names are bytes, not always UTF-8; JSON's escapes can store all of them.
    text = json.dumps(tasks, indent=1)
    write_atomically(path, lambda file: file.write(text.encode()))


def _task(number: int, row: dict, path: pathlib.Path) -> dict[str, typing.Any]:
    result = {
        "id": f"guess{number}",
        "type": "choices",
        "from_name": _CHOICE,
        "to_name": _IMAGE,
        "value": {"choices": [row["label"]]},
    }
    quoted = urllib.parse.quote(path.as_posix(), errors="surrogateescape")
    return {
        "data": {"image": f"{_LOCAL}{quoted}", "filename": row["filename"]},
        "predictions": [
            {
                "model_version": "color_s4l",
                "score": round(float(row["probability"]), 6),
                "result": [result],
            }
        ],
    }


def read_json(path: pathlib.Path, text: str) -> pd.DataFrame:
    """Reads Label Studio's JSON export.

    Tasks without a completed annotation (skipped or empty) are left out; their number
    is logged.

    Args:
        path: The file, for error messages.
        text: Its content.

    Returns:
        The columns `filename` and `label`.

    Raises:
        InputError: The text is not such an export, or a task has several labels.
    """
    try:
        tasks = [(_file(task["data"]), _labels(task)) for task in json.loads(text)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a JSON export of Label Studio: expected a list of tasks "
            f"with data and annotations ({type(error).__name__}: {error})."
        ) from error
    for name, labels in tasks:
        if len(labels) > 1:
            raise InputError(
                f"{path} has several labels for {name!r}: {', '.join(sorted(labels))}. "
                "Expected one."
            )
    rows = [(name, *labels) for name, labels in tasks if labels]
    _log_left_out(path, len(tasks) - len(rows), len(tasks))
    return pd.DataFrame(rows, columns=["filename", "label"])


def _labels(task: dict) -> set[str]:
    """Returns the labels in all annotations of a task that were not skipped."""
    return {
        str(label)
        for annotation in task["annotations"]
        if not annotation.get("was_cancelled")
        for result in annotation["result"]
        if result["type"] == "choices"
        for label in result["value"]["choices"]
    }


def _file(fields: dict) -> str:
    """Returns the file name of a task: stored by `write_tasks`, or from its URL."""
    if fields.get("filename"):
        return str(fields["filename"])
    image = str(fields[_IMAGE])
    beginning, local, path = image.partition(_LOCAL)
    return urllib.parse.unquote(path) if local and not beginning else image


def is_csv_export(table: pd.DataFrame) -> bool:
    """Returns whether a table is Label Studio's CSV export."""
    names = set(table.columns)
    return {"annotation_id", _CHOICE} <= names and bool({"filename", _IMAGE} & names)


def from_csv(path: pathlib.Path, table: pd.DataFrame) -> pd.DataFrame:
    """Returns the labels in Label Studio's CSV export, like `read_json`.

    Args:
        path: The file, for error messages.
        table: Its content, all columns as text.

    Raises:
        InputError: A row has several labels.
    """
    labels = table[_CHOICE].str.strip()
    several = labels.str.startswith("{")
    if several.any():
        raise InputError(
            f"{path} has several labels in one row: {labels[several].iloc[0]}. "
            "Expected one."
        )
    names = [_file(row) for row in table.to_dict("records")]
    found = pd.DataFrame({"filename": names, "label": labels})
    found = found[labels != ""].drop_duplicates(ignore_index=True)
    _log_left_out(path, int((labels == "").sum()), len(table))
    return found


def _log_left_out(path: pathlib.Path, count: int, total: int) -> None:
    if count:
        logger.warning(
            "%s: left out %s of %s tasks, which were skipped or have no label",
            path,
            f"{count:,}",
            f"{total:,}",
        )
