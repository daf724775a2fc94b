"""Every combination of labels, networks, methods and seeds, and the folder of each.

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

from color_s4l.config import Run, Settings
from color_s4l.errors import InputError

ALL = "all"


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
    settings: Settings, *, labels: str, networks: str, methods: str, seeds: str
) -> list[Run]:
    """The runs, the seeds innermost.

    Args:
        settings: What all share.
        labels: Comma-separated counts; "all" for every label.
        networks: Comma-separated names.
        methods: Comma-separated names or sums.
        seeds: Comma-separated numbers.

    Raises:
        InputError: A label count or a seed is no number, or something is named twice.
    """
    fields = dataclasses.fields(Settings)
    shared = {field.name: getattr(settings, field.name) for field in fields}
    counts = ["0" if word == ALL else word for word in _words("labels", labels)]
    axes = (
        [count or None for count in _integers("labels", counts)],
        _words("networks", networks),
        _words("methods", methods),
        _integers("seeds", _words("seeds", seeds)),
    )
    return [
        Run(labels=count, network=network, method=method, seed=seed, **shared)
        for count, network, method, seed in itertools.product(*axes)
    ]


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
    from color_s4l.training import identity
    from color_s4l.training.run_folder import default_path

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
    from color_s4l.training import identity
    from color_s4l.training.run_folder import RunFolder, read_config

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
    from color_s4l import methods
    from color_s4l.training import colors

    needed = colors.needed(methods.terms_of(run.method, run.set))
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
