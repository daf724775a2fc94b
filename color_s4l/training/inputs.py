"""What a run reads before it computes anything."""

import dataclasses
from collections.abc import Sequence

from color_s4l import data
from color_s4l.config import Run
from color_s4l.errors import InputError
from color_s4l.terms import Term
from color_s4l.training import colors, initial, preparation
from color_s4l.training.initial import Initial
from color_s4l.training.run_folder import RunFolder, read_config
from colorization import saving
from colorization.colorizer import Colorizer


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Read, checked, and the same whenever the run goes on.

    Attributes:
        dataset: The images.
        split: Which of them are labelled, unlabelled, held out.
        colorizer: The given one; None: none given, or none needed.
        initial: Weights to begin with; None: drawn ones.
    """

    dataset: data.Dataset
    split: data.Split
    colorizer: Colorizer | None
    initial: Initial | None

    @property
    def digests(self) -> dict[str, str | None]:
        """Name -> digest of the content of each file; None where there is none."""
        return {
            "colorizer": self.colorizer and self.colorizer.digest,
            "init_from": self.initial and self.initial.digest,
        }


def read(run: Run, terms: Sequence[Term], folder: RunFolder) -> Inputs:
    """Reads the small files first: what is wrong with them shows at once.

    Args:
        run: Checked.
        terms: Its method's.
        folder: Of a run that may go on.

    Returns:
        Everything.

    Raises:
        InputError: Something is missing, damaged, or does not fit; or the run began
            with files of another content.
    """
    colorizer = None
    if run.colorizer and colors.needed(terms):
        colorizer = saving.load(run.colorizer)
    weights = initial.read(run.init_from) if run.init_from else None
    print(f"reading    {run.dataset}", flush=True)
    dataset = data.load(run.dataset, run.data_dir, run.image_size)
    split = preparation.split_of(run, dataset, folder)
    inputs = Inputs(dataset, split, colorizer, weights)
    if folder.config.exists():
        _check_same(run, inputs, read_config(folder))
    return inputs


def _check_same(run: Run, inputs: Inputs, config: dict) -> None:
    before = config.get("digests", {})
    for name, digest in inputs.digests.items():
        if before.get(name) != digest:
            raise InputError(
                f"--{name}={getattr(run, name)} holds something else than at the "
                "beginning of this run."
            )
