"""A family: views of one source that share what chance decided for an image."""

import dataclasses
import typing
from collections.abc import Mapping

import keras

from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation, Draws
from color_s4l.views.preprocessing import Preprocessing

Shape = tuple[int, ...]


class View(typing.NamedTuple):
    """What a view is made of.

    Attributes:
        source: "labeled" or "unlabeled": the images of the step.
        copies: Images of the view for each image of its source, one after another.
    """

    source: str
    copies: int = 1


@dataclasses.dataclass(frozen=True)
class Family:
    """Draws once for all its views of an image, and makes those that are named.

    Attributes:
        preprocessing: Applied to raw images.
        augmentation: How strongly shift, flip and noise change them.
    """

    preprocessing: Preprocessing
    augmentation: Augmentation

    def views(self) -> Mapping[str, View]:
        """The views that it can make."""
        raise NotImplementedError

    def draw(
        self, seed: keras.random.SeedGenerator, shape: Shape, names: frozenset[str]
    ) -> typing.Any:
        """Draws for a whole step, all devices together.

        Args:
            seed: Advanced by the draws.
            shape: Of the source's images: `(images, height, width, 3)`.
            names: Views that are wanted, some of them perhaps other families'.

        Returns:
            Nested arrays with `images` first, or None for what is not drawn.
        """
        return self.augmentation.draw(seed, shape)

    def apply(
        self, batch: Mapping, draws: typing.Any, names: frozenset[str]
    ) -> dict[str, typing.Any]:
        """Makes the named views.

        Args:
            batch: Raw images, uint8 `(images, height, width, 3)`: "labeled",
                "unlabeled" and, where there is a colorizer, "colorized".
            draws: Of `draw`, or one device's part of it.
            names: Views that are wanted.

        Returns:
            Name -> float32 `(images * copies, height, width, 3)`.
        """
        raise NotImplementedError

    def augmented(self, raw, draws: Draws):
        """Preprocesses raw images, then shifts, flips and adds noise."""
        return augmentation.apply(self.preprocessing(raw), draws)
