"""From the flags of a recipe to the runs of its stages."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import commands, methods
from color_s4l.config import Run
from color_s4l.errors import InputError, unknown
from color_s4l.recipes import RECIPES, Recipe, Stage
from color_s4l.terms import TERMS
from color_s4l.training import values

# What every stage has from the whole, as its results are compared and kept there.
_OF_THE_WHOLE = ("dataset", "data_dir", "image_size", "run_dir", "resume", "recipe")


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
    recipe = _recipe_of(run)
    stages = list(recipe.stages(run, folder))
    settings = [s for s in run.set if s.partition(".")[0] != run.recipe]
    _check_settings(settings, stages)
    _check_overrides(run, stages)
    runs = [_run_of(run, folder, stage, settings) for stage in stages]
    for one in runs:
        values.check(one)
        methods.terms_of(one.method, one.set, bn_stats=one.bn_stats)
    return list(zip(stages, runs, strict=True))


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
            recipe = methods.with_value(recipe, "Recipe", name, field, text)
    return recipe


def _term_names(method: str) -> set[str]:
    types = {type(term) for term in methods.terms_of(method)}
    return {name for name, term in TERMS.items() if term in types}


def _check_settings(settings: Sequence[str], stages: Sequence[Stage]) -> None:
    used = set().union(*(_term_names(stage.changes["method"]) for stage in stages))
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
    names = _term_names(stage.changes["method"])
    applied = [s for s in settings if s.partition(".")[0] in names]
    fields = {
        **stage.changes,
        "set": (*stage.changes.get("set", ()), *applied),
        "recipe": None,
        "stage": (),
        "run_dir": str(folder / stage.name),
        "resume": True,
    }
    for kind, flag, value in map(_parsed, run.stage):
        if kind == stage.kind:
            given = commands.parse(Run, [f"--{flag}={value}"], "")
            fields[flag] = getattr(given, flag)
    return dataclasses.replace(run, **fields)
