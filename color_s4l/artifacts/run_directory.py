"""The run directory: names of its files, its configuration and its result."""

import contextlib
import dataclasses
import pathlib
import tempfile
import typing
from collections.abc import Iterator, Mapping

import filelock

from color_s4l.artifacts import provenance
from color_s4l.artifacts.files import check_names, read_json, write_json
from color_s4l.errors import InputError
from color_s4l.settings import dataset_name, differences

# Keys that every config.json and every result.json contains.
_CONFIG = (
    *("run", "settings", "digests", "classes", "image_size", "backend"),
    *("command", "versions", "hardware", "date"),
)
_RESULT = (
    *("error", "error_augmented", "test_images", "labels", "unlabeled"),
    *("parameters", "images_per_second", "seconds"),
)
Config = dict[str, typing.Any]
Result = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Paths of the files in a run directory.

    Attributes:
        path: The directory.
    """

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """Settings, classes, command, versions and hardware (JSON)."""
        return self.path / "config.json"

    @property
    def split(self) -> pathlib.Path:
        """Indices of the labelled, unlabelled and validation images (CSV)."""
        return self.path / "split.csv"

    @property
    def log(self) -> pathlib.Path:
        """One row per epoch (CSV)."""
        return self.path / "log.csv"

    @property
    def result(self) -> pathlib.Path:
        """Error rates (JSON). Written last: a run with this file is complete."""
        return self.path / "result.json"

    @property
    def colorizer(self) -> pathlib.Path:
        """The colorizer (H5), if it was trained by the run."""
        return self.path / "colorizer.h5"

    @property
    def statistics(self) -> pathlib.Path:
        """Statistics of the preprocessing (NPZ), while the run is unfinished."""
        return self.path / "preprocessing.npz"

    @property
    def lock(self) -> pathlib.Path:
        """File that is locked by the process that trains in the directory."""
        return self.path / ".lock"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Directory of the last two checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Directory of the TensorBoard event files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> pathlib.Path:
        """Predictions and sample images for the report (NPZ)."""
        return self.path / "samples.npz"

    @property
    def pictures(self) -> pathlib.Path:
        """Directory of the pictures (PNG)."""
        return self.path / "pictures"

    def model(self, suffix: str = ".keras", weights: str | None = None) -> pathlib.Path:
        """Returns the path of the classifier: raw uint8 RGB to probabilities.

        Args:
            suffix: ".keras" or ".h5".
            weights: Name of further weights offered by a term ("teacher"); None: the
                trained weights.
        """
        name = f"model_{weights}" if weights else "model"
        return self.path / f"{name}{suffix}"


def method_of(values: Mapping[str, typing.Any]) -> str:
    """Returns the name of the recipe of a run, or of its method if it has none.

    Args:
        values: The settings of the run in JSON types.
    """
    return values["recipe"] or values["method"]


def default_path(values: Mapping[str, typing.Any]) -> pathlib.Path:
    """Returns `runs/<dataset>_<labels>_<method>_<network>[_w<width>]_seed<seed>`.

    For the user's own images, <dataset> is the name of their folder.

    Args:
        values: The settings of the run in JSON types.
    """
    labels = "all" if values["labels"] is None else values["labels"]
    width = "" if values["width"] == 1 else f"_w{values['width']:g}"
    name = (
        f"{dataset_name(values)}_{labels}_{method_of(values)}_{values['network']}{width}"
        f"_seed{values['seed']}"
    )
    return pathlib.Path("runs") / name.replace("/", "_")


def claim(values: Mapping[str, typing.Any], backend: str) -> RunDirectory:
    """Checks that a run may use its directory; nothing is created yet.

    Args:
        values: The settings of the run in JSON types. With `resume` the directory may
            exist if it belongs to the same run.
        backend: Name of the Keras backend, which a run cannot change.

    Returns:
        The directory.

    Raises:
        InputError: The directory exists without `resume`, belongs to another run, or is
            not a run directory.
    """
    directory = RunDirectory(pathlib.Path(values["run_dir"] or default_path(values)))
    if not directory.path.exists():
        return directory
    if not values["resume"]:
        raise InputError(
            f"{directory.path} exists: continue with `resume`, or choose another "
            "`run_dir`."
        )
    if directory.config.exists():
        _check_same(values, backend, directory)
    elif not directory.path.is_dir() or not _only_leftovers(directory):
        raise InputError(
            f"{directory.path} is not a run directory: choose another `run_dir`."
        )
    return directory


def _only_leftovers(directory: RunDirectory) -> bool:
    """Returns whether the directory only has files of a run killed at its start."""
    known = {directory.checkpoints, directory.pictures, directory.lock}
    return (
        not set(directory.path.iterdir())
        - known
        - {*directory.path.glob(".unfinished-*")}
    )


def _check_same(
    values: Mapping[str, typing.Any], backend: str, directory: RunDirectory
) -> None:
    before = read_config(directory)
    if before["backend"] != backend:
        raise InputError(
            f"{directory.path} was started on {before['backend']}, and the active "
            f"backend is {backend}: set KERAS_BACKEND={before['backend']}."
        )
    different = differences(before["run"], values)
    if different:
        raise InputError(
            f"{directory.path} belongs to another run ({different}): use the same "
            "settings, or choose another `run_dir`."
        )


@contextlib.contextmanager
def created(directory: RunDirectory, *, inner: bool = True) -> Iterator[None]:
    """Creates the directory, and locks it during the `with` block.

    Half-written files of a killed run are removed.

    Args:
        directory: The run directory.
        inner: Also create the directories of checkpoints and pictures.

    Raises:
        InputError: The directory is not writable, or another process uses it.
    """
    lock = filelock.FileLock(directory.lock)
    others = (directory.checkpoints, directory.pictures) if inner else ()
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        for path in (directory.path, *others):
            path.mkdir(exist_ok=True)
            for unfinished in path.glob(".unfinished-*"):
                unfinished.unlink()
        with tempfile.TemporaryFile(dir=directory.path):
            pass  # an existing directory may be read-only
    except filelock.Timeout as error:
        raise InputError(
            f"Another process is training in {directory.path}: wait for it, or choose "
            "another `run_dir`."
        ) from error
    except OSError as error:
        lock.release()
        raise InputError(
            f"Cannot write to {directory.path}: {error.strerror}."
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # an open file cannot be removed on Windows
            directory.lock.unlink()
        lock.release()


def read_config(directory: RunDirectory) -> Config:
    """Reads config.json.

    Returns:
        `run`: the settings as given, in JSON types; `settings`: the resolved settings;
        `digests` of the input files, `classes`, `image_size`, `backend`, `command`,
        `versions`, `hardware`, `date`.

    Raises:
        InputError: `directory` is not a run directory, or config.json is damaged.
    """
    try:
        config = read_json(directory.config, _CONFIG)
        for name in ("run", "settings"):
            check_names(config[name], ("dataset", "method", "seed", "hflip"))
        check_names(config["digests"], ())
        return config
    except OSError as error:
        raise InputError(
            f"{directory.path} is not a run directory: it has no readable config.json."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{directory.config} is damaged: {error}.") from error


def read_result(directory: RunDirectory) -> Result:
    """Reads result.json.

    Raises:
        InputError: The run is not complete, or the file is damaged.
    """
    try:
        result = read_json(directory.result, _RESULT)
        for name in {"best", "selected"} & result.keys():
            check_names(result[name], ("epoch", "error", "note"))
        for errors in result.get("further", {}).values():
            check_names(errors, ("error", "error_augmented"))
        if "compared" in result:
            check_names(result["compared"], ("sentence",))
        for stage in result.get("stages", ()):
            check_names(stage, ("stage", "error", "unlabeled"))
        return result
    except OSError as error:
        raise InputError(
            f"{directory.path} has no result yet: continue the run with `resume`."
        ) from error
    except (ValueError, AttributeError) as error:
        raise InputError(f"{directory.result} is damaged: {error}.") from error


def write_config(directory: RunDirectory, config: Mapping[str, typing.Any]) -> None:
    """Writes config.json, with the versions and the date added.

    Args:
        directory: The run directory.
        config: Everything else that `read_config` returns.
    """
    about = {"versions": provenance.versions(), "date": provenance.today()}
    write_json(directory.config, {**config, **about})
