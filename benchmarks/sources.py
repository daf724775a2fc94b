"""What a person may name as measured: run folders, folders of them, result files."""

import pathlib
from collections.abc import Sequence

import pandas as pd

from color_s4l.artifacts import tables
from color_s4l.errors import InputError

# What a result file must have for a table to be made of it.
REQUIRED = {
    *tables.SETTINGS,
    *("error", "seed", "test_images"),
    *("backend", "hardware", "versions", "command", "date"),
}
# A run that is named twice, as a folder and in a file, is one run.
_SAME = ["command", "backend", "colorizer", "stage"]


def run_folders(words: Sequence[str]) -> list[pathlib.Path]:
    """The run folders that are named, or that stand in a folder that is named.

    Args:
        words: Paths.

    Returns:
        Folders with a config.json, each once.

    Raises:
        InputError: No word was given, or one names no run's folder.
    """
    if not words:
        raise InputError("Expected run folders. Received: none.")
    found = []
    for path in map(pathlib.Path, words):
        inner = sorted(config.parent for config in path.glob("*/config.json"))
        runs = [path] if (path / "config.json").exists() else inner
        if not runs:
            what = "holds no runs" if path.is_dir() else "does not exist"
            raise InputError(f"{path} {what}: expected run folders.")
        found += runs
    return list(dict.fromkeys(found))


def rows(words: Sequence[str], *, stages: bool = False) -> pd.DataFrame:
    """One row for each run that is named.

    Args:
        words: Run folders, folders of run folders (unfinished runs there are left out
            and named), or CSV files that these commands wrote.
        stages: Also each stage of a recipe's run folder; a CSV has those that it was
            written with.

    Raises:
        InputError: A word names nothing of the kind, or no run is finished.
    """
    files = [word for word in words if word.endswith(".csv")]
    folders = [word for word in words if not word.endswith(".csv")]
    parts = [read(word) for word in files]
    if folders or not files:
        finished = list(_finished(folders))
        parts.append(tables.rows(finished, stages=stages))
    found = pd.concat([part for part in parts if len(part)] or parts)
    if found.empty:
        raise InputError(f"No run in {', '.join(words)} is finished.")
    same = found.reindex(columns=_SAME).duplicated()
    if same.any():
        print(f"left out   {same.sum()} runs that are named twice", flush=True)
    return found[~same].reset_index(drop=True)


def read(word: str) -> pd.DataFrame:
    """A result file's rows.

    Raises:
        InputError: There is no such file, or it is no table of error rates.
    """
    try:
        table = pd.read_csv(word)
    except FileNotFoundError as error:
        raise InputError(f"{word} does not exist.") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{word} is no table: {error}".strip() + ".") from error
    missing = sorted(REQUIRED - set(table))
    if missing:
        raise InputError(
            f"{word} is no table of error rates: it has no column "
            f"{', '.join(map(repr, missing))}."
        )
    return table


def _finished(words: Sequence[str]):
    for path in run_folders(words):
        if (path / "result.json").exists():
            yield path
        else:
            print(f"left out   {path}: not finished", flush=True)
