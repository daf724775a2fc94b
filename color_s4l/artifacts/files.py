"""Atomic writing and safe reading of files."""

import contextlib
import json
import logging
import os
import pathlib
import re
import signal
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt


def write_atomically(
    path: pathlib.Path, write: Callable[[typing.BinaryIO], object]
) -> None:
    """Writes a file. If the process is killed, the old or the new file remains.

    Args:
        path: The file; its folder must exist.
        write: Function that writes to the open file.

    Raises:
        OSError: The disk is full or the folder is read-only; the old file is kept.
    """
    with written_atomically(path) as file:
        write(file)


@contextlib.contextmanager
def written_atomically(path: pathlib.Path) -> Iterator[typing.BinaryIO]:
    """Writes like `write_atomically`, in a with statement.

    Yields:
        An open temporary file, which replaces `path` at the end. After an exception the
        temporary file is removed, and the old file is kept.
    """
    with _temporary(path) as temporary:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def save_atomically(path: pathlib.Path, save: Callable[[str], object]) -> None:
    """Writes like `write_atomically`, for a function that takes a file name.

    Args:
        path: The file; its folder must exist.
        save: Function that writes a temporary file, given its name. The temporary file
            has the same ending as `path`.
    """
    with _temporary(path) as temporary:
        save(temporary)
        os.replace(temporary, path)


@contextlib.contextmanager
def h5_wanted() -> Iterator[None]:
    """Suppresses Keras' warning about the old format H5, which is used on purpose."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[str]:
    """Yields the name of a new temporary file beside `path`, removed at the end."""
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=".unfinished-", suffix=path.suffix
    )
    os.close(handle)
    # Only the owner can read a file of mkstemp. Results get the umask's permissions.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    try:
        yield name
    except (OSError, RuntimeError) as error:
        # A disk-full error has no file name, and h5py raises it as an OSError or a
        # RuntimeError with a text of several lines. It is replaced by a short OSError
        # with the file name.
        number = getattr(error, "errno", None)
        if found := re.search(r"errno = (\d+)", str(error)):
            number = int(found[1])
        if number is None or getattr(error, "filename", None) is not None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        if os.path.exists(name):
            os.remove(name)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays Ctrl-C until the end of the with statement."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C only interrupts the main thread
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays of an NPZ file by their names; nothing is unpickled.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, is not an NPZ file, or contains objects that
            are not arrays.
    """
    try:
        # Opened here, because np.load does not close a damaged file.
        with open(path, "rb") as file:
            # For other files, NumPy's error would recommend unpickling.
            if file.read(2) != b"PK":
                raise ValueError("it is not an NPZ file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
    except (OSError, ValueError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many types
        raise ValueError(f"{type(error).__name__}: {error}") from error
    # NumPy returns the bytes of members that are not arrays.
    others = [n for n, array in arrays.items() if not isinstance(array, np.ndarray)]
    if others:
        raise ValueError(f"{others[0]!r} is not an array")
    return arrays


def write_arrays(path: pathlib.Path, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Writes an NPZ file atomically.

    Args:
        path: The file; its folder must exist.
        arrays: Arrays by their names.
    """
    # allow_pickle is a keyword of savez, so mypy expects every array to be a bool.
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def write_json(path: pathlib.Path, content: dict) -> None:
    """Writes a JSON file atomically, indented, in UTF-8.

    Names of files and folders may contain bytes that are not UTF-8; they are kept.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    encoded = text.encode(errors="surrogateescape")
    write_atomically(path, lambda file: file.write(encoded))


def read_json(path: pathlib.Path, names: Sequence[str]) -> dict:
    """Reads a JSON file that holds one object.

    Args:
        path: The file.
        names: Keys that the object must have.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged or a key is missing.
    """
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    content = json.loads(text)
    check_names(content, names)
    return content


def check_names(content: object, names: Sequence[str]) -> None:
    """Checks that a JSON value is an object with at least these keys.

    Raises:
        ValueError: The value is not an object, or a key is missing.
    """
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, not {type(content).__name__}")
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
