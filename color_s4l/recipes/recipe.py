"""What a recipe is: runs one after the other, each handing files to the next."""

import dataclasses
import pathlib
import typing
from collections.abc import Callable, Mapping, Sequence

from color_s4l.data import Data
from color_s4l.settings import Run
from color_s4l.terms.parts import ranges

# What a stage is told by a split file, it is not told by these.
SPLIT_BY_FILE = {
    "labels": None,
    "unlabeled": None,
    "labeled_only": False,
    "validation": 0,
}
# Of the recipes' fields: factors, shares, counts. What a stage's flags can't be
# (`frozen`) is refused there.
RANGES = {
    "rate": ranges.ABOVE_0,
    "decay": ranges.AT_LEAST_0,
    "warmup": ranges.SHARE,
    "relabeled": ranges.ABOVE_0,
    "finetuned": ranges.ABOVE_0,
    "finetuning_rate": ranges.ABOVE_0,
    "finetuning_decay": ranges.AT_LEAST_0,
    "cycles": ranges.AT_LEAST_1,
    "whole": ranges.AT_LEAST_0,
    "share": ranges.Range("above 0, at most 1", lambda share: 0 < share <= 1),
    "first_phase": ranges.AT_LEAST_1,
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run of a recipe.

    Attributes:
        kind: What it does; `--stage=KIND.FLAG=VALUE` changes its flags.
        changes: Fields of `Run` in which it differs from the recipe's run.
        afterwards: Called with the stage's folder and the images once the run is
            complete, to write what later stages read; may be called again.
        cycle: From 1, where a kind occurs several times; 0: it occurs once.
    """

    kind: str
    changes: Mapping[str, typing.Any]
    afterwards: Callable[[pathlib.Path, Data], None] | None = None
    cycle: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"cycle_{self.cycle}_{self.kind}" if self.cycle else self.kind


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A procedure of several stages; its fields are hyper-parameters, as a term's.

    Attributes:
        goes_on: Whether it begins from the run of `--init_from`, and so from what
            that run knows of its labels.

    Raises:
        InputError: A value is out of its range.
    """

    goes_on: typing.ClassVar[bool] = False

    def __post_init__(self):
        ranges.check(self, RANGES)

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Its stages, the last one being the result.

        Args:
            run: The whole; what a stage does not change is its own.
            folder: Each stage's folder is in it, by its name.

        Raises:
            InputError: The run lacks something that the recipe needs.
        """
        raise NotImplementedError


def part(epochs: int, share: float) -> int:
    """A share of a run's epochs, at least 1."""
    return max(1, round(share * epochs))


def milestones(epochs: int, *shares: float) -> dict[str, str]:
    """Flags of a schedule that divides the rate by 10 at shares of a stage's epochs."""
    return {
        "schedule": "steps",
        "milestones": ",".join(f"{share * epochs:g}" for share in shares),
    }
