"""The views "grey" and "grey_colors": grey unlabelled images and their true colours."""

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
    """Two views of an unlabelled image: the grey image, and its true colours.

    The grey image is the mean of the colour channels, repeated as three channels. The
    colours are the hue, the chroma and the lightness of each pixel. Both views have the
    same shift or crop, and the same flip. Noise is only added to the grey image.
    """

    @classmethod
    def views(cls, name: str) -> Mapping[str, View]:
        """Returns both views; the colours have 0 copies, as they are not images."""
        return {GREY: View(UNLABELED), COLORS: View(UNLABELED, 0)}

    def apply(self, batch: Arrays, draws: Draws) -> Arrays:
        """Returns "grey" and "grey_colors", float32 `(images, height, width, 3)`.

        "grey" is preprocessed; the values of "grey_colors" are in [0, 1].
        """
        raw = ops.cast(batch[UNLABELED], "float32") / 255
        colors = ops.stack(hue_chroma.hue_chroma(raw), axis=-1)
        grey = 255 * ops.repeat(colors[..., 2:], 3, axis=-1)
        return {
            GREY: self.augmented(grey, draws),
            COLORS: augmentation.apply(colors, draws._replace(noise=None)),
        }
