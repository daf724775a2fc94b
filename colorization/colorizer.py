"""A trained colorizer: prediction, the record of its training, and its file.

The file is a self-contained Keras model, which `keras.models.load_model` can open, with
the record (the "origin") as a note. In a `.h5` file the note is an attribute; in a
`.keras` archive it is a member. If the embedding network is stored by reference, the
file only contains the trained part, and the note contains the digest of the embedding
network.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import typing

import keras
import numpy as np
from PIL import Image

import colorization
from color_s4l.artifacts import models, provenance
from color_s4l.artifacts.models import COLORIZER_NOTE, SUFFIXES
from color_s4l.errors import InputError
from colorization import embedding, lab, networks
from colorization.networks import STRIDE

_HOW_TO_TRAIN = (
    "Train a colorizer: python -m colorization.train --dataset=... --output=..."
)


def _versions() -> dict[str, str]:
    return provenance.versions() | {"backend": keras.backend.backend()}


@dataclasses.dataclass(frozen=True)
class Origin:
    """The record of a colorizer's training, stored in its file.

    Attributes:
        dataset: Name of the training data.
        epochs: Passes over the training images.
        image_size: Side of the training images in pixels.
        images: Number of training images.
        network: A name of `colorization.networks.NETWORKS`.
        width: Factor on the numbers of filters.
        batch_size: Images per step.
        learning_rate: Learning rate of Adam.
        seed: Seed of the weights and of the order of the images.
        embedding_weights: `Shape.embedding_weights`; None for networks without
            embedding.
        embedding_size: `Shape.embedding_size`, in pixels; None for networks without
            embedding.
        embedding: "stored": the file contains the embedding network; "reference": it is
            built again from `embedding_weights`. None for networks without embedding.
        embedding_digest: Digest of an embedding network that is stored by reference;
            set by `Colorizer.save`.
        scaling: Scaling of lightness and colours, `lab.SCALING`.
        versions: Versions of Python and the packages, and the name of the backend.
    """

    dataset: str
    epochs: int
    image_size: int
    images: int
    network: str
    width: float = 1.0
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 1
    embedding_weights: str | None = None
    embedding_size: int | None = None
    embedding: str | None = None
    embedding_digest: str = ""
    scaling: str = lab.SCALING
    versions: dict[str, str] = dataclasses.field(default_factory=_versions)

    def to_json(self) -> str:
        """Returns the record as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> typing.Self:
        """Reads a record that `to_json` wrote; fields of later versions are ignored.

        Raises:
            ValueError: The text is not JSON.
            TypeError: The text is not a JSON object, or a field without default is
                missing.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        values = dict(json.loads(text))
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclasses.dataclass(frozen=True, eq=False)
class Colorizer:
    """A trained network and the record of its training.

    Attributes:
        model: Maps lightness `(batch, height, width, 1)` to colours
            `(batch, height, width, 2)`, both in [-1, 1].
        origin: The record of the model's training.
    """

    model: keras.Model
    origin: Origin

    @classmethod
    def load(cls, path: str | os.PathLike) -> typing.Self:
        """Opens a colorizer's file. No code in the file is run.

        Args:
            path: `*.h5` or `*.keras`, written by `save`.

        Raises:
            InputError: The file is missing, damaged or not a colorizer, has another
                scaling, names a class that could run code, or its embedding network
                cannot be built again.
        """
        check_suffix(path)
        with models.refused(
            lambda reason: f"Colorizer {str(path)!r}: {reason}. {_HOW_TO_TRAIN}",
            "not a colorizer",
        ):
            return cls(*_open(pathlib.Path(path)))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the colorizer's file atomically.

        Args:
            path: `*.h5` or `*.keras`; an existing file is replaced.

        Raises:
            InputError: The path has another ending.
        """
        check_suffix(path)
        path, model, origin = pathlib.Path(path), self.model, self.origin
        if origin.embedding == "reference":
            digest = models.digest(model.get_layer(embedding.NAME))
            origin = dataclasses.replace(origin, embedding_digest=digest)
            model = model.get_layer(networks.TRAINED)
        path.parent.mkdir(parents=True, exist_ok=True)
        models.save_with_note(model, path, COLORIZER_NOTE, origin.to_json())

    @functools.cached_property
    def digest(self) -> str:
        """64 hexadecimal digits that depend on the architecture and the weights.

        They serve as a cache key: colorizers with equal digests give equal results on
        the same backend.
        """
        return models.digest(
            self.model, f"{self.origin.network} {self.origin.embedding_size}"
        )

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
            images: uint8 `(n, height, width, 3)`, sRGB, any size; only their lightness
                is read.
            batch_size: Images per step.

        Returns:
            a* and b* divided by 127, float32 `(n, height, width, 2)` in [-1, 1].

        Raises:
            ValueError: The images have another dtype or shape.
        """
        return self._run(self._predict_colors, images, batch_size)

    def colorize(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Replaces the colours of images by predicted ones; the lightness is kept.

        The result is deterministic. It depends on `batch_size` only by rounding.

        Args:
            images: uint8 `(n, height, width, 3)`, sRGB, any size; only their lightness
                is read.
            batch_size: Images per step.

        Returns:
            uint8, same shape as the images.

        Raises:
            ValueError: The images have another dtype or shape.
        """
        return self._run(self._predict_images, images, batch_size)

    def _run(
        self, model: keras.Model, images: np.ndarray, batch_size: int
    ) -> np.ndarray:
        images = _checked(images)
        height, width = images.shape[1:3]
        if not len(images):  # Keras cannot predict an empty array
            channels = model.output_shape[-1]
            return np.zeros((0, height, width, channels), model.outputs[0].dtype)
        result = model.predict(pad(images), batch_size=batch_size, verbose=0)
        return result[:, :height, :width]

    def colorize_photograph(self, image: np.ndarray, longest: int) -> np.ndarray:
        """Colourises a photograph at its full resolution.

        The lightness is kept at full resolution. If the image is larger than `longest`,
        its colours are predicted from a smaller copy and enlarged: the eye does not see
        the difference, and a network with 256 features needs gigabytes of memory at 12
        megapixels.

        Args:
            image: uint8 `(height, width, 3)`, sRGB.
            longest: Longest side in pixels at which colours are predicted.

        Returns:
            uint8, same shape as the image.
        """
        height, width = image.shape[:2]
        colors = self.predict(_smaller(image, longest)[None], batch_size=1)[0]
        if colors.shape[:2] != (height, width):
            planes = [_resized(colors[..., i], height, width) for i in range(2)]
            colors = np.stack(planes, axis=-1)
        # Strips save memory, because the conversion needs several floats per value.
        strips = min(height, math.ceil(height * width / 1_000_000))
        parts = zip(*(np.array_split(a, strips) for a in (image, colors)), strict=True)
        joined = [lab.join(lab.split(strip)[0], own) for strip, own in parts]
        return np.concatenate([np.asarray(strip) for strip in joined])


