"""How far colourised images are from the originals."""

import dataclasses

import numpy as np
from skimage.metrics import structural_similarity

from color_s4l.errors import InputError
from colorization import lab

_BATCH_SIZE = 500  # of the Lab conversion, which holds several floats per value
_SMALLEST = 7  # pixels: the side of the similarity's window
_HIGHEST_RATIO = 100.0  # dB, of images that are equal, whose ratio is infinite


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over images.

    Attributes:
        mse: Mean squared error of a*b*/127, the training's loss; 0 is best.
        psnr: Peak signal-to-noise ratio of the uint8 RGB images, in dB; the mean
            over images, where equal images count as 100 dB.
        ssim: Structural similarity of the RGB images (Wang et al. 2004, 7x7
            windows, as scikit-image), at most 1.
        agreement: Share of pixels where argmax(a*, b*) agrees, in [0, 1]: the
            "accuracy" of the Color-S4L report's colorizers.
    """

    mse: float
    psnr: float
    ssim: float
    agreement: float


def colors(images: np.ndarray) -> np.ndarray:
    """The true colours of images.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.

    Returns:
        a* and b* divided by 127, float32 `(n, height, width, 2)`.
    """
    starts = range(0, len(images), _BATCH_SIZE)
    parts = [np.asarray(lab.split(images[i : i + _BATCH_SIZE])[1]) for i in starts]
    return np.concatenate(parts)


def squared_error(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over images, pixels and both channels; `(n, height, width, 2)` each."""
    return float(np.mean(np.square(true - predicted), dtype="float64"))


def argmax_agreement(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share of pixels where the larger of a*, b* is the same; ties go to a*.

    Chance is not 1/2: pixels of natural photographs have b* above a* more often
    than not.
    """
    return float(np.mean(true.argmax(-1) == predicted.argmax(-1)))


def peak_ratio(true: np.ndarray, images: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; uint8 `(n, height, width, 3)` each."""
    errors = [
        np.mean(np.square(first.astype("float64") - second))
        for first, second in zip(true, images, strict=True)
    ]
    smallest = 255**2 / 10 ** (_HIGHEST_RATIO / 10)
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, smallest))))


def similarity(true: np.ndarray, images: np.ndarray) -> float:
    """Structural similarity; uint8 `(n, height, width, 3)` each, 7 px or more."""
    values = [
        structural_similarity(first, second, channel_axis=-1, data_range=255)
        for first, second in zip(true, images, strict=True)
    ]
    return float(np.mean(values))


def scores(true: np.ndarray, colorized: np.ndarray, predicted: np.ndarray) -> Scores:
    """All four numbers.

    Args:
        true: The originals, uint8 `(n, height, width, 3)`.
        colorized: What a colorizer made of them, of the same type and shape.
        predicted: The colours as the network gave them, float
            `(n, height, width, 2)`: in `colorized` they are clipped to sRGB.

    Returns:
        The means over the images.

    Raises:
        InputError: There are no images, or they are below 7 px.
    """
    if not len(true) or min(true.shape[1:3]) < _SMALLEST:
        raise InputError(
            f"Expected images of at least {_SMALLEST} px. Received: {true.shape}."
        )
    original = colors(true)
    return Scores(
        mse=squared_error(original, predicted),
        psnr=peak_ratio(true, colorized),
        ssim=similarity(true, colorized),
        agreement=argmax_agreement(original, predicted),
    )


def gray(images: np.ndarray) -> np.ndarray:
    """The images without their colours: what a colorizer has to beat.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.

    Returns:
        uint8 of the same shape, of the same lightness L*.
    """
    without = []
    for start in range(0, len(images), _BATCH_SIZE):
        lightness, true = lab.split(images[start : start + _BATCH_SIZE])
        without.append(np.asarray(lab.join(lightness, 0.0 * true)))
    return np.concatenate(without)
