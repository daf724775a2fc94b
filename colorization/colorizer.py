"""A trained colorizer: images in, colourised images out."""

import dataclasses
import functools
import hashlib

import keras
import numpy as np

from colorization import lab
from colorization.networks.blocks import STRIDE
from colorization.origin import Origin


def pad(images: np.ndarray) -> np.ndarray:
    """Mirrors the lower and right edge until both sides are divisible by 8.

    Args:
        images: `(n, height, width, channels)`, at least one pixel wide and high.

    Returns:
        `(n, up to height + 7, up to width + 7, channels)`; the images themselves
        where nothing is missing.
    """
    below, right = (-size % STRIDE for size in images.shape[1:3])
    if not below and not right:
        return images
    # "symmetric" repeats itself as often as needed, so one pixel is enough.
    return np.pad(images, ((0, 0), (0, below), (0, right), (0, 0)), "symmetric")


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "Expected images uint8 (n, height, width, 3). "
            f"Received: {images.dtype} {images.shape}."
        )
    return images


@dataclasses.dataclass(frozen=True, eq=False)
class Colorizer:
    """A network with its origin.

    Attributes:
        model: Lightness `(batch, height, width, 1)` to colours
            `(batch, height, width, 2)`, both in [-1, 1].
        origin: What it was trained on.
    """

    model: keras.Model
    origin: Origin

    @functools.cached_property
    def digest(self) -> str:
        """64 hexadecimal digits, a function of the architecture and the weights.

        Meant as a cache key: equal digests colourise alike (on one backend).
        """
        content = hashlib.sha256(
            f"{self.origin.network} {self.origin.embedding_size}".encode()
        )
        for weight in self.model.weights:
            value = np.ascontiguousarray(weight.numpy(), "float32")
            content.update(str(value.shape).encode())
            content.update(value.tobytes())
        return content.hexdigest()

    @functools.cached_property
    def _predict_colors(self) -> keras.Model:
        images = lab.image_input()
        return keras.Model(images, self.model(lab.split(images)[0]))

    @functools.cached_property
    def _predict_images(self) -> keras.Model:
        images = lab.image_input()
        lightness, _ = lab.split(images)
        return keras.Model(images, lab.join(lightness, self.model(lightness)))

    def predict(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Predicts the colours of images from their lightness.

        Args:
            images: uint8 `(n, height, width, 3)`, sRGB, any size; their own
                colours are not looked at.
            batch_size: Images per step.

        Returns:
            a* and b* divided by 127, float32 `(n, height, width, 2)` in [-1, 1].

        Raises:
            ValueError: The images are of another type or shape.
        """
        return self._run(self._predict_colors, images, batch_size)

    def colorize(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Colourises images: their lightness with the predicted colours.

        Deterministic. The result depends on `batch_size` by rounding only.

        Args:
            images: uint8 `(n, height, width, 3)`, sRGB, any size; their own
                colours are not looked at.
            batch_size: Images per step.

        Returns:
            uint8, of the images' shape.

        Raises:
            ValueError: The images are of another type or shape.
        """
        return self._run(self._predict_images, images, batch_size)

    def _run(self, model: keras.Model, images: np.ndarray, batch_size: int):
        images = _checked(images)
        height, width = images.shape[1:3]
        if not len(images):  # Keras predicts nothing for nothing, not even a shape
            channels = model.output_shape[-1]
            return np.zeros((0, height, width, channels), model.outputs[0].dtype)
        result = model.predict(pad(images), batch_size=batch_size, verbose=0)
        return result[:, :height, :width]
