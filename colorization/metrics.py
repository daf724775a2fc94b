"""Differences between colourised images and their originals."""

import dataclasses
import typing

import numpy as np
from skimage.metrics import structural_similarity

from color_s4l.errors import InputError
from colorization import lab

if typing.TYPE_CHECKING:
    from colorization.colorizer import Colorizer

_BATCH_SIZE = 500  # images per L*a*b* conversion, which needs several floats per value
_SMALLEST = 7  # pixels: side of the windows of the structural similarity
_HIGHEST_RATIO = 100.0  # dB, in place of the infinite ratio of equal images


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over images.

    Attributes:
        mse: Mean squared error of a*b*/127, the training loss; 0 is best.
        psnr: Peak signal-to-noise ratio of the uint8 RGB images in dB; the mean over
            images, with 100 dB for equal images.
        ssim: Structural similarity of the RGB images (Wang et al. 2004, 7x7 windows,
            from scikit-image), at most 1.
        agreement: Share of pixels with the same argmax(a*, b*), in [0, 1]. The
            Color-S4L report calls it the "accuracy" of a colorizer.
    """

    mse: float
    psnr: float
    ssim: float
    agreement: float


def colors(images: np.ndarray) -> np.ndarray:
    """Returns the true colours of images.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.

    Returns:
        a* and b* divided by 127, float32 `(n, height, width, 2)`.
    """
    starts = range(0, len(images), _BATCH_SIZE)
    parts = [np.asarray(lab.split(images[i : i + _BATCH_SIZE])[1]) for i in starts]
    return np.concatenate(parts)


def gray(images: np.ndarray) -> np.ndarray:
    """Returns images without their colours, the baseline for colorizers.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.

    Returns:
        uint8, same shape and same lightness L*.
    """
    without = []
    for start in range(0, len(images), _BATCH_SIZE):
        lightness, true = lab.split(images[start : start + _BATCH_SIZE])
        without.append(np.asarray(lab.join(lightness, 0.0 * true)))
    return np.concatenate(without)


def squared_error(true: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the mean squared difference of two arrays `(n, height, width, 2)`."""
    return float(np.mean(np.square(true - predicted), dtype="float64"))


def argmax_agreement(true: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the share of pixels with the same argmax(a*, b*); a tie counts as a*.

    The chance level is not 1/2: most pixels of natural photographs have b* above a*.
    """
    return float(np.mean(true.argmax(-1) == predicted.argmax(-1)))


def peak_ratio(true: np.ndarray, images: np.ndarray) -> float:
    """Returns the mean PSNR in dB of images, uint8 `(n, height, width, 3)`."""
    errors = [
        np.mean(np.square(first.astype("float64") - second))
        for first, second in zip(true, images, strict=True)
    ]
    smallest = 255**2 / 10 ** (_HIGHEST_RATIO / 10)
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, smallest))))


def similarity(true: np.ndarray, images: np.ndarray) -> float:
    """Returns the mean SSIM of images, uint8 `(n, h, w, 3)`; h and w at least 7."""
    values = [
        structural_similarity(first, second, channel_axis=-1, data_range=255)
        for first, second in zip(true, images, strict=True)
    ]
    return float(np.mean(values))


def scores(true: np.ndarray, colorized: np.ndarray, predicted: np.ndarray) -> Scores:
    """Computes the four scores.

    Args:
        true: The originals, uint8 `(n, height, width, 3)`.
        colorized: The colourised images, same dtype and shape.
        predicted: The colours predicted by the network, float `(n, height, width, 2)`;
            the colours of `colorized` are clipped to sRGB.

    Returns:
        The means over the images.

    Raises:
        InputError: There are no images, or they are smaller than 7 px.
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


def compare(
    images: np.ndarray,
    colorizer: "Colorizer",
    colorized: np.ndarray,
    batch_size: int = 100,
) -> dict[str, Scores]:
    """Computes the scores of a colorizer and of the grey images, its baseline.

    Args:
        images: The originals, uint8 `(n, height, width, 3)`.
        colorizer: The colorizer.
        colorized: The result of its `colorize`.
        batch_size: Images per step.

    Returns:
        Scores by the names "colorized" and "grey".
    """
    predicted = colorizer.predict(images, batch_size)
    return {
        "colorized": scores(images, colorized, predicted),
        "grey": scores(images, gray(images), 0 * predicted),
    }
