"""Arrays that are costly to compute, kept on disk by the content they come from."""

import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from color_s4l.artifacts.files import read_arrays, write_atomically


def folder() -> pathlib.Path:
    """`$XDG_CACHE_HOME/color_s4l`, or `~/.cache/color_s4l`; safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "color_s4l"


def digest(*parts: str | bytes | np.ndarray) -> str:
    """SHA-256 over texts, bytes and arrays (with their types and shapes)."""
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
    """What `compute` returns, computed once for the same parts.

    Args:
        name: What it is; the beginning of the file's name.
        parts: Everything the result depends on.
        compute: Returns named arrays.

    Returns:
        The arrays, from disk where they are there and whole. A cache that can't
        be written costs time, never the run.
    """
    path = folder() / f"{name}-{digest(*parts)[:32]}.npz"
    try:
        return read_arrays(path)
    except (OSError, ValueError):
        pass
    arrays = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, **arrays))
    except OSError as error:
        print(f"not cached ({error.strerror}): {path}")
    return arrays
