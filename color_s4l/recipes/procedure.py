"""Training: one run of a method, or all stages of a recipe.

Each stage of a recipe is a run directory inside the directory of the recipe. When a
killed recipe is resumed, complete stages are not run again, and the interrupted stage
resumes from its checkpoint. Files for later stages are written atomically.
"""

import contextlib
import dataclasses
import logging
import pathlib
import shutil
import typing
from collections.abc import Sequence

import keras

from color_s4l import data, fields, methods, progress
from color_s4l import settings as run_settings
from color_s4l.artifacts import run_directory
from color_s4l.artifacts.files import save_atomically, write_json
from color_s4l.artifacts.run_directory import Result, RunDirectory
from color_s4l.errors import InputError, suggestion, unknown
from color_s4l.recipes import comparison
from color_s4l.recipes.recipe import Recipe, Stage
from color_s4l.registry import RECIPES, TERMS, load_plugins
from color_s4l.settings import DataSettings, Run, part
from color_s4l.terms.term import Term
from color_s4l.training import inputs, results, session

logger = logging.getLogger(__name__)

# Files of the last stage that are copied to the directory of the recipe, so that it can
# be used like the run directory of a single run.
COPIED = ("split.csv", "log.csv", "samples.npz", "model*", "heads*", "pictures/*")
_FLAGS = [field.name for field in dataclasses.fields(Run)]
# Settings that all stages share: the images, which are read once, the directory, ...
_SHARED = (
    *(field.name for field in dataclasses.fields(DataSettings)),
    *("run_dir", "resume", "recipe", "stage", "plugins", "compare"),
)
# Placeholder for an unknown directory: paths inside it are not opened.
_NOWHERE = pathlib.Path()


