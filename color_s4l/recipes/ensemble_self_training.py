"""Train several classifiers on the labels; train one student on their votes.

Zhang et al. 2025 (https://arxiv.org/abs/2503.09707), V-PET: the most probable class of
each classifier is one vote, and the shares of the votes are the labels of the
unlabelled images, without a threshold. The student is trained on them once. In the
paper, the classifiers are pretrained networks that differ in the network and in the
adapters.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from color_s4l import data
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.errors import InputError
from color_s4l.fields import AtLeast
from color_s4l.recipes.pseudo_label_retrain import (
    Predict,
    label_all,
    on_labels_of,
    predictions_of,
)
from color_s4l.recipes.recipe import SPLIT_BY_FILE, Recipe, Stage
from color_s4l.registry import TRUNKS, register_recipe
from color_s4l.settings import Run


@register_recipe("ensemble_self_training")
@dataclasses.dataclass(frozen=True)
class EnsembleSelfTraining(Recipe):
    """Classifiers trained on the labels, and a student trained on their votes.

    The student is the result. It may have a smaller trunk than the classifiers:
    `--network=nin --set=ensemble_self_training.networks=convnet,wrn_28_2`. With
    `--stage=member.lora_rank=4` the classifiers train only adapters, as in the paper.

    Attributes:
        members: Number of classifiers. Each has its own seed.
        networks: Trunks of the classifiers, used in turn; empty: the trunk of the run.
            Only classifiers with the trunk of the run use `init_from`.
        method: Method of the classifiers.
    """

    members: Annotated[int, AtLeast(1)] = 3
    networks: tuple[str, ...] = ()
    method: str = "supervised"

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns the stages `member`, one for each classifier, and `student`.

        Raises:
            InputError: A network does not exist, or there are more networks than
                members.
        """
        networks = self.networks or (run.network,)
        for network in networks:
            TRUNKS.entry(network)  # raises an error for an unknown name
        if self.members < len(networks):
            raise InputError(
                f"Expected `members` to be at least {len(networks)}, the number of "
                f"`networks`. Received: {self.members}."
            )
        first = folder / "cycle_1_member"
        split = {**SPLIT_BY_FILE, "split_file": str(RunDirectory(first).split)}
        stages = []
        for number in range(1, self.members + 1):
            network = networks[(number - 1) % len(networks)]
            changes = {
                "method": self.method,
                "network": network,
                "seed": (run.seed + number - 1) % 2**32,
            }
            if network != run.network:
                changes["init_from"] = None
            stages.append(
                Stage("member", changes | (split if number > 1 else {}), cycle=number)
            )
        votes = votes_of([predictions_of(folder / stage.name) for stage in stages])
        last = dataclasses.replace(
            stages[-1], afterwards=functools.partial(label_all, predict=votes)
        )
        student = {
            **on_labels_of(folder / last.name),
            "method": "relabeled",
            "set": ("relabeled.hard=false",),
        }
        return *stages[:-1], last, Stage("student", student)


def votes_of(members: Sequence[Predict]) -> Predict:
    """Returns a function that predicts the shares of the members' votes.

    Args:
        members: Functions from images to class probabilities. The vote of a member is
            its most probable class.
    """

    def predict(images: data.Images) -> np.ndarray:
        votes = []
        for member in members:
            found = member(images)
            chosen = np.eye(found.shape[1], dtype=np.float32)[found.argmax(axis=1)]
            votes.append(chosen)
        return np.mean(votes, axis=0)

    return predict
