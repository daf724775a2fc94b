"""The inputs of a run: images, split, colorizer, initial weights, pseudo-labels."""

import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import builtin, cache, models, run_directory
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.data import Data, Split
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.networks.encoder import weights_of
from color_s4l.registry import TRUNKS
from color_s4l.settings import (
    IMAGENET,
    NO_WEIGHTS,
    DataSettings,
    InputSettings,
    SplitSettings,
)
from color_s4l.terms.term import Term
from color_s4l.views.step import COLORIZED
from colorization import metrics, training
from colorization.colorizer import Colorizer

logger = logging.getLogger(__name__)

# Settings of the colorizer that a run trains if none is given. 10 epochs give the right
# tones; the published colorizers were trained for 50 to 300. Fewer images need smaller
# batches: after fewer than about 350 steps, a colorizer without batch normalisation may
# still predict the mean colour for every pixel.
COLORIZER_EPOCHS = 10
FEW_IMAGES, SMALL_BATCH, LARGE_BATCH = 5000, 20, 100
# Largest number of bytes of the colorizer's training images, which are all in memory:
# enough for 13,000 images of 224 px. It is a constant, so that the colorizer does not
# depend on the machine.
COLORIZER_BYTES = 2 * 10**9
# Number of training images on which the trained colorizer is compared with a tint (one
# colour for all pixels).
WATCHED = 500


@dataclasses.dataclass(frozen=True, eq=False)
class InitialWeights:
    """Weights of a trained trunk, perhaps with heads, that another run starts from.

    Attributes:
        source: Path from which the weights were read, for error messages.
        trunk: Weights and batch statistics of the trunk, in Keras' order.
        heads: Name -> kernel and bias; empty if only the trunk is used.
        fits: Settings that give a network of this shape, for error messages.
        statistics: Mean and deviation of the colour channels with which the images were
            normalised, as for `Preprocessing.set_statistics`; None if the weights were
            not trained with the normalisation "channels".
    """

    source: str
    trunk: tuple[np.ndarray, ...]
    heads: dict[str, list[np.ndarray]]
    fits: str = "the `network` and `width` of that trunk"
    statistics: dict[str, np.ndarray] | None = None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights of the trunk and of the heads, and of `statistics`."""
        parts: list[str | np.ndarray] = [*self.trunk]
        for name in sorted(self.heads):
            parts += [name, *self.heads[name]]
        for name, array in sorted((self.statistics or {}).items()):
            parts += [name, array]
        return cache.digest(*parts)

    def assign_to(self, network: Network) -> None:
        """Assigns the weights to a network.

        Args:
            network: A built network. Heads with other names keep their weights.

        Raises:
            InputError: The network's trunk has other shapes than the weights, a head of
                the same name has another number of outputs, or a head to be loaded is
                not a dense layer.
        """
        expected = [tuple(weight.shape) for weight in network.trunk.weights]
        if [array.shape for array in self.trunk] != expected:
            raise InputError(
                f"`init_from`={self.source} contains another trunk: set {self.fits}."
            )
        network.trunk.set_weights(self.trunk)
        for name in self.heads.keys() & network.heads.keys():
            head, arrays = network.heads[name], self.heads[name]
            size = arrays[-1].shape[-1]
            if size != head.units:
                raise InputError(
                    f"`init_heads`: the head {name!r} of {self.source} has {size} "
                    f"classes; expected {head.units}. Leave `init_heads` out."
                )
            if [array.shape for array in arrays] != [w.shape for w in head.weights]:
                raise InputError(
                    f"`init_heads`: the head {name!r} of {self.source} is not a dense "
                    "layer (`method`=knn): leave `init_heads` out."
                )
            head.set_weights(arrays)


def read_initial(path: str | os.PathLike, *, heads: bool = False) -> InitialWeights:
    """Reads the trunk weights of a run, of the package, or of a colorizer's encoder.

    Args:
        path: A run directory or a model file (.keras, .h5) of a classifier or of a
            colorizer. The weights of a colorizer are for the trunk `encoder` of the
            same width. "builtin": the weights of the package; for a file with this
            name, write "./builtin".
        heads: Whether to read the heads too; a colorizer has none.

    Returns:
        The weights.

    Raises:
        InputError: The path does not exist or is not a model of this library; or
            `heads` is true, and there is no file of heads or `path` is "builtin".
    """
    if path == builtin.NAME:
        return _read_builtin(heads)
    file = pathlib.Path(path)
    if models.is_colorizer(file):
        colorizer = Colorizer.load(file)
        width = colorizer.origin.width
        fits = f"`network`=encoder and `width`={width:g} (it is a colorizer)"
        return InitialWeights(str(path), tuple(weights_of(colorizer.model)), {}, fits)
    if file.is_dir():
        file = RunDirectory(file).model()
    model, _ = models.load(file)
    trunk = tuple(model.get_layer("trunk").get_weights())
    found = models.load_heads(models.heads_path(file)) if heads else {}
    statistics = None
    preprocessing = model.get_layer("preprocessing")
    if getattr(preprocessing, "normalization", None) == "channels":
        statistics = {
            name: keras.ops.convert_to_numpy(getattr(preprocessing, name))
            for name in ("mean", "deviation")
        }
    return InitialWeights(str(path), trunk, found, statistics=statistics)


def _read_builtin(heads: bool) -> InitialWeights:
    if heads:
        raise InputError(
            f"`init_from`={builtin.NAME} has no heads: leave `init_heads` out."
        )
    found = builtin.read()
    note = found.note
    fits = (
        f"`network`={note['network']}, `width`={note['width']:g} and "
        f"`normalization`={note['normalization']}"
    )
    statistics = found.statistics or None
    return InitialWeights(builtin.NAME, found.trunk, {}, fits, statistics)


@dataclasses.dataclass(frozen=True)
class PretrainedWeights:
    """A file of weights in Keras' format, loaded when a run starts.

    A resumed run does not need the file of ImageNet weights: their digest is known, and
    the trunk's weights are in the checkpoint.

    Attributes:
        network: Name of a trunk with the option `pretrained`.
        source: "imagenet", or the path of a file.
    """

    # The normalisation "imagenet" uses constants, so there are no statistics to load.
    statistics: typing.ClassVar[None] = None

    network: str
    source: str

    @property
    def _pretrained(self):
        return TRUNKS.options(self.network)["pretrained"]

    @functools.cached_property
    def path(self) -> pathlib.Path:
        """Path of the file; ImageNet weights are downloaded if they are not on disk.

        Raises:
            InputError: There is no such file, or it cannot be downloaded.
        """
        if self.source == IMAGENET:
            return self._pretrained.imagenet.fetch()
        path = pathlib.Path(self.source)
        if not path.is_file():
            raise InputError(f"There is no file of `weights` at {path}.")
        return path

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the file, as hexadecimal digits."""
        if self.source == IMAGENET:
            return self._pretrained.imagenet.digest
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def assign_to(self, network: Network) -> None:
        """Loads the weights into the trunk of a built network.

        Raises:
            InputError: The file is missing, damaged or belongs to another network.
        """
        self._pretrained.load(network.trunk, self.path)


