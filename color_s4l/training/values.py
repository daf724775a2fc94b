"""A run's values: what none can have, and the defaults that depend on the images."""

import dataclasses
import math
from collections.abc import Sequence

from color_s4l import data, methods
from color_s4l.errors import InputError, unknown
from color_s4l.networks import TRUNKS
from color_s4l.settings import Run, is_digits
from color_s4l.terms import Supervised, Term
from color_s4l.views.step import TARGETS

# Whitening larger images would take a matrix of more than 190 MB.
LARGEST_WHITENED = 48


def check(run: Run) -> None:
    """Refuses numbers that no run can have.

    Raises:
        InputError: One line that names the flag.
    """
    if run.network not in TRUNKS:
        raise unknown("network", run.network, TRUNKS)
    for name in ("epochs", "batch_size", "devices", "steps_per_execution"):
        if getattr(run, name) < 1:
            raise InputError(f"--{name}={getattr(run, name)}: expected at least 1.")
    for name in ("width", "learning_rate"):
        if not 0 < getattr(run, name) < float("inf"):
            raise InputError(f"--{name}={getattr(run, name)}: expected more than 0.")
    for name in ("seed", "weight_decay", "warmup_epochs"):
        if not 0 <= getattr(run, name) < float("inf"):
            raise InputError(f"--{name}={getattr(run, name)}: expected 0 or more.")
    for name in ("dropout", "trunk_dropout"):
        if not 0 <= (getattr(run, name) or 0) < 1:
            raise InputError(f"--{name}={getattr(run, name)}: expected 0 <= p < 1.")
    if run.freeze_blocks < -1:
        raise InputError(
            f"--freeze_blocks={run.freeze_blocks}: expected 0 or more, or -1 for all."
        )
    if milestones_of(run) is not None and run.schedule != "steps":
        raise InputError("--milestones belong to --schedule=steps.")
    if run.seed >= 2**32:
        raise InputError(f"--seed={run.seed}: expected less than 2**32.")
    chosen = [
        n
        for n in ("labels", "unlabeled", "labeled_only", "validation")
        if getattr(run, n)
    ]
    if run.split_file and chosen:
        raise InputError(
            f"--split_file says which images are used: leave --{chosen[0]} out."
        )
    if run.labeled_only and run.unlabeled:
        raise InputError("--labeled_only takes no other images: leave --unlabeled out.")
    if run.init_heads and not run.init_from:
        raise InputError("--init_heads are those of a run: name it by --init_from.")
    if run.stage and not run.recipe:
        raise InputError(f"--stage={run.stage[0]}: only a --recipe has stages.")
    _check_batches(run)


def _check_batches(run: Run) -> None:
    """Refuses batches that the devices can't share."""
    labeled = run.labeled_batch
    if labeled is not None and labeled < 1:
        raise InputError(f"--labeled_batch={labeled}: expected at least 1.")
    if run.batch_size % run.devices:
        raise InputError(
            f"--batch_size={run.batch_size} can't be divided over "
            f"--devices={run.devices}."
        )
    groups = math.gcd(run.batch_size, labeled or 0)
    if groups % run.devices:
        raise InputError(
            f"--labeled_batch={labeled} and --batch_size={run.batch_size} make "
            f"{groups} equal groups; they can't be divided over "
            f"--devices={run.devices}."
        )


def milestones_of(run: Run) -> list[float] | None:
    """The epochs that `--milestones` names; None where it is not given.

    Raises:
        InputError: A word is no number above 0.
    """
    if run.milestones is None:
        return None
    try:
        milestones = [float(word) for word in run.milestones.split(",")]
    except ValueError:
        milestones = [0.0]
    if not all(0 < milestone < float("inf") for milestone in milestones):
        raise InputError(
            "--milestones: expected epochs above 0, comma-separated. "
            f"Received: {run.milestones!r}."
        )
    return milestones


def check_method(run: Run, terms: Sequence[Term]) -> None:
    """Refuses flags that the method would ignore, and asks for those that it needs.

    `--colorizer`, `--labeled_batch` and `--bn_stats` are for the methods that read
    them: the runs of a table, or the stages of a recipe, share them.

    Raises:
        InputError: One line that names the flag.
    """
    if run.balance and not any(isinstance(term, Supervised) for term in terms):
        raise InputError(
            "--balance weighs the class loss of the term 'supervised'; "
            f"--method={run.method} has none."
        )
    reads_labels = TARGETS in methods.views_of(terms)
    if reads_labels and not run.pseudo_labels:
        raise InputError(
            f"--method={run.method} learns from labels that an earlier run gave: "
            "name their file by --pseudo_labels."
        )
    if run.pseudo_labels and not reads_labels:
        raise InputError(
            f"--pseudo_labels={run.pseudo_labels}: --method={run.method} reads none."
        )


def resolved(run: Run, dataset: data.Data) -> Run:
    """The run with the defaults that depend on the data set.

    Raises:
        InputError: It whitens images that are too large for it.
    """
    side = dataset.images.shape[1]
    if run.zca and side > LARGEST_WHITENED:
        raise InputError(
            f"--zca whitens images of up to {LARGEST_WHITENED} px; these have "
            f"{side}. Give --nozca, or a smaller --image_size."
        )
    return of_images(run, side)


def of_images(run: Run, side: int) -> Run:
    """The run with the defaults for images of this side, in pixels.

    Published: no ZCA and no flips on SVHN, dropout 0.5 after the ConvNet's poolings
    there. The built-in digits are treated like SVHN's: a flipped digit is another
    sign, and 1,397 images are too few to whiten 3,072 values.
    """
    svhn = run.dataset.startswith("svhn")
    digits = is_digits(run.dataset)
    small = side <= LARGEST_WHITENED
    # A colorizer's filters have never seen whitened images.
    whitened = small and not digits and run.network != "encoder"
    deep_dropout = 0.5 if svhn and run.network.startswith("convnet") else None
    return dataclasses.replace(
        run,
        zca=whitened if run.zca is None else run.zca,
        hflip=not digits if run.hflip is None else run.hflip,
        trunk_dropout=deep_dropout if run.trunk_dropout is None else run.trunk_dropout,
    )
