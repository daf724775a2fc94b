"""Moves pixels along straight lines: the nearest one, or between two."""

from keras import ops


def nearest(images, matrix, fill: float = 0.0):
    """Takes each pixel from the one that lies nearest to where it comes from.

    Args:
        images: Float `(batch, height, width, channels)`.
        matrix: Float `(batch, 6)`: (x, y) comes from (m0 x + m1 y + m2,
            m3 x + m4 y + m5), in pixels from the middle of the image.
        fill: Where nothing comes from.

    Returns:
        Images of the same shape.
    """
    _, height, width, channels = images.shape
    x = (ops.arange(width, dtype="float32") + 0.5 - width / 2)[None, None, :]
    y = (ops.arange(height, dtype="float32") + 0.5 - height / 2)[None, :, None]
    # Reshaped, not indexed by None: TensorFlow 2.21's graph optimiser loses the new
    # axes of a slice of a stack.
    m = [ops.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6)]
    # A hair more, so that rounding does not push the middle of a pixel over its edge.
    columns = ops.floor(m[0] * x + m[1] * y + m[2] + width / 2 + 1e-4)
    rows = ops.floor(m[3] * x + m[4] * y + m[5] + height / 2 + 1e-4)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    places = ops.clip(rows, 0, height - 1) * width + ops.clip(columns, 0, width - 1)
    places = ops.reshape(ops.cast(places, "int32"), (-1, height * width, 1))
    flat = ops.reshape(images, (-1, height * width, channels))
    moved = ops.reshape(ops.take_along_axis(flat, places, axis=1), images.shape)
    return ops.where(inside[..., None], moved, fill)


def cropped(images, top, left, height, width):
    """Cuts a part out of each image and enlarges it to the image's size, bilinearly.

    Args:
        images: Float `(batch, height, width, channels)`.
        top: Float `(batch,)`, share of the height, as are the others of their side.
        left: Float `(batch,)`.
        height: Float `(batch,)`, in (0, 1].
        width: Float `(batch,)`, in (0, 1].

    Returns:
        Images of the same shape.
    """
    rows = _weights(images.shape[1], top, height)
    columns = _weights(images.shape[2], left, width)
    halfway = ops.einsum("bij,bjkc->bikc", rows, images)
    return ops.einsum("blk,bikc->bilc", columns, halfway)


def _weights(size: int, start, share):
    """`(batch, size, size)`: how much each old line has of each new one."""
    new = (ops.arange(size, dtype="float32") + 0.5) / size
    place = (start[:, None] + share[:, None] * new) * size - 0.5
    place = ops.clip(place, 0, size - 1)
    old = ops.arange(size, dtype="float32")
    return ops.maximum(1 - ops.abs(place[:, :, None] - old), 0)
