"""The runs of a table of error rates, and the directories of existing runs."""

import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import pathlib
import typing
from collections.abc import Iterable, Sequence

import keras

from benchmarks.origin import numbers, words
from color_s4l import settings
from color_s4l.artifacts.run_directory import RunDirectory, default_path, read_config
from color_s4l.errors import InputError, suggestion
from color_s4l.recipes import procedure
from color_s4l.registry import RECIPES
from color_s4l.settings import InputSettings, Run, TrainingSettings
from color_s4l.training.inputs import needs_colorizer, read_files

logger = logging.getLogger(__name__)
ALL = "all"


def grid(
    shared: TrainingSettings,
    *,
    labels: str,
    networks: str,
    methods: str,
    recipes: str,
    seeds: str,
) -> list[Run]:
    """Returns a run for every combination of values; the seeds vary fastest.

    Args:
        shared: The settings of all runs. Each run only gets the entries of `set` and
            `stage` that belong to its terms, recipe and stages.
        labels: Comma-separated numbers of labels; "all" means all labels.
        networks: Comma-separated names.
        methods: Comma-separated names or sums; may be empty.
        recipes: Comma-separated names; may be empty.
        seeds: Comma-separated seeds.

    Raises:
        InputError: A value is wrong, occurs twice or does not exist; an entry of `set`
            or `stage` belongs to no run; or a recipe that continues a run is combined
            with other runs.
    """
    trained = [{"method": name} for name in methods and words("methods", methods)]
    trained += [{"recipe": name} for name in recipes and words("recipes", recipes)]
    if not trained:
        raise InputError("Expected `methods` or `recipes`. Received: neither.")
    names = [field.name for field in dataclasses.fields(TrainingSettings)]
    common = {name: getattr(shared, name) for name in names}
    runs = [
        Run(labels=count, network=network, **one, seed=seed, **common)
        for count, network, one, seed in itertools.product(
            [_count(word) for word in words("labels", labels)],
            words("networks", networks),
            trained,
            numbers("seeds", seeds),
        )
    ]
    _check_continued(runs)
    return _with_own_settings(runs)


def _count(word: str) -> int | None:
    if word != ALL and not word.isdecimal():
        raise InputError(
            f"Expected `labels` to be whole numbers or {ALL!r}. Received: {word!r}."
        )
    return None if word == ALL else int(word)


def _check_continued(runs: Sequence[Run]) -> None:
    """Raises an error if a recipe that continues a run is combined with other runs."""
    continued = [run for run in runs if run.recipe and RECIPES[run.recipe]().continues]
    if 0 < len(continued) < len(runs):
        raise InputError(
            f"The recipe {continued[0].recipe!r} continues the run of `init_from`, and "
            "all other runs would also start from that run: give the recipe its own "
            "command."
        )


def _with_own_settings(runs: Sequence[Run]) -> list[Run]:
    """Removes from each run the entries of `set` and `stage` that it cannot use."""
    usable = [procedure.settable(run) for run in runs]
    for field, kind in (("set", "term"), ("stage", "stage")):
        known = sorted({name for names in usable for name in names[field]})
        for word in getattr(runs[0], field):
            name = word.split(".")[0]
            if name not in known:
                raise InputError(
                    f"`{field}`={word}: no run of this table has a {kind} {name!r}."
                    f"{suggestion(name, known)} Known: {', '.join(known) or 'none'}."
                )
    return [
        dataclasses.replace(
            run,
            set=tuple(word for word in run.set if word.split(".")[0] in names["set"]),
            stage=tuple(w for w in run.stage if w.split(".")[0] in names["stage"]),
        )
        for run, names in zip(runs, usable, strict=True)
    ]


class _Known(typing.NamedTuple):
    path: pathlib.Path
    done: bool
    identity: dict
    rounding: dict


def places(runs: Iterable[Run], folder: pathlib.Path) -> list[tuple[Run, bool]]:
    """Finds the run directory of each run, or names a new one.

    Args:
        runs: The runs.
        folder: Directory of the run directories; may not exist yet.

    Returns:
        Each run with the fields `run_dir` and `resume` set, and whether the run is
        complete. A run is recognised by its configuration, not by the name of its
        directory. An unfinished run is only resumed with the same values of the fields
        in `settings.ROUNDING`.

    Raises:
        InputError: An input file cannot be read.
    """
    known = _known(folder)
    return [_place(run, folder, known) for run in runs]


def _place(run: Run, folder: pathlib.Path, known: Sequence[_Known]) -> tuple[Run, bool]:
    values = settings.to_json(run)
    colorizer = needs_colorizer(procedure.terms_of(procedure.runs_of(run)))
    digests = _digests(settings.inputs_of(run), colorizer)
    identity = settings.identity(values, digests, keras.backend.backend())
    rounding = {name: values[name] for name in sorted(settings.ROUNDING)}
    same = [one for one in known if one.identity == identity]
    finished = [one for one in same if one.done]
    begun = [one for one in same if one.rounding == rounding]
    text = json.dumps({**identity, **rounding}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"{default_path(values).name}_{digest}"
    path = next((one.path for one in finished + begun), path)
    return dataclasses.replace(run, run_dir=str(path), resume=True), bool(finished)


def _known(folder: pathlib.Path) -> list[_Known]:
    """Reads all run directories; a damaged directory is logged and left out."""
    found = []
    for path in sorted(folder.glob("*/config.json")):
        directory = RunDirectory(path.parent)
        try:
            config = read_config(directory)
        except InputError as error:
            logger.warning("left out   %s", error)
            continue
        run = config["run"]
        identity = settings.identity(run, config["digests"], config["backend"])
        done = directory.result.exists()
        rounding = {name: run[name] for name in settings.ROUNDING}
        found.append(_Known(path.parent, done, identity, rounding))
    return found


@functools.cache
def _digests(files: InputSettings, colorizer: bool) -> dict[str, str | None]:
    """Returns the digests of the input files; many runs share the files."""
    return read_files(files, colorizer=colorizer).digests
