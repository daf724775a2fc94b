"""Files that are either whole or not there."""

import contextlib
import json
import logging
import os
import pathlib
import signal
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Sequence

import numpy as np


def write_atomically(
    path: pathlib.Path, write: Callable[[typing.BinaryIO], object]
) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one.

    Args:
        path: The file; its folder exists.
        write: Receives the open file.

    Raises:
        OSError: The disk is full or the folder read-only; the old file survives.
    """
    with written_atomically(path) as file:
        write(file)


@contextlib.contextmanager
def written_atomically(path: pathlib.Path) -> Iterator[typing.BinaryIO]:
    """As `write_atomically`, for what is written little by little.

    Yields:
        The open file; after an exception it is gone, and the old one stays.
    """
    with _temporary(path) as temporary:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def save_atomically(path: pathlib.Path, save: Callable[[str], object]) -> None:
    """As `write_atomically`, for savers that want a name with the same ending."""
    with _temporary(path) as temporary:
        save(temporary)
        os.replace(temporary, path)


@contextlib.contextmanager
def h5_wanted() -> Iterator[None]:
    """Inside, Keras does not warn of H5, an older format: here it is asked for."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[str]:
    """A new name beside `path`, removed again unless it took `path`'s place."""
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=".unfinished-", suffix=path.suffix
    )
    os.close(handle)
    # mkstemp's files are for the owner alone; results are for whom the umask lets.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    try:
        yield name
    except OSError as error:
        # A full disk is told of without a name.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        if os.path.exists(name):
            os.remove(name)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, Ctrl-C waits until the end: what is begun is finished first."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
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
    """Reads an NPZ file as a whole; nothing in it is unpickled.

    Args:
        path: Of the file.

    Returns:
        Name -> array.

    Raises:
        OSError: The file can't be read.
        ValueError: It is damaged, no NPZ file, or holds something else than arrays.
    """
    try:
        # Opened here: np.load leaves a damaged file open.
        with open(path, "rb") as file:
            # Else NumPy would advise to unpickle whatever it is.
            if file.read(2) != b"PK":
                raise ValueError("it is no NPZ file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
    except (OSError, ValueError):
        raise
    except Exception as error:  # damaged, zipfile, zlib and NumPy raise nearly anything
        raise ValueError(f"{type(error).__name__}: {error}") from error
    # NumPy gives the bytes of what is stored in another form.
    others = [n for n, array in arrays.items() if not isinstance(array, np.ndarray)]
    if others:
        raise ValueError(f"{others[0]!r} is no array")
    return arrays


def write_json(path: pathlib.Path, content: dict) -> None:
    """Writes a JSON file atomically, indented, in UTF-8."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: pathlib.Path, names: Sequence[str]) -> dict:
    """Reads a JSON file that holds one object.

    Args:
        path: Of the file.
        names: What the object has at least.

    Returns:
        The object.

    Raises:
        OSError: The file can't be read.
        ValueError: It is damaged.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    check_names(content, names)
    return content


def check_names(content: object, names: Sequence[str]) -> None:
    """Refuses what is no JSON object with at least these names.

    Raises:
        ValueError: It says what is missing.
    """
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, not {type(content).__name__}")
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
