"""Settings of a training run, from the user's flags to checked, resolved records.

`Run` holds the user's settings: a flat record whose fields are the flags of
`python -m color_s4l.train`. None means that the library chooses the value. `check`
raises an error for values that are wrong in every run. `resolve` replaces every None by
its value and divides the fields into the small records that the rest of the library
takes.

The defaults are the published settings of Color-S4L (Chen 2020, appendix 6.2 of the
report), except the data set, the labels and the seed.
"""

import dataclasses
import json
import math
import os
import pathlib
import re
import typing
from collections.abc import Collection, Mapping
from typing import Annotated

from color_s4l import fields
from color_s4l.errors import InputError, unknown
from color_s4l.fields import Above, AtLeast, Below, Between, OneOf, option
from color_s4l.registry import TRUNKS

Part = typing.TypeVar("Part", bound=typing.Any)
Count = Annotated[int, AtLeast(1)]
Positive = Annotated[float, Above(0)]
NotNegative = Annotated[float, AtLeast(0)]
DropRate = Annotated[float, Below(1)]

# Largest side, in pixels, of images that are whitened by default, and of images that
# can be whitened. The whitening matrix takes 38 MB at 32 px and 191 MB at 48 px, in
# each model file.
WHITENED, LARGEST_WHITENED = 32, 48
# Milestones of the schedule "steps" as shares of all epochs: RotNet's 60, 120 and 160
# of 200 epochs (Rebuffi et al. 2019, section 4.6).
MILESTONES = (0.3, 0.6, 0.8)
# The values of `weights` that are not paths.
IMAGENET, NO_WEIGHTS = "imagenet", "none"
# A host name or address, and a port.
_ADDRESS = re.compile(
    r".+:(?!0)(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]?\d{1,4})"
)
# Factor on the learning rate of a trunk with pretrained weights. The new heads need
# larger steps than the trunk.
PRETRAINED_RATE = 0.1
# Images with longer sides are cropped at random by default, if the trunk is made for
# photographs.
LARGEST_SHIFTED = 64
# Largest number of labelled images per unlabelled image of a step, for a method that
# reads no unlabelled images. It is the ratio of Color-S4L, so that the supervised
# baseline has as many labelled images per step as Color-S4L.
BASELINE_LABELED = 7

# Settings for low error in short time on a CPU, chosen on CIFAR-10
# (benchmarks/results/README.md).
PRESETS: Mapping[str, Mapping[str, typing.Any]] = {
    "fast": {
        "method": "fast",
        "network": "airbench",
        "dtype_policy": "mixed_bfloat16",
        "normalization": "channels",
        "noise": 0.0,
        "dropout": 0.0,
        "batch_size": 448,
        "labeled_batch": 128,
        "schedule": "triangular",
        "learning_rate": 0.5,
        "momentum": 0.85,
        "bias_rate": 64.0,
        "weight_decay": 6.65e-4,
        "final_weights": "average",
        "test_views": "shifts",
    },
}

# Groups of flags in `--help=all`; `--help` shows the first group.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Common flags": (
        *("dataset", "data_dir", "labels", "preset", "method", "network"),
        *("colorizer", "epochs", "seed", "run_dir"),
    ),
    "Data": (
        *("image_size", "labels_csv", "test_fraction", "resize", "cache"),
        *("max_megapixels", "unlabeled", "unlabeled_dataset", "labeled_only"),
        *("validation", "split_file", "balance"),
    ),
    "Method": (
        *("set", "recipe", "stage", "pseudo_labels", "bn_stats", "compare"),
        "plugins",
    ),
    "Network": (
        *("width", "weights", "init_from", "init_heads", "freeze_blocks"),
        *("lora_rank", "dropout", "trunk_dropout", "dtype_policy", "probe_layer"),
    ),
    "Images and augmentation": (
        *("normalization", "zca", "crop", "crop_area", "shift", "noise", "hflip"),
        *("flip_order", "hflip_unlabeled"),
    ),
    "Optimisation": (
        *("minutes", "batch_size", "labeled_batch", "learning_rate", "schedule"),
        "milestones",
        *("warmup_epochs", "optimizer", "momentum", "bias_rate", "trunk_rate"),
        "weight_decay",
        *("devices", "jit_compile", "steps_per_execution", "deterministic"),
    ),
    "Several processes (docs/cluster.md)": (
        *("distributed", "coordinator", "num_processes", "process_id"),
        "join_timeout",
    ),
    "Evaluation and output": (
        *("final_weights", "batch_statistics", "evaluate_every", "test_views"),
        *("resume", "verbosity"),
    ),
}

