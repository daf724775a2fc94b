"""The source "digits", built in: handwritten digits in colour over photographs.

A colour problem with ten classes, like SVHN, that needs no download: the 1,797
handwritten digits of scikit-learn (Alpaydin & Kaynak 1998,
https://archive.ics.uci.edu/dataset/80), enlarged, tinted and blended at random places
over crops of scikit-learn's two photographs. All random numbers come from one fixed
seed: each call returns the same bytes.
"""

import dataclasses

import numpy as np
from PIL import Image

from color_s4l.data.built_in import SIZE, refuse_data_dir, resized
from color_s4l.data.dataset import Data
from color_s4l.registry import register_source
from color_s4l.settings import DataSettings

TEST_PER_CLASS = 40
_SEED = 1797
# Weights of red, green and blue in the luma, the perceived brightness (Rec. 601).
_LUMA = np.array([0.299, 0.587, 0.114])
# Largest standard deviation of the background's luma. With more contrast, edges in the
# photograph would hide thin strokes.
_GROUND_DEVIATION = 0.09


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """The random choices for one image.

    Attributes:
        side: Side of the enlarged digit in pixels.
        top: Row of the digit's upper edge.
        left: Column of the digit's left edge.
        photograph: Index of the photograph, 0 or 1.
        window: Side of the crop in pixels of the photograph.
        row: Upper edge of the crop in [0, 1): 0 is the top of the photograph, 1 is the
            lowest position of the crop.
        column: Left edge of the crop in [0, 1): 0 is the left edge of the photograph, 1
            is the rightmost position of the crop.
        tint: The digit's colour before its brightness is set, float (3,) in [0, 1).
        contrast: Difference between the luma of the digit and of the background, where
            luma is in [0, 1].
        opacity: Opacity of the digit at the centre of its strokes, in [0, 1].
        lighter: Whether the digit should be lighter than its background.
    """

    side: int
    top: int
    left: int
    photograph: int
    window: int
    row: float
    column: float
    tint: np.ndarray
    contrast: float
    opacity: float
    lighter: bool


@register_source("digits")
def load(settings: DataSettings) -> Data:
    """Returns 1,397 training images and 400 test images (40 of each class).

    The classes are "0" to "9".

    Args:
        settings: `image_size` is the side in pixels to which the 32 x 32 images are
            resized; None: they are not resized.

    Raises:
        InputError: `data_dir` is given.
    """
    refuse_data_dir(settings)
    # Imported here because it takes half a second.
    from sklearn import datasets

    digits = datasets.load_digits()
    photographs = [Image.fromarray(p) for p in datasets.load_sample_images().images]
    generator = np.random.default_rng(_SEED)
    looks = [draw_look(generator) for _ in digits.images]
    images = np.stack(
        [
            resized(compose(pixels, look, photographs), settings.image_size)
            for pixels, look in zip(digits.images, looks, strict=True)
        ]
    )
    labels = digits.target.astype(np.int32)
    test = _test_rows(labels, generator)
    return Data(
        name="digits",
        classes=tuple("0123456789"),
        images=images[~test],
        labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
    )


def _test_rows(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws the same number of test images of each class; returns a mask `(n,)`."""
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[generator.permutation(members)[:TEST_PER_CLASS]] = True
    return test


def draw_look(generator: np.random.Generator) -> Look:
    """Draws the random choices for one image.

    Args:
        generator: Random generator, advanced in place.
    """
    side = int(generator.integers(22, 29))
    top, left = generator.integers(0, SIZE - side + 1, size=2)
    return Look(
        side=side,
        top=int(top),
        left=int(left),
        photograph=int(generator.integers(2)),
        window=int(generator.integers(32, 129)),
        row=generator.random(),
        column=generator.random(),
        tint=generator.random(3),
        contrast=generator.uniform(0.4, 0.65),
        opacity=generator.uniform(0.75, 0.95),
        lighter=bool(generator.integers(2)),
    )


def compose(
    pixels: np.ndarray, look: Look, photographs: list[Image.Image]
) -> np.ndarray:
    """Blends one digit over its background; all random values are in `look`.

    Args:
        pixels: The digit's strokes, float `(8, 8)` in [0, 16].
        look: The random choices.
        photographs: Backgrounds, each larger than the look's window.

    Returns:
        uint8 RGB `(32, 32, 3)`.
    """
    ground = _ground(photographs[look.photograph], look)
    stroke = _stroke(pixels, look)[..., None]
    near = (ground * stroke).sum((0, 1)) / stroke.sum()
    deviation = float((ground @ _LUMA).std())
    ground = near + min(1.0, _GROUND_DEVIATION / (deviation + 1e-6)) * (ground - near)
    color = _color(look, float(near @ _LUMA))
    mixed = ground + look.opacity * stroke * (color - ground)
    return np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8)


def _ground(photograph: Image.Image, look: Look) -> np.ndarray:
    """Returns a square crop of a photograph, float `(32, 32, 3)` in [0, 1]."""
    left = int(look.column * (photograph.width - look.window))
    top = int(look.row * (photograph.height - look.window))
    crop = photograph.resize(
        (SIZE, SIZE),
        Image.Resampling.BOX,
        box=(left, top, left + look.window, top + look.window),
    )
    return np.asarray(crop) / 255


def _stroke(pixels: np.ndarray, look: Look) -> np.ndarray:
    """Returns the share of each pixel that the digit covers, float `(32, 32)`."""
    small = Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8))
    large = small.resize((look.side, look.side), Image.Resampling.BICUBIC)
    covered = np.zeros((SIZE, SIZE))
    rows = slice(look.top, look.top + look.side)
    columns = slice(look.left, look.left + look.side)
    # The contrast is increased; otherwise the strokes of an 8 or a 9 would merge.
    covered[rows, columns] = np.clip(np.asarray(large) / 255 * 1.7 - 0.5, 0, 1)
    return covered


def _color(look: Look, ground_luma: float) -> np.ndarray:
    """Returns the digit's colour `(3,)`: the tint, mixed with black or white.

    Its luma differs from the background's luma by `look.contrast`, or by less if the
    luma would otherwise be outside [0, 1].
    """
    lighter = ground_luma + look.contrast
    darker = ground_luma - look.contrast
    # If the drawn choice (lighter or darker) gives a luma outside [0, 1], the other
    # choice is used.
    take_lighter = lighter <= 1 if look.lighter else darker < 0
    target = lighter if take_lighter else darker
    target = min(max(target, 0.0), 1.0)
    luma = float(look.tint @ _LUMA)
    if target <= luma:
        return look.tint * (target / luma)
    return look.tint + (1 - look.tint) * ((target - luma) / (1 - luma))
