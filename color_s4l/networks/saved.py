"""Models that runs have saved, opened again without running anything of theirs.

Keras knows their layers: importing this package imports the files of all of them.
"""

import pathlib
import zipfile

import keras

from color_s4l.errors import InputError

# What Keras, h5py and zipfile raise for files that are damaged or of another kind.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    zipfile.BadZipFile,
)


def load(path: pathlib.Path) -> keras.Model:
    """Opens a model file.

    Args:
        path: .keras or .h5.

    Returns:
        What `networks.inference_model` made.

    Raises:
        InputError: There is no such file, or it holds no such model.
    """
    if not path.is_file():
        raise InputError(f"There is no model at {path}: is the run complete?")
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        model.get_layer("preprocessing")
        model.get_layer("trunk")
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is no classifier of this library, or damaged "
            f"({type(error).__name__})."
        ) from error
    return model
