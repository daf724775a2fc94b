"""The views of one training step, made from the raw images of a step batch.

A view is a named batch of transformed images that terms read: "labeled", "weak",
"rotated_90". A family makes the views that share the random draws for an image.
Families draw independently of each other, and only if a term reads one of their views.
All views are computed inside the compiled step; a view is computed once, even if
several terms read it.

A family is registered next to its definition, here or in a plug-in:

    @register_view("negative")
    class Negative(Family):
        def apply(self, batch, draws):
            return {self.name: self.augmented(255 - batch[self.source], draws)}

A term that returns "negative" in `views()` then reads the view as `batch["negative"]`.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import ClassVar

import keras
from keras import ops, tree

from color_s4l.backend import Tensor
from color_s4l.errors import InputError, unknown
from color_s4l.registry import PROXIES, VIEWS, Registry, register_view
from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation, Draws
from color_s4l.views.preprocessing import Preprocessing

# Names of arrays in a step batch; the first two are also the sources of views.
LABELED = "labeled"
UNLABELED = "unlabeled"
COLORIZED = "colorized"
TARGETS = "targets"
WEIGHTS = "label_weights"
FLIP = "flip"
SOURCES = (LABELED, UNLABELED)

ROTATIONS = ("rotated_90", "rotated_180", "rotated_270")

Shape = tuple[int, ...]
Seed: typing.TypeAlias = keras.random.SeedGenerator
# Arrays of a step batch, or views, by name.
Arrays = Mapping[str, Tensor]


class View(typing.NamedTuple):
    """The origin and the size of a view.

    Attributes:
        source: "labeled" or "unlabeled": the images that the view is made from.
        copies: Number of images in the view for each image of the source, in adjacent
            rows; 0 if the view contains no images.
    """

    source: str
    copies: int = 1


@dataclasses.dataclass(frozen=True)
class Family:
    """Views of one source that share the random draws for an image.

    By default, a family has one view of the unlabelled images. The view has the name of
    the family and is augmented like a labelled image.

    Attributes:
        source: "labeled" or "unlabeled".
        copies: Number of images in a view for each image of the source.
        augmented_as: "labeled" or "unlabeled": the field of `StepViews` that is used as
            the family's `augmentation`.
        name: Name under which the family is registered.
        preprocessing: Layer that preprocesses raw images.
        augmentation: Settings of shift or crop, flip and noise.
        needed: Names of the family's views that terms read.
    """

    source: ClassVar[str] = UNLABELED
    copies: ClassVar[int] = 1
    augmented_as: ClassVar[str] = LABELED

    name: str
    preprocessing: Preprocessing
    augmentation: Augmentation
    needed: frozenset[str]

    @classmethod
    def views(cls, name: str) -> Mapping[str, View]:
        """Returns all views of the family, by name.

        Args:
            name: Name under which the family is registered.
        """
        return {name: View(cls.source, cls.copies)}

    def draw(self, seed: Seed, shape: Shape) -> typing.Any:
        """Returns the random draws for a whole step, over all devices.

        Args:
            seed: SeedGenerator, advanced in place.
            shape: Shape of the source's images, `(images, height, width, 3)`.

        Returns:
            Nested arrays with first axis `images`; None for a value that is not drawn.
        """
        return self.augmentation.draw(seed, shape)

    def apply(self, batch: Arrays, draws: typing.Any) -> Arrays:
        """Returns the needed views, by name.

        Args:
            batch: The arrays of a step batch, without the axis of the groups. The raw
                images are "labeled", "unlabeled" and, if there is a colorizer,
                "colorized", uint8 `(images, height, width, 3)`.
            draws: Result of `draw`, or one device's part of the result.

        Returns:
            Name -> float32 `(images * copies, height, width, 3)`.
        """
        raise NotImplementedError

    def augmented(self, raw: Tensor, draws: Draws) -> Tensor:
        """Returns raw images after preprocessing, shift or crop, flip and noise."""
        return augmentation.apply(self.preprocessing(raw), draws)


@register_view(LABELED)
class Labeled(Family):
    """The labelled images, and rotations of the same augmented images."""

    source = LABELED

    @classmethod
    def views(cls, name: str) -> Mapping[str, View]:
        """Returns the view of the labelled images and the views of three rotations."""
        turned = [f"{name}_{rotation}" for rotation in ROTATIONS]
        return dict.fromkeys((name, *turned), View(LABELED))

    def apply(self, batch: Arrays, draws: Draws) -> Arrays:
        """Augments the images once, then rotates them."""
        if FLIP in batch:
            draws = draws._replace(flip=batch[FLIP])
        images = self.augmented(batch[LABELED], draws)
        made = {LABELED: images} if LABELED in self.needed else {}
        for rotation in ROTATIONS:
            if f"{LABELED}_{rotation}" in self.needed:
                made[f"{LABELED}_{rotation}"] = PROXIES[rotation].apply(images, None)
        return made


class ProxyDraws(typing.NamedTuple):
    """The random draws of the proxy views of a batch of images.

    Attributes:
        augmentation: Shift or crop, flip and noise, the same for all proxy views of an
            image.
        proxies: Name -> draws, for the needed views that are random.
    """

    augmentation: Draws
    proxies: dict[str, typing.Any]


@register_view(UNLABELED)
class ProxyViews(Family):
    """The proxy views of an unlabelled image, all with the same augmentation.

    The six geometric views follow Tran 2019. The colourised view is made from raw RGB
    and then treated like the other views (Chen 2020). Every entry of the registry
    `PROXIES` (`color_s4l.views.proxies`) is a view.
    """

    augmented_as = UNLABELED

    @classmethod
    def views(cls, name: str) -> Mapping[str, View]:
        """Returns one view for each registered proxy task."""
        return dict.fromkeys(PROXIES, View(UNLABELED))

    def draw(self, seed: Seed, shape: Shape) -> ProxyDraws:
        """Draws one augmentation for all views, then values for each random view."""
        shared = self.augmentation.draw(seed, shape)
        drawn = {
            name: PROXIES[name].draw(seed, shape[0])
            for name in own_first(PROXIES)
            if name in self.needed
        }
        return ProxyDraws(shared, {k: v for k, v in drawn.items() if v is not None})

    def apply(self, batch: Arrays, draws: ProxyDraws) -> Arrays:
        """Preprocesses and augments each source once, then makes the proxy views."""
        wanted = {name: proxy for name, proxy in PROXIES.items() if name in self.needed}
        plain, augmented = {}, {}
        for source in dict.fromkeys(proxy.source for proxy in wanted.values()):
            plain[source] = self.preprocessing(batch[source])
            augmented[source] = augmentation.apply(plain[source], draws.augmentation)
        made = {}
        for name, proxy in wanted.items():
            own = draws.proxies.get(name)
            if proxy.moves_pixels:
                made[name] = proxy.apply(augmented[proxy.source], own)
            else:
                changed = proxy.apply(plain[proxy.source], own)
                made[name] = augmentation.apply(changed, draws.augmentation)
        return made


@register_view(TARGETS)
class Targets(Family):
    """Class probabilities of unlabelled images, predicted by an earlier run."""

    copies = 0

    def draw(self, seed: Seed, shape: Shape) -> None:
        """Draws nothing."""

    def apply(self, batch: Arrays, draws: None) -> Arrays:
        """Returns the probabilities unchanged."""
        return {self.name: batch[TARGETS]}


# Two weak views of an image are two families, because their draws are independent.
@register_view("weak_2")
@register_view("weak")
class Weak(Family):
    """An unlabelled image, augmented like a labelled image."""

    def apply(self, batch: Arrays, draws: Draws) -> Arrays:
        """Augments the images."""
        return {self.name: self.augmented(batch[UNLABELED], draws)}


def own_first(registry: Registry) -> list[str]:
    """Returns the names in a registry: the library's names, then names of plug-ins.

    Views are drawn in this order, so that a plug-in does not change the other draws.
    """
    return sorted(registry, key=lambda name: registry.entry(name).plugin is not None)


def _views() -> dict[str, View]:
    """Returns all views by name, in the order in which they are drawn."""
    found: dict[str, View] = {}
    for key in own_first(VIEWS):
        for name, made in VIEWS[key].views(key).items():
            if name in found:
                raise InputError(f"The view {name!r} is registered twice.")
            found[name] = made
    return found


def view_names() -> tuple[str, ...]:
    """Returns the names of all views that terms can read."""
    return tuple(_views())


def view(name: str) -> View:
    """Returns the source and the number of copies of a view.

    Raises:
        InputError: There is no view with this name.
    """
    views = _views()
    if name not in views:
        raise unknown("view", name, views)
    return views[name]


@dataclasses.dataclass(frozen=True)
class StepViews:
    """The views that the terms of a method read.

    Attributes:
        names: Names from `view_names()`.
        preprocessing: Layer that preprocesses raw images.
        labeled: Augmentation of the labelled images and of all views except the proxy
            views.
        unlabeled: Augmentation of the proxy views.

    Raises:
        InputError: There is no view with one of the names.
    """

    names: frozenset[str]
    preprocessing: Preprocessing
    labeled: Augmentation
    unlabeled: Augmentation

    def __post_init__(self):
        for name in sorted(self.names):
            view(name)

    def draw(self, seed: Seed, shapes: Mapping[str, Shape]) -> dict[str, typing.Any]:
        """Returns the random draws for a whole step, over all devices.

        Args:
            seed: SeedGenerator, advanced in place.
            shapes: Shape of the step's images, by source ("labeled", "unlabeled"):
                `(groups, images per group, height, width, 3)`.

        Returns:
            Family -> draws, for each family with a view that terms read; every array is
            `(groups, images per group, ...)`.
        """
        drawn = {}
        for key, family in self._needed().items():
            groups, images, *image = shapes[family.source]
            flat = family.draw(seed, (groups * images, *image))
            drawn[key] = _each(flat, functools.partial(_grouped, groups=groups))
        return drawn

    def apply(
        self, batch: Arrays, draws: Mapping[str, typing.Any]
    ) -> dict[str, Tensor]:
        """Returns the views and the other arrays of a step, by name.

        Args:
            batch: A batch of `StepBatches`: uint8 `labeled`, `unlabeled` and
                `colorized` (groups, per group, h, w, 3), int32 `labels` and `index`
                (groups, per group); optionally float32 `label_weights` and boolean
                `flip` of the shape of `labels`, and float32 `targets` (groups, per
                group, classes).
            draws: Result of `draw`, or one device's part of the result.

        Returns:
            Each view in `names`, float32 (images * copies, h, w, 3); `labels`, int32
            (labelled images,); `index`, int32 (unlabelled images,), the positions among
            the unlabelled images of the split; `label_weights`, float32 of the shape of
            `labels`, if the batch has them.
        """
        flat = {name: _ungrouped(array) for name, array in batch.items()}
        passed = ("labels", "index", WEIGHTS)
        made = {name: flat[name] for name in passed if name in flat}
        for key, family in self._needed().items():
            made |= family.apply(flat, _each(draws[key], _ungrouped))
        return made

    def _needed(self) -> dict[str, Family]:
        """Returns the families with a view in `names`, in the order of drawing."""
        needed = {}
        for key in own_first(VIEWS):
            kind = VIEWS[key]
            if names := self.names & kind.views(key).keys():
                proxies = kind.augmented_as == UNLABELED
                augmentation = self.unlabeled if proxies else self.labeled
                needed[key] = kind(key, self.preprocessing, augmentation, names)
        return needed


def _each(parts: typing.Any, change: Callable[[Tensor], Tensor]) -> typing.Any:
    """Applies a function to nested arrays; None stays None."""
    return tree.map_structure(lambda p: None if p is None else change(p), parts)


def _grouped(part: Tensor, groups: int) -> Tensor:
    """Reshapes `(images, ...)` to `(groups, per group, ...)`."""
    return ops.reshape(part, (groups, -1, *part.shape[1:]))


def _ungrouped(part: Tensor) -> Tensor:
    """Reshapes `(groups, per group, ...)` to `(images, ...)`."""
    return ops.reshape(part, (-1, *part.shape[2:]))
