"""The built-in images: handwritten digits in colour over photographs.

A ten-class colour problem in the manner of SVHN that needs no download: the
1,797 handwritten digits that ship with scikit-learn (Alpaydin & Kaynak 1998,
https://archive.ics.uci.edu/dataset/80), enlarged, tinted and blended at random
places over crops of the two photographs that ship with it. Everything is drawn
from one fixed seed: each call gives the same bytes.
"""

import dataclasses

import numpy as np
from PIL import Image

from color_s4l.data.dataset import Data

SIZE = 32
TEST_PER_CLASS = 40
_SEED = 1797
# Rec. 601 luma: how bright a person sees red, green and blue.
_LUMA = np.array([0.299, 0.587, 0.114])
# A photograph's own edges, at full strength, hide thin strokes from a person:
# the standard deviation of the ground's luma is brought down to this.
_GROUND_DEVIATION = 0.09


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """How one image is composed; what `draw_look` draws.

    Attributes:
        side: Side of the enlarged digit in pixels.
        top: Row of its upper edge.
        left: Column of its left edge.
        photograph: Which of the two.
        window: Side of the crop in pixels of the photograph.
        row: The crop's upper edge, as a share of the free rows, in [0, 1).
        column: The crop's left edge, as a share of the free columns, in [0, 1).
        tint: The digit's colour before its brightness is set, float (3,) in [0, 1).
        contrast: Luma between the digit and its ground, in units of 255.
        opacity: Share of the digit where its stroke is full.
        lighter: Whether the digit is to be lighter than its ground.
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


def load(image_size: int | None = None) -> Data:
    """The built-in data set.

    Args:
        image_size: Side in pixels to enlarge or reduce the 32 x 32 images to.

    Returns:
        1,397 training and 400 test images (40 of each class), classes "0" to "9".
    """
    # Half a second that only those who ask for these images should wait.
    from sklearn import datasets

    digits = datasets.load_digits()
    photographs = [Image.fromarray(p) for p in datasets.load_sample_images().images]
    generator = np.random.default_rng(_SEED)
    looks = [draw_look(generator) for _ in digits.images]
    images = np.stack(
        [
            _resized(compose(pixels, look, photographs), image_size or SIZE)
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
    """Which rows are test images: a fixed number of each class, bool `(n,)`."""
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[generator.permutation(members)[:TEST_PER_CLASS]] = True
    return test


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    if size == SIZE:
        return image
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def draw_look(generator: np.random.Generator) -> Look:
    """Draws how one image is composed.

    Args:
        generator: Where the random numbers come from.

    Returns:
        The `Look`.
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
    """Puts one digit over its ground. No randomness.

    Args:
        pixels: The digit's strokes, float `(8, 8)` in [0, 16].
        look: How to compose it.
        photographs: The grounds, each larger than the look's window.

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
    """A square crop of a photograph, float `(32, 32, 3)` in [0, 1]."""
    left = int(look.column * (photograph.width - look.window))
    top = int(look.row * (photograph.height - look.window))
    crop = photograph.resize(
        (SIZE, SIZE),
        Image.Resampling.BOX,
        box=(left, top, left + look.window, top + look.window),
    )
    return np.asarray(crop) / 255


def _stroke(pixels: np.ndarray, look: Look) -> np.ndarray:
    """How much of each pixel the enlarged digit covers, float `(32, 32)` in [0, 1]."""
    small = Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8))
    large = small.resize((look.side, look.side), Image.Resampling.BICUBIC)
    covered = np.zeros((SIZE, SIZE))
    rows = slice(look.top, look.top + look.side)
    columns = slice(look.left, look.left + look.side)
    # Steeper than what enlarging gives, or the strokes of an 8 and a 9 run together.
    covered[rows, columns] = np.clip(np.asarray(large) / 255 * 1.7 - 0.5, 0, 1)
    return covered


def _color(look: Look, ground_luma: float) -> np.ndarray:
    """The tint, mixed with black or white until its luma differs enough, `(3,)`."""
    lighter = ground_luma + look.contrast
    darker = ground_luma - look.contrast
    # Where the ground leaves no room on the side drawn, take the other one.
    take_lighter = lighter <= 1 if look.lighter else darker < 0
    target = lighter if take_lighter else darker
    target = min(max(target, 0.0), 1.0)
    luma = float(look.tint @ _LUMA)
    if target <= luma:
        return look.tint * (target / luma)
    return look.tint + (1 - look.tint) * ((target - luma) / (1 - luma))
