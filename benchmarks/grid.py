"""The runs of a table of error rates, and the run directories of existing ones."""

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

from benchmarks import origin
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
        shared: The settings of all runs. Of `set` and `stage` each run gets the ones
            that its terms, recipe and stages have.
        labels: Comma-separated numbers of labels; "all" for every label.
        networks: Comma-separated names.
        methods: Comma-separated names or sums; may be empty.
        recipes: Comma-separated names; may be empty.
        seeds: Comma-separated seeds.

    Raises:
        InputError: A value is wrong, occurs twice or does not exist; no run has the
            term of a `set` or the stage of a `stage`; or a recipe that continues a run
            cannot share a table with others.
    """
    trained = [{"method": name} for name in methods and _words("methods", methods)]
    trained += [{"recipe": name} for name in recipes and _words("recipes", recipes)]
    if not trained:
        raise InputError("Expected `methods` or `recipes`. Received: neither.")
    names = [field.name for field in dataclasses.fields(TrainingSettings)]
    common = {name: getattr(shared, name) for name in names}
    runs = [
        Run(labels=count, network=network, **one, seed=seed, **common)
        for count, network, one, seed in itertools.product(
            [_count(word) for word in _words("labels", labels)],
            _words("networks", networks),
            trained,
            origin.numbers("seeds", seeds),
        )
    ]
    _check_continued(runs)
    return _with_own_settings(runs)


def _words(name: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if "" in words or len(words) > len({*words}):
        raise InputError(
            f"Expected `{name}` to be different words, separated by commas. "
            f"Received: {text!r}."
        )
    return words


def _count(word: str) -> int | None:
    if word != ALL and not word.isdecimal():
        raise InputError(
            f"Expected `labels` to be whole numbers or {ALL!r}. Received: {word!r}."
        )
    return None if word == ALL else int(word)


def _check_continued(runs: Sequence[Run]) -> None:
    """Raises an error if a recipe that continues a run stands beside other runs."""
    continued = [run for run in runs if run.recipe and RECIPES[run.recipe].continues]
    if 0 < len(continued) < len(runs):
        raise InputError(
            f"The recipe {continued[0].recipe!r} continues the run of `init_from`, and "
            "all other runs would start from it too: give the recipe its own command."
        )
    drawn = {(run.labels, run.seed) for run in continued if not run.split_file}
    if len(drawn) > 1:
        raise InputError(
            f"The recipe {continued[0].recipe!r} continues one run with its labels: "
            "set `labels` and `seeds` to those of that run, or set `split_file`."
        )


def _with_own_settings(runs: Sequence[Run]) -> list[Run]:
    """Leaves each run those of the shared `set` and `stage` that it can use."""
    usable = [procedure.settable(run) for run in runs]
    for field, kind in (("set", "term"), ("stage", "stage")):
        known = sorted({name for names in usable for name in names[field]})
        for word in getattr(runs[0], field):
            name = word.partition(".")[0]
            if name not in known:
                raise InputError(
                    f"`{field}`={word}: no run of this table has a {kind} {name!r}."
                    f"{suggestion(name, known)} Known: "
                    f"{', '.join(known) or 'none'}."
                )
    return [
        dataclasses.replace(
            run,
            **{
                field: tuple(w for w in getattr(run, field) if w.split(".")[0] in names)
                for field, names in known.items()
            },
        )
        for run, known in zip(runs, usable, strict=True)
    ]


class Place(typing.NamedTuple):
    """A run with its run directory.

    Attributes:
        run: With `run_dir`, and with `resume`.
        done: Whether the run is complete.
    """

    run: Run
    done: bool


class _Known(typing.NamedTuple):
    """An existing run directory and the settings of its run."""

    path: pathlib.Path
    done: bool
    identity: dict
    rounding: dict


def places(runs: Iterable[Run], folder: pathlib.Path) -> list[Place]:
    """Finds the run directory of each run, or names a new one.

    Args:
        runs: The runs.
        folder: Directory of the run directories; may not exist yet.

    Returns:
        A place for each run, in the same order. A run is recognised by its
        configuration, not by the name of its directory. An unfinished run is resumed
        only with the same number of devices and the same compilation.

    Raises:
        InputError: An input file cannot be read.
    """
    known = _known(folder)
    return [_place(run, folder, known) for run in runs]


def _place(run: Run, folder: pathlib.Path, known: Sequence[_Known]) -> Place:
    values = settings.to_json(run)
    identity = settings.identity(values, _digests(run), keras.backend.backend())
    rounding = _rounding(values)
    same = [one for one in known if one.identity == identity]
    finished = [one for one in same if one.done]
    begun = [one for one in same if one.rounding == rounding]
    text = json.dumps({**identity, **rounding}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"{default_path(values).name}_{digest}"
    path = next((one.path for one in finished + begun), path)
    run = dataclasses.replace(run, run_dir=str(path), resume=True)
    return Place(run, bool(finished))


def _rounding(values: dict) -> dict:
    return {name: values[name] for name in sorted(settings.ROUNDING)}


def _known(folder: pathlib.Path) -> list[_Known]:
    """Reads all run directories; a damaged one is logged and left out."""
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
        found.append(_Known(path.parent, done, identity, _rounding(run)))
    return found


def _digests(run: Run) -> dict[str, str | None]:
    terms = procedure.terms_of(procedure.runs_of(run))
    return _digests_of(settings.part(run, InputSettings), needs_colorizer(terms))


@functools.cache
def _digests_of(files: InputSettings, colorizer: bool) -> dict[str, str | None]:
    """Returns the digests of the input files; many runs share the files."""
    return read_files(files, colorizer=colorizer).digests
