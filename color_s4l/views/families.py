"""The families of the published methods: labelled, proxy and weak views."""

import dataclasses
import typing

from color_s4l.views import augmentation, warped
from color_s4l.views.augmentation import Draws
from color_s4l.views.family import Family, View
from color_s4l.views.geometric import GEOMETRIC
from color_s4l.views.warped import WARPED, Warps

LABELED = "labeled"
UNLABELED = "unlabeled"
COLORIZED = "colorized"
TARGETS = "targets"

TURNED_LABELED = {
    LABELED: GEOMETRIC["identity"],
    **{
        f"labeled_{name}": turn
        for name, turn in GEOMETRIC.items()
        if name.startswith("rotated_")
    },
}


class Labeled(Family):
    """The labelled images, and their rotations, of the same augmented image."""

    def views(self):
        """The labelled images and three rotations."""
        return dict.fromkeys(TURNED_LABELED, View(LABELED))

    def apply(self, batch, draws, names):
        """Augments once, then turns."""
        images = self.augmented(batch[LABELED], draws)
        turns = TURNED_LABELED.items()
        return {name: turn(images) for name, turn in turns if name in names}


class SharedDraws(typing.NamedTuple):
    """What chance decided for the proxy views of a batch of images.

    Attributes:
        augmentation: Shift and noise of all of them.
        warps: Of the affine and the translated view.
    """

    augmentation: Draws
    warps: Warps


class Shared(Family):
    """The proxy views of an unlabelled image: one shift and one noise for all.

    Tran 2019 for the six geometric ones. The colourised view is made from raw RGB
    and then treated like the others (Chen 2020), and so are the warped ones.
    """

    def views(self):
        """Six geometric views, the colourised and the warped ones."""
        return dict.fromkeys((*GEOMETRIC, COLORIZED, *WARPED), View(UNLABELED))

    def draw(self, seed, shape, names):
        """One shift and noise, and each warp that is wanted."""
        drawn = self.augmentation.draw(seed, shape)
        return SharedDraws(drawn, warped.draw(seed, shape[0], names))

    def apply(self, batch, draws, names):
        """Preprocesses and augments each source once, then turns."""
        shared = draws.augmentation
        images = self.preprocessing(batch[UNLABELED])
        plain = augmentation.apply(images, shared)
        made = {name: turn(plain) for name, turn in GEOMETRIC.items() if name in names}
        for name in [name for name in WARPED if name in names]:
            made[name] = augmentation.apply(WARPED[name](images, draws.warps), shared)
        if COLORIZED in names:
            made[COLORIZED] = self.augmented(batch[COLORIZED], shared)
        return made


class Targets(Family):
    """What an earlier training took the unlabelled images for: no image, no draw."""

    def views(self):
        """Class probabilities, which pass through no network."""
        return {TARGETS: View(UNLABELED, copies=0)}

    def draw(self, seed, shape, names):
        """Nothing."""
        return None

    def apply(self, batch, draws, names):
        """As they are."""
        return {TARGETS: batch[TARGETS]}


@dataclasses.dataclass(frozen=True)
class Weak(Family):
    """An unlabelled image, augmented like a labelled one.

    Attributes:
        name: Of the view: two weak views of an image are two families.
    """

    name: str = "weak"

    def views(self):
        """The one view."""
        return {self.name: View(UNLABELED)}

    def apply(self, batch, draws, names):
        """Augments."""
        return {self.name: self.augmented(batch[UNLABELED], draws)}