# Fields that do not affect the error of a run, such as its directory, `verbosity`, the
# cache of the images, and the addresses of several processes.
FREE = frozenset(
    {"run_dir", "resume", "compare", "verbosity", "steps_per_execution", "cache"}
    | {"distributed", "coordinator", "num_processes", "process_id", "join_timeout"}
)
# Fields that change the result only by rounding and, with several devices, by the draws
# of dropout.
ROUNDING = frozenset({"devices", "jit_compile", "deterministic"})
# Fields that are paths. A relative and an absolute path of the same file or folder mean
# the same run.
PATHS = frozenset({"data_dir", "labels_csv", "split_file"})
# Fields that are paths of input files whose content, not path, affects the result.
CONTENTS = frozenset({"colorizer", "init_from", "pseudo_labels", "weights"})
# Fields that may differ when a run is resumed. Images and plug-ins may have been moved.
# Other images are noticed, because split.csv contains checksums and labels.
RESUMABLE = FREE | {"data_dir", "labels_csv", "plugins"}


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The data set and how its images are read: flags that several commands share."""

    dataset: str = option(
        "digits",
        "digits (built in), folder, or a TFDS name: cifar10, svhn_cropped, ...",
    )
    data_dir: str | None = option(
        None, "Directory of the images (folder) or of prepared TFDS data."
    )
    image_size: Count | None = option(
        None, "Side in pixels to resize to (default: folder 32; TFDS as stored)."
    )
    labels_csv: str | None = option(
        None,
        "folder: table with columns filename,label, or an export of Label Studio "
        "(.json, .csv). Adds labels; replaces class folders if it lists their files.",
    )
    test_fraction: float | None = option(
        None, "folder: share of the labelled images held out as the test set."
    )
    resize: Annotated[str, OneOf("crop", "pad")] = option(
        "crop", "folder: crop the centre square, or pad to a square."
    )
    cache: Annotated[str, OneOf("memory", "disk", "none")] | None = option(
        None, "Where decoded images are kept (default: memory, if there is enough)."
    )
    max_megapixels: Positive = option(
        50.0, "Larger images are not decoded; most JPEG files are reduced in decoding."
    )
    unlabeled_dataset: str | None = option(
        None, "A second TFDS name, whose training images are used without labels."
    )


@dataclasses.dataclass(frozen=True)
class TrainingSettings(DataSettings):
    """All settings of a run except those that differ within a table of error rates."""

    presets: typing.ClassVar[Mapping[str, Mapping[str, typing.Any]]] = PRESETS

    unlabeled: Count | None = option(
        None, "Number of images used without labels (default: all training images)."
    )
    labeled_only: bool = option(
        False, "Use only the labelled images as unlabelled images (ASL, Tran 2019)."
    )
    validation: Annotated[int, AtLeast(0)] = option(
        0, "Number of labelled images held out as a validation set."
    )
    split_file: str | None = option(
        None, "split.csv of an earlier run; its split is used unchanged."
    )
    colorizer: str | None = option(
        None, "H5 file of colorization.train (default: train one for 10 epochs)."
    )
    pseudo_labels: str | None = option(
        None, "NPZ file of class probabilities, for methods that read pseudo-labels."
    )
    set: tuple[str, ...] = option(
        (), "TERM.FIELD=VALUE: set a hyper-parameter of a term; may be repeated."
    )
    stage: tuple[str, ...] = option(
        (), "STAGE.FLAG=VALUE: set a flag of one stage of a recipe; may be repeated."
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers terms, trunks, ...; may be repeated."
    )
    balance: bool = option(
        False, "Weight the class loss so that all classes count equally."
    )
    width: Positive = option(1.0, "Factor on the number of filters of the trunk.")
    weights: str | None = option(
        None,
        "Keras weights of applications/...: imagenet (default), none, or a file.",
    )
    init_from: str | None = option(
        None,
        "Run, model file or colorizer whose trunk weights are loaded at the start; "
        "builtin: weights of the package.",
    )
    init_heads: bool = option(
        False, "Also load the heads of `init_from` that both runs have."
    )
    freeze_blocks: Annotated[int, AtLeast(-1)] = option(
        0, "Number of first blocks of the trunk that are frozen; -1: all."
    )
    lora_rank: Count | None = option(
        None, "Freeze a pretrained trunk and train adapters of this rank (LoRA)."
    )
    probe_layer: str | None = option(
        None,
        "probe, knn: layer that is read (default: the widest of the last block; for "
        "trunks of keras.applications, the last layer).",
    )
    epochs: Count = option(30, "Number of passes over the unlabelled images.")
    minutes: Positive | None = option(
        None, "Time for the whole run; replaces `epochs` by as many as fit into it."
    )
    batch_size: Count = option(32, "Unlabelled images per step; views are not counted.")
    labeled_batch: Count | None = option(
        None,
        "Labelled images per step (default: as many as unlabelled views; for methods "
        "without them 7 * batch_size, but no more than there are labels).",
    )
    learning_rate: Positive = option(0.05, "Learning rate; the schedule scales it.")
    optimizer: Annotated[str, OneOf("sgd", "adam", "adamw", "muon")] = option(
        "sgd", "SGD with Nesterov momentum, Adam, AdamW, or Muon for trunk kernels."
    )
    momentum: Annotated[float, Below(1)] = option(0.9, "Momentum of sgd and muon.")
    bias_rate: Positive = option(
        1.0, "Factor on the learning rate of batch normalisation's biases."
    )
    trunk_rate: Positive | None = option(
        None,
        "Factor on the learning rate of the trunk (default: 0.1 with `weights`, "
        "without `lora_rank`).",
    )
    schedule: Annotated[
        str, OneOf("polynomial", "cosine", "steps", "constant", "triangular")
    ] = option(
        "polynomial",
        "Learning rate over the steps: polynomial (1 - x)^(1/2), cosine, ...",
    )
    warmup_epochs: NotNegative = option(
        0.0, "Epochs in which the learning rate rises linearly from 0."
    )
    milestones: str | None = option(
        None,
        "`schedule`=steps: comma-separated epochs (default: 30, 60, 80 % of all).",
    )
    weight_decay: NotNegative = option(
        5e-4, "Factor on the sum of squares of kernels in the loss (adamw: decoupled)."
    )
    dropout: DropRate = option(0.5, "Dropout rate before the class head.")
    trunk_dropout: DropRate | None = option(
        None, "Dropout rate in the trunk (default: as published)."
    )
    normalization: Annotated[str, OneOf("contrast", "channels", "imagenet")] | None = (
        option(
            None,
            "Normalise the contrast of each image, or each colour channel (default: "
            "imagenet for applications/..., else contrast).",
        )
    )
    zca: bool | None = option(
        None, "ZCA whitening (default: not for SVHN, digits, nor above 32 px)."
    )
    shift: Annotated[int, AtLeast(0)] = option(
        2, "Largest random shift of training images in pixels."
    )
    crop: Annotated[str, OneOf("shift", "random_resized")] | None = option(
        None,
        "Shift training images, or enlarge random parts (default: random_resized for "
        "applications/... above 64 px).",
    )
    crop_area: Annotated[float, Between(0.01, 1)] = option(
        0.2, "`crop`=random_resized: smallest part, as a share of the image's area."
    )
    noise: NotNegative = option(
        0.15, "Standard deviation of the noise added to training images."
    )
    hflip: bool | None = option(
        None, "Flip labelled images left-right (default: not for SVHN and digits)."
    )
    hflip_unlabeled: bool = option(
        False, "Also flip unlabelled images; not with flips as proxy tasks."
    )
    flip_order: Annotated[str, OneOf("random", "alternating")] = option(
        "random", "Flip at random, or every labelled image in every second pass."
    )
    bn_stats: Annotated[str, OneOf("both", "supervised")] | None = option(
        None,
        "Forward passes that update the moving batch statistics (default: as "
        "published).",
    )
    dtype_policy: Annotated[
        str, OneOf("float32", "mixed_bfloat16", "mixed_float16")
    ] = option("float32", "Precision of the network.")
    final_weights: str | None = option(
        None, "Weights of a term that become the result: average, teacher, ..."
    )
    batch_statistics: Annotated[str, OneOf("moving", "reestimated")] = option(
        "moving",
        "Batch statistics of the result: moving averages of training, or computed anew "
        "on training images without augmentation.",
    )
    evaluate_every: Count = option(
        1, "Epochs between two evaluations; the last epoch is always evaluated."
    )
    test_views: Annotated[str, OneOf("published", "flips", "shifts", "rotations")] = (
        option("published", "Views of test-time augmentation (docs/methods.md).")
    )
    jit_compile: bool | None = option(
        None, "Compile the step with XLA (default: Keras decides)."
    )
    steps_per_execution: Count = option(1, "Steps per call of the compiled function.")
    devices: Count = option(1, "GPUs (or logical CPU devices) that share each batch.")
    deterministic: bool = option(False, "Make repeated runs bit-equal; slower.")
    verbosity: int = option(1, "0: no progress; 1: a bar, on a terminal; 2: lines.")


@dataclasses.dataclass(frozen=True)
class Run(TrainingSettings):
    """One training run. The settings and the code's version determine the result."""

    groups: typing.ClassVar[Mapping[str, tuple[str, ...]]] = GROUPS

    labels: Count | None = option(
        None, "Number of labelled images, balanced over the classes (default: all)."
    )
    method: str = option(
        "color_s4l", "Name of a method, a sum (color_s4l+vat), probe or knn."
    )
    recipe: str | None = option(
        None, "Procedure of several stages, instead of a method (docs/methods.md)."
    )
    network: str = option("convnet", "Name of the trunk.")
    seed: Annotated[int, Below(2**32)] = option(
        1, "Seed of the split, the batches, the weights and all random draws."
    )
    run_dir: str | None = option(
        None, "Run directory (default: runs/<settings>); new, except with `resume`."
    )
    resume: bool = option(False, "Continue after the last complete epoch of `run_dir`.")
    compare: bool = option(
        False, "Also train on the labels only, and compare the two errors."
    )
    distributed: bool = option(
        False, "Train in several processes, each started with the same flags."
    )
    coordinator: str | None = option(
        None,
        "HOST:PORT where process 0 waits for the others (default: detected on a "
        "cluster).",
    )
    num_processes: Count | None = option(
        None, "Number of processes (default: detected on a cluster)."
    )
    process_id: Annotated[int, AtLeast(0)] | None = option(
        None, "Number of this process, from 0 (default: detected on a cluster)."
    )
    join_timeout: Positive = option(
        300.0, "Seconds in which all processes must have started."
    )


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """The split of the training images; fields as in `Run`."""

    labels: int | None
    unlabeled: int | None
    labeled_only: bool
    validation: int
    split_file: str | None
    seed: int


