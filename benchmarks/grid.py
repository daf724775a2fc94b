"""The runs of a table of error rates, and the run directories of existing ones."""

import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from benchmarks import origin
from color_s4l import settings
from color_s4l.errors import InputError, suggestion
from color_s4l.settings import InputSettings, Run, TrainingSettings

logger = logging.getLogger(__name__)
ALL = "all"
METHODS = "supervised,sesemi,color_s4l"


@dataclasses.dataclass(frozen=True)
class Axes:
    """Values that differ between the runs of a table, comma-separated.

    Attributes:
        labels: Numbers of labels; "all" for every label.
        networks: Names of networks.
        methods: Names or sums of methods; empty for none; None: `METHODS`, or none if
            there are recipes.
        recipes: Names of recipes; may be empty.
        seeds: Seeds.
    """

    labels: str
    networks: str
    methods: str | None
    recipes: str
    seeds: str


def grid(shared: TrainingSettings, axes: Axes) -> list[Run]:
    """Returns a run for every combination, in the order labels, networks, ..., seeds.

    Args:
        shared: The settings of all runs. Of `set` and `stage` each run gets the ones
            that its terms, recipe and stages have.
        axes: The values that differ.

    Raises:
        InputError: A value is wrong, occurs twice or does not exist; no run has the
            term of a `set` or the stage of a `stage`; or a recipe that starts from
            another run cannot share a table with others.
    """
    names = [field.name for field in dataclasses.fields(TrainingSettings)]
    common = {name: getattr(shared, name) for name in names}
    runs = [
        Run(labels=count, network=network, **trained, seed=seed, **common)
        for count, network, trained, seed in itertools.product(
            [_count(word) for word in _words("labels", axes.labels)],
            _words("networks", axes.networks),
            _trained(axes.methods, axes.recipes),
            origin.numbers("seeds", axes.seeds),
        )
    ]
    runs = _with_own_settings(runs, shared)
    _check_start(runs)
    return runs


