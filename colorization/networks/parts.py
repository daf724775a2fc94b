"""What every colorization network is made of and hands over."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a network is built from.

    Attributes:
        width: Factor on the numbers of filters; 1 is the published network.
        embedding_weights: Of `inception_fusion`: "imagenet", "none" (random) or
            the path of a weights file.
        embedding_size: Side in pixels at which Inception-ResNet-v2 sees the
            image, at least 75.
    """

    width: float = 1.0
    embedding_weights: str = "imagenet"
    embedding_size: int = 299


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A network, whole and in the parts that training tells apart.

    Attributes:
        whole: Lightness `(batch, height, width, 1)` to colours
            `(batch, height, width, 2)`, both in [-1, 1]; height and width are
            divisible by 8. This is what a file holds.
        trained: The part whose weights are learned. Its inputs: the lightness
            and, where there is an embedder, its output.
        embedder: The frozen part, lightness to `(batch, features)`; None where
            the network has none.
    """

    whole: keras.Model
    trained: keras.Model
    embedder: keras.Model | None = None
