"""The folder that a run leaves behind: what is where, and what was run."""

import dataclasses
import pathlib
import tempfile

from color_s4l.artifacts import provenance
from color_s4l.artifacts.files import check_names, read_json, write_json
from color_s4l.errors import InputError
from color_s4l.settings import Run, method_of
from color_s4l.training import identity

# What may differ when a run goes on. Images may have moved: the split knows them,
# and their labels.
_FREE = identity.FREE | {"data_dir", "labels_csv"}
# What every config.json and every result.json has at least.
_CONFIG = (
    *("run", "resolved", "classes", "image_size", "backend"),
    *("command", "versions", "hardware", "date"),
)
_RESULT = (
    *("error", "error_augmented", "test_images", "labels", "unlabeled"),
    *("parameters", "images_per_second"),
)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of everything in the folder.

    Attributes:
        path: The folder.
    """

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """Configuration, classes, command, versions, hardware (JSON)."""
        return self.path / "config.json"

    @property
    def split(self) -> pathlib.Path:
        """Which images are labelled, unlabelled, held out (CSV)."""
        return self.path / "split.csv"

    @property
    def log(self) -> pathlib.Path:
        """One row per epoch (CSV)."""
        return self.path / "log.csv"

    @property
    def result(self) -> pathlib.Path:
        """The error rates (JSON); written last: a run that has one is complete."""
        return self.path / "result.json"

    @property
    def colorizer(self) -> pathlib.Path:
        """The colorizer, where the run trained its own (H5)."""
        return self.path / "colorizer.h5"

    @property
    def statistics(self) -> pathlib.Path:
        """Mean and matrix of the whitening (NPZ)."""
        return self.path / "preprocessing.npz"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the last two checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> pathlib.Path:
        """Predictions and sample images, for a report (NPZ)."""
        return self.path / "samples.npz"

    @property
    def pictures(self) -> pathlib.Path:
        """Folder of the pictures (PNG)."""
        return self.path / "pictures"

    def model(self, suffix: str = ".keras", weights: str | None = None) -> pathlib.Path:
        """The classifier: raw uint8 RGB in, probabilities out (.keras, .h5).

        Args:
            suffix: The kind of file.
            weights: Name of further weights that a term offers ("teacher").
        """
        name = f"model_{weights}" if weights else "model"
        return self.path / f"{name}{suffix}"


def default_path(run: Run) -> pathlib.Path:
    """`runs/<dataset>_<labels>_<method>_<network>[_w<width>]_seed<seed>`.

    In the place of the method a recipe has its own name.
    """
    what = method_of(run)
    labels = "all" if run.labels is None else run.labels
    width = "" if run.width == 1 else f"_w{run.width:g}"
    name = (
        f"{run.dataset}_{labels}_{what}_{run.network}{width}_seed{run.seed}"
    ).replace("/", "_")
    return pathlib.Path("runs") / name


def check_folder(run: Run, backend: str) -> RunFolder:
    """Says whether the run may have its folder, before anything costly is done.

    Args:
        run: With `resume`, the folder may exist; without, it must not.
        backend: Keras', which a run can't change on its way.

    Returns:
        The folder; nothing is made yet.

    Raises:
        InputError: It exists, or holds another run or something else.
    """
    folder = RunFolder(pathlib.Path(run.run_dir or default_path(run)))
    if not folder.path.exists():
        return folder
    if not run.resume:
        raise InputError(
            f"{folder.path} exists: go on with --resume, or give another --run_dir."
        )
    if folder.config.exists():
        _check_same(run, backend, folder)
    elif not folder.path.is_dir() or set(folder.path.iterdir()) - _made(folder):
        raise InputError(f"{folder.path} is no run's folder: give another --run_dir.")
    return folder


def _made(folder: RunFolder) -> set[pathlib.Path]:
    """What a run that was killed before its first line may have left."""
    return {folder.checkpoints, folder.pictures, *folder.path.glob(".unfinished-*")}


def make_folder(folder: RunFolder, *, inner: bool = True) -> None:
    """Makes the folder, and cleans away what a kill left half-written.

    Args:
        folder: The run's.
        inner: Also those of checkpoints and pictures.

    Raises:
        InputError: It can't be written to.
    """
    others = (folder.checkpoints, folder.pictures) if inner else ()
    try:
        for path in (folder.path, *others):
            path.mkdir(parents=True, exist_ok=True)
            for unfinished in path.glob(".unfinished-*"):
                unfinished.unlink()
        with tempfile.TemporaryFile(dir=folder.path):
            pass  # an existing folder may be read-only
    except OSError as error:
        raise InputError(f"Can't write to {folder.path}: {error.strerror}.") from error


def _check_same(run: Run, backend: str, folder: RunFolder) -> None:
    before = read_config(folder)
    if before["backend"] != backend:
        raise InputError(
            f"{folder.path} was begun on {before['backend']}; this is {backend}."
        )
    then, now = identity.values_of(before), identity.json_values(run)
    different = [name for name in now if name not in _FREE and now[name] != then[name]]
    if different:
        changes = ", ".join(
            f"--{name}: {then[name]} then, {now[name]} now" for name in different
        )
        raise InputError(f"{folder.path} holds another run ({changes}).")


def read_config(folder: RunFolder) -> dict:
    """What `write_config` wrote.

    Raises:
        InputError: The folder is no run's folder, or its file is damaged.
    """
    try:
        config = read_json(folder.config, _CONFIG)
        config["run"]["set"] = list(config["run"]["set"])
        check_names(config["resolved"], ("zca", "hflip"))
        return config
    except OSError as error:
        raise InputError(
            f"{folder.path} is no run's folder: it has no readable config.json."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.config} is damaged: {error}.") from error


def read_result(folder: RunFolder) -> dict:
    """The content of result.json.

    Raises:
        InputError: The run is not complete, or its file is damaged.
    """
    try:
        result = read_json(folder.result, _RESULT)
        for name in {"best", "selected"} & result.keys():
            check_names(result[name], ("epoch", "error", "note"))
        for errors in result.get("further", {}).values():
            check_names(errors, ("error", "error_augmented"))
        for stage in result.get("stages", ()):
            check_names(stage, ("stage", "error", "unlabeled"))
        return result
    except OSError as error:
        raise InputError(
            f"{folder.path} has no result yet: go on with --resume."
        ) from error
    except (ValueError, AttributeError) as error:
        raise InputError(f"{folder.result} is damaged: {error}.") from error


def write_config(folder: RunFolder, run: Run, about: dict) -> None:
    """Writes what is run.

    Args:
        folder: The run's.
        run: As given, before its defaults were resolved.
        about: `resolved` values, `classes`, `hardware`, ...: anything JSON can hold.
    """
    config = {
        "run": dataclasses.asdict(run),
        **about,
        "command": command_line.command("color_s4l.train", _forgetting_where(run)),
        "versions": provenance.versions(),
        "date": provenance.today(),
    }
    write_json(folder.config, config)


def _forgetting_where(run: Run) -> Run:
    """The run without what changes nothing of its result."""
    return dataclasses.replace(run, run_dir=None, resume=False, verbosity=1)