def _words(name: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if "" in words or len(words) > len({*words}):
        raise InputError(
            f"Expected `{name}` to be different words, separated by commas. "
            f"Received: {text!r}."
        )
    return words


def _count(word: str) -> int | None:
    if word == ALL:
        return None
    if not word.isdecimal():
        raise InputError(
            f"Expected `labels` to be whole numbers or {ALL!r}. Received: {word!r}."
        )
    return int(word)


def _trained(methods: str | None, recipes: str) -> list[dict[str, str]]:
    """Returns methods and recipes, which share one axis, as fields of a run."""
    if methods is None:
        methods = "" if recipes else METHODS
    found = [{"method": name} for name in methods and _words("methods", methods)]
    found += [{"recipe": name} for name in recipes and _words("recipes", recipes)]
    if not found:
        raise InputError("Expected `methods` or `recipes`. Received: neither.")
    return found


def _check_start(runs: Sequence[Run]) -> None:
    """Raises an error if a recipe that starts from a run stands beside other runs."""
    from color_s4l.registry import RECIPES

    starting = [run for run in runs if run.recipe and RECIPES[run.recipe].goes_on]
    if 0 < len(starting) < len(runs):
        raise InputError(
            f"The recipe {starting[0].recipe!r} starts from `init_from`, and all other "
            "runs would start from it too: give the recipe a command of its own."
        )
    drawn = {(run.labels, run.seed) for run in starting if not run.split_file}
    if len(drawn) > 1:
        raise InputError(
            f"The recipe {starting[0].recipe!r} starts from one run and its labels: "
            "set `labels` and `seeds` to those of that run, or set `split_file`."
        )


def _with_own_settings(runs: Sequence[Run], shared: TrainingSettings) -> list[Run]:
    """Gives each run those of the shared `set` and `stage` whose owner it has."""
    from color_s4l.recipes import flags

    owners = [flags.names_of(run) for run in runs]
    for field, kind in (("set", "term"), ("stage", "stage")):
        known = sorted({name for own in owners for name in own[field]})
        for word in getattr(shared, field):
            if _owner(word) not in known:
                raise InputError(
                    f"`{field}`={word}: no run of this table has a {kind} "
                    f"{_owner(word)!r}.{suggestion(_owner(word), known)} "
                    f"They have: {', '.join(known) or 'none'}."
                )
    return [_with_own(run, own) for run, own in zip(runs, owners, strict=True)]


def _with_own(run: Run, owners: Mapping[str, Collection[str]]) -> Run:
    own = {
        field: tuple(word for word in getattr(run, field) if _owner(word) in names)
        for field, names in owners.items()
    }
    return dataclasses.replace(run, **own)


def _owner(word: str) -> str:
    """Returns the first part of TERM.FIELD=VALUE or STAGE.FLAG=VALUE."""
    return word.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Place:
    """A run with its run directory.

    Attributes:
        run: With `run_dir`, and with `resume`.
        done: Whether the run is complete.
    """

    run: Run
    done: bool


def places(runs: Iterable[Run], folder: pathlib.Path) -> list[Place]:
    """Finds the run directory of each run, or names a new one.

    Args:
        runs: The runs.
        folder: The directory of the run directories; may not exist yet.

    Returns:
        A place for each run, in the same order. A run is recognised by its
        configuration, not by the name of its directory. An unfinished run is resumed
        only with the same number of devices and the same compilation.

    Raises:
        InputError: An input file cannot be read.
    """
    import keras

    known = _known(folder)
    return [_place(run, folder, known, keras.backend.backend()) for run in runs]


@dataclasses.dataclass(frozen=True)
class _Known:
    """A run directory: path, whether it is complete, what it was trained with."""

    path: pathlib.Path
    done: bool
    identity: dict
    rounding: dict


def _place(
    run: Run, folder: pathlib.Path, known: Sequence[_Known], backend: str
) -> Place:
    from color_s4l.artifacts.run_directory import default_path

    values = settings.to_json(run)
    wanted = settings.identity(values, _digests(run), backend)
    rounding = _rounding(values)
    same = [one for one in known if one.identity == wanted]
    finished = [one for one in same if one.done]
    begun = [one for one in same if one.rounding == rounding]
    for found in (finished, begun):
        if found:
            run = dataclasses.replace(run, run_dir=str(found[0].path), resume=True)
            return Place(run, bool(finished))
    text = json.dumps({**wanted, **rounding}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"{default_path(values).name}_{digest}"
    return Place(dataclasses.replace(run, run_dir=str(path), resume=True), False)


def _rounding(values: Mapping) -> dict:
    return {name: values[name] for name in sorted(settings.ROUNDING)}


def _known(folder: pathlib.Path) -> list[_Known]:
    """Reads all run directories; a damaged one is logged and left out."""
    from color_s4l.artifacts.run_directory import RunDirectory, read_config

    found = []
    for path in sorted(folder.glob("*/config.json")):
        directory = RunDirectory(path.parent)
        try:
            config = read_config(directory)
        except InputError as error:
            logger.warning("left out   %s", error)
            continue
        values = config["run"]
        what = settings.identity(values, config["digests"], config["backend"])
        done = directory.result.exists()
        found.append(_Known(path.parent, done, what, _rounding(values)))
    return found


def _digests(run: Run) -> dict[str, str | None]:
    from color_s4l.recipes import flags
    from color_s4l.training.inputs import needs_colorizer

    needed = needs_colorizer(flags.terms_of(flags.runs_of(run)))
    return _digests_of(settings.part(run, InputSettings), needed)


@functools.cache
def _digests_of(files: InputSettings, colorizer: bool) -> dict[str, str | None]:
    """Returns the digests of the input files, which many runs share."""
    from color_s4l.training.inputs import read_files

    return read_files(files, colorizer=colorizer).digests
