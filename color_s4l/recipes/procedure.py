"""Runs a recipe: stage after stage, each a run folder in the folder of the whole.

Killed anywhere, it goes on: a stage that is complete has its result and is not run
again, the one that was running goes on from its checkpoint, and what stages hand on
are whole files.
"""

import gc
import pathlib
import shutil
from collections.abc import Sequence

import keras

from color_s4l import data
from color_s4l.artifacts.files import save_atomically, write_json
from color_s4l.artifacts.run_directory import (
    RunFolder,
    check_folder,
    make_folder,
    read_config,
    read_result,
    write_config,
)
from color_s4l.recipes import Stage, flags
from color_s4l.settings import Run
from color_s4l.training import colors, results, session, values
from color_s4l.training.given import contents

# Of the last stage, so that the whole folder is that of a run.
KEPT = ("split.csv", "log.csv", "samples.npz", "model*", "heads*", "pictures/*")


def fit(run: Run) -> dict:
    """Trains: one run, or all stages of a recipe.

    Args:
        run: What to do.

    Returns:
        The content of result.json: of a recipe that of its last stage, with all of
        them by their order in `stages`.

    Raises:
        InputError: A value does not fit, the folder exists, the loss is not finite.
    """
    if run.recipe is None:
        return session.fit(run)
    values.check(run)
    folder = check_folder(run, keras.backend.backend())
    stages = flags.stages_of(run, folder.path)
    if folder.result.exists():
        print(f"complete   {folder.path} holds the result already")
        return read_result(folder)
    session.start(run)
    dataset = _begin(run, stages, folder)
    found = []
    for number, (stage, stage_run) in enumerate(stages, start=1):
        print(f"\nstage      {number} of {len(stages)}: {stage.name}", flush=True)
        found.append({"stage": stage.name, **session.fit(stage_run, dataset)})
        if stage.afterwards:
            stage.afterwards(folder.path / stage.name, dataset)
        # What each stage compiled must not pile up.
        keras.backend.clear_session()
        gc.collect()
    return _end(found, folder)


def _begin(
    run: Run, stages: Sequence[tuple[Stage, Run]], folder: RunFolder
) -> data.Data:
    """Reads what all stages share, the same as when the recipe was begun."""
    terms = flags.terms_of([stage_run for _, stage_run in stages])
    files = contents.read(run, colors=colors.needed(terms))
    if folder.config.exists():
        contents.check_same(run, files, read_config(folder))
    print(f"reading    {run.dataset}", flush=True)
    dataset = data.load_source(run)
    first = RunFolder(folder.path / stages[0][0].name)
    if first.split.exists():  # it knows its images
        data.read_split(first.split, dataset)
    make_folder(folder, inner=False)
    if not folder.config.exists():
        about = session.about(values.resolved(run, dataset), dataset, files)
        write_config(folder, run, about)
    return dataset


def _end(found: list[dict], folder: RunFolder) -> dict:
    """Makes the folder that of a run, and writes its result last."""
    last = folder.path / found[-1]["stage"]
    for pattern in KEPT:
        for path in last.glob(pattern):
            _copy(path, folder.path / path.relative_to(last))
    result = {**found[-1], "run_dir": str(folder.path), "stages": found}
    write_json(folder.result, result)
    print()
    results.describe(result)
    return result


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(exist_ok=True)
    save_atomically(target, lambda name: shutil.copyfile(source, name))