def pad(images: np.ndarray) -> np.ndarray:
    """Mirrors the lower and right edge until both sides are divisible by 8.

    Args:
        images: `(n, height, width, channels)`, at least one pixel wide and high.

    Returns:
        `(n, up to height + 7, up to width + 7, channels)`; the same array if both sides
        are divisible by 8.
    """
    below, right = (-size % STRIDE for size in images.shape[1:3])
    if not below and not right:
        return images
    # "symmetric" repeats the mirrored image as often as needed, even a single pixel.
    return np.pad(images, ((0, 0), (0, below), (0, right), (0, 0)), "symmetric")


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "Expected images uint8 (n, height, width, 3). "
            f"Received: {images.dtype} {images.shape}."
        )
    return images


def _smaller(image: np.ndarray, longest: int) -> np.ndarray:
    """Shrinks an image so that no side exceeds `longest`; keeps the aspect ratio."""
    height, width = image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return image
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _resized(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(channel, "float32"))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def check_suffix(path: str | os.PathLike) -> None:
    """Raises an error if a file name ends neither with .h5 nor with .keras.

    Raises:
        InputError: The name ends neither with .h5 nor with .keras.
    """
    if pathlib.Path(path).suffix not in SUFFIXES:
        raise InputError(
            f"Expected a colorizer's file to end with {' or '.join(SUFFIXES)}. "
            f"Received: {str(path)!r}."
        )


def _referenced(origin: Origin) -> keras.Model:
    """Builds the embedding network of a colorizer that stores it by reference."""
    weights, size = origin.embedding_weights or "", origin.embedding_size or 0
    embedder = embedding.build(weights, size)
    if models.digest(embedder) != origin.embedding_digest:
        raise InputError(
            f"it was trained with other weights of Inception-ResNet-v2 than {weights}"
        )
    return embedder


def _open(path: pathlib.Path) -> tuple[keras.Model, Origin]:
    if not path.is_file():
        raise InputError("there is no such file")
    configuration, note = models.read_note(path, COLORIZER_NOTE)
    if note is None or configuration is None:
        raise InputError("it is not a colorizer: no origin is recorded in it")
    origin = Origin.from_json(note)
    if origin.scaling != lab.SCALING:
        raise InputError(
            f"expected the scaling {lab.SCALING!r}, it has {origin.scaling!r}"
        )
    model = models.build(path, configuration, colorization.custom_objects())
    if origin.embedding == "reference":
        model = networks.joined(model, _referenced(origin)).whole
    if model.input_shape[1:] != (None, None, 1) or model.output_shape[-1] != 2:
        raise InputError(
            "it is not a colorizer: expected a model that maps (height, width, 1) to "
            "(height, width, 2), "
            f"it maps {model.input_shape[1:]} to {model.output_shape[1:]}"
        )
    return model, origin
