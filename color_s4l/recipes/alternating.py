"""Alternate between the few labels and the many images.

Rebuffi et al., "Semi-supervised learning with scarce annotations"
(https://arxiv.org/abs/1905.08845), algorithm 1. A network is pre-trained without
labels. Then two phases alternate. Phase one trains only the class layer on the labels;
the resulting classifier labels the images. Phase two starts again from the pre-trained
weights and uses a random two thirds of the images. It trains on the labels of phase one
and on its own predictions of the previous epoch. Phase one passes only labels to phase
two; phase two passes only weights back.

`refine` runs the same phases with soft labels and all images in every cycle. It starts
from a run of any method (section 4.3).
"""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np

from color_s4l import data
from color_s4l.artifacts.run_directory import RunDirectory, read_config, read_result
from color_s4l.data.streams import Purpose, permutation
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, Range
from color_s4l.networks.structure import ALL
from color_s4l.recipes.pseudo_label_retrain import (
    labels_path,
    predictions_of,
    write_labels,
)
from color_s4l.recipes.recipe import SPLIT_BY_FILE, Recipe, Stage, part
from color_s4l.registry import register_recipe
from color_s4l.settings import Run

Share = Annotated[float, Range("above 0, at most 1", lambda share: 0 < share <= 1)]


@register_recipe("alternating")
@dataclasses.dataclass(frozen=True)
class Alternating(Recipe):
    """Pre-training with RotNet, then cycles of two phases.

    The paper does not give the numbers of cycles and epochs; these are our choice.

    Attributes:
        method: Method of the pre-training.
        rate: Learning rate of the pre-training, as a multiple of `learning_rate`;
            RotNet's 0.1 divided by the default 0.05.
        cycles: Number of cycles; the second phases of all cycles together have `epochs`
            epochs.
        whole: Number of cycles, at the end, that use all images.
        share: Share of the images used in each earlier cycle; two thirds as published.
        hard: True: the label is the most probable class. False: the label is the
            distribution of all classes.
        frozen: Number of first blocks of the trunk that are frozen in phase two; two as
            published.
        first_phase: Epochs of phase one, with `labeled_batch` labelled images per step
            (default: `batch_size`).
    """

    method: str = "rotnet"
    rate: Annotated[float, Above(0)] = 2.0
    cycles: Annotated[int, AtLeast(1)] = 5
    whole: Annotated[int, AtLeast(0)] = 2
    share: Share = 2 / 3
    hard: bool = True
    frozen: int = 2
    first_phase: Annotated[int, AtLeast(1)] = 1

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns `preparation`, then `phase_one` and `phase_two` of each cycle."""
        preparation = Stage(
            "preparation",
            {
                "method": self.method,
                "learning_rate": self.rate * run.learning_rate,
                "schedule": "steps",
            },
        )
        prepared = {"init_from": str(folder / preparation.name)}
        return preparation, *self.loop(run, folder, prepared)

    def loop(self, run: Run, folder: pathlib.Path, prepared: dict) -> Iterator[Stage]:
        """Yields the stages of all cycles.

        Args:
            run: The run of the recipe.
            folder: Directory that contains the directories of the stages.
            prepared: Settings of a run that starts from the pre-trained weights.
        """
        weights = prepared
        for cycle in range(1, self.cycles + 1):
            share = 1.0 if cycle > self.cycles - self.whole else self.share
            one = Stage(
                "phase_one",
                {
                    "method": "supervised",
                    **weights,
                    "freeze_blocks": ALL,
                    "dropout": 0.0,  # only the class layer is trained
                    "labeled_batch": run.labeled_batch or run.batch_size,
                    "epochs": self.first_phase,
                },
                functools.partial(_hand_over, seed=run.seed, share=share, cycle=cycle),
                cycle,
            )
            changes = {**self._phase_two(run, folder / one.name), **prepared}
            two = Stage("phase_two", changes, None, cycle)
            yield one
            yield two
            weights = {"init_from": str(folder / two.name), "init_heads": True}

    def _phase_two(self, run: Run, one: pathlib.Path) -> dict:
        """Returns the settings of phase two, without its initial weights."""
        return {
            **SPLIT_BY_FILE,
            "split_file": str(_subset(one)),
            "pseudo_labels": str(labels_path(one)),
            "method": "relabeled_temporal",
            "set": (f"relabeled.hard={str(self.hard).lower()}",),
            "freeze_blocks": self.frozen,
            # At least 2: predictions are compared with those of the previous epoch.
            "epochs": max(2, part(run.epochs, 1 / self.cycles)),
        }


@register_recipe("refine")
@dataclasses.dataclass(frozen=True)
class Refine(Alternating):
    """The cycles of `Alternating`, started from the run of `init_from`.

    Attributes:
        cycles: Number of cycles; the second phases of all cycles together have `epochs`
            epochs.
        share: Share of the images used in each cycle; 1: all images.
        hard: True: the label is the most probable class. False: the label is the
            distribution of all classes.
    """

    continues: typing.ClassVar[bool] = True

    cycles: Annotated[int, AtLeast(1)] = 3
    share: Share = 1.0
    hard: bool = False

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns `phase_one` and `phase_two` of each cycle."""
        if run.init_from is None:
            raise InputError("The recipe refine starts from a run: set `init_from`.")
        _check_labels(run)
        prepared = {"init_from": run.init_from, "init_heads": run.init_heads}
        return tuple(self.loop(run, folder, prepared))


def _check_labels(run: Run) -> None:
    """Raises an error if the run of `init_from` had other labelled images.

    Its labelled images are only known if `init_from` is a run directory.
    """
    folder = RunDirectory(pathlib.Path(run.init_from or ""))
    known = folder.result.exists() and read_result(folder)["error"] is not None
    if run.split_file or not known:
        return
    before = read_config(folder)["run"]
    for name in ("labels", "seed", "split_file"):
        now = getattr(run, name)
        if now != before[name]:
            raise InputError(
                f"The recipe refine continues {run.init_from}, which was trained with "
                f"other labels (`{name}`: {before[name]} before, {now} now): set "
                f"`split_file`={folder.split}."
            )


def _hand_over(
    one: pathlib.Path, images: data.Data, *, seed: int, share: float, cycle: int
) -> None:
    """Labels the unlabelled images and draws a subset of them for phase two."""
    split = data.read_split(RunDirectory(one).split, images)
    write_labels(one, images, split.unlabeled, predictions_of(one))
    count = max(1, round(share * len(split.unlabeled)))
    order = permutation(len(split.unlabeled), seed, Purpose.CYCLE_SUBSET, cycle)
    drawn = np.sort(split.unlabeled[order[:count]])
    data.save_split(dataclasses.replace(split, unlabeled=drawn), images, _subset(one))


def _subset(one: pathlib.Path) -> pathlib.Path:
    return one / "phase_two.csv"
