"""Alternate between the few labels and the many images.

Rebuffi et al., "Semi-supervised learning with scarce annotations"
(https://arxiv.org/abs/1905.08845), algorithm 1. A network is prepared without labels.
Then, in cycles: phase one fits the class layer alone to the labels; it labels the
images; phase two begins again from the prepared weights and fits these labels, and its
own predictions of the epoch before, on a random two thirds of the images. From phase
one to two go only the labels, from two to one only the weights.

`refine` is the same loop from a run of any method (section 4.3): soft labels, and all
images in every cycle.
"""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Iterator

import numpy as np

from color_s4l import data
from color_s4l.artifacts.run_directory import RunFolder, read_config, read_result
from color_s4l.data import Data
from color_s4l.data.streams import Purpose, permutation
from color_s4l.errors import InputError
from color_s4l.networks.freezing import ALL
from color_s4l.recipes import relabeling
from color_s4l.recipes.recipe import SPLIT_BY_FILE, Recipe, Stage, part
from color_s4l.training import identity


@dataclasses.dataclass(frozen=True)
class Alternating(Recipe):
    """RotNet, then cycles of two phases.

    Not published, so chosen here: the number of cycles and of epochs.

    Attributes:
        method: Of the preparation.
        rate: Of the preparation, as a multiple of `--learning_rate`: 0.1 / 0.05.
        cycles: Of both phases; together their second phases have `--epochs`.
        whole: Last cycles that use all images.
        share: Of the images in the cycles before; two thirds.
        hard: The most probable class alone is the label; else all probabilities are.
        frozen: First blocks of the trunk that stay as prepared; 2.
        first_phase: Epochs of a first phase, with as many labelled images per step as
            `--batch_size`.
    """

    method: str = "rotnet"
    rate: float = 2.0
    cycles: int = 5
    whole: int = 2
    share: float = 2 / 3
    hard: bool = True
    frozen: int = 2
    first_phase: int = 1

    def stages(self, run, folder):
        """`preparation`, then `phase_one` and `phase_two` of each cycle."""
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

    def loop(self, run, folder: pathlib.Path, prepared: dict) -> Iterator[Stage]:
        """The cycles.

        Args:
            run: The whole.
            folder: Of the stages.
            prepared: Flags of a run that begins with the prepared weights.
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
                    "labeled_batch": run.labeled_batch or run.batch_size,
                    "epochs": self.first_phase,
                },
                functools.partial(_hand_over, seed=run.seed, share=share, cycle=cycle),
                cycle,
            )
            two = Stage("phase_two", self._second(run, folder / one.name), None, cycle)
            yield one
            yield dataclasses.replace(two, changes={**two.changes, **prepared})
            weights = {"init_from": str(folder / two.name), "init_heads": True}

    def _second(self, run, one: pathlib.Path) -> dict:
        """Flags of phase two, but for the weights it begins with."""
        return {
            **SPLIT_BY_FILE,
            "split_file": str(_subset(one)),
            "pseudo_labels": str(relabeling.labels_path(one)),
            "method": "relabeled_temporal",
            "set": (f"relabeled.hard={str(self.hard).lower()}",),
            "freeze_blocks": self.frozen,
            # One epoch remembers what the next one is compared with.
            "epochs": max(2, part(run.epochs, 1 / self.cycles)),
        }


@dataclasses.dataclass(frozen=True)
class Refine(Alternating):
    """The cycles, from the run that `--init_from` names.

    Attributes:
        cycles: Of both phases; together their second phases have `--epochs`.
        share: Of the images: all.
        hard: No: soft labels.
    """

    goes_on: typing.ClassVar[bool] = True

    cycles: int = 3
    share: float = 1.0
    hard: bool = False

    def stages(self, run, folder):
        """`phase_one` and `phase_two` of each cycle."""
        if run.init_from is None:
            raise InputError("--recipe=refine begins from a run: name it, --init_from.")
        _check_labels(run)
        prepared = {"init_from": run.init_from, "init_heads": run.init_heads}
        return tuple(self.loop(run, folder, prepared))


def _check_labels(run) -> None:
    """Refuses labels other than those that the run of `--init_from` has learned.

    Of what is no run's folder they are not known.
    """
    folder = RunFolder(pathlib.Path(run.init_from))
    known = folder.result.exists() and read_result(folder)["error"] is not None
    if run.split_file or not known:
        return
    then = identity.values_of(read_config(folder))
    for name in ("labels", "seed", "split_file"):
        now = getattr(run, name)
        if now != then[name]:
            raise InputError(
                f"--recipe=refine goes on from {run.init_from}, which learned other "
                f"labels (--{name}: {then[name]} then, {now} now): give "
                f"--split_file={folder.split}."
            )


def _hand_over(
    one: pathlib.Path, dataset: Data, *, seed: int, share: float, cycle: int
) -> None:
    """Labels the images, and draws those of phase two."""
    split = data.read_split(RunFolder(one).split, dataset)
    relabeling.write(one, dataset, split.unlabeled)
    count = max(1, round(share * len(split.unlabeled)))
    order = permutation(len(split.unlabeled), seed, Purpose.CYCLE_SUBSET, cycle)
    drawn = np.sort(split.unlabeled[order[:count]])
    data.save_split(dataclasses.replace(split, unlabeled=drawn), dataset, _subset(one))


def _subset(one: pathlib.Path) -> pathlib.Path:
    return one / "phase_two.csv"