def fit(
    run: Run,
    data: data.Data | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Result:
    """Trains a classifier: one run of a method, or all stages of a recipe.

    Messages are logged to the logger `color_s4l`. If no handler is configured, they are
    printed on stderr, unless `run.verbosity` is 0.

    Args:
        run: The settings.
        data: The images; the name of this data set replaces `run.dataset`. None: the
            data set `run.dataset` is read.
        callbacks: Further Keras callbacks, used in every stage.

    Returns:
        The content of result.json: the path `run_dir`, `error` in percent, and so on.
        For a recipe: the result of the last stage, and the results of all stages in
        `stages`; with `run.compare`, the comparison in `compared`. A run that is
        complete is not run again.

    Raises:
        InputError: A setting is wrong, the run directory exists, or the loss is not
            finite.
    """
    load_plugins(run.plugins)
    if data is not None:
        run = dataclasses.replace(run, dataset=data.name)
    with progress.messages_shown(run.verbosity):
        if not run.compare:
            return _train(run, data, callbacks)
        check(run)
        comparison.check(run, terms_of([run]) if run.recipe is None else None)
        return comparison.compared(run, data, callbacks, _train)


def _train(
    run: Run,
    images: data.Data | None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    *,
    shared_process: bool = False,
) -> Result:
    """Trains one run or a recipe, without comparison."""
    if run.recipe is None:
        return session.train(run, images, callbacks, shared_process=shared_process)
    return _fit_recipe(run, images, callbacks)


def _fit_recipe(
    run: Run,
    images: data.Data | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Result:
    run_settings.check(run)
    values = run_settings.to_json(run)
    directory = run_directory.claim(values, keras.backend.backend())
    stages = stages_of(run, directory.path)
    if directory.result.exists():
        logger.info("complete   %s already has its result", directory.path)
        return run_directory.read_result(directory)
    session.start(run)
    with contextlib.ExitStack() as stack:
        images = _begin(run, stages, directory, images, stack)
        found = _train_stages(stages, directory, images, callbacks)
        return _end(found, directory)


def _train_stages(
    stages: Sequence[tuple[Stage, Run]],
    directory: RunDirectory,
    images: data.Data,
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[Result]:
    """Trains the stages; returns their results."""
    found = []
    for number, (stage, stage_run) in enumerate(stages, start=1):
        logger.info("\nstage      %s of %s: %s", number, len(stages), stage.name)
        result = session.train(stage_run, images, callbacks, shared_process=True)
        found.append({"stage": stage.name, **result})
        if stage.afterwards:
            stage.afterwards(directory.path / stage.name, images)
        session.free_memory()
    return found


def _begin(
    run: Run,
    stages: Sequence[tuple[Stage, Run]],
    directory: RunDirectory,
    images: data.Data | None,
    stack: contextlib.ExitStack,
) -> data.Data:
    """Reads the images of all stages; checks the inputs of a resumed recipe.

    The directory is locked until `stack` is closed.
    """
    terms = terms_of([stage_run for _, stage_run in stages])
    settings = run_settings.inputs_of(run)
    files = inputs.read_files(settings, colorizer=inputs.needs_colorizer(terms))
    if directory.config.exists():
        config = run_directory.read_config(directory)
        inputs.check_unchanged(settings, files, config)
    else:
        inputs.fetch(files)
    if images is None:
        logger.info("reading    %s", run.dataset)
        images = data.load(part(run, DataSettings))
    first = RunDirectory(directory.path / stages[0][0].name)
    if first.split.exists():
        data.read_split(first.split, images)  # raises an error for other images
    stack.enter_context(run_directory.created(directory, inner=False))
    if not directory.config.exists():
        resolved = session.resolve(run, terms, images.size, run.labels)
        session.write_config(run, resolved, images, files, directory)
    return images


def _end(found: list[Result], directory: RunDirectory) -> Result:
    """Copies the last stage's files, then writes result.json."""
    last = directory.path / found[-1]["stage"]
    for pattern in COPIED:
        for path in last.glob(pattern):
            _copy(path, directory.path / path.relative_to(last))
    result = {**found[-1], "run_dir": str(directory.path), "stages": found}
    result["seconds"] = sum(one["seconds"] for one in found)
    write_json(directory.result, result)
    logger.info("")
    results.describe(result)
    return result


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(exist_ok=True)
    save_atomically(target, lambda name: shutil.copyfile(source, name))


def check(run: Run) -> None:
    """Checks a run, or all stages of its recipe, before anything is read.

    Raises:
        InputError: A setting is wrong; for a stage, the message contains its name.
    """
    if run.recipe is None:
        session.checked_terms(run)
    else:
        run_settings.check(run)
        stages_of(run, _NOWHERE)


def runs_of(run: Run) -> list[Run]:
    """Returns the run itself, or the runs of all stages of its recipe."""
    if run.recipe is None:
        return [run]
    return [stage_run for _, stage_run in stages_of(run, _NOWHERE)]


def terms_of(runs: Sequence[Run]) -> list[Term]:
    """Returns the terms of several runs, one run after the other."""
    return [
        term
        for run in runs
        for term in methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)
    ]


def recipe_of(run: Run) -> Recipe:
    """Returns the recipe of a run, with the hyper-parameters given by `set`.

    Raises:
        InputError: The recipe or a hyper-parameter does not exist, a value has the
            wrong type or is outside its range, or a `method` is given too.
    """
    recipe = RECIPES[run.recipe or ""]()
    if run.method != Run.method:
        raise InputError("A `recipe` contains its own methods: remove `method`.")
    for change in run.set:
        name, _, rest = change.partition(".")
        if name == run.recipe:
            field, _, text = rest.partition("=")
            recipe = fields.with_text(recipe, field, text, name=f"recipe {name!r}")
    return recipe


def stages_of(run: Run, folder: pathlib.Path) -> list[tuple[Stage, Run]]:
    """Returns the stages of a recipe with their runs, all settings checked.

    Args:
        run: A run with a `recipe`.
        folder: Directory that contains the run directories of the stages.

    Raises:
        InputError: A setting of any stage is wrong.
    """
    stages = list(recipe_of(run).stages(run, folder))
    _check_overrides(run, stages)
    changes = [word for word in run.set if word.partition(".")[0] != run.recipe]
    runs = [_stage_run(run, folder, stage, changes) for stage in stages]
    used = term_names(runs)
    for change in changes:
        name = change.partition(".")[0]
        TERMS.entry(name)  # raises an error for an unknown name
        if name not in used:
            raise InputError(
                f"`set`={change}: no stage has a term {name!r}. "
                f"The stages have: {', '.join(sorted(used))}."
            )
    for stage, stage_run in zip(stages, runs, strict=True):
        try:
            session.checked_terms(stage_run)
        except InputError as error:
            raise InputError(f"Stage {stage.kind!r}: {error}") from error
    return list(zip(stages, runs, strict=True))


def term_names(runs: Sequence[Run]) -> set[str]:
    """Returns the names of all terms of several runs."""
    return set().union(*(methods.term_names(run.method) for run in runs))


def settable(run: Run) -> dict[str, set[str]]:
    """Returns the names that `set` and `stage` of a run may start with.

    In a table of error rates all runs are given the same `set` and `stage`; each run
    uses the entries that apply to it.

    Args:
        run: The run. The names in `run.set` and `run.stage` are not checked.

    Returns:
        "set": the names of the run's terms, in any stage, and of its recipe; "stage":
        the names of its stages.

    Raises:
        InputError: The method or recipe does not exist, or a setting of a stage is
            wrong.
    """
    if run.recipe is None:
        return {"set": methods.term_names(run.method), "stage": set()}
    stages = list(recipe_of(run).stages(run, _NOWHERE))
    kinds = {stage.kind for stage in stages}
    own = tuple(word for word in run.stage if _parsed(word)[0] in kinds)
    run = dataclasses.replace(run, stage=own)
    _check_overrides(run, stages)
    runs = [_stage_run(run, _NOWHERE, stage, ()) for stage in stages]
    return {"set": {run.recipe or "", *term_names(runs)}, "stage": kinds}


def _check_overrides(run: Run, stages: Sequence[Stage]) -> None:
    kinds = dict.fromkeys(stage.kind for stage in stages)
    for override in run.stage:
        kind, flag, _ = _parsed(override)
        if kind not in kinds:
            raise unknown("stage", kind, kinds)
        if flag not in _FLAGS:
            raise InputError(
                f"`stage`={override}: there is no setting {flag!r}."
                f"{suggestion(flag, _FLAGS)}"
            )
        if flag in _SHARED:
            raise InputError(
                f"`stage`={override}: all stages share {flag!r}. Set it once, without "
                "`stage`."
            )


def _parsed(override: str) -> tuple[str, str, str]:
    path, equals, value = override.partition("=")
    kind, dot, flag = path.partition(".")
    if not (equals and dot):
        raise InputError(f"Expected `stage`=STAGE.FLAG=VALUE. Received: {override!r}.")
    return kind, flag, value


def _stage_run(
    run: Run, folder: pathlib.Path, stage: Stage, changes: Sequence[str]
) -> Run:
    """Returns the run of a stage.

    The settings of `run.stage` have priority over those of the recipe.
    """
    own = _overrides(run, stage)
    values: dict[str, typing.Any] = {**stage.changes, **own}
    names = methods.term_names(values["method"])
    values["set"] = (
        *stage.changes.get("set", ()),
        *(change for change in changes if change.partition(".")[0] in names),
        *own.get("set", ()),
    )
    if values.get("init_from"):
        values.setdefault("weights", None)  # the weights of the earlier stage are used
    # One rate for all stages, although only some of them read `weights`.
    values.setdefault("trunk_rate", run_settings.trunk_rate_of(run))
    values |= {"recipe": None, "stage": (), "resume": True, "compare": False}
    values["run_dir"] = str(folder / stage.name)
    return dataclasses.replace(run, **values)


def _overrides(run: Run, stage: Stage) -> dict:
    """Returns the settings in `run.stage` that are for this stage."""
    found: dict[str, typing.Any] = {}
    for kind, field, text in map(_parsed, run.stage):
        if kind == stage.kind and field == "set":  # may be repeated
            found[field] = (*found.get(field, ()), text)
        elif kind == stage.kind:
            changed = fields.with_text(Run(), field, text, name=f"stage {kind!r}")
            found[field] = getattr(changed, field)
    return found
