"""Cache on disk for arrays that are costly to compute."""

import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from color_s4l.artifacts.files import read_arrays, write_arrays

logger = logging.getLogger(__name__)


def folder() -> pathlib.Path:
    """Returns `$XDG_CACHE_HOME/color_s4l` or `~/.cache/color_s4l`.

    The folder can be deleted at any time.
    """
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "color_s4l"


def digest(*parts: str | bytes | np.ndarray) -> str:
    """Returns the SHA-256 of texts, bytes and arrays (with dtypes and shapes)."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).data)
        else:
            sha.update(part.encode() if isinstance(part, str) else part)
        sha.update(b"\0")
    return sha.hexdigest()


def cached(
    name: str,
    parts: Sequence[str | bytes | np.ndarray],
    compute: Callable[[], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Returns the result of `compute`, computed once for the same parts.

    If the file in the cache is damaged, the result is computed again. If the cache
    cannot be written, a warning is logged.

    Args:
        name: Beginning of the file's name, such as "whitening".
        parts: Everything that the result depends on.
        compute: Function that returns named arrays.
    """
    path = folder() / f"{name}-{digest(*parts)[:32]}.npz"
    try:
        return read_arrays(path)
    except (OSError, ValueError):
        pass
    arrays = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, arrays)
    except OSError as error:
        logger.warning("not cached (%s): %s", error.strerror, path)
    return arrays
