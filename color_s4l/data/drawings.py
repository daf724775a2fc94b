"""The source "drawings", built in: simple coloured drawings of ten kinds of things.

The data set needs no download. Training on its unlabelled images reduces the error.
Proxy tasks with rotations, flips and colours can be solved, because the things have an
upright position and typical colours. The size, place, tilt, proportions, colours and
background of a thing vary, and patches cover parts of it. All random numbers come from
one fixed seed: each call returns the same bytes.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from color_s4l.data.built_in import SIZE, refuse_data_dir, resized
from color_s4l.data.dataset import Data
from color_s4l.registry import register_source
from color_s4l.settings import DataSettings

TRAIN_PER_CLASS, TEST_PER_CLASS = 300, 100
_SEED = 32
# Drawings are made larger and then reduced, which smooths their edges.
_SCALE = 4
# Standard deviation of the random movement of each corner, in the coordinates of `Pen`.
_WOBBLE = 0.025

Color = tuple[float, float, float]
Point = tuple[float, float]


class Pen:
    """A pen that draws one thing with random size, place, tilt, stretch and brightness.

    The thing's coordinates are x to the right and y down, in [-1, 1].

    Args:
        image: The image to draw on.
        generator: Random generator, advanced in place.
    """

    def __init__(self, image: Image.Image, generator: np.random.Generator):
        self.draw, self.generator = ImageDraw.Draw(image), generator
        side = image.width
        self.size = side * generator.uniform(0.26, 0.42)
        self.place = side / 2 + side * generator.uniform(-0.14, 0.14, 2)
        tilt = math.radians(generator.uniform(-18, 18))
        stretch = generator.uniform(0.8, 1.25)
        cosine, sine = math.cos(tilt), math.sin(tilt)
        self.matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(
            [stretch, 1 / stretch]
        )
        self.light = generator.uniform(0.6, 1.15)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fills a polygon after a small random movement of each corner.

        Args:
            points: Corners.
            color: Red, green and blue in [0, 255].
        """
        moved = np.array(points) + self.generator.normal(0, _WOBBLE, (len(points), 2))
        corners = self.place + self.size * moved @ self.matrix.T
        self.draw.polygon([tuple(corner) for corner in corners], self._shade(color))

    def ellipse(self, x: float, y: float, width: float, height: float, color: Color):
        """Fills an ellipse with centre (x, y) and half axes `width` and `height`."""
        angles = np.linspace(0, 2 * math.pi, 16, endpoint=False)
        points = np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], 1)
        self.polygon([tuple(point) for point in points], color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color):
        """Fills a rectangle."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.polygon(corners, color)

    def near(self, *colors: Color) -> Color:
        """Returns one of the colours, chosen at random and slightly changed."""
        chosen = np.array(colors[self.generator.integers(len(colors))])
        return tuple(chosen + self.generator.normal(0, 22, 3))

    def between(self, low: float, high: float) -> float:
        """Returns a random number between `low` and `high`."""
        return float(self.generator.uniform(low, high))

    def _shade(self, color: Color) -> tuple[int, ...]:
        return tuple(int(v) for v in np.clip(np.array(color) * self.light, 0, 255))


BROWN, DARK, WHITE = (110, 75, 45), (40, 40, 45), (235, 235, 230)
RED, BLUE, GREEN, YELLOW = (190, 50, 40), (60, 90, 190), (50, 120, 45), (225, 185, 50)
GREY, ORANGE, PINK = (140, 140, 140), (225, 130, 45), (225, 120, 165)
GROUNDS = (
    *((130, 180, 230), (200, 210, 220), (235, 180, 140), (60, 70, 110)),
    *((90, 140, 70), (150, 120, 80), (80, 110, 150), (120, 120, 120)),
)


def _house(pen: Pen) -> None:
    wall, eaves = pen.near(WHITE, YELLOW, (200, 150, 120)), pen.between(-0.3, 0.0)
    pen.box(-0.75, eaves, 0.75, 0.9, wall)
    pen.polygon([(-0.95, eaves), (0, -0.95), (0.95, eaves)], pen.near(RED, BROWN, GREY))
    pen.box(-0.15, 0.35, 0.2, 0.9, pen.near(BROWN, DARK))
    pen.box(0.35, 0.1, 0.6, 0.4, pen.near(BLUE, DARK))


def _tower(pen: Pen) -> None:
    wall, width = pen.near(GREY, (190, 170, 140), WHITE), pen.between(0.4, 0.6)
    pen.box(-width, -0.6, width, 0.9, wall)
    for number in range(3):
        left = -width - 0.1 + number * (2 * width + 0.2) / 3
        pen.box(left, -0.95, left + width / 2.2, -0.5, wall)
    pen.box(-0.15, 0.4, 0.15, 0.9, pen.near(BROWN, DARK))
    pen.box(-0.1, -0.3, 0.1, 0.0, DARK)


def _fir(pen: Pen) -> None:
    pen.box(-0.1, 0.5, 0.1, 0.95, pen.near(BROWN))
    green, width = pen.near(GREEN, (30, 90, 60)), pen.between(0.5, 0.75)
    for number in range(3):
        top, half = -0.95 + 0.45 * number, width * (0.6 + 0.2 * number)
        pen.polygon([(0, top), (half, top + 0.7), (-half, top + 0.7)], green)


def _tree(pen: Pen) -> None:
    pen.box(-0.12, 0.1, 0.12, 0.95, pen.near(BROWN))
    green = pen.near(GREEN, (110, 150, 50), ORANGE)
    for _ in range(4):
        x, y = pen.between(-0.35, 0.35), pen.between(-0.6, 0.0)
        pen.ellipse(x, y, 0.45, 0.4, green)


def _car(pen: Pen) -> None:
    paint, cabin = pen.near(RED, BLUE, YELLOW, WHITE, GREY), pen.between(-0.25, 0.05)
    pen.polygon(
        [(-0.55, 0.1), (-0.3, -0.4), (0.35, -0.4), (0.6, 0.1)], pen.near(BLUE, DARK)
    )
    pen.box(cabin - 0.04, -0.4, cabin + 0.04, 0.1, paint)
    pen.box(-0.95, 0.05, 0.95, 0.5, paint)
    for x in (-0.5, 0.5):
        pen.ellipse(x, 0.5, 0.22, 0.22, DARK)


def _truck(pen: Pen) -> None:
    paint = pen.near(RED, BLUE, YELLOW, WHITE, GREY)
    pen.box(-0.95, -0.55, 0.35, 0.4, pen.near(WHITE, GREY, ORANGE, BLUE))
    pen.box(0.4, -0.15, 0.95, 0.4, paint)
    pen.box(0.6, -0.08, 0.9, 0.12, pen.near(BLUE, DARK))
    for x in (-0.6, 0.0, 0.65):
        pen.ellipse(x, 0.45, 0.18, 0.18, DARK)


def _boat(pen: Pen) -> None:
    pen.polygon(
        [(-0.9, 0.4), (0.9, 0.4), (0.55, 0.85), (-0.55, 0.85)],
        pen.near(RED, BROWN, WHITE, BLUE),
    )
    pen.box(-0.04, -0.9, 0.04, 0.4, pen.near(BROWN))
    sail = pen.near(WHITE, YELLOW, RED)
    pen.polygon([(0.08, -0.85), (pen.between(0.5, 0.8), 0.3), (0.08, 0.3)], sail)
    pen.polygon([(-0.08, -0.6), (-0.08, 0.3), (-pen.between(0.3, 0.6), 0.3)], sail)


def _fish(pen: Pen) -> None:
    scales = pen.near(ORANGE, BLUE, GREY, YELLOW)
    side = 1 if pen.between(0, 1) < 0.5 else -1
    pen.polygon([(side * 0.4, 0), (side * 0.95, -0.4), (side * 0.95, 0.4)], scales)
    pen.ellipse(-side * 0.15, 0, 0.7, pen.between(0.3, 0.45), scales)
    pen.polygon([(0.1, -0.3), (-side * 0.2, -0.65), (-side * 0.35, -0.3)], scales)
    pen.ellipse(-side * 0.5, -0.1, 0.09, 0.09, DARK)


def _flower(pen: Pen) -> None:
    pen.box(-0.06, 0.0, 0.06, 0.95, pen.near(GREEN))
    pen.ellipse(0.25, 0.6, 0.25, 0.1, pen.near(GREEN))
    petal = pen.near(RED, PINK, YELLOW, WHITE, BLUE)
    count = pen.generator.integers(5, 8)
    for number in range(count):
        angle = 2 * math.pi * number / count
        x, y = 0.35 * math.cos(angle), -0.35 + 0.35 * math.sin(angle)
        pen.ellipse(x, y, 0.24, 0.24, petal)
    pen.ellipse(0, -0.35, 0.2, 0.2, pen.near(YELLOW, BROWN))


def _cat(pen: Pen) -> None:
    fur = pen.near(ORANGE, GREY, DARK, (200, 170, 130))
    for x in (-1.0, 1.0):
        pen.polygon([(x * 0.65, -0.9), (x * 0.7, -0.1), (x * 0.1, -0.45)], fur)
    pen.ellipse(0, 0.1, pen.between(0.65, 0.75), 0.65, fur)
    for x in (-0.28, 0.28):
        pen.ellipse(x, 0.0, 0.12, 0.12, pen.near(YELLOW, GREEN, WHITE))
        pen.ellipse(x, 0.0, 0.05, 0.1, (10, 10, 10))
    pen.polygon([(-0.1, 0.25), (0.1, 0.25), (0, 0.4)], pen.near(PINK))


THINGS: dict[str, Callable[[Pen], None]] = {
    "boat": _boat,
    "car": _car,
    "cat": _cat,
    "fir": _fir,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "tower": _tower,
    "tree": _tree,
    "truck": _truck,
}


@register_source("drawings")
def load(settings: DataSettings) -> Data:
    """Returns 3,000 training and 1,000 test images, the same number of each class.

    Args:
        settings: `image_size` is the side in pixels; 32 by default.

    Raises:
        InputError: `data_dir` is given.
    """
    refuse_data_dir(settings)
    generator = np.random.default_rng(_SEED)
    size = settings.image_size or SIZE
    count = TRAIN_PER_CLASS + TEST_PER_CLASS
    labels = np.tile(np.arange(len(THINGS), dtype="int32"), count)
    things = list(THINGS.values())
    images = np.stack([drawn(things[label], generator, size) for label in labels])
    first = TRAIN_PER_CLASS * len(THINGS)
    return Data(
        name="drawings",
        classes=tuple(THINGS),
        images=images[:first],
        labels=labels[:first],
        test_images=images[first:],
        test_labels=labels[first:],
    )


def drawn(
    thing: Callable[[Pen], None], generator: np.random.Generator, size: int = SIZE
) -> np.ndarray:
    """Draws one thing.

    Args:
        thing: A value of `THINGS`.
        generator: Random generator, advanced in place.
        size: Side of the image in pixels.

    Returns:
        uint8 RGB `(size, size, 3)`.
    """
    image = _background(generator)
    thing(Pen(image, generator))
    _cover(image, generator)
    small = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX))
    noisy = resized(small, size) + generator.normal(0, 6, (size, size, 3))
    return np.clip(np.rint(noisy), 0, 255).astype("uint8")


def _background(generator: np.random.Generator) -> Image.Image:
    """Returns a gradient of two colours in a random direction, with some ellipses.

    The background has no upright position, so a rotation of the image can only be
    recognised from the thing.
    """
    side = SIZE * _SCALE
    first, second = np.array(GROUNDS)[generator.integers(len(GROUNDS), size=2)]
    first = first + generator.normal(0, 18, 3)
    angle = generator.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    share = 0.5 + (math.sin(angle) * rows + math.cos(angle) * columns) / 3
    pixels = first + share[..., None] * (second - first)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
    image = image.resize((side, side), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(generator.integers(2, 7)):
        color = tuple(int(v) for v in generator.integers(30, 230, 3))
        left, top = generator.uniform(0, side, 2)
        width, height = generator.uniform(3, side / 3, 2)
        draw.ellipse([left - width, top, left, top + height], color)
    return image


def _cover(image: Image.Image, generator: np.random.Generator) -> None:
    """Covers parts of the image with up to three rectangles."""
    draw, side = ImageDraw.Draw(image), image.width
    for _ in range(generator.integers(0, 4)):
        color = tuple(int(v) for v in generator.integers(30, 230, 3))
        left, top = generator.uniform(0, side, 2)
        width, height = generator.uniform(4, side / 4.5, 2)
        draw.rectangle([left, top, left + width, top + height], color)