@dataclasses.dataclass(frozen=True)
class InputSettings:
    """The settings of the input files other than the images; fields as in `Run`.

    Attributes:
        network: Name of the trunk; determines the file of its ImageNet weights.
        weights: "imagenet", "none" or the path of a file; see `weights_of`.
    """

    network: str
    weights: str
    colorizer: str | None
    init_from: str | None
    init_heads: bool
    pseudo_labels: str | None


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The network; fields as in `Run`. `trunk_dropout` None: the trunk's default."""

    network: str
    width: float
    dropout: float
    trunk_dropout: float | None
    normalization: str
    zca: bool
    freeze_blocks: int
    lora_rank: int | None = None


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """Length of the training, learning rate and weight decay; fields as in `Run`.

    Attributes:
        milestones: Epochs, not always whole numbers, after which the schedule "steps"
            divides the learning rate by 10. The other schedules ignore them.
    """

    epochs: int
    optimizer: str
    momentum: float
    bias_rate: float
    trunk_rate: float
    learning_rate: float
    schedule: str
    warmup_epochs: float
    milestones: tuple[float, ...]
    weight_decay: float


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """Settings of the images of one training step; fields as in `Run`."""

    batch_size: int
    labeled_batch: int
    balance: bool
    hflip: bool
    hflip_unlabeled: bool
    flip_order: str
    crop: str
    crop_area: float
    shift: int
    noise: float
    seed: int


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How the test images are evaluated; fields as in `Run`."""

    hflip: bool
    final_weights: str | None
    batch_statistics: str
    evaluate_every: int
    test_views: str
    devices: int


@dataclasses.dataclass(frozen=True)
class RuntimeSettings:
    """How steps are computed and shown; fields as in `Run`."""

    dtype_policy: str
    jit_compile: bool | None
    steps_per_execution: int
    devices: int
    verbosity: int


@dataclasses.dataclass(frozen=True)
class ProcessSettings:
    """Settings of the processes and of the batches they divide; fields as in `Run`."""

    distributed: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None
    join_timeout: float
    plugins: tuple[str, ...]
    devices: int
    batch_size: int
    labeled_batch: int | None


@dataclasses.dataclass(frozen=True)
class Settings:
    """The resolved settings of a run, one small record for each part of the library.

    Attributes:
        method: Name of the recipe, or the method as the user wrote it.
        values: All fields of `Run` in JSON types, resolved; stored in config.json and
            in the rows of result tables.
    """

    method: str
    data: DataSettings
    inputs: InputSettings
    model: ModelSettings
    optimization: OptimizationSettings
    step: StepSettings
    evaluation: EvaluationSettings
    runtime: RuntimeSettings
    values: Mapping[str, typing.Any]


def part(record: typing.Any, kind: type[Part]) -> Part:
    """Returns a small record with the values of the same fields of a larger record.

    Args:
        record: The larger record, for example a `Run`.
        kind: Class of the small record, for example `DataSettings`.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: getattr(record, name) for name in names})


