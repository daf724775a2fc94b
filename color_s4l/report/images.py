"""Images inside a page: no file beside it, no request."""

import base64
import io

import numpy as np
from PIL import Image

# Up to this side in pixels as PNG, larger as JPEG.
_LARGEST_PNG = 48


def address(image: np.ndarray) -> str:
    """An image as a `data:` address.

    Args:
        image: uint8 `(height, width, 3 or 4)`; a fourth channel is opacity.

    Returns:
        For the `src` of an `<img>`.
    """
    small = max(image.shape[:2]) <= _LARGEST_PNG or image.shape[2] == 4
    kind = "png" if small else "jpeg"
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format=kind, quality=88)
        text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind};base64,{text}"


def heat(shares: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A matrix as an image, one pixel per entry.

    Args:
        shares: Float `(rows, columns)` in [0, 1].
        colour: Of 1; 0 is transparent, so that the page shows through.

    Returns:
        uint8 `(rows, columns, 4)`.
    """
    opacity = np.round(255 * np.sqrt(shares)).astype("uint8")
    plane = np.broadcast_to(np.array(colour, "uint8"), (*shares.shape, 3))
    return np.concatenate([plane, opacity[..., None]], axis=2)
