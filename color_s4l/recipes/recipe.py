"""The interface of a recipe: training runs that use files of earlier runs."""

import dataclasses
import pathlib
import typing
from collections.abc import Callable, Mapping, Sequence

from color_s4l import fields
from color_s4l.data import Data
from color_s4l.settings import Run

# Settings of a stage whose images are given by a split file.
SPLIT_BY_FILE = {
    "labels": None,
    "unlabeled": None,
    "labeled_only": False,
    "validation": 0,
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run of a recipe.

    Attributes:
        kind: Purpose of the stage; `--stage=KIND.FLAG=VALUE` changes its settings.
        changes: Name -> value of the fields of `Run` in which the stage differs from
            the run of the recipe.
        afterwards: Function that writes files for later stages. It is called with the
            stage's directory and the images when the stage is complete, and may be
            called again after a resume.
        cycle: Number of the cycle, from 1, if there are several stages of this kind; 0
            if there is one.
    """

    kind: str
    changes: Mapping[str, typing.Any]
    afterwards: Callable[[pathlib.Path, Data], None] | None = None
    cycle: int = 0

    @property
    def name(self) -> str:
        """Name of the stage's directory."""
        return f"cycle_{self.cycle}_{self.kind}" if self.cycle else self.kind


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A procedure with several stages. Its fields are hyper-parameters.

    Attributes:
        continues: Whether the recipe starts from the run of `init_from` and uses the
            labels of that run.

    Raises:
        InputError: A field is outside its range.
    """

    continues: typing.ClassVar[bool] = False

    def __post_init__(self):
        fields.check(self)

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns the stages; the result of the last one is the recipe's result.

        Args:
            run: The run of the recipe; a stage has the same settings except `changes`.
            folder: Directory that contains the directories of the stages.

        Raises:
            InputError: The run lacks a setting that the recipe needs.
        """
        raise NotImplementedError


def part(epochs: int, share: float) -> int:
    """Returns a share of a number of epochs, rounded, at least 1."""
    return max(1, round(share * epochs))


def milestones(epochs: int, *shares: float) -> dict[str, str]:
    """Returns settings that divide the learning rate by 10 at shares of the epochs."""
    return {
        "schedule": "steps",
        "milestones": ",".join(f"{share * epochs:g}" for share in shares),
    }
