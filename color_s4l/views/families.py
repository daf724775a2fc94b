"""The families of the published methods: labelled, proxy and weak views."""

import dataclasses

from color_s4l.views.family import Family, View
from color_s4l.views.geometric import GEOMETRIC

LABELED = "labeled"
UNLABELED = "unlabeled"
COLORIZED = "colorized"

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


class Shared(Family):
    """The proxy views of an unlabelled image: one shift and one noise for all.

    Tran 2019 for the six geometric ones. The colourised view is made from raw RGB
    and then treated like the others (Chen 2020).
    """

    def views(self):
        """Six geometric views and the colourised one."""
        return dict.fromkeys((*GEOMETRIC, COLORIZED), View(UNLABELED))

    def apply(self, batch, draws, names):
        """Augments each source once, then turns."""
        made = {}
        geometric = [name for name in GEOMETRIC if name in names]
        if geometric:
            images = self.augmented(batch[UNLABELED], draws)
            made |= {name: GEOMETRIC[name](images) for name in geometric}
        if COLORIZED in names:
            made[COLORIZED] = self.augmented(batch[COLORIZED], draws)
        return made


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
