"""From the raw images of one step to the named views that the terms read.

Runs inside the compiled step. Each view is computed once, whichever terms read
it. All views of an unlabelled image share one shift and one noise field; the
colourised view is made from raw RGB and then treated like the others
(Chen 2020; Tran 2019 for the six geometric ones).
"""

import dataclasses

import keras
from keras import ops

from color_s4l.errors import unknown
from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation, Draws
from color_s4l.views.geometric import GEOMETRIC
from color_s4l.views.preprocessing import Preprocessing

LABELED = "labeled"
COLORIZED = "colorized"
VIEWS = (LABELED, *GEOMETRIC, COLORIZED)


@dataclasses.dataclass(frozen=True)
class StepViews:
    """Makes the views that the terms of a method name.

    Attributes:
        names: Names from `VIEWS`.
        preprocessing: Applied to every raw image, once.
        labeled: Augmentation of the labelled images.
        unlabeled: Augmentation of the unlabelled ones, shared by all views.
    """

    names: frozenset[str]
    preprocessing: Preprocessing
    labeled: Augmentation
    unlabeled: Augmentation

    def __post_init__(self):
        for name in sorted(self.names - set(VIEWS)):
            raise unknown("view", name, VIEWS)

    def draw(self, seed: keras.random.SeedGenerator, shape: tuple[int, ...]) -> dict:
        """Draws for a whole step, all devices together.

        Args:
            seed: Advanced by the draws.
            shape: Of the step's labelled images: `(batch, draws, height, width, 3)`.

        Returns:
            `labeled` and `unlabeled` `Draws`, every array with `batch` first.
        """
        batch, repeats, *image = shape
        labeled = self.labeled.draw(seed, (batch * repeats, *image))
        return {
            "labeled": Draws(*(_folded(part, batch, repeats) for part in labeled)),
            "unlabeled": self.unlabeled.draw(seed, (batch, *image)),
        }

    def apply(self, batch: dict, draws: dict) -> dict:
        """Computes the views.

        Args:
            batch: Of `StepBatches`: uint8 `labeled` (b, v, h, w, 3), `unlabeled` and
                `colorized` (b, h, w, 3), int32 `labels` (b, v) and `index` (b,).
            draws: Of `draw`, or one device's part of it.

        Returns:
            Each named view, float32: `labeled` (b * v, h, w, 3), the others
            (b, h, w, 3); with `labels`, int32 (b * v,), and `index`, int32 (b,):
            the places of the unlabelled images.
        """
        made = {"labels": ops.reshape(batch["labels"], (-1,)), "index": batch["index"]}
        if LABELED in self.names:
            flat = Draws(*(_unfolded(part) for part in draws["labeled"]))
            made[LABELED] = self._augmented(_unfolded(batch["labeled"]), flat)
        geometric = [name for name in GEOMETRIC if name in self.names]
        if geometric:
            images = self._augmented(batch["unlabeled"], draws["unlabeled"])
            made |= {name: GEOMETRIC[name](images) for name in geometric}
        if COLORIZED in self.names:
            made[COLORIZED] = self._augmented(batch["colorized"], draws["unlabeled"])
        return made

    def _augmented(self, raw, draws: Draws):
        return augmentation.apply(self.preprocessing(raw), draws)


def _folded(part, batch: int, repeats: int):
    """`(batch * draws, ...)` to `(batch, draws, ...)`; None stays None."""
    if part is None:
        return None
    return ops.reshape(part, (batch, repeats, *part.shape[1:]))


def _unfolded(part):
    """`(batch, draws, ...)` to `(batch * draws, ...)`; None stays None."""
    return None if part is None else ops.reshape(part, (-1, *part.shape[2:]))
