"""The files that a run's flags name beside its images, known by their content."""

import dataclasses

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.settings import Run
from color_s4l.training.given import initial
from color_s4l.training.given.initial import Initial
from colorization import saving
from colorization.colorizer import Colorizer


@dataclasses.dataclass(frozen=True)
class Contents:
    """What was read; None where a flag names nothing, or nothing needs it.

    Attributes:
        colorizer: Of `--colorizer`.
        initial: Weights to begin with, of `--init_from`.
        pseudo_labels: Of `--pseudo_labels`.
    """

    colorizer: Colorizer | None
    initial: Initial | None
    pseudo_labels: data.PseudoLabels | None

    @property
    def digests(self) -> dict[str, str | None]:
        """Name of each flag -> digest of the content; None where there is none."""
        named = {
            "colorizer": self.colorizer,
            "init_from": self.initial,
            "pseudo_labels": self.pseudo_labels,
        }
        return {name: thing and thing.digest for name, thing in named.items()}


def read(run: Run, *, colors: bool) -> Contents:
    """Reads the files.

    Args:
        run: Its flags name them.
        colors: Whether a colorizer is needed.

    Returns:
        Their contents.

    Raises:
        InputError: One is missing or damaged.
    """
    return Contents(
        saving.load(run.colorizer) if run.colorizer and colors else None,
        initial.read(run.init_from, heads=run.init_heads) if run.init_from else None,
        data.read_pseudo_labels(run.pseudo_labels) if run.pseudo_labels else None,
    )


def check_same(run: Run, contents: Contents, config: dict) -> None:
    """Refuses files of another content than a run began with.

    Args:
        run: Which goes on.
        contents: Of its files now.
        config: Of its config.json.

    Raises:
        InputError: One line that names the flag.
    """
    before = config.get("digests", {})
    for name, digest in contents.digests.items():
        if before.get(name) != digest:
            raise InputError(
                f"--{name}={getattr(run, name)} holds something else than at the "
                "beginning of this run."
            )
