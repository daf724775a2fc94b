"""From the raw images of one step to the named views that the terms read.

Runs inside the compiled step. Each view is computed once, whichever terms read
it. Views come in families (`families.py`): within one, all views of an image
share what was drawn; each family draws for itself, and only when one of its
views is named.
"""

import dataclasses
from collections.abc import Mapping

import keras
from keras import ops, tree

from color_s4l.errors import unknown
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.crops import Crops
from color_s4l.views.families import (
    COLORIZED,
    LABELED,
    TARGETS,
    UNLABELED,
    Labeled,
    Shared,
    Targets,
    Weak,
)
from color_s4l.views.family import Family, Shape, View
from color_s4l.views.preprocessing import Preprocessing
from color_s4l.views.strong import Strong

SOURCES = (LABELED, UNLABELED)
WEIGHTS = "label_weights"


def _families(preprocessing, labeled, unlabeled) -> dict[str, Family]:
    """Every family by the name under which its draws stand."""
    return {
        LABELED: Labeled(preprocessing, labeled),
        UNLABELED: Shared(preprocessing, unlabeled),
        TARGETS: Targets(preprocessing, unlabeled),
        "weak": Weak(preprocessing, labeled, "weak"),
        "weak_2": Weak(preprocessing, labeled, "weak_2"),
        "strong": Strong(preprocessing, labeled),
        "crops": Crops(preprocessing, labeled),
        "labeled_crops": Crops(preprocessing, labeled, "labeled_crops", LABELED),
    }


VIEWS: dict[str, View] = {
    name: view
    for family in _families(None, None, None).values()
    for name, view in family.views().items()
}


@dataclasses.dataclass(frozen=True)
class StepViews:
    """Makes the views that the terms of a method name.

    Attributes:
        names: Names from `VIEWS`.
        preprocessing: Applied to every raw image.
        labeled: Augmentation of the labelled images and of the weak views.
        unlabeled: Augmentation of the unlabelled ones, shared by the proxy views.
    """

    names: frozenset[str]
    preprocessing: Preprocessing
    labeled: Augmentation
    unlabeled: Augmentation

    def __post_init__(self):
        for name in sorted(self.names - set(VIEWS)):
            raise unknown("view", name, VIEWS)

    def draw(
        self, seed: keras.random.SeedGenerator, shapes: Mapping[str, Shape]
    ) -> dict:
        """Draws for a whole step, all devices together.

        Args:
            seed: Advanced by the draws.
            shapes: Of the step's images by source, "labeled" and "unlabeled":
                `(groups, images per group, height, width, 3)`.

        Returns:
            Each needed family's draws, every array `(groups, per group, ...)`.
        """
        drawn = {}
        for key, family in self._needed().items():
            groups, images, *image = shapes[_source(family)]
            flat = family.draw(seed, (groups * images, *image), self.names)
            drawn[key] = _each(flat, lambda part, g=groups: _folded(part, g))
        return drawn

    def apply(self, batch: Mapping, draws: Mapping) -> dict:
        """Computes the views.

        Args:
            batch: Of `StepBatches`: uint8 `labeled`, `unlabeled` and `colorized`
                (groups, per group, h, w, 3), int32 `labels` and `index`
                (groups, per group); maybe float32 `label_weights`, like `labels`.
                Perhaps float32 `targets` (groups, per group, classes).
            draws: Of `draw`, or one device's part of it.

        Returns:
            Each named view, float32 (images * copies, h, w, 3), with `labels`,
            int32 (labelled images,), and `index`, int32 (unlabelled images,):
            the places of the unlabelled images; and `label_weights`, float32, like
            `labels`, where the batch has them.
        """
        flat = {name: _unfolded(array) for name, array in batch.items()}
        passed = ("labels", "index", WEIGHTS)
        made = {name: flat[name] for name in passed if name in flat}
        for key, family in self._needed().items():
            made |= family.apply(flat, _each(draws[key], _unfolded), self.names)
        return made

    def _needed(self) -> dict[str, Family]:
        """Families of which at least one view is named."""
        every = _families(self.preprocessing, self.labeled, self.unlabeled)
        return {k: f for k, f in every.items() if self.names & f.views().keys()}


def _source(family: Family) -> str:
    """The source of a family's views; it is one."""
    return next(iter(family.views().values())).source


def _each(parts, change):
    """Nested arrays, each changed; None stays None."""
    return tree.map_structure(lambda p: None if p is None else change(p), parts)


def _folded(part, groups: int):
    """`(images, ...)` to `(groups, per group, ...)`."""
    return ops.reshape(part, (groups, -1, *part.shape[1:]))


def _unfolded(part):
    """`(groups, per group, ...)` to `(images, ...)`."""
    return ops.reshape(part, (-1, *part.shape[2:]))


__all__ = [
    "COLORIZED",
    "LABELED",
    "SOURCES",
    "TARGETS",
    "UNLABELED",
    "VIEWS",
    "WEIGHTS",
    "StepViews",
]
