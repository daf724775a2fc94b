"""Hypercolumns: the features of all resolutions of a trunk at single positions.

Larsson et al. 2017 (https://arxiv.org/abs/1703.04044): in training, hypercolumns are
computed only at some positions ("sparse"), so that the memory does not depend on the
image's size.
"""

from collections.abc import Sequence

import keras
from keras import ops

from color_s4l.backend import Tensor


def maps_of(
    stages: Sequence[keras.Model], images: Tensor, *, training: bool
) -> list[Tensor]:
    """Returns the last feature map of each resolution, from input to output.

    Args:
        stages: `Network.stages`.
        images: Preprocessed, float `(batch, height, width, 3)`.
        training: Whether to use batch statistics and dropout.
    """
    maps, features = [], images
    for stage in stages:
        features = stage(features, training=training)
        maps.append(features)
    return maps


def columns(maps: Sequence[Tensor], sites: Tensor, side: int) -> Tensor:
    """Returns the hypercolumn at each site.

    Args:
        maps: Feature maps, float `(batch, rows, columns, channels)`.
        sites: Rows and columns in pixels of the image, `(batch, sites, 2)`.
        side: Side of the image in pixels.

    Returns:
        Float `(batch, sites, channels of all maps)`: each map read at `site * rows of
        the map / side` by bilinear interpolation.
    """
    found = []
    for features in maps:
        scale = ops.cast(features.shape[1] / side, "float32")
        found.append(sample(features, ops.cast(sites, "float32") * scale))
    return ops.concatenate(found, axis=-1)


def sample(features: Tensor, positions: Tensor) -> Tensor:
    """Reads a feature map at fractional positions, by bilinear interpolation.

    Args:
        features: Float `(batch, rows, columns, channels)`.
        positions: Rows and columns, float `(batch, sites, 2)`; positions outside the
            map are moved to its edge.

    Returns:
        Float `(batch, sites, channels)`, in the dtype of `features`.
    """
    _, rows, columns, channels = features.shape
    last = ops.convert_to_tensor([rows - 1, columns - 1], "float32")
    positions = ops.minimum(ops.maximum(positions, 0.0), last)
    low = ops.floor(positions)
    share = ops.cast(positions - low, features.dtype)
    corners = [ops.cast(low, "int32"), ops.cast(ops.minimum(low + 1, last), "int32")]
    flat = ops.reshape(features, (-1, rows * columns, channels))
    total = 0
    for down in (0, 1):
        for right in (0, 1):
            index = corners[down][..., 0] * columns + corners[right][..., 1]
            value = ops.take_along_axis(flat, index[..., None], axis=1)
            weight = (share[..., 0] if down else 1 - share[..., 0]) * (
                share[..., 1] if right else 1 - share[..., 1]
            )
            total = total + weight[..., None] * value
    return total
