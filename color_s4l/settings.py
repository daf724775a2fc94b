"""What a run is: values only, no tensors, no flags.

Every field is a flag of `python -m color_s4l.train` of the same name. The method's
numbers have the published settings of Color-S4L as defaults (Chen 2020, appendix 6.2
of the report); data set, labels and seed are ours.
"""

import dataclasses

from color_s4l.command_line import option


@dataclasses.dataclass(frozen=True)
class Source:
    """Where images come from; the part of a command's flags that names a data set."""

    dataset: str = option(
        "digits",
        "digits (built in), folder, or a TFDS name: cifar10, svhn_cropped, ...",
    )
    data_dir: str | None = option(
        None, "Directory of the images (folder) or of prepared TFDS data."
    )
    image_size: int | None = option(
        None,
        "Side in pixels to resize to (default: folder 32; TFDS as stored).",
    )
    labels_csv: str | None = option(
        None, "folder: a table filename,label instead of one folder for each class."
    )
    test_fraction: float | None = option(
        None, "folder: share of the labelled images to test on; no test folder then."
    )
    fit: str = option(
        "crop",
        "folder: the square in the middle, or the whole image with bars.",
        choices=("crop", "pad"),
    )
    cache: str | None = option(
        None,
        "folder: decoded images in memory, on disk, or none (default: by size).",
        choices=("memory", "disk", "none"),
    )


def is_digits(dataset: str) -> bool:
    """Whether a data set's images are digits: flipped, they would be other signs."""
    return dataset == "digits" or dataset.startswith("svhn")


@dataclasses.dataclass(frozen=True)
class Axes(Source):
    """What the rows and columns of a table of error rates differ by."""

    labels: int | None = option(
        None, "Labelled images in total, balanced over the classes (default: all)."
    )
    method: str = option("color_s4l", "Name of a method, or a sum: color_s4l+other.")
    recipe: str | None = option(
        None, "In place of a method: a procedure of several stages (README: Recipes)."
    )
    network: str = option("convnet", "The trunk.")
    seed: int = option(1, "Of the split, the batches, the weights and every draw.")


@dataclasses.dataclass(frozen=True)
class Settings(Source):
    """What all runs of a table share; every flag here is one of the tables' too."""

    unlabeled: int | None = option(
        None, "Images used without their labels (default: all training images)."
    )
    labeled_only: bool = option(
        False,
        "Unlabelled images are the labelled ones alone (ASL, Tran 2019).",
    )
    validation: int = option(
        0, "Labelled images in total that are held out of training, for selection."
    )
    split_file: str | None = option(
        None, "A split.csv of an earlier run, to be used exactly."
    )
    colorizer: str | None = option(
        None, "H5 file of colorization.train (default: train one here, 10 epochs)."
    )
    pseudo_labels: str | None = option(
        None, "NPZ file of class probabilities, for methods that read such (relabeled)."
    )
    set: tuple[str, ...] = option(
        (), "TERM.FIELD=VALUE: a hyper-parameter of a term; may be repeated."
    )
    stage: tuple[str, ...] = option(
        (), "STAGE.FLAG=VALUE: a flag of one stage of a recipe; may be repeated."
    )
    balance: bool = option(
        False, "Weigh the class loss so that every class counts alike."
    )
    width: float = option(1.0, "Factor on the trunk's numbers of filters.")
    init_from: str | None = option(
        None,
        "A run, model file or colorizer, whose trunk's weights are the beginning.",
    )
    init_heads: bool = option(
        False, "--init_from gives heads, too, of tasks that both runs have."
    )
    freeze_blocks: int = option(
        0, "First blocks of the trunk that stay as they are; -1: the whole trunk."
    )
    epochs: int = option(30, "Passes over the unlabelled images.")
    batch_size: int = option(32, "Unlabelled images per step, before the views.")
    labeled_batch: int | None = option(
        None, "Labelled images per step (default: as many as unlabelled views)."
    )
    learning_rate: float = option(0.05, "At the start, before the schedule.")
    schedule: str = option(
        "polynomial",
        "The rate's course: (1-x)^(1/2), cos(7/16 pi x), /10 at milestones, or 1.",
        choices=("polynomial", "cosine", "steps", "constant"),
    )
    warmup_epochs: float = option(
        0.0, "At the beginning the rate rises linearly from 0 for so many epochs."
    )
    milestones: str | None = option(
        None,
        "Of --schedule=steps: comma-separated epochs (default: 30, 60, 80 % of all).",
    )
    weight_decay: float = option(
        5e-4, "Factor on the sum of squares of all kernels, added to the loss."
    )
    dropout: float = option(0.5, "Share of pooled features dropped before the classes.")
    trunk_dropout: float | None = option(
        None, "Inside the trunk (default: as published; ConvNet 0.5 on SVHN, else 0)."
    )
    zca: bool | None = option(
        None, "ZCA whitening (default: not for SVHN, digits, nor above 48 px)."
    )
    hflip: bool | None = option(
        None,
        "Flip labelled images left-right (default: not for SVHN and digits).",
    )
    bn_stats: str | None = option(
        None,
        "Passes that move the statistics used for inference (default: as published).",
        choices=("both", "supervised"),
    )
    dtype_policy: str = option(
        "float32",
        "Precision of the network.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: bool | None = option(
        None, "Compile the step with XLA (default: Keras decides)."
    )
    steps_per_execution: int = option(1, "Steps per call of the compiled function.")
    devices: int = option(1, "GPUs (or logical CPU devices) that share each batch.")
    deterministic: bool = option(False, "Bit-equal repetition; slower.")
    verbosity: int = option(1, "0: no progress; 1: a bar, on a terminal; 2: lines.")


@dataclasses.dataclass(frozen=True)
class Run(Settings, Axes):
    """One training run, complete: with the code's version it determines the result."""

    run_dir: str | None = option(
        None, "Folder of the results (default: runs/<what>); must not exist yet."
    )
    resume: bool = option(False, "Go on from the last complete epoch of --run_dir.")


def method_of(run: Run) -> str:
    """What a run is called by what it trains: its recipe, or its method."""
    return run.recipe or run.method