@dataclasses.dataclass(frozen=True)
class InputFiles:
    """The input files of a run except the images; None for a file that is not used.

    Attributes:
        colorizer: The colorizer of the setting `colorizer`.
        initial: The weights of the setting `init_from`.
        pseudo_labels: The content of the setting `pseudo_labels`.
        weights: The file of the setting `weights`.
    """

    colorizer: Colorizer | None
    initial: InitialWeights | None
    pseudo_labels: data.PseudoLabels | None
    weights: PretrainedWeights | None

    @property
    def digests(self) -> dict[str, str | None]:
        """Name of each setting -> digest of the file's content."""
        named: dict[str, typing.Any] = {
            "colorizer": self.colorizer,
            "init_from": self.initial,
            "pseudo_labels": self.pseudo_labels,
            "weights": self.weights,
        }
        return {name: file and file.digest for name, file in named.items()}


def read_files(settings: InputSettings, *, colorizer: bool) -> InputFiles:
    """Reads the input files except the images.

    Args:
        settings: The names of the files.
        colorizer: Whether a term needs the colorizer.

    Raises:
        InputError: A file is missing or damaged.
    """
    initial = settings.init_from and read_initial(
        settings.init_from, heads=settings.init_heads
    )
    labels = settings.pseudo_labels and data.read_pseudo_labels(settings.pseudo_labels)
    return InputFiles(
        Colorizer.load(settings.colorizer)
        if settings.colorizer and colorizer
        else None,
        initial or None,
        labels or None,
        PretrainedWeights(settings.network, settings.weights)
        if settings.weights != NO_WEIGHTS
        else None,
    )


def fetch(files: InputFiles) -> None:
    """Downloads the file of the setting `weights` if it is needed and not there yet.

    Raises:
        InputError: The file is missing or cannot be downloaded.
    """
    if files.weights:
        logger.info("weights    %s", files.weights.path)


