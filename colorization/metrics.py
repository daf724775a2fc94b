"""Differences between colourised images and their originals."""

import dataclasses

import numpy as np
from skimage.metrics import structural_similarity

from color_s4l.errors import InputError
from colorization import lab

_BATCH_SIZE = 500  # images per L*a*b* conversion, which needs several floats per value
_SMALLEST = 7  # pixels: side of the windows of the structural similarity
_HIGHEST_RATIO = 100.0  # dB, in place of the infinite ratio of equal images
_HUE_DEGREES = 30.0  # largest difference of hues that count as equal
_LEAST_CHROMA = 5.0  # norm of (a*, b*); pixels with a smaller norm have hardly any hue


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a set of colourised images, compared with their originals.

    Attributes:
        mse: Mean squared error of a* / 127 and b* / 127; 0 is best. It is the training
            loss of all networks except `histogram`.
        rmse: Root of the mean squared error of a* and b*, in units of a* and b*.
        psnr: Peak signal-to-noise ratio of the uint8 RGB images in dB; the mean over
            images, with 100 dB for equal images.
        ssim: Structural similarity of the RGB images (Wang et al. 2004, 7x7 windows,
            from scikit-image), at most 1; the mean over images.
        agreement: Share of pixels with the same argmax(a*, b*), in [0, 1]. The
            Color-S4L report calls it the "accuracy" of a colorizer.
        hue: See `hue_agreement`.
        colorfulness: Colourfulness of the colourised images, see `colorfulness`.
    """

    mse: float
    rmse: float
    psnr: float
    ssim: float
    agreement: float
    hue: float
    colorfulness: float


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


def gray(images: np.ndarray, tint: np.ndarray | float = 0.0) -> np.ndarray:
    """Returns images without their colours, the baseline for colorizers.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.
        tint: The colour of all pixels: a* and b* divided by 127, `(2,)`; 0: grey.

    Returns:
        uint8, same shape and same lightness L*.
    """
    without = []
    for start in range(0, len(images), _BATCH_SIZE):
        lightness, true = lab.split(images[start : start + _BATCH_SIZE])
        without.append(np.asarray(lab.join(lightness, 0.0 * true + tint)))
    return np.concatenate(without)


def squared_error(true: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the mean squared difference of two arrays `(n, height, width, 2)`."""
    return float(np.mean(np.square(true - predicted), dtype="float64"))


def argmax_agreement(true: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the share of pixels with the same argmax(a*, b*); a tie counts as a*.

    The chance level is not 1/2: most pixels of natural photographs have b* above a*.
    See `tint_agreement`.
    """
    return float(np.mean(true.argmax(-1) == predicted.argmax(-1)))


def tint_agreement(true: np.ndarray) -> float:
    """Returns the highest `argmax_agreement` that one constant colour can have.

    Args:
        true: Colours `(n, height, width, 2)`.

    Returns:
        A number in [0.5, 1].
    """
    share = float(np.mean(true.argmax(-1)))
    return max(share, 1 - share)


def hue_agreement(true: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the share of pixels whose hue differs by at most 30 degrees.

    The hue is the angle of (a*, b*). Pixels with a true chroma below 5 are left out. A
    predicted grey pixel has no hue and counts as wrong.

    Args:
        true: a* and b* divided by 127, `(n, height, width, 2)`.
        predicted: The same for the prediction.

    Returns:
        A number in [0, 1]; 0 if all pixels are grey.
    """
    lengths = np.linalg.norm(true, axis=-1), np.linalg.norm(predicted, axis=-1)
    cosine = np.cos(np.deg2rad(_HUE_DEGREES))
    close = np.sum(true * predicted, axis=-1) >= cosine * lengths[0] * lengths[1]
    colored = lengths[0] >= _LEAST_CHROMA / 127
    right = close & colored & (lengths[1] > 0)
    return float(right.sum() / max(1, colored.sum()))


def mean_color(true: np.ndarray) -> np.ndarray:
    """Returns the constant colour with the lowest squared error, float32 `(2,)`."""
    return true.mean(axis=(0, 1, 2), dtype="float64").astype("float32")


def colorfulness(images: np.ndarray) -> float:
    """Returns the mean colourfulness of images, 0 for grey images.

    Hasler and Suesstrunk 2003 (https://doi.org/10.1117/12.477378), metric M3: with
    rg = R - G and yb = (R + G) / 2 - B, the norm of both standard deviations plus 0.3
    times the norm of both means. In their experiments, images with 33 were called
    moderately colourful and images with 59 quite colourful.

    Args:
        images: uint8 `(n, height, width, 3)`, sRGB.
    """
    red, green, blue = np.moveaxis(images.astype("float32"), -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    deviation = np.hypot(*opponents.std(axis=(2, 3)))
    mean = np.hypot(*opponents.mean(axis=(2, 3)))
    return float(np.mean(deviation + 0.3 * mean))


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
    """Computes the scores.

    Args:
        true: The originals, uint8 `(n, height, width, 3)`.
        colorized: The colourised images, same dtype and shape.
        predicted: The colours predicted by the network, float `(n, height, width, 2)`.
            They may differ from the colours of `colorized`, which are clipped to the
            gamut of sRGB.

    Returns:
        The scores of this set of images.

    Raises:
        InputError: There are no images, or they are smaller than 7 px.
    """
    if not len(true) or min(true.shape[1:3]) < _SMALLEST:
        raise InputError(
            f"Expected images of at least {_SMALLEST} px. Received: {true.shape}."
        )
    original = colors(true)
    error = squared_error(original, predicted)
    return Scores(
        mse=error,
        rmse=127 * error**0.5,
        psnr=peak_ratio(true, colorized),
        ssim=similarity(true, colorized),
        agreement=argmax_agreement(original, predicted),
        hue=hue_agreement(original, predicted),
        colorfulness=colorfulness(colorized),
    )


def baselines(images: np.ndarray) -> dict[str, Scores]:
    """Computes the scores of images without a colorizer.

    Args:
        images: The originals, uint8 `(n, height, width, 3)`.

    Returns:
        Scores by the names "grey" (the images without colours), "tint" (the images with
        one constant colour, the mean; `agreement` is that of the best constant colour)
        and "original".
    """
    true = colors(images)
    constant = np.broadcast_to(mean_color(true), true.shape)
    tint = scores(images, gray(images, mean_color(true)), constant)
    return {
        "grey": scores(images, gray(images), 0 * true),
        "tint": dataclasses.replace(tint, agreement=tint_agreement(true)),
        "original": scores(images, images, true),
    }


def compare_with_tint(images: np.ndarray, predicted: np.ndarray) -> str:
    """Returns one line: whether predicted colours are better than a constant colour.

    Args:
        images: The originals, uint8 `(n, height, width, 3)`.
        predicted: The colours predicted by the network, float `(n, height, width, 2)`.
    """
    true = colors(images)
    agreement, tinted = argmax_agreement(true, predicted), tint_agreement(true)
    error = squared_error(true, predicted)
    constant = squared_error(true, mean_color(true))
    line = (
        f"argmax(a*, b*) agrees in {100 * agreement:.1f} % of the pixels (the best "
        f"constant tint: {100 * tinted:.1f} %), squared error {error:.5f} "
        f"({constant:.5f})"
    )
    if agreement > tinted and error < constant:
        return line
    return (
        f"{line}: the network has learned no more than a tint. Train it for more "
        "epochs or on more images"
    )
