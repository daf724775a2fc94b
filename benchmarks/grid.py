"""Every combination of labels, networks, methods or recipes, and seeds; its folder.

A run that is there already is recognised by its configuration, whatever its folder
is called.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterable, Sequence

from color_s4l.errors import InputError, suggestion
from color_s4l.settings import Run, Settings

ALL = "all"
METHODS = "supervised,sesemi,color_s4l"


@dataclasses.dataclass(frozen=True)
class Place:
    """A run and where it is.

    Attributes:
        run: With its folder; `resume` is set.
        done: Whether the folder holds its result.
    """

    run: Run
    done: bool


def grid(
    settings: Settings,
    *,
    labels: str,
    networks: str,
    methods: str | None,
    recipes: str,
    seeds: str,
) -> list[Run]:
    """The runs, the seeds innermost.

    Args:
        settings: What all share; of `set` and `stage` each has what it knows.
        labels: Comma-separated counts; "all" for every label.
        networks: Comma-separated names.
        methods: Comma-separated names or sums; empty for none; None: `METHODS`, where
            no recipes are named.
        recipes: Comma-separated names; may be empty.
        seeds: Comma-separated numbers.

    Raises:
        InputError: A label count or a seed is no number, something is named twice or
            does not exist, no run knows a setting, or a recipe can't be in a table,
            or not beside others.
    """
    fields = dataclasses.fields(Settings)
    shared = {field.name: getattr(settings, field.name) for field in fields}
    counts = ["0" if word == ALL else word for word in _words("labels", labels)]
    axes = (
        [count or None for count in _integers("labels", counts)],
        _words("networks", networks),
        _trained(methods, recipes),
        _integers("seeds", _words("seeds", seeds)),
    )
    runs = [
        Run(labels=count, network=network, **trained, seed=seed, **shared)
        for count, network, trained, seed in itertools.product(*axes)
    ]
    runs = _with_own_settings(runs, settings)
    _check_beginnings(runs)
    return runs


def _trained(methods: str | None, recipes: str) -> list[dict[str, str]]:
    """The one axis of methods and recipes, as fields of a run."""
    if methods is None:
        methods = "" if recipes else METHODS
    found = [{"method": name} for name in methods and _words("methods", methods)]
    found += [{"recipe": name} for name in recipes and _words("recipes", recipes)]
    if not found:
        raise InputError("Expected --methods or --recipes. Received: neither.")
    return found


def _check_beginnings(runs: Sequence[Run]) -> None:
    """Refuses what a recipe that goes on from a run would share it with.

    That is other labels than the run's, and what else would begin with its weights.
    """
    from color_s4l.recipes import RECIPES

    going_on = [run for run in runs if run.recipe and RECIPES[run.recipe].goes_on]
    if 0 < len(going_on) < len(runs):
        raise InputError(
            f"--recipes={going_on[0].recipe} goes on from --init_from, and all others "
            "would, too: give it a command of its own; benchmarks.table joins both."
        )
    drawn = {(run.labels, run.seed) for run in going_on if not run.split_file}
    if len(drawn) > 1:
        raise InputError(
            f"--recipes={going_on[0].recipe} goes on from one run and its labels: give "
            "its --labels and its seed alone, or --split_file=RUN/split.csv."
        )


def _with_own_settings(runs: Sequence[Run], settings: Settings) -> list[Run]:
    """The runs, each with those of the shared `set` and `stage` that it knows."""
    from color_s4l.recipes import flags

    names = [flags.names_of(run) for run in runs]
    for flag, kind in (("set", "term"), ("stage", "stage")):
        known = dict.fromkeys(name for own in names for name in sorted(own[flag]))
        for word in getattr(settings, flag):
            if _owner(word) not in known:
                raise _nobodys(f"--{flag}={word}", kind, _owner(word), [*known])
    return [_with_own(run, own) for run, own in zip(runs, names, strict=True)]


def _nobodys(word: str, kind: str, name: str, known: Sequence[str]) -> InputError:
    if not known:
        return InputError(f"{word}: only a --recipe has stages.")
    return InputError(
        f"{word}: no run of this table has a {kind} {name!r}."
        f"{suggestion(name, known)} They have: {', '.join(known)}."
    )


def _with_own(run: Run, names: dict[str, set[str]]) -> Run:
    own = {
        flag: tuple(word for word in getattr(run, flag) if _owner(word) in known)
        for flag, known in names.items()
    }
    return dataclasses.replace(run, **own)


def _owner(word: str) -> str:
    """The first part of TERM.FIELD=VALUE, RECIPE.FIELD=VALUE or STAGE.FLAG=VALUE."""
    return word.partition(".")[0]


def _words(name: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    twice = {word for word in words if words.count(word) > 1}
    if twice or "" in words:
        wrong = f"{sorted(twice)[0]!r} twice" if twice else "an empty word"
        raise InputError(f"--{name}={text}: expected different words, got {wrong}.")
    return words


def _integers(name: str, words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise InputError(
            f"--{name}: expected numbers, comma-separated. Received: {','.join(words)}."
        ) from error


def places(runs: Iterable[Run], folder: pathlib.Path) -> list[Place]:
    """Finds each run among the folders that are there, or gives it a new one.

    Args:
        runs: Of `grid`.
        folder: Holds the run folders; may not exist yet.

    Returns:
        A place for each run, in their order. An unfinished run is gone on with only
        where it was begun on as many devices and compiled alike.

    Raises:
        InputError: A colorizer, weights or labels that are needed can't be read.
    """
    import keras

    known = _known(folder)
    return [_place(run, folder, known, keras.backend.backend()) for run in runs]


def _place(run: Run, folder: pathlib.Path, known: list, backend: str) -> Place:
    from color_s4l.artifacts.run_directory import default_path
    from color_s4l.training import identity

    values = identity.json_values(run)
    wanted = identity.identity(values, _digests(run), backend)
    exactly = {name: values[name] for name in identity.ROUNDING}
    same = [(path, done, also) for path, done, what, also in known if what == wanted]
    finished = [path for path, done, _ in same if done]
    begun = [path for path, _, also in same if also == exactly]
    for paths in (finished, begun):
        if paths:
            place = dataclasses.replace(run, run_dir=str(paths[0]), resume=True)
            return Place(place, bool(finished))
    text = json.dumps({**wanted, **exactly}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"{default_path(run).name}_{digest}"
    return Place(dataclasses.replace(run, run_dir=str(path), resume=True), False)


def _known(folder: pathlib.Path) -> list[tuple[pathlib.Path, bool, dict, dict]]:
    """Every run folder: path, whether it is finished, its identity, how it was run."""
    from color_s4l.artifacts.run_directory import RunFolder, read_config
    from color_s4l.training import identity

    found = []
    for path in sorted(folder.glob("*/config.json")):
        run_folder = RunFolder(path.parent)
        try:
            config = read_config(run_folder)
        except InputError as error:
            print(f"left out   {error}", flush=True)
            continue
        values = identity.values_of(config)
        digests = identity.digests_of(config)
        what = identity.identity(values, digests, config.get("backend"))
        exactly = {name: values[name] for name in identity.ROUNDING}
        found.append((path.parent, run_folder.result.exists(), what, exactly))
    return found


def _digests(run: Run) -> dict[str, str | None]:
    """Digests of the files that the run would read, by flag."""
    from color_s4l.recipes import flags
    from color_s4l.training import colors

    needed = colors.needed(flags.terms_of(flags.runs_of(run)))
    return _contents(
        run.colorizer if needed else None,
        run.init_from,
        run.init_heads,
        run.pseudo_labels,
    )


@functools.cache
def _contents(colorizer, init_from, init_heads, pseudo_labels) -> dict:
    """The same for files that many runs share, read once."""
    from color_s4l.training.given import contents

    files = Run(
        colorizer=colorizer,
        init_from=init_from,
        init_heads=init_heads,
        pseudo_labels=pseudo_labels,
    )
    return contents.read(files, colors=True).digests
