"""Which of a run's values determine its result, and whether two runs are one.

A run is recognised by its configuration and not by its folder's name. A field that
did not exist yet when a folder was written counts as its default: that is what the
code did then.
"""

import dataclasses
import json
import os

from color_s4l.settings import Run

# How a run is told, where it and its images lie, how its steps are called: nothing of
# the result.
FREE = frozenset({"run_dir", "resume", "verbosity", "steps_per_execution", "cache"})
# These change a result by rounding, or by the place where dropout is drawn.
ROUNDING = frozenset({"devices", "jit_compile", "deterministic"})
# Folders and files that are the same by whatever way a person names them.
PATHS = frozenset({"data_dir", "labels_csv", "split_file"})
# Files that count by their content; config.json has their digests.
CONTENTS = frozenset({"colorizer", "init_from", "pseudo_labels"})


def values_of(config: dict) -> dict:
    """Every field of `Run` as a config.json holds it, in JSON's types.

    Args:
        config: Of `run_folder.read_config`.
    """
    return {**json_values(Run()), **config["run"]}


def json_values(run: Run) -> dict:
    """The fields of a run in JSON's types, as a config.json would hold them."""
    return json.loads(json.dumps(dataclasses.asdict(run)))


def digests_of(config: dict) -> dict:
    """Digests of the contents that a run was begun with, by name.

    Args:
        config: Of `run_folder.read_config`; older ones know the colorizer's alone.
    """
    return config.get("digests") or {"colorizer": config.get("colorizer_digest")}


def identity(values: dict, digests: dict, backend: str) -> dict:
    """What must be equal for two runs to have one result.

    Args:
        values: Of `values_of` or `json_values`.
        digests: Of `digests_of`; a file that is not given or not read has none.
        backend: Keras'.

    Returns:
        Name -> value, comparable by `==`.
    """
    ignored = FREE | ROUNDING | CONTENTS
    kept = {name: value for name, value in values.items() if name not in ignored}
    for name in PATHS:
        kept[name] = kept[name] and os.path.abspath(kept[name])
    contents = {name: digest for name, digest in digests.items() if digest}
    return {**kept, "contents": contents, "backend": backend}