def preset(name: str, **changes: typing.Any) -> Run:
    """Returns a run with the values of a preset.

    Args:
        name: Key of `PRESETS`: "fast".
        changes: Further fields of `Run`; they have priority.

    Raises:
        InputError: There is no preset with this name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return Run(**{**PRESETS[name], **changes})


def pretrained(run: Run) -> bool:
    """Returns whether the trunk of a run starts from trained weights."""
    weights = weights_of(run.network, run.weights, run.init_from)
    return run.init_from is not None or weights != NO_WEIGHTS


def with_method(run: Run, method: str, **changes: typing.Any) -> Run:
    """Returns a run of another method with the same images, network and training.

    Fields that only hold for the method of `run` get their defaults: `recipe`, `set`,
    `stage`, `pseudo_labels`, `final_weights` and `compare`.

    Args:
        run: The run.
        method: Name of the other method, or a sum.
        **changes: Further fields of `Run`; they have priority.
    """
    own = ("recipe", "set", "stage", "pseudo_labels", "final_weights", "compare")
    values = {name: getattr(Run, name) for name in own}
    return dataclasses.replace(run, **{**values, "method": method, **changes})


def dataset_name(values: Mapping[str, typing.Any]) -> str:
    """Returns the name of a run's data set in tables and directory names.

    It is the setting `dataset`; for the user's own images, the name of their folder.

    Args:
        values: The settings of the run in JSON types.
    """
    own = values["data_dir"] if values["dataset"] == "folder" else None
    return (own and pathlib.Path(own).name) or values["dataset"]


def is_digits(dataset: str) -> bool:
    """Returns whether the images are digits; flips and rotations change their class."""
    return dataset == "digits" or dataset.startswith("svhn")


def check(run: Run) -> None:
    """Checks everything that can be checked without the data set and the method.

    Raises:
        InputError: A value is outside its range, or two values contradict each other.
    """
    if not isinstance(run.dataset, str):
        raise InputError(
            "Expected `dataset` to be a name. "
            f"Received: an object of type {type(run.dataset).__name__}. To train on "
            "arrays, use color_s4l.fit(run, data=color_s4l.Data.from_arrays(...))."
        )
    fields.check(run)
    if milestones_of(run) is not None and run.schedule != "steps":
        raise InputError("`milestones` can only be used with `schedule`=steps.")
    counts = ("labels", "unlabeled", "labeled_only", "validation")
    given = [name for name in counts if getattr(run, name)]
    if run.split_file and given:
        raise InputError(
            f"`split_file` already determines the images: remove `{given[0]}`."
        )
    if run.labeled_only and run.unlabeled:
        raise InputError("`labeled_only` uses no other images: remove `unlabeled`.")
    if run.init_heads and not run.init_from:
        raise InputError("`init_heads` needs `init_from`: the run that has the heads.")
    if run.stage and not run.recipe:
        raise InputError(
            f"`stage`={run.stage[0]} needs a `recipe`: a method has no stages."
        )
    check_weights(run.weights, run.init_from)
    if run.lora_rank and run.freeze_blocks:
        raise InputError(
            "`lora_rank` freezes all weights of the trunk: remove `freeze_blocks`."
        )
    if run.minutes and run.recipe:
        raise InputError(
            "`minutes` is the time of one run, and a `recipe` has several: set "
            "`epochs`, or `stage`=STAGE.minutes=N."
        )
    if run.minutes and run.milestones:
        raise InputError("`milestones` are epochs: set `epochs`, not `minutes`.")
    if run.flip_order == "alternating" and run.hflip is False:
        raise InputError("`flip_order`=alternating needs `hflip`.")
    if run.batch_statistics == "reestimated" and run.devices > 1:
        raise InputError("`batch_statistics`=reestimated needs `devices`=1.")
    _check_processes(run)
    check_devices(run, run.num_processes or 1)


def check_weights(weights: str | None, init_from: str | None) -> None:
    """Raises an error if `weights` and `init_from` both give weights of the trunk."""
    if init_from and weights not in (None, NO_WEIGHTS):
        raise InputError(
            "`weights` and `init_from` are both weights of the trunk: remove one."
        )


def _check_processes(run: Run) -> None:
    """Raises an error for settings that contradict `distributed`."""
    place = {n: getattr(run, n) for n in ("coordinator", "num_processes", "process_id")}
    given = [name for name, value in place.items() if value is not None]
    if given and not run.distributed:
        raise InputError(f"`{given[0]}` needs `distributed`.")
    if given and len(given) < len(place):
        missing = next(name for name in place if name not in given)
        raise InputError(f"`{given[0]}` needs `{missing}` too.")
    if not run.distributed:
        return
    for name in ("recipe", "compare", "minutes"):
        if getattr(run, name):
            raise InputError(
                f"`{name}` trains in one process: remove `distributed`, or `{name}`."
            )
    if run.coordinator and not _ADDRESS.fullmatch(run.coordinator):
        raise InputError(
            "Expected `coordinator`=HOST:PORT, with a port from 1 to 65535. "
            f"Received: {run.coordinator!r}."
        )


def check_devices(settings: Run | ProcessSettings, processes: int) -> None:
    """Raises an error for batches that cannot be divided equally over the devices.

    Args:
        settings: The batches, and the devices of each process.
        processes: Number of processes.
    """
    batch, labeled = settings.batch_size, settings.labeled_batch
    where, devices = f"`devices`={settings.devices}", settings.devices * processes
    if processes > 1:
        where = f"{processes} processes with {where} each"
    if batch % devices:
        raise InputError(f"`batch_size`={batch} cannot be divided over {where}.")
    if (labeled or 0) % devices:
        raise InputError(f"`labeled_batch`={labeled} cannot be divided over {where}.")


def milestones_of(run: Run) -> tuple[float, ...] | None:
    """Returns the epochs in `milestones`; None if it is not set.

    Raises:
        InputError: An epoch is not a number above 0.
    """
    if run.milestones is None:
        return None
    try:
        milestones = tuple(float(word) for word in run.milestones.split(","))
    except ValueError:
        milestones = (0.0,)
    if not all(0 < milestone < math.inf for milestone in milestones):
        raise InputError(
            "Expected `milestones` to be epochs above 0, separated by commas. "
            f"Received: {run.milestones!r}."
        )
    return milestones


def weights_of(network: str, weights: str | None, init_from: str | None) -> str:
    """Returns the resolved setting `weights`: "imagenet", "none" or a path.

    Args:
        network: The setting `network`.
        weights: The setting `weights`.
        init_from: The setting `init_from`.

    Raises:
        InputError: There is no such network, or weights are given for a network that
            cannot load them.
    """
    pretrained = "pretrained" in TRUNKS.options(network)
    if weights is None:
        return IMAGENET if pretrained and not init_from else NO_WEIGHTS
    if weights != NO_WEIGHTS and not pretrained:
        raise InputError(
            f"`weights`={weights} needs a network of `keras.applications`: "
            f"`network`=applications/... Received: `network`={network}."
        )
    return weights


def normalization_of(network: str, normalization: str | None) -> str:
    """Returns the resolved setting `normalization`; by default that of the trunk."""
    return normalization or TRUNKS.options(network).get("normalization", "contrast")


def trunk_rate_of(run: Run) -> float:
    """Returns the resolved setting `trunk_rate`."""
    if run.trunk_rate is not None:
        return run.trunk_rate
    # Adapters are new weights, like the heads, and need larger steps than a trunk.
    weights = weights_of(run.network, run.weights, run.init_from)
    whole = weights != NO_WEIGHTS and not run.lora_rank
    return PRETRAINED_RATE if whole else 1.0


def inputs_of(run: Run) -> InputSettings:
    """Returns the settings of the input files other than the images, resolved."""
    weights = weights_of(run.network, run.weights, run.init_from)
    return part(dataclasses.replace(run, weights=weights), InputSettings)


def resolve(
    run: Run,
    *,
    image_size: int,
    labeled_views: int,
    unlabeled_views: int,
    labels: int | None = None,
) -> Settings:
    """Replaces every None by its value and divides the fields into small records.

    Published for SVHN: no ZCA, no flips, and dropout 0.5 after the ConvNet's pooling
    layers. For the built-in digits there is no ZCA and no flip either: a flipped digit
    is another sign, and 1,397 images are too few for the whitening of 3,072 values.

    Args:
        run: Checked by `check`.
        image_size: Side of the images in pixels.
        labeled_views: Number of views of a labelled image that the terms read.
        unlabeled_views: Number of views of an unlabelled image that the terms read.
        labels: Number of labelled images; None: enough for the largest default batch.

    Returns:
        The resolved settings.

    Raises:
        InputError: `zca` is true, but the images are too large for whitening, or the
            normalisation is not "contrast"; or the network cannot load `weights`.
    """
    if run.zca and image_size > LARGEST_WHITENED:
        raise InputError(
            f"`zca` whitens images of up to {LARGEST_WHITENED} px; these have "
            f"{image_size} px. Set `zca` to false, or a smaller `image_size`."
        )
    digits, trunk = is_digits(run.dataset), TRUNKS.options(run.network)
    normalization = normalization_of(run.network, run.normalization)
    if run.zca and normalization != "contrast":
        raise InputError("`zca` needs `normalization`=contrast.")
    whitened = image_size <= WHITENED and not digits
    whitened = whitened and normalization == "contrast" and trunk.get("zca", True)
    crop = trunk.get("crop", "shift") if image_size > LARGEST_SHIFTED else "shift"
    dropout = trunk.get("svhn_dropout") if run.dataset.startswith("svhn") else None
    full = dataclasses.replace(
        run,
        image_size=image_size,
        zca=whitened if run.zca is None else run.zca,
        hflip=not digits if run.hflip is None else run.hflip,
        normalization=normalization,
        crop=run.crop or crop,
        weights=weights_of(run.network, run.weights, run.init_from),
        trunk_rate=trunk_rate_of(run),
        trunk_dropout=dropout if run.trunk_dropout is None else run.trunk_dropout,
        labeled_batch=run.labeled_batch
        or _labeled_batch(run.batch_size, labeled_views, unlabeled_views, labels),
    )
    milestones = milestones_of(run) or tuple(x * run.epochs for x in MILESTONES)
    optimization = part(full, OptimizationSettings)
    return Settings(
        method=run.recipe or run.method,
        data=part(full, DataSettings),
        inputs=part(full, InputSettings),
        model=part(full, ModelSettings),
        optimization=dataclasses.replace(optimization, milestones=milestones),
        step=part(full, StepSettings),
        evaluation=part(full, EvaluationSettings),
        runtime=part(full, RuntimeSettings),
        values=to_json(full),
    )


def _labeled_batch(
    batch_size: int, labeled_views: int, unlabeled_views: int, labels: int | None
) -> int:
    """Returns the default number of labelled images per step.

    The number is a multiple of `batch_size`. The forward pass over labelled views then
    has as many images as the pass over unlabelled views. For a method without
    unlabelled views, the pass has up to `BASELINE_LABELED * batch_size` images, and
    fewer if there are fewer labels, so that a step does not contain an image twice. The
    number of steps per epoch does not depend on the result.
    """
    if not labeled_views:
        return batch_size  # no term reads labelled images
    if unlabeled_views:
        return batch_size * max(1, unlabeled_views // labeled_views)
    most = BASELINE_LABELED if labels is None else labels // batch_size
    views = min(BASELINE_LABELED, most)
    return batch_size * max(1, views // labeled_views)


def to_json(run: Run) -> dict[str, typing.Any]:
    """Returns the fields of a run in JSON types."""
    return json.loads(json.dumps(dataclasses.asdict(run)))


def from_json(values: Mapping[str, typing.Any]) -> Run:
    """Returns the run for a result of `to_json`; a missing field has its default."""
    known = {field.name for field in dataclasses.fields(Run)}
    found: dict[str, typing.Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known
    }
    return Run(**found)


def portable(values: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    """Returns JSON settings for a result table, without `FREE` fields.

    An absolute path is replaced by its file name, also inside STAGE.FLAG=VALUE.
    """
    kept = {name: value for name, value in values.items() if name not in FREE}
    return {name: _without_folder(value) for name, value in kept.items()}


def _without_folder(value: typing.Any) -> typing.Any:
    if isinstance(value, list | tuple):
        return [_without_folder(one) for one in value]
    if not isinstance(value, str):
        return value
    if os.path.isabs(value):
        return pathlib.Path(value).name
    name, equals, rest = value.partition("=")
    return f"{name}={_without_folder(rest)}" if equals else value


def identity(
    values: Mapping[str, typing.Any], digests: Mapping[str, str | None], backend: str
) -> dict[str, typing.Any]:
    """Returns the values that must be equal for two runs to have the same result.

    Args:
        values: Result of `to_json`.
        digests: Name of an input file's field -> digest of its content.
        backend: Name of the Keras backend.
    """
    ignored = FREE | ROUNDING | CONTENTS
    kept = {name: value for name, value in values.items() if name not in ignored}
    for name in PATHS:
        kept[name] = kept[name] and os.path.abspath(kept[name])
    contents = {name: digest for name, digest in digests.items() if digest}
    return {**kept, "contents": contents, "backend": backend}


def shared_values(run: Run) -> dict[str, str]:
    """Returns the settings that all processes of a run must share, as text."""
    values = to_json(dataclasses.replace(run, resume=False)).items()
    ignored = RESUMABLE - {"run_dir"}
    return {f"`{name}`": str(value) for name, value in values if name not in ignored}


def differences(
    before: Mapping[str, typing.Any],
    now: Mapping[str, typing.Any],
    ignored: Collection[str] = RESUMABLE,
) -> str:
    """Returns the differences of two runs in words; "" if there are none.

    Args:
        before: JSON values of the earlier run.
        now: JSON values of this run.
        ignored: Names of fields that may differ.
    """
    names = [n for n in now if n not in ignored and now[n] != before.get(n)]
    return ", ".join(f"`{n}`: {before.get(n)} before, {now[n]} now" for n in names)
