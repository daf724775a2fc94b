"""The grey unlabelled images, and the colours that they had."""

from collections.abc import Mapping

from keras import ops

from color_s4l.registry import register_view
from color_s4l.views import augmentation
from color_s4l.views.augmentation import Draws
from color_s4l.views.step import UNLABELED, Arrays, Family, View
from colorization import hue_chroma

GREY, COLORS = "grey", "grey_colors"


@register_view(GREY)
class Grey(Family):
    """The mean of the colour channels, three times, and hue, chroma and lightness.

    Both are shifted and flipped in the same way. Noise is only added to the images.
    """

    @classmethod
    def views(cls, name: str) -> Mapping[str, View]:
        """Returns the images and the colours, which are no images."""
        return {GREY: View(UNLABELED), COLORS: View(UNLABELED, 0)}

    def apply(self, batch: Arrays, draws: Draws) -> Arrays:
        """Returns "grey" and "grey_colors".

        Hue, chroma and lightness are in [0, 1]: float32 `(images, height, width, 3)`.
        """
        raw = ops.cast(batch[UNLABELED], "float32") / 255
        colors = ops.stack(hue_chroma.hue_chroma(raw), axis=-1)
        grey = 255 * ops.repeat(colors[..., 2:], 3, axis=-1)
        return {
            GREY: self.augmented(grey, draws),
            COLORS: augmentation.apply(colors, draws._replace(noise=None)),
        }