def check_unchanged(
    settings: InputSettings, files: InputFiles, config: Mapping[str, typing.Any]
) -> None:
    """Raises an error if a resumed run has other input files than at its start.

    Args:
        settings: The names of the files.
        files: The present content of the files.
        config: The config.json of the run.
    """
    for name, digest in files.digests.items():
        if config["digests"].get(name) != digest:
            raise InputError(
                f"`{name}`={getattr(settings, name)} has changed since the start of "
                "this run: restore it, or choose another `run_dir`."
            )


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All inputs of a run; a resumed run has the same inputs.

    Attributes:
        data: The images.
        split: Indices of the labelled, unlabelled and validation images.
        files: The other input files.
        targets: Pseudo-labels of the unlabelled images, float32
            `(unlabelled images, classes)`; None if no term needs them.
    """

    data: Data
    split: Split
    files: InputFiles
    targets: np.ndarray | None


def needs_colorizer(terms: Sequence[Term]) -> bool:
    """Returns whether a term reads the colourised view."""
    return any(COLORIZED in term.views() for term in terms)


def read_inputs(
    images: DataSettings | data.Data,
    split: SplitSettings,
    inputs: InputSettings,
    terms: Sequence[Term],
    directory: RunDirectory,
) -> Inputs:
    """Reads all inputs: the small files first, so that their errors appear at once.

    Args:
        images: The data set's settings, or the data set itself.
        split: Settings of the split of the images.
        inputs: Names of the other files.
        terms: The terms of the method.
        directory: The run directory. The split of a resumed run is read from it.

    Raises:
        InputError: An input is missing, damaged or does not fit the others; the data
            set has fewer than two classes; or a resumed run has other input files than
            at its start.
    """
    files = read_files(inputs, colorizer=needs_colorizer(terms))
    if directory.config.exists():
        config = run_directory.read_config(directory)
        check_unchanged(inputs, files, config)
    else:
        fetch(files)
    if isinstance(images, DataSettings):
        logger.info("reading    %s", images.dataset)
        images = data.load(images)
    if len(images.classes) < 2:
        raise InputError(
            f"Expected at least two classes. The data set {images.name!r} has one: "
            f"{', '.join(images.classes)}."
        )
    indices = split_of(images, split, directory)
    labels = files.pseudo_labels
    targets = labels.of(images, indices.unlabeled) if labels else None
    return Inputs(images, indices, files, targets)


def split_of(
    images: data.Data, settings: SplitSettings, directory: RunDirectory
) -> data.Split:
    """Returns the split of the resumed run, of `split_file`, or drawn from the seed.

    Args:
        images: The images.
        settings: Settings of the split.
        directory: The run directory; may not exist yet.

    Raises:
        InputError: The settings do not fit the images, or a file belongs to other
            images.
    """
    if directory.split.exists():
        return data.read_split(directory.split, images)
    if settings.split_file:
        return data.read_split(settings.split_file, images)
    split = data.draw_split(
        images.labels,
        images.classes,
        settings.labels,
        settings.unlabeled,
        settings.validation,
        settings.seed,
    )
    if settings.labeled_only:
        return dataclasses.replace(split, unlabeled=split.labeled)
    return split


def own_colorizer(
    inputs: Inputs, directory: RunDirectory, *, seed: int, verbosity: int
) -> Colorizer:
    """Returns the colorizer in the run directory; trains it first if there is none."""
    if not directory.colorizer.exists():
        _train_colorizer(inputs, directory, seed, verbosity)
    return Colorizer.load(directory.colorizer)


def _train_colorizer(
    inputs: Inputs, directory: RunDirectory, seed: int, verbosity: int
) -> None:
    images = _colorizer_images(inputs)
    logger.info(
        "colorizer  none given: training one on %s of the unlabelled images for %s "
        "epochs; it is saved as %s",
        f"{len(images):,}",
        COLORIZER_EPOCHS,
        directory.colorizer,
    )
    settings = training.Settings(
        epochs=COLORIZER_EPOCHS,
        batch_size=SMALL_BATCH if len(images) < FEW_IMAGES else LARGE_BATCH,
        seed=seed,
        verbosity=verbosity,
    )
    checkpoint = directory.path / "colorizer.unfinished.npz"
    colorizer = training.train(
        images,
        settings,
        dataset=inputs.data.name,
        checkpoint=checkpoint,
        resume=True,
    )
    colorizer.save(directory.colorizer)
    checkpoint.unlink(missing_ok=True)
    watched = images[:WATCHED]
    line = metrics.compare_with_tint(watched, colorizer.predict(watched))
    logger.info("colorizer  %s", line)


def _colorizer_images(inputs: Inputs) -> np.ndarray:
    """Returns the unlabelled images, or some of them if they exceed `COLORIZER_BYTES`.

    The selected images are evenly spaced.
    """
    images, unlabeled = inputs.data.images, inputs.split.unlabeled
    _, height, width, channels = images.shape
    present = len(unlabeled)
    count = min(present, COLORIZER_BYTES // (height * width * channels))
    return images[unlabeled[np.arange(count) * present // count]]


def describe_colorizer(colorizer: Colorizer) -> str:
    """Returns one line: the network, its training images and epochs."""
    origin = colorizer.origin
    return (
        f"{origin.network}, {origin.epochs} epochs on {origin.images:,} images of "
        f"{origin.dataset}"
    )
