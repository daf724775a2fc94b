"""From the flags of a recipe to the runs of its stages."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line, methods
from color_s4l.errors import InputError, suggestion, unknown
from color_s4l.recipes import RECIPES, Recipe, Stage
from color_s4l.settings import DataSettings, Run
from color_s4l.terms import TERMS, Term
from color_s4l.terms.parts.fields import with_value
from color_s4l.training import values

_FLAGS = [field.name for field in dataclasses.fields(Run)]
# What every stage has from the whole: its images, which are read once, and where its
# results are compared and kept.
_IMAGES = [field.name for field in dataclasses.fields(DataSettings)]
_OF_THE_WHOLE = (*_IMAGES, "run_dir", "resume", "recipe", "stage")
# Where no folder is known yet: what stages hand on is named, and not looked for.
_NOWHERE = pathlib.Path()


def stages_of(run: Run, folder: pathlib.Path) -> list[tuple[Stage, Run]]:
    """The stages of a recipe's run, all flags checked.

    Args:
        run: With `recipe`.
        folder: Its own.

    Returns:
        Each stage with its run, in their order.

    Raises:
        InputError: Something does not fit, in whatever stage.
    """
    stages = list(_recipe_of(run).stages(run, folder))
    _check_overrides(run, stages)
    settings = [s for s in run.set if s.partition(".")[0] != run.recipe]
    runs = [_run_of(run, folder, stage, settings) for stage in stages]
    _check_settings(settings, runs)
    found = list(zip(stages, runs, strict=True))
    for stage, one in found:
        _check_stage(stage, one)
    return found


def check(run: Run) -> None:
    """Refuses now what would be refused of a run, or of whatever stage of its recipe.

    Raises:
        InputError: One line that names the flag.
    """
    values.check(run)
    if run.recipe is None:
        values.check_method(run, _terms(run))
    else:
        stages_of(run, _NOWHERE)


def runs_of(run: Run) -> list[Run]:
    """The run, or those of all stages of its recipe, whose folder is not known yet."""
    if run.recipe is None:
        return [run]
    return [stage_run for _, stage_run in stages_of(run, _NOWHERE)]


def terms_of(runs: Sequence[Run]) -> list[Term]:
    """The terms of several runs, one after the other."""
    return [term for run in runs for term in _terms(run)]


def names_of(run: Run) -> dict[str, set[str]]:
    """What `--set` and `--stage` may name: the runs of a table share both.

    Args:
        run: What it does not have of the two may be there, and is passed over.

    Returns:
        "set": its terms, in whatever stage, and its recipe; "stage": its stages.

    Raises:
        InputError: The method or recipe does not exist, or a stage's flag is wrong.
    """
    if run.recipe is None:
        return {"set": methods.term_names(run.method), "stage": set()}
    stages = list(_recipe_of(run).stages(run, _NOWHERE))
    kinds = {stage.kind for stage in stages}
    own = tuple(word for word in run.stage if _parsed(word)[0] in kinds)
    run = dataclasses.replace(run, stage=own)
    _check_overrides(run, stages)
    runs = [_run_of(run, _NOWHERE, stage, ()) for stage in stages]
    return {"set": {run.recipe, *_term_names(runs)}, "stage": kinds}


def _term_names(runs: Sequence[Run]) -> set[str]:
    return set().union(*(methods.term_names(run.method) for run in runs))


def _terms(run: Run) -> tuple[Term, ...]:
    return methods.terms_of(run.method, run.set, bn_stats=run.bn_stats)


def _check_stage(stage: Stage, run: Run) -> None:
    """Refuses now what the stage would refuse when its turn comes."""
    try:
        values.check(run)
        values.check_method(run, _terms(run))
    except InputError as error:
        raise InputError(f"Stage {stage.kind!r}: {error}") from error


def _recipe_of(run: Run) -> Recipe:
    """The recipe, its hyper-parameters as `--set` says."""
    if run.recipe not in RECIPES:
        raise unknown("recipe", run.recipe, RECIPES)
    if run.method != Run.method:
        raise InputError("A --recipe names its own methods: leave --method out.")
    recipe = RECIPES[run.recipe]
    for change in run.set:
        name, _, rest = change.partition(".")
        if name == run.recipe:
            field, _, text = rest.partition("=")
            recipe = with_value(recipe, "Recipe", name, field, text)
    return recipe


def _check_settings(settings: Sequence[str], runs: Sequence[Run]) -> None:
    used = _term_names(runs)
    for setting in settings:
        name = setting.partition(".")[0]
        if name not in TERMS:
            raise unknown("term", name, TERMS)
        if name not in used:
            raise InputError(f"--set={setting}: no stage has a term {name!r}.")


def _check_overrides(run: Run, stages: Sequence[Stage]) -> None:
    kinds = dict.fromkeys(stage.kind for stage in stages)
    for override in run.stage:
        kind, flag, _ = _parsed(override)
        if kind not in kinds:
            raise unknown("stage", kind, kinds)
        if flag not in _FLAGS:  # absl's own, such as --flagfile, are none of a stage
            raise InputError(
                f"--stage={override}: there is no flag {flag!r}."
                f"{suggestion(flag, _FLAGS)}"
            )
        if flag in _OF_THE_WHOLE:
            raise InputError(f"--stage={override}: --{flag} belongs to the whole.")


def _parsed(override: str) -> tuple[str, str, str]:
    path, equals, value = override.partition("=")
    kind, dot, flag = path.partition(".")
    if not (equals and dot):
        raise InputError(f"Expected --stage=STAGE.FLAG=VALUE. Received: {override!r}.")
    return kind, flag, value


def _run_of(
    run: Run, folder: pathlib.Path, stage: Stage, settings: Sequence[str]
) -> Run:
    """What the recipe says, then the whole's settings, then the stage's own flags."""
    own = _overrides(run, stage)
    fields = {**stage.changes, **own}
    names = methods.term_names(fields["method"])
    fields["set"] = (
        *stage.changes.get("set", ()),
        *(setting for setting in settings if setting.partition(".")[0] in names),
        *own.get("set", ()),
    )
    whole = {"recipe": None, "stage": (), "resume": True}
    whole["run_dir"] = str(folder / stage.name)
    return dataclasses.replace(run, **fields, **whole)


def _overrides(run: Run, stage: Stage) -> dict:
    """What `--stage` says of it: the last value of a flag, every `set`."""
    words = [
        f"--{flag}={value}"
        for kind, flag, value in map(_parsed, run.stage)
        if kind == stage.kind
    ]
    given = command_line.parse(Run, words, "")
    named = {word.removeprefix("--").partition("=")[0] for word in words}
    return {name: getattr(given, name) for name in named}
