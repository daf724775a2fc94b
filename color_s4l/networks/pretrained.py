"""Networks of `keras.applications` that can start from weights trained on ImageNet.

Each trunk is Keras' network without its classification layers, built again with the
batch normalisation of this library and with layers named by blocks. It takes images of
the normalisation "imagenet": its first layer maps them to the range that the network
was trained with. The addresses and digests of the weight files are those in the source
of Keras 3.15.
"""

import dataclasses
import os
import pathlib
import textwrap
import typing
from collections.abc import Iterator, Sequence

import keras
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks import parts
from color_s4l.registry import register_trunk
from color_s4l.views.preprocessing import IMAGENET_DEVIATION, IMAGENET_MEAN

STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications"
# Smallest side of the images in pixels: the networks halve the resolution five times.
SMALLEST = 32


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A file of weights that Keras downloads to its folder `models`.

    Attributes:
        url: Address of the file.
        digest: MD5 or SHA-256 of the file, as hexadecimal digits.
    """

    url: str
    digest: str

    def fetch(self) -> pathlib.Path:
        """Returns the path of the file; downloads it if it is not there yet.

        Raises:
            InputError: The file cannot be downloaded.
        """
        home = os.environ.get("KERAS_HOME") or "~/.keras"
        folder = pathlib.Path(home).expanduser() / "models"
        name = self.url.rpartition("/")[2]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = keras.utils.get_file(
                name, self.url, cache_subdir=str(folder), file_hash=self.digest
            )
        except Exception as error:  # Keras raises plain exceptions
            raise InputError(
                f"Cannot download {self.url}: put this file into the folder {folder}, "
                "or set `weights` to its path or to none."
            ) from error
        return pathlib.Path(found)


class Range(typing.NamedTuple):
    """The values that a network expects: `pixel / divisor - 1`."""

    divisor: float

    def layer(self) -> layers.Layer:
        """Returns a layer that maps the normalisation "imagenet" to this range."""
        share = 255 / self.divisor
        scale = [share * deviation for deviation in IMAGENET_DEVIATION]
        offset = [share * mean - 1 for mean in IMAGENET_MEAN]
        return layers.Rescaling(scale, offset, name="range")


@dataclasses.dataclass(frozen=True)
class Application:
    """A trunk made from a network of `keras.applications`; called like any trunk.

    Attributes:
        function: Name of the function in `keras.applications`.
        blocks: Beginning of the name of the first layer of each block. The layers
            before the first block are the stem.
        range: Values that the network expects; None: those of the normalisation
            "imagenet".
        imagenet: Weights trained on ImageNet, without the classification layers.
        own_range: Whether Keras' function has the argument `include_preprocessing`.
    """

    function: str
    blocks: tuple[str, ...]
    range: Range | None
    imagenet: WeightsFile
    own_range: bool = False

    def original(self, input_shape: tuple[int, int, int]) -> keras.Model:
        """Returns Keras' network for the normalisation "imagenet".

        Args:
            input_shape: `(height, width, 3)`.

        Returns:
            A model without classification layers, with random weights.
        """
        images = keras.Input(input_shape)
        build = getattr(keras.applications, self.function)
        given = {"include_preprocessing": False} if self.own_range else {}
        return build(
            include_top=False,
            weights=None,
            input_shape=input_shape,
            input_tensor=self.range.layer()(images) if self.range else images,
            **given,
        )

    def __call__(
        self,
        input_shape: tuple[int, int, int],
        *,
        width: float = 1.0,
        dropout: float = 0.0,
        synchronized: bool = False,
    ) -> keras.Model:
        """Builds the trunk, with random weights.

        Args:
            input_shape: `(height, width, 3)`, sides of at least 32 pixels.
            width: Must be 1.
            dropout: Drop rate of the last feature map.
            synchronized: Whether batch statistics are computed over all replicas.

        Raises:
            InputError: The images are too small, or `width` is not 1.
        """
        parts.check_size(self.function, input_shape, SMALLEST)
        if width != 1:
            raise InputError(
                f"Expected `width` to be 1, the only width of {self.function}. "
                f"Received: {width:g}."
            )
        original = self.original(input_shape)
        names = self._names(original)
        return parts.adapted(
            original,
            names.__getitem__,
            width=width,
            dropout=dropout,
            synchronized=synchronized,
        )

    def _names(self, original: keras.Model) -> dict[str, str]:
        """Returns the name in Keras' network -> the name in the trunk.

        Keras' names are not kept, because some of them contain a counter of all layers
        that were built before.
        """
        names, block, count = {}, 0, 0
        for layer in _flat(original.operations):
            later = self.blocks[block:]
            if later and layer.name.startswith(later[0]):
                block, count = block + 1, 0
            count += 1
            prefix = f"block{block}" if block else "stem"
            names[layer.name] = f"{prefix}_{count}_{type(layer).__name__.lower()}"
        return names

    def load(self, trunk: keras.Model, path: pathlib.Path) -> None:
        """Loads weights of Keras' network into the trunk.

        Args:
            trunk: The trunk, built.
            path: A `.weights.h5` or `.h5` file that Keras wrote for its network without
                classification layers.

        Raises:
            InputError: The file is damaged or belongs to another network.
        """
        original = self.original(trunk.input_shape[1:])
        try:
            original.load_weights(path)
        except Exception as error:  # h5py and Keras raise many types
            reason = textwrap.shorten(str(error), 160, placeholder=" ...")
            raise InputError(
                f"Expected {path} to contain the weights of keras.applications."
                f"{self.function} with include_top=False (no classification layers): "
                f"{reason}."
            ) from error
        trunk.set_weights(original.get_weights())


def _flat(found: Sequence[keras.Operation]) -> Iterator[keras.Operation]:
    """Yields layers and operations; instead of a `Sequential`, its layers."""
    for layer in found:
        if isinstance(layer, keras.Sequential):
            yield from _flat(layer.layers)
        else:
            yield layer


# The range from -1 to 1, and the range of EfficientNetV2-S.
_SYMMETRIC, _SYMMETRIC_128 = Range(127.5), Range(128.0)


def _mobilenet(size: str, starts: Sequence[int], digest: str) -> Application:
    # The first of the inverted residual blocks has no number.
    names = [f"expanded_conv_{n}_" if n else "expanded_conv_" for n in starts]
    file = f"weights_mobilenet_v3_{size.lower()}_224_1.0_float_no_top_v2.h5"
    return Application(
        f"MobileNetV3{size}",
        tuple(names),
        _SYMMETRIC,
        WeightsFile(f"{STORAGE}/mobilenet_v3/{file}", digest),
        own_range=True,
    )


def _efficientnet(size: str, digest: str) -> Application:
    file = f"efficientnetv2-{size.lower()}_notop.h5"
    return Application(
        f"EfficientNetV2{size}",
        tuple(f"block{n}a_" for n in range(1, 7)),
        _SYMMETRIC_128 if size == "S" else None,
        WeightsFile(f"{STORAGE}/efficientnet_v2/{file}", digest),
        own_range=True,
    )


def _convnext(size: str, digest: str) -> Application:
    name = f"convnext_{size.lower()}"
    later = [f"{name}_downsampling_layernorm_{n}" for n in range(3)]
    return Application(
        f"ConvNeXt{size}",
        (f"{name}_stage_0_", *later),
        None,
        WeightsFile(f"{STORAGE}/convnext/{name}_notop.h5", digest),
        own_range=True,
    )


_KERNELS = "weights_tf_dim_ordering_tf_kernels_notop.h5"

APPLICATIONS = (
    _mobilenet("Small", (0, 1, 3, 8), "d3e8ec802a04aa4fc771ee12a9a9b836"),
    _mobilenet("Large", (0, 1, 3, 6, 12), "07fb09a5933dd0c8eaafa16978110389"),
    _efficientnet("B0", "893217f2bb855e2983157299931e43ff"),
    _efficientnet("B3", "f6abf7b5849ac99a89b50dd3fd532856"),
    _efficientnet("S", "af0682fb74e8c54910f2d4393339c070"),
    _convnext(
        "Tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"
    ),
    Application(
        "ResNet50V2",
        ("conv2_", "conv3_", "conv4_", "conv5_"),
        _SYMMETRIC,
        WeightsFile(
            f"{STORAGE}/resnet/resnet50v2_{_KERNELS}",
            "fac2f116257151a9d068a22e544a4917",
        ),
    ),
    Application(
        "DenseNet121",
        ("conv2_", "pool2_", "pool3_", "pool4_"),
        None,
        WeightsFile(
            f"{STORAGE}/densenet/densenet121_{_KERNELS}",
            "30ee3e1110167f948a6b9946edeeb738",
        ),
    ),
)

# The trunk that is tested for all of them. A trunk has Keras' name in lower case.
SMALLEST_NETWORK = "applications/mobilenetv3small"

for _application in APPLICATIONS:
    register_trunk(
        f"applications/{_application.function.lower()}",
        _application,
        normalization="imagenet",
        crop="random_resized",
        pretrained=_application,
        tested_with={"width": 1.0},
        tested_as=None if _application is APPLICATIONS[0] else SMALLEST_NETWORK,
    )
